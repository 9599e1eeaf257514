#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Attention in fp64, for what `tulle run` writes: with nothing but Python, from the options that `tulle run` was given.

    cli_reference.py make                 writes the random inputs of tests/program/cli.sh into this folder, the same each time
    cli_reference.py check OPTION ...     the options of `tulle run`; exits with 1 where O, its LSE or a shape is wrong

Written from what README.md and include/tulle/tulle.h say of options, not from the program's code.
"""
import argparse
import json
import math
import os
import random
import struct
import sys

sys.dont_write_bytecode = True  # the source folder is left as it is
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools"))
from compare_npy import read  # noqa: E402

# Every size is another one, so that no two can be taken for each other; 4 query heads share 2 of keys.
BATCH, HEADS, KV_HEADS, Q_LEN, KV_LEN, DIM, V_DIM = 2, 4, 2, 11, 19, 12, 8
FORMATS = {"f32": ("<f4", "f"), "f16": ("<f2", "e")}


# ---------------------------------------------------------------------------------------------------------------------
# Files

def write_npy(path, descr, kind, shape, values):
    header = str({"descr": descr, "fortran_order": False, "shape": tuple(shape)}).encode()
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + struct.pack(f"<{len(values)}{kind}", *values))


def write_bf16(path, tensors):
    header, data = {}, b""
    for name, (shape, values) in tensors.items():
        # the upper half of fp32, cut off: which neighbour it is does not matter here
        halves = [struct.unpack("<I", struct.pack("<f", value))[0] >> 16 for value in values]
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [len(data), len(data) + 2 * len(halves)]}
        data += struct.pack(f"<{len(halves)}H", *halves)
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def read_bf16(name):
    path, tensor = name.rsplit(":", 1)
    with open(path, "rb") as file:
        data = file.read()
    start = 8 + struct.unpack_from("<Q", data)[0]
    entry = json.loads(data[8:start])[tensor]
    halves = struct.unpack_from(f"<{math.prod(entry['shape'])}H", data, start + entry["data_offsets"][0])
    return tuple(entry["shape"]), [struct.unpack("<f", struct.pack("<I", half << 16))[0] for half in halves]


def make():
    rng = random.Random(20261126)
    sizes = {"q": (HEADS, Q_LEN, DIM), "k": (KV_HEADS, KV_LEN, DIM), "v": (KV_HEADS, KV_LEN, V_DIM)}
    tensors = {}
    for name, (heads, length, dim) in sizes.items():
        shape = (BATCH, heads, length, dim)
        tensors[name] = shape, [rng.gauss(0, 1) for _ in range(math.prod(shape))]
        for dtype, (descr, kind) in FORMATS.items():
            # the numbers as they come are a bhsd array and a bshd array of other heads
            write_npy(f"r-{name}-{dtype}-bhsd.npy", descr, kind, shape, tensors[name][1])
            write_npy(f"r-{name}-{dtype}-bshd.npy", descr, kind, (BATCH, length, heads, dim), tensors[name][1])
    write_bf16("r.safetensors", tensors)
    for dtype, (descr, kind) in FORMATS.items():
        write_npy(f"r-slopes-{dtype}.npy", descr, kind, (HEADS,), [0.5, 0.25, 0.0625, 1.0])
        write_npy(f"r-sinks-{dtype}.npy", descr, kind, (HEADS,), [1.5, -2.0, 0.25, 3.0])
    write_npy("r-q-lengths.npy", "<i4", "i", (BATCH,), [8, 11])
    write_npy("r-kv-lengths.npy", "<i8", "q", (BATCH,), [19, 13])
    write_npy("r-kv-starts.npy", "<i4", "i", (BATCH,), [5, 2])


# ---------------------------------------------------------------------------------------------------------------------
# Attention

def selects(spec, p, j):
    """One spec of dense, window:L,R and sink:S joined by '+'."""
    for term in spec.split("+"):
        name, _, numbers = term.partition(":")
        numbers = [int(number) for number in numbers.split(",") if number]
        if name == "dense" or (name == "window" and -numbers[1] <= p - j <= numbers[0]) or (name == "sink" and j < numbers[0]):
            return True
    return False


class Tensor:
    """[b, h, n, d] of a file, whatever its layout."""

    def __init__(self, name, layout):
        shape, self.values = read_bf16(name) if ":" in name else read(name)
        self.layout = layout
        self.batch, axis1, axis2, self.dim = shape
        self.heads, self.length = (axis1, axis2) if layout == "bhsd" else (axis2, axis1)

    def row(self, b, h, i):
        at = (b * self.heads + h) * self.length + i if self.layout == "bhsd" else (b * self.length + i) * self.heads + h
        return self.values[at * self.dim:(at + 1) * self.dim]


def attend(options, number, q, k, v, b, h, i):
    """O, its LSE, and how far fp32 may be off each (apart from rounding O to its type). number: what the lists hold."""
    q_length = number["q_lengths"][b] if number["q_lengths"] else q.length
    kv_length = number["kv_lengths"][b] if number["kv_lengths"] else k.length
    start = number["kv_starts"][b] if number["kv_starts"] else 0
    slope = number["alibi"][h] if number["alibi"] else 0.0
    sink = number["sink_logits"][h] if number["sink_logits"] else -math.inf
    scale = options.scale or 1 / math.sqrt(q.dim)
    specs = options.pattern.split(";")
    p = i + (kv_length - q_length if options.q_offset is None else options.q_offset)
    if i >= q_length:
        return [0.0] * v.dim, -math.inf, 0.0, 0.0

    logits, rows, bound = [], [], 0.0
    query, kv_head = q.row(b, h, i), h * k.heads // q.heads
    for j in range(start, kv_length):
        if (options.causal and j > p) or not selects(specs[h % len(specs)], p, j):
            continue
        products = [x * y for x, y in zip(query, k.row(b, kv_head, j))]
        z = scale * math.fsum(products)
        if options.softcap:
            z = options.softcap * math.tanh(z / options.softcap)
        logits.append(z - slope * abs(p - j))
        rows.append(v.row(b, kv_head, j))
        bound = max(bound, abs(scale) * math.fsum(map(abs, products)) + slope * abs(p - j))

    top = max(logits + [sink])
    if top == -math.inf:
        return [0.0] * v.dim, -math.inf, 0.0, 0.0
    weights = [math.exp(z - top) for z in logits]
    total = math.fsum(weights) + math.exp(sink - top)
    out = [math.fsum(w * row[d] for w, row in zip(weights, rows)) / total for d in range(v.dim)]
    # tests/support/tolerance.c derives this: u is half an ulp; a logit's products and factors, tanh, then the weights' exponentials,
    # rescaling and sums of as many terms as there are keys.
    u, keys = 2.0 ** -24, len(logits)
    reach = 2 * max(bound, abs(sink) if sink > -math.inf else 0.0) / math.log(2)
    logit = (q.dim + 8) * u * bound + (21 * options.softcap + 8 * bound) * u
    weight = logit + (6 + 4 * reach + 7 * keys + 4 * reach + 6 + 4 * reach + 16 + 8 * (reach + math.log2(keys + 1))) * u
    absolute = math.fsum(w * max(map(abs, row), default=0.0) for w, row in zip(weights, rows)) / total
    return out, top + math.log(total), 2.1 * weight * absolute + 1e-36, weight + (abs(top) + 16) * 8 * u


def check(arguments):
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for name in ("q", "k", "v", "pattern", "lse", "alibi", "sink-logits", "q-lengths", "kv-lengths", "kv-starts"):
        parser.add_argument("--" + name)
    parser.add_argument("-o")
    parser.add_argument("--layout", default="bhsd")
    parser.add_argument("--causal", action="store_true")
    parser.add_argument("--scale", type=float, default=0.0)
    parser.add_argument("--softcap", type=float, default=0.0)
    parser.add_argument("--q-offset", type=int)
    parser.add_argument("--kernel")
    options = parser.parse_args(arguments)

    number = {name: read(path)[1] if (path := getattr(options, name)) else None
              for name in ("q_lengths", "kv_lengths", "kv_starts", "alibi", "sink_logits")}
    q, k, v = (Tensor(name, options.layout) for name in (options.q, options.k, options.v))
    shape, o = read(options.o)
    wanted = (q.batch, q.heads, q.length, v.dim) if options.layout == "bhsd" else (q.batch, q.length, q.heads, v.dim)
    if shape != wanted:
        sys.exit(f"{options.o} has shape {shape}, not {wanted}")
    got = Tensor(options.o, options.layout)
    lse_shape, lse = read(options.lse) if options.lse else ((), [])
    if options.lse and lse_shape != (q.batch, q.heads, q.length):
        sys.exit(f"{options.lse} has shape {lse_shape}, not {(q.batch, q.heads, q.length)}")

    # fp16 is rounded once more, in a direction that is left open: one ulp, and below 2^-14 to 0
    ulp, least = (2.0 ** -10, 2.0 ** -14) if "-f16-" in options.q else (0.0, 0.0)
    worst = 0.0
    for b in range(q.batch):
        for h in range(q.heads):
            for i in range(q.length):
                out, out_lse, off, off_lse = attend(options, number, q, k, v, b, h, i)
                for d, (x, y) in enumerate(zip(out, got.row(b, h, i))):
                    limit = off + (abs(x) if abs(x) - off < least else ulp * abs(x))
                    if not abs(x - y) <= limit:
                        sys.exit(f"O[{b}, head {h}, row {i}, {d}] is {y:.9g}, not {x:.9g} to {limit:.2g}")
                    worst = max(worst, abs(x - y) / limit if limit else 0.0)
                if options.lse:
                    y = lse[(b * q.heads + h) * q.length + i]
                    if y != out_lse and not abs(y - out_lse) <= off_lse:
                        sys.exit(f"LSE[{b}, head {h}, row {i}] is {y:.9g}, not {out_lse:.9g} to {off_lse:.2g}")
    print(f"at worst {worst:.2g} of what is allowed")


def main():
    if sys.argv[1:] == ["make"]:
        make()
    elif sys.argv[1:2] == ["check"]:
        check(sys.argv[2:])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
