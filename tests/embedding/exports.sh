#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Neither library defines a symbol outside tulle_, and both define what the public headers declare.
#
#   exports.sh NM libtulle.a [libtulle.so]
set -euo pipefail
nm=$1 static=$2 shared=${3-}
headers=("$(dirname "$0")"/../../include/tulle/*.h)
count=0 failures=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# result NAME FILE: passes where the file is empty, else shows it
result() {
  count=$((count + 1))
  if [[ -s $2 ]]; then
    sed 's/^/# /' "$2"
    echo "not ok $count - $1"
    failures=$((failures + 1))
  else
    echo "ok $count - $1"
  fi
}

libraries=(static)
[[ ! $shared ]] || libraries+=(shared)
echo "1..$((2 * ${#libraries[@]}))"
"$nm" --extern-only --defined-only --format=posix "$static" | awk 'NF > 1 { print $1 }' | sort -u >"$scratch/static"
[[ ! $shared ]] || "$nm" --dynamic --extern-only --defined-only --format=posix "$shared" | awk 'NF > 1 { print $1 }' | sort -u >"$scratch/shared"
# by their linked names: a versioned one ends in _MAJOR_MINOR
api=$(cat "${headers[@]}" | sed -n 's/^#define TULLE_VERSION_\(MAJOR\|MINOR\) //p' | paste -sd _)
cat "${headers[@]}" | sed -n 's/^#define \(tulle_[a-z_]*\) TULLE_VERSIONED(.*/\1/p' >"$scratch/versioned"
cat "${headers[@]}" | sed -n '/^TULLE_API/,/;/p' | grep -oE '\btulle_[a-z0-9_]+ *\(' | tr -d ' (' |
  while read -r name; do
    if grep -qx "$name" "$scratch/versioned"; then echo "${name}_$api"; else echo "$name"; fi
  done | sort -u >"$scratch/declared"
for library in "${libraries[@]}"; do
  grep -v '^tulle_' "$scratch/$library" >"$scratch/foreign" || true
  result "the $library library defines nothing outside tulle_" "$scratch/foreign"
  comm -23 "$scratch/declared" "$scratch/$library" | sed 's/$/ is declared and not defined/' >"$scratch/missing"
  result "the $library library defines what the public headers declare" "$scratch/missing"
done
exit "$((failures > 0))"
