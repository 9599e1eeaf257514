#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What a user's own program meets: the installed headers and libraries, found through pkg-config.
#
#   installed.sh ROOT      ROOT: where `meson install --destdir` put them
set -euo pipefail
root=$1
here=$(dirname "$0")
file=$(find "$root" -name tulle.pc)
PKG_CONFIG_LIBDIR=$(dirname "$file"):$(pkg-config --variable pc_path pkg-config)
export PKG_CONFIG_LIBDIR
prefix=$root$(pkg-config --variable=prefix tulle)
flags() { pkg-config --define-variable=prefix="$prefix" "$@"; }
libraries=$(flags --variable=libdir tulle)
set -x

# shellcheck disable=SC2046
cc -std=c11 $(flags --cflags tulle vulkan) "$here/host.c" -o "$root/host_shared" $(flags --libs tulle vulkan) -lm
LD_LIBRARY_PATH=$libraries "$root/host_shared" || (($? == 77))

# shellcheck disable=SC2046
cc -std=c11 $(flags --cflags tulle vulkan) "$here/host.c" -o "$root/host_static" "$libraries/libtulle.a" \
  $(flags --libs --static tulle | sed 's/-ltulle//') $(flags --libs vulkan)
"$root/host_static" || (($? == 77))
