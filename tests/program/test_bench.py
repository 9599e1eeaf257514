#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What `tulle bench` prints, against docs/bench.schema.json and in all its forms; a device that is lost in the middle.

    test_bench.py PROGRAM FAKED     PROGRAM is tulle; FAKED is too, but for its times, which are made up (faked_attention.c)

Prints TAP. Needs a Vulkan device and Debian's python3-jsonschema.
"""
import csv
import json
import math
import pathlib
import statistics
import sys

sys.dont_write_bytecode = True  # the source folder is left as it is
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from tap import check, done, run, skip_all  # noqa: E402

try:
    import jsonschema
except ImportError:
    skip_all("there is no python3-jsonschema")

PROGRAM, FAKED = sys.argv[1:3]
SCHEMA = json.loads((pathlib.Path(__file__).resolve().parents[2] / "docs/bench.schema.json").read_text(encoding="utf-8"))
jsonschema.Draft202012Validator.check_schema(SCHEMA)
OWN = ["bench", "--pattern", "window:15,0", "--causal", "--q-len", "64", "--kv-len", "256", "--heads", "4", "--kv-heads", "2",
       "--head-dim", "32", "--v-head-dim", "16", "--dtype", "fp16", "--repeat", "7"]


def valid(data):
    """Why it is not what the schema says; empty where it is."""
    kind = "document" if "results" in data else data["kind"]
    errors = jsonschema.Draft202012Validator({**SCHEMA, "oneOf": [{"$ref": f"#/$defs/{kind}"}]}).iter_errors(data)
    deep = [deeper for error in errors for deeper in (error.context or [error])]
    return "; ".join(f"{list(error.path)}: {error.message}"[:300] for error in deep)


def figures_agree(device, row):
    """The fields of a row with each other, from what docs/bench.md says of them."""
    samples = row["samples_ms"]
    middle = statistics.median(samples)
    seconds = row["ms"] / 1e3
    flops = 2 * (row["head_dim"] + row["v_head_dim"]) * row["pairs"]
    size = {"fp32": 4, "fp16": 2, "bf16": 2}[row["dtype"]]
    limits = {"multiply-adds": flops / device["peak_gflops"] / 1e6, "copy": 1e3 * row["bytes"] / device["copy_bytes_per_s"]}
    wanted = {
        "repeats": len(samples), "ms": middle, "ms_min": min(samples), "ms_max": max(samples),
        "ms_mad": statistics.median(abs(sample - middle) for sample in samples),
        "gflops": flops / seconds / 1e9, "bytes_per_s": row["bytes"] / seconds, "peak_share": row["gflops"] / device["peak_gflops"],
        "limit_ms": max(limits.values()), "limit_share": max(limits.values()) / row["ms"],
    }
    wrong = [f"{name} is {row[name]}, not {value}" for name, value in wanted.items() if not math.isclose(row[name], value, rel_tol=1e-3, abs_tol=2e-6)]
    if row["limit"] != max(limits, key=limits.get):
        wrong.append(f"limit is {row['limit']}")
    every = size * row["batch"] * (row["heads"] * row["q_len"] + row["kv_heads"] * row["kv_len"]) * (row["head_dim"] + row["v_head_dim"])
    if not 0 < row["bytes"] <= every:
        wrong.append(f"bytes are {row['bytes']} of {every}")
    return "; ".join(wrong)


def test_own_workload():
    status, out, err = run(PROGRAM, *OWN, "--json")
    check("bench --json of one workload", status == 0, err)
    document = json.loads(out)
    check("it is what the schema says", not valid(document), valid(document))
    row, device = document["results"][0], document["devices"][0]
    check("its figures agree with each other", not figures_agree(device, row), figures_agree(device, row))
    # 64 rows on the last keys of 256, each with 15 before: 79 keys of 2 heads
    check("bytes are those of the keys that are taken, within a tile's padding",
          2 * 48 * (4 * 64 + 2 * 79) <= row["bytes"] <= 2 * 48 * (4 * 64 + 2 * 128), row["bytes"])
    # of 7 samples the least and the largest: the second would hold the median in 87.5 %
    check("the interval is of order statistics", (row["ms_low"], row["ms_high"]) == (row["ms_min"], row["ms_max"]), row)
    status, out, err = run(FAKED, *OWN[:-1], "8", "--json")
    row = json.loads(out)["results"][0]
    check("the median of an even number of samples", not figures_agree(json.loads(out)["devices"][0], row), row)
    check("a chunk is called one", row["phase"] == "chunk", row["phase"])
    check("the schema refuses what it should", valid({**document, "format": "other"}) and valid({**device, "uuid": 1})
          and valid({**row, "samples_ms": [-1]}) and valid({name: row[name] for name in row if name != "ms"}))


def test_seeds():
    status, out, err = run(FAKED, "bench", "--quick", "--jsonl")
    check("bench --quick --jsonl", status == 0, err)
    lines = [json.loads(line) for line in out.splitlines()]
    check("each line is what the schema says", not any(map(valid, lines)), [valid(line) for line in lines])
    kinds = [line["kind"] for line in lines]
    check("run, device, results, planning", kinds == ["run", "device"] + ["result"] * 16 + ["planning"] * 3, kinds)
    wrong = [figures_agree(lines[1], line) for line in lines if line["kind"] == "result" and not line["reckoned"]]
    check("all figures agree", not any(wrong), wrong)

    status, out, err = run(FAKED, "bench", "--quick", "--csv")
    rows = list(csv.DictReader(out.splitlines()))
    check("bench --csv", status == 0 and len(rows) == 16, err)
    results = [line for line in lines if line["kind"] == "result"]
    check("its rows are the same workloads", [(row["pattern"], row["q_len"], row["pairs"]) for row in rows]
          == [(row["pattern"], str(row["q_len"]), str(row["pairs"])) for row in results], rows)

    status, out, err = run(FAKED, "bench", "--quick", "--md")
    table = [line for line in out.splitlines() if line.startswith("|")]
    check("bench --md", status == 0 and len(table) == 2 + 16 + 2 + 3 and len({line.count("|") for line in table[:18]}) == 1, out[:2000])


def test_lost_device():
    status, out, err = run(FAKED, "bench", "--quick", "--json", env={"TULLE_FAKE_LOST": "30"})
    check("a lost device is a failure", status == 1 and "the device is lost" in err, err)
    document = json.loads(out)
    check("what it prints is what the schema says", not valid(document), valid(document))
    errors = [row["error"] for row in document["results"]]
    first = next((i for i, error in enumerate(errors) if error), 0)
    check("what was measured before it is kept", first > 3 and not any(errors[:first]), errors)
    check("its row says why", errors[first] == "the device is lost (as the test wants)", errors[first])
    check("those after it say that they were not run", len(errors) == 16 and all("not run: before it, the device is lost" in error
          for error in errors[first + 1:]), errors)
    status, out, err = run(FAKED, "bench", "--quick", env={"TULLE_FAKE_LOST": "30"})
    check("the table has them too", status == 1 and out.count("failed") == 16 - first, out)

    status, out, err = run(PROGRAM, "bench", "--pattern", "dense", "--q-len", "64", "--head-dim", "6", "--jsonl")
    check("bad input prints nothing", status == 2 and out == "", out)


def main():
    status, _, err = run(PROGRAM, "info")
    if status:
        skip_all(f"there is no device: {err.strip()}")
    test_own_workload()
    test_seeds()
    test_lost_device()
    done()


main()
