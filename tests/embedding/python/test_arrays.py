# SPDX-License-Identifier: MIT
"""Whose arrays are taken, how they may lie in memory, and where O goes."""
import numpy as np

import tulle
from reference import BFLOAT16, DeviceCase, assert_near, attention, numbers
from tulle._native import ffi


class Interface:
    """Another library's array: __array_interface__ and a shape."""

    def __init__(self, array):
        self.array, self.shape, self.__array_interface__ = array, array.shape, array.__array_interface__


class Dlpack:
    """Another library's array: DLPack and a shape. `patch` changes what the capsule says."""

    def __init__(self, array, patch=None, device=(1, 0)):
        self.array, self.shape, self.patch, self.device = array, array.shape, patch, device

    def __dlpack_device__(self):
        return self.device

    def __dlpack__(self):
        capsule = self.array.__dlpack__()
        if self.patch:
            self.patch(ffi.cast("DLManagedTensor *", tulle._arrays._capsule_pointer(capsule, b"dltensor")).dl_tensor)
        return capsule


def say_bfloat16(tensor):
    tensor.dtype.code = 4


def say_c_order(tensor):
    tensor.strides = ffi.NULL


class Arrays(DeviceCase):
    def setUp(self):
        super().setUp()
        self.q, self.k, self.v = (numbers(self.random, shape) for shape in ((2, 4, 10, 16), (2, 2, 20, 16), (2, 2, 20, 8)))
        self.o = attention(self.q, self.k, self.v, causal=True)[0]

    def refused(self, kind, text, call):
        with self.assertRaises(kind) as caught:
            call()
        self.assertIsInstance(caught.exception, tulle.Error)
        self.assertIn(text, str(caught.exception))

    def test_interface(self):
        """__array_interface__ is taken, and O written through it"""
        out = np.zeros_like(self.o, dtype=np.float32)
        assert_near(tulle.attention(Interface(self.q), Interface(self.k), Interface(self.v), causal=True), self.o)
        wrapped = Interface(out)
        self.assertIs(tulle.attention(self.q, self.k, self.v, causal=True, out=wrapped), wrapped)
        assert_near(out, self.o)

    def test_dlpack(self):
        """DLPack is taken: strided, without strides, and O written through it"""
        q = np.ascontiguousarray(self.q.swapaxes(1, 2)).swapaxes(1, 2)
        out = np.zeros_like(self.o, dtype=np.float32)
        tulle.attention(Dlpack(q), Dlpack(self.k, say_c_order), Dlpack(self.v), causal=True, out=Dlpack(out))
        assert_near(out, self.o)

    def test_dlpack_bfloat16(self):
        """bfloat16 comes by DLPack too, which NumPy's own reader does not know"""
        q, k, v = (x.astype(BFLOAT16) for x in (self.q, self.k, self.v))
        found = tulle.attention(*(Dlpack(x.view(np.float16), say_bfloat16) for x in (q, k, v)), causal=True)
        self.assertEqual(found.dtype, BFLOAT16)
        assert_near(found, attention(q, k, v, causal=True)[0])

    def test_dlpack_refused(self):
        """DLPack on another device, and of another dtype, is refused"""
        run = lambda q: tulle.attention(q, self.k, self.v)   # noqa: E731
        self.refused(ValueError, "q is on another device", lambda: run(Dlpack(self.q, device=(2, 0))))
        self.refused(TypeError, "float32, float16, bfloat16", lambda: run(Dlpack(self.q.astype(np.float64))))
        read_only = self.q.copy()
        read_only.flags.writeable = False
        self.refused(ValueError, "q gives no DLPack", lambda: run(Dlpack(read_only)))

    def test_broadcast(self):
        """broadcast axes, one or all of them, and in any array"""
        for axes in ((1, 2, 20, 16), (2, 1, 20, 16), (1, 1, 20, 16), (2, 2, 1, 16), (1, 1, 1, 16)):
            with self.subTest(axes=axes):
                k = np.broadcast_to(numbers(self.random, axes), self.k.shape)
                v = np.broadcast_to(numbers(self.random, axes[:3] + (8,)), self.v.shape)
                q = np.broadcast_to(numbers(self.random, axes[:1] + (1, 1, 16)), self.q.shape)
                wanted = attention(q, k, v, causal=True)[0]
                assert_near(tulle.attention(q, k, v, causal=True), wanted)
                assert_near(tulle.attention(self.q, k, self.v, causal=True), attention(self.q, k, self.v, causal=True)[0])
        one = np.broadcast_to(numbers(self.random, (1, 1, 1, 16)), (1, 2, 20, 16))   # an axis of one beside all-zero strides
        assert_near(tulle.attention(one, one, one), attention(one, one, one)[0])

    def test_broadcast_plan(self):
        """a plan takes broadcast arrays, and says where it was made for less than there is"""
        one = np.broadcast_to(numbers(self.random, (1, 1, 1, 16)), self.k.shape)
        by_batch = np.broadcast_to(self.k[:1], self.k.shape)
        shape = dict(batch=2, heads=4, kv_heads=2, q_len=10, kv_len=20, head_dim=16, v_head_dim=8)
        for broadcast, taken in (("", (one, by_batch, self.k)), ({"k": ["batch"], "q": ()}, (one, by_batch)), ("k", (one,))):
            plan = tulle.Plan(**shape, broadcast=broadcast)
            for k in taken:
                assert_near(plan(self.q, k, self.v), attention(self.q, k, self.v)[0])
        self.refused(ValueError, "k has more than one entry along heads", lambda: plan(self.q, by_batch, self.v))
        self.refused(ValueError, "broadcast is {'k': ['depth']}", lambda: tulle.Plan(**shape, broadcast={"k": ["depth"]}))
        self.refused(ValueError, "broadcast is {'o': ['batch']}", lambda: tulle.Plan(**shape, broadcast={"o": ["batch"]}))

    def test_broadcast_once(self):
        """what is broadcast is on the device once: each row apart would be 64 GiB here"""
        k, v = (np.broadcast_to(numbers(self.random, (1, 1, 16384, 16)), (1, 65536, 16384, 16)) for _ in "kv")
        q = np.broadcast_to(numbers(self.random, (1, 1, 1, 16)), (1, 65536, 1, 16))
        found = tulle.attention(q, k, v, pattern="window:20,0")
        assert_near(found[:, :1], attention(q[:, :1], k[:, :1, -21:], v[:, :1, -21:])[0])
        self.assertTrue((found == found[:, :1]).all())

    def test_odd_head_dim(self):
        """rows that are no whole pieces of 4 numbers, of each tensor, in any layout"""
        for dim, v_dim in ((1, 1), (6, 8), (8, 3), (33, 130)):
            with self.subTest(dim=dim, v_dim=v_dim):
                q, k, v = (numbers(self.random, shape) for shape in ((2, 4, 10, dim), (2, 2, 20, dim), (2, 2, 20, v_dim)))
                wanted = attention(q, k, v, causal=True)[0]
                assert_near(tulle.attention(q, k, v, causal=True), wanted)
                swapped = tulle.attention(*(x.swapaxes(1, 2) for x in (q, k, v)), causal=True, layout="bshd")
                assert_near(swapped.swapaxes(1, 2), wanted)
                k = np.broadcast_to(k[:1], k.shape)
                assert_near(tulle.attention(q, k, v, causal=True), attention(q, k, v, causal=True)[0])

    def test_out(self):
        """O goes to the caller's array: C order, a slice of another, backwards; nothing beside it is written"""
        room = np.full((2, 6, 21, 12), 7, dtype=np.float32)
        out = room[:, 1:5, 20:0:-2, 2:10]
        self.assertIs(tulle.attention(self.q, self.k, self.v, causal=True, out=out), out)
        assert_near(out, self.o)
        out[...] = 7
        self.assertTrue((room == 7).all())

    def test_out_dtype(self):
        """float32 out beside float16 inputs is not rounded, and out_dtype says the same"""
        q, k, v = (x.astype(np.float16) for x in (self.q, self.k, self.v))
        wanted = attention(q, k, v, causal=True)[0]
        out = np.empty(wanted.shape, np.float32)
        tulle.attention(q, k, v, causal=True, out=out)
        assert_near(out, wanted)
        np.testing.assert_array_equal(out, tulle.attention(q, k, v, causal=True, out_dtype="float32"))

    def test_out_in_place(self):
        """O may be Q; a part of Q, K and V it may not be"""
        k, v = (numbers(self.random, (2, 2, 10, 16)) for _ in "kv")
        wanted = attention(self.q, k, v)[0]
        q = self.q.copy()
        self.refused(ValueError, "shares bytes with", lambda: tulle.attention(q, k, v, out=q[:, :, ::-1]))
        shared = np.concatenate([q, q])
        self.refused(ValueError, "shares bytes with", lambda: tulle.attention(shared[:2], k, v, out=shared[1:3]))
        pairs = numbers(self.random, (2, 4, 10, 16))
        self.refused(ValueError, "shares bytes with", lambda: tulle.attention(q, pairs, v.repeat(2, 1), out=pairs))
        tulle.attention(q, k, v, out=q)
        assert_near(q, wanted)

    def test_out_refused(self):
        """an array that O cannot go to is refused, and says why"""
        run = lambda out: tulle.attention(self.q, self.k, self.v, out=out)   # noqa: E731
        good = np.empty(self.o.shape, np.float32)
        read_only = good.copy()
        read_only.flags.writeable = False
        self.refused(ValueError, "out is read-only", lambda: run(read_only))
        self.refused(ValueError, "O is [2, 4, 10, 8]", lambda: run(good[:, :3]))
        self.refused(TypeError, "out is of float16; O is of float32", lambda: run(np.empty(good.shape, np.float16)))
        overlapping = np.lib.stride_tricks.as_strided(good, good.shape, (320 * 4, 80 * 4, 4 * 4, 4))
        self.refused(ValueError, "its rows overlap", lambda: run(overlapping))
        self.refused(ValueError, "its rows overlap", lambda: run(np.lib.stride_tricks.as_strided(good, good.shape, (0, 320, 32, 4))))
        self.refused(TypeError, "out is a list", lambda: run([1.0]))

    def test_refused(self):
        """what cannot be expressed is refused, and says what could be"""
        run = lambda q, k=self.k, v=self.v, **more: tulle.attention(q, k, v, **more)   # noqa: E731
        q = self.q
        self.refused(ValueError, "the numbers of a row lie side by side", lambda: run(np.repeat(q, 2, 3)[..., ::2]))
        self.refused(ValueError, "the last must be 4", lambda: run(np.asfortranarray(q)))
        packed = np.zeros(q.shape[:3], dtype=[("row", np.float32, 16), ("byte", np.int8)])["row"]
        self.refused(ValueError, "each must be a multiple of the element's 4", lambda: run(packed))
        self.refused(TypeError, "q is of float64; it may be of float32, float16, bfloat16", lambda: run(q.astype(np.float64)))
        self.refused(TypeError, "other byte order", lambda: run(q.astype(">f4")))
        self.refused(TypeError, "q is a list", lambda: run(q.tolist()))
        self.refused(TypeError, "q is a NoneType", lambda: run(None))
        self.refused(ValueError, "each axis may be 1", lambda: run(q[:, :, :0]))
        self.refused(ValueError, "each axis may be 1", lambda: run(q[..., :0]))
        self.refused(ValueError, "(16,)", lambda: run(q[0, 0, 0]))
        self.refused(ValueError, "(1, 2, 4, 10, 16)", lambda: run(q[None]))
        self.refused(ValueError, "k is [batch, heads, length, dim]", lambda: run(q, self.k[:1]))
        self.refused(ValueError, "v is [batch, heads, length, dim]", lambda: run(q, self.k, self.v[:, :, 1:]))
        self.refused(TypeError, "k is of float16 and q of float32", lambda: run(q, self.k.astype(np.float16)))
        self.refused(ValueError, "layout is 'sbhd'", lambda: run(q, layout="sbhd"))

    def test_unaligned(self):
        """rows at any address: elements need not be aligned"""
        memory = np.zeros(self.q.nbytes + 1, np.uint8)
        q = memory[1:].view(np.float32).reshape(self.q.shape)
        q[...] = self.q
        assert_near(tulle.attention(q, self.k, self.v, causal=True), self.o)
