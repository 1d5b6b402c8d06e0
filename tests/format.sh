#!/usr/bin/env bash
# Checks that every source file is as .clang-format says; --fix rewrites those that are not.
# The formatter is one pinned release in a virtual environment, so that all machines agree.
# tests/format.sh [--fix] [FOLDER FOR THE ENVIRONMENT]
set -euo pipefail
cd "$(dirname "$0")/.."
release=22.1.8
how=(--dry-run -Werror)
if [ "${1:-}" = --fix ]; then
    how=(-i)
    shift
fi
home=${1:-build/format}

if [ "$("$home/bin/clang-format" --version 2>/dev/null)" != "clang-format version $release" ]; then
    if ! { python3 -m venv --clear "$home" && "$home/bin/pip" -q install "clang-format==$release"; }; then
        echo "skipped: clang-format $release cannot be installed here (python3-venv, pip)"
        exit 77
    fi
fi
git ls-files -z -- '*.c' '*.h' '*.cu' '*.cuh' | xargs -0 -n 64 "$home/bin/clang-format" "${how[@]}"
