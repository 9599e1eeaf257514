#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes a folder that holds links to Vulkan's and volk's headers, and to nothing else of this machine's.

    vulkan_headers.py FOLDER

A compiler for another machine must not look into /usr/include, where the C library's headers are this machine's.
"""
import pathlib
import sys

folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
for name in ("vulkan", "vk_video", "volk.h", "volk.c"):
    target, link = pathlib.Path("/usr/include") / name, folder / name
    if not target.exists():
        sys.exit(f"{target} is missing: install libvulkan-dev and libvulkan-volk-dev")
    if not link.is_symlink():
        link.symlink_to(target)
