#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The bench's workloads through PyTorch on this machine: FlexAttention, and each backend of its fused attention (SDPA).

    tulle bench --json >tulle.json
    tools/peers/pytorch.py tulle.json >pytorch.json
    tulle compare tulle.json pytorch.json

Takes the workloads of the bench's JSON (or JSON lines), whatever device that ran on, and prints the same format, each backend as a
device of its own: docs/bench.md. plan_ms is what creating FlexAttention's block mask took (SDPA's mask: making it), compile_ms what a
first call took longer than others. Needs PyTorch alone, 2.5 or later.
"""
import argparse
import datetime
import json
import math
import os
import pathlib
import platform
import statistics
import sys
import time

sys.dont_write_bytecode = True  # the source folder is left as it is
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from patterns import Mask  # noqa: E402

SHAPE = ("pattern", "causal", "phase", "batch", "heads", "kv_heads", "q_len", "kv_len", "head_dim", "v_head_dim", "dtype")
OPTIONAL = ("model", "sink_logits", "kv_least")
INSTALL = "PyTorch is not here: pip install torch --index-url https://download.pytorch.org/whl/cpu (or, with CUDA, pip install torch)"
MOST_MASK_BYTES = 2 ** 31  # of SDPA's mask: it has one of n x n
# what two kernels of one dtype may differ by, on values of mean 0 and variance 1
TOLERANCE = {"fp32": 1e-3, "fp16": 2e-2, "bf16": 1e-1}


# ---------------------------------------------------------------------------------------------------------------------
# Without PyTorch

def read_workloads(path):
    """The rows of a bench's JSON or JSON lines, each shape once."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    try:
        rows = json.loads(text)["results"]
    except (json.JSONDecodeError, KeyError, TypeError):
        rows = [row for row in map(json.loads, text.splitlines()) if row["kind"] == "result"]
    return list({(*(row.get(name) for name in OPTIONAL), *(row[name] for name in SHAPE)): row for row in rows}.values())


def interval(ordered):
    """The median's 95 % interval: docs/bench.md."""
    count = len(ordered)
    if count < 2:
        return None, None
    if count < 6:
        half = (12.706, 4.303, 3.182, 2.776)[count - 2] * statistics.stdev(ordered) / math.sqrt(count)
        mean, middle = statistics.mean(ordered), statistics.median(ordered)
        return min(max(mean - half, 0), middle), max(mean + half, middle)
    cases, rank = 1, 1  # of 2^count: fewer than `rank` samples on one side
    while cases + math.comb(count, rank) <= 0.025 * 2 ** count:
        cases += math.comb(count, rank)
        rank += 1
    return ordered[rank - 1], ordered[count - rank]


def time_fields(samples):
    ordered, middle = sorted(samples), statistics.median(samples)
    low, high = interval(ordered)
    return {"ms": middle, "ms_min": ordered[0], "ms_max": ordered[-1], "ms_mad": statistics.median(abs(s - middle) for s in samples),
            "ms_low": low, "ms_high": high, "repeats": len(samples), "samples_ms": samples, "reckoned": False}


def first_line_value(path, key):
    try:
        with open(path, encoding="utf-8") as file:
            return next((line.split(":" if ":" in line else "=", 1)[1].strip().strip('"') for line in file if line.startswith(key)), None)
    except OSError:
        return None


def run_json(version, commit):
    return {"kind": "run", "format": "tulle-bench", "format_version": 1, "program": "pytorch", "version": version, "commit": commit,
            "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "host": {"name": platform.node(), "cpu": first_line_value("/proc/cpuinfo", "model name"), "cpus": os.cpu_count(),
                     "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), "os": first_line_value("/etc/os-release", "PRETTY_NAME"),
                     "kernel": f"{platform.system()} {platform.release()} {platform.machine()}", "load": os.getloadavg()[0]}}


# ---------------------------------------------------------------------------------------------------------------------
# With it

class Peer:
    """PyTorch on one device."""

    def __init__(self, torch, device, seconds, repeat):
        self.torch, self.device, self.seconds, self.repeat = torch, device, seconds, repeat
        from torch.nn.attention import flex_attention  # pylint: disable=import-outside-toplevel
        self.create_block_mask = flex_attention.create_block_mask
        if device == "cuda":
            self.create_block_mask = torch.compile(self.create_block_mask)  # else it holds n x n numbers
        self.flex = torch.compile(flex_attention.flex_attention, dynamic=False)

    def backends(self):
        """Names of what the machine offers, FlexAttention first."""
        from torch.nn.attention import SDPBackend  # pylint: disable=import-outside-toplevel
        names = {"sdpa flash": "FLASH_ATTENTION", "sdpa efficient": "EFFICIENT_ATTENTION", "sdpa cudnn": "CUDNN_ATTENTION", "sdpa math": "MATH"}
        offered = {"flex_attention": None}
        for name, member in names.items():
            backend = getattr(SDPBackend, member, None)
            if backend is not None and any(self.offers(backend, dtype) for dtype in (self.torch.float32, self.torch.float16)):
                offered[name] = backend
        return offered

    def offers(self, backend, dtype):
        q = self.torch.ones(1, 1, 64, 64, device=self.device, dtype=dtype)
        try:
            self.sdpa(backend, q, q, q)
        except RuntimeError:
            return False
        return True

    def sdpa(self, backend, q, k, v, **arguments):
        from torch.nn.attention import sdpa_kernel  # pylint: disable=import-outside-toplevel
        with sdpa_kernel(backend):
            return self.torch.nn.functional.scaled_dot_product_attention(q, k, v, **arguments)

    def ms(self, call):
        """One call's milliseconds: device events on a GPU, else wall clock."""
        torch = self.torch
        if self.device == "cuda":
            begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            begin.record()
            value = call()
            end.record()
            torch.cuda.synchronize()
            return begin.elapsed_time(end), value
        start = time.perf_counter()
        value = call()
        return 1e3 * (time.perf_counter() - start), value

    def wall_ms(self, call):
        """The same by the wall clock, whatever the device: what compiles and plans runs on the host."""
        start = time.perf_counter()
        value = call()
        if self.device == "cuda":
            self.torch.cuda.synchronize()
        return 1e3 * (time.perf_counter() - start), value

    def count_pairs(self, shape, mask):
        """Over batch and heads, some rows at a time."""
        torch = self.torch
        keys, total = torch.arange(shape["kv_len"], device=self.device)[None, :], 0
        rows = max(1, 2 ** 24 // shape["kv_len"])
        for head in range(shape["heads"] if mask.by_head else 1):
            for first in range(0, shape["q_len"], rows):
                p = torch.arange(first, min(first + rows, shape["q_len"]), device=self.device)[:, None] + mask.offset
                total += int(mask.selects(torch.tensor(head, device=self.device), p, keys).expand(p.shape[0], keys.shape[1]).sum())
        return total * shape["batch"] * (1 if mask.by_head else shape["heads"])

    def prepare_flex(self, shape, mask, tensors):
        def mask_mod(_, h, q, kv):
            return mask.selects(h, q + mask.offset, kv)
        arguments = {"enable_gqa": shape["kv_heads"] != shape["heads"]}
        plain = shape["pattern"] == "dense" and (not shape["causal"] or shape["q_len"] == 1)
        if not plain:
            arguments["block_mask"] = self.create_block_mask(mask_mod, None, shape["heads"] if mask.by_head else None, shape["q_len"], shape["kv_len"],
                                                             device=self.device)
        return lambda: self.flex(*tensors, **arguments)

    def prepare_sdpa(self, backend, shape, mask, tensors):
        torch = self.torch
        arguments = {"enable_gqa": True} if shape["kv_heads"] != shape["heads"] else {}
        # is_causal has the first query at the first key; a single query, at the last key, needs no mask
        causal = shape["causal"] and shape["q_len"] > 1
        if shape["pattern"] == "dense" and (shape["q_len"] == shape["kv_len"] or not causal):
            arguments["is_causal"] = causal
        else:
            heads = shape["heads"] if mask.by_head else 1
            if heads * shape["q_len"] * shape["kv_len"] > MOST_MASK_BYTES:
                raise MemoryError(f"a mask of {heads} x {shape['q_len']} x {shape['kv_len']} bytes is above {MOST_MASK_BYTES}")
            h = torch.arange(heads, device=self.device)[:, None, None]
            p = torch.arange(shape["q_len"], device=self.device)[None, :, None] + mask.offset
            j = torch.arange(shape["kv_len"], device=self.device)[None, None, :]
            arguments["attn_mask"] = mask.selects(h, p, j).expand(heads, shape["q_len"], shape["kv_len"])[None].contiguous()
        return lambda: self.sdpa(backend, *tensors, **arguments)

    def measure(self, name, backend, shape, mask, tensors):
        """The figures of one workload by one backend, and its O."""
        prepare = (lambda: self.prepare_flex(shape, mask, tensors)) if backend is None else (lambda: self.prepare_sdpa(backend, shape, mask, tensors))
        prepare()
        plan_ms, call = min((self.wall_ms(prepare) for _ in range(3)), key=lambda timed: timed[0])
        first_ms, o = self.wall_ms(call)
        each, _ = self.ms(call)
        repeat = self.repeat or max(3, min(25, int(1e3 * self.seconds / max(each, 1e-3))))
        times = time_fields([self.ms(call)[0] for _ in range(repeat)])
        return {"kernel": name, "plan_ms": plan_ms, "compile_ms": max(0, first_ms - times["ms"]), **times}, o

    def tensors(self, shape):
        torch = self.torch
        dtype = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[shape["dtype"]]
        generator = torch.Generator().manual_seed(1)
        return [torch.randn(shape["batch"], shape[heads], shape[length], shape[dim], generator=generator).to(self.device, dtype)
                for heads, length, dim in (("heads", "q_len", "head_dim"), ("kv_heads", "kv_len", "head_dim"), ("kv_heads", "kv_len", "v_head_dim"))]

    def rows(self, workload, backends, about):
        """The result objects of one workload, one a backend."""
        shape = {name: workload[name] for name in SHAPE}
        reference = None
        for index, (name, backend) in enumerate(backends.items()):
            row = {"kind": "result", "device_index": index, "device": about["device"], "error": None, **shape,
                   **{name: workload[name] for name in OPTIONAL if name in workload}}
            try:
                if workload.get("sink_logits"):
                    raise ValueError("sink logits are not done here")
                if workload.get("kv_least", shape["kv_len"]) != shape["kv_len"]:
                    raise ValueError("ragged batches are not done here")
                mask = Mask(shape)
                mask.to(self.torch, self.device)
                pairs = self.count_pairs(shape, mask)
                if workload.get("pairs") not in (None, pairs):
                    raise ValueError(f"selects {pairs} pairs here; the bench's file says {workload['pairs']}")
                tensors = self.tensors(shape)
                figures, o = self.measure(name, backend, shape, mask, tensors)
                o = self.torch.nan_to_num(o.float())  # a row without keys: 0 by one, NaN by another
                reference = o if reference is None else reference
                worst = float((o - reference).abs().max())
                if not worst <= TOLERANCE[shape["dtype"]]:
                    raise ValueError(f"its result is {worst:.3g} away from that of another backend")
                row.update(about_row(figures, shape, pairs, workload, about))
            except Exception as error:  # pylint: disable=broad-exception-caught   # whatever a backend refuses with
                row["error"] = f"{type(error).__name__}: {' '.join(str(error).split())}"[:400]
            yield row


def about_row(figures, shape, pairs, workload, about):
    """The figures, and what follows from them."""
    every = shape["batch"] * shape["heads"] * shape["q_len"] * shape["kv_len"]
    dims, size = shape["head_dim"] + shape["v_head_dim"], {"fp32": 4, "fp16": 2, "bf16": 2}[shape["dtype"]]
    moved = workload.get("bytes") or size * dims * shape["batch"] * (shape["heads"] * shape["q_len"] + shape["kv_heads"] * shape["kv_len"])
    return {**figures, "driver": about["driver"], "pairs": pairs, "share": pairs / every, "gflops": 2 * dims * pairs / figures["ms"] / 1e6,
            "bytes": moved, "bytes_per_s": 1e3 * moved / figures["ms"],
            "tokens_per_s": 1e3 * shape["batch"] * shape["q_len"] / figures["ms"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench", help="what tulle bench --json or --jsonl printed")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: the GPU where PyTorch has one")
    parser.add_argument("--seconds", type=float, default=1, help="for the repeats of each workload (3 at least, 25 at most)")
    parser.add_argument("--repeat", type=int, help="exactly so many")
    arguments = parser.parse_args()
    try:
        import torch  # pylint: disable=import-outside-toplevel
    except ImportError:
        sys.exit(INSTALL)
    try:
        workloads = read_workloads(arguments.bench)
    except (OSError, ValueError, KeyError, TypeError) as error:
        sys.exit(f"{arguments.bench} cannot be read as the bench's JSON: {error!r}")
    device = arguments.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        sys.exit("--device cuda: PyTorch finds no GPU here")
    peer = Peer(torch, device, arguments.seconds, arguments.repeat)
    gpu = device == "cuda"
    about = {"device": torch.cuda.get_device_name() if gpu else first_line_value("/proc/cpuinfo", "model name") or platform.machine(),
             "driver": f"torch {torch.__version__}", "type": "GPU" if gpu else "CPU",
             "clock": {"source": "device timestamps" if gpu else "wall clock",
                       "resolution_ns": 500 if gpu else 1e9 * time.get_clock_info("perf_counter").resolution}}
    backends = peer.backends()
    results = []
    with torch.no_grad():
        for number, workload in enumerate(workloads, 1):
            print(f"{number} of {len(workloads)}: {workload['pattern']}, {workload['q_len']} x {workload['kv_len']}", file=sys.stderr)
            torch._dynamo.reset()  # pylint: disable=protected-access   # else it gives up after some shapes
            results += peer.rows(workload, backends, about)
    print(json.dumps({**run_json(torch.__version__, torch.version.git_version),
                      "devices": [{"kind": "device", "device_index": index, "implementation": name, **about} for index, name in enumerate(backends)],
                      "results": results, "planning": []}, indent=1))


if __name__ == "__main__":
    main()
