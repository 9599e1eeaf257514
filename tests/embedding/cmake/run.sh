#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A CMake project that finds the installed Tulle. The trees do not lie below the prefix that they were configured for.
#
#   run.sh BOTH STATIC SHARED     folders into which `meson install --destdir` put Tulle, with these libraries
set -euo pipefail
both=$(realpath "$1") static=$(realpath "$2") shared=$(realpath "$3")
project=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/embedding/tap.sh
source "$project/../tap.sh"

# configured ROOT OPTION ...   the project, with Tulle from there alone
configured() {
  rm -rf "$scratch/build"
  cmake -S "$project" -B "$scratch/build" -G Ninja "-DHOSTS=$project/../hosts" "-DCMAKE_PREFIX_PATH=$1/usr/local" "${@:2}"
}
built() { configured "$@" && cmake --build "$scratch/build"; }
program() { needs "$scratch/build/host" "$@" && ran "$scratch/build/host"; }
static_program() { needs "$scratch/build/host_static" libvulkan && ran "$scratch/build/host_static"; }
with_both() { built "$both" && program libtulle && static_program; }
with_static() { built "$static" && program && static_program; }
with_shared() { built "$shared" && program libtulle && [[ ! -e $scratch/build/host_static ]]; }
# the file of a library that is in no package is no target
with_one() {
  cp -r "$both" "$scratch/one of two" && find "$scratch/one of two" -name 'libtulle.a' -delete &&
    built "$scratch/one of two" && program libtulle && [[ ! -e $scratch/build/host_static ]]
}
fits=("0.1" "0.1.0" "0.1.0 EXACT" "0.1...<0.2" "0.0...0.1.0")
other=("0" "0.0" "0.0.9" "0.1.1" "0.2" "1.1" "0.1.1...0.2" "0.0...<0.1.0")
versions() {
  configured "$both" "-DVERSIONS=$(IFS=';' && echo "${fits[*]};${other[*]}")" >"$scratch/versions" &&
    sed -n 's/^-- accepts //p' "$scratch/versions" | tr ';' ' ' | diff <(printf '%s\n' "${fits[@]}") -
}
# the example's own project, without a warning
example() {
  cmake -S "$project/../../../examples/cpp" -B "$scratch/example" -G Ninja "-DCMAKE_PREFIX_PATH=$both/usr/local" \
    "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Wpedantic -Werror" && cmake --build "$scratch/example" && ran "$scratch/example/layers"
}
without_headers() {
  refused "vulkan_core.h, which is nowhere" configured "$both" -DCMAKE_FIND_USE_CMAKE_SYSTEM_PATH=OFF \
    -DCMAKE_FIND_USE_SYSTEM_ENVIRONMENT_PATH=OFF "-DCMAKE_MAKE_PROGRAM=$(command -v ninja)" \
    "-DCMAKE_C_COMPILER=$(command -v cc)" "-DCMAKE_CXX_COMPILER=$(command -v c++)"
}

echo 1..7
result "tulle::tulle is the shared library, tulle::static the static one" with_both
result "where the static library was asked for, it is tulle::tulle too" with_static
result "where the shared library was asked for, there is no tulle::static" with_shared
result "where libtulle.a was left out of what was installed, there is no tulle::static" with_one
result "versions of the same MAJOR.MINOR are accepted, others are not" versions
result "examples/cpp finds tulle.hpp, builds and runs" example
result "without the Vulkan headers find_package says what is missing" without_headers
((failures == 0))
