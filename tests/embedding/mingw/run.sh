#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Programs for Windows that link the installed DLL and the static library, by pkg-config and by CMake; and the installed tulle.exe.
# Wine runs them, where it is.
#
#   run.sh BOTH HEADERS     BOTH: into which `meson install --destdir` put both libraries; HEADERS: a folder that holds
#                           Vulkan's headers and volk.h and nothing else
set -euo pipefail
both=$(cd "$1" && pwd) headers=$(cd "$2" && pwd)
project=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$project/../../.." && pwd)
target=x86_64-w64-mingw32
wine=$root/cross/wine.sh
if [[ ! ${TULLE_WINE_SESSION-} ]] && "$wine" --here >/dev/null; then exec "$wine" --session "$0" "$@"; fi
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
# by_pkg_config SOURCE PROGRAM PACKAGE IMPORTS [OPTION]
# shellcheck disable=SC2046
by_pkg_config() {
  $target-gcc -std=c11 "${@:5}" -isystem "$headers" "$1" -o "$scratch/$2" \
    $(PKG_CONFIG_LIBDIR=$folder pkg-config --cflags --libs "$3") && imports "$scratch/$2" "$4"
}
host() { by_pkg_config "$project/../hosts/own_device.c" "$1" "$2" "$3" -DOWN_VOLK "${@:4}"; }
example() { python3 "$project/../readme_example.py" "$root/README.md" "$scratch/example.c" && by_pkg_config "$scratch/example.c" example.exe tulle yes; }
by_cmake() {
  cmake -S "$project" -B "$scratch/build" -G Ninja -DCMAKE_SYSTEM_NAME=Windows "-DCMAKE_C_COMPILER=$target-gcc" \
    "-DCMAKE_PREFIX_PATH=$prefix" "-DVulkan_INCLUDE_DIR=$headers" "-DHOSTS=$project/../hosts" &&
    cmake --build "$scratch/build" && imports "$scratch/build/host.exe" yes && imports "$scratch/build/host_static.exe" no
}

# by_wine PROGRAM ARGUMENT ...   77: there is no Wine, and nothing else
by_wine() {
  "$wine" --here || return 77
  "$wine" "$@" || { (($? == 77)) && echo "finds no device: $1" && return 1; }
}
tulle() { by_wine "$prefix/bin/tulle.exe" "$@"; }
# attends TO   the program on the excerpt, to a file; its result is the stored one
data=$root/tests/data
attends() {
  tulle run --q "$data/q.npy" --k "$data/k.npy" --v "$data/v.npy" -o "$1" --pattern "$(<"$data/pattern.txt")" || return
  python3 "$root/tools/compare_npy.py" "$1" "$data/o.npy" 1e-3
}
# a folder is refused as on other systems, and a file whose name is of another alphabet is found
names() {
  cp "$data/q.npy" "$scratch/Вопрос.npy" || return
  "$wine" --here || return 77
  refused "'$data' is not a regular file" "$wine" "$prefix/bin/tulle.exe" run --q "$data" --k "$data/k.npy" --v "$data/v.npy" -o "$scratch/o.npy" --pattern dense &&
    tulle run --q "$scratch/Вопрос.npy" --k "$data/k.npy" --v "$data/v.npy" -o "$scratch/Ответ.npy" --pattern dense && [[ -s $scratch/Ответ.npy ]]
}
kept() {
  "$wine" --here || return 77
  find "$WINEPREFIX/drive_c" -path '*/AppData/Local/tulle/*.cache' | grep .
}

echo 1..13
result "pkg-config tulle: the DLL" host shared.exe tulle yes -DTULLE_SHARED
result "pkg-config tulle: the DLL, without TULLE_SHARED" host undeclared.exe tulle yes
result "pkg-config tulle-static: the static library" host static.exe tulle-static no
result "CMake: tulle::tulle is the DLL, tulle::static the static library" by_cmake
result "the example in README.md" example
cp "$prefix/bin/libtulle-0.1.dll" "$scratch"
result "by Wine: with the DLL" by_wine "$scratch/shared.exe"
result "by Wine: with the DLL, without TULLE_SHARED" by_wine "$scratch/undeclared.exe"
result "by Wine: with the static library" by_wine "$scratch/static.exe"
result "by Wine: the example in README.md" by_wine "$scratch/example.exe"
result "by Wine: tulle info" tulle info
result "by Wine: tulle run gives the stored result" attends "$scratch/o.npy"
result "by Wine: names of files" names
result "by Wine: the cache is in the user's folder" kept
((failures == 0))
