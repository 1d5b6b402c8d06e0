#!/usr/bin/env bash
# Installs what is missing, builds, and runs all tests. The last line is ctest's summary.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/packages.sh

weft_packages build run test slurm
weft_mpi_environment
weft_build -DWEFT_WERROR=ON
exec ctest --test-dir build --output-on-failure --timeout 600 -j "${WEFT_TEST_JOBS:-3}" "$@"
