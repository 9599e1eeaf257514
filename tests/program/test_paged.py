#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`tulle run --page-table`: the same bits as K and V whose keys lie one after the other, in both layouts.

    test_paged.py PROGRAM

Prints TAP. Needs a Vulkan device.
"""
import pathlib
import random
import sys
import tempfile

sys.dont_write_bytecode = True  # the source folder is left as it is
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from tap import check, done, run  # noqa: E402
from cli_reference import write_npy  # noqa: E402
from compare_npy import read  # noqa: E402

PROGRAM = str(pathlib.Path(sys.argv[1]).resolve())
SEED = random.SystemRandom().randrange(2**32)
print(f"# seed {SEED}")
rng = random.Random(SEED)
folder = tempfile.TemporaryDirectory()

BATCH, HEADS, KV_HEADS, ROWS, DIM = 2, 4, 2, 20, 24
PAGE, COLUMNS, PAGES = 16, 3, 7
LENGTHS = [37, 16]  # keys of each batch entry
TABLE = [5, 0, 3, 6, -1, 2**31 - 1]  # what no key needs is no page
KEYS = PAGE * COLUMNS


def save(name, shape, numbers, kind=("<f4", "f")):
    path = f"{folder.name}/{name}.npy"
    write_npy(path, *kind, shape, numbers)
    return path


def integers(name, shape, numbers):
    return save(name, shape, numbers, ("<i4", "i"))


def attend(q, k, v, *options):
    """O and LSE, or what the program said instead."""
    o, lse = f"{folder.name}/o.npy", f"{folder.name}/lse.npy"
    status, _, err = run(PROGRAM, "run", "--q", q, "--k", k, "--v", v, "-o", o, "--lse", lse,
                         "--pattern", "sink:2+window:20,0", "--causal", *options)
    return [read(o), read(lse)] if status == 0 else err


def key(b, head, j):
    """The numbers of a key in storage; NaN where nobody looks."""
    return cache[b, head, j] if j < LENGTHS[b] else [float("nan")] * DIM


def contiguous(bshd):
    heads, keys = range(KV_HEADS), range(KEYS)
    rows = [key(b, h, j) for b in range(BATCH) for j in keys for h in heads] if bshd else \
        [key(b, h, j) for b in range(BATCH) for h in heads for j in keys]
    return sum(rows, [])


def pool(bshd):
    """The same keys, each in its page."""
    of_page = {TABLE[b * COLUMNS + j // PAGE]: (b, j // PAGE) for b in range(BATCH) for j in range(LENGTHS[b])}

    def row(page, head, r):
        b, column = of_page.get(page, (0, COLUMNS))
        return key(b, head, column * PAGE + r)
    heads, rows = range(KV_HEADS), range(PAGE)
    found = [row(p, h, r) for p in range(PAGES) for r in rows for h in heads] if bshd else \
        [row(p, h, r) for p in range(PAGES) for h in heads for r in rows]
    return sum(found, [])


def some(count):
    return [rng.gauss(0, 1) for _ in range(count)]


lengths = integers("lengths", (BATCH,), LENGTHS)
table = integers("table", (BATCH, COLUMNS), TABLE)
for layout in ("bhsd", "bshd"):
    bshd = layout == "bshd"
    q = save("q", (BATCH, ROWS, HEADS, DIM) if bshd else (BATCH, HEADS, ROWS, DIM), some(BATCH * HEADS * ROWS * DIM))
    files = {}
    for name in "kv":
        cache = {(b, h, j): some(DIM) for b in range(BATCH) for h in range(KV_HEADS) for j in range(KEYS)}
        files[name] = (save(name, (BATCH, KEYS, KV_HEADS, DIM) if bshd else (BATCH, KV_HEADS, KEYS, DIM), contiguous(bshd)),
                       save(f"{name}_pool", (PAGES, PAGE, KV_HEADS, DIM) if bshd else (PAGES, KV_HEADS, PAGE, DIM), pool(bshd)))
    words = ("--layout", layout, "--kv-lengths", lengths)
    whole = attend(q, files["k"][0], files["v"][0], *words)
    paged = attend(q, files["k"][1], files["v"][1], *words, "--page-table", table)
    # LSE of rows before the first key is -inf, O 0: no NaN stands in either
    check(f"{layout}: paged as contiguous", not isinstance(paged, str) and paged == whole, f"{paged}\n{whole}")

for name, words, said in (
        ("a table of three rows", ("--page-table", integers("three", (3, 2), TABLE)), "[2,n] is wanted"),
        ("a table of one axis", ("--page-table", lengths), "[2,n] is wanted"),
        ("a table of reals", ("--page-table", save("reals", (2, 3), some(6))), "whole numbers are wanted"),
        ("packed sequences", ("--page-table", table, "--packed", lengths), "one is wanted"),
        ("pages and no table", (), "batch entries"),
        ("pages of 24 keys", ("--page-table", table, "--layout", "bshd"), "page_size is 24"),
        ("lengths beyond the table", ("--page-table", integers("short", (2, 2), TABLE[:4])), "kv_lengths[0] is 37")):
    k = save("pages24", (PAGES, 24, KV_HEADS, DIM), [0] * (PAGES * 24 * KV_HEADS * DIM)) if "24" in name else files["k"][1]
    v = k if "24" in name else files["v"][1]
    layout = () if "--layout" in words else ("--layout", "bshd")
    told = attend(q, k, v, "--kv-lengths", lengths, *layout, *words)
    check(f"refused: {name}", isinstance(told, str) and said in told, told)
flat = save("flat", (KV_HEADS, PAGE, DIM), some(KV_HEADS * PAGE * DIM))
told = attend(q, flat, flat, "--page-table", table)
check("refused: no axis of pages", isinstance(told, str) and "--k has no axis of pages" in told, told)
done()
