#!/usr/bin/env bash
# The manual pages as they are installed: one of each command, with all its options, and markup that
# mandoc has nothing against (where it is installed).
#
#   manual_test.sh WEFT
set -euo pipefail
weft=$1
fail() { echo "FAILED: $*" >&2; exit 1; }

folder=$(mktemp -d /tmp/weft-manual.XXXXXX)
trap 'rm -rf "$folder"' EXIT
"$weft" help --share "$folder"
pages=$folder/man/man1

for command in $("$weft" --help | sed -n '/^commands:/,/^$/s/^  \([a-z]\+\) .*/\1/p'); do
    [ -s "$pages/weft-$command.1" ] || fail "no page of weft $command"
    grep -q "weft.-$command" "$pages/weft.1" || fail "weft(1) does not name $command"
    for option in $("$weft" help "$command" | grep -o '^  \(-.,\|   \)\? *--[a-z-]*' | grep -o -- '--.*'); do
        grep -qF -- "${option//-/\\-}" "$pages/weft-$command.1" || fail "weft-$command(1): no $option"
    done
    cmp -s <("$weft" help man "$command") "$pages/weft-$command.1" || fail "weft help man $command"
done
for key in $("$weft" help keys | grep -o '^  [a-z_.]*' ); do
    grep -qF -- "$key:" "$folder/man/man5/weft-job.5" || fail "weft-job(5): no $key"
done
cmp -s <("$weft" help man job) "$folder/man/man5/weft-job.5" || fail "weft help man job"

# What a command cannot end with, and what only programs write, are not told.
grep -q -- "no progress" "$pages/weft-run.1" || fail "weft-run(1): no exit code 69"
! grep -q -- "no progress" "$pages/weft-status.1" || fail "weft-status(1) has exit codes of weft run"
! "$weft" help keys --example | grep -q generation_taken || fail "the example has an internal key"

# Variables that tests set are for tests.
source=$(cd "$(dirname "$0")/../.." && pwd)
for name in $(cd "$source" && grep -rhoE 'getenv\("WEFT_[A-Z_]+' --include='*.c' io jobs engine kernels launcher \
    slurm results | sed 's/.*"//' | sort -u | grep -vE '^WEFT_(FAULT|DEV)$'); do
    grep -qF "\fB$name" "$pages/weft.1" || fail "weft(1): no $name"
done

command -v mandoc >/dev/null || { echo "note: mandoc is not installed: markup not checked"; exit 0; }
said=$(mandoc -T lint -W warning "$pages"/*.1 "$folder"/man/man5/*.5 | grep -v 'missing date') || true
[ -z "$said" ] || fail "$said"
