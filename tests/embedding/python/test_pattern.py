# SPDX-License-Identifier: MIT
"""tulle.Pattern."""
import os
import tempfile
import unittest

import numpy as np

import tulle
from reference import DeviceCase, assert_near, attention, numbers, pattern_mask


class Pattern(unittest.TestCase):
    def test_prints(self):
        """a pattern prints as a spec that reads back to an equal one"""
        for spec in ("dense", "window:255,0", "window:inf,3+sink:4", "window:1,0;global:2+strided:8;random:8,2,7"):
            pattern = tulle.Pattern(spec)
            self.assertEqual(str(pattern), spec)
            self.assertEqual(eval(repr(pattern)), pattern)
            self.assertEqual(len(pattern), spec.count(";") + 1)

    def test_equal(self):
        """equal are patterns of the same terms and arrays, and so are their hashes"""
        mask = np.eye(4, dtype=bool)
        blocks = tulle.Pattern("blocks:8,m", {"m": mask})
        self.assertEqual(blocks, tulle.Pattern("blocks:8,m", {"m": mask.astype(np.uint8)}))
        self.assertEqual(hash(blocks), hash(tulle.Pattern("blocks:8,m", {"m": mask.astype(int)})))
        self.assertNotEqual(blocks, tulle.Pattern("blocks:8,m", {"m": ~mask}))
        self.assertNotEqual(tulle.Pattern("sink:1"), tulle.Pattern("sink:2"))
        self.assertNotEqual(tulle.Pattern("sink:1"), "sink:1")

    def test_selects(self):
        """`selects` and `mask` say which pairs are selected"""
        for spec in ("window:3,1", "strided:3+sink:2", "window:1,0;global:2"):
            for head in range(2):
                wanted = pattern_mask(spec, head, np.arange(9)[:, None] + 2, np.arange(11)[None])
                found = tulle.Pattern(spec).mask(9, 11, head=head, heads=2)
                np.testing.assert_array_equal(found, wanted)
                found = tulle.Pattern(spec).mask(9, 11, head=head, heads=2, causal=True)
                np.testing.assert_array_equal(found, np.tril(wanted, 2))
        self.assertTrue(tulle.Pattern("window:3,0").selects(5, 2, kv_len=9))
        self.assertFalse(tulle.Pattern("window:3,0").selects(5, 1, kv_len=9))

    def test_files(self):
        """a name that is not in `arrays` is a .npy file"""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "list.npy")
            np.save(path, np.array([5, 1], np.int32))
            pattern = tulle.Pattern(f'global:"{path}"')
            np.testing.assert_array_equal(pattern.mask(7, 7)[2], [0, 1, 0, 0, 0, 1, 0])
            np.save(path, np.array([2], np.int32))
            self.assertNotEqual(tulle.Pattern(f'global:"{path}"'), pattern)

    def test_slashes(self):
        """a term of two lists takes each as it is, also where they are one file; factors narrow it"""
        lists = {"v": np.array([1, 40000], np.int32), "d": np.array([3, -1], np.int32), "x": np.arange(2, 40000, dtype=np.int32)}
        p, j = np.arange(9)[:, None], np.arange(9)[None]
        np.testing.assert_array_equal(tulle.Pattern("vertical_slash:v,d", lists).mask(9, 9), (j == 1) | (p - j == 3))
        np.testing.assert_array_equal(tulle.Pattern("vertical_slash:x,x", lists).mask(9, 9), (j >= 2) | (p - j >= 2))
        np.testing.assert_array_equal(tulle.Pattern("vertical_slash:v,d&chunked:4", lists).mask(9, 9), ((j == 1) | (p - j == 3)) & (p // 4 == j // 4))

    def test_errors(self):
        """a spec that cannot be read raises what is wrong with it, and what caused that"""
        def refused(kind, text, spec, arrays=None):
            with self.assertRaises(kind) as caught:
                tulle.Pattern(spec, arrays)
            self.assertIsInstance(caught.exception, tulle.Error)
            self.assertIn(text, str(caught.exception))
            return caught.exception
        self.assertEqual(refused(tulle.PatternSyntaxError, "column 1", "wndow:1,0").result, "TULLE_ERROR_SYNTAX")
        refused(ValueError, "column", "window:1")
        refused(tulle.InvalidArgument, "term 1", "fixed:4,5")
        refused(TypeError, "pattern is a int", 5)
        refused(ValueError, "NUL", "dense\0")
        self.assertIsInstance(refused(tulle.ArrayError, "neither in `arrays` nor a file", "blocks:4,none").__cause__, FileNotFoundError)
        refused(ValueError, "one to three axes", "blocks:4,m", {"m": np.zeros((1, 1, 1, 1))})
        refused(ValueError, "float64", "blocks:4,m", {"m": np.zeros((2, 2))})
        refused(ValueError, "below 2^63", "global:m", {"m": np.array([2**63], np.uint64)})
        refused(ValueError, "term 1", "blocks:4,m", {"m": np.full((2, 2), 2)})
        refused(ValueError, "term 1", "documents:m", {"m": np.array([0, 4, 2])})
        refused(ValueError, "int16", "documents:m", {"m": np.array([0, 4], np.int16)})


class PatternOnDevice(DeviceCase):
    def test_arrays(self):
        """blocks, listed globals and documents from arrays select what they say"""
        q, k, v = (numbers(self.random, (1, 2, 32, 8)) for _ in "qkv")
        mask = self.random.random((2, 4, 4)) < 0.5
        documents = [0, 10, 10, 31]
        position = np.arange(32)
        expected = {
            "blocks:8,m": mask[:, position // 8][:, :, position // 8],
            "documents:d": np.broadcast_to(np.digitize(position, documents)[:, None] == np.digitize(position, documents), (2, 32, 32)),
        }
        expected["documents:d"] = expected["documents:d"] & (position[:, None] < 31) & (position < 31)
        for spec, selected in expected.items():
            pattern = tulle.Pattern(spec, {"m": mask, "d": np.array(documents)})
            found, lse = tulle.attention(q, k, v, pattern=pattern, return_lse=True)
            z = np.where(selected, np.einsum("bhid,bhjd->bhij", q, k, dtype=np.float64) / np.sqrt(8), -np.inf)
            total = np.exp(z).sum(-1)
            assert_near(found, np.exp(z) @ v / np.where(total > 0, total, 1)[..., None])
            with np.errstate(divide="ignore"):
                assert_near(lse, np.log(total))
