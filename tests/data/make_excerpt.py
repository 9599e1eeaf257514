#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the excerpt in this folder from the folder `long` of the project's real data (its README says what that is).

    make_excerpt.py FOLDER      needs numpy

Two heads, the first 512 tokens, Q, K and V as they are (fp16). O and LSE are computed here, in fp64, of that excerpt:
window(256, 256) + global(1), scale 1/sqrt(32). So they are not a part of the folder's own o.npy and lse.npy, whose rows
see 4096 tokens.
"""
import pathlib
import sys

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
HEADS, TOKENS = [0, 5], 512

source = pathlib.Path(sys.argv[1])
q, k, v = (np.ascontiguousarray(np.load(source / f"{name}.npy")[HEADS, :TOKENS]) for name in "qkv")
p, j = np.arange(TOKENS)[:, None], np.arange(TOKENS)[None]
selected = (abs(p - j) <= 256) | (p < 1) | (j < 1)

z = np.einsum("hid,hjd->hij", q.astype(np.float64), k.astype(np.float64)) / np.sqrt(q.shape[-1])
z = np.where(selected, z, -np.inf)
most = z.max(axis=2, keepdims=True)
weights = np.exp(z - most)
total = weights.sum(axis=2, keepdims=True)
o = (weights / total) @ v.astype(np.float64)
lse = (most + np.log(total))[:, :, 0]

for name, array in {"q": q, "k": k, "v": v, "o": o.astype("<f4"), "lse": lse.astype("<f4")}.items():
    np.save(HERE / f"{name}.npy", array)
tokens = (source / "tokens.txt").read_text(encoding="utf-8").split(" ")[:TOKENS]
(HERE / "tokens.txt").write_text(" ".join(tokens) + "\n", encoding="utf-8")
