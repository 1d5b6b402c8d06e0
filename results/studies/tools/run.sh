#!/usr/bin/env bash
# What the tools take on a job of 100,000 requests: time, memory, size of what they write.
#
#   bash results/studies/tools/run.sh build/weft OUT      # a minute and a half of running, then seconds
set -euo pipefail
weft=$(realpath "$1")
model=$(realpath "$(dirname "$0")/../../../jobs/demo/model")
mkdir -p "$2"
cd "$2"
cat >job.yaml <<YAML
model: {path: $model}
requests: [p.h5]
sampling: {ignore_eos: true}
parallel: {backend: cpu}
engine: {kv_memory: 256MiB, max_rows: 256, max_context: 64}
YAML
[ -e p.h5 ] || "$weft" import poisson --rate 100000 -n 100000 --input-tokens 4 \
    --output-tokens uniform:1:4 -o p.h5 --model "$model" >/dev/null
"$weft" run job.yaml --out run >run.log 2>&1

measure() { # measure NAME FILE COMMAND...: best of three
    local name=$1 file=$2 best=
    shift 2
    for _ in 1 2 3; do
        local took
        took=$(/usr/bin/time -f "%e,%M" "$@" 2>&1 >/dev/null | tail -n 1)
        if [ -z "$best" ] || [[ $(printf '%s\n' "$took" "$best" | sort -t, -k1,1n | head -n 1) == "$took" ]]; then best=$took; fi
    done
    echo "$name,$best,$([ "$file" = - ] || stat -c %s "$file")"
}

{
    echo "tool,seconds,peak_KB,bytes_written"
    measure "report --html" report.html "$weft" report run --html report.html
    measure "diff with itself" - "$weft" diff run run
    measure "export jsonl" rows.jsonl "$weft" export run -o rows.jsonl --replace
    measure "export csv" rows.csv "$weft" export run -o rows.csv --replace
    measure "export perfetto" trace.json "$weft" export run -o trace.json --replace
    measure "merge --output" merged.h5 "$weft" merge run -o merged.h5
} | tee tools.csv
