#!/usr/bin/env bash
# Kills random ranks of a job whose groups are worlds of their own, and now and then its conductor,
# and ends with every row exactly once. The job itself goes on after a killed rank; after a killed
# conductor the same command is run again.
#
#   kill_groups.sh WEFT [KILLS] [SEED] [TENSOR]        default 20 kills, seed 1, tensor 1
set -euo pipefail
weft=$1 kills=${2:-20} tensor=${4:-1}
RANDOM=${3:-1}
. "$(dirname "$0")/kill_job.sh"
rows=$((6000 / (tensor * tensor)))
job_make $((rows / 4)) 0 <<YAML
parallel: {tensor: $tensor, replicas: 2, backend: cpu, threads: 1, layout: groups, max_restarts: 1000}
engine: {max_rows: 4, step_tokens: 64, kv_memory: 32MiB}
output: {dir: $dir/out, seal_every: 200ms}
YAML

# The ranks of this job: processes that are one of its groups.
ranks() { processes "^[^ ]*$(basename "$weft") run $dir/out/leases/.* --group"; }

n_kills=0 n_conductors=0 n_runs=0 n_folders=0 n_poison=0
while [ "$n_kills" -lt "$kills" ]; do
    "$weft" run "$job" >"$dir/log" 2>&1 &
    conductor=$!
    n_runs=$((n_runs + 1))
    while [ "$n_kills" -lt "$kills" ] && sleep "0.$((RANDOM % 9 + 1))" && kill -0 "$conductor" 2>/dev/null; do
        if [ $((RANDOM % 8)) = 0 ]; then
            kill -9 "$conductor" 2>/dev/null && n_conductors=$((n_conductors + 1)) && n_kills=$((n_kills + 1))
            continue
        fi
        mapfile -t pids < <(ranks)
        kill_one "${pids[@]}" && n_kills=$((n_kills + 1))
    done
    code=0
    wait "$conductor" 2>/dev/null || code=$?
    case $code in
    0 | 3) ;;
    137) continue ;; # the conductor was killed
    *) fail "ended with $code after $n_kills kills" ;;
    esac
    every_row_once "$rows rows"
    n_poison=$((n_poison + $(grep -c '"event": *"quarantine"' "$dir/out/events.jsonl" || true)))
    n_folders=$((n_folders + 1))
    rm -rf "$dir/out"
done
"$weft" run "$job" >"$dir/log" 2>&1 || [ $? = 3 ] || fail "the run after $n_kills kills failed"
every_row_once "$rows rows"
echo "$n_kills kills ($n_conductors of the conductor) in $n_runs runs over $((n_folders + 1)) folders, $n_poison requests given up: every row once"
