#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# optional_module.sh PYTHON GLSLC FOLDER: a module that glslc cannot compile is left out, with what glslc said, where it
# is OPTIONAL; the table then names the reason, and the test of modules skips it. TAP.
set -euo pipefail
python=$1 glslc=$2 folder=$3
here=$(cd "$(dirname "$0")" && pwd)
shaders=$here/../../shaders
rm -rf "$folder"
mkdir -p "$folder"
cd "$folder"
printf '#version 450\n#extension GL_TULLE_unheard_of : require\nvoid main() {}\n' >unheard_of.comp
printf '#version 450\nvoid main() {}\n' >plain.comp

fail() {
  echo "not ok - $1"
  exit 1
}

echo 1..4
for name in unheard_of plain; do
  "$python" "$shaders/optional_module.py" $name.spv $name.spv.d \
    "$glslc" -MD -MF $name.spv.d $name.comp -o $name.spv >$name.log || fail "$name stops the build"
done
grep -q 'unheard_of is left out: .*GL_TULLE_unheard_of' unheard_of.log || fail "the build does not say why"
grep -q "$glslc" unheard_of.spv.d || fail "another glslc is not tried"
echo "ok - a module that glslc cannot compile is left out, and the build says why"
grep -q plain.comp plain.spv.d || fail "a compiled module does not follow its source"
echo "ok - one that it can is compiled as ever"

"$python" "$shaders/generate_modules.py" modules.h unheard_of.spv plain.spv
grep -q '{"unheard_of", NULL, 0, "glslc says .*GL_TULLE_unheard_of' modules.h || fail "the table lacks the reason"
grep -q '{"plain", module_plain, sizeof module_plain, NULL}' modules.h || fail "the table lacks what was compiled"
echo "ok - the table of modules names the reason"

skipped=0
"$here/module_valid.sh" false vulkan1.1 unheard_of.spv >skip.log || skipped=$?
((skipped == 77)) || fail "its check is not skipped"
grep -q '^skip: unheard_of .*GL_TULLE_unheard_of' skip.log || fail "its check does not say why it is skipped"
echo "ok - its check is skipped with that reason"
