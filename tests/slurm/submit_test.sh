#!/usr/bin/env bash
# weft submit and weft cancel against a real Slurm: every way in which a job can be interrupted ends
# with every row exactly once.
#
#   submit_test.sh WEFT [SCENARIO...]     all scenarios but those of studies, side by side, without names
#
# `limit` and `limit_groups`, by hand, wait for a real time limit (two minutes).
set -euo pipefail
weft=$1
shift
cd "$(dirname "$0")/../.."
. tests/slurm/lab.sh
export WEFT_LOG=info

# A job of 40 rows over SPAN seconds, in one shard or in several: job_write NAME SPAN [KEYS...]
job_write() {
    local name=$1 span=$2
    shift 2
    cat >"$lab_work/$name.yaml" <<YAML
job: $name
model: {path: jobs/demo/model}
requests: [$lab_work/span$span.h5]
parallel: {tensor: 1, backend: cpu, threads: 1}
engine: {kv_memory: 32MiB, max_rows: 16, step_tokens: 64}
arrivals: {mode: replay}
output: {dir: $lab_work/$name, seal_every: 500ms}
slurm: {time: "00:10:00", signal: 60s}
YAML
}

submit() { # submit NAME [OPTIONS...]: the ids
    local name=$1
    shift
    lab_exec "$weft" submit "$lab_work/$name.yaml" "$@"
}

sealed() { [ -n "$(find "$lab_work/$1" -name 'r*.h5' -path '*/segments/*' 2>/dev/null)" ]; }
wait_sealed() { lab_until 40 sealed "$1" || lab_fail "$1: nothing was sealed"; }
restarted() { [ "$(lab_restarts "$1")" -ge 1 ]; }
has() { grep -q -- "$2" "$1" || lab_fail "$1 does not say: $2: $(head -c 2000 "$1")"; }
exit_code() { [ "$(lab_field "$1" ExitCode)" = "$2:0" ] || lab_fail "job $1 ended with $(lab_field "$1" ExitCode), not $2"; }

# ---- scenarios ----------------------------------------------------------------------------------

# Two ranks on two nodes give the tokens of one; directives arrive; the weights were copied to both.
scenario_two_nodes() {
    job_write two 0
    "$weft" run "$lab_work/two.yaml" --out "$lab_work/one" >/dev/null 2>&1
    local job
    job=$(submit two --set parallel.tensor=2 --set slurm.nodes=2 --set slurm.tasks_per_node=1 --set slurm.cpus_per_task=1 \
        --set slurm.gpus_per_node=1 \
        --set slurm.partition=batch --set "slurm.stage_weights=\$TMPDIR" --set 'slurm.setup=[export LAB_WORD=a]' \
        --set "slurm.extra=['--comment=\"two words\"']")
    lab_wait "$job" COMPLETED
    lab_check "$lab_work/two" 40
    /usr/bin/python3 - "$lab_work/one/results.h5" "$lab_work/two/results.h5" <<'PY' || lab_fail "other tokens on two nodes"
import h5py, sys
one, two = (h5py.File(p)["tokens/id"][:].tolist() for p in sys.argv[1:])
sys.exit(one != two or not one)
PY
    [ "$(lab_field "$job" NumNodes)" = 2 ] && [ "$(lab_field "$job" TimeLimit)" = 00:10:00 ] &&
        [ "$(lab_field "$job" Requeue)" = 1 ] || lab_fail "directives: $(lab_exec scontrol show job "$job")"
    [ "$(lab_field "$job" TresPerNode)" = gres:gpu:1 ] || lab_fail "GPUs: $(lab_field "$job" TresPerNode)"
    lab_exec scontrol show job "$job" | grep -q 'Comment=two words' || lab_fail "the comment of slurm.extra"
    local node
    for node in n1 n2; do
        [ -n "$(lab_on "$node" sh -c 'ls "$TMPDIR"/weft-*/model.safetensors' 2>/dev/null)" ] ||
            lab_fail "no weights on $node"
    done
}

# USR1, as at the time limit: drains, requeues itself, goes on, completes. A later edit of the job
# file changes nothing.
scenario_requeue() {
    job_write requeue 8
    local job
    job=$(submit requeue)
    echo "seed: 99" >>"$lab_work/requeue.yaml"
    wait_sealed requeue
    lab_exec scancel --batch --signal=USR1 "$job"
    lab_until 40 restarted "$job" || lab_fail "requeue: not requeued"
    lab_wait "$job" COMPLETED
    has "$lab_work/requeue/slurm-$job.out" "drained: "
    lab_check "$lab_work/requeue" 40
    [ "$(find "$lab_work/requeue/runs" -name '[0-9].json' | wc -l)" = 2 ] || lab_fail "requeue: not two runs"
}

# USR1 while the script still loads modules: no run starts, the job is requeued, and completes.
scenario_early() {
    job_write early 0
    local job
    job=$(submit early --set "slurm.setup=['touch $lab_work/early.begun', sleep 5]")
    lab_until 30 test -e "$lab_work/early.begun" || lab_fail "early: not started"
    lab_exec scancel --batch --signal=USR1 "$job"
    lab_until 40 restarted "$job" || lab_fail "early: not requeued"
    [ ! -e "$lab_work/early/runs" ] || lab_fail "early: a run was started all the same"
    lab_wait "$job" COMPLETED
    lab_check "$lab_work/early" 40
}

# Requeued from outside, without a word to the run.
scenario_outside() {
    job_write outside 8
    local job
    job=$(submit outside)
    wait_sealed outside
    lab_exec scontrol requeue "$job"
    lab_until 40 restarted "$job" || lab_fail "outside: not requeued"
    lab_wait "$job" COMPLETED
    lab_check "$lab_work/outside" 40
}

# Two jobs of a chain: the first one drains and ends, the second one goes on.
scenario_chain() {
    job_write chain 8
    local jobs
    mapfile -t jobs < <(submit chain --chain 3)
    [ ${#jobs[@]} = 3 ] || lab_fail "chain: ${jobs[*]}"
    wait_sealed chain
    lab_is_in "${jobs[1]}" PENDING || lab_fail "chain: the second job does not wait"
    lab_exec scancel --batch --signal=USR1 "${jobs[0]}"
    lab_wait "${jobs[0]}" FAILED
    exit_code "${jobs[0]}" 75
    lab_wait "${jobs[2]}" COMPLETED # it finds nothing left to do
    lab_check "$lab_work/chain" 40
}

# Three tasks on four shards; one of them drains and comes back; joined afterwards.
scenario_array() {
    job_write array 8
    local job task
    job=$(submit array --array 3 --set "requests=[$lab_work/part*.h5]")
    wait_sealed array/a2
    lab_exec "$weft" cancel "$lab_work/array/a2" >/dev/null
    wait_sealed array/a1
    lab_exec scancel --batch --signal=USR1 "${job}_0" "${job}_1"
    for i in 0 1; do
        task=$(lab_exec squeue -h --array -t all -j "$job" -o '%i %A' | awk -v t="${job}_$i" '$1 == t {print $2}')
        lab_until 40 restarted "$task" || lab_fail "array: task $i was not requeued"
    done
    for i in 0 1; do lab_wait "${job}_$i" COMPLETED; done
    lab_wait "${job}_2" CANCELLED # by weft cancel, not by a requeue of all; by hand it goes on where it stopped
    "$weft" run "$lab_work/array/submit/job.yaml" --part 2/3 >/dev/null 2>&1
    has "$lab_work/array/slurm-${job}_1.out" "drained: "
    "$weft" merge "$lab_work/array/a0" "$lab_work/array/a1" "$lab_work/array/a2" --output "$lab_work/array.h5" >/dev/null
    lab_check "$lab_work/array.h5" 160
    [ "$(/usr/bin/python3 -c 'import h5py, sys; print(*sorted(h5py.File(sys.argv[1])["shards/rows"][:]))' \
        "$lab_work/array/a0/results.h5")" = "40 40" ] || lab_fail "array: task 0 has other shards than 0 and 3"
}

# Cancelled while it runs: sealed, ended, not requeued. Submitted again: goes on. Cancelled while it
# waits: gone. By hand: a stop file.
scenario_cancel() {
    job_write cancel 20
    local job next
    job=$(submit cancel)
    wait_sealed cancel
    lab_exec "$weft" cancel "$lab_work/cancel" >/dev/null
    lab_wait "$job" CANCELLED
    has "$lab_work/cancel/slurm-$job.out" "drained: "
    [ "$(lab_restarts "$job")" = 0 ] || lab_fail "cancel: requeued"
    has "$lab_work/cancel/slurm-$job.out" "cancelled; not requeued"
    has <("$weft" why "$lab_work/cancel") "it was cancelled: "
    next=$(submit cancel --set 'slurm.extra=["--begin=now+1hour"]')
    lab_wait "$next" PENDING
    lab_exec "$weft" cancel "$lab_work/cancel" >/dev/null
    lab_wait "$next" CANCELLED
    next=$(submit cancel)
    lab_until 20 test -e "$lab_work/cancel/runs/1.json" || lab_fail "cancel: no second run"
    lab_exec "$weft" cancel --now "$lab_work/cancel" >/dev/null
    lab_wait "$next" CANCELLED,FAILED,COMPLETED
    next=$(submit cancel --set parallel.tensor=2 --set slurm.nodes=2) # on more nodes, split otherwise
    lab_wait "$next" COMPLETED
    lab_check "$lab_work/cancel" 40
    next=$(submit cancel 2>"$lab_work/cancel.said") # it is finished
    [ -z "$next" ] || lab_fail "cancel: a finished folder was submitted: $next"
    has "$lab_work/cancel.said" "nothing to do: 40 results of the job are there already"
}

# Text to text: ranks on two nodes wait for the shard that one of them makes, the job is requeued, and
# the answers are those of a run without an accident, byte for byte.
scenario_text() {
    local companion=${WEFT_TEXT:-$PWD/build/weft-text-env/bin/weft-text} job
    if [ ! -x "$companion" ]; then
        echo "text: skipped, there is no weft-text (the test text_companion makes one)"
        return
    fi
    export WEFT_TEXT=$companion
    job_write text 8
    jobs/demo/make_prompts.py --per-task 10 --span 8 -o "$lab_work/prompts.jsonl"
    local keys=(--set "requests=[$lab_work/prompts.jsonl]" --set "output.text=$lab_work/answers.jsonl")
    "$weft" run "$lab_work/text.yaml" --out "$lab_work/text-once" "${keys[@]}" \
        --set arrivals.mode=offline --set "output.text=$lab_work/once.jsonl" >/dev/null 2>&1
    job=$(submit text "${keys[@]}" --set parallel.tensor=2 --set slurm.nodes=2 --set slurm.tasks_per_node=1)
    wait_sealed text
    lab_exec scancel --batch --signal=USR1 "$job"
    lab_wait "$job" COMPLETED
    restarted "$job" || lab_fail "text: was not requeued"
    has "$lab_work/text/slurm-$job.out" "encoded already"
    cmp "$lab_work/once.jsonl" "$lab_work/answers.jsonl" || lab_fail "text: other answers"
    [ "$(wc -l <"$lab_work/answers.jsonl")" = 40 ] || lab_fail "text: not 40 answers"
}

# A study's runs as tasks of one array for each shape of resources, told together when they have
# ended. Only what has no result is submitted: not what was run here, nor what waits or runs.
collected() { lab_exec "$weft" study "$lab_work/study.yaml" --out "$lab_work/study" --collect >"$lab_work/study.told" 2>&1; }
study() { lab_exec "$weft" study "$lab_work/study.yaml" --out "$lab_work/study" "$@" >"$lab_work/study.said" 2>&1; }
scenario_study() {
    job_write study_job 0
    cat >"$lab_work/study.yaml" <<YAML
study: lab
job: study_job.yaml
grid: {engine.max_rows: [4, 8, 16], parallel.tensor: [1, 2]}
set: {slurm.nodes: 1, slurm.cpus_per_task: 1, 'slurm.setup': [sleep 3]}
scale: parallel.tensor
YAML
    local said=$lab_work/study.said arrays name
    "$weft" run "$lab_work/study_job.yaml" --out "$lab_work/study/points/max_rows-4_tensor-1" \
        --set engine.max_rows=4 >/dev/null 2>&1
    study --submit --max-running 1 || lab_fail "study: $(cat "$said")"
    has "$said" "2 shapes of resources, an array each"
    [ "$(grep -c ' job [0-9]*_[0-9]' "$said")" = 5 ] || lab_fail "study: $(cat "$said")"
    mapfile -t arrays < <(sed -n 's/^array \([0-9]*\): .*/\1/p' "$said")
    [ ${#arrays[@]} = 2 ] || lab_fail "study: ${arrays[*]} arrays"
    has "$said" "array ${arrays[0]}: 3 runs, at most 1 at a time, each with --nodes=1 --ntasks-per-node=2"
    has "$said" "array ${arrays[1]}: 2 runs, .*--ntasks-per-node=1"
    [ "$(lab_field "${arrays[0]}" ArrayTaskThrottle)" = 1 ] || lab_fail "study: no throttle"
    study --submit || lab_fail "study: $(cat "$said")"
    ! grep -q '^array' "$said" || lab_fail "study: submitted twice: $(cat "$said")"
    has "$said" "job ${arrays[0]}_2 waits"
    lab_until 120 collected || lab_fail "study: was not complete: $(cat "$lab_work/study.told")"
    for name in 4_tensor-1 4_tensor-2 8_tensor-1 8_tensor-2 16_tensor-1 16_tensor-2; do
        lab_check "$lab_work/study/points/max_rows-$name" 40
    done
    has "$lab_work/study/points/max_rows-16_tensor-2/slurm-${arrays[0]}_2.out" "40 done, 0 failed"
    "$weft" study "$lab_work/study.yaml" --out "$lab_work/study_sim" --simulate "--machine h200" >/dev/null 2>&1
    diff <(head -n 1 "$lab_work/study/study.csv") <(head -n 1 "$lab_work/study_sim/study.csv") ||
        lab_fail "study: another table than that of runs here"
    [ "$(grep -c ',40,' "$lab_work/study/study.csv")" = 6 ] || lab_fail "study: $(cat "$lab_work/study/study.csv")"
    study --submit || lab_fail "study: $(cat "$said")"
    ! grep -q ' job \|^array' "$said" || lab_fail "study: a run with a result was submitted: $(cat "$said")"
    # what cannot be submitted is said
    if study --out "$lab_work/study_bad" --submit --set slurm.partition=none; then lab_fail "study: a partition that is not there"; fi
    has "$said" "6 runs of the study were not submitted: sbatch: .*invalid partition"
}

# A task that fails is told with its last words, and only it is submitted again; cancelling the study
# takes what waits out of the queue and drains what runs, which is not requeued.
scenario_study_failed() {
    job_write study_job2 8
    sed -e 's/study_job/study_job2/' >"$lab_work/study2.yaml" <<YAML
study: lab2
job: study_job.yaml
grid: {slurm.setup: [[echo fine], ['[ -e $lab_work/mended ] || { echo the disk is gone; exit 9; }'], [export A=1]]}
YAML
    local said=$lab_work/study2.said out=$lab_work/study2 array
    study2() { lab_exec "$weft" study "$lab_work/study2.yaml" --out "$out" "$@" >"$said" 2>&1; }
    study2 --submit || lab_fail "study2: $(cat "$said")"
    array=$(sed -n 's/^array \([0-9]*\): 3 runs.*/\1/p' "$said")
    for i in 0 1 2; do lab_wait "${array}_$i" COMPLETED,FAILED; done
    if study2 --collect; then lab_fail "study2: $(cat "$said")"; fi
    has "$said" "job ${array}_1 FAILED: the disk is gone; weft why $out/points/setup-"
    has "$out/study.csv" "the disk is gone"
    has <("$weft" why "$(find "$out/points" -type d -name '*disk*')") "job ${array}_1"
    touch "$lab_work/mended"
    study2 --submit || lab_fail "study2: $(cat "$said")"
    array=$(sed -n 's/^array \([0-9]*\): 1 run,.*/\1/p' "$said")
    lab_wait "${array}_0" COMPLETED
    study2 --collect || lab_fail "study2: $(cat "$said")"
    study2 --out "$out-off" --submit --max-running 1 || lab_fail "study2: $(cat "$said")"
    array=$(sed -n 's/^array \([0-9]*\): .*/\1/p' "$said")
    lab_until 40 sealed study2-off || lab_fail "study2: nothing was sealed"
    lab_exec "$weft" cancel "$out-off" >"$said"
    has "$said" "job ${array}_0: asked to seal"
    has "$said" "job ${array}_2: taken out"
    lab_wait "${array}_0" CANCELLED
    [ "$(lab_restarts "${array}_0")" = 0 ] || lab_fail "study2: requeued"
    has "$out-off/submit/slurm-${array}_0.out" "cancelled; not requeued"
    if study2 --out "$out-off" --collect; then lab_fail "study2: complete though cancelled"; fi
    has "$said" "job ${array}_2 was cancelled"
}

# The script starts no step itself where each group is a world of its own: an array with copied
# weights, and one that is cancelled, comes back as a single world and is completed.
scenario_groups() {
    job_write groups 0
    sed -i -e 's/replay/offline/' -e 's/max_rows: 16/max_rows: 2/' "$lab_work/groups.yaml"
    local job keys=(--set parallel.replicas=2 --set slurm.tasks_per_node=2)
    job=$(submit groups --array 2 "${keys[@]}" --set "requests=[$lab_work/part*.h5]" --set "slurm.stage_weights=\$TMPDIR")
    for i in 0 1; do
        lab_wait "${job}_$i" COMPLETED
        lab_check "$lab_work/groups/a$i" 80
        has "$lab_work/groups/a$i/events.jsonl" "2 groups of 1"
        has "$lab_work/groups/a$i/segments/g1/"*00000.h5 'scratch/weft-[0-9a-f]\{16\}' # the copy was read
    done
    job=$(submit groups --out "$lab_work/many" "${keys[@]}" --set "requests=[$lab_work/many.h5]")
    wait_sealed many
    lab_exec "$weft" cancel "$lab_work/many" >/dev/null
    lab_wait "$job" CANCELLED
    job=$(submit groups --out "$lab_work/many" "${keys[@]}" --set "requests=[$lab_work/many.h5]" --set parallel.layout=world --set engine.max_rows=64)
    lab_wait "$job" COMPLETED
    lab_check "$lab_work/many" 2000
}

# One folder, two jobs: refused at submission, and at the start of one that was submitted elsehow.
scenario_two_jobs() {
    job_write twice 20
    local first second said
    first=$(submit twice)
    lab_until 20 test -e "$lab_work/twice/owner.json" || lab_fail "twice: not started"
    if said=$(submit twice 2>&1); then lab_fail "twice: submitted twice"; fi
    case $said in *"job $first (RUNNING) was submitted to work there already"*) ;; *) lab_fail "$said" ;; esac
    second=$(lab_exec sbatch --parsable "$lab_work/twice/submit/job.sh")
    lab_wait "$second" FAILED
    exit_code "$second" 78
    has "$lab_work/twice/slurm-$second.out" "in use by process .*, job $first"
    has "$lab_work/twice/submit/jobs.jsonl" "\"job\": \"$second\"" # typed by hand, recorded all the same
    [ "$(grep -c "\"$first\"" "$lab_work/twice/submit/jobs.jsonl")" -le 2 ] || lab_fail "twice: recorded over and over"
    lab_exec "$weft" cancel --now "$lab_work/twice" >/dev/null
    lab_wait "$first" CANCELLED,FAILED
}

# An owner on a host that we cannot look at, whose heartbeat stands still: the queue knows better.
scenario_owner() {
    job_write owner 0
    local job said
    job=$(lab_exec sbatch --parsable -o /dev/null --wrap 'sleep 120')
    lab_wait "$job" RUNNING
    mkdir "$lab_work/owner"
    cat >"$lab_work/owner/owner.json" <<JSON
{"host": "elsewhere", "pid": 1, "pid_start": 1, "boot_id": "x", "job_id": "$job", "restart": 0, "nonce": 1, "beat": 1}
JSON
    if said=$(lab_exec "$weft" run "$lab_work/owner.yaml" 2>&1); then lab_fail "owner: taken from a running job"; fi
    case $said in *"in use by process 1 on elsewhere, job $job"*) ;; *) lab_fail "$said" ;; esac
    lab_exec scancel "$job"
    lab_wait "$job" CANCELLED
    lab_exec "$weft" run "$lab_work/owner.yaml" >/dev/null 2>&1
    lab_check "$lab_work/owner" 40
}

# A folder whose name is a command, and no word of it is run: by sbatch, by the script, by weft.
scenario_hostile() {
    job_write hostile 0
    local job dir="$lab_work/a \$(touch ran) \`touch ran\` 'q' \"; touch ran; %j #b"
    mkdir "$dir"
    cp jobs/demo/model "$dir/model" -r
    job=$(cd "$dir" && lab_exec "$weft" submit "$lab_work/hostile.yaml" --set model.path=model --out out \
        --set 'slurm.stage_weights=$TMPDIR')
    lab_wait "$job" COMPLETED
    lab_check "$dir/out" 40
    has "$dir/out/slurm-$job.out" "40 done, 0 failed"
    [ -z "$(find "$lab_work" "$PWD" -maxdepth 2 -name ran)" ] || lab_fail "hostile: something ran"
    "$weft" why "$dir/out" | grep -q "complete" || lab_fail "hostile: why"
}

# What is wrong is said before anything waits in a queue.
scenario_refusals() {
    job_write bad 0
    "$weft" run "$lab_work/bad.yaml" --out "$lab_work/other" >/dev/null 2>&1
    local row code want said
    while IFS='|' read -r code want row; do
        set +e
        said=$(eval "submit bad $row" 2>&1)
        [ $? = "$code" ] || lab_fail "submit $row: not exit code $code: $said"
        set -e
        case $said in *"$want"*) ;; *) lab_fail "submit $row: $said" ;; esac
    done <<'ROWS'
66|no such file|--set requests=[/nowhere.h5]
66|no such folder|--set model.path=/nowhere
78|invalid partition|--set slurm.partition=nowhere
78|an option of sbatch|--set slurm.extra=[reservation]
78|40 nodes asked, the partition batch has 2|--set slurm.nodes=40
64|every task needs one|--array 2
64|do not go together|--array 1 --chain 2
78|model|--set parallel.tensor=3 --set slurm.tasks_per_node=3
65|is not an HDF5 file|--set requests=[jobs/demo/job.yaml]
78|seed: was 0, is 1|--set seed=1 --out $lab_work/other
78|parallel.tensor|--set parallel.tensor=3 --set slurm.nodes=2 --set slurm.tasks_per_node=1
ROWS
    sed 's/^ClusterName/SlurmctldPort=1\n&/' "$lab_dir/etc/slurm.conf" >"$lab_dir/etc/away.conf"
    set +e # a controller that is away
    said=$(lab_exec env SLURM_CONF="$lab_dir/etc/away.conf" "$weft" submit "$lab_work/bad.yaml" 2>&1)
    [ $? = 74 ] || lab_fail "controller away: $said"
    set -e
    case $said in *"look whether "*) ;; *) lab_fail "controller away: $said" ;; esac
    [ ! -e "$lab_work/bad/submit" ] || lab_fail "controller away: a submission is left behind"
    set +e # no controller known at all: sbatch asks the DNS for one
    said=$(lab_exec env -u SLURM_CONF "$weft" submit "$lab_work/bad.yaml" 2>&1)
    [ $? = 74 ] || lab_fail "no controller: $said"
    set -e
    case $said in *"Slurm cannot be reached from here"*) ;; *) lab_fail "no controller: $said" ;; esac
    [ -z "$(lab_exec squeue -h -n bad -t all)" ] || lab_fail "a refused job is in the queue"
}

# The real thing: Slurm's own signal before the time limit, by hand.
scenario_limit() {
    job_write limit 150
    local job
    job=$(submit limit --set slurm.time=00:02:00 --set slurm.signal=60s)
    lab_until 180 restarted "$job" || lab_fail "limit: not requeued"
    lab_wait "$job" COMPLETED 300
    lab_check "$lab_work/limit" 40
    has "$lab_work/limit/slurm-$job.out" "drained: "
}

scenario_limit_groups() {
    job_write limit_groups 0
    sed -i -e 's/replay/offline/' -e 's/max_rows: 16/max_rows: 1/' "$lab_work/limit_groups.yaml"
    local job
    job=$(submit limit_groups --set slurm.time=00:02:00 --set slurm.signal=60s --set parallel.replicas=2 \
        --set slurm.tasks_per_node=2 --set sampling.n=200 --set sampling.temperature=1 --set "requests=[$lab_work/many.h5]")
    lab_until 180 restarted "$job" || lab_fail "limit_groups: not requeued"
    has "$lab_work/limit_groups/slurm-$job.out" "drained: "
    lab_exec "$weft" cancel "$lab_work/limit_groups"
}

# -------------------------------------------------------------------------------------------------

scenarios=("$@")
[ $# -gt 0 ] || scenarios=(two_nodes requeue early outside chain array groups text cancel two_jobs owner hostile refusals)
LAB_CPUS=8 LAB_GPUS=2 lab_up 2
for span in 0 8 20 150; do lab_shard "$lab_work/span$span.h5" 10 "${span/#0/0.01}"; done
lab_shard "$lab_work/many.h5" 500 0
for i in 0 1 2 3; do lab_shard "$lab_work/part$i.h5" 10 8 $((i + 10)); done

failed=()
declare -A process
for scenario in "${scenarios[@]}"; do
    (trap - EXIT; scenario_"$scenario") >"$lab_work/$scenario.log" 2>&1 &
    process[$scenario]=$!
done
for scenario in "${scenarios[@]}"; do
    wait "${process[$scenario]}" || failed+=("$scenario")
    echo "$scenario: done after $SECONDS s"
done
for scenario in "${failed[@]}"; do
    echo "=== $scenario" >&2
    cat "$lab_work/$scenario.log" >&2
done
[ ${#failed[@]} = 0 ] || { echo "FAILED: ${failed[*]}" >&2; exit 1; }
