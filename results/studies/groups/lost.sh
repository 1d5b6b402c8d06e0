#!/usr/bin/env bash
# How long a lost group is away, and what it costs, on the test cluster (tests/slurm/cluster.sh).
#
#   lost.sh [REPEATS] > lost.csv
set -euo pipefail
cd "$(dirname "$0")/../../.."
weft=$PWD/build/weft repeats=${1:-3}
. tests/slurm/lab.sh
export WEFT_LOG=warn

submit() { # submit NAME NODES REPLICAS
    cat >"$lab_work/$1.yaml" <<YAML
job: $1
model: {path: jobs/demo/model}
requests: [$lab_work/8000.h5]
parallel: {tensor: 1, replicas: $3, backend: cpu, threads: 1, heartbeat: 6s, layout: groups}
engine: {kv_memory: 32MiB, max_rows: 2, step_tokens: 64}
output: {dir: $lab_work/$1, seal_every: 500ms}
slurm: {time: "00:10:00", signal: 60s, nodes: $2, tasks_per_node: 1, extra: ["--exclusive"]}
YAML
    lab_exec "$weft" submit "$lab_work/$1.yaml"
}

sealed_by() { [ -n "$(ls "$lab_work/$1/segments/g$2"/*.h5 2>/dev/null)" ]; }
all_idle() { [ "$(lab_exec sinfo -h -t idle -o %D | awk '{n += $1} END {print n + 0}')" = 3 ]; }

row() { # row FAULT NAME FAULT_UNIX_NS GROUP: one line of the table
    "$weft" check --complete "$lab_work/$2" >/dev/null || lab_fail "$2: rows are missing or twice"
    /usr/bin/python3 - "$lab_work/$2" "$1" "$3" "$4" <<'PY'
import json, re, sys
import h5py
out, fault, at, group = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
events = [json.loads(line) for line in open(out + "/events.jsonl")]
first = lambda kind, since: next(e for e in events if e["event"] == kind and e["time_unix_ns"] > since)
lost, back = first("lost", at), first("return", at)
again = next(e for e in events if e["event"] == "start" and e["time_unix_ns"] > back["time_unix_ns"])
with h5py.File(out + "/results.h5") as f:
    zero = min(f["runs/start_unix_ns"][:].tolist())
    mine = f["requests/group"][:] == again["group"]
    tokens = f["requests/first_token_ns"][:][mine] + zero
token = min(t for t in tokens.tolist() if t > again["time_unix_ns"])
s = lambda a, b: f"{(b - a) / 1e9:.2f}"
rows, suspects = map(int, re.search(r"gives back (\d+) rows, (\d+)", back["text"]).groups())
print(fault, s(at, lost["time_unix_ns"]), s(lost["time_unix_ns"], again["time_unix_ns"]),
      s(again["time_unix_ns"], token), rows, suspects, sep=",")
PY
}

measure() { # measure FAULT I: the group on n2 is hurt
    local name=$1$2 job at host pid
    job=$(submit "$name" 3 2)
    lab_until 60 sealed_by "$name" 1 || lab_fail "$name: nothing was sealed"
    read -r host pid < <(/usr/bin/python3 -c 'import json, sys; s = json.load(open(sys.argv[1])); print(s["host"], s["pid"])' \
        "$lab_work/$name/status/rank-1.json")
    at=$(date +%s%N)
    case $1 in
    killed) lab_on "$host" kill -9 "$pid" ;;
    stopped) lab_on "$host" kill -STOP "$pid" ;;
    node) lab_cluster power-off "$host" ;;
    esac
    lab_wait "$job" COMPLETED 120
    row "$1" "$name" "$at" 1
    [ "$1" != node ] || lab_cluster power-on "$host" >/dev/null
    lab_until 30 all_idle || lab_fail "$name: nodes are still busy"
}

lab_up 3 >&2
lab_shard "$lab_work/8000.h5" 2000 0
echo "fault,to_noticed_s,to_started_s,to_token_s,rows_given_back,rows_suspected"
for fault in killed stopped node; do
    for ((i = 1; i <= repeats; i++)); do measure $fault $i; done
done
