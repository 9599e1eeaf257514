#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Libraries that Android would not load on every device, made here one by one: tools/android refuses each, and says why.

    refused.py tools/android SCRATCH
"""
import importlib.machinery
import importlib.util
import pathlib
import subprocess
import sys

loader = importlib.machinery.SourceFileLoader("android", sys.argv[1])
android = importlib.util.module_from_spec(importlib.util.spec_from_loader("android", loader))
sys.dont_write_bytecode = True
loader.exec_module(android)
scratch = pathlib.Path(sys.argv[2])
GOOD = ["-Wl,-z,max-page-size=16384", "-Wl,-soname,libtulle.so"]
SMALL, OTHER_NAME = ["-Wl,-z,max-page-size=4096", GOOD[1]], [GOOD[0], "-Wl,-soname,libtulle.so.0"]


def library(name, compiler, options, text="int tulle_number = 1;"):
    """Compiles and links one of its own."""
    made = scratch / name
    subprocess.run([compiler, "-shared", "-fPIC", "-x", "c", "-", "-o", made, *options], input=text, text=True, check=True)
    return made


def refuse(path, abi, words):
    """The tool must refuse it with these words."""
    try:
        android.check_shared(path, abi)
    except android.Failure as failure:
        assert words in str(failure), f"{words!r} is not in {failure}"
        return
    raise AssertionError(f"{path} was taken for {abi}")


x86, arm, arm32 = "x86_64-linux-gnu-gcc", "aarch64-linux-gnu-gcc", "arm-linux-gnueabihf-gcc"
for compiler, abi in ((x86, "x86_64"), (arm, "arm64-v8a"), (arm32, "armeabi-v7a")):
    android.check_shared(library(f"good-{abi}.so", compiler, GOOD), abi)
    refuse(library(f"small-{abi}.so", compiler, SMALL), abi, "aligned to 4096 bytes")
    refuse(library(f"named-{abi}.so", compiler, OTHER_NAME), abi, "libtulle.so.0")
    library("libforeign.so", compiler, ["-Wl,-soname,libforeign.so"], "int foreign(void) { return 1; }")
    refuse(library(f"needs-{abi}.so", compiler, GOOD + [f"-L{scratch}", "-lforeign"], "int foreign(void); int get(void) { return foreign(); }"),
           abi, "needs libforeign.so")
refuse(scratch / "good-x86_64.so", "arm64-v8a", "is for machine 62; arm64-v8a is 183")
refuse(scratch / "good-armeabi-v7a.so", "x86_64", "is for machine 40; x86_64 is 62")
(scratch / "text.so").write_text("no library")
refuse(scratch / "text.so", "x86_64", "is no little-endian ELF file")
