# SPDX-License-Identifier: MIT
"""Tensors of PyTorch, and its own attention on the same problems."""
import unittest
import warnings

import numpy as np

import tulle
from reference import DeviceCase, numbers

try:
    import torch
    import torch.nn.functional as functional
except ImportError:
    torch = None

try:
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention
except ImportError:
    flex_attention = None


@unittest.skipUnless(torch, "PyTorch is not installed (TULLE_PYTORCH)")
class Torch(DeviceCase):
    def tensors(self, *shapes, dtype=None):
        return [torch.from_numpy(numbers(self.random, shape)).to(dtype or torch.float32) for shape in shapes]

    def near(self, found, wanted):
        self.assertIsInstance(found, torch.Tensor)
        self.assertEqual(found.dtype, wanted.dtype)
        tolerance = {torch.float32: 2e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}[found.dtype]
        torch.testing.assert_close(found, wanted, rtol=tolerance, atol=tolerance)

    def sdpa(self, *arguments, **more):
        if not hasattr(functional, "scaled_dot_product_attention"):
            self.skipTest(f"PyTorch {torch.__version__} has no scaled_dot_product_attention")
        return functional.scaled_dot_product_attention(*arguments, **more)

    def test_tensors(self):
        """tensors go in and come out, at any strides; a gradient is refused"""
        q, k, v = self.tensors((2, 6, 4, 16), (2, 9, 4, 16), (2, 9, 4, 16))
        wanted = tulle.attention(q.numpy(), k.numpy(), v.numpy(), causal=True, layout="bshd")
        found, lse = tulle.attention(q, k, v, causal=True, layout="bshd", return_lse=True)
        self.assertIsInstance(lse, torch.Tensor)
        self.assertEqual(tuple(lse.shape), (2, 4, 6))
        np.testing.assert_array_equal(found.numpy(), wanted)
        turned = [x.transpose(1, 2) for x in (q, k, v)]
        np.testing.assert_array_equal(tulle.attention(*turned, causal=True).transpose(1, 2).numpy(), wanted)
        out = torch.empty(2, 4, 6, 16)
        self.assertIs(tulle.attention(*turned, causal=True, out=out), out)
        np.testing.assert_array_equal(out.transpose(1, 2).numpy(), wanted)
        with self.assertRaisesRegex(tulle.InvalidArgument, "gradient"):
            tulle.attention(q.requires_grad_(), k, v, layout="bshd")

    def test_bfloat16(self):
        """bfloat16 tensors give bfloat16 ones, or float32 where asked"""
        q, k, v = self.tensors(*[(1, 2, 12, 8)] * 3, dtype=torch.bfloat16)
        found = tulle.attention(q, k, v)
        self.assertEqual(found.dtype, torch.bfloat16)
        exact = tulle.attention(q, k, v, out_dtype="float32")
        self.assertEqual(exact.dtype, torch.float32)
        self.near(found, exact.to(torch.bfloat16))

    def test_sdpa(self):
        """torch.nn.functional.scaled_dot_product_attention gives the same"""
        for dtype in (torch.float32, torch.float16, torch.bfloat16):
            for q_shape, kv_shape in (((2, 4, 33, 32), (2, 4, 33, 32)), ((1, 2, 5, 64), (1, 2, 70, 64))):
                q, k, v = self.tensors(q_shape, kv_shape, kv_shape, dtype=dtype)
                with self.subTest(dtype=dtype, q=q_shape):
                    self.near(tulle.attention(q, k, v), self.sdpa(q, k, v))
                    # PyTorch aligns the first query with the first key
                    self.near(tulle.attention(q, k, v, causal=True, q_align="first"), self.sdpa(q, k, v, is_causal=True))
                    p, j = torch.arange(q_shape[2])[:, None] + kv_shape[2] - q_shape[2], torch.arange(kv_shape[2])
                    window = (p - j <= 7) & (j <= p)
                    self.near(tulle.attention(q, k, v, pattern="window:7,0", causal=True), self.sdpa(q, k, v, attn_mask=window))

    def test_flex(self):
        """torch.nn.attention.flex_attention gives the same: windows with sinks, softcap, ALiBi, grouped heads"""
        if not flex_attention:
            self.skipTest(f"PyTorch {torch.__version__} has no flex_attention")
        # of itself: it is meant to be compiled, which takes a minute and a C++ compiler
        warnings.filterwarnings("ignore", message="flex_attention called without torch.compile")
        length = 96
        q, k, v = self.tensors((1, 4, length, 32), (1, 2, length, 32), (1, 2, length, 32))
        slopes = torch.tensor([0.5, 0.25, 0.125, 0.0625])
        mask = create_block_mask(lambda b, h, i, j: (j <= i) & ((i - j <= 15) | (j < 2)), 1, 1, length, length, device="cpu")
        flex = lambda score: flex_attention(q, k, v, score_mod=score, block_mask=mask, enable_gqa=True)   # noqa: E731
        options = {"pattern": "window:15,0+sink:2", "causal": True}
        self.near(tulle.attention(q, k, v, **options), flex(None))
        self.near(tulle.attention(q, k, v, **options, softcap=2.0), flex(lambda score, b, h, i, j: 2 * torch.tanh(score / 2)))
        self.near(tulle.attention(q, k, v, **options, alibi_slopes=slopes), flex(lambda score, b, h, i, j: score - slopes[h] * (i - j)))
