#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The static library defines only names that begin with tulle_, and what the public headers declare; the shared one exports that alone.
#
#   exports.sh NM libtulle.a [libtulle.so]
set -euo pipefail
nm=$1 static=$2 shared=${3-}
headers=("$(dirname "$0")"/../../include/tulle/*.h)
# shellcheck source=tests/embedding/tap.sh
source "$(dirname "$0")/tap.sh"

# defined LIBRARY OPTION ...   the names of the symbols that it defines for others, as C has them: the compilers' own
# additions (COFF's .refptr.NAME, AddressSanitizer's __odr_asan.NAME) are those of what they stand for
defined() {
  "$nm" "${@:2}" --extern-only --defined-only --format=posix "$1" | awk 'NF > 1 { print $1 }' |
    sed -E 's/^(\.refptr|__odr_asan)\.//; s/^_tulle_/tulle_/' | sort -u
}

echo "1..$((2 + (${#shared} > 0)))"
# by their linked names: a versioned one ends in _MAJOR_MINOR
api=$(cat "${headers[@]}" | sed -n 's/^#define TULLE_VERSION_\(MAJOR\|MINOR\) //p' | paste -sd _)
cat "${headers[@]}" | sed -n 's/^#define \(tulle_[a-z_]*\) TULLE_VERSIONED(.*/\1/p' >"$scratch/versioned"
cat "${headers[@]}" | sed -n '/^TULLE_API/,/;/p' | grep -oE '\btulle_[a-z0-9_]+ *\(' | tr -d ' (' |
  while read -r name; do
    if grep -qx "$name" "$scratch/versioned"; then echo "${name}_$api"; else echo "$name"; fi
  done | sort -u >"$scratch/declared"
defined "$static" >"$scratch/static"
grep -v '^tulle_' "$scratch/static" >"$scratch/foreign" || true
result "the static library defines nothing outside tulle_" diff /dev/null "$scratch/foreign"
comm -23 "$scratch/declared" "$scratch/static" | sed 's/$/ is declared and not defined/' >"$scratch/missing"
result "the static library defines what the public headers declare" diff /dev/null "$scratch/missing"
if [[ $shared ]]; then
  defined "$shared" --dynamic >"$scratch/shared"
  diff "$scratch/declared" "$scratch/shared" | sed -n 's/^< \(.*\)/\1 is declared and not exported/p; s/^> \(.*\)/\1 is exported and not declared/p' >"$scratch/differ"
  result "the shared library exports what the public headers declare, no more" diff /dev/null "$scratch/differ"
fi
exit "$((failures > 0))"
