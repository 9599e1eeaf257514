# SPDX-License-Identifier: MIT
"""Devices, contexts and plans: errors, lifetimes, threads."""
import gc
import logging
import os
import subprocess
import sys
import threading
import time
import unittest
import uuid

import numpy as np

import tulle
from reference import DeviceCase, assert_near, attention, numbers

SHAPE = dict(heads=1, q_len=8, kv_len=8, head_dim=8)


class Context(DeviceCase):
    def refused(self, kind, text, call):
        with self.assertRaises(kind) as caught:
            call()
        self.assertIsInstance(caught.exception, tulle.Error)
        self.assertIn(text, str(caught.exception))

    def test_devices(self):
        """devices are listed, and each is found by index, name, UUID and as it is"""
        for device in tulle.devices():
            self.assertGreaterEqual(device.api_version, (1, 1, 0))
            for key in (device.index, device.uuid, device):
                with tulle.Context(key) as context:
                    self.assertEqual(context.device.name, device.name)
            with tulle.Context(device.name.upper()) as context:
                self.assertIn(context.device.name, repr(context))
        self.refused(tulle.NoDevice, "99", lambda: tulle.Context(99))
        self.refused(RuntimeError, "no such GPU", lambda: tulle.Context("no such GPU"))
        self.refused(RuntimeError, "", lambda: tulle.Context(uuid.UUID(int=5)))
        self.refused(TypeError, "device is a float", lambda: tulle.Context(1.5))

    def test_errors(self):
        """a plan's errors have the library's message and Python's kinds"""
        plan = lambda **more: tulle.Plan(**{**SHAPE, **more})   # noqa: E731
        self.refused(ValueError, "head_dim is 1000", lambda: plan(head_dim=1000))
        self.refused(ValueError, "kv_heads", lambda: plan(kv_heads=3))
        self.refused(ValueError, "heads is 0; it may be 1", lambda: plan(heads=0))
        self.refused(ValueError, "q_len is 4294967304", lambda: plan(q_len=2**32 + 8))
        self.refused(TypeError, "q_len is a float", lambda: plan(q_len=8.0))
        self.refused(ValueError, "no_such_kernel", lambda: plan(kernel="no_such_kernel"))
        for variant in plan().explain():
            if not variant.serves:
                self.refused(tulle.Unsupported, variant.reason, lambda name=variant.name: plan(kernel=name))
        self.refused(tulle.WorkspaceLimit, "workspace_limit", lambda: plan(q_len=4096, kv_len=4096, pattern="strided:8+window:8,0",
                                                                           workspace_limit=16))
        self.refused(ValueError, "scale is 0", lambda: plan(scale=0))
        self.refused(ValueError, "scale", lambda: plan(scale=float("nan")))
        self.refused(ValueError, "scale", lambda: plan(scale=1e300))
        self.refused(ValueError, "softcap", lambda: plan(softcap=-1))
        self.refused(ValueError, "alibi_slopes has shape (2,); (1,) is wanted", lambda: plan(alibi_slopes=[1, 2]))
        self.refused(TypeError, "alibi_slopes is of", lambda: plan(alibi_slopes=["a"]))
        self.refused(ValueError, "kv_lengths", lambda: plan(kv_lengths=[9]))
        self.refused(ValueError, "kv_lengths holds 4294967300", lambda: plan(kv_lengths=[2**32 + 4]))
        self.refused(TypeError, "kv_lengths is of float64", lambda: plan(kv_lengths=[4.5]))
        self.refused(ValueError, "q_offsets has shape (2,); (3,) is wanted", lambda: plan(batch=3, q_offsets=[1, 2]))
        self.refused(ValueError, "head_pattern", lambda: plan(head_pattern=[1], pattern="dense"))
        self.refused(ValueError, "q_align is 'middle'", lambda: plan(q_align="middle"))
        self.refused(ValueError, "dtype is 'float64'", lambda: plan(dtype="float64"))
        self.refused(ValueError, "out_dtype is 'bfloat16'", lambda: plan(dtype="float16", out_dtype="bfloat16"))
        self.refused(ValueError, "broadcast is 'o'", lambda: plan(broadcast="o"))
        q = numbers(self.random, (1, 1, 8, 8))
        self.refused(ValueError, "q is [batch, heads, length, dim] = [1, 1, 4, 8]; the plan is for [1, 1, 8, 8]",
                     lambda: plan()(q[:, :, :4], q, q))
        self.refused(TypeError, "k is of float16; the plan is for float32", lambda: plan()(q, q.astype(np.float16), q))

    def test_kinds(self):
        """each result of the library is one of Python's kinds, with the library's message"""
        kinds = {
            "INVALID_ARGUMENT": ValueError, "SYNTAX": ValueError, "UNSUPPORTED": RuntimeError, "WORKSPACE_LIMIT": ValueError,
            "NO_VULKAN": RuntimeError, "NO_DEVICE": RuntimeError, "OUT_OF_HOST_MEMORY": MemoryError, "OUT_OF_DEVICE_MEMORY": MemoryError,
            "DEVICE_LOST": RuntimeError, "VULKAN": RuntimeError, "CALLBACK": ValueError,
        }
        error = tulle._native.ffi.new("tulle_error *", {"message": b"what was wrong"})
        results = [name for name in dir(tulle._native.lib) if name.startswith("TULLE_ERROR_")]
        self.assertEqual({f"TULLE_ERROR_{name}" for name in kinds}, set(results))
        for name, kind in kinds.items():
            with self.assertRaises(kind) as caught:
                tulle._errors.check(getattr(tulle._native.lib, f"TULLE_ERROR_{name}"), error)
            self.assertIsInstance(caught.exception, tulle.Error)
            self.assertEqual((str(caught.exception), caught.exception.result), ("what was wrong", f"TULLE_ERROR_{name}"))

    def test_lifetimes(self):
        """a plan outlives its context's name; what is closed says so; cycles are collected in any order"""
        context = tulle.Context()
        plan = tulle.Plan(**SHAPE, context=context)
        q = numbers(self.random, (1, 1, 8, 8))
        tulle.attention(q, q, q, context=context)
        context.close()
        context.close()
        self.refused(ValueError, "this context is closed", lambda: tulle.attention(q, q, q, context=context))
        self.refused(ValueError, "this context is closed", lambda: context.device)
        assert_near(plan(q, q, q), attention(q, q, q)[0])
        plan.close()
        self.refused(ValueError, "this plan is closed", lambda: plan(q, q, q))
        for order in range(2):
            context = tulle.Context()
            cycle = [context, tulle.Plan(**SHAPE, context=context)][:: 1 - 2 * order]
            cycle.append(cycle)
            del context, cycle
            gc.collect()

    def test_log(self):
        """what the library says goes to the logger tulle"""
        with self.assertLogs("tulle", logging.DEBUG) as caught:
            with tulle.Context() as context:
                self.refused(ValueError, "head_dim", lambda: tulle.Plan(**{**SHAPE, "head_dim": 1000}, context=context))
        self.assertTrue(any(record.levelno == logging.ERROR and "head_dim" in record.getMessage() for record in caught.records))

    def test_threads(self):
        """threads share a plan, a context and its kept plans"""
        options = {"pattern": "window:9,0", "causal": True}
        plan = tulle.Plan(heads=2, q_len=24, kv_len=24, head_dim=8, **options)
        failures = []

        def work(seed):
            try:
                random = np.random.default_rng(seed)
                for length in (24, 24, 8 + seed, 24):
                    q, k, v = (numbers(random, (1, 2, length, 8)) for _ in "qkv")
                    wanted = attention(q, k, v, **options)[0]
                    assert_near(tulle.attention(q, k, v, **options), wanted)
                    if length == 24:
                        assert_near(plan(q, k, v), wanted)
            except BaseException as failure:
                failures.append(failure)
        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])

    def test_lock_released(self):
        """other threads of the interpreter run while one computes"""
        q = numbers(self.random, (1, 4, 3072, 64))
        inside, ticks = threading.Event(), 0
        plan = tulle.Plan(heads=4, q_len=3072, kv_len=3072, head_dim=64)

        def compute():
            inside.set()
            plan(q, q, q)
            inside.clear()
        thread = threading.Thread(target=compute)
        start = time.monotonic()
        thread.start()
        while not inside.is_set() and thread.is_alive():
            pass
        while inside.is_set():
            time.sleep(0.002)
            ticks += 1
        thread.join()
        self.assertGreater(ticks, 5, f"of {time.monotonic() - start:.3f} s")

    @unittest.skipUnless(hasattr(os, "fork"), "no fork on this system")
    def test_fork(self):
        """in a child of fork the parent's objects are refused, and new ones made"""
        script = """if 1:
            import os, sys, numpy as np, tulle
            q = np.ones((1, 1, 8, 8), np.float32)
            plan = tulle.Plan(heads=1, q_len=8, kv_len=8, head_dim=8)
            plan(q, q, q)
            child = os.fork()
            if child == 0:
                try:
                    plan(q, q, q)
                except tulle.InvalidArgument as error:
                    os._exit(0 if "forked" in str(error) and tulle._context._default is None else 2)
                os._exit(3)
            sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) or not np.allclose(plan(q, q, q), 1))
        """
        self.assertEqual(subprocess.run([sys.executable, "-c", script], timeout=120).returncode, 0)

    def test_exit(self):
        """the interpreter ends while a daemon thread computes"""
        script = """if 1:
            import threading, time, numpy as np, tulle
            q = np.ones((1, 4, 1024, 64), np.float32)
            def compute():
                while True:
                    tulle.attention(q, q, q)
            threading.Thread(target=compute, daemon=True).start()
            time.sleep(0.5)
        """
        for _ in range(3):
            done = subprocess.run([sys.executable, "-c", script], timeout=120, capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
