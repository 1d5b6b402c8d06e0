#!/bin/bash
# Written by weft study --submit: task I is run I of the list, by the batch script in its folder.
#SBATCH --job-name="a study"
#SBATCH --chdir=/home/u
#SBATCH --partition=gpu
#SBATCH --account="ab 12"
#SBATCH --qos=long
#SBATCH --constraint=h100|h200
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=12
#SBATCH --mem=900G
#SBATCH --time=1-01:01:01
#SBATCH --signal=B:USR1@300
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --exclusive
#SBATCH --comment="night run"
#SBATCH --array=0-1%3
#SBATCH --output="/home/50%% of it/submit/slurm-%A_%a.out"

runs=(
    max_rows-4_rate-1
    'it'\''s $(touch ran)')
logs='/home/50% of it/submit'
folder='/home/50% of it/points'
folder=$folder/${runs[$SLURM_ARRAY_TASK_ID]}
# The same file under two names: weft why looks for it in the run's folder.
ln "$logs/slurm-${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID.out" "$folder" 2>/dev/null
exec /bin/bash "$folder/submit/job.sh"
