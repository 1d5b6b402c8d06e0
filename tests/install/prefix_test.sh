#!/usr/bin/env bash
# cmake --install into a prefix, the prefix moved, the source and the build gone: weft runs from it.
#
#   prefix_test.sh BUILD
set -euo pipefail
build=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
source=$(cd "$here/../.." && pwd)
. "$here/installed.sh"

folder=$(mktemp -d /tmp/weft-install.XXXXXX)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/work"
cmake --install "$build" --prefix "$folder/first" >"$folder/install.log" ||
    installed_fail "$(cat "$folder/install.log")"
mv "$folder/first" "$folder/second"
cp "$here/installed.sh" "$folder/installed.sh"

for file in bin/weft share/doc/weft/LICENSE share/doc/weft/README.md share/weft/plot.py \
    share/man/man1/weft.1 share/man/man1/weft-run.1 share/man/man5/weft-job.5 \
    share/bash-completion/completions/weft share/zsh/site-functions/_weft \
    share/fish/vendor_completions.d/weft.fish; do
    [ -s "$folder/second/$file" ] || installed_fail "$file was not installed"
done
! readelf -d "$folder/second/bin/weft" | grep -F "$build" ||
    installed_fail "the program looks for libraries in the build folder"
if [ -e "$build/libweft_cuda.so" ]; then
    [ -e "$folder/second/lib/weft/libweft_cuda.so" ] || installed_fail "no CUDA module"
fi
installed_without "$source $build" bash -c \
    ". '$folder/installed.sh'; installed_use '$folder/second' '$folder/work'"
