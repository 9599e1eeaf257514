#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Counts test cases in TAP: of meson's logs (each test's output) and of plain files.

    tally.py NAME=build/meson-logs/testlog.json ... NAME=FILE.tap ...

Prints what failed with its output, each skip with its reason (a line `skip: REASON` before it, or `# SKIP REASON`),
and last `N passed, N failed, N skipped`. A test without TAP is one case, by its exit status. Exits with 1 where
anything failed or nothing ran.
"""
import json
import re
import sys

LINE = re.compile(r"^\s*(not )?ok\b\s*(\d*)\s*(?:- )?(.*)$")


def cases(output):
    """Yields (state, name, reason) for each TAP line; and how many were promised."""
    found, promised, reason = [], 0, ""
    for line in output.splitlines():
        plan = re.match(r"^\s*1\.\.(\d+)", line)
        if plan:
            promised += int(plan[1])
        said = re.match(r"^#?\s*skip: (.*)", line)
        if said:
            reason = said[1]
        match = LINE.match(line)
        if not match:
            continue
        name, _, directive = match[3].partition("# ")
        if directive.upper().startswith("SKIP"):   # cmocka: "not ok 2 # SKIP name"
            rest = directive[4:].strip()
            found.append(("skipped", name.strip() or rest, reason or (rest if name.strip() else "") or "no reason given"))
            reason = ""
        else:
            found.append(("failed" if match[1] else "passed", name.strip(), ""))
    return found, promised


def main():
    count = {"passed": 0, "failed": 0, "skipped": 0}
    failures, skips = [], {}
    for argument in sys.argv[1:]:
        where, _, path = argument.partition("=")
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                text = file.read()
        except OSError as error:
            failures.append((f"{where}: no results", str(error)))
            count["failed"] += 1
            continue
        if path.endswith(".json"):
            tests = [json.loads(line) for line in text.splitlines() if line]
        else:
            tests = [{"name": "", "result": "OK", "stdout": text}]
        for test in tests:
            label = f"{where} {test['name']}".strip()
            output = test.get("stdout") or ""
            found, promised = cases(output)
            good = test["result"] in ("OK", "SKIP")
            if not found:
                found = [("skipped" if test["result"] == "SKIP" else "passed" if good else "failed", "", "no reason given")]
            if good and promised > len(found):
                good = False
            if not good and not any(state == "failed" for state, _, _ in found):
                found.append(("failed", f"ended early: {test['result']}, {len(found)} of {promised or '?'} cases", ""))
            for state, name, reason in found:
                count[state] += 1
                if state == "skipped":
                    skips.setdefault(reason, []).append(f"{label} {name}".strip())
            bad = [name for state, name, _ in found if state == "failed"]
            if bad:
                tail = [] if where == "check" else (output + "\n" + (test.get("stderr") or "")).splitlines()[-60:]   # shown already
                failures.append((f"{label}: {', '.join(filter(None, bad))}", "\n".join("    " + line for line in tail)))
    for label, output in failures:
        print(f"FAILED {label}\n{output}")
    for reason, names in skips.items():
        print(f"SKIPPED {len(names)} ({', '.join(names[:3])}{', …' if len(names) > 3 else ''}): {reason}")
    print(f"{count['passed']} passed, {count['failed']} failed, {count['skipped']} skipped")
    sys.exit(count["failed"] > 0 or count["passed"] == 0)


main()
