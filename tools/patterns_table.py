#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What patterns of every kind cost, at several lengths: docs/measurements/patterns.md, a table for each length.

    tools/patterns_table.py [OPTION ...]

Plans each pattern of PATTERNS below for one fp32 head (tulle show --plan), and runs it where that takes little enough
(tulle run). The lists and masks that they name are made here, the same each time. What is outside of what is asked of a
planner is in bold, and named below its table. Needs nothing but Python.
"""
import argparse
import array
import datetime
import json
import math
import pathlib
import platform
import random
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
HEAD_DIM = 64   # of what tulle show plans
LENGTHS = [4096, 16384, 65536, 100_000, 1_000_000]
MASK_CELLS_MOST = 1 << 26   # of a file: beyond, a pattern is left out


# What is asked of visited / selected, at a length and with tiles of so many rows: 1.25 where the keys are listed or each piece of a
# row (keys side by side; where there is a step, of one class modulo it) is wider than a tile has rows, else 4.

def listed(_n, _rows):
    return 1.25


def pieces(keys):
    return lambda _n, rows: 1.25 if keys > rows else 4


def classes(step):
    return lambda n, rows: 1.25 if n // step > rows else 4


def at_most(times):
    return lambda _n, _rows: times


random_pairs = at_most(math.inf)   # of which nothing is asked

# spec, causal, what is asked. {n}, {grid} and {cube} are the length and its factors; a capital in braces is a file of FILES.
PATTERNS = [
    ("dense", False, listed),
    ("dense", True, listed),
    ("window:255,0", True, pieces(256)),
    ("window:63,63", False, pieces(127)),
    ("window:4095,0", True, pieces(4096)),
    ("dilated:31,31,8", False, pieces(63)),
    ("dilated:127,0,64", True, pieces(128)),
    ("global:64", False, listed),
    ("global:{Every16}", False, listed),
    ("window:63,63+global:64", False, pieces(127)),
    ("window:63,63+global:{Every16}", False, pieces(127)),
    ("window:255,255+global:{Thousand}", False, pieces(511)),
    ("sink:4+window:1023,0", True, pieces(1024)),
    ("a_shape:64,1024", True, pieces(1024)),
    ("strided:128", True, classes(128)),
    ("strided:1000", False, classes(1000)),
    ("window:127,0+strided:128", True, classes(128)),
    ("fixed:128,16", True, pieces(128)),
    ("blocks:64,{Mask64}", False, pieces(64)),
    ("blocks:16,{Mask16}", False, pieces(16)),
    ("blocks:64,{Mask64}+window:127,127", False, pieces(64)),
    ("blocks:16,{Mask16}+sink:4", True, pieces(16)),
    ("random:1,64,1", False, random_pairs),
    ("random:16,4,1", False, pieces(16)),
    ("random:64,3,1", False, pieces(64)),
    ("window:63,63+random:1,64,1", False, random_pairs),
    ("window:191,0+global:64+random:64,3,1", True, pieces(64)),
    ("documents:{Documents}", False, pieces(1000)),
    ("documents:{Documents}", True, pieces(1000)),
    ("window:255,0&documents:{Documents}+sink:4&documents:{Documents}", True, pieces(256)),
    ("strided:8&blocks:64,{Mask64}", False, pieces(8)),
    ("window:511,0&global:{Every16}", True, listed),
    ("window:1023,0&strided:4", True, pieces(256)),
    ("random:1,64,1&documents:{Documents}", False, random_pairs),
    ("vertical_slash:{Columns},{Diagonals}", True, pieces(1)),
    ("vertical_slash:{Columns},{Diagonals}+window:127,0+sink:4", True, pieces(1)),
    ("prefix:1000", False, pieces(1000)),
    ("prefix:1000&window:255,255", False, pieces(256)),
    ("chunked:1024", True, pieces(1024)),
    ("chunked:1000+sink:4", True, pieces(1000)),
    ("neighborhood:129", False, pieces(129)),
    ("neighborhood:65,4", False, pieces(65)),
    ("neighborhood:{grid},13x13", False, at_most(1.5)),
    ("neighborhood:{grid},7x7,2x2", False, at_most(4)),
    ("neighborhood:{cube},3x5x5", False, at_most(4)),
]
HEADINGS = ["pattern", "selected", "visited / selected", "planning, ms", "plan bytes", "bytes a tile", "items", "dispatches",
            "time per selected pair over dense's"]


# ----------------------------------------------------------------------------------------------------------------------
# Files

def npy(path, descr, shape, data):
    shape = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
    head = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}"
    head += " " * (-(len(head) + 11) % 64) + "\n"
    path.write_bytes(b"\x93NUMPY\1\0" + len(head).to_bytes(2, "little") + head.encode() + data)


def numbers(path, values):
    values = array.array("i", values)
    if sys.byteorder == "big":
        values.byteswap()
    npy(path, "<i4", [len(values)], values.tobytes())


def mask(block):
    """24 % of the blocks, and the diagonal; None where there are too many."""
    def make(path, n):
        side = -(-n // block)
        if side * side > MASK_CELLS_MOST:
            return f"a mask of {side:,} x {side:,} blocks"
        cells = bytearray(random.Random(block).randbytes(side * side).translate(bytes(byte < 0.24 * 256 for byte in range(256))))
        cells[::side + 1] = b"\1" * side
        npy(path, "|b1", [side, side], cells)
        return None
    return make


def drawn(seed, most, share):
    """So many different numbers below n, and not more than that share of n."""
    return lambda path, n: numbers(path, sorted(random.Random(seed).sample(range(n), min(most, n // share))))


FILES = {
    "Every16": lambda path, n: numbers(path, range(0, n, 16)),
    "Thousand": drawn(1, 1000, 16),
    "Documents": lambda path, n: numbers(path, [*range(0, n, 1000), n]),
    "Mask64": mask(64),
    "Mask16": mask(16),
    "Columns": drawn(2, 200, 16),
    "Diagonals": drawn(3, 100, 16),
}
SAID = {"Every16": "every 16th", "Thousand": "1000 drawn", "Documents": "of 1000", "Mask64": "24 %", "Mask16": "24 %",
        "Columns": "200 drawn", "Diagonals": "100 drawn"}


def axes(n, count):
    """The factors of n nearest to one another, the least first."""
    if count == 1:
        return [n]
    nearest = max(side for side in range(1, int(n ** (1 / count) + 1e-9) + 1) if n % side == 0)
    return [nearest, *axes(n // nearest, count - 1)]


class Length:
    """A length, its factors and its files."""

    def __init__(self, folder, n):
        self.n, self.folder, self.made = n, folder / str(n), {}
        self.folder.mkdir()
        self.words = {"n": n, "grid": "x".join(map(str, axes(n, 2))), "cube": "x".join(map(str, axes(n, 3)))}

    def spec(self, template):
        """The spec, and why it cannot be had."""
        words = dict(self.words)
        for name, make in FILES.items():
            if "{" + name + "}" in template:
                path = self.folder / f"{name}.npy"
                if name not in self.made:
                    self.made[name] = make(path, self.n)
                if self.made[name]:
                    return None, self.made[name]
                words[name] = path
        return template.format(**words), None

    def said(self, template):
        return template.format(**self.words, **{name: f"({what})" for name, what in SAID.items()})

    def inputs(self):
        """Q, K and V, all the same made-up numbers."""
        path = self.folder / "x.npy"
        if not path.exists():
            draw = random.Random(4).random
            values = array.array("f", (2 * draw() - 1 for _ in range(self.n * HEAD_DIM)))
            if sys.byteorder == "big":
                values.byteswap()
            npy(path, "<f4", [self.n, HEAD_DIM], values.tobytes())
        return path


# ----------------------------------------------------------------------------------------------------------------------
# Measuring

class Bench:
    """The program, and dense attention's time a pair: of the longest that was run, by causality."""

    def __init__(self, arguments):
        self.program, self.budget, self.patience = arguments.program, arguments.budget, arguments.patience
        self.common = ["--no-cache", *(word for name in ("device", "kernel") if getattr(arguments, name)
                                       for word in (f"--{name}", getattr(arguments, name)))]
        self.dense = {}

    def tulle(self, words, seconds):
        """What it prints as JSON, and why it prints none."""
        try:
            ran = subprocess.run([self.program, *map(str, words), "--json", *self.common], capture_output=True, text=True, errors="replace",
                                 timeout=seconds, check=False)
        except subprocess.TimeoutExpired:
            return None, f"takes over {seconds:.0f} s"
        if ran.returncode:
            return None, ran.stderr.strip().splitlines()[-1].removeprefix("tulle show: ").removeprefix("tulle run: ")
        return json.loads(ran.stdout), None

    def plan(self, spec, causal, n):
        return self.tulle(["show", spec, "--q-len", n, "--plan", *["--causal"] * causal], self.patience)

    def per_pair(self, spec, causal, length, plan):
        """Milliseconds a selected pair; None where it would take longer than the budget."""
        known = self.dense.get(causal) or self.dense.get(False)
        # before any is known: 1 ns a pair
        expected = plan["visited"] * (known["per_visited"] if known else 1e-6) / 1e3
        runs = self.budget / max(expected, 1e-4)
        if runs < 2:
            return None
        x = length.inputs()
        words = ["run", "--q", x, "--k", x, "--v", x, "-o", length.folder / "o.npy", "--pattern", spec, "--repeat", min(9, max(1, int(runs) - 1))]
        found, _ = self.tulle([*words, *["--causal"] * causal], self.patience + 3 * self.budget)
        if found and spec == "dense":
            self.dense[causal] = {"n": length.n, "per_visited": found["ms"] / found["visited"], "per_pair": found["ms"] / found["pairs"]}
        return found and found["ms"] / found["pairs"]


def outside(plan, asked, n):
    """What of a plan is outside of what is asked: {heading: why}."""
    found = {}
    limit = asked(n, plan["tile_rows"])
    times = plan["visited"] / max(plan["pairs"], 1)
    if round(times, 2) > limit:
        found["visited / selected"] = f"{limit:g} is asked"
    allowed = plan["tiles"] / 1e3 + plan["runs"] / 1e4
    if plan["plan_ms"] > allowed:
        found["planning, ms"] = f"{allowed:.3g} ms are asked: 1 µs a tile, of {plan['tiles']:,}, and 0.1 µs a run, of {plan['runs']:,}"
    if n == 100_000 and plan["plan_ms"] > 100:
        found["planning, ms"] = "100 ms are asked at this length"
    return found


def row_of(bench, length, pattern, notes):
    """A row's cells."""
    template, causal, asked = pattern
    name = f"`{length.said(template)}`" + (" causal" if causal else "")
    spec, why = length.spec(template)
    plan = None
    if spec:
        plan, why = bench.plan(spec, causal, length.n)
    if not plan:
        notes.append(f"{name}: left out, {why}")
        return [name] + ["–"] * (len(HEADINGS) - 1)
    ms = bench.per_pair(spec, causal, length, plan)
    dense = bench.dense.get(causal)
    cells = {"pattern": name, "selected": f"{plan['pairs']:,}", "visited / selected": f"{plan['visited'] / max(plan['pairs'], 1):.2f}",
             "planning, ms": f"{plan['plan_ms']:.3f}", "plan bytes": f"{plan['device_bytes']:,}",
             "bytes a tile": f"{plan['device_bytes'] / max(plan['tiles'], 1):.0f}", "items": f"{plan['items']:,}",
             "dispatches": f"{plan['dispatches']:,}", HEADINGS[-1]: f"{ms / dense['per_pair']:.2f}" if ms and dense else "–"}
    for heading, reason in outside(plan, asked, length.n).items():
        cells[heading] = f"**{cells[heading]}**"
        notes.append(f"{name}: {heading}: {reason}")
    return [cells[heading] for heading in HEADINGS]


def table(bench, length, only):
    notes, rows = [], []
    for pattern in (pattern for pattern in PATTERNS if only in pattern[0]):
        begin = time.monotonic()
        rows.append(row_of(bench, length, pattern, notes))
        print(f"{length.n}: {rows[-1][0]} ({time.monotonic() - begin:.1f} s)", file=sys.stderr, flush=True)
    lines = [f"## n = {length.n:,}", "", "| " + " | ".join(HEADINGS) + " |", "|-" * len(HEADINGS) + "|",
             *("| " + " | ".join(row) + " |" for row in rows), ""]
    lines += ["Outside of what is asked, or left out:", "", *(f"- {note}" for note in notes), ""] if notes else ["Nothing is outside of what is asked.", ""]
    return lines


def commit():
    ran = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty", "--exclude=*"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                         text=True, check=False)
    return ran.stdout.strip() or "unknown"


def head(bench, arguments):
    info, why = bench.plan("dense", False, 64)
    if not info:
        sys.exit(f"tools/patterns_table.py: {why}")
    words = " ".join(sys.argv[1:])
    return ["# Patterns of every kind", "",
            f"Written by `tools/patterns_table.py{' ' if words else ''}{words}`. {datetime.date.today()}, commit {commit()}; {info['device']} "
            f"({info['driver']}), on {platform.node()}; kernel `{info['kernel']}`, tiles of {info['tile_rows']} rows, chunks of "
            f"{info['chunk_keys']} keys; one fp32 head, head_dim {HEAD_DIM}, as many queries as keys.", "",
            "Planning is the median of repeated plans, without compiling. Attention was run where it was expected to take at most "
            f"{arguments.budget:g} s with its repeats; dense's time is that of the longest dense attention, causal or not, that was run. "
            "In bold is what is outside of what is asked: visited at most 1.25 times what is selected where pieces are wider than a tile has rows or keys are "
            "listed, 4 times otherwise (1.5 times for a neighbourhood of 13 x 13; nothing is asked of random pairs); planning in 1 µs a tile and 0.1 µs a "
            "run, and at n = 100,000 in 100 ms.", ""]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=ROOT / "build/tulle", type=lambda path: pathlib.Path(path).resolve(), help="default: build/tulle")
    parser.add_argument("--lengths", default=LENGTHS, type=lambda text: [int(n) for n in text.split(",")], metavar="N,N",
                        help=f"default: {','.join(map(str, LENGTHS))}")
    parser.add_argument("--only", default="", metavar="TEXT", help="patterns whose spec contains it")
    parser.add_argument("--budget", default=10, type=float, metavar="SECONDS", help="of running a pattern; 0: none is run; default: 10")
    parser.add_argument("--patience", default=120, type=float, metavar="SECONDS", help="of planning one, repeats and all; default: 120")
    parser.add_argument("--device", help="as for tulle show")
    parser.add_argument("--kernel", help="as for tulle show")
    parser.add_argument("--output", default=ROOT / "docs/measurements/patterns.md", type=pathlib.Path, help="default: docs/measurements/patterns.md")
    arguments = parser.parse_args()
    bench = Bench(arguments)
    lines = head(bench, arguments)
    with tempfile.TemporaryDirectory() as folder:
        for n in arguments.lengths:
            lines += table(bench, Length(pathlib.Path(folder), n), arguments.only)
    arguments.output.write_text("\n".join(lines[:-1]) + "\n", encoding="utf-8")
    print(arguments.output)


if __name__ == "__main__":
    main()
