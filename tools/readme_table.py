#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""README.md's table of speed, from what `tulle bench` measured: docs/measurements/DATE-lavapipe-RELEASE.jsonl, of each release the newest.

    tools/readme_table.py                      prints caption and table
    tools/readme_table.py --write              puts them into README.md
    tools/readme_table.py --check              fails where README.md has other ones
    tools/readme_table.py --measure RELEASE    measures one (tools/drivers) with build/tulle: ten minutes on a quiet machine

Needs nothing but Python.
"""
import argparse
import datetime
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs/measurements"
HEADING, BEHIND = "## Speed\n\n", "\nA sparse pattern should cost"  # what the caption and the table stand between
DIMS = (64, 128)


def newest():
    """The newest file of each release, by release."""
    files = {}
    for path in sorted(FOLDER.glob("*-lavapipe-*.jsonl")):
        files[re.fullmatch(r"\d{4}-\d\d-\d\d-lavapipe-(.+)", path.stem)[1]] = path
    return [files[release] for release in sorted(files, key=lambda release: [int(part) for part in release.split(".")])]


class Bench:
    """One file."""

    def __init__(self, path):
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        self.run, self.device = lines[0], next(line for line in lines if line["kind"] == "device")
        self.results = [line for line in lines if line["kind"] == "result"]
        self.planning = [line for line in lines if line["kind"] == "planning"]
        self.name = path.name

    def result(self, pattern, length, dim):
        found = [row for row in self.results if (row["pattern"], row["causal"], row["q_len"], row["kv_len"], row["head_dim"], row["dtype"])
                 == (pattern, True, length, length, dim, "fp32")]
        if len(found) != 1 or found[0]["error"]:
            sys.exit(f"{self.name}: there is no one result of {pattern}, causal, {length}, head_dim {dim}, fp32")
        return found[0]

    def figures(self, pattern, field, length=16384, factor=1, digits=2):
        return " / ".join(f"{factor * self.result(pattern, length, dim)[field]:.{digits}f}" for dim in DIMS)

    def column(self):
        window, union = "window:255,0", "window:127,0+strided:128"
        planned = next(case for case in self.planning if case["kv_len"] == 1 << 20)
        return [re.match(r"Mesa [\d.]+", self.device["driver_info"])[0],
                self.figures("dense", "peak_share", 4096, 100, 0) + " %", self.figures(window, "per_selected_over_dense"),
                self.figures(window + "+global:64", "per_visited_over_dense"), self.figures("strided:128", "per_visited_over_dense"),
                self.figures(union, "per_selected_over_dense"), f"{planned['create_ms']:.1f} ms"]


ROWS = ["", "dense at n = 4096, share of the peak that was measured beside it", "`window:255,0`, time per selected pair over dense's",
        "`window:255,0+global:64`, time per visited pair over dense's", "`strided:128`, the same",
        "`window:127,0+strided:128`, time per selected pair over dense's", "planning `window:255,0` at a million tokens"]


def made():
    """The caption and the table."""
    benches = [Bench(path) for path in newest()]
    if not benches:
        sys.exit(f"there is no *-lavapipe-*.jsonl in {FOLDER}")
    hosts = {(bench.run["host"]["cpu"], bench.run["host"]["cpus"]) for bench in benches}
    if len(hosts) > 1:
        sys.exit(f"the files are of different machines: {hosts}")
    (cpu, cpus), = hosts
    dates, loads = sorted({bench.run["date"][:10] for bench in benches}), sorted({round(bench.run["host"]["load"]) for bench in benches})
    caption = (f"fp32, causal, n = 16,384, head_dim {DIMS[0]} / {DIMS[1]}; lavapipe on {cpus} cores ({cpu}), load "
               f"{' to '.join(str(load) for load in (loads[0], loads[-1])[:len(loads)])}; {' and '.join(dates)}:")
    rows = list(zip(ROWS, *(bench.column() for bench in benches)))
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([caption, "", lines[0].replace("|  |", "| |"), "|-" * len(rows[0]) + "|", *lines[1:], ""])


def measure(release):
    path = FOLDER / f"{datetime.date.today()}-lavapipe-{release}.jsonl"
    words = [ROOT / "tools/drivers", "run", release, ROOT / "build/tulle", "bench", "--no-cache", "--jsonl"]
    text = subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout
    path.write_bytes(text)
    print(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--write", action="store_true", help="put them into README.md")
    what.add_argument("--check", action="store_true", help="fail where README.md has other ones")
    what.add_argument("--measure", metavar="RELEASE", help="such as 26.1")
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure)
        return
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    begin = text.index(HEADING) + len(HEADING)
    end = text.index(BEHIND, begin)
    if arguments.write:
        readme.write_text(text[:begin] + made() + text[end:], encoding="utf-8")
    elif arguments.check:
        if text[begin:end] != made():
            sys.exit("README.md's table of speed is not what tools/readme_table.py makes: tools/readme_table.py --write")
    else:
        print(made(), end="")


if __name__ == "__main__":
    main()
