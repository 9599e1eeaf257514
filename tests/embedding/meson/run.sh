#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A Meson project that takes Tulle by dependency(): installed, and as a subproject by the wrap of docs/embedding.md.
#
#   run.sh BOTH [--full]     BOTH: into which `meson install --destdir` put both libraries
set -euo pipefail
both=$1 full=${2-}
here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../../.." && pwd)
# shellcheck source=tests/embedding/tap.sh
source "$here/../tap.sh"

# The installed tree, its files saying where it lies now; and none, for what must come as a subproject.
cp -r "$both" "$scratch/installed"
installed=$(dirname "$(find "$scratch/installed" -name tulle.pc)")
sed -i "s|^prefix=.*|prefix=$scratch/installed/usr/local|" "$installed"/*.pc

# What the wrap points to: this tree, changes that are not committed included.
git init --quiet --initial-branch main "$scratch/tulle.git"
(cd "$repository" && { git ls-files --cached --others --exclude-standard 2>/dev/null || find . -path './build*' -prune -o -type f -print; } |
  while read -r file; do [[ ! -e $file ]] || echo "$file"; done | tar -cT - | tar -xC "$scratch/tulle.git")
git -C "$scratch/tulle.git" add --all
git -C "$scratch/tulle.git" -c user.name=- -c user.email=- commit --quiet --message -
sed -n '/^\[wrap-git\]/,/^```/p' "$repository/docs/embedding.md" | sed "/^\`/d; s|^url = .*|url = file://$scratch/tulle.git|" >"$scratch/tulle.wrap"

# project NAME   the folder of a host that may take Tulle by the wrap
project() {
  mkdir -p "$scratch/$1/subprojects"
  cp -r "$here"/meson* "$here/../hosts" "$scratch/$1"
  cp "$scratch/tulle.wrap" "$scratch/$1/subprojects"
}
# built NAME OPTION ...   configured and built; without a warning in what is compiled
built() { project "$1" && meson setup "$scratch/$1/build" "$scratch/$1" --werror "${@:2}" && ninja -C "$scratch/$1/build" --quiet; }
hosts_run() { ran "$scratch/$1/build/host" && ran "$scratch/$1/build/host_cpp"; }
# targets NAME NAMED ...   these and no others are compiled or linked
targets() {
  meson introspect --targets "$scratch/$1/build" >"$scratch/targets" && python3 -c '
import json, sys
kinds = ("executable", "static library", "shared library", "shared module")
print(*sorted(t["name"] + " (" + t["type"] + ")" for t in json.load(open(sys.argv[1])) if t["type"] in kinds), sep="\n")' "$scratch/targets" |
    diff <(printf '%s\n' "${@:2}" | sort) -
}
# installs NAME FILE ...   these and no others
installs() {
  DESTDIR="$scratch/$1/root" meson install -C "$scratch/$1/build" --no-rebuild --quiet &&
    (cd "$scratch/$1/root" && find . -type f -o -type l) | sed 's|.*/||' | diff <(printf '%s\n' "${@:2}" | sort) <(sort)
}
hosts=("host (executable)" "host_cpp (executable)")
static_library="tulle (static library)" shared_library="tulle (shared library)"

from_installed() {
  PKG_CONFIG_PATH=$installed built "installed_$1" "-Dkind=$1" --wrap-mode nofallback && targets "installed_$1" "${hosts[@]}" &&
    LD_LIBRARY_PATH=$(dirname "$installed") hosts_run "installed_$1" && needs "$scratch/installed_$1/build/host" "${@:2}"
}
as_static() {
  built "$1" -Ddefault_library=static --force-fallback-for=tulle "${@:2}" && targets "$1" "${hosts[@]}" "$static_library" && hosts_run "$1" &&
    needs "$scratch/$1/build/host" && installs "$1" host
}
as_shared() {
  built shared -Ddefault_library=shared --force-fallback-for=tulle && targets shared "${hosts[@]}" "$shared_library" && hosts_run shared &&
    needs "$scratch/shared/build/host" libtulle && installs shared host libtulle.so libtulle.so.0.1 libtulle.so.0.1.0
}
as_both() {
  built both -Ddefault_library=both -Dkind=each --force-fallback-for=tulle &&
    targets both "${hosts[@]}" "$static_library" "$shared_library" && hosts_run both &&
    needs "$scratch/both/build/host" libtulle && needs "$scratch/both/build/host_cpp" &&
    installs both host libtulle.so libtulle.so.0.1 libtulle.so.0.1.0
}

echo "1..$((3 + (${#full} > 0) * 5))"
result "the installed shared library" from_installed shared libtulle
result "the installed static library" from_installed static
result "a subproject, default_library=static: one library, nothing else built or installed" as_static static
if [[ $full ]]; then
  result "a subproject, default_library=shared: one library, which is installed" as_shared
  result "a subproject, default_library=both: static and shared as they are asked for" as_both
  result "a subproject with link-time optimisation" as_static lto -Db_lto=true
  result "a subproject as one unit" as_static unity --unity on --unity-size 1000
  CC=clang CXX=clang++ result "a subproject with clang, static: true" as_static clang -Dkind=static
fi
((failures == 0))
