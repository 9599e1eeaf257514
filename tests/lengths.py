#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fails where a file in src/ or shaders/ has over 500 lines, or a function there over 80.

Formatted code (tools/format) is assumed: a function begins with a line at column 0 that ends with an opening brace, or
with what is continued up to one, and ends with a closing brace at column 0.
"""
import pathlib
import re
import sys

FILE_MOST, FUNCTION_MOST = 500, 80
ROOT = pathlib.Path(__file__).resolve().parents[1]


def functions(lines):
    """(first line, name) of each function, with its length."""
    begin = None
    for number, line in enumerate(lines, 1):
        if begin is None and re.match(r"[A-Za-z].*[({,]$", line) and "(" in line and not line.startswith("#"):
            begin = number
        elif begin is not None and line.startswith("}"):
            yield begin, number - begin + 1, lines[begin - 1]
            begin = None
        elif begin is not None and line.endswith(";") and not line.startswith(" "):
            begin = None


def main():
    found = []
    files = [path for folder in ("src", "shaders") for path in sorted((ROOT / folder).rglob("*")) if path.suffix in (".c", ".h", ".comp", ".glsl")]
    seen = 0
    for path in files:
        lines = path.read_text(encoding="utf-8").splitlines()
        name = path.relative_to(ROOT)
        if len(lines) > FILE_MOST:
            found.append(f"{name} has {len(lines)} lines")
        for begin, length, text in functions(lines):
            seen += 1
            if length > FUNCTION_MOST:
                found.append(f"{name}:{begin}: {length} lines: {text}")
    if seen < 300:
        found.append(f"only {seen} functions were found: this check no longer reads the source")
    for line in found:
        print(line)
    sys.exit(1 if found else 0)


main()
