#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Programs that find the installed Tulle by pkg-config, with each implementation of it that Debian has.
#
#   run.sh BOTH STATIC     folders into which `meson install --destdir` put Tulle: with both libraries, with the static one
#   CC, CXX                the compilers
set -euo pipefail
both=$1 static=$2
cc=("${CC-cc}" -std=c11) cxx=("${CXX-c++}" -std=c++17 -Wall -Wextra -Werror)
hosts=$(dirname "$0")/../hosts
# shellcheck source=tests/embedding/tap.sh
source "$(dirname "$0")/../tap.sh"

# moved ROOT   pkg-config's files say where the tree lies now, as after an installation there
moved() {
  local folder
  folder=$(dirname "$(find "$1" -name tulle.pc)")
  sed -i "s|^prefix=.*|prefix=$1/usr/local|" "$folder"/*.pc
  echo "$folder"
}
cp -r "$both" "$scratch/both"
cp -r "$static" "$scratch/static"
both=$(moved "$scratch/both") static=$(moved "$scratch/static")
cp -r "$scratch/both" "$scratch/one" # the static library alone, in what was installed with both
one=$(moved "$scratch/one")
find "$scratch/one" -name 'libtulle.so*' -delete
LD_LIBRARY_PATH=$(dirname "$both")
export LD_LIBRARY_PATH

# Vulkan headers that are somewhere else than where every compiler looks
mkdir "$scratch/headers"
printf 'Name: Vulkan\nDescription: -\nVersion: 1.3\nCflags: -I/some/headers\nLibs: -lvulkan\n' >"$scratch/headers/vulkan.pc"

# flags FOLDER OPTION ... [--] PACKAGE ...   of the pkg-config in turn
flags() { PKG_CONFIG_PATH=$1 "$tool" "${@:2}"; }
says() { flags "$@" | tr ' ' '\n' >"$scratch/flags"; }
# Perl's ppkg-config takes Requires.private only with --static, which changes nothing in the others' --cflags.
headers_are_named() {
  local package
  for package in tulle tulle-static; do
    says "$scratch/headers:$both" --static --cflags "$package" && grep -x -- -I/some/headers "$scratch/flags" || return 1
    [[ $tool == ppkg-config ]] || { says "$scratch/headers:$both" --cflags "$package" && grep -x -- -I/some/headers "$scratch/flags"; } || return 1
  done
}
loader_is_not_linked() {
  says "$both" --libs tulle && ! grep -x -- -lvulkan "$scratch/flags" &&
    says "$both" --libs tulle-static && ! grep -x -- -lvulkan "$scratch/flags"
}
# program FOLDER SOURCE OPTIONS FLAG ...   compiles it with what pkg-config says to the flags, and runs it. own_device.c needs
# -lm too, which the static library brings.
# shellcheck disable=SC2046,SC2086
program() {
  local compiler=("${cc[@]}")
  [[ $2 != *.cpp ]] || compiler=("${cxx[@]}")
  "${compiler[@]}" "$hosts/$2" $3 -o "$scratch/program" $(flags "$1" --cflags "${@:4}") $(flags "$1" --libs "${@:4}") && ran "$scratch/program"
}
c_shared() { program "$both" own_device.c "-lm $(flags "$both" --libs vulkan)" tulle && needs "$scratch/program" libtulle libvulkan; }
c_static() { program "$both" own_device.c "$(flags "$both" --libs vulkan)" tulle-static && needs "$scratch/program" libvulkan; }
c_static_alone() { program "$one" own_device.c "-DOWN_VOLK -Wl,--as-needed" --static tulle && needs "$scratch/program"; }
c_static_asked() { program "$static" own_device.c -DOWN_VOLK tulle && needs "$scratch/program"; }
c_optimised() { program "$both" own_device.c "-DOWN_VOLK -O2 -flto" tulle-static && needs "$scratch/program"; }
volk_before() { program "$both" own_volk.cpp "" tulle-static && needs "$scratch/program"; }
volk_after() { program "$both" own_volk.cpp "-DTULLE_FIRST -DVK_NO_PROTOTYPES" tulle && needs "$scratch/program" libtulle; }
volk_after_prototypes() { refused "define VK_NO_PROTOTYPES before" program "$both" own_volk.cpp -DTULLE_FIRST tulle; }

tools=(pkg-config ppkg-config)
echo "1..$((${#tools[@]} * 6 + 4))"
for tool in "${tools[@]}"; do
  result "$tool names the folder of the Vulkan headers" headers_are_named
  result "$tool does not link the Vulkan loader" loader_is_not_linked
  result "$tool tulle: a C program with the shared library" c_shared
  result "$tool tulle-static: a C program with the static library beside the shared one" c_static
  result "$tool --static tulle: a C program where the static library is alone" c_static_alone
  result "$tool tulle: a C program where only the static library was asked for" c_static_asked
done
tool=pkg-config
result "a C program with its own volk and link-time optimisation" c_optimised
result "a C++17 program with its own volk before tulle.h" volk_before
result "a C++17 program with its own volk after tulle.h" volk_after
result "volk after tulle.h and prototypes: volk says what is wrong" volk_after_prototypes
((failures == 0))
