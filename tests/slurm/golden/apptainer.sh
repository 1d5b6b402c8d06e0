#!/bin/bash
# Written by weft submit; yours to keep and edit. Given to sbatch again, it goes on where the
# job stopped.
#SBATCH --job-name=azure
#SBATCH --chdir=/home/u
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=2
#SBATCH --gpus-per-node=2
#SBATCH --output=/home/u/out/azure/slurm-%j.out
#SBATCH --open-mode=append
#SBATCH --no-requeue

# USR1 (the time limit is near) and TERM (scancel) go on to the run: it seals what is
# finished and ends with 75. One that comes before the run keeps it from starting.
signal= interrupted= run= code=75
pass_on() { signal=$1 interrupted=yes; [ -z "$run" ] || kill -s "$1" "$run"; }
trap 'pass_on USR1' USR1
trap 'pass_on TERM' TERM

# weft status and weft cancel find the job here, whoever gave it to sbatch.
record=/home/u/out/azure/submit/jobs.jsonl
id=${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID} slurm_job=$id${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}
cancelled="\"cancelled\": *\"$slurm_job\""
grep -qs "\"job\": *\"$slurm_job\"" "$record" ||
    printf '{"job": "%s", "array": 0, "time": "%s"}\n' "$slurm_job" \
        "$(date -u +%Y-%m-%dT%H:%M:%S.000Z)" >>"$record"

weft=weft
job=/home/u/out/azure/submit/job.yaml
options=()

# The weights, copied once to each node's own disk. Files of the same size and date stay.
model=/data/models/llama
staged=/local/"$USER"/weft-2c496702d0aab1c4
stage='mkdir -p "$2" || exit 1
for from in "$1"/*; do
    [ -f "$from" ] || continue
    to=$2/${from##*/} part=$2/.${from##*/}.$SLURM_JOB_ID.$SLURM_NODEID
    [ "$(stat -L -c "%s %Y" "$from")" = "$(stat -c "%s %Y" "$to" 2>/dev/null)" ] && continue
    cp --preserve=timestamps "$from" "$part" && mv "$part" "$to" && continue
    rm -f "$part"
    exit 1
done'
if srun --mpi=none --ntasks="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 \
    bash -c "$stage" stage "$model" "$staged"; then
    options+=(--set "model.path=$staged")
else
    echo "weights: not copied to $staged, read from $model"
fi

if [ -z "$signal" ]; then
    srun --mpi=pmix --kill-on-bad-exit=1 \
        apptainer exec --nv --bind=/home/u:/home/u,/data/models:/data/models,/local/"$USER":/local/"$USER" \
        '/images/weft 1.sif' "$weft" run "$job" "${options[@]}" &
    run=$!
    [ -z "$signal" ] || kill -s "$signal" "$run"
    interrupted=yes
    while [ -n "$interrupted" ]; do # a signal ends the wait, not the run
        interrupted=
        wait "$run"
        code=$?
    done
fi

# weft cancel was asked for: no failure in Slurm's books, and not requeued.
if [ $code != 0 ] && grep -qs "$cancelled" "$record"; then
    echo "cancelled; not requeued"
    run=
    case $code in 75 | 138) scancel --quiet "$slurm_job" || code=0 ;; esac
fi
exit $code
