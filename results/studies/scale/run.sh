#!/usr/bin/env bash
# The study beside this file on one GPU: the sweep, the search, and both in simulated time.
#
#   bash results/studies/scale/run.sh BUILD OUT [MODEL [KEY=VALUE ...]]     # 3 minutes on an H200
#
# OUT gets sweep.csv, sweep.html, search.csv, search.html, simulated.csv, simulated.html and said.txt. The
# runs stay in $WEFT_SCALE_WORK, else OUT/work, and the same command goes on with them. MODEL is a folder of
# ../models, whose weights are random. Without a GPU, where the first speed is too much already:
#
#   bash results/studies/scale/run.sh build out/scale jobs/demo/model model.weights=file model.dtype=f32 \
#       parallel.backend=cpu engine.kv_memory=256MiB
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,/^set/{s/^# \{0,1\}//p}' "$0"; exit 64; }
weft=$(realpath "$1")/weft
mkdir -p "$2"
out=$(realpath "$2")
cd "$(dirname "$0")/../../.."
model=${3:-results/studies/models/llama-3-8b}
shift $(($# < 3 ? $# : 3))
work=${WEFT_SCALE_WORK:-$out/work}
study=results/studies/scale/study.yaml
settings=(--set "model.path=$model" --set "requests=[$work/azure.h5]")
for pair in "$@"; do settings+=(--set "$pair"); done
export WEFT_PROGRESS=off
mkdir -p "$work"
[ -e "$work/azure.h5" ] || "$weft" import azure results/studies/scale/azure-conv-220.csv -o "$work/azure.h5" --model "$model"

# What went wrong stands in the table, and the other parts are made all the same.
part() { # part NAME FOLDER OPTIONS...
    local name=$1 folder=$work/$2 code=0
    shift 2
    echo "# $name"
    "$weft" study "$study" --out "$folder" "${settings[@]}" "$@" || code=$?
    [ $code = 0 ] || { echo "# $name: exit code $code"; failed=yes; tail -n 5 "$folder"/points/*.log; }
    for form in csv html; do cp "$folder/study.$form" "$out/$name.$form" || true; done
}

failed=
{
    begin=$SECONDS
    part sweep real
    part search real --find-goodput --ratio 1.118034
    part simulated simulated --simulate "--costs results/studies/simulate/h200-8b-bf16.csv"
    echo "# $("$weft" --version | head -n 1); $((SECONDS - begin)) s"
} > >(tee "$out/said.txt") 2>&1
[ -z "$failed" ]
