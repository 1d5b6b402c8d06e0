#!/usr/bin/env bash
# Jobs whose groups are worlds of their own, on a real Slurm: a lost node, a killed rank and a stopped
# one take their group alone; it comes back, here or elsewhere, and every row is there exactly once.
#
#   groups_test.sh WEFT [SCENARIO...]      all scenarios without names
set -euo pipefail
weft=$1
shift
cd "$(dirname "$0")/../.."
. tests/slurm/lab.sh
export WEFT_LOG=info
rows=8000 # a quiet machine does 1,500 a second

# submit NAME NODES TASKS_PER_NODE REPLICAS TENSOR: two rows at a time, so that there is time to hurt
# somebody.
submit() {
    cat >"$lab_work/$1.yaml" <<YAML
job: $1
model: {path: jobs/demo/model}
requests: [$lab_work/rows.h5]
parallel: {tensor: $5, replicas: $4, backend: cpu, threads: 1, heartbeat: 6s}
engine: {kv_memory: 32MiB, max_rows: 2, step_tokens: 64}
output: {dir: $lab_work/$1, seal_every: 500ms}
slurm: {time: "00:10:00", signal: 60s, nodes: $2, tasks_per_node: $3, extra: ["--exclusive"]}
YAML
    lab_exec "$weft" submit "$lab_work/$1.yaml"
}

says() { grep -q -- "$2" "$lab_work/$1/events.jsonl" 2>/dev/null; }
event() { says "$1" "$2" || lab_fail "$1: no event says: $2"; }
sealed_by() { [ -n "$(ls "$lab_work/$1/segments/g$2"/*.h5 2>/dev/null)" ]; }
wait_sealed() { lab_until 60 sealed_by "$1" "$2" || lab_fail "$1: group $2 sealed nothing"; }

host_and_pid() { # host_and_pid NAME RANK, as its status file says
    /usr/bin/python3 -c 'import json, sys; s = json.load(open(sys.argv[1])); print(s["host"], s["pid"])' \
        "$lab_work/$1/status/rank-$2.json"
}

finish() { # finish NAME JOB
    lab_wait "$2" COMPLETED 300
    lab_check "$lab_work/$1" $rows
    [ "$(lab_restarts "$2")" = 0 ] || lab_fail "$1: was requeued"
    ! grep "cpu binding" "$lab_work/$1/slurm-$2.out" || lab_fail "$1: srun complains of --cpu-bind"
    echo "$1: complete after $SECONDS s"
}

all_idle() { [ "$(lab_exec sinfo -h -t idle -o %D | awk '{n += $1} END {print n + 0}')" = 4 ]; }

# ---- scenarios ----------------------------------------------------------------------------------

# Four groups on four nodes; one node dies. Nothing is left to start its group on: three go on.
scenario_node() {
    local job
    job=$(submit node 4 1 4 1)
    wait_sealed node 2
    lab_cluster power-off n3
    finish node "$job"
    event node '"event":"stall".*"host":"n3"'
    event node 'node n3 does not answer'
    "$weft" why "$lab_work/node" | grep -q 'on its way: node n3 does not answer' || lab_fail "node: $("$weft" why "$lab_work/node")"
    lab_cluster power-on n3
}

# One group over two of three nodes; one of the two dies. The group goes on with the third.
scenario_spare() {
    local job
    job=$(submit spare 3 1 1 2)
    wait_sealed spare 0
    lab_cluster power-off n2
    finish spare "$job"
    event spare 'group 0 is started on n1,n3'
    lab_cluster power-on n2
}

# One rank of a group is killed, one of another is stopped: both groups come back where they were.
scenario_ranks() {
    local job at
    job=$(submit ranks 2 2 2 2)
    wait_sealed ranks 0
    wait_sealed ranks 1
    read -r -a at < <(host_and_pid ranks 1)
    lab_on "${at[0]}" kill -9 "${at[1]}"
    read -r -a at < <(host_and_pid ranks 2)
    lab_on "${at[0]}" kill -STOP "${at[1]}"
    finish ranks "$job"
    event ranks 'group 0 is lost'
    event ranks 'rank 2 on .* stalled at step'
    [ "$(grep -c 'group 1 is started' "$lab_work/ranks/events.jsonl")" -ge 2 ] || lab_fail "ranks: group 1"
}

# A node loses its network, not its disk: its group is taken for lost and started again, lives on,
# and finds out that nobody waits for it any more.
scenario_cut() {
    local job
    job=$(submit cut 4 1 4 1)
    wait_sealed cut 2
    lab_cluster unplug n3
    lab_exec scontrol update NodeName=n3 State=DOWN Reason="no cable" # at once, not after a time-out
    finish cut "$job"
    event cut 'group 2 is lost'
    lab_cluster plug n3
    lab_exec scontrol update NodeName=n3 State=RESUME
}

# USR1, as at the time limit: all groups leave in time, and the job requeues itself.
scenario_drain() {
    local job
    job=$(submit drain 4 1 4 1)
    wait_sealed drain 3
    lab_exec scancel --batch --signal=USR1 "$job"
    lab_until 60 says drain 'all groups leave' || lab_fail "drain: nobody left"
    lab_wait "$job" COMPLETED 300
    lab_check "$lab_work/drain" $rows
    [ "$(lab_restarts "$job")" -ge 1 ] || lab_fail "drain: not requeued"
    echo "drain: complete after $SECONDS s"
}

# -------------------------------------------------------------------------------------------------

lab_up 4
lab_shard "$lab_work/rows.h5" $((rows / 4)) 0
[ $# -gt 0 ] || set -- node spare ranks cut drain
for scenario in "$@"; do
    "scenario_$scenario"
    lab_until 30 all_idle || lab_fail "$scenario: nodes are still busy"
done
