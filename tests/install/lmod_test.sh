#!/usr/bin/env bash
# The module file of an installation, loaded by a real Lmod: weft and its pages are found, and gone
# again after unload. Skips where Lmod is not installed.
#
#   lmod_test.sh BUILD
set -euo pipefail
build=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
. "$here/installed.sh"

lmod=/usr/share/lmod/lmod/libexec/lmod # of the package lmod
[ -x "$lmod" ] || { echo "skipped: Lmod is not installed"; exit 77; }
folder=$(mktemp -d /tmp/weft-lmod.XXXXXX)
trap 'rm -rf "$folder"' EXIT
export HOME=$folder
cmake --install "$build" --prefix "$folder/first" >"$folder/install.log" ||
    installed_fail "$(cat "$folder/install.log")"
mv "$folder/first" "$folder/prefix"

module() { eval "$("$lmod" bash "$@" 2>>"$folder/said")"; }
unset WEFT_ROOT MANPATH
module use "$folder/prefix/share/modulefiles"
module load weft
[ "$(command -v weft)" = "$folder/prefix/bin/weft" ] || installed_fail "$(cat "$folder/said")"
[ "$WEFT_ROOT" = "$folder/prefix" ] || installed_fail "WEFT_ROOT is ${WEFT_ROOT-not set}"
[ -e "${MANPATH%%:*}/man1/weft.1" ] || installed_fail "MANPATH is $MANPATH"
module help weft
grep -q "$folder/prefix/share/doc/weft/examples" "$folder/said" || installed_fail "$(cat "$folder/said")"
module unload weft
[[ :$PATH: != *":$folder/prefix/bin:"* ]] || installed_fail "unload leaves $PATH"
