#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`tulle report`: what it refuses, that no text of a file gets out of its place, and where charts put their marks.

    test_report.py PROGRAM     PROGRAM is tulle

Prints TAP. Needs neither a Vulkan device nor a browser; test_report_browser.py looks at the page.
"""
import base64
import copy
import hashlib
import html.parser
import json
import math
import os
import pathlib
import random
import re
import sys
import tempfile

sys.dont_write_bytecode = True  # the source folder is left as it is
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from tap import check, done, run  # noqa: E402

PROGRAM = str(pathlib.Path(sys.argv[1]).resolve())
ASSETS = HERE.parents[1] / "tools/report"
REAL = [str(HERE.parents[1] / f"tests/data/bench/mesa-{release}.json") for release in ("22.3", "25.0", "26.1")]
RUN = {"kind": "run", "format": "tulle-bench", "format_version": 1, "program": "tulle", "version": "0.1.0", "commit": None,
       "date": "2026-11-28T12:00:00Z", "host": {"name": "h", "cpu": "a CPU", "cpus": 2, "memory_bytes": 1, "os": "an OS", "kernel": "k", "load": 0}}
DEVICE = {"kind": "device", "device_index": 0, "device": "a device", "implementation": "tulle", "driver": "d", "type": "CPU",
          "clock": {"source": "wall clock", "resolution_ns": 1}}
VOID = {"meta", "link", "wbr", "input", "br"}


# ---------------------------------------------------------------------------------------------------------------------
# Files made by program, and pages read

def result(ms, **fields):
    row = {"kind": "result", "device_index": 0, "device": "a device", "error": None, "pattern": "window:7,0", "causal": False, "phase": "prefill",
           "batch": 1, "heads": 1, "kv_heads": 1, "q_len": 1000, "kv_len": 1000, "head_dim": 64, "v_head_dim": 64, "dtype": "fp32",
           "pairs": 100000, "ms": ms, "ms_low": ms, "ms_high": ms, "reckoned": False, "limit": "multiply-adds", "limit_share": 0.5}
    return {**row, **fields}


def document(results, devices=None, **fields):
    return {**RUN, "devices": devices or [DEVICE], "results": results, "planning": [], **fields}


def write(name, data):
    text = data if isinstance(data, bytes) else (data if isinstance(data, str) else json.dumps(data)).encode()
    pathlib.Path(name).write_bytes(text)
    return name


class Page(html.parser.HTMLParser):
    """A page as elements: (tag, attributes, text of its own and of what is in it), in the order in which they begin."""

    def __init__(self, text):
        super().__init__()
        self.source, self.elements, self.open, self.wrong = text, [], [], []
        self.feed(text)
        self.close()
        self.wrong += [f"<{element[0]}> is left open" for element in self.open]

    def handle_starttag(self, tag, attrs):
        element = [tag, dict(attrs), []]
        if len(element[1]) != len(attrs):
            self.wrong.append(f"<{tag}> has an attribute twice")
        self.elements.append(element)
        if tag in VOID:
            element[2] = ""
        else:
            self.open.append(element)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open[-1][0] != tag:
            self.wrong.append(f"</{tag}> closes nothing")
        else:
            element = self.open.pop()
            element[2] = "".join(element[2])

    def handle_data(self, data):
        for element in self.open:
            element[2].append(data)

    def all(self, tag, **wanted):
        """Elements with all these classes and attributes."""
        classes = set(wanted.pop("classes", "").split())
        return [e for e in self.elements if e[0] == tag and classes <= set((e[1].get("class") or "").split())
                and all(e[1].get(name) == value for name, value in wanted.items())]


def report(*files, to="page.html"):
    return run(PROGRAM, "report", *files, "-o", to)


def page(*documents):
    """The page of documents; it must be well formed and stand alone."""
    files = [name if isinstance(name, str) else write(f"in{i}.json", name) for i, name in enumerate(documents)]
    status, out, err = report(*files)
    if status or out or err:
        check("a page is written", False, f"{status} {out} {err}")
        return Page("")
    return Page(pathlib.Path("page.html").read_text(encoding="utf-8"))


def section(read, name):
    """What of a page stands in a section."""
    found = re.search(f'<section id="{name}".*?</section>', read.source, re.S)
    return Page(found.group() if found else "")


def stands_alone(read):
    """What is wrong with a page, in words."""
    wrong = list(read.wrong)
    css, js = ((ASSETS / f"page.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    if [e[2] for e in read.all("script")] != [js] or [e[2] for e in read.all("style")] != [css]:
        wrong.append("another script or style than the page's own")
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (css, js)]
    policy = read.all("meta", **{"http-equiv": "Content-Security-Policy"})[0][1]["content"]
    if not policy.startswith("default-src 'none';") or any(f"'sha256-{digest}'" not in policy for digest in hashes):
        wrong.append(f"the policy is {policy}")
    ids = [e[1]["id"] for e in read.elements if "id" in e[1]]
    if len(ids) != len(set(ids)):
        wrong.append("an id is there twice")
    for tag, attributes, _ in read.elements:
        for name, value in attributes.items():
            if name.startswith("on") or name in ("style", "src", "srcset", "action", "formaction"):
                wrong.append(f"<{tag} {name}>")
            if name == "href" and value != "data:," and value[1:] not in ids:
                wrong.append(f"<{tag} href={value}>")
            if name in ("aria-labelledby", "aria-describedby") and value not in ids:
                wrong.append(f"<{tag} {name}={value}>")
    return wrong


# ---------------------------------------------------------------------------------------------------------------------
# What it says

def test_real():
    read = page(*REAL)
    check("a page of three devices is well formed and needs nothing else", not stands_alone(read), "\n".join(stands_alone(read)))
    check("a card for each device", len(section(read, "devices").all("article")) == 3)
    names = [json.loads(pathlib.Path(file).read_text(encoding="utf-8"))["devices"][0]["device"] for file in REAL]
    check("with its name", [e[2] for e in section(read, "devices").all("span", classes="name")] == names)
    check("a chart for each pattern, of lines for each device", (len(section(read, "lengths").all("figure")), len(section(read, "lengths").all("path", classes="line")))
          == (8, 8 * 3 + 3), len(section(read, "lengths").all("figure")))
    for name, charts in (("limits", 2), ("density", 2)):
        check(f"charts of {name} for each length", len(section(read, name).all("figure")) == charts)
    drawings = read.all("svg", role="img")
    described = {e[1]["id"]: e[2] for e in read.elements if e[1].get("id", "").startswith(("about", "chart"))}
    check("each chart has a name and a description", len(drawings) == 12 and all(described[e[1]["aria-labelledby"]] and len(described[e[1]["aria-describedby"]]) > 40
                                                                               for e in drawings))
    check("16 ratios of two devices each", len(section(read, "ratios").all("td")) == 16 * 3)
    check("48 results", len(section(read, "results").all("tr")) == 1 + 48)
    first = pathlib.Path("page.html").read_bytes()
    page(*REAL)
    check("the same files give the same page", first == pathlib.Path("page.html").read_bytes())


def places(read, name):
    """Of each mark in a section's charts: (class, x, y)."""
    drawings = "".join(re.findall('<svg[^>]*role="img".*?</svg>', section(read, name).source, re.S))
    return [(e[1]["class"], float(e[1]["x"]), float(e[1]["y"])) for e in Page(drawings).all("use")]


def test_lengths():
    read = page(document([result(10.0 ** i, q_len=10 ** (i + 2), kv_len=10 ** (i + 2)) for i in range(3)]))
    marks = places(read, "lengths")
    check("ten times as long and ten times the time are equal steps on both axes",
          len(marks) == 3 and math.isclose(marks[1][1] - marks[0][1], marks[2][1] - marks[1][1], abs_tol=0.11) and marks[1][1] - marks[0][1] > 50
          and math.isclose(marks[0][2] - marks[1][2], marks[1][2] - marks[2][2], abs_tol=0.11) and marks[0][2] - marks[1][2] > 50, marks)
    check("the axes have titles with units", {"length (tokens)", "median time"} <= {e[2] for e in section(read, "lengths").all("text")}
          and {"1 ms", "10 ms", "100 ms", "100", "1,000", "10,000"} <= {e[2] for e in section(read, "lengths").all("text")})
    masks = [result(i, pattern=f"blocks:64,@{i}x{i}p12", q_len=64 * i, kv_len=64 * i) for i in (8, 16)]
    names = [e[2] for e in section(page(document(masks)), "lengths").all("figcaption")]
    check("made-up masks of one kind are one pattern", names == ["blocks:64,@…p12"], names)
    decode = [result(i, phase="decode", q_len=1, kv_len=64 * i) for i in (8, 16)]
    check("decode is against keys, apart from prefill", "1 query" in section(page(document(decode + masks)), "lengths").source)
    ragged = [result(2 * i, phase="decode", q_len=1, kv_len=64 * i, kv_least=8 * i, bytes_per_s=2.5e9, tokens_per_s=1234) for i in (8, 16)]
    read = page(document(decode + ragged))
    check("ragged batches have a chart of their own", "1 query, ragged" in section(read, "lengths").source and len(section(read, "lengths").all("figure")) == 2
          and {"keys of the longest (tokens)", "keys (tokens)"} <= {e[2] for e in section(read, "lengths").all("text")}, section(read, "lengths").source)
    cells = {e[2] for e in section(read, "results").all("td")}
    check("from their shortest to their longest, with their rates", {"1 × 128–1,024", "2.50", "1,234"} <= cells, cells)
    read = page(document([result(1)]))
    check("one length is no line", not section(read, "lengths").all("figure") and "1 pattern was measured at one length only" in read.source)
    check("what was reckoned is no point", not section(page(document([result(1), result(9, q_len=2000, kv_len=2000, reckoned=True)])), "lengths").all("figure"))


def test_limits():
    read = page(document([result(1, limit_share=share, limit=limit, causal=causal) for share, limit, causal in ((0.5, "multiply-adds", False), (0.25, "copy", True))]))
    (filled, half, _), (hollow, quarter, _) = places(read, "limits")
    ticks = {e[2]: float(e[1]["x"]) for e in section(read, "limits").all("text", classes="middle")}
    check("50 % is midway between 0 and 100", math.isclose(half, (ticks["0 %"] + ticks["100 %"]) / 2, abs_tol=0.11), (half, ticks))
    check("25 % midway to that", math.isclose(quarter, (ticks["0 %"] + half) / 2, abs_tol=0.11), quarter)
    check("where copying binds the mark is hollow", "hollow" in hollow and "hollow" not in filled)
    models = [result(1, model=f"model {i}", sink_logits=i == 3, heads=i + 1) for i in range(20)]
    read = section(page(document(models)), "limits")
    check("workloads of one shape each share charts", [e[2] for e in read.all("figcaption")] == ["Workloads of one shape each"] * 3)
    check("with their model and shape", "model 3: window:7,0 sink logits" in [e[2].split("</")[0] for e in read.all("title")]
          and "1,000, 4 heads on 1, head size 64, fp32" in [e[2] for e in read.all("text")])
    read = page(document([{name: value for name, value in result(1).items() if not name.startswith("limit")}]))
    check("without limits it is said", "No file says what share" in section(read, "limits").source)


def test_density():
    def turns(*costs, dense=10.0):
        """What is said of sparse workloads: (density, time over dense's)."""
        rows = [result(cost * dense, pattern=f"window:{i},0", pairs=round(share * 1e6)) for i, (share, cost) in enumerate(costs)]
        read = page(document(rows + ([result(dense, pattern="dense", pairs=1000000)] if dense != 10.5 else [])))
        return [e[2].strip() for e in section(read, "density").all("ul", classes="turns")], read

    said, read = turns((0.1, 0.5), (0.4, 2.0))
    check("the crossover is between what was measured on either side", said == ["A sparse wins below 20.0 %"], said)
    line = [e[1]["d"] for e in section(read, "density").all("path", classes="turn")]
    ticks = {e[2]: float(e[1]["x"]) for e in section(read, "density").all("text", classes="middle")}
    wanted = ticks["10 %"] + (ticks["100 %"] - ticks["10 %"]) * math.log10(2)
    check("and it is marked there", len(line) == 1 and math.isclose(float(line[0][1:].split()[0]), wanted, abs_tol=0.11), (line, wanted))
    marks = places(read, "density")
    check("ten times the density is the same step everywhere", math.isclose(marks[1][1] - marks[0][1], (ticks["100 %"] - ticks["10 %"]) * math.log10(4), abs_tol=0.11), marks)
    for title, costs, wanted in (("sparse wins everywhere", ((0.1, 0.5), (0.4, 0.9)), "A sparse wins at every density measured, up to 40.0 %"),
                                 ("dense wins everywhere", ((0.1, 1.5), (0.4, 2)), "A dense wins at every density measured, down to 10.0 %"),
                                 ("by the pattern", ((0.1, 0.5), (0.2, 1.5), (0.4, 0.9)), "A sparse wins below 20.0 %, and up to 40.0 % it goes by the pattern")):
        said, _ = turns(*costs)
        check(f"the crossover: {title}", said == [wanted], said)
    said, _ = turns((0.1, 0.5), (0.4, 0.9), dense=10.5)
    check("without dense there is none", said == ["A not both sparse and dense were measured"], said)
    ragged = {"phase": "decode", "q_len": 1, "kv_len": 1000, "kv_least": 200, "batch": 4, "causal": True}
    rows = [result(9.0, **ragged, pairs=2400, pattern="dense"), result(1.0, **ragged, pairs=240), result(3.0, **ragged, pairs=600, pattern="sink:3")]
    titles = [e[2] for e in section(page(document(rows)), "density").all("title")]
    check("of a ragged batch all pairs are those of its caches", any("at 100 %" in title for title in titles) and any("at 10.0 %" in title for title in titles), titles)
    rows = [result(5.0, dense_ms=10.0), result(6.0, dense_ms=10.0, pattern="sink:3", pairs=200000)]
    said = section(page(document(rows)), "density").source
    check("dense's time beside another is taken", "sparse wins at every density measured, up to 20.0 %" in said)
    check("one density has no chart", not section(page(document(rows[:1])), "density").all("figure"))
    check("dense alone has no chart", not section(page(document([result(5.0, pattern="dense")])), "density").all("figure"))


def test_crossovers():
    """What tulle bench --crossover found, of one document and of lines."""
    one = {"kind": "crossover", "device_index": 0, "device": "a device", "name": "<window>", "template": "window:{x},0", "by": "density", "causal": True,
           "length": 4096, "head_dim": 64, "dtype": "fp32", "verdict": "crosses", "complete": True, "value": 0.4}
    found = [one, {**one, "verdict": "always"}, {**one, "verdict": "never", "complete": False}, {**one, "verdict": "unknown"},
             {**one, "by": "length", "value": 2048}, {**one, "by": "length", "verdict": "never", "value": 2048}, {**one, "device_index": 1}]
    said = ["sparse wins below 40.0 % of dense’s pairs", "sparse wins at all that was measured, up to 40.0 % of dense’s pairs",
            "dense wins at all that was measured, down to 40.0 % of dense’s pairs, not closer than that", "not known", "sparse wins from 2,048 tokens",
            "dense wins at all that was measured, up to 2,048 tokens"]
    # the bench writes them without results
    whole, beside = document([], crossovers=found), document([result(1.0)], crossovers=found)
    lines = write("lines.jsonl", "\n".join(map(json.dumps, [RUN, DEVICE, *found])))
    for title, file in (("a document", whole), ("a document with results", beside), ("lines", lines)):
        read = section(page(file), "density")
        cells = [e[2] for e in read.all("td")]
        check(f"crossovers of {title}", cells[6::7] == said and cells[1] == "<window>" and cells[2:6] == ["window:{x},0 causal", "fp32", "64", "4,096"], cells)


def test_ratios():
    base = [result(1.0, q_len=n, kv_len=n) for n in range(1000, 1009)]
    times = (1.0, 1.2, 1.5, 2.5, 5, 1 / 1.2, 1 / 1.5, 1 / 2.5, 1 / 5)
    read = page(document(base), document([{**row, "ms": t, "ms_low": t, "ms_high": t} for row, t in zip(base, times)]))
    cells = [e for e in section(read, "ratios").all("td")][1::2]
    said = [(e[1]["class"].replace("heat", "").strip(), e[2].split()[0], e[2].split()[-1]) for e in cells]
    check("ratios have their colour, number and word", said == [("", "1.00", "noise"), ("slow1", "1.20", "slower"), ("slow2", "1.50", "slower"), ("slow3", "2.50", "slower"),
                                                                ("slow4", "5.00", "slower"), ("fast1", "0.833", "faster"), ("fast2", "0.667", "faster"),
                                                                ("fast3", "0.400", "faster"), ("fast4", "0.200", "faster")], said)
    mean = math.exp(sum(map(math.log, times)) / 9)
    check("the card has their geometric mean", f"{mean:.2f} ×" in section(read, "devices").source and "mean of 9" in section(read, "devices").source)
    read = page(document(base[:2]), document([{**base[0], "error": "it <broke>"}, {**base[2], "ms": 3.0, "ms_high": 3.0}]))
    said = [e[2] for e in section(read, "ratios").all("td")][1::2]
    check("what cannot be compared has its reason", said == ["– it <broke>", "– is not there"], said)
    check("and what the base has not is counted", "1 workload of other devices is not among A’s" in read.source)
    check("no workload in common is said on the card", "no workload in common with A" in section(read, "devices").source)
    check("one device has nothing to compare with", "nothing to compare it with" in section(page(document(base)), "ratios").source)


def test_results():
    rows = [result(1.0), {name: value for name, value in result(1.0, q_len=9, error="no memory").items() if not name.startswith("ms")}, result(1.0, q_len=8, reckoned=True)]
    read = section(page(document(rows)), "results")
    cells = [sum(1 for _ in re.finditer("<td", row)) for row in read.source.split("<tr>")[2:]]
    check("each row has a cell for each heading", cells == [len(read.all("th"))] * 3, cells)
    check("why there is no time stands in its row", "no memory" in read.source and "reckoned from a shorter one" in read.source)
    shapes = section(page(document([result(1.0, batch=2, heads=8, kv_heads=2, v_head_dim=128, q_len=1)])), "results")
    check("a shape is read in three cells", [e[2] for e in shapes.all("td", classes="number")][:3] == ["1 × 1,000", "2 × 8 / 2", "64 / 128"])
    card = section(page(document(rows)), "devices").source
    check("and the card counts both", "1 measured, 1 reckoned, 1 failed" in card)


# ---------------------------------------------------------------------------------------------------------------------
# Text from files

def test_escaping():
    evil = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&amp;</style></title><!-- \u202e 漢字"
    texts = ("device", "driver", "driver_info", "type", "vendor", "api_version", "implementation")
    device = {**DEVICE, **{name: f"{evil} {name}" for name in texts}, "clock": {"source": evil, "resolution_ns": 1}}
    rows = [result(1.0 + i, q_len=1000 << i, kv_len=1000 << i, **{name: evil + name for name in ("pattern", "dtype", "phase", "kernel", "limit", "asked_kernel")}) for i in range(2)]
    rows.append({**result(1.0), "error": evil})
    both = document(rows, [device], program=evil, version=evil, commit=evil, date=evil, host={"cpu": evil, "os": evil})
    name = write("<b>&\"'.json", both)
    read = page(name, {**both, "results": [{**row, "ms": 3.0, "ms_high": 3.0} if row["error"] is None else row for row in rows]})
    check("text of a file stays text", not stands_alone(read), "\n".join(stands_alone(read)))
    check("no element is made of it", not read.all("img") and all(e[1].get("class", "").startswith("letter") for e in read.all("b")))
    check("it can be read as it was", all(f"{evil} {name}" in [e[2] for e in read.all("dd")] + [e[2] for e in read.all("span")]
                                          for name in ("device", "driver_info", "type", "vendor", "api_version")))
    check("so can patterns and errors", f"{evil}pattern" in [e[2] for e in read.all("td")] and evil in [e[2] for e in read.all("td")])
    os.remove(name)
    write("bad.json", json.dumps(document([result(1.0)], [{**DEVICE, "device": "X"}])).encode().replace(b'"X"', b'"a\xff\xc0\xafb\xed\xa0\x80\xf5c"'))
    read = page("bad.json")
    check("what is not UTF-8 is replaced", [e[2] for e in section(read, "devices").all("span", classes="name")] == ["a\ufffd\ufffd\ufffdb\ufffd\ufffd\ufffd\ufffdc"],
          [e[2] for e in section(read, "devices").all("span", classes="name")])
    long = page(document([result(1.0, pattern="window:1,0+" * 30 + "dense"), result(1.0, pattern="漢" * 100)]))
    labels = [e[2].split("dense", 1)[-1] for e in section(long, "limits").all("text", classes="pattern")]
    check("a long name is cut where it has no room", any(label.endswith("…") and len(label) == 52 for label in labels) and any("漢" * 25 + "…" in label for label in labels), labels)


# ---------------------------------------------------------------------------------------------------------------------
# What it refuses

def test_arguments():
    write("a.json", document([result(1.0)]))
    for title, words, says in (("no file", ("-o", "page.html"), "no file is given"), ("no output", ("a.json",), "-o FILE is missing"),
                               ("two outputs", ("a.json", "-o", "x.html", "--output", "y.html"), "given twice"), ("an unknown option", ("--dance",), "--dance")):
        status, out, err = run(PROGRAM, "report", *words)
        check(f"{title} is refused", status == 2 and not out and says in err and "--help" in err, err)
    before = pathlib.Path("a.json").read_bytes()
    os.symlink("a.json", "link.json")
    for to in ("a.json", "./a.json", "link.json"):
        status, out, err = report("a.json", to=to)
        check(f"{to} as input and output is refused", status == 2 and "is an input and the output" in err and pathlib.Path("a.json").read_bytes() == before, err)
    os.remove("link.json")
    for title, to, says in (("no such folder", "none/page.html", "cannot write"), ("a folder", ".", "not a regular file"), ("no name", "", "a file's name is wanted")):
        status, out, err = report("a.json", to=to)
        check(f"into {title}: a message", status == 2 and not out and says in err, err)


def unchanged(*files):
    """Refused with one line, and the page that was there stays."""
    status, out, err = report(*files)
    good = status == 2 and not out and len(err.splitlines()) == 1 and pathlib.Path("page.html").read_text(encoding="utf-8") == "before"
    return good and not [name for name in os.listdir(".") if ".tulle-" in name], err


def test_no_bench_files():
    good = document([result(1.0), result(2.0, q_len=2000, kv_len=2000)])
    write("a.json", good)
    text = json.dumps(good)
    write("page.html", "before")
    kinds = {"empty": (b"", "is empty"), "no JSON": (b"hello", "not JSON"), "truncated": (text[:len(text) // 2], "ends early"), "a byte 0": (b'{"a": "\0"}', "byte 0"),
             "binary": (bytes(range(1, 256)), "not JSON"), "deep": (b"[" * 100000, "not JSON"), "foreign": (b'{"benchmarks": []}', "its format is not"), "a list": ("[1]", "its format is not"),
             "of a newer version": ({**good, "format_version": 2}, "format_version"), "without results": ({**good, "results": []}, "has no results"),
             "with a time that is text": (text.replace('"ms": 1.0', '"ms": "<b>"'), "not a time")}
    for title, (data, says) in kinds.items():
        write("bad.json", data)
        kept, err = unchanged("a.json", "bad.json")
        check(f"a file that is {title}: a message, nothing written", kept and says in err, err)
    with open("huge.json", "wb") as file:
        file.truncate(1 << 40)
    for title, name, says in (("huge", "huge.json", "are read"), ("a folder", ".", "not a regular file"), ("missing", "none.json", "cannot open")):
        kept, err = unchanged("a.json", name)
        check(f"a file that is {title}: a message, nothing written", kept and says in err, err)
    os.remove("huge.json")
    wrong = [at for at in range(1, len(text) - 1, 41) if not unchanged(write("bad.json", text[:at]))[0]]
    check("cut off anywhere it is refused", not wrong, wrong)


def test_changed_bytes():
    text = json.dumps(json.loads(pathlib.Path(REAL[2]).read_text(encoding="utf-8"))).encode()
    rng, wrong, pages = random.Random(5), [], 0
    for trial in range(120):
        data = bytearray(text)
        for _ in range(rng.choice((1, 3, 20))):
            data[rng.randrange(len(data))] = rng.choice(b'<>"&{}[],:0-9eE.\\\xff\x01')
        status, _, err = report(write("bad.json", bytes(data)))
        if status == 0:
            pages += 1
            found = stands_alone(Page(pathlib.Path("page.html").read_text(encoding="utf-8")))
        if status not in (0, 2) or (status == 0 and found) or (status == 2 and len(err.splitlines()) != 1):
            wrong.append((trial, status, err))
    check("with bytes changed there is a page or a message", not wrong and pages > 5, f"{pages} {wrong}")


def test_sizes():
    devices = [{**DEVICE, "device_index": i, "device": f"device {i}"} for i in range(26)]
    rows = [result(1.0 + i / 10, device_index=i, q_len=n, kv_len=n) for i in range(26) for n in (1000, 2000)]
    read = page(document(rows, devices))
    check("26 devices", not stands_alone(read) and len(section(read, "devices").all("article")) == 26)
    few = [row for row in rows if row["device_index"] < 8]
    top = [{**row, "ms": ms, "ms_low": ms, "ms_high": ms} for row in few for ms in [row["q_len"] / 1000]]
    heights = sorted(float(e[1]["y"]) for e in section(page(document(top, devices)), "lengths").all("text", classes="letter"))
    check("letters of lines that end together stand apart, in the chart", len(heights) == 8 and heights[0] >= 26 and heights[-1] <= 204
          and all(b - a > 11.8 for a, b in zip(heights, heights[1:])), heights)
    page(document(rows, devices))
    looks = {(e[1]["href"], e[1]["class"]) for e in section(read, "lengths").all("use")}
    check("no two look alike", len(looks) == 26, len(looks))
    lines = [{**RUN}] + devices + rows
    first = pathlib.Path("page.html").read_bytes()
    report(write("in0.json", "\n".join(map(json.dumps, lines))))
    check("JSON lines give the same page", pathlib.Path("page.html").read_bytes() == first)
    rows = [result(1.0, pattern=f"window:{i},0", head_dim=4 + 4 * (i % 64), q_len=n, kv_len=n) for i in range(1000) for n in (1000, 2000)]
    read = page(document(rows))
    check("2,000 results: as many charts as can be looked at", len(section(read, "lengths").all("figure")) == 48 and "952 more charts are left out" in section(read, "lengths").source)
    check("and all of them in the table", len(section(read, "results").all("tr")) == 2001)
    extremes = [result(ms, q_len=n, kv_len=n, limit_share=share, pairs=pairs, ms_low=None, ms_high=None) for ms, n, share, pairs in
                ((5e-324, 1, 0, 0), (1.7e308, 9007199254740992, 1e300, 9007199254740992), (1e-99, 2, 1e-300, 1), (1e99, 4, 999, 1))]
    read = page(document(extremes))
    check("extreme numbers", not stands_alone(read) and not re.search(r"\b(nan|inf)\b", read.source.split("<body>")[1].split("<script>")[0]))


def main():
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        test_real()
        test_lengths()
        test_limits()
        test_density()
        test_crossovers()
        test_ratios()
        test_results()
        test_escaping()
        test_arguments()
        test_no_bench_files()
        test_changed_bytes()
        test_sizes()
        os.chdir("/")
    done()


main()
