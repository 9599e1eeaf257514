#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`tulle compare`: what it calls different, what it refuses, and what it makes of files that are none.

    test_compare.py PROGRAM FAKED     PROGRAM is tulle; FAKED is too, but for its times, which are made up (faked_attention.c)

Prints TAP. Needs a Vulkan device only for the cases that run FAKED.
"""
import copy
import json
import math
import os
import pathlib
import random
import statistics
import sys
import tempfile

sys.dont_write_bytecode = True  # the source folder is left as it is
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from tap import check, done, run, skip  # noqa: E402

PROGRAM, FAKED = (str(pathlib.Path(word).resolve()) for word in sys.argv[1:3])
RUN = {"kind": "run", "format": "tulle-bench", "format_version": 1, "program": "tulle", "version": "0.1.0", "commit": None,
       "date": "2026-11-28T12:00:00Z"}
DEVICE = {"kind": "device", "device_index": 0, "device": "a device", "implementation": "tulle", "driver": "d",
          "clock": {"source": "wall clock", "resolution_ns": 1}}


# ---------------------------------------------------------------------------------------------------------------------
# Files made by program

def interval(samples):
    """The median's 95 % interval of six samples or more, written from docs/bench.md."""
    ordered, count = sorted(samples), len(samples)
    rank = max(k for k in range(1, count // 2 + 1) if 1 - 2 * sum(math.comb(count, i) for i in range(k)) / 2 ** count >= 0.95)
    return ordered[rank - 1], ordered[count - rank]


def result(samples, **fields):
    low, high = interval(samples) if len(samples) >= 6 else (None, None)
    row = {"kind": "result", "device_index": 0, "device": "a device", "error": None, "pattern": "window:7,0", "causal": True,
           "phase": "prefill", "batch": 1, "heads": 1, "kv_heads": 1, "q_len": 64, "kv_len": 64, "head_dim": 64, "v_head_dim": 64,
           "dtype": "fp32", "pairs": 484, "ms": statistics.median(samples), "ms_low": low, "ms_high": high, "reckoned": False}
    return {**row, **fields}


def document(results, devices=None, **fields):
    return {**RUN, "devices": devices or [DEVICE], "results": results, "planning": [], **fields}


def many(rng, count, noise=0.03, drift=0.0, slow=None):
    """Workloads of different lengths; each time is noisy, each workload's times share a drift, and the slow one takes 1.1 times as long."""
    rows = []
    for i in range(count):
        middle = (1 + i) * math.exp(rng.gauss(0, drift)) * (1.1 if i == slow else 1)
        rows.append(result([middle * math.exp(rng.gauss(0, noise)) for _ in range(25)], q_len=i + 1, kv_len=i + 1))
    return document(rows)


def write(name, data):
    text = data if isinstance(data, bytes) else (data if isinstance(data, str) else json.dumps(data)).encode()
    pathlib.Path(name).write_bytes(text)
    return name


def compare(*words):
    return run(PROGRAM, "compare", *words)


def called(out):
    return [word for word in (line.rsplit(",", 1)[-1] for line in out.splitlines()[1:]) if word in ("slower", "faster")]


# ---------------------------------------------------------------------------------------------------------------------
# What it says

def test_statistics():
    rng = random.Random(19)
    write("a.json", many(rng, 400))
    write("b.json", many(rng, 400))
    status, out, err = compare("--csv", "--drift", "0", "a.json", "b.json")
    rows = out.splitlines()
    share = len(called(out)) / 400
    check("noise alone is called different in about one case of twenty", status == 0 and len(rows) == 401 and 0.005 < share < 0.07, f"{share} {err}")

    # runs that drift by 1.5 % each: their ratio does by 2.1 %, of which 95 % lie within 4.2 %
    write("a.json", many(rng, 200, drift=0.015))
    write("b.json", many(rng, 200, drift=0.015, slow=77))
    status, out, err = compare("--csv", "a.json", "b.json")
    slow = out.splitlines()[1 + 77]
    check("a workload that takes 1.1 times as long is caught", slow.endswith(",slower"), slow)
    check("runs that drift are called different in at most one case of twenty", status == 0 and len(called(out)) - 1 <= 10, len(called(out)))
    ratio = float(slow.split(",")[-3])
    check("its ratio is between what noise and drift allow", 1.03 < ratio < 1.17, slow)
    status, out, err = compare("--csv", "b.json", "a.json")
    check("the other way round it is faster", out.splitlines()[1 + 77].endswith(",faster"), out.splitlines()[1 + 77])

    base = result([1.0] * 25)
    write("a.json", document([base]))
    write("b.json", document([{**base, "ms": 1.2, "ms_low": 1.1, "ms_high": 1.4}]))
    status, out, err = compare("--csv", "--drift", "3", "a.json", "b.json")
    drift = math.log(1.03)
    low, high = 1.2 * math.exp(-math.hypot(math.log(1.2 / 1.1), drift)), 1.2 * math.exp(math.hypot(math.log(1.4 / 1.2), drift))
    check("the interval is what the method says", f"1.200,{low:.3f}..{high:.3f},slower" in out, out)


def test_gate():
    base = result([1.0] * 25)
    write("a.json", document([base]))
    for time, status_wanted in ((1.0, 0), (1.049, 0), (1.2, 3), (0.5, 0)):
        write("b.json", document([{**base, "ms": time, "ms_low": time, "ms_high": time}]))
        status, out, err = compare("--fail-above", "1.05", "--drift", "1", "a.json", "b.json")
        check(f"--fail-above 1.05 of a ratio of {time}", status == status_wanted and out, f"{status} {err}")
    write("b.json", document([{**base, "ms": 1.2, "ms_low": 0.9, "ms_high": 1.5}]))
    check("what noise explains does not fail", compare("--fail-above", "1.05", "a.json", "b.json")[0] == 0)
    write("b.json", document([{**base, "ms": 1.2, "ms_low": None, "ms_high": None}]))
    check("a single time is not called noise", compare("--fail-above", "1.05", "a.json", "b.json")[0] == 3)
    other = {**base, "q_len": 32}
    write("a.json", document([base, other]))
    write("b.json", document([base]))
    check("a workload that is gone fails", compare("--fail-above", "1.05", "a.json", "b.json")[0] == 3)
    check("without a gate it is said", "not compared: window:7,0 causal, 32 x 64, fp32: is not there" in compare("a.json", "b.json")[1])
    write("b.json", document([base, {name: other[name] for name in other if not name.startswith("ms")} | {"error": "it broke"}]))
    status, out, _ = compare("--fail-above", "1.05", "a.json", "b.json")
    check("so does one that failed, with its reason", status == 3 and "fp32: it broke" in out, out)
    for bad in ("0.9", "x", "-1", "nan"):
        check(f"--fail-above {bad} is refused", compare("--fail-above", bad, "a.json", "b.json")[:2] == (2, ""))
    check("--drift -1 is refused", compare("--drift", "-1", "a.json", "b.json")[:2] == (2, ""))


def test_forms():
    rng = random.Random(7)
    one = many(rng, 12)
    two = {"kind": "device", "device_index": 1, "device": "another", "implementation": "tulle", "driver": "d"}
    both = document(one["results"] + [{**row, "device_index": 1, "ms": row["ms"] * 2, "ms_low": row["ms_low"] * 2, "ms_high": row["ms_high"] * 2}
                                      for row in one["results"]], [DEVICE, two])
    write("both.json", both)
    status, out, err = compare("both.json")
    check("two devices of one file are compared", status == 0 and "12 slower" in out, err)
    check("the geometric mean is exact", [line.split()[2:] for line in out.splitlines() if line.startswith(("window ", "all "))]
          == [["2.000", "12"], ["2.000", "12"]], out)
    lines = [{name: both[name] for name in RUN}] + both["devices"] + both["results"] + [{"kind": "planning"}]
    write("both.jsonl", "\n".join(map(json.dumps, lines)) + "\n")
    check("JSON lines are the same", compare("both.jsonl")[1].replace(".jsonl", ".json") == out)
    status, out, err = compare("both.json", "both.jsonl", "both.json")
    check("many files", status == 0 and all(f"\n{letter}  " in "\n" + out for letter in "ABCDEF"), err)
    status, out, err = compare("--md", "both.json")
    table = [line for line in out.splitlines() if line.startswith("|")]
    check("--md", status == 0 and len(table) == 2 + 12 + 2 + 2, out)
    kernels = [result([1.0 + i] * 9, asked_kernel=kernel) for i, kernel in enumerate((None, "base", "rows"))]
    write("a.json", document(kernels))
    write("b.json", document(kernels[::-1]))
    status, out, err = compare("--csv", "a.json", "b.json")
    check("one workload by several kernels", status == 0 and out.count(",1.000,") == 3, out + err)
    write("b.json", document([result([3.0] * 9)]))
    status, out, err = compare("--csv", "a.json", "b.json")
    check("a file with one kernel is compared with all of another's", [line.split(",")[-3] for line in out.splitlines()[1:]] == ["3.000", "1.500", "1.000"], out)
    kinds = [result([1.0] * 9, pattern=f"{kind}", q_len=64 if phase == "prefill" else 1, phase=phase)
             for kind in ("window:7,0+global:3", "window:9,1+global:4", "blocks:64,@4x4p9") for phase in ("prefill", "decode")]
    write("a.json", document(kinds))
    write("b.json", document([{**row, "ms": 2.0, "ms_high": 2.0} if row["phase"] == "decode" else row for row in kinds]))
    out = compare("a.json", "b.json")[1]
    means = {tuple(line.split()[:2]): line.split()[2] for line in out.splitlines() if line.split()[1:2] in (["prefill"], ["decode"])}
    check("means go by kinds of terms and by phase", means == {("window+global", "prefill"): "1.000", ("window+global", "decode"): "2.000",
          ("blocks", "prefill"): "1.000", ("blocks", "decode"): "2.000"}, out)


def test_ragged():
    ragged = {"phase": "decode", "q_len": 1, "kv_len": 1024, "batch": 4, "pattern": "dense"}
    rows = [result([1.0 + i] * 9, **ragged, **least, pairs=4096 - 1000 * i) for i, least in enumerate(({}, {"kv_least": 64}, {"kv_least": 512}))]
    write("a.json", document(rows))
    write("b.json", document([{**row, "ms": 2 * row["ms"], "ms_low": None, "ms_high": None} for row in rows[::-1]]))
    status, out, err = compare("--csv", "a.json", "b.json")
    have = [line.split(",")[1:2] + line.split(",")[-3:-2] for line in out.splitlines()[1:]]
    check("batches of other lengths are other workloads", status == 0 and have == [["1 x 1024", "2.000"], ["1 x 64-1024", "2.000"], ["1 x 512-1024", "2.000"]], out + err)
    write("b.json", document([{**rows[0], "kv_least": 1024}]))
    status, out, err = compare("--csv", "a.json", "b.json")
    check("equal lengths are so, said or not", status == 0 and out.count(",1.000,") == 1, out + err)
    check("what is left out is named with its lengths", "not compared: dense causal, 1 x 64-1024, fp32: is not there" in compare("a.json", "b.json")[1])


# ---------------------------------------------------------------------------------------------------------------------
# What it refuses

def refused(title, says, *files):
    status, out, err = compare(*files)
    check(f"refused: {title}", status == 2 and out == "" and says in err and len(err.splitlines()) == 1, f"{status} {out[:200]} {err}")


def test_not_comparable():
    base = result([1.0] * 9)
    write("a.json", document([base]))
    refused("one file of one device", "nothing to compare it with", "a.json")
    for title, change, says in (
            ("other heads", {"heads": 8, "kv_heads": 8}, "heads 1 there and 8 here"), ("another length", {"kv_len": 65}, "kv_len 64 there and 65 here"),
            ("a ragged batch", {"kv_least": 3}, "kv_least 64 there and 3 here"), ("another dtype", {"dtype": "fp16"}, "of fp32 there and of fp16 here"), ("another pattern", {"pattern": "dense"}, "window:7,0 is not here"),
            ("other pairs of the same name", {"pairs": 485}, "selects another number of pairs"), ("reckoned", {"reckoned": True}, "reckoned"),
            ("failed", {"error": "it broke"}, "it broke")):
        write("b.json", document([{**base, **change}]))
        refused(title, says, "a.json", "b.json")


def test_no_bench_files():
    base = result([1.0] * 9)
    good = document([base])
    write("a.json", good)
    text = json.dumps(good, indent=1)

    def changed(*path, to):
        data = copy.deepcopy(good)
        at = data
        for name in path[:-1]:
            at = at[name]
        at[path[-1]] = to
        return data

    kinds = {
        "empty": (b"", "is empty"), "of blanks": (b" \n\t", "is empty"), "no JSON": (b"hello", "line 1: it is not JSON"),
        "a number": (b"17", "its format is not"), "an empty object": (b"{}", "its format is not"), "a list": (b"[1, 2]", "its format is not"),
        "foreign": (b'{"context": {"date": "x"}, "benchmarks": []}', "its format is not"), "a byte 0": (b'{"a": "\0"}', "byte 0"),
        "binary": (bytes(range(1, 256)), "not JSON"), "deep": (b"[" * 100000, "not JSON"), "something behind it": (text + "{}", "after the bench's object"),
        "truncated": (text[:len(text) // 2], "it ends early"), "a newer format": ({**good, "format_version": 2}, "format_version"),
        "no results": ({**good, "results": []}, "has no results"), "results that are none": ({**good, "results": {"a": 1}}, "not lists"),
        "no devices": ({**good, "devices": []}, "no device has"), "a device twice": ({**good, "devices": [DEVICE, DEVICE]}, "two devices"),
        "a workload twice": ({**good, "results": [base, base]}, "there twice"), "too many devices": ({**good, "devices": [{**DEVICE, "device_index": i} for i in range(30)]}, "more than 26"),
        "too many results": ({**good, "results": [{**base, "q_len": i + 1} for i in range(10001)]}, "more than 10000"),
        "a device without a name": (changed("devices", 0, "device", to=3), "device is not a string"),
        "a time that is text": (changed("results", 0, "ms", to="1"), "ms is not a time"), "a time below 0": (changed("results", 0, "ms", to=-1), "ms is not a time"),
        "a time of 0": (changed("results", 0, "ms", to=0), "ms is 0"), "an infinite time": (text.replace('"ms": 1.0', '"ms": 1e999'), "ms is not a time"),
        "an interval beside its median": (changed("results", 0, "ms_low", to=2), "not between"), "half a head": (changed("results", 0, "heads", to=1.5), "heads is not a whole"),
        "a shortest above the longest": (changed("results", 0, "kv_least", to=65), "kv_least is above kv_len"),
        "no heads": (changed("results", 0, "heads", to=0), "heads is not a whole"), "a huge number": (changed("results", 0, "pairs", to=1e300), "pairs is not a whole"),
        "a long name": (changed("results", 0, "pattern", to="x" * 100000), "pattern is not a string"), "causal of 1": (changed("results", 0, "causal", to=1), "causal is not"),
    }
    for title, (data, says) in kinds.items():
        refused(title, says, "a.json", write("bad.json", data))
    check("nothing was written", sorted(os.listdir(".")) == sorted(["a.json", "b.json", "bad.json", "both.json", "both.jsonl"]), os.listdir("."))
    refused("no such file", "cannot open", "a.json", "none.json")
    refused("a folder", "not a regular file", "a.json", ".")
    os.mkfifo("pipe")
    refused("a pipe", "not a regular file", "a.json", "pipe")
    with open("huge.json", "wb") as file:
        file.truncate(1 << 40)
    refused("a tebibyte", "at most 67108864 are read", "a.json", "huge.json")
    os.remove("huge.json")

    write("bad.json", changed("devices", 0, "device", to="\x1b[31mred\x07\u0085"))
    status, out, _ = compare("a.json", "bad.json")
    check("a name cannot steer the terminal", status == 0 and "?[31mred?" in out and "\x1b" not in out and "\u0085" not in out, out)

    wrong = [at for at in range(1, len(text) - 1, 61) if compare("a.json", write("bad.json", text[:at]))[:2] != (2, "")]
    check("cut off anywhere it is refused", not wrong, wrong)
    rng, wrong = random.Random(3), []
    for trial in range(150):
        data = bytearray(text.encode())
        for _ in range(rng.choice((1, 1, 3, 20))):
            data[rng.randrange(len(data))] = rng.choice(b'{}[]",:0-9eE.\\nul\xff\x01')
        status, out, err = compare("a.json", write("bad.json", bytes(data)))
        if status not in (0, 2) or (status == 2 and (out or len(err.splitlines()) != 1)):
            wrong.append((trial, status, err))
    check("with bytes changed it is read or refused", not wrong, wrong)


def test_faked():
    if run(PROGRAM, "info")[0]:
        skip("two benches of one device", "there is no device")
        return
    for name, env in (("a", {"TULLE_FAKE_SEED": "1"}), ("b", {"TULLE_FAKE_SEED": "2"}), ("slow", {"TULLE_FAKE_SEED": "3", "TULLE_FAKE_SLOW": "12"})):
        status, out, err = run(FAKED, "bench", "--quick", "--json", env=env)
        write(f"{name}.json", out)
    status, out, err = compare("--fail-above", "1.05", "a.json", "b.json")
    check("two benches of one device: nothing is different", status == 0 and "16 compared: 0 slower, 0 faster" in out, out + err)
    status, out, err = compare("--fail-above", "1.05", "a.json", "slow.json")
    check("and one of which a workload is 10 % slower: that one is", status == 3 and "16 compared: 1 slower, 0 faster" in out, out + err)


def main():
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        test_statistics()
        test_gate()
        test_forms()
        test_ragged()
        test_not_comparable()
        test_no_bench_files()
        test_faked()
        os.chdir("/")
    done()


main()
