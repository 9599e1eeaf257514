# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: MIT
#
# Sourced by tools/quickstart, tools/check and tools/drivers: which of Debian's packages Tulle needs, and how they are installed.

# COMMAND:PACKAGE is there where the command is, wherever it came from; a plain name where the package is installed.
packages_build=(gcc:gcc libc6-dev meson:meson ninja:ninja-build pkg-config:pkg-config glslc:glslc libvulkan-dev
  libvulkan-volk-dev libcjson-dev libcairo2-dev fonts-dejavu-core vulkaninfo:vulkan-tools)
packages_test=(g++:g++ git:git python3-dev python3-venv libcmocka-dev spirv-val:spirv-tools shellcheck:shellcheck vulkan-validationlayers
  cmake:cmake ppkg-config:libpkgconfig-perl python3-jsonschema)
packages_full=(clang:clang libclang-rt-dev x86_64-w64-mingw32-gcc:gcc-mingw-w64-x86-64 dpkg-source:dpkg-dev wine64 Xvfb:xvfb
  aarch64-linux-gnu-gcc:gcc-aarch64-linux-gnu libc6-dev-arm64-cross chromium:chromium chromedriver:chromium-driver
  qemu-aarch64:qemu-user arm-linux-gnueabihf-gcc:gcc-arm-linux-gnueabihf libc6-dev-armhf-cross)
# For programs of 64-bit Arm, beside what gcc-aarch64-linux-gnu brings: unpacked into a folder, not installed.
packages_arm64=(libvulkan1 libvulkan-dev libcmocka0 libcmocka-dev libcjson1 libcjson-dev)
package_driver=mesa-vulkan-drivers

say() { if [[ -t 1 ]]; then printf '\033[1m== %s\033[0m\n' "$*"; else echo "== $*"; fi; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

as_root() {
  if ((EUID == 0)); then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    die "needs root or sudo for: $*"
  fi
}

is_installed() {
  case $1 in
    *:*) command -v "${1%%:*}" >/dev/null ;;
    *) [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]] ;;
  esac
}

# install_packages WHAT-FOR ENTRY ...   what is missing of the entries, said first
install_packages() {
  local what=$1 entry missing=()
  shift
  command -v apt-get >/dev/null || die "installs with apt-get, which is not here: install what README.md lists by hand, then build with meson"
  for entry in "$@"; do
    is_installed "$entry" || missing+=("${entry##*:}")
  done
  ((${#missing[@]})) || return 0
  say "installing for $what: ${missing[*]}"
  if [[ ! ${lists_are_new-} ]]; then
    as_root apt-get update -qq
    lists_are_new=yes
  fi
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >"${TMPDIR:-/tmp}/tulle-install.log" 2>&1 ||
    { tail -n 20 "${TMPDIR:-/tmp}/tulle-install.log" >&2; die "apt-get could not install ${missing[*]}"; }
}

has_vulkan_device() { vulkaninfo --summary 2>/dev/null | grep -q deviceName; }

# A driver that runs on the CPU, where there is no device at all.
install_driver() {
  has_vulkan_device && return
  is_installed "$package_driver" || say "no Vulkan device here: a software driver will stand in"
  install_packages "running without a GPU" "$package_driver"
  has_vulkan_device || die "no Vulkan device, and the software driver of $package_driver does not start: see vulkaninfo"
}

# the archive that this machine installs from
mirror() {
  local found
  found=$( (cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null || true) |
    grep -v '^ *#' | grep -oE 'https?://[^ ]+/debian/?( |$)' | sed 's|/* *$||' | head -n 1 || true)
  echo "${found:-http://deb.debian.org/debian}"
}

# apt_in FOLDER OPTION ...   sets `apt`: an apt-get whose lists, archives and installed packages (none) are in FOLDER; needs no root
apt_in() {
  local folder=$1
  shift
  mkdir -p "$folder/lists/partial" "$folder/archives/partial"
  touch "$folder/status"
  folder=$(cd "$folder" && pwd)
  apt=(apt-get -qq -o "Dir::State=$folder" -o "Dir::State::status=$folder/status" -o "Dir::Cache=$folder"
    -o APT::Sandbox::User=root -o Acquire::Languages=none -o APT::Update::Error-Mode=any "$@")
}

apt_arm64=(-o APT::Architecture=arm64 -o APT::Architectures::=arm64)

# unpack_arm64 FOLDER   packages_arm64 for arm64, unpacked there; nothing is installed, and apt's lists stay as they are
unpack_arm64() {
  local root=$1 apt package
  [[ -e $root/done ]] && return
  say "unpacking into $root, for arm64: ${packages_arm64[*]}"
  rm -rf "$root"
  apt_in "$root/apt" "${apt_arm64[@]}"
  root=$(cd "$root" && pwd)
  "${apt[@]}" update
  (cd "$root/apt" && "${apt[@]}" download "${packages_arm64[@]}")
  for package in "$root"/apt/*.deb; do dpkg-deb -x "$package" "$root"; done
  rm -r "$root/apt"
  printf "[constants]\nroot = '%s'\n" "$root" >"$root/root.ini"
  touch "$root/done"
}

# configure FOLDER OPTION ...   meson setup, once; again where the options have changed
configure() {
  local folder=$1
  shift
  if [[ -e $folder/build.ninja && $(cat "$folder/options" 2>/dev/null) == "$*" ]]; then return; fi
  rm -rf "$folder"
  meson setup "$folder" "$@" >"$folder.log" 2>&1 || { tail -n 20 "$folder.log" >&2; rm -f "$folder.log"; return 1; }
  mv "$folder.log" "$folder/setup.log"
  echo "$*" >"$folder/options"
}
