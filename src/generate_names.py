#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes a header that gives every function and variable which src's headers declare, and volk's, a name of Tulle's own:

    #define schedule_build tulle_internal_schedule_build

    generate_names.py OUTPUT.h DEPFILE volk.i     (src/device/volk.c, preprocessed)

meson.build includes it before each file of the library, so that in a static library, where nothing can be hidden, none of
the names meets one of the program's or of another library's. tests/embedding/exports.sh sees to it that none is forgotten.
"""
import pathlib
import re
import sys

SOURCES = pathlib.Path(__file__).resolve().parent


def declarations(text):
    """The declarations at file scope, one by one, without comments, directives and what stands in braces."""
    text = re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.S)
    text = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", "", text, flags=re.M)
    nested = 1
    while nested:
        text, nested = re.subn(r"\{[^{}]*\}", ";", text)
    return [" ".join(declaration.split()) for declaration in text.split(";")]


def declared_name(declaration):
    """`int64_t *schedule_build(...)`, `extern const struct variant variants[]` → the name; None: declares none."""
    if re.match(r"(static|typedef|_Static_assert)\b", declaration):
        return None
    function = re.match(r"\w[\w\s*]*[\s*](\w+)\s*\(", declaration)
    variable = re.match(r"extern\b[^(]*?\b(\w+)\s*(?:\[[^]]*\]\s*)*$", declaration)
    found = function or variable
    return found[1] if found and not found[1].startswith("tulle_") else None


def volk_names(text):
    """volk's own functions, and its pointers to Vulkan's."""
    return set(re.findall(r"\bvolk[A-Z]\w*(?=\s*\()", text)) | set(re.findall(r"^\s*(?:extern )?PFN_\w+ (vk\w+);", text, flags=re.M))


def main():
    output, depfile, volk = map(pathlib.Path, sys.argv[1:])
    headers = sorted(SOURCES.glob("*/*.h"))
    names = {declared_name(declaration) for header in headers
             for declaration in declarations(header.read_text(encoding="utf-8"))} - {None}
    names |= volk_names(volk.read_text(encoding="utf-8"))
    text = "".join(["// Made by src/generate_names.py.\n", *(f"#define {name} tulle_internal_{name}\n" for name in sorted(names))])
    # The same text keeps its old time, so that nothing is compiled again.
    if not output.exists() or output.read_text(encoding="utf-8") != text:
        output.write_text(text, encoding="utf-8")
    # The folders too: a new header changes its folder's time.
    depends = [*headers, *(folder for folder in SOURCES.iterdir() if folder.is_dir())]
    escaped = " ".join(path.as_posix().replace(" ", "\\ ") for path in depends)
    depfile.write_text(f"{output.as_posix()}: {escaped}\n", encoding="utf-8")


main()
