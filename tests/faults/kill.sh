#!/usr/bin/env bash
# Kills a random rank at random moments, again and again, and ends with every row exactly once.
#
#   kill.sh WEFT [KILLS] [SEED] [RANKS]        default 20 kills, seed 1, 4 ranks
#
# 4 ranks are 2 replicas of 2 under mpirun, which takes seconds to end; 1 is the program alone, for
# many kills. Each kill is followed by a run of the same command on the same folder. When a run ends
# by itself before its kill, the folder is checked and the next one begins afresh.
set -euo pipefail
weft=$1 kills=${2:-20} n_ranks=${4:-4}
RANDOM=${3:-1}
case $n_ranks in
1) start=() layout='tensor: 1, replicas: 1' seal=100ms ;;
4) start=(mpirun -n 4) layout='tensor: 2, replicas: 2' seal=300ms ;;
*) echo "kill.sh: 1 or 4 ranks, not $n_ranks" >&2; exit 64 ;;
esac
. "$(dirname "$0")/kill_job.sh"
job_make 100 12 <<YAML
parallel: {$layout, backend: cpu}
engine: {max_rows: 16, step_tokens: 64, kv_memory: 32MiB}
arrivals: {mode: replay}
output: {dir: $dir/out, seal_every: $seal}
YAML

# The ranks of this job, whatever else runs on the machine; not the mpirun that started them.
ranks() { processes "$weft run $job" | while read -r pid; do
    [ "$n_ranks" = 1 ] || grep -qz '^OMPI_COMM_WORLD_RANK=' "/proc/$pid/environ" 2>/dev/null || continue
    echo "$pid"
done; }

# Somewhere in a run: a start under mpirun takes a second, alone a tenth of one.
moment() {
    if [ "$n_ranks" = 1 ]; then echo "0.$((RANDOM % 10))$((RANDOM % 10))"; else echo "$((RANDOM % 4)).$((RANDOM % 10))"; fi
}

finish() { # ends a folder: run to completion, then every row must be there exactly once
    "${start[@]}" "$weft" run "$job" >"$dir/log" 2>&1 || fail "the run after $n_kills kills failed"
    every_row_once '400 rows (0 failed)'
    rm -rf "$dir/out"
}

n_kills=0 n_folders=0
while [ "$n_kills" -lt "$kills" ]; do
    "${start[@]}" "$weft" run "$job" >"$dir/log" 2>&1 &
    run=$!
    sleep "$(moment)"
    mapfile -t pids < <(ranks)
    if ! kill -0 "$run" 2>/dev/null; then # it ended by itself
        wait "$run" 2>/dev/null || true
        finish
        n_folders=$((n_folders + 1))
        continue
    fi
    if kill_one "${pids[@]}"; then n_kills=$((n_kills + 1)); fi
    wait "$run" 2>/dev/null || true
done
sealed=$(find "$dir/out/segments" -name '*.h5' 2>/dev/null | wc -l)
finish
echo "$n_kills kills over $((n_folders + 1)) folders, $sealed segments sealed before the last run: every row once"
