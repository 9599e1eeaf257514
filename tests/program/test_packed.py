#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`tulle run` on packed sequences, on intersections and on patterns that differ by batch entry: the same bits as the parts one by one.

    test_packed.py PROGRAM

Prints TAP. Needs a Vulkan device.
"""
import math
import pathlib
import random
import struct
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


# Arrays are lists of heads, these of rows, these of numbers: [h][n][d]. An LSE is [h][n].

def flat(array):
    return [x for part in array for x in flat(part)] if isinstance(array, (list, tuple)) else [array]


def save(name, array, shape=None):
    """fp32 of [h, n, d] or of the shape given; whole numbers as they are."""
    path, numbers = f"{folder.name}/{name}.npy", flat(array)
    if isinstance(array[0], int):
        write_npy(path, "<i8", "q", (len(array),), numbers)
    else:
        write_npy(path, "<f4", "f", shape or (len(array), len(array[0]), len(array[0][0])), numbers)
    return path


def load(path):
    shape, numbers = read(path)
    for length in reversed(shape[1:]):
        numbers = [list(numbers[i:i + length]) for i in range(0, len(numbers), length)]
    return numbers


def some(heads, length, dim):
    return [[[struct.unpack("<f", struct.pack("<f", rng.gauss(0, 1)))[0] for _ in range(dim)] for _ in range(length)] for _ in range(heads)]


def attend(q, k, v, pattern, *options, shapes=(None, None, None)):
    """O and LSE, or what the program said instead."""
    o, lse = f"{folder.name}/o.npy", f"{folder.name}/lse.npy"
    inputs = [word for name, array, shape in zip("qkv", (q, k, v), shapes) for word in (f"--{name}", save(name, array, shape))]
    status, _, err = run(PROGRAM, "run", *inputs, "-o", o, "--lse", lse, "--pattern", pattern, *options)
    return [load(o), load(lse)] if status == 0 else err


def swapped(array):
    """[h][n] as [n][h], and back."""
    return [list(parts) for parts in zip(*array)]


def sequences():
    """Packed arrays, and their cumulative lengths."""
    def cumulative(most):
        ends = [0]
        for _ in range(count):
            ends.append(ends[-1] + rng.randint(1, most))
        return ends
    count = rng.randint(2, 6)
    cu_q, cu_kv = cumulative(60), cumulative(90)
    return some(4, cu_q[-1], 24), some(2, cu_kv[-1], 24), some(2, cu_kv[-1], 40), cu_q, cu_kv


def one_by_one(q, k, v, cu_q, cu_kv, patterns, *options):
    def part(array, ends, s):
        return [head[ends[s]:ends[s + 1]] for head in array]
    found = [attend(part(q, cu_q, s), part(k, cu_kv, s), part(v, cu_kv, s), patterns[s % len(patterns)], *options) for s in range(len(cu_q) - 1)]
    failed = next((one for one in found if isinstance(one, str)), None)
    return failed or [[sum(heads, []) for heads in zip(*(one[i] for one in found))] for i in range(2)]


for spec in ("window:9,2", "sink:3+window:7,0&strided:2;dense", "a_shape:2,8|dense;chunked:7|prefix:5"):
    q, k, v, cu_q, cu_kv = sequences()
    cu = save("cu_q", cu_q), save("cu_kv", cu_kv)
    apart = one_by_one(q, k, v, cu_q, cu_kv, spec.split("|"))
    if "|" in spec and len(cu_q) - 1 < 3:
        packed = attend(q, k, v, spec, "--packed", cu[0], "--cu-kv", cu[1])
        check(f"{spec}: more specs than sequences are refused", isinstance(packed, str) and "only 2 entries" in packed, packed)
        continue
    packed = attend(q, k, v, spec, "--packed", cu[0], "--cu-kv", cu[1])
    check(f"{spec}: packed as one by one", packed == apart, f"{packed}\n{apart}")
    rows = attend(swapped(q), swapped(k), swapped(v), spec, "--cu-seqlens", cu[0], "--cu-kv", cu[1])
    check(f"{spec}: the same of [rows, heads, d]", [swapped(rows[0]), rows[1]] == apart, rows)

batches = [some(2, 70, 16), some(1, 70, 16), some(1, 70, 16)], [some(2, 70, 16), some(1, 70, 16), some(1, 70, 16)], \
    [some(2, 70, 16), some(1, 70, 16), some(1, 70, 16)]
by_entry = attend(*zip(*batches), "window:5,0;dense|sink:2", "--causal", shapes=((3, 2, 70, 16), (3, 1, 70, 16), (3, 1, 70, 16)))
parts = [attend(*one, spec, "--causal") for one, spec in zip(batches, ("window:5,0;dense", "sink:2", "window:5,0;dense"))]
check("patterns of batch entries in turn", by_entry == [list(part) for part in zip(*parts)], by_entry)

q, k, v = batches[0]
ends = [0, 13, 40, 70]
documents = save("documents", ends)
inside, cut = attend(q, k, v, f"window:5,0&documents:{documents}"), one_by_one(q, k, v, ends, ends, ["window:5,0"])
# the same sums in another order: some roundings of numbers of about 1
check("a window within documents is the window of each",
      not isinstance(inside, str) and all(math.isclose(a, b, abs_tol=2e-6) for a, b in zip(flat(inside), flat(cut))), inside)

# the tree of a plain sequence is causality; one that is empty leaves the keys before
new = [head[57:] for head in q]
def tree(name, sees):
    write_npy(f"{folder.name}/{name}.npy", "|b1", "?", (13, 13), [sees(row, column) for row in range(13) for column in range(13)])
    return f"{folder.name}/{name}.npy"
for spec in ("dense", "window:20,0+sink:3", "strided:5"):
    found = attend(new, k, v, spec, "--trees", tree("none", lambda row, column: False))
    wanted = attend(new, [head[:57] for head in k], [head[:57] for head in v], spec, "--q-offset", "57")
    check(f"{spec}: an empty tree", not isinstance(found, str) and
          all(math.isclose(a, b, abs_tol=2e-6) for a, b in zip(flat(found), flat(wanted))), found)
found, wanted = attend(new, k, v, "dense", "--trees", tree("chain", lambda row, column: column <= row)), attend(new, k, v, "dense", "--causal")
check("a tree that is a chain", not isinstance(found, str) and all(math.isclose(a, b, abs_tol=2e-6) for a, b in zip(flat(found), flat(wanted))), found)
small, wide = f"{folder.name}/small.npy", f"{folder.name}/wide.npy"
write_npy(small, "|b1", "?", (12, 12), [True] * 144)
write_npy(wide, "|b1", "?", (13, 14), [True] * 13 * 14)
two = f"{folder.name}/two.npy"
write_npy(two, "<i8", "q", (13, 13), [2] * 169)
for words, said in ((("--trees", small), "tree_rows is 12; batch entry 0 has 13 query rows"), (("--trees", wide), "has shape [13, 14]; [t,t] or [1,t,t]"),
                    (("--trees", two), "neither 0 nor 1"), (("--trees", two, "--q-offset", "3"), "--trees and --q-offset")):
    told = attend(new, k, v, "dense", *words)
    check(f"refused: {' '.join(words)}", isinstance(told, str) and said in told, told)

for name, words, said in (
        ("both ways of packing", ("--packed", documents, "--cu-seqlens", documents), "one is wanted"),
        ("--cu-kv alone", ("--cu-kv", documents), "without --packed"),
        ("lengths that end early", ("--packed", save("early", [0, 13, 69])), "cu_q[2] is 69"),
        ("lengths that fall", ("--packed", save("falling", [0, 80, 70])), "must not fall"),
        ("one number", ("--packed", save("one", [0])), "holds 1 numbers"),
        ("as many of keys", ("--packed", documents, "--cu-kv", save("fewer", [0, 70])), "[4] is wanted"),
        ("a batch axis", ("--cu-seqlens", documents), "--q has a batch axis")):
    shapes = ((1, 2, 70, 16), (1, 1, 70, 16), (1, 1, 70, 16)) if "axis" in name else (None,) * 3
    told = attend(q, k, v, "dense", *words, shapes=shapes)
    check(f"refused: {name}", isinstance(told, str) and said in told, told)
done()
