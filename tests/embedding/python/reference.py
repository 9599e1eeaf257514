# SPDX-License-Identifier: MIT
"""Attention in fp64 by NumPy, from docs/semantics.md alone; and problems to compare it on."""
import unittest

import ml_dtypes
import numpy as np

import tulle

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
DTYPES = (np.dtype(np.float32), np.dtype(np.float16), BFLOAT16)
# of O, whose numbers are about 1: what fp32 accumulation and one rounding to O's dtype leave
TOLERANCES = {"float32": 2e-5, "float16": 2e-3, "bfloat16": 1.6e-2}


def term_mask(term, p, j):
    """[queries, keys] of one term; p and j are columns and rows of positions."""
    name, _, numbers = term.partition(":")
    n = [float("inf") if text == "inf" else int(text) for text in numbers.split(",") if text]
    if name == "dense":
        return np.ones(np.broadcast_shapes(p.shape, j.shape), bool)
    if name == "window":
        return (p - j <= n[0]) & (j - p <= n[1])
    if name == "dilated":
        return (p - j <= n[0] * n[2]) & (j - p <= n[1] * n[2]) & ((p - j) % n[2] == 0)
    if name == "global":
        return (j < n[0]) | ((0 <= p) & (p < n[0]))
    if name == "sink":
        return (j < n[0]) & (p == p)
    if name == "strided":
        return (p - j) % n[0] == 0
    if name == "fixed":
        return (p // n[0] == j // n[0]) | (j % n[0] >= n[0] - n[1])
    raise ValueError(term)


def pattern_mask(spec, head, p, j):
    specs = spec.split(";")
    return np.logical_or.reduce([term_mask(term, p, j) for term in specs[head % len(specs)].split("+")])


def attention(q, k, v, *, pattern="dense", head_pattern=None, causal=False, scale=None, softcap=None, alibi_slopes=None,
              sink_logits=None, q_align="last", q_offsets=None, q_lengths=None, kv_lengths=None, kv_starts=None, trees=None):
    """O and LSE in fp64, of [batch, heads, length, dim]."""
    q, k, v = (np.asarray(x).astype(np.float64) for x in (q, k, v))
    batch, heads, q_len, head_dim = q.shape
    kv_heads, kv_len = k.shape[1:3]
    o, lse = np.zeros((batch, heads, q_len, v.shape[3])), np.full((batch, heads, q_len), -np.inf)
    for b in range(batch):
        rows = q_len if q_lengths is None else q_lengths[b]
        keys = kv_len if kv_lengths is None else kv_lengths[b]
        start = 0 if kv_starts is None else kv_starts[b]
        if q_offsets is not None:
            offset = np.atleast_1d(q_offsets)[b if np.size(q_offsets) > 1 else 0]
        else:
            offset = keys - rows if q_align == "last" else 0
        p, j = np.arange(rows)[:, None] + offset, np.arange(kv_len)[None, :]
        for h in range(heads):
            kv = h * kv_heads // heads
            z = q[b, h, :rows] @ k[b, kv].T * (head_dim ** -0.5 if scale is None else scale)
            if softcap:
                z = softcap * np.tanh(z / softcap)
            if alibi_slopes is not None:
                z = z - alibi_slopes[h] * np.abs(p - j)
            selected = pattern_mask(pattern, h if head_pattern is None else head_pattern[h], p, j)
            selected = selected & ((j <= p) | (not causal))
            if trees is not None:
                own = keys - rows   # the first key of the entry's own rows; below 0 there is none
                selected[:, max(own, 0):keys] = trees[b][:rows, max(-own, 0):rows]
            selected = selected & (start <= j) & (j < keys)
            z = np.where(selected, z, -np.inf)
            sink = -np.inf if sink_logits is None else sink_logits[h]
            most = np.maximum(z.max(axis=1, initial=-np.inf), sink)
            safe = np.where(np.isfinite(most), most, 0)
            weights = np.exp(z - safe[:, None])
            total = weights.sum(axis=1) + np.exp(sink - safe)
            with np.errstate(divide="ignore"):
                lse[b, h, :rows] = safe + np.log(total)
            o[b, h, :rows] = weights @ v[b, kv] / np.where(total > 0, total, 1)[:, None]
    return o, lse


def numbers(random, shape, dtype=np.float32):
    return random.standard_normal(shape, dtype=np.float32).astype(dtype)


def assert_near(found, wanted, dtype=None):
    tolerance = TOLERANCES[np.dtype(dtype or found.dtype).name]
    np.testing.assert_allclose(np.asarray(found).astype(np.float64), wanted, rtol=tolerance, atol=tolerance)


class DeviceCase(unittest.TestCase):
    """Skips where there is no device to run on."""

    @classmethod
    def setUpClass(cls):
        try:
            tulle.default_context()
        except tulle.NoDevice as error:
            raise unittest.SkipTest(str(error)) from None

    def setUp(self):
        self.random = np.random.default_rng(sum(self.id().encode()))
