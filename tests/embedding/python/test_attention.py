# SPDX-License-Identifier: MIT
"""tulle.attention and tulle.Plan against fp64."""
import numpy as np

import tulle
from reference import BFLOAT16, DTYPES, DeviceCase, assert_near, attention, numbers

PATTERNS = ("dense", "window:7,0", "window:3,4+sink:2", "window:inf,0", "global:3+window:5,5", "strided:4", "dilated:3,2,3", "fixed:8,2",
            "window:4,0;strided:3;dense", "window:9,1+strided:8;sink:3")


def strided(random, array):
    """The same numbers in other memory: transposed, sliced or backwards."""
    way = random.integers(5)
    if way == 0:
        return array
    if way == 1:   # [batch, length, heads, dim] in memory
        return np.ascontiguousarray(array.swapaxes(1, 2)).swapaxes(1, 2)
    if way == 2:   # a part of longer rows, and of more of them
        batch, heads, length, dim = array.shape
        room = np.full((batch, heads + 1, 2 * length, dim + 3), np.nan, dtype=array.dtype)
        room[:, 1:, ::2, 3:] = array
        return room[:, 1:, ::2, 3:]
    if way == 3:
        return np.ascontiguousarray(array[:, ::-1, ::-1])[:, ::-1, ::-1]
    return np.asfortranarray(array.transpose(3, 0, 1, 2)).transpose(1, 2, 3, 0)


class Attention(DeviceCase):
    def trial(self):
        random = self.random
        batch, groups, kv_heads = (int(random.integers(1, 4)) for _ in range(3))
        heads = groups * kv_heads
        q_len, kv_len = int(random.integers(1, 40)), int(random.integers(1, 70))
        head_dim, v_head_dim = 8 * int(random.integers(1, 3)), 8 * int(random.integers(1, 3))
        dtype = DTYPES[random.integers(3)]
        q, k, v = numbers(random, (batch, heads, q_len, head_dim), dtype), numbers(random, (batch, kv_heads, kv_len, head_dim), dtype), \
            numbers(random, (batch, kv_heads, kv_len, v_head_dim), dtype)
        chance = lambda share: random.random() < share   # noqa: E731
        fitting = [spec for spec in PATTERNS if spec.count(";") < heads]
        options = {"pattern": str(random.choice(fitting)), "causal": chance(0.5)}
        if chance(0.3):
            options["head_pattern"] = [int(x) for x in random.integers(options["pattern"].count(";") + 1, size=heads)]
        if chance(0.3):
            options["scale"] = float(random.uniform(-0.5, 0.5))
        if chance(0.3):
            options["softcap"] = float(random.uniform(1, 4))
        if chance(0.3):
            options["alibi_slopes"] = random.uniform(0, 0.5, heads).astype(np.float32)
        if chance(0.3):
            options["sink_logits"] = [float(np.float32(x)) for x in random.uniform(-2, 2, heads)]
        if chance(0.3):
            options["kv_lengths"] = random.integers(0, kv_len + 1, batch)
        if chance(0.3):
            options["kv_starts"] = random.integers(0, kv_len // 2 + 1, batch).astype(np.int8)
        if chance(0.3):
            options["q_lengths"] = random.integers(0, q_len + 1, batch)
        which = random.integers(5)
        if which == 1:
            options["q_align"] = "first"
        elif which == 2:
            options["q_offsets"] = int(random.integers(-5, kv_len))
        elif which == 3:
            options["q_offsets"] = random.integers(-5, kv_len, batch)
        elif which == 4:
            options["trees"] = random.random((batch, q_len + 3, q_len + 3)) < random.random()
        return q, k, v, options

    def test_packed(self):
        """packed sequences are computed as each alone, by patterns of their own"""
        random = self.random
        cu_q, cu_kv = [0, 5, 5, 23], [0, 11, 14, 40]
        q, k, v = (numbers(random, (heads, ends[-1], 16), "float32") for heads, ends in ((4, cu_q), (2, cu_kv), (2, cu_kv)))
        specs = ("window:3,0", "strided:2", "dense")
        which = random.integers(3, size=(3, 4))
        found, found_lse = tulle.attention(q, k, v, pattern=tulle.Pattern(";".join(specs)), entry_pattern=which, cu_q=cu_q,
                                           cu_kv=np.array(cu_kv), return_lse=True)
        for n, (a, b, c, d) in enumerate(zip(cu_q, cu_q[1:], cu_kv, cu_kv[1:])):
            if a == b:
                continue
            o, lse = tulle.attention(q[:, a:b], k[:, c:d], v[:, c:d], pattern=";".join(specs), head_pattern=which[n], return_lse=True)
            np.testing.assert_array_equal(found[:, a:b], o)
            np.testing.assert_array_equal(found_lse[:, a:b], lse)
        with self.assertRaisesRegex(tulle.Error, "tree_rows is 17; sequence 2 has 18 query rows"):
            tulle.attention(q, k, v, cu_q=cu_q, cu_kv=cu_kv, trees=np.ones((17, 17), bool))
        with self.assertRaisesRegex(tulle.InvalidArgument, r"trees is of shape \(4, 3, 3\); \(t, t\) or \(3, t, t\)"):
            tulle.attention(q, k, v, cu_q=cu_q, cu_kv=cu_kv, trees=np.ones((4, 3, 3), bool))
        with self.assertRaisesRegex(tulle.InvalidArgument, "other numbers"):
            tulle.attention(q, k, v, cu_q=cu_q, cu_kv=cu_kv, trees=np.full((18, 18), 2))
        with self.assertRaisesRegex(tulle.Error, "the last must be q_len, 23"):
            tulle.attention(q, k, v, cu_q=[0, 22], cu_kv=[0, 40])
        with self.assertRaisesRegex(tulle.Error, "entry_pattern"):
            tulle.attention(q, k, v, pattern="dense", entry_pattern=[0, 0], cu_q=cu_q, cu_kv=cu_kv)

    def test_random(self):
        """random problems of every dtype, layout and option agree with fp64"""
        for number in range(40):
            q, k, v, options = self.trial()
            with self.subTest(number=number, q=q.shape, k=k.shape, v=v.shape, dtype=q.dtype.name, **options):
                o, lse = attention(q, k, v, **options)
                layout, out_dtype = ("bhsd", "bshd")[number % 2], (None, "float32")[number // 2 % 2]
                arrays = [strided(self.random, x) for x in (q, k, v)]
                if layout == "bshd":
                    arrays = [x.swapaxes(1, 2) for x in arrays]
                found, found_lse = tulle.attention(*arrays, **options, layout=layout, out_dtype=out_dtype, return_lse=True)
                if layout == "bshd":
                    found = found.swapaxes(1, 2)
                self.assertEqual(found.dtype, np.float32 if out_dtype else q.dtype)
                assert_near(found, o)
                self.assertEqual(found_lse.dtype, np.float32)
                assert_near(found_lse, lse)

    def test_plan(self):
        """a plan runs any number of times, on any strides"""
        options = {"pattern": "window:6,0+sink:1", "causal": True}
        plan = tulle.Plan(batch=2, heads=4, kv_heads=2, q_len=9, kv_len=30, head_dim=16, v_head_dim=8, dtype="float16", **options)
        for layout in ("bhsd", "bshd", "bhsd"):
            q, k, v = (numbers(self.random, shape, np.float16) for shape in ((2, 4, 9, 16), (2, 2, 30, 16), (2, 2, 30, 8)))
            wanted, _ = attention(q, k, v, **options)
            if layout == "bshd":
                found = plan(*(x.swapaxes(1, 2) for x in (q, k, v)), layout="bshd").swapaxes(1, 2)
            else:
                found = plan(q, k, v)
            assert_near(found, wanted)

    def test_plan_says(self):
        """a plan says its kernel, its pairs, its density, and why other kernels do not serve"""
        plan = tulle.Plan(batch=2, heads=3, q_len=20, kv_len=20, head_dim=8, pattern="window:4,0", causal=True, kernel="base")
        pairs = 2 * 3 * sum(min(p + 1, 5) for p in range(20))
        self.assertEqual(plan.pairs, pairs)
        self.assertAlmostEqual(plan.density, pairs / (2 * 3 * 20 * 20))
        self.assertTrue(plan.info.kernel.startswith("base_f32_"))
        self.assertGreaterEqual(plan.info.visited, pairs)
        variants = plan.explain()
        self.assertTrue(all(variant.name.startswith("base") for variant in variants))
        self.assertIn(plan.info.kernel, [variant.name for variant in variants if variant.serves])
        for variant in variants:
            self.assertEqual(variant.serves, not variant.reason)
        self.assertIn("window:4,0", repr(plan))

    def test_ranks(self):
        """arrays without batch, and without heads, give O and LSE without them"""
        q, k, v = (numbers(self.random, (1, 1, 12, 8)) for _ in "qkv")
        o, lse = attention(q, k, v, causal=True)
        found, found_lse = tulle.attention(q[0, 0], k[0, 0], v[0, 0], causal=True, return_lse=True)
        assert_near(found, o[0, 0])
        assert_near(found_lse, lse[0, 0])
        q, k, v = (numbers(self.random, (1, 3, 12, 8)) for _ in "qkv")
        o, lse = attention(q, k, v, causal=True)
        found, found_lse = tulle.attention(q[0], k[0], v[0], causal=True, return_lse=True)
        assert_near(found, o[0])
        assert_near(found_lse, lse[0])
        found = tulle.attention(*(x[0].swapaxes(0, 1) for x in (q, k, v)), causal=True, layout="bshd")
        assert_near(found.swapaxes(0, 1), o[0])

    def test_kept(self):
        """plans are kept by shape and options, and the oldest goes"""
        context = tulle.Context()
        q = numbers(self.random, (1, 2, 8, 8))
        tulle.attention(q, q, q, pattern="window:3,0", context=context)
        (plan,) = context._plans.values()
        tulle.attention(q, q.copy(), q, pattern=tulle.Pattern("window:3,0"), context=context)
        self.assertEqual(list(context._plans.values()), [plan])
        for slopes in ([0.5, 0.25], np.array([0.5, 0.125], np.float32)):
            assert_near(tulle.attention(q, q, q, alibi_slopes=slopes, context=context), attention(q, q, q, alibi_slopes=slopes)[0])
        self.assertEqual(len(context._plans), 3)
        for kv_len in range(1, 40):
            k = numbers(self.random, (1, 2, kv_len, 8))
            assert_near(tulle.attention(q[:, :, :1], k, k, context=context), attention(q[:, :, :1], k, k)[0])
        self.assertEqual(len(context._plans), 16)
        self.assertNotIn(plan, context._plans.values())
        context.clear()
        self.assertFalse(context._plans)

    def test_bfloat16(self):
        """bfloat16 comes back as ml_dtypes' bfloat16"""
        q, k, v = (numbers(self.random, (1, 2, 16, 8), BFLOAT16) for _ in "qkv")
        found = tulle.attention(q, k, v)
        self.assertEqual(found.dtype, BFLOAT16)
        assert_near(found, attention(q, k, v)[0])
