#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Runs programs for Windows, by Wine (Debian's wine64) on this machine's Vulkan devices. Without a display Wine offers no Vulkan
# 1.1, so there is one that nobody sees (Debian's xvfb).
#
#   wine.sh PROGRAM.exe ARGUMENT ...     runs it
#   wine.sh --session COMMAND ...        runs a command of this machine, below which wine.sh starts at once: Wine's server and
#                                        the display are there already
#   wine.sh --here                       is Wine here? Status 77, with the reason: no
#
# What stands for its drive C: is in $WINEPREFIX, or else in a folder of its own that is removed afterwards.
set -euo pipefail
wine=/usr/lib/wine/wine64 server=/usr/lib/wine/wineserver64

session() {
  local folder display
  folder=$(mktemp -d)
  export WINEPREFIX=${WINEPREFIX:-$folder/prefix} WINEDEBUG=${WINEDEBUG:--all} WINEDLLOVERRIDES="mscoree,mshtml=" TULLE_WINE_SESSION=$folder
  Xvfb -displayfd 1 -screen 0 640x480x24 -nolisten tcp >"$folder/display" 2>"$folder/xvfb.log" &
  display=$!
  # shellcheck disable=SC2064
  trap "$server -k || true; kill $display || true; wait; rm -rf '$folder'" EXIT
  for ((i = 0; i < 100; i++)); do
    [[ ! -s $folder/display ]] || break
    kill -0 "$display" 2>/dev/null || { cat "$folder/xvfb.log" >&2; exit 1; }
    sleep 0.1
  done
  [[ -s $folder/display ]] || { cat "$folder/xvfb.log" >&2; exit 1; }
  DISPLAY=:$(<"$folder/display")
  export DISPLAY
  "$@"
}

case ${1-} in
  --here)
    [[ -x $wine && -x $server ]] || { echo "Wine is missing (Debian's wine64)"; exit 77; }
    command -v Xvfb >/dev/null || { echo "Xvfb is missing (Debian's xvfb)"; exit 77; }
    ;;
  --session) session "${@:2}" ;;
  *.exe) if [[ ${TULLE_WINE_SESSION-} ]]; then exec "$wine" "$@" </dev/null; else session "$wine" "$@" </dev/null; fi ;;
  *) sed -n 's/^#   \(wine.sh.*\)/\1/p' "$0" >&2; exit 2 ;;
esac
