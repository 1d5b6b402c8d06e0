#!/usr/bin/env bash
# How long a submitted job is away when it is interrupted: from the interruption to the next start of
# its batch script, and from there to its first new token. On the test cluster (tests/slurm).
#
#   restart.sh [ROUNDS] > restart.csv
set -euo pipefail
rounds=${1:-5}
cd "$(dirname "$0")/../../.."
weft=$PWD/build/weft
. tests/slurm/lab.sh

interrupt() { # interrupt HOW JOB
    case $1 in
    drain) lab_exec scancel --batch --signal=USR1 "$2" ;;            # as at the time limit
    requeue) lab_exec scontrol requeue "$2" ;;                       # SIGTERM from Slurm
    power-off) lab_cluster power-off "$(lab_field "$2" BatchHost)" ;; # Slurm looks every 5 s here
    esac
}

lab_up 4
lab_shard "$lab_work/requests.h5" 10 16
commit=$(git rev-parse --short HEAD) day=$(date +%F)
echo "commit,date,interruption,round,to_start_s,start_to_token_s,rows,rows_kept,rows_missing"
for round in $(seq "$rounds"); do
    for how in drain requeue power-off; do
        out=$lab_work/$how$round
        cat >"$out.yaml" <<YAML
model: {path: jobs/demo/model}
requests: [$lab_work/requests.h5]
parallel: {tensor: 1, backend: cpu, threads: 1}
engine: {kv_memory: 32MiB, max_rows: 16, step_tokens: 64}
arrivals: {mode: replay}
output: {dir: $out, seal_every: 1s}
slurm: {time: "00:10:00", setup: ["date +%s.%N >>$out.starts"]}
YAML
        job=$(lab_exec "$weft" submit "$out.yaml")
        lab_until 40 test -e "$out/segments/g0/r0-e0-00002.h5" || lab_fail "$how: nothing was sealed"
        at=$(date +%s.%N)
        interrupt $how "$job" >&2
        lab_wait "$job" COMPLETED 120
        lab_check "$out" 40
        [ $how != power-off ] || for node in n1 n2 n3 n4; do lab_cluster power-on $node 2>/dev/null || true; done
        /usr/bin/python3 - "$out" "$at" "$commit,$day,$how,$round" <<'PY'
import sys
import h5py

out, at, label = sys.argv[1], float(sys.argv[2]), sys.argv[3]
start = float(open(out + ".starts").read().split()[1])
f = h5py.File(out + "/results.h5")
run = f["requests/run"][:]
t0_s = dict(zip(f["runs/run"][:], f["runs/start_unix_ns"][:] / 1e9))
token = t0_s[1] + f["requests/first_token_ns"][:][run == 1].min() / 1e9
print(f"{label},{start - at:.2f},{token - start:.2f},{len(run)},{(run == 0).sum()},{40 - len(run)}")
PY
    done
done
