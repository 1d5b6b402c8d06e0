#!/usr/bin/env bash
# Runs %files, %post and %test of the Apptainer definition in a Debian 12 root made by debootstrap,
# where there is no apptainer. By hand: it needs root, debootstrap and some minutes.
#
#   image_root.sh [FOLDER OF THE ROOT]      kept when it is given, and used again
set -euo pipefail
source=$(cd "$(dirname "$0")/../.." && pwd)
definition=$source/slurm/packaging/apptainer/weft.def
root=${1:-$(mktemp -d /tmp/weft-root.XXXXXX)}
[ $# -gt 0 ] || trap 'rm -rf --one-file-system "$root"' EXIT

section() { awk -v name="%$1" '/^%/ { on = $1 == name; next } on' "$definition"; }

[ -e "$root/etc/debian_version" ] || debootstrap --variant=minbase bookworm "$root"
cp /etc/apt/sources.list.d/*.sources "$root/etc/apt/sources.list.d/" 2>/dev/null || true
cp /etc/resolv.conf /etc/hosts "$root/etc/"
mkdir -p "$root/etc/apt/apt.conf.d" && cp /etc/apt/apt.conf.d/* "$root/etc/apt/apt.conf.d/"
section files | while read -r from to; do
    [ -n "$from" ] || continue
    mkdir -p "$root$to"
    cp -r "$source/$from" "$root$to"
done
# As apptainer does: a shell in the root, with the host's /proc, /sys and /dev.
enter() {
    unshare --mount --pid --fork bash -c '
        mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && mount --rbind /sys "$1/sys" &&
            exec chroot "$1" /bin/sh -e' enter "$root"
}
section post | enter
{ section environment; section test; } | enter
echo "the image's root is well: $root"
