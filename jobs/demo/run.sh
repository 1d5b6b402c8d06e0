#!/usr/bin/env bash
# The demo: replays 100 rows of a production arrival log, with 400 small questions between them,
# on 4 MPI ranks of this machine (2 replicas x tensor-parallel 2), and reports. Then it embeds the
# questions and finds the nearest neighbour of each.
#
#   bash jobs/demo/run.sh [--set KEY=VALUE ...]      e.g. --set arrivals.speed=4
#
# An unfinished output folder is resumed, a finished one replaced.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/packages.sh

weft_packages build run
weft_mpi_environment
weft_build

out=out/demo
streams=out/streams
python=/usr/bin/python3
mkdir -p "$streams"

if [ ! -e "$streams/azure-conv-100.h5" ]; then
    build/weft import azure jobs/demo/azure-conv-100.csv -o "$streams/azure-conv-100.h5" \
        --model jobs/demo/model --seed 1
fi
if [ ! -e "$streams/demo-prompts.h5" ]; then
    "$python" jobs/demo/make_prompts.py --per-task 100 --span 42 -o "$streams/demo-prompts.jsonl"
    build/weft pack "$streams/demo-prompts.jsonl" -o "$streams/demo-prompts.h5" --model jobs/demo/model
fi

# mpirun's pipe hides the terminal from the ranks.
[ -t 2 ] && export WEFT_PROGRESS=${WEFT_PROGRESS:-live}

mpirun -n 4 build/weft run jobs/demo/job.yaml --fresh-if-finished "$@"
build/weft check "$out"
"$python" jobs/demo/accuracy.py "$out/results.h5" --show 6

build/weft run jobs/demo/embed.yaml --fresh-if-finished
build/weft check out/demo-embed
"$python" jobs/demo/neighbours.py out/demo-embed/results.h5 --show 4 --min-right 0.99
