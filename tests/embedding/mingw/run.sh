#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Programs for Windows that link the installed DLL and the static library, by pkg-config and by CMake. They are not run.
#
#   run.sh BOTH HEADERS     BOTH: into which `meson install --destdir` put both libraries; HEADERS: a folder that holds
#                           Vulkan's headers and volk.h and nothing else
set -euo pipefail
both=$(cd "$1" && pwd) headers=$(cd "$2" && pwd)
project=$(cd "$(dirname "$0")" && pwd)
target=x86_64-w64-mingw32
# shellcheck source=tests/embedding/tap.sh
source "$project/../tap.sh"

cp -r "$both" "$scratch/both"
folder=$(dirname "$(find "$scratch/both" -name tulle.pc)")
prefix=$(cd "$folder/../.." && pwd)
sed -i "s|^prefix=.*|prefix=$prefix|" "$folder"/*.pc

# imports PROGRAM YES-OR-NO   whether it opens Tulle's DLL
imports() {
  local found=no
  if $target-objdump -p "$1" | grep -i 'DLL Name: libtulle-0\.1\.dll'; then found=yes; fi
  [[ $found == "$2" ]] || { echo "$1 imports libtulle-0.1.dll: $found"; return 1; }
}
# by_pkg_config PACKAGE IMPORTS [OPTION]
# shellcheck disable=SC2046
by_pkg_config() {
  $target-gcc -std=c11 -DOWN_VOLK "${@:3}" -isystem "$headers" "$project/../hosts/own_device.c" -o "$scratch/host.exe" \
    $(PKG_CONFIG_LIBDIR=$folder pkg-config --cflags --libs "$1") && imports "$scratch/host.exe" "$2"
}
by_cmake() {
  cmake -S "$project" -B "$scratch/build" -G Ninja -DCMAKE_SYSTEM_NAME=Windows "-DCMAKE_C_COMPILER=$target-gcc" \
    "-DCMAKE_PREFIX_PATH=$prefix" "-DVulkan_INCLUDE_DIR=$headers" "-DHOSTS=$project/../hosts" &&
    cmake --build "$scratch/build" && imports "$scratch/build/host.exe" yes && imports "$scratch/build/host_static.exe" no
}

echo 1..4
result "pkg-config tulle: the DLL" by_pkg_config tulle yes -DTULLE_SHARED
result "pkg-config tulle: the DLL, without TULLE_SHARED" by_pkg_config tulle yes
result "pkg-config tulle-static: the static library" by_pkg_config tulle-static no
result "CMake: tulle::tulle is the DLL, tulle::static the static library" by_cmake
((failures == 0))
