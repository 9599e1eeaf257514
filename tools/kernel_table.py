#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How fast each kernel is on each release of Mesa's CPU driver: the measurements that the choice among kernels rests on.

    tools/kernel_table.py [OPTION ...] [RELEASE[:WIDTH] ...]     prints a Markdown table

Dense causal attention of 1,024 tokens, one head, by each kernel, for each dtype and head class, under each release
(tools/drivers; WIDTH: of its vectors in bits). One round measures everything once, the kernels of a dtype and a head class in
turn in one process, on one thread. A figure is the fastest of all rounds' repeats, 25 a round: what else runs only takes
time, and where nothing does medians are the same. What is under half of the best in the first round, and base, are not
measured again. Compile time is left out.

  --program FILE   the program that is measured (default: build/tulle)
  --results FILE   where the figures are kept (default: build/kernel_table.json): what is there counts, and is added to;
                   beside it a folder of what the drivers compiled
  --rounds N       rounds to measure now (default: 3); 0: only prints what is there
  --data FILE      also writes them as the library reads them: src/kernel/measured.def
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
RELEASES = ["22.3:256", "25.0:256", "26.1:256", "26.1:512", "26.2:256", "26.2:512"]
DTYPES = {"fp32": "f32", "fp16": "f16", "bf16": "bf16"}
DIMS = [32, 64, 96, 128, 192, 256]   # the head classes: head_class in src/kernel/variant.c
TOKENS, REPEATS, BASE_REPEATS = 1024, 25, 2
HOPELESS = 0.5   # of the best

DATA_HEAD = """\
// SPDX-License-Identifier: MIT
//
// How fast the kernels are on CPU drivers, by release of Mesa's lavapipe: GFLOP/s of one thread in dense causal attention
// of 1,024 tokens.
// Written by `tools/kernel_table.py --data src/kernel/measured.def`; docs/measurements/README.md says which page.
//
// TULLE_MEASURED(major, minor, lanes of a subgroup, kernel, at head_dim up to 32, 64, 96, 128, 192, 256)
// 0: does not serve there.
"""


def under(release, *command, **more):
    name, _, width = release.partition(":")
    run = [ROOT / "tools" / "drivers", "run", name, *(["--width", width] if width else []), *command]
    return subprocess.run(run, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)


def device(release, program):
    """What `tulle info` says of the driver's device: its release, its lanes, its kernels."""
    ran = under(release, program, "info", "--json")
    if ran.returncode:
        sys.exit(f"tools/kernel_table.py: {release}: {ran.stderr.strip()}")
    found = json.loads(ran.stdout)["devices"][0]
    version = re.match(r"Mesa (\d+)\.(\d+)\.(\d+)", found["driver_info"])
    if not version:
        sys.exit(f"tools/kernel_table.py: {release}: the driver says '{found['driver_info']}', which is no release of Mesa")
    return {"release": version[0][5:], "driver": found["driver_info"], "lanes": found["subgroup_size"],
            "kernels": [(v["name"], v["dtype"]) for v in found["variants"]]}


def measure(release, program, kernels, repeats, dtype, dim, environment):
    """{kernel: GFLOP/s}, and which of them is taken by default. One that does not serve is not among them."""
    command = ["bench", "--json", "--pattern", "dense", "--causal", "--q-len", str(TOKENS), "--head-dim", str(dim),
               "--dtype", dtype, "--repeat", str(repeats)]
    ran = under(release, program, *command, *(word for kernel in kernels for word in ("--kernel", kernel)), env=environment)
    if ran.returncode:
        sys.exit(f"tools/kernel_table.py: {release}, {dtype}, {dim}: {ran.stderr.strip()}")
    results = json.loads(ran.stdout)["results"]
    return {r["kernel"]: r["gflops"] * r["ms"] / r["ms_min"] for r in reversed(results)}, results[0]["kernel"]


def measure_release(kept, release, program, cache):
    """One round of one release, into kept."""
    here = device(release, program)
    # a driver's cache does not tell vector widths apart
    environment = dict(os.environ, LP_NUM_THREADS="1", MESA_SHADER_CACHE_DISABLE="false", MESA_SHADER_CACHE_DIR=f"{cache}/{release}")
    for dtype, short in DTYPES.items():
        kernels = [name for name, of in here["kernels"] if of == dtype and not name.startswith("base_")]
        for dim in DIMS:
            cell = kept.setdefault(f"{here['release']}/{here['lanes']}/{dtype}/{dim}", {"rounds": [], "default": ""})
            first = cell["rounds"][0] if cell["rounds"] else {}
            wanted = [k for k in kernels if not first or first.get(k, 0) >= HOPELESS * max(first.values())]
            begin = time.monotonic()
            figures, cell["default"] = measure(release, program, ["", *wanted], REPEATS, dtype, dim, environment)
            if not first:
                figures |= measure(release, program, [f"base_{short}"], BASE_REPEATS, dtype, dim, environment)[0]
            cell["rounds"].append(figures)
            best = max(figures, key=figures.get)
            print(f"{here['driver']}, {here['lanes']} lanes, {dtype}, {dim}: {figures[best]:.1f} GFLOP/s by {best} "
                  f"({time.monotonic() - begin:.0f} s)", file=sys.stderr, flush=True)


def figures(cell):
    """{kernel: GFLOP/s}, the fastest first."""
    best = {}
    for one in cell["rounds"]:
        for name, speed in one.items():
            best[name] = max(speed, best.get(name, 0))
    return dict(sorted(best.items(), key=lambda item: -item[1]))


def lag(cell):
    """How much slower the default is than the best."""
    speeds = figures(cell)
    return 1 - speeds[cell["default"]] / max(speeds.values())


def cells(kept):
    """Yields (release, lanes, dtype, {dim: cell}), ordered."""
    lines = {}
    for key, cell in kept.items():
        release, lanes, dtype, dim = key.split("/")
        lines.setdefault((release, int(lanes), dtype), {})[int(dim)] = cell
    order = list(DTYPES)
    number = lambda release: [int(part) for part in release.split(".")]
    for (release, lanes, dtype), line in sorted(lines.items(), key=lambda item: (number(item[0][0]), item[0][1], order.index(item[0][2]))):
        yield release, lanes, dtype, line


def print_table(kept):
    print("GFLOP/s of one thread; \\* taken by default. Last line of each: how far the default is behind the best.\n")
    for release, lanes, dtype, line in cells(kept):
        print(f"**Mesa {release}, subgroups of {lanes}, {dtype}**\n")
        print("| kernel | " + " | ".join(str(dim) for dim in line) + " |")
        print("|-|" + "-|" * len(line))
        speeds = {dim: figures(cell) for dim, cell in line.items()}
        names = sorted({name for one in speeds.values() for name in one}, key=lambda n: -max(one.get(n, 0) for one in speeds.values()))
        for name in names:
            row = []
            for dim, cell in line.items():
                speed = speeds[dim].get(name)
                mark = "**" if speed and name == next(iter(speeds[dim])) else ""
                row.append("–" if not speed else f"{mark}{speed:.{0 if speed >= 19.95 else 1}f}{mark}" + ("\\*" if name == cell["default"] else ""))
            print(f"| `{name}` | " + " | ".join(row) + " |")
        print("| behind the best | " + " | ".join(f"{100 * lag(cell):.0f} %" for cell in line.values()) + " |\n")


def write_data(kept, path):
    text = DATA_HEAD
    for release, lanes, dtype, line in cells(kept):
        speeds = {dim: figures(cell) for dim, cell in line.items()}
        text += f"\n// {release}, {dtype}\n"
        for name in sorted({name for one in speeds.values() for name in one}):
            at = ", ".join(f"{speeds[dim][name]:.3g}" if name in speeds.get(dim, {}) else "0" for dim in DIMS)
            text += f"TULLE_MEASURED({', '.join(release.split('.')[:2])}, {lanes}, {name}, {at})\n"
    pathlib.Path(path).write_text(text)


def main():
    parser = argparse.ArgumentParser(usage=__doc__, add_help=False)
    parser.add_argument("--program", default="build/tulle")
    parser.add_argument("--results", default="build/kernel_table.json")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data")
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("releases", nargs="*")
    options = parser.parse_args()
    if options.help:
        print(__doc__.strip())
        return
    path = pathlib.Path(options.results)
    kept = json.loads(path.read_text()) if path.exists() else {}
    for release in options.rounds * (options.releases or RELEASES):
        measure_release(kept, release, options.program, path.resolve().with_suffix(".cache"))
        path.write_text(json.dumps(kept, indent=1))
    print_table(kept)
    if options.data:
        write_data(kept, options.data)


main()
