#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What the program and the tests need beside Windows itself, for MinGW-w64: cJSON and cmocka, which Debian packages for no
# Windows, from its sources of the release that this machine runs.
#
#   windows_root.sh FOLDER     makes FOLDER, unless it is there: headers, static libraries, .pc files, and root.ini, a cross
#                              file that says where they are, to be given after cross/x86_64-w64-mingw32.ini
set -euo pipefail
(($# == 1)) || { sed -n 's/^#  *\(windows_root.sh.*\)/usage: cross\/\1/p' "$0" >&2; exit 2; }
# shellcheck source=tools/packages.sh
source "$(dirname "$0")/../tools/packages.sh"
target=x86_64-w64-mingw32

[[ ! -e $1/done ]] || exit 0
say "building into $1, for Windows: cJSON and cmocka"
rm -rf "$1"
mkdir -p "$1"/{apt,include/cjson,lib/pkgconfig}
root=$(cd "$1" && pwd)
# shellcheck source=/dev/null
echo "deb-src $(mirror) $(source /etc/os-release && echo "$VERSION_CODENAME") main" >"$root/apt/sources.list"
apt_in "$root/apt" -o "Dir::Etc::sourcelist=$root/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
"${apt[@]}" update
# Debian's own changes are not needed, and the archive keeps them a shorter time than the tarballs
(cd "$root/apt" && "${apt[@]}" source --tar-only cjson cmocka >log 2>&1 && for tar in *.orig.tar.*z*; do [[ $tar == *.asc ]] || tar xf "$tar"; done) ||
  { tail "$root/apt/log" >&2; exit 1; }

# library NAME SOURCE OPTION ...   one of a single source file
library() {
  $target-gcc -O2 -c "$2" -o "$root/apt/$1.o" "${@:3}" && $target-ar rcs "$root/lib/lib$1.a" "$root/apt/$1.o"
}
# package NAME LIBRARY VERSION OPTION ...   its .pc file
package() {
  printf 'Name: %s\nDescription: for Windows\nVersion: %s\nCflags: -I%s %s\nLibs: -L%s -l%s\n' "$1" "$3" "$root/include" "${*:4}" \
    "$root/lib" "$2" >"$root/lib/pkgconfig/$1.pc"
}
# version NAME   of the sources that were fetched
version() { find "$root/apt" -maxdepth 1 -iname "$1-[0-9]*" -type d | sed 's/.*-//'; }

cjson=$(find "$root/apt" -maxdepth 1 -iname "cjson-[0-9]*" -type d)
cp "$cjson/cJSON.h" "$root/include/cjson/"
cp "$root"/apt/cmocka-*/include/cmocka*.h "$root/include/"
library cjson "$cjson/cJSON.c" -DCJSON_HIDE_SYMBOLS
# what its configuration would find of this compiler
has=(ASSERT_H INTTYPES_H IO_H MALLOC_H SETJMP_H SIGNAL_H STDARG_H STDDEF_H STDINT_H STDIO_H STDLIB_H STRINGS_H STRING_H TIME_H
  STRUCT_TIMESPEC SNPRINTF VSNPRINTF GCC_THREAD_LOCAL_STORAGE)
library cmocka "$root"/apt/cmocka-*/src/cmocka.c "${has[@]/#/-DHAVE_}" -D__USE_MINGW_ANSI_STDIO=1 -I"$root/include"
package libcjson cjson "$(version cjson)" -DCJSON_HIDE_SYMBOLS
package cmocka cmocka "$(version cmocka)"
rm -r "$root/apt"
cat >"$root/root.ini" <<END
[properties]
pkg_config_libdir = '$root/lib/pkgconfig'
needs_exe_wrapper = true

[project options]
program = 'enabled'
tests = 'enabled'
END
wine=$(realpath "$(dirname "$0")/wine.sh")
if "$wine" --here >/dev/null; then printf "\n[binaries]\nexe_wrapper = '%s'\n" "$wine" >>"$root/root.ini"; fi
touch "$root/done"
