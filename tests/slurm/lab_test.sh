#!/usr/bin/env bash
# The cluster itself: 4 nodes with devices boot, run an MPI job, lose a node, come back, and leave
# nothing behind, even when the test that owns them is killed.
set -euo pipefail
weft=$1
cd "$(dirname "$0")/../.."
. tests/slurm/lab.sh

gone() { [ ! -e "$1" ] && ! pgrep -f -- "$1" >/dev/null; }

killed_owner() { # boots in a process of its own, which is then killed
    local dir owner
    bash -c '. tests/slurm/lab.sh && lab_up 1 && echo "$lab_dir" && exec sleep 60' >"$lab_work/owner" &
    owner=$!
    lab_until 20 [ -s "$lab_work/owner" ] || lab_fail "no second cluster"
    dir=$(cat "$lab_work/owner")
    [ -e "$dir/.up" ] || lab_fail "$dir is not up"
    kill -KILL "$owner"
    wait "$owner" 2>/dev/null || true
    lab_until 20 gone "$dir" || lab_fail "$(pgrep -af -- "$dir") outlive their owner, in $dir"
}

LAB_GPUS=2 lab_up 4
[ "$(lab_exec srun -N4 --ntasks-per-node=1 --gpus-per-node=2 hostname | sort | xargs)" = "n1 n2 n3 n4" ] ||
    lab_fail "a step on 4 nodes"
[ "$(lab_on n2 hostname)" = n2 ] || lab_fail "inside n2"

cat >"$lab_work/job.yaml" <<YAML
job: lab
model: {path: jobs/demo/model}
requests: [$lab_work/a.h5]
parallel: {tensor: 2, backend: cpu}
engine: {kv_memory: 32MiB}
output: {dir: $lab_work/out}
YAML
lab_shard "$lab_work/a.h5" 5 0
lab_exec srun --mpi=pmix -N2 --ntasks-per-node=1 "$weft" run "$lab_work/job.yaml" >"$lab_work/step.out" 2>&1 ||
    lab_fail "weft run over two nodes"
lab_check "$lab_work/out" 20

job=$(lab_exec sbatch --parsable -N1 -w n3 --no-requeue -o "$lab_work/sleep.out" --wrap 'sleep 60')
lab_wait "$job" RUNNING
lab_cluster power-off n3
lab_wait "$job" NODE_FAIL 30
lab_cluster power-on n3
job=$(lab_exec sbatch --parsable -N1 -w n3 -o "$lab_work/back.out" --wrap 'hostname')
lab_wait "$job" COMPLETED 30
[ "$(cat "$lab_work/back.out")" = n3 ] || lab_fail "n3 did not come back"

killed_owner
dir=$lab_dir
lab_down
gone "$dir" || { echo "FAILED: $(pgrep -af -- "$dir") left behind in $dir" >&2; exit 1; }
echo "4 nodes: an MPI job, a lost node and its return; nothing is left"
