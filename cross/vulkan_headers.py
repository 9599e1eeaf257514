#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes a folder that holds links to Vulkan's headers, volk's where there are any, and to nothing else of this machine's.

    vulkan_headers.py FOLDER

A compiler for another machine must not look into /usr/include, where the C library's headers are this machine's.
"""
import pathlib
import sys

folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
for name, needed in (("vulkan", True), ("vk_video", True), ("volk.h", False), ("volk.c", False)):
    target, link = pathlib.Path("/usr/include") / name, folder / name
    if target.exists() and not link.is_symlink():
        link.symlink_to(target)
    elif needed and not target.exists():
        sys.exit(f"{target} is missing: install libvulkan-dev")
