#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the C source of tulle._native with cffi: generate_native.py OUTPUT.c HEADER.h ...

The declarations are those of the headers themselves. Sizes and offsets come from the C compiler, which sees the headers
too; a header and this module cannot disagree.
"""
import pathlib
import re
import sys

import cffi

# What the headers take from Vulkan's: cffi must know a pointer from a number and a struct, and the compiler fills in the rest.
# (A type that is taken for another kind does not compile.)
POINTERS = "VkInstance VkPhysicalDevice VkDevice VkQueue VkCommandBuffer VkBuffer VkDeviceMemory VkPipelineCache".split()
NUMBERS = re.compile(r"Vk\w*(Size|Flags|Type|Bool32)")
# Constants that are macros of the headers, and what the library calls of Python's.
EXTRA = """
#define TULLE_USAGE_HOST ...
extern "Python" bool tulle_python_load(void *user, const char *name, tulle_array *array, char *message, size_t message_size);
extern "Python" void tulle_python_release(void *user, tulle_array *array);
extern "Python" void tulle_python_log(void *user, tulle_log_level level, const char *message);
extern "Python" void tulle_python_variant(void *user, const char *name, bool serves, const char *reason);
"""


def declarations(header):
    """The text of a header that cffi reads: no comments, no directives, no attributes."""
    text = re.sub(r"/\*.*?\*/|//[^\n]*", "", header, flags=re.S)
    text = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*$", "", text, flags=re.M)
    text = re.sub(r'extern "C" \{|^\}$', "", text, flags=re.M)
    text = re.sub(r"\[[A-Z][A-Z_]*\]", "[...]", text)   # char name[VK_MAX_...]
    return re.sub(r"\bTULLE_API\b", "", text)


def vulkan_types(text):
    """A declaration for each of Vulkan's types in the text."""
    def declared(name):
        if name in POINTERS or name.startswith("PFN_"):
            return f"typedef ... *{name};"
        return f"typedef int... {name};" if NUMBERS.fullmatch(name) else f"typedef struct {{ ...; }} {name};"

    return "\n".join(declared(name) for name in sorted(set(re.findall(r"\b(?:Vk|PFN_vk)\w+", text))))


def main():
    output, *headers = sys.argv[1:]
    text = "\n".join(declarations(pathlib.Path(path).read_text(encoding="utf-8")) for path in headers)
    builder = cffi.FFI()
    builder.cdef(vulkan_types(text) + text + EXTRA)
    builder.set_source("tulle._native", "\n".join(f'#include "{pathlib.Path(path).resolve()}"' for path in headers))
    builder.emit_c_code(output)


main()
