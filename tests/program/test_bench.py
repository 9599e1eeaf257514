#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What `tulle bench` prints, against docs/bench.schema.json and in all its forms; a device that is lost in the middle.

    test_bench.py PROGRAM FAKED     PROGRAM is tulle; FAKED is too, but for its times, which are made up (faked_attention.c)

Prints TAP. Needs a Vulkan device and Debian's python3-jsonschema.
"""
import csv
import json
import math
import os
import pathlib
import re
import shlex
import statistics
import sys
import tempfile
import time

sys.dont_write_bytecode = True  # the source folder is left as it is
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from tap import check, done, run, skip_all  # noqa: E402

try:
    import jsonschema
except ImportError:
    skip_all("there is no python3-jsonschema")

PROGRAM, FAKED = (str(pathlib.Path(path).resolve()) for path in sys.argv[1:3])
ROOT = pathlib.Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "docs/bench.schema.json").read_text(encoding="utf-8"))
jsonschema.Draft202012Validator.check_schema(SCHEMA)
OWN = ["bench", "--pattern", "window:15,0", "--causal", "--q-len", "64", "--kv-len", "256", "--heads", "4", "--kv-heads", "2",
       "--head-dim", "32", "--v-head-dim", "16", "--dtype", "fp16", "--repeat", "7"]


def valid(data):
    """Why it is not what the schema says; empty where it is."""
    kind = "document" if "results" in data else data["kind"]
    errors = jsonschema.Draft202012Validator({**SCHEMA, "oneOf": [{"$ref": f"#/$defs/{kind}"}]}).iter_errors(data)
    deep = [deeper for error in errors for deeper in (error.context or [error])]
    return "; ".join(f"{list(error.path)}: {error.message}"[:300] for error in deep)


def cache_lengths(row):
    """Keys of each sequence of a batch, from the shortest: evenly apart, rounded from both ends alike."""
    least, most, last = row["kv_least"], row["kv_len"], row["batch"] - 1
    spread = most - least
    return [least + spread * i // last if i <= last // 2 else most - spread * (last - i) // last for i in range(last + 1)] if spread else [most] * row["batch"]


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
        "copy_share": row["bytes_per_s"] / device["copy_bytes_per_s"], "tokens_per_s": row["batch"] * row["q_len"] / seconds,
        "share": row["pairs"] / (row["heads"] * row["q_len"] * sum(cache_lengths(row))), "limit_ms": max(limits.values()), "limit_share": max(limits.values()) / row["ms"],
    }
    wrong = [f"{name} is {row[name]}, not {value}" for name, value in wanted.items() if not math.isclose(row[name], value, rel_tol=1e-3, abs_tol=2e-6)]
    if row["limit"] != max(limits, key=limits.get):
        wrong.append(f"limit is {row['limit']}")
    every = size * (row["batch"] * row["heads"] * row["q_len"] + row["kv_heads"] * sum(cache_lengths(row))) * (row["head_dim"] + row["v_head_dim"])
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

    status, out, err = run(PROGRAM, "bench", "--pattern", "dense", "--q-len", "64", "--head-dim", "577", "--jsonl")
    check("bad input prints nothing", status == 2 and out == "", out)


def published():
    """The lines of tools/bench/models.def, as the program reads them: name, heads, kv heads, head_dim, context, flags, pattern."""
    text = (ROOT / "tools/bench/models.def").read_text(encoding="utf-8")
    lines = re.findall(r'^TULLE_MODEL\("(.*?)", (\d+), (\d+), (\d+), (\d+), (.*?), "(.*)"\)$', text, re.M)
    return {name: (*map(int, (heads, kv_heads, dim, context)), flags, pattern) for name, heads, kv_heads, dim, context, flags, pattern in lines}


def test_models():
    models = published()
    status, out, err = run(FAKED, "bench", "--suite", "models", "--length", "512", "--length", "2048", "--dtype", "bf16", "--jsonl")
    lines = [json.loads(line) for line in out.splitlines()]
    rows = [line for line in lines if line["kind"] == "result"]
    check("bench --suite models", status == 0 and [line["kind"] for line in lines] == ["run", "device"] + ["result"] * len(rows), err)
    check("each line is what the schema says", not any(map(valid, lines)), [valid(line) for line in lines])
    check("every model is measured, and no other", len(models) > 12 and {row["model"] for row in rows} == set(models), sorted({row["model"] for row in rows}))
    wanted, wrong = set(), []
    for name, (heads, kv_heads, dim, context, flags, _) in models.items():
        for length in (512, 2048):
            n = math.isqrt(length) ** 2 if "SQUARE" in flags else min(length, context)
            wanted |= {(name, heads, kv_heads, n, n, dim, "CAUSAL" in flags, "SINKS" in flags)}
            wanted |= {(name, heads, kv_heads, 1, n, dim, True, "SINKS" in flags)} if "DECODES" in flags else set()
    have = [(row["model"], row["heads"], row["kv_heads"], row["q_len"], row["kv_len"], row["head_dim"], row["causal"], row["sink_logits"]) for row in rows]
    check("with the heads, sizes and lengths of its line, a decode step where it decodes", sorted(have) == sorted(wanted), set(have) ^ wanted)
    check("of the dtype that was asked for, its pattern without a brace left", all(row["dtype"] == "bf16" and "{" not in row["pattern"] and not row["error"]
          for row in rows), rows)
    wrong = [figures_agree(lines[1], row) for row in rows if not row["reckoned"]]
    check("its figures agree", not any(wrong), wrong)
    check("and so is its yardstick, of a decode step too", all(row["dense_measured"] and not row["reckoned"] for row in rows),
          [(row["model"], row["q_len"]) for row in rows if not row["dense_measured"]])
    pairs = {(row["model"], row["q_len"]): row["pairs"] for row in rows}
    # each of 45 x 45 pixels sees 7 x 7, those at an edge too
    check("a neighbourhood selects as many keys for each pixel", pairs["nat-tiny", 45 * 45] == 2 * 45 * 45 * 49, pairs["nat-tiny", 45 * 45])
    check("a decode step of a window takes its keys", pairs["gpt-oss-local", 1] == 64 * 128, pairs["gpt-oss-local", 1])

    for name in ("longformer-base", "bigbird", "sparse-transformer-fixed", "nat"):  # of the others Q alone would have GBs
        status, out, err = run(FAKED, "bench", "--model", name, "--length", "published", "--length", "9999999", "--csv", "--repeat", "1")
        have = [(row["model"], int(row["kv_len"])) for row in csv.DictReader(out.splitlines())]
        check(f"the published length of {name}, no length beyond and none twice", status == 0
              and have == [(model, models[model][3]) for model in models if model.startswith(name)], f"{have} {err}")

    pathlib.Path("models.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    status, out, err = run(PROGRAM, "compare", "models.jsonl", "models.jsonl")
    means = [line.split()[:2] for line in out.split("geometric mean of")[-1].splitlines()]
    check("compare names them, and has a mean for each", status == 0 and out.count("gpt-oss-local: window:127,0 causal sink logits") == 4
          and all([name, "prefill"] in means for name in models) and ["mistral-7b", "decode"] in means, out + err)

    # a row's command has it again, sink logits and all
    status, out, _ = run(FAKED, "bench", "--suite", "models", "--quick", "--command")
    command = next(line for line in out.splitlines() if "tulle bench" in line and "--sink-logits" in line)
    words = shlex.split(command[command.index("tulle bench"):])[1:]
    status, out, err = run(FAKED, *words, "--json")
    again = json.loads(out)["results"][0]
    check("a row's command has its workload again", status == 0 and (again["heads"], again["kv_heads"], again["sink_logits"], again["model"]) == (64, 8, True, None), again)


def decode_bytes(row):
    """What a step of decoding must read and write, where the heads of a kv head select the same keys: each once."""
    rows, keys = row["batch"] * row["heads"] * row["q_len"], row["pairs"] // row["q_len"] // (row["heads"] // row["kv_heads"])
    return {"fp32": 4, "fp16": 2, "bf16": 2}[row["dtype"]] * (rows + keys) * (row["head_dim"] + row["v_head_dim"])


def test_decode():
    status, out, err = run(FAKED, "bench", "--phase", "decode", "--quick", "--jsonl")
    lines = [json.loads(line) for line in out.splitlines()]
    rows = [line for line in lines if line["kind"] == "result"]
    check("bench --phase decode", status == 0 and [line["kind"] for line in lines] == ["run", "device"] + ["result"] * len(rows), err)
    check("each line is what the schema says", not any(map(valid, lines)), [valid(line) for line in lines])
    wrong = [figures_agree(lines[1], row) for row in rows]
    check("its figures agree", not any(wrong), wrong)
    check("all are a query row of a language model's heads", all((row["phase"], row["q_len"], row["heads"], row["kv_heads"], row["head_dim"], row["dtype"])
          == ("decode", 1, 32, 8, 128, "fp16") for row in rows), rows)
    have = [(row["pattern"], row["batch"], row["kv_least"], row["kv_len"]) for row in rows]
    check("the caches are long, short and ragged", have == [("dense", 2, 4096, 4096), ("dense", 2, 1024, 1024), ("window:1023,0", 2, 16384, 16384),
          ("sink:64+window:959,0", 2, 16384, 16384), ("blocks:64,@256x256p6", 2, 16384, 16384), ("strided:16", 2, 16384, 16384),
          ("dense", 16, 136, 136), ("dense", 16, 16, 256), ("dense", 64, 136, 136), ("dense", 64, 16, 256)], have)
    keys = [row["pairs"] // row["heads"] for row in rows]
    check("sparse patterns select as many keys as the short cache has", keys[:4] + keys[5:6] == [8192] + [2048] * 4 and abs(keys[4] - 2048) < 512, keys)
    check("ragged caches hold as many as the equal ones", keys[6:] == [16 * 136] * 2 + [64 * 136] * 2, keys)
    check("bytes are those of the keys that are selected, once a kv head", all(row["bytes"] == decode_bytes(row) for row in rows),
          [(row["pattern"], row["bytes"], decode_bytes(row)) for row in rows])

    status, out, err = run(FAKED, "bench", "--phase", "decode", "--quick", "--q-rows", "3", "--heads", "4", "--kv-heads", "2", "--head-dim", "32", "--dtype", "bf16", "--csv")
    rows = list(csv.DictReader(out.splitlines()))
    check("of other heads, sizes and rows", status == 0 and len(rows) == 10 and all((row["phase"], row["q_len"], row["heads"], row["kv_heads"], row["head_dim"], row["dtype"])
          == ("decode", "3", "4", "2", "32", "bf16") and float(row["tokens_per_s"]) > 0 for row in rows), err)
    status, out, err = run(FAKED, "bench", "--phase", "decode", "--quick", "--md")
    table = [line for line in out.splitlines() if line.startswith("|")]
    check("as a table of rates", status == 0 and len(table) == 2 + 10 and all(name in table[0] for name in ("batch", "GB/s", "of copying", "tokens/s a layer"))
          and "GFLOP/s" not in table[0] and any("| 1 x 16-256 |" in line for line in table) and "\nheads 32, kv heads 8\n" in out, out)

    own = ["--pattern", "dense", "--causal", "--phase", "decode", "--q-rows", "4", "--kv-len", "300", "--kv-least", "20", "--batch", "7", "--heads", "6", "--kv-heads", "2",
           "--head-dim", "16", "--v-head-dim", "8"]
    status, out, err = run(PROGRAM, "bench", *own, "--json", "--repeat", "6")
    document = json.loads(out)
    row, lengths = document["results"][0], [20, 66, 113, 160, 207, 254, 300]
    check("a ragged batch of one's own", status == 0 and not valid(document) and row["phase"] == "decode" and cache_lengths(row) == lengths, err)
    check("its figures agree", not figures_agree(document["devices"][0], row), figures_agree(document["devices"][0], row))
    check("each sequence has its own keys", row["pairs"] == 6 * sum(4 * n - 6 for n in lengths) and row["dense_measured"], row["pairs"])
    check("each key is read once a kv head", row["bytes"] == 4 * 24 * (7 * 6 * 4 + 2 * sum(lengths)), row["bytes"])
    status, out, _ = run(PROGRAM, *shlex.split(row["command"])[1:], "--json", "--repeat", "1")
    again = json.loads(out)["results"][0]
    check("its command has it again", status == 0 and all(again[name] == row[name] for name in ("pattern", "causal", "batch", "q_len", "kv_len", "kv_least", "pairs")), again)

    long = ["--phase", "decode", "--kv-len", "1000000", "--kv-least", "500000", "--batch", "2", "--heads", "2000", "--kv-heads", "1", "--head-dim", "4", "--json"]
    status, out, err = run(FAKED, "bench", "--pattern", "sink:3", *long)
    row = json.loads(out)["results"][0]
    check("dense's time is reckoned from shorter caches, ragged too", status == 0 and row["pairs"] == 2000 * 6 and not row["reckoned"]
          and not row["dense_measured"] and 2700 < row["dense_ms"] < 3300, row)
    status, out, err = run(FAKED, "bench", "--pattern", "dense", *long)
    row = json.loads(out)["results"][0]
    check("a dense step is measured, however long", status == 0 and not row["reckoned"] and row["dense_measured"] and row["pairs"] == 2000 * 1500000 and row["share"] == 1
          and 2700 < row["ms"] < 3300 and row["bytes"] == 4 * 8 * (4000 + 1500000), row)

    for words, wanted in ((["--phase", "decode", "--q-rows", "2"], [(2, 512)]), (["--phase", "prefill"], [(512, 512)]), ([], [(512, 512), (1, 512)])):
        status, out, err = run(FAKED, "bench", "--model", "mistral", "--length", "512", "--repeat", "1", "--csv", *words)
        have = [(int(row["q_len"]), int(row["kv_len"])) for row in csv.DictReader(out.splitlines())]
        check(f"of a model: {' '.join(words) or 'both phases'}", status == 0 and have == wanted, f"{have} {err}")
    for q_len, kv_len, phase in ((16, 17, "decode"), (16, 16, "prefill"), (17, 18, "chunk"), (8, 4, "chunk")):
        out = run(FAKED, "bench", "--pattern", "dense", "--q-len", str(q_len), "--kv-len", str(kv_len), "--repeat", "1", "--json")[1]
        check(f"the phase of {q_len} queries and {kv_len} keys", json.loads(out)["results"][0]["phase"] == phase, out)


def crossovers(*words, **settings):
    status, out, err = run(FAKED, "bench", "--crossover", "--jsonl", *words, env={f"TULLE_FAKE_{name}": value for name, value in settings.items()})
    lines = [json.loads(line) for line in out.splitlines()]
    found = [line for line in lines if line["kind"] == "crossover"]
    check(f"bench --crossover {' '.join(words)} {settings}", status == 0 and not any(map(valid, lines)) and len(found) == 15,
          err + str([valid(line) for line in lines if valid(line)]))
    wrong = [line for line in found for point in line["points"]
             if not 0 < point["density"] <= 1 or line["value"] is None or (line["value"] > 1) != (line["by"] == "length") or point["q_len"] > line["length"]]
    check("its points are within what was asked for", not wrong, wrong)
    return {(line["name"], line["by"]): line for line in found}


def test_crossover():
    # a pair of a sparse pattern costs twice a dense one's: where it selects half of them they are equal
    found = crossovers("--length", "1024", SPARSE="200")
    window, length = found["window", "density"], found["window", "length"]
    check("the density is the one that was made up", window["verdict"] == "crosses" and window["complete"] and abs(window["value"] - 0.5) < 0.06, window["value"])
    check("between what is surely faster and surely slower", 0.3 < window["faster"] <= window["value"] <= window["slower"] < 0.7, window)
    # window:255,0 selects 256 n - 32640 of n (n + 1) / 2 pairs: half of them at n = 874
    check("so is the length", length["verdict"] == "crosses" and 790 < length["value"] < 960 and length["slower"] < 874 < length["faster"] + 90, length)
    check("the others of a density of a half too", all(abs(found[name, "density"]["value"] - 0.5) < 0.12 for name in ("window+global", "fixed (listed keys)", "blocks")),
          {name: line["value"] for name, line in found.items()})
    found = crossovers("--length", "512", "--heads", "4", "--kv-heads", "2", "--head-dim", "32", "--dtype", "fp16", SPARSE="40")
    check("patterns that cost less are always faster, up to the densest", found["strided", "density"]["verdict"] == "always"
          and found["strided", "density"]["value"] > 0.4 and found["fixed (listed keys)", "density"]["verdict"] == "always", found)
    check("the shape is the one that was asked for", all((line["heads"], line["kv_heads"], line["head_dim"], line["dtype"]) == (4, 2, 32, "fp16") for line in found.values()))
    found = crossovers("--length", "512", SPARSE="90000")
    never = [line for line in found.values() if line["verdict"] == "never"]
    check("and those that cost far more never, down to the sparsest", len(never) > 10 and all(line["faster"] is None and len(line["points"]) == 1 for line in never),
          {name: (line["verdict"], line["value"]) for name, line in found.items()})

    status, out, err = run(FAKED, "bench", "--crossover", "--length", "1024", "--json", env={"TULLE_FAKE_SPARSE": "200"})
    check("as one document", status == 0 and not valid(json.loads(out)) and len(json.loads(out)["crossovers"]) == 15, err)
    status, out, err = run(FAKED, "bench", "--crossover", "--length", "512", "--md", env={"TULLE_FAKE_SPARSE": "90000"})
    check("as a table", status == 0 and len([line for line in out.splitlines() if line.startswith("|")]) == 17 and "never, down to" in out, out)

    # runs are made up in no time; planning at a million keys is not
    start = time.monotonic()
    status, out, err = run(FAKED, "bench", "--crossover", "--length", "200000", "--seconds", "1", "--jsonl", env={"TULLE_FAKE_SPARSE": "200"})
    took = time.monotonic() - start
    found = [json.loads(line) for line in out.splitlines() if '"crossover"' in line]
    check("a search that runs out of time says so", status == 0 and took < 120 and not any(map(valid, found))
          and any(line["verdict"] == "unknown" and not line["complete"] and line["value"] is None and not line["points"] for line in found), f"{took} s {err}")


def test_refused():
    for words, says in (
            (["--suite", "wibble"], "seeds or models is wanted"), (["--suite", "models", "--plan"], "there is one"), (["--crossover", "--quick"], "--quick"),
            (["--crossover", "--csv"], "--csv has no crossovers"), (["--crossover", "--length", "published"], "takes one --length"),
            (["--crossover", "--length", "99", "--length", "98"], "takes one --length"), (["--length", "512"], "--length is given"),
            (["--seconds", "9"], "--seconds is given"), (["--suite", "models", "--length", "63"], "--length is '63'"), (["--suite", "models", "--heads", "4"], "heads or sizes"),
            (["--dtype", "fp16"], "--dtype is given"), (["--crossover", "--causal"], "no --pattern"), (["--sink-logits"], "no --pattern"),
            (["--suite", "models", *["--length", "64"] * 9], "more than 8 lengths"),
            (["--phase", "wibble"], "--phase is 'wibble'; decode or prefill"), (["--phase", "decode", "--plan"], "have no phases"),
            (["--phase", "prefill", "--crossover"], "have no phases"), (["--q-rows", "2"], "--q-rows is given"), (["--phase", "decode", "--q-rows", "17"], "--q-rows is '17'"),
            (["--phase", "decode", "--kv-least", "9"], "no --pattern"), (["--phase", "prefill", "--heads", "4"], "heads or sizes"),
            (["--model", "longformer", "--phase", "decode"], "none of that name has a --phase decode"),
            *((["--pattern", "dense", *more.split()], says) for more, says in (
                ("--kv-len 64 --kv-least 9 --batch 2", "no --phase decode"), ("--phase decode --q-len 1 --kv-len 64", "--q-len is given"),
                ("--phase decode", "--kv-len are missing"), ("--phase decode --q-rows 4 --kv-len 4", "below --kv-len, 4,"),
                ("--phase decode --kv-len 64 --kv-least 64 --batch 2", "--kv-least is 64"), ("--phase decode --q-rows 3 --kv-len 64 --kv-least 2 --batch 2", "at least --q-rows, 3,"),
                ("--phase decode --kv-len 64 --kv-least 9", "--batch is 1; 2 to 65536"), ("--phase decode --kv-len 64 --kv-least 9 --batch 65537", "2 to 65536")))):
        status, out, err = run(PROGRAM, "bench", *words)
        check(f"refused: {' '.join(words)}", status == 2 and out == "" and says in err, f"{status} {err}")
    status, out, err = run(PROGRAM, "bench", "--crossover", "--kernel", "wibble", "--jsonl")
    check("a search that the device cannot do says why", status == 2 and out == "" and 'kernel is "wibble"' in err, err)


def test_kept():
    """What was measured and is kept."""
    files = sorted((ROOT / "docs/measurements").glob("*.jsonl"))
    wrong = [f"{path.name}: {valid(line)}" for path in files for line in map(json.loads, path.read_text(encoding="utf-8").splitlines()) if valid(line)]
    check("the measurements that are kept are what the schema says", len(files) >= 3 and not wrong, "\n".join(wrong) or len(files))


def main():
    test_kept()
    status, _, err = run(PROGRAM, "info")
    if status:
        skip_all(f"there is no device: {err.strip()}")
    test_own_workload()
    test_seeds()
    test_lost_device()
    test_refused()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        test_models()
        test_decode()
        test_crossover()
        os.chdir("/")
    done()


main()
