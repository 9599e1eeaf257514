#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A program and a library of different MAJOR.MINOR do not come together: by the soname, and by the linked names of the
# functions that may be the first to be handed a struct (TULLE_VERSIONED in tulle.h).
#
#   versions.sh libtulle.a libtulle.so CC ...
set -euo pipefail
static=$1 shared=$2
shift 2
cc=("$@" -std=gnu11)
include=$(dirname "$0")/../../include
# shellcheck source=tests/embedding/tap.sh
source "$(dirname "$0")/tap.sh"

number() { sed -n "s/^#define TULLE_VERSION_$1 //p" "$include/tulle/tulle.h"; }
major=$(number MAJOR) minor=$(number MINOR)
mapfile -t versioned < <(sed -n 's/^#define \(tulle_[a-z_]*\) TULLE_VERSIONED(\1)$/\1/p' "$include"/tulle/*.h)

# the next version's headers; a program that refers to every versioned function, and one that takes them by name
cp -r "$include" "$scratch/next"
sed -i "s/^#define TULLE_VERSION_MINOR .*/#define TULLE_VERSION_MINOR $((minor + 1))/" "$scratch/next/tulle/tulle.h"
{
  echo '#include <tulle/inspect.h>'
  echo 'typedef void (*function)(void);'
  echo 'int main(void) {'
  echo '    volatile function functions[] = {'
  printf '        (function)%s,\n' "${versioned[@]}"
  echo '    };'
  echo '    return !functions[0];'
  echo '}'
} >"$scratch/linked.c"
cat >"$scratch/opened.c" <<'EOC'
#include <dlfcn.h>
#include <tulle/tulle.h>
#define TEXT_OF(name) #name
#define TEXT(name) TEXT_OF(name)
int main(int argc, char **argv) {
    void *library = argc == 2 ? dlopen(argv[1], RTLD_NOW) : 0;
    return !library || !dlsym(library, "tulle_version") ? 2 : !dlsym(library, TEXT(tulle_context_create));
}
EOC

soname_says() { readelf --dynamic "$shared" | grep -F "[libtulle.so.$major.$minor]"; }
# compiled INCLUDE SOURCE LIBRARY ...   compiles and links
compiled() { "${cc[@]}" -I "$1" "$scratch/$2" -o "$scratch/program" "${@:3}" -pthread -ldl -lm; }
serves() { compiled "$include" linked.c "$1" && LD_LIBRARY_PATH=$scratch "$scratch/program"; }
refuses() {
  local name
  if compiled "$scratch/next" linked.c "$1" 2>"$scratch/refusal"; then return 1; fi
  for name in "${versioned[@]}"; do
    grep -F "${name}_${major}_$((minor + 1))" "$scratch/refusal" || { echo "$name links"; return 1; }
  done
}
serves_opened() { compiled "$include" opened.c && "$scratch/program" "$(realpath "$shared")"; }
refuses_opened() { compiled "$scratch/next" opened.c && { "$scratch/program" "$(realpath "$shared")" || (($? == 1)); }; }
# what takes no object of Tulle's may be the first call: it is versioned, or takes no struct either
first_ones_are_versioned() {
  local name
  cat "$include"/tulle/*.h | sed -n '/^TULLE_API/,/;/p' | tr '\n' ' ' | tr ';' '\n' |
    grep -vE 'tulle_(context|pattern|plan|binding|merger) \*[a-z]' | grep -oE '\btulle_[a-z0-9_]+ *\(' | tr -d ' (' >"$scratch/first"
  while read -r name; do
    case " ${versioned[*]} tulle_version tulle_result_name tulle_dtype_size tulle_patterns_free " in
      *" $name "*) ;;
      *) echo "$name takes no object and is not TULLE_VERSIONED"; return 1 ;;
    esac
  done <"$scratch/first"
  grep -x tulle_context_create "$scratch/first"
}

cp "$shared" "$scratch/libtulle.so.$major.$minor"
echo 1..8
result "the soname carries $major.$minor" soname_says
result "a program of this header runs with the static library" serves "$static"
result "a program of this header runs with the shared library" serves "$shared"
result "a program of this header finds its functions in the opened library" serves_opened
result "a program of the next header does not link with the static library" refuses "$static"
result "a program of the next header does not link with the shared library" refuses "$shared"
result "a program of the next header does not find its functions in the opened library" refuses_opened
result "every function that may be the first has the version in its linked name" first_ones_are_versioned
((failures == 0))
