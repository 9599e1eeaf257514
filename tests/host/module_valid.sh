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
exec "$1" --target-env "$2" "$3"
