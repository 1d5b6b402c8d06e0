# Sourced by the scripts that kill at random moments, with the program as $weft: one job of the demo
# model in a folder of its own, which goes with the script. Sets $dir and $job.
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. tests/packages.sh
weft_mpi_environment
export WEFT_LOG=warn WEFT_PROGRESS=off

dir=$(mktemp -d) job=$dir/job.yaml
trap 'kill -9 $(jobs -p) 2>/dev/null || true; rm -rf "$dir"' EXIT

# job_make PER_TASK SPAN: four times PER_TASK prompts that arrive within SPAN seconds; standard input
# is the rest of the job file.
job_make() {
    printf '%s\n' 'job: kill' 'model: {path: jobs/demo/model}' "requests: [$dir/prompts.h5]" >"$job"
    cat >>"$job"
    /usr/bin/python3 jobs/demo/make_prompts.py --per-task "$1" --span "$2" -o "$dir/prompts.jsonl"
    "$weft" pack "$dir/prompts.jsonl" -o "$dir/prompts.h5" --model jobs/demo/model >/dev/null
}

# The program's processes with such a command line; the reader processes of a rank go by other names.
processes() {
    pgrep -f -- "$1" | while read -r pid; do
        [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$(basename "$weft")" ] && echo "$pid"
    done
    true
}

kill_one() { [ $# -gt 0 ] && kill -9 "${@:RANDOM % $# + 1:1}" 2>/dev/null; }

# fail WORDS: what the last run printed, and why the test ends.
fail() { cat "$dir/log" >&2; echo "$1" >&2; exit 1; }

# every_row_once ROWS: the folder is complete and right; ROWS as the checker says: "400 rows".
every_row_once() {
    local said
    said=$("$weft" check --complete "$dir/out") || { echo "$said" >&2; exit 1; }
    case $said in *"checked $1"*) ;; *) echo "$said" >&2; exit 1 ;; esac
}
