#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# tools/android, with GNU cross compilers standing in for the NDK's clang: what is tested is the script and how it packs. That
# the NDK's own compiler takes the sources, and that an app takes the AAR, is not.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
android=$here/../../../tools/android
# shellcheck source=tests/embedding/tap.sh
source "$here/../tap.sh"
unset ANDROID_NDK_HOME

# said STATUS TEXT COMMAND ...   it ends so, and says so
said() {
  local expected=$1 text=$2 status=0
  shift 2
  "$@" >"$scratch/said" 2>&1 || status=$?
  if [[ $status == "$expected" ]] && grep -qF -- "$text" "$scratch/said"; then return; fi
  cat "$scratch/said"
  echo "status $status"
  return 1
}

# what the script asks of an NDK: a folder with compilers, and a release number that none has
ndk=$scratch/ndk bin=$scratch/ndk/toolchains/llvm/prebuilt/linux-x86_64/bin
mkdir -p "$bin"
echo "Pkg.Revision = 1.0.0" >"$ndk/source.properties"
cat >"$bin/clang" <<'STAND_IN'
#!/usr/bin/env bash
# a compiler for Linux, of the same processor. Of the C library's own names, it guards the stack by one that only glibc's loader has
by= arguments=(-fno-stack-protector)
for argument; do
  case $argument in
    --target=aarch64-linux-android*) by=aarch64-linux-gnu-gcc ;;
    --target=armv7a-linux-androideabi*) by=arm-linux-gnueabihf-gcc ;;
    --target=x86_64-linux-android*) by=x86_64-linux-gnu-gcc ;;
    *) arguments+=("$argument") ;;
  esac
done
exec "$by" "${arguments[@]}"
STAND_IN
chmod +x "$bin/clang"
for tool in ar nm strip; do ln -s "$(command -v "$tool")" "$bin/llvm-$tool"; done

built() { ANDROID_NDK_HOME=$ndk "$android" --api 26 --work "$scratch/work" -o "$scratch/tulle.aar"; }

echo 1..7
result "without an NDK it says so and ends with 77" said 77 "ANDROID_NDK_HOME does not name" "$android"
result "a folder that is no NDK is refused" said 1 "has no toolchains/llvm/prebuilt" env "ANDROID_NDK_HOME=$scratch" "$android"
result "an API level without Vulkan is refused" said 2 "Vulkan is there from 24 on" "$android" --api 23
result "an ABI that is none of the three is refused" said 2 "invalid choice: 'mips'" "$android" --abi mips
result "libraries that Android would not load are refused" python3 "$here/refused.py" "$android" "$scratch"
result "built for three ABIs and packed, by stand-ins for the NDK's compiler" built
result "the AAR is laid out as prefab wants it" python3 "$here/layout.py" "$scratch/tulle.aar"
((failures == 0))
