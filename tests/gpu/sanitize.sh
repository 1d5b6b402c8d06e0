#!/usr/bin/env bash
# compute-sanitizer over the operation tests, side by side on one GPU:
#
#   bash tests/gpu/sanitize.sh BUILD [TOOL ...]     memcheck racecheck synccheck initcheck; default: all
#
# A minute or two a tool. Plans of products are measured first, without the sanitizer: the book then
# holds them, and what is looked at are the kernels that a job would run. One line per program: rc 0 is
# clean, 9 an error (its report stands in OUT), 124 not over in time. bf16; exit code 1 unless all are 0.
set -u
build=${1:?usage: sanitize.sh BUILD [TOOL ...]}
shift
tools=("$@")
[ ${#tools[@]} -gt 0 ] || tools=(memcheck racecheck synccheck initcheck)
command -v compute-sanitizer >/dev/null || { echo "skipped: no compute-sanitizer"; exit 77; }
out=${OUT:-$(mktemp -d)}
limit=${LIMIT_S:-150}
ops=$build/tests/ops
export WEFT_CUDA_CACHE=$out/cache
mkdir -p "$out"

look() { # NAME TOOL PROGRAM ARGUMENTS...
    local name=$1 tool=$2 begin=$SECONDS rc=0
    shift 2
    timeout -k 5 "$limit" compute-sanitizer --tool "$tool" --error-exitcode 9 --print-limit 5 \
        "$@" >"$out/$tool-$name" 2>&1 || rc=$?
    printf '%-10s %-20s rc %3d  %3d s  %s\n' "$tool" "$name" $rc $((SECONDS - begin)) \
        "$(grep -E 'ERROR SUMMARY|RACECHECK SUMMARY' "$out/$tool-$name" | tail -n 1 | tr -d '=')"
}

look_at_all() { # TOOL
    local op some
    for op in gemm attention norm activation rows; do
        look $op "$1" "$ops/test_op_$op" cuda bf16 &
    done
    for some in agrees_with_ref hard_logits known_answers logprobs best_of_slices \
        no_column_loses_against_any distributions; do
        look sample:$some "$1" "$ops/test_op_sample" cuda bf16 $some &
    done
    look aligned_gemms "$1" "$build/tests/gpu/test_gpu_paths" cuda bf16 aligned_gemms &
    look long_contexts "$1" "$build/tests/gpu/test_gpu_paths" cuda bf16 long_contexts &
    wait
}

"$ops/test_op_gemm" cuda bf16 >/dev/null 2>&1
rc=$?
[ $rc -ne 77 ] || { echo "skipped: no GPU"; exit 77; }
"$build/tests/gpu/test_gpu_paths" cuda bf16 aligned_gemms >/dev/null 2>&1
for tool in "${tools[@]}"; do
    look_at_all "$tool"
done | tee "$out/table"
! grep -qv 'rc   0' "$out/table"
