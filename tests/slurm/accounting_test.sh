#!/usr/bin/env bash
# What weft status and weft why say of jobs that the queue has forgotten, where sacct remembers: a
# real slurmdbd over a real MariaDB; of a run from a batch script of a user's own; of a job that can
# never start, and of one that is just writing its results.
set -euo pipefail
weft=$1
cd "$(dirname "$0")/../.."
. tests/slurm/lab.sh
for tool in slurmdbd mariadbd mariadb-install-db; do
    PATH=$PATH:/usr/sbin command -v $tool >/dev/null || lab_skip "$tool is not installed"
done
export LAB_ACCOUNTING=1
lab_up 2
lab_shard "$lab_work/a.h5" 10 200

write_job() { # write_job NAME [SLURM KEYS]
    cat >"$lab_work/$1.yaml" <<YAML
job: $1
model: {path: jobs/demo/model}
requests: [$lab_work/a.h5]
parallel: {backend: cpu, threads: 1, layout: world}
engine: {kv_memory: 32MiB, max_rows: 16, step_tokens: 64}
arrivals: {mode: replay}
output: {dir: $lab_work/$1, seal_every: 500ms}
slurm: {nodes: 1, time: "00:10:00", signal: 60s, requeue: false, tasks_per_node: 1${2:-}}
YAML
}
submit() { lab_exec "$weft" submit "$lab_work/$1.yaml"; }
says() { # says COMMAND NAME TEXT: weft COMMAND of that output folder says it
    local said
    said=$(lab_exec "$weft" "$1" "$lab_work/$2") || lab_fail "weft $1 $2: $said"
    case $said in *"$3"*) ;; *) lab_fail "weft $1 $2 does not say '$3': $said" ;; esac
}
computes() { grep -lq '"elapsed_ns": [1-9]' "$lab_work/$1"/status/rank-*.json 2>/dev/null; }
told() { [ "$(lab_exec sacct -nXP -j "$1" -o State | tail -n 1 | cut -d' ' -f1)" = "$2" ]; }
waits_in_vain() { [ "$(lab_exec squeue -h -j "$unfit" -o %r)" = PartitionTimeLimit ]; }
is_merging() { compgen -G "$lab_work/joins/results.h5.*.part" >/dev/null; }

# One is cancelled behind Weft's back, one never gets to a rank, one has a script of its own.
write_job taken
taken=$(submit taken)
write_job stumbles ', setup: [exit 9]'
stumbles=$(submit stumbles)
write_job own
printf '#!/bin/bash\nexec %s run %s\n' "$weft" "$lab_work/own.yaml" >"$lab_work/own.sh"
own=$(lab_exec sbatch --parsable --no-requeue -o "$lab_work/own.out" "$lab_work/own.sh")
lab_until 60 computes taken || lab_fail "taken: nothing runs"
lab_until 60 computes own || lab_fail "own: nothing runs"
says status own "job $own RUNNING on n"
says why own "it runs: "
lab_exec scancel "$taken"
lab_exec "$weft" cancel "$lab_work/own"
lab_until 60 told "$taken" CANCELLED || lab_fail "sacct does not know of $taken"
lab_until 60 told "$stumbles" FAILED || lab_fail "sacct does not know of $stumbles"
lab_until 60 told "$own" FAILED || lab_fail "sacct does not know of $own"
says status own "drained"
says why own "because of the file $lab_work/own/stop"

# One waits for what its partition never gives; one is held while it writes its results.
write_job unfit ', partition: urgent, extra: [--hold]'
unfit=$(submit unfit)
lab_exec scontrol update PartitionName=urgent MaxTime=1
lab_exec scontrol release "$unfit"
lab_until 20 waits_in_vain || lab_fail "unfit: $(lab_exec squeue)"
says why unfit "job $unfit waits in the queue and never starts as it is (PartitionTimeLimit)"
lab_exec "$weft" cancel "$lab_work/unfit" >/dev/null
write_job joins
printf '#!/bin/bash\nWEFT_FAULT=stop@merge=1 exec %s run %s --set arrivals.mode=offline\n' "$weft" "$lab_work/joins.yaml" >"$lab_work/joins.sh"
joins=$(lab_exec sbatch --parsable --no-requeue -w n1 -o "$lab_work/joins.out" "$lab_work/joins.sh")
lab_until 60 is_merging || lab_fail "joins: it does not come to its results"
says why joins "it is complete: 40 requests done; $lab_work/joins/results.h5 is not written yet"
lab_on n1 sh -c 'kill -CONT $(pgrep -x weft)'
lab_wait "$joins" COMPLETED
says why joins "it is complete: 40 requests done
"

# The controller starts anew and knows no job any more.
lab_exec sh -c 'kill "$(cat "$1")"' sh "$lab_dir/node/ctl/slurmctld.pid"
forgotten() { lab_exec slurmctld -c && lab_exec squeue -h >/dev/null; }
lab_until 20 forgotten || lab_fail "the controller does not come back"
[ -z "$(lab_exec squeue -h -t all)" ] || lab_fail "the controller remembers"
says status taken "job $taken CANCELLED on n"
says why taken "it was cancelled: "
says status stumbles "job $stumbles FAILED"
says why stumbles "job $stumbles ended (FAILED) before a rank could begin"
says status own "job $own FAILED on n"
says why own "because of the file $lab_work/own/stop"
echo "accounting: ok"
