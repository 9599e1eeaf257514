#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# module_valid.sh SPIRV_VAL ENVIRONMENT MODULE: a kernel module against the rules of the Vulkan it is meant for.
# A module that was not built (OPTIONAL in shaders/variants.def) is skipped with the reason that stands in its place.
set -euo pipefail
if [[ $(od -An -N4 -tx4 --endian=little "$3") != *07230203* ]]; then
  echo "skip: $(basename "$3" .spv) was not built: $(cat "$3")"
  echo "ok 1 - $2 # SKIP"
  exit 77
fi
status=0
said=$("$1" --target-env "$2" "$3" 2>&1) || status=$?
# A PREBUILT module is newer than an old spirv-val: Debian 12's knows no matrices, Debian 13's no bf16.
if ((status)) && [[ $said == *"Invalid capability operand"* || $said == *"Invalid FP encoding operand"* ]]; then
  echo "skip: $(basename "$3" .spv): $("$1" --version | head -n 1) does not know what it uses: $said"
  echo "ok 1 - $2 # SKIP"
  exit 77
fi
[[ ! $said ]] || echo "$said"
exit "$status"
