#!/usr/bin/env bash
# compute-sanitizer over the operation tests, side by side on one GPU:
#
#   bash tests/gpu/sanitize.sh BUILD [TOOL ...]     memcheck racecheck synccheck initcheck; default: all
#
# A minute or two a tool. Plans of products are measured first, without the sanitizer: the book then
# holds them, and what is looked at are the kernels that a job would run. One line per program: clean,
# errors (their reports stand in OUT), or not over in LIMIT_S seconds. Reports about cuBLASLt's kernels
# are counted apart: racecheck makes some. bf16. Exit code 1 unless our kernels are clean.
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
    local name=$1 tool=$2 begin=$SECONDS rc=0 report=$out/$2-$1 all theirs said
    shift 2
    timeout -k 5 "$limit" compute-sanitizer --tool "$tool" --error-exitcode 9 --print-limit 1000 \
        "$@" >"$report" 2>&1 || rc=$?
    all=$(grep -c '^========= \(Error\|Warning\|Invalid\|Uninit\|Barrier\)' "$report")
    theirs=$(grep '^========= \(Error\|Warning\)' "$report" | grep -cE 'nvjet|cutlass|xmma|cublas')
    said="failed, exit code $rc"
    [ $rc -ne 0 ] || said=clean
    [ $rc -ne 124 ] || said="not over, $all reports so far"
    [ $rc -ne 9 ] || said="$all reports, all in cuBLASLt"
    [ $rc -ne 9 ] || [ "$all" -eq "$theirs" ] || said="$((all - theirs)) ERRORS"
    printf '%-10s %-34s %4d s  %s\n' "$tool" "$name" $((SECONDS - begin)) "$said"
}

look_at_all() { # TOOL
    local op some
    for op in attention norm activation rows experts; do
        look $op "$1" "$ops/test_op_$op" cuda bf16 &
    done
    for some in every_count_of_rows odd_shapes embeds_rows random_weights_agree; do
        look gemm:$some "$1" "$ops/test_op_gemm" cuda bf16 $some &
    done
    for some in agrees_with_ref hard_logits hard_logits_of_a_large_vocabulary known_answers \
        logprobs best_of_slices no_column_loses_against_any distributions; do
        look sample:$some "$1" "$ops/test_op_sample" cuda bf16 $some &
    done
    for some in aligned_gemms own_gemms long_contexts crowds; do
        look paths:$some "$1" "$build/tests/gpu/test_gpu_paths" cuda bf16 $some &
    done
    wait
}

"$ops/test_op_gemm" cuda bf16 >/dev/null 2>&1
rc=$?
[ $rc -ne 77 ] || { echo "skipped: no GPU"; exit 77; }
"$build/tests/gpu/test_gpu_paths" cuda bf16 aligned_gemms >/dev/null 2>&1
for tool in "${tools[@]}"; do
    look_at_all "$tool"
done | tee "$out/table"
! grep -qvE 'clean$|in cuBLASLt$' "$out/table"
