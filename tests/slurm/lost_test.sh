#!/usr/bin/env bash
# Nodes that a submitted job loses: they die, are cut off, or more urgent jobs get them. Slurm starts
# the job again elsewhere, and every row is there exactly once, also where the lost node's copy lives
# on and goes on writing.
#
#   lost_test.sh WEFT
set -euo pipefail
weft=$1
cd "$(dirname "$0")/../.."
. tests/slurm/lab.sh

start() { # start NAME: 40 rows that arrive over 16 s, on a node of its own; the job's id
    cat >"$lab_work/$1.yaml" <<YAML
job: $1
model: {path: jobs/demo/model}
requests: [$lab_work/requests.h5]
parallel: {tensor: 1, backend: cpu, threads: 1}
engine: {kv_memory: 32MiB, max_rows: 16, step_tokens: 64}
arrivals: {mode: replay}
output: {dir: $lab_work/$1, seal_every: 500ms}
slurm: {time: "00:10:00", signal: 60s, extra: ["--exclusive"]}
YAML
    lab_exec "$weft" submit "$lab_work/$1.yaml"
}

sealed() { [ -n "$(find "$lab_work/$1" -name 'r*.h5' -path '*/segments/*' 2>/dev/null)" ]; }
restarted() { [ "$(lab_restarts "$1")" -ge 1 ]; }

host_of() { # host_of NAME JOB: where it runs, once it has sealed something there
    lab_until 40 sealed "$1" || lab_fail "$1: nothing was sealed"
    lab_field "$2" BatchHost
}

finish() { # finish NAME JOB HOST: on another host
    lab_until 60 restarted "$2" || lab_fail "$1: not started again"
    lab_wait "$2" COMPLETED 90
    lab_check "$lab_work/$1" 40
    [ "$(lab_field "$2" BatchHost)" != "$3" ] || lab_fail "$1: again on $3"
    [ "$1" = pushed ] || lab_exec "$weft" why "$lab_work/$1" | grep -qF "on its way: a start on node 0 $3 ended" ||
        lab_fail "$1: $(lab_exec "$weft" why "$lab_work/$1")"
    echo "$1: lost $3, finished on $(lab_field "$2" BatchHost) after $SECONDS s"
}

lab_up 5
lab_shard "$lab_work/requests.h5" 10 16
off=$(start off)
cut=$(start cut)
pushed=$(start pushed)
off_host=$(host_of off "$off")
cut_host=$(host_of cut "$cut")
pushed_host=$(host_of pushed "$pushed")
lab_cluster power-off "$off_host"
lab_cluster unplug "$cut_host"
lab_exec scontrol update NodeName="$cut_host" State=DOWN Reason="no cable" # at once, not after a time-out
lab_exec sbatch -p urgent --exclusive -w "$pushed_host" -o /dev/null --wrap 'sleep 20' >/dev/null
finish pushed "$pushed" "$pushed_host"
finish cut "$cut" "$cut_host"
finish off "$off" "$off_host"

# The copy on the node without a cable went on beside the new one for a while, and gave way.
log=$lab_work/cut/slurm-$cut.out
grep -Eq "a newer start has taken over|another run has taken" "$log" || lab_fail "cut: the old copy saw nothing"
