#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The worst difference between two .npy arrays of fp32 or fp16, with nothing but Python.

    compare_npy.py GOT WANT LIMIT     exits with 1 where it is above LIMIT, or where the shapes differ
"""
import ast
import math
import struct
import sys


def read(path):
    with open(path, "rb") as file:
        data = file.read()
    if data[:6] != b"\x93NUMPY":
        sys.exit(f"{path} is not a .npy file")
    size, start = (struct.unpack_from("<H", data, 8)[0], 10) if data[6] == 1 else (struct.unpack_from("<I", data, 8)[0], 12)
    header = ast.literal_eval(data[start:start + size].decode())
    kind = {"<f4": "f", "<f2": "e", "<i4": "i", "<i8": "q", "|b1": "?", "|u1": "B", "|i1": "b"}[header["descr"]]
    count = math.prod(header["shape"])
    return header["shape"], struct.unpack_from(f"<{count}{kind}", data, start + size)


def main():
    (got_shape, got), (want_shape, want) = read(sys.argv[1]), read(sys.argv[2])
    limit = float(sys.argv[3])
    if got_shape != want_shape:
        sys.exit(f"{sys.argv[1]} has shape {got_shape}, {sys.argv[2]} {want_shape}")
    worst = max((math.inf if math.isnan(g) or math.isnan(w) else 0.0 if g == w else abs(g - w)) for g, w in zip(got, want))
    print(f"worst difference from {sys.argv[2]}: {worst:.3g} over {len(got)} numbers (allowed: {limit:g})")
    sys.exit(worst > limit)


if __name__ == "__main__":
    main()
