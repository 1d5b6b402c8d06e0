#!/usr/bin/env bash
# Measures the CPU kernels and writes cpu-kernels.csv beside this script.
#   results/studies/cpu-kernels/run.sh [build folder [threads [runs]]]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
build=${1:-$root/build} threads=${2:-$(nproc)} runs=${3:-21}

export OMP_WAIT_POLICY=passive # sleeping threads, not spinning ones: see README.md
stamp="$(git -C "$root" rev-parse --short HEAD),$(date -u +%Y-%m-%d)"
out=$here/cpu-kernels.csv
{
    echo "commit,date,what,shape,cpu,unit,median,best,runs,ratio,of,limit_median"
    for isa in best avx2; do
        "$build/kernels/bench/bench_cpu_kernels" "$threads" "$isa" "$runs" |
            tail -n +2 | sed "s/^/$stamp,/"
    done
} >"$out.part"
mv "$out.part" "$out"
