#!/bin/bash
# Written by weft submit; yours to keep and edit. Given to sbatch again, it goes on where the
# job stopped.
#SBATCH --job-name=azure
#SBATCH --chdir=/home/u
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
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

if [ -z "$signal" ]; then
    srun --mpi=pmix --kill-on-bad-exit=1 --container-image='registry#org/weft:1' --container-workdir="$PWD" \
        --container-mounts=/home/u:/home/u,/data/models:/data/models \
        "$weft" run "$job" "${options[@]}" &
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
