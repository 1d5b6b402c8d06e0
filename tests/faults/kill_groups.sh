#!/usr/bin/env bash
# Kills random ranks of a job whose groups are worlds of their own, and now and then its conductor,
# and ends with every row exactly once. The job itself goes on after a killed rank; after a killed
# conductor the same command is run again.
#
#   kill_groups.sh WEFT [KILLS] [SEED] [TENSOR]        default 20 kills, seed 1, tensor 1
set -euo pipefail
weft=$1 kills=${2:-20} tensor=${4:-1}
RANDOM=${3:-1}
cd "$(dirname "$0")/../.."
. tests/packages.sh
weft_mpi_environment
export WEFT_LOG=warn WEFT_PROGRESS=off

dir=$(mktemp -d)
trap 'kill -9 $(jobs -p) 2>/dev/null || true; rm -rf "$dir"' EXIT
job=$dir/job.yaml
cat >"$job" <<YAML
job: kill
model: {path: jobs/demo/model}
requests: [$dir/prompts.h5]
parallel: {tensor: $tensor, replicas: 2, backend: cpu, threads: 1, layout: groups, max_restarts: 1000}
engine: {max_rows: 4, step_tokens: 64, kv_memory: 32MiB}
output: {dir: $dir/out, seal_every: 200ms}
YAML
rows=$((6000 / (tensor * tensor)))
/usr/bin/python3 jobs/demo/make_prompts.py --per-task $((rows / 4)) --span 0 -o "$dir/prompts.jsonl"
"$weft" pack "$dir/prompts.jsonl" -o "$dir/prompts.h5" --model jobs/demo/model >/dev/null

# The ranks of this job: processes that are one of its groups.
ranks() { pgrep -f -- "^[^ ]*$(basename "$weft") run $dir/out/leases/.* --group" | while read -r pid; do
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$(basename "$weft")" ] && echo "$pid"
done; true; } # a rank's reader processes go by other names

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
        [ ${#pids[@]} -gt 0 ] && kill -9 "${pids[RANDOM % ${#pids[@]}]}" 2>/dev/null && n_kills=$((n_kills + 1))
    done
    code=0
    wait "$conductor" 2>/dev/null || code=$?
    case $code in
    0 | 3) ;;
    137) continue ;; # the conductor was killed
    *) cat "$dir/log" >&2; echo "ended with $code after $n_kills kills" >&2; exit 1 ;;
    esac
    said=$("$weft" check --complete "$dir/out") || { echo "$said" >&2; exit 1; }
    case $said in *"checked $rows rows"*) ;; *) echo "$said" >&2; exit 1 ;; esac
    n_poison=$((n_poison + $(grep -c '"event":"quarantine"' "$dir/out/events.jsonl" || true)))
    n_folders=$((n_folders + 1))
    rm -rf "$dir/out"
done
"$weft" run "$job" >"$dir/log" 2>&1 || [ $? = 3 ] || { cat "$dir/log" >&2; exit 1; }
"$weft" check --complete "$dir/out" >/dev/null
echo "$n_kills kills ($n_conductors of the conductor) in $n_runs runs over $((n_folders + 1)) folders, $n_poison requests given up: every row once"
