#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Takes the first ```c block out of README.md, as a program to compile: readme_example.py README.md OUTPUT.c"""
import pathlib
import re
import sys

readme, output = map(pathlib.Path, sys.argv[1:])
block = re.search(r"^```c\n(.*?)^```$", readme.read_text(encoding="utf-8"), re.M | re.S)
if block:
    output.write_text(block[1], encoding="utf-8")
else:
    output.write_text('#include <stdio.h>\nint main(void) { puts("skip: README.md has no C example"); return 77; }\n')
