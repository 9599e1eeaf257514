#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tools/peers: Tulle's patterns as PyTorch gets them, and the bench's workloads through it.

    test_peers.py PROGRAM     PROGRAM is tulle

Prints TAP. TULLE_PYTORCH=PYTHON names a Python that has PyTorch, where this one has not; without PyTorch those cases skip.
"""
import json
import os
import pathlib
import re
import struct
import sys
import tempfile

sys.dont_write_bytecode = True  # the source folder is left as it is
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "tools/peers")]
from patterns import Mask  # noqa: E402
from tap import check, done, run, skip  # noqa: E402

PROGRAM = str(pathlib.Path(sys.argv[1]).resolve())
PEER = str(HERE.parents[1] / "tools/peers/pytorch.py")
SCHEMA = HERE.parents[1] / "docs/bench.schema.json"
PYTHON = os.environ.get("TULLE_PYTORCH", sys.executable)


def write_npy(path, descr, kind, shape, values):
    header = str({"descr": descr, "fortran_order": False, "shape": tuple(shape)}).encode()
    pathlib.Path(path).write_bytes(b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + struct.pack(f"<{len(values)}{kind}", *values))


def test_patterns():
    """Every kind of term selects as many pairs, head by head, as `tulle show` says."""
    write_npy("mask.npy", "|b1", "?", (2, 8, 10), [(i * 7 + i // 3) % 5 < 2 for i in range(160)])
    write_npy("bounds.npy", "<i4", "i", (5,), [0, 7, 7, 30, 61])
    write_npy("listed.npy", "<i8", "q", (3,), [3, 11, 50])
    specs = ("dense", "window:5,2", "window:inf,0", "window:3,inf", "dilated:3,1,4", "global:3", "global:listed.npy", "sink:4", "strided:7", "fixed:8,3",
             "blocks:7,mask.npy", 'blocks:7,"mask.npy"', "blocks:4,@16x16p30", "random:8,2,5", "random:5,3,12345678901", "documents:bounds.npy",
             "documents:@56d5", "documents:@20d7", "blocks:1,@8x7k5", "global:@11-14+global:2", "blocks:1,@7x8k1+sink:2",
             "window:3,0+global:2+random:8,1,9", "window:127,0+strided:9", "dense;window:3,0", "window:2,2;strided:5;sink:3")
    wrong, count = [], 0
    for spec in specs:
        for q_len, kv_len in ((56, 56), (13, 56), (56, 20)):
            for causal in (False, True):
                shape = {"pattern": spec, "causal": causal, "heads": 4, "kv_heads": 2, "q_len": q_len, "kv_len": kv_len}
                mask = Mask(shape)
                for head in (0, 3):
                    pairs = sum(mask.selects(head, i + mask.offset, j) for i in range(q_len) for j in range(kv_len))
                    out = run(PROGRAM, "show", spec, "--q-len", str(q_len), "--kv-len", str(kv_len), "--heads", "4", "--kv-heads", "2", "--head", str(head),
                              *(["--causal"] if causal else []))[1]
                    said = re.search(r"\((\d+) pairs?\)", out)
                    count += 1
                    if not said or int(said[1]) != pairs:
                        wrong.append(f"{spec} {q_len} x {kv_len} causal {causal} head {head}: {pairs}, tulle says {said and said[1]}")
                    if not mask.by_head:
                        break
    check(f"patterns select as many pairs as Tulle's, {count} times", not wrong and count > 150, "\n".join(wrong[:9]))
    try:
        Mask({"pattern": "wibble:3", "causal": False, "heads": 1, "kv_heads": 1, "q_len": 1, "kv_len": 1})
        check("a term that is not known is refused", False)
    except ValueError as error:
        check("a term that is not known is refused", "wibble:3" in str(error), error)


def test_without_torch():
    os.mkdir("none")
    pathlib.Path("none/torch.py").write_text("raise ImportError('as the test wants')\n", encoding="utf-8")
    status, out, err = run(sys.executable, PEER, "x.json", env={"PYTHONPATH": os.path.abspath("none")})
    check("without PyTorch it says how to get it", status == 1 and out == "" and "pip install torch" in err and len(err.splitlines()) == 1, err)


def bench_line(**shape):
    row = {"kind": "result", "device_index": 0, "device": "d", "error": None, "pattern": "dense", "causal": False, "phase": "prefill", "batch": 1,
           "heads": 2, "kv_heads": 1, "q_len": 128, "kv_len": 128, "head_dim": 16, "v_head_dim": 16, "dtype": "fp32", "ms": 1.0, "ms_low": 0.9,
           "ms_high": 1.1, "reckoned": False, "bytes": 1}
    return {**row, **shape}


def test_with_torch():
    status, _, err = run(PYTHON, "-c", "from torch.nn.attention import flex_attention")
    if status:
        skip("the bench's workloads through PyTorch", f"{PYTHON} has no PyTorch of 2.5 or later")
        return
    rows = [bench_line(pairs=2 * 128 * 128), bench_line(pattern="random:32,2,5+sink:3", causal=True), bench_line(pattern="sink:3", pairs=17),
            bench_line(pattern="window:inf,0", causal=True, phase="decode", q_len=1, pairs=2 * 128),
            bench_line(causal=True, phase="decode", q_len=1, pairs=2 * 128), bench_line(phase="decode", q_len=1, kv_least=5, batch=3, pairs=1)]
    head = {"kind": "run", "format": "tulle-bench", "format_version": 1}
    device = {"kind": "device", "device_index": 0, "device": "d"}
    pathlib.Path("bench.jsonl").write_text("\n".join(map(json.dumps, [head, device, *rows])), encoding="utf-8")
    status, out, err = run(PYTHON, PEER, "bench.jsonl", "--repeat", "6", "--device", "cpu")
    check("the bench's workloads through PyTorch", status == 0, err[-2000:])
    document = json.loads(out)
    try:
        import jsonschema  # pylint: disable=import-outside-toplevel
        errors = [error.message[:300] for error in jsonschema.Draft202012Validator(
            {**json.loads(SCHEMA.read_text(encoding="utf-8")), "oneOf": [{"$ref": "#/$defs/document"}]}).iter_errors(document)]
        check("its JSON is what the schema says", not errors, errors)
    except ImportError:
        skip("its JSON is what the schema says", "there is no python3-jsonschema")
    names = [entry["implementation"] for entry in document["devices"]]
    check("FlexAttention and SDPA's backends", names[0] == "flex_attention" and "sdpa math" in names, names)
    step = [row for row in document["results"] if row["q_len"] == 1]
    check("steps of decoding are run, ragged ones refused", len(step) == 3 * len(names) and all(
        not row["error"] if row["batch"] == 1 else "ragged batches are not done here" in row["error"] for row in step), [row["error"] for row in step])
    of = {(names[row["device_index"]], row["pattern"]): row for row in document["results"] if row["q_len"] > 1}
    bad = {key: row["error"] for key, row in of.items() if key[1] != "sink:3" and row["error"]}
    check("each ran each workload, with one result", not bad and len(of) == 3 * len(names), bad)
    check("a workload of another number of pairs is refused", all("selects 768 pairs here; the bench's file says 17" in row["error"]
          for key, row in of.items() if key[1] == "sink:3"), of)
    row = of["flex_attention", "random:32,2,5+sink:3"]
    check("block masks are counted apart", row["plan_ms"] > 0 and len(row["samples_ms"]) == 6 and row["ms_low"] == row["ms_min"], row)
    pathlib.Path("torch.json").write_text(out, encoding="utf-8")
    rows[1]["pairs"] = row["pairs"]
    pathlib.Path("bench.jsonl").write_text("\n".join(map(json.dumps, [head, device, *rows])), encoding="utf-8")
    status, out, err = run(PROGRAM, "compare", "bench.jsonl", "torch.json")
    check("tulle compare prints the ratios", status == 0 and out.count("4 compared:") == len(names), out + err)


def main():
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        test_patterns()
        test_without_torch()
        test_with_torch()
        os.chdir("/")
    done()


main()
