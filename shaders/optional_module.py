#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the compiler of a module that may be absent (OPTIONAL in shaders/variants.def).

    optional_module.py OUTPUT DEPFILE COMMAND ...

Where COMMAND does not know an extension or a target that the module needs, that error becomes the text of OUTPUT, in
place of SPIR-V: why the module is absent (generate_modules.py). DEPFILE then names the compiler, so that another one is
tried. Any other error is the source's, and ends the build.
"""
import pathlib
import re
import subprocess
import sys


def reason(messages):
    """The first error without the file's name and line, on one line: 'GL_X : extension not supported'."""
    for line in messages.splitlines():
        found = re.search(r"error: (.*)", line)
        if found:
            return "glslc says " + re.sub(r"^'#?extension' : ", "", found.group(1)).strip()
    return "glslc failed"


def main():
    output, depfile, command = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3:]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode == 0:
        return
    messages = run.stdout + run.stderr
    if not re.search(r"extension not supported|[Uu]nknown (?:target|option|value)|[Ii]nvalid value|unrecognized", messages):
        sys.exit(messages)
    why = reason(messages)
    print(f"{output.stem} is left out: {why}")
    output.write_text(why)
    depfile.write_text(f"{output}: {command[0]}\n")


main()
