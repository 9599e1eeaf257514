#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The table of patterns (tools/patterns_table.py): all of them at a small length, and what it marks.

    test_patterns_table.py PROGRAM     PROGRAM is tulle

Prints TAP. Needs a Vulkan device.
"""
import math
import pathlib
import re
import stat
import sys
import tempfile

sys.dont_write_bytecode = True  # the source folder is left as it is
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from tap import check, done, run  # noqa: E402

PROGRAM = pathlib.Path(sys.argv[1]).resolve()
SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "tools/patterns_table.py"
COLUMNS = 9
FOLDER = tempfile.TemporaryDirectory()
# a program that plans everything alike: five times what is selected, a millisecond over what is asked; one pattern never ends,
# one is refused
FAKED = r"""#!/usr/bin/env python3
import json, sys, time
spec = sys.argv[2]
if spec == "strided:1000":
    time.sleep(60)
if "chunked" in spec:
    sys.exit("tulle show: it is refused")
print(json.dumps({"device": "d", "driver": "v", "kernel": "k", "tile_rows": 16, "chunk_keys": 4, "plan_ms": 1.1 + 0.1 * ("window" in spec),
                  "pairs": 1000, "visited": 1251 if "sink" in spec else 1250 if "dense" in spec else 5000, "tiles": 100, "runs": 10000,
                  "items": 7, "dispatches": 3, "device_bytes": 9600}))
"""


def made(*words, program=PROGRAM):
    """What it wrote, its rows as lists of cells by heading of their section, and its notes."""
    page = pathlib.Path(FOLDER.name) / "page.md"
    page.unlink(missing_ok=True)
    status, _, err = run(str(SCRIPT), "--program", str(program), "--output", str(page), *words)
    if status:
        return err, {}, []
    text = page.read_text(encoding="utf-8")
    tables = {}
    for section in text.split("\n## ")[1:]:
        lines = [line[2:-2].split(" | ") for line in section.splitlines() if line.startswith("| ")]
        tables[section.splitlines()[0]] = lines[1:]
    return text, tables, [line for line in text.splitlines() if line.startswith("- ")]


def number(cell):
    return float(cell.strip("*").replace(",", ""))


text, tables, notes = made("--lengths", "320", "--budget", "0")
rows = tables.get("n = 320", [])
check("forty patterns and more, each once", len(rows) >= 40 and len({row[0] for row in rows}) == len(rows), text)
check("as many cells in each row", all(len(row) == COLUMNS for row in rows), text)
kinds = "dense window dilated global sink prefix a_shape strided chunked fixed vertical_slash neighborhood blocks random documents".split()
check("every kind of term", all(any(re.search(rf"\b{kind}\b", row[0]) for row in rows) for kind in kinds), text)
check("unions and intersections", any("+" in row[0] for row in rows) and any("&" in row[0] for row in rows), text)
check("none is left out", not any("left out" in note for note in notes), notes)
check("every cell is a number, but for the time of what was not run",
      all(math.isfinite(number(cell)) for row in rows for cell in row[1:-1]) and all(row[-1] == "–" for row in rows), text)
check("nothing is visited less often than it is selected", all(number(row[2]) >= 1 for row in rows), text)
by_name = {row[0]: row for row in rows}
check("dense is all pairs, causal half of them", [number(by_name[name][1]) for name in ("`dense`", "`dense` causal")] == [320 * 320, 320 * 321 / 2]
      if rows else False, text)
check("who measured what, when and where", re.search(r"\d{4}-\d\d-\d\d, commit \S+; .+ \(.+\), on .+; kernel `\w+`, tiles of \d+ rows", text), text)

text, tables, _ = made("--lengths", "256,512", "--budget", "5", "--only", "dense")
times = [row[-1] for rows in tables.values() for row in rows]
check("dense takes as long as dense, at each length", list(tables) == ["n = 256", "n = 512"] and times == ["1.00"] * 4, text)

faked = pathlib.Path(FOLDER.name) / "faked"
faked.write_text(FAKED, encoding="utf-8")
faked.chmod(faked.stat().st_mode | stat.S_IXUSR)
text, tables, notes = made("--lengths", "1000", "--budget", "0", "--patience", "1", "--only", "strided:1000", program=faked)
check("one that takes too long is left out", len(notes) == 1 and "takes over 1 s" in notes[0] and
      tables["n = 1,000"][0][1:] == ["–"] * (COLUMNS - 1), text)
text, tables, notes = made("--lengths", "1000", "--budget", "0", "--only", "chunked:1024", program=faked)
check("one that is refused is left out, with the reason", len(notes) == 1 and notes[0].endswith("left out, it is refused"), text)
text, tables, notes = made("--lengths", "1000,100000", "--budget", "0", "--only", "window:", program=faked)
cells = {row[0]: row for row in tables.get("n = 1,000", [])}
check("what is visited too often is in bold", cells.get("`sink:4+window:1023,0` causal", [""] * 9)[2] == "1.25" and
      cells.get("`window:255,0` causal", [""] * 9)[2] == "**5.00**" and cells.get("`window:63,63+random:1,64,1`", [""] * 9)[2] == "5.00", text)
check("what takes too long to plan is in bold", all(row[3] == "**1.200**" for row in cells.values()) and
      any("1.1 ms are asked" in note for note in notes), text)
text, tables, notes = made("--lengths", "1000", "--budget", "0", "--only", "dense", program=faked)
check("what is as asked is not", "Nothing is outside" in text and not notes and tables["n = 1,000"][0][2:4] == ["1.25", "1.100"], text)
FOLDER.cleanup()
done()
