#!/usr/bin/env bash
# Builds with the address and undefined-behaviour sanitizers into build-asan/ and runs there the
# tests of what they are linked with (the label unit): no ranks, no Slurm, no injected faults.
# Arguments go to ctest.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/packages.sh

weft_packages build run test
log=build-asan/build.log
mkdir -p build-asan
echo "building into build-asan/ with sanitizers"
if ! { cmake --preset asan -DWEFT_CUDA=OFF &&
    cmake --build build-asan -j "$(nproc)" --target weft_units; } >"$log" 2>&1; then
    tail -n 60 "$log" >&2
    echo "the build failed; all of it is in $log" >&2
    exit 1
fi
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
export LSAN_OPTIONS=suppressions=$PWD/tests/leaks.txt:print_suppressions=0
exec ctest --test-dir build-asan -L '^unit$' --output-on-failure --timeout 600 \
    -j "${WEFT_TEST_JOBS:-2}" "$@"
