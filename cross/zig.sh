#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Zig's C compiler, which brings the C libraries of other systems, of one version from PyPI: in build-tools/, where tools/format
# has its own too. With it a Meson of its own, since Debian's do not know Zig's linker.
set -euo pipefail
usage="usage: cross/zig.sh install
       cross/zig.sh cc|ar|ranlib ARGUMENT ...

  install   fetches it, unless it is here, and prints its folder: bin/meson there is for
              BIN/meson setup BUILD --cross-file cross/zig.ini --cross-file cross/zig/TARGET.ini
The others are what those cross files name: Zig's tools of these names."
version=0.15.2 meson=1.10.0
folder=$(dirname "$(realpath "$0")")/../build-tools/zig-$version

install() {
  [[ ! -e $folder/done ]] || return 0
  rm -rf "$folder"
  if ! { python3 -m venv "$folder" && "$folder/bin/pip" --quiet --disable-pip-version-check install "ziglang==$version" "meson==$meson"; } >&2; then
    rm -rf "$folder"
    echo "cross/zig.sh: ziglang $version could not be had from PyPI" >&2
    exit 77 # to tools/check: not checked
  fi
  touch "$folder/done"
}

case ${1-}/$# in
  install/1) install && realpath "$folder" && exit ;;
  -h/1 | --help/1) echo "$usage" && exit ;;
  cc/* | ar/* | ranlib/*) ;;
  *) echo "$usage" >&2; exit 2 ;;
esac
arguments=("$@")
# Meson asks for `-E … -c`, of which Zig takes the second
if [[ $1 == cc && " $* " == *" -E "* ]]; then
  for i in "${!arguments[@]}"; do [[ ${arguments[i]} != -c ]] || unset "arguments[i]"; done
fi
exec "$folder"/lib/python3*/site-packages/ziglang/zig "${arguments[@]}"
