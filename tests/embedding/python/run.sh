#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The Python package: a wheel is built of this tree, installed into a fresh virtual environment without a network, and tested
# there. Tools and packages come from PyPI, of the versions in requirements.txt, into build-tools/.
#
#   run.sh [BUILD]     where Meson builds it (default: build-python)
#   PYTHON             the interpreter (default: python3)
#   TULLE_PYTORCH      a Python of the same version that has PyTorch, to compare with; unset: not compared
set -euo pipefail
python=${PYTHON-python3}
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../../.."
build=${1-build-python}
# shellcheck source=tests/embedding/tap.sh
source tests/embedding/tap.sh

tools=$PWD/build-tools/python-$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-$(cksum <"$here/requirements.txt" | cut -d ' ' -f 1)
# pip ENVIRONMENT ARGUMENT ...
pip() { "$1/bin/pip" --quiet --disable-pip-version-check "${@:2}"; }
had() {
  [[ -e $tools/done ]] && return
  rm -rf "$tools"
  "$python" -m venv "$tools" && pip "$tools" install -r "$here/requirements.txt" &&
    grep -E '^(cffi|numpy|ml_dtypes)==' "$here/requirements.txt" >"$scratch/run-time.txt" &&
    pip "$tools" download --dest "$tools/packages" -r "$scratch/run-time.txt" && touch "$tools/done"
}
if ! had >"$scratch/log" 2>&1; then
  sed 's/^/# /' "$scratch/log" | tail -n 20
  echo "1..1"
  echo "ok 1 - the Python package # SKIP its tools could not be had from PyPI"
  exit 0
fi

wheel_built() {
  PATH=$tools/bin:$PATH pip "$tools" wheel --no-build-isolation --no-deps --wheel-dir "$scratch/wheels" \
    --config-settings=build-dir="$build" --config-settings=setup-args=--werror .
}
wheel_installed() {
  "$python" -m venv "$scratch/fresh" && pip "$scratch/fresh" install --no-index --find-links "$tools/packages" "$scratch"/wheels/*.whl ml_dtypes &&
    pip "$scratch/fresh" check
}
# No file but the package's, and of the library nothing that another in the process could take for its own.
wheel_holds() {
  local native
  native=$(echo "$scratch"/fresh/lib/python*/site-packages/tulle/_native.*.so)
  find "$(dirname "$native")" -type f -not -name '*.pyc' -printf '%P\n' | sort |
    diff <({ find bindings/python/tulle -type f -not -name '*.pyc' -printf '%P\n' && basename "$native"; } | sort) - &&
    readelf --dyn-syms --wide "$native" | awk '$5 == "GLOBAL" && $7 != "UND" { print $8 }' | diff <(echo PyInit__native) -
}
types_fit() {
  (cd "$scratch" && PYTHONPATH='' "$tools/bin/mypy" --strict --cache-dir "$scratch/mypy" --python-executable "$scratch/fresh/bin/python" -p tulle)
}
pytorch=
[[ ! ${TULLE_PYTORCH-} ]] || pytorch=$("$TULLE_PYTORCH" -c 'import pathlib, torch; print(pathlib.Path(torch.__file__).parents[1])' 2>&1 | tail -n 1) || true # then that is no folder, and importing from it fails below
fresh() { (cd "$scratch" && PYTHONPATH=$pytorch "$scratch/fresh/bin/python" -W error "$@"); }
# the README's lines; where V is 1, so is O, in whatever pattern
from_readme() {
  {
    echo "import numpy as np; q = k = v = np.ones((1, 4, 512, 64), np.float32)"
    awk '/^```$/ { inside = 0 } inside { print } /^```python$/ { inside = 1 }' README.md
    echo "assert o.shape == q.shape and np.allclose(o, 1) and lse.shape == (1, 4, 512)"
  } >"$scratch/readme.py"
  on_device "$scratch/readme.py"
}
has_device() { fresh -c 'import tulle; tulle.default_context()' 2>/dev/null; }
on_device() { if has_device; then fresh "$@"; else echo "no Vulkan device"; return 77; fi; }

result "the wheel is built without a warning" wheel_built
((failures == 0)) && result "it is installed into a fresh virtual environment, without a network" wheel_installed
((failures == 0)) || exit 1
result "it holds the package, and shows nothing of the library" wheel_holds
result "mypy --strict finds nothing" types_fit
result "the Python lines of README.md run" from_readme
[[ ! $pytorch ]] || result "PyTorch of $TULLE_PYTORCH can be imported" fresh -c 'import torch'
result "the example runs" on_device "$PWD/examples/python/layers.py"
echo "1..$count"
fresh "$here/tap.py" || failures=$((failures + 1))
((failures == 0))
