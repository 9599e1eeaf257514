#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The page's style and script as a C header, each with the hash that its Content-Security-Policy names it by.

    embed.py OUTPUT page.css page.js
"""
import base64
import hashlib
import pathlib
import sys


def main():
    output, *sources = map(pathlib.Path, sys.argv[1:])
    lines = ["// Made by tools/report/embed.py."]
    for source in sources:
        data, name = source.read_bytes(), f"report_{source.suffix[1:]}"
        if b"</" in data or b"\0" in data:
            sys.exit(f"{source}: '</' would end its element")
        digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
        lines.append(f'static const char {name}_hash[] = "sha256-{digest}";')
        lines.append(f"static const char {name}[] = {{")  # a literal may have 4095 characters at most
        numbers = [str(byte if byte < 128 else byte - 256) for byte in data + b"\0"]
        lines += [", ".join(numbers[at:at + 24]) + "," for at in range(0, len(numbers), 24)]
        lines.append("};")
    output.write_text("\n".join(lines) + "\n", encoding="ascii")


main()
