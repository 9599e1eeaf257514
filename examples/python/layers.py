#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Three layers of a small decoder, each with its own pattern: a prompt at once, then tokens one by one.

Every layer has its keys and values in a cache that is larger than what is filled; the slices of it are read where they lie.
Prefill and decode agree, because a pattern is a function of positions and not of the chunk that is computed.
"""
import time

import numpy as np

import tulle

HEADS, KV_HEADS, DIM, PROMPT, TOKENS = 8, 2, 64, 384, 8
LAYERS = ("window:127,0+sink:4", "dense", "window:63,0+strided:32")


def layer(cache, x, weights, first, pattern):
    """x [length, HEADS * DIM] stands at positions first …; its keys and values go to the cache [2, KV_HEADS, room, DIM]."""
    length, last = len(x), first + len(x)
    q = (x @ weights["q"]).reshape(length, HEADS, DIM)
    for kind in (0, 1):
        cache[kind, :, first:last] = (x @ weights["kv"[kind]]).reshape(length, KV_HEADS, DIM).swapaxes(0, 1)
    # q as [heads, length, dim], a view; keys and values as slices of the cache
    o = tulle.attention(q.swapaxes(0, 1), cache[0, :, :last], cache[1, :, :last], pattern=pattern, causal=True)
    return x + o.swapaxes(0, 1).reshape(length, HEADS * DIM)


def decoder(x, step, weights):
    """All rows of x, `step` at a time."""
    caches = np.zeros((len(LAYERS), 2, KV_HEADS, len(x), DIM), np.float32)
    rows, first = [], 0
    while first < len(x):
        chunk = x[first:first + step(first)]
        for cache, matrices, pattern in zip(caches, weights, LAYERS):
            chunk = layer(cache, chunk, matrices, first, pattern)
        rows.append(chunk)
        first += len(chunk)
    return np.concatenate(rows)


def main():
    random = np.random.default_rng(1)
    shapes = {"q": (HEADS * DIM, HEADS * DIM), "k": (HEADS * DIM, KV_HEADS * DIM), "v": (HEADS * DIM, KV_HEADS * DIM)}
    weights = [{name: random.standard_normal(shape, dtype=np.float32) / shape[0] ** 0.5 for name, shape in shapes.items()} for _ in LAYERS]
    x = random.standard_normal((PROMPT + TOKENS, HEADS * DIM), dtype=np.float32)

    start = time.perf_counter()
    decoded = decoder(x, lambda first: PROMPT if first == 0 else 1, weights)
    print(f"{tulle.default_context().device.name}: {PROMPT} rows at once and {TOKENS} one by one in {time.perf_counter() - start:.3f} s")
    whole = decoder(x, lambda first: len(x), weights)
    difference = float(abs(decoded - whole).max())
    print(f"worst difference from all {len(x)} at once: {difference:.2g}")
    if not difference < 1e-4:
        raise SystemExit("prefill and decode do not agree")


main()
