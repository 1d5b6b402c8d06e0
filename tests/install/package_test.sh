#!/usr/bin/env bash
# What cpack makes: a .deb whose Depends are there and a tarball, with checksums; weft runs from both.
#
#   package_test.sh BUILD
set -euo pipefail
build=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
source=$(cd "$here/../.." && pwd)
. "$here/installed.sh"

for tool in cpack dpkg-deb dpkg-shlibdeps file; do
    command -v $tool >/dev/null || { echo "skipped: no $tool here"; exit 77; }
done
folder=$(mktemp -d /tmp/weft-package.XXXXXX)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/work" "$folder/root" "$folder/unpacked"
cp "$here/installed.sh" "$folder"
(cd "$build" && cpack -B "$folder/made") >"$folder/cpack.log" 2>&1 ||
    installed_fail "$(cat "$folder/cpack.log")"
cd "$folder/made"
sha256sum -c ./*.sha256

deb=$(echo ./*.deb)
dpkg-deb -c "$deb" >"$folder/listing"
grep -q ' ./usr/share/man/man1/weft-run.1' "$folder/listing" || installed_fail "no manual page"
depends=$(dpkg-deb -f "$deb" Depends)
for library in libhdf5 libyaml libjansson; do
    grep -q "$library" <<<"$depends" || installed_fail "Depends has no $library: $depends"
done
for name in $(tr ',|' '\n\n' <<<"$depends" | awk '{print $1}'); do
    dpkg-query -W "$name" >/dev/null || installed_fail "Depends: $name is not installed here"
done
dpkg-deb -x "$deb" "$folder/root"
tar -xzf ./*.tar.gz -C "$folder/unpacked" --strip-components=1
cd "$folder"
unpacked/bin/weft --version >unpacked.version
installed_without "$source $build" bash -c \
    ". '$folder/installed.sh'; installed_use '$folder/root/usr' '$folder/work'"
