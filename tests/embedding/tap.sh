# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# Sourced by the scripts beside and below it, which print TAP: `result`, and a folder `scratch` for as long as they run.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
count=0 failures=0

# result NAME COMMAND ...   passes where the command succeeds, skips where it ends with 77; else shows what it said
result() {
  local name=$1 status=0
  shift
  count=$((count + 1))
  "$@" >"$scratch/log" 2>&1 || status=$?
  case $status in
    0) echo "ok $count - $name" ;;
    77) echo "ok $count - $name # SKIP $(tail -n 1 "$scratch/log" | sed 's/^skip: //')" ;;
    *)
      sed 's/^/# /' "$scratch/log"
      echo "not ok $count - $name"
      failures=$((failures + 1))
      ;;
  esac
}

# In `result` bash does not stop at a command that fails: several in turn are joined by &&.

# refused TEXT COMMAND ...   the command fails and says TEXT
refused() {
  local text=$1
  shift
  if "$@" >"$scratch/refusal" 2>&1; then
    echo "succeeded: $*"
    return 1
  fi
  grep -qF -- "$text" "$scratch/refusal" || { cat "$scratch/refusal"; return 1; }
}

# needs PROGRAM [LIBRARY ...]   which of libtulle, libvulkan the loader opens with the program: these, no others
needs() {
  local found
  found=$(readelf --dynamic "$1" | sed -n 's/.*(NEEDED).*\[\(lib\(tulle\|vulkan\)\)\..*/\1/p' | sort | xargs)
  [[ $found == "${*:2}" ]] || { echo "$1 needs ${found:-neither}, not ${*:2}"; return 1; }
}

# ran PROGRAM   it runs well; 77: it finds no device
ran() { "$1" && return; (($? == 77)) && "$1" | tail -n 1 && return 77; }
