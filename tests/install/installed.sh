# Sourced by the tests of this folder: uses an installation as a new user would, with the folders
# of the source and the build gone.
#
#   installed_without "FOLDERS" COMMAND...    where these folders cannot be seen
#   installed_use PREFIX WORK                 runs the demo's questions in WORK; fails aloud

installed_fail() { echo "FAILED: $*" >&2; exit 1; }

# Empty folders are mounted over those; where that is not allowed, the command sees them.
installed_without() {
    local folders=$1
    shift
    if unshare --mount true 2>/dev/null; then
        unshare --mount bash -c 'for folder in $1; do
                [ ! -d "$folder" ] || mount -t tmpfs none "$folder" || exit 1
            done
            shift
            exec "$@"' hide "$folders" "$@"
    else
        echo "note: no mounts here: the source and the build stay in sight"
        "$@"
    fi
}

# $1: prefix. The working folder is an empty one of the test's own.
installed_questions() {
    local prefix=$1 examples=$1/share/doc/weft/examples/demo
    export PATH=$prefix/bin:$PATH WEFT_PROGRESS=off
    unset WEFT_MODULE_DIR
    weft --version || installed_fail "weft --version"
    weft help run | grep -q -- --fresh || installed_fail "weft help run"
    cp -r "$examples" demo && cd demo || installed_fail "no examples in $examples"
    /usr/bin/python3 make_prompts.py --per-task 5 -o prompts.jsonl
    weft pack prompts.jsonl -o prompts.h5 --model model || installed_fail "weft pack"
    weft plan questions.yaml || installed_fail "weft plan"
    weft run questions.yaml --set parallel.backend=cpu || installed_fail "weft run"
    weft check out/questions --complete || installed_fail "weft check"
    /usr/bin/python3 accuracy.py out/questions/results.h5 --min-accuracy 1
}

# The CUDA module, where one was installed: found, so what is missing is at most a driver.
installed_module() {
    [ -e "$1/lib/weft/libweft_cuda.so" ] || return 0
    local said
    said=$("$1/bin/weft" run questions.yaml --set parallel.backend=cuda --out out/gpu 2>&1) && return 0
    grep -q "is not built" <<<"$said" || return 0
    installed_fail "the CUDA module is in $1/lib/weft and was not found: $said"
}

installed_use() {
    cd "$2" && installed_questions "$1" && installed_module "$1"
}
