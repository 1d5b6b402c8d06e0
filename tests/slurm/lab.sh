# Sourced by tests that need a real Slurm: boots cluster.sh, polls job states, cleans up.
#
#   . tests/slurm/lab.sh              # from the repository's root
#   lab_up 4                          # 4 nodes; skips the test aloud (77) where that cannot be
#   lab_shard $lab_work/a.h5 10 5     # 40 small requests of the demo, spread over 5 s
#   job=$(lab_exec sbatch --parsable $lab_work/x.sh)
#   lab_wait $job COMPLETED
#
# $lab_work is a folder that all nodes see; it and the cluster go when the test ends, however it
# ends. LAB_CPUS, LAB_GPUS ... as in cluster.sh. The test sets `weft` to the program's path.

lab_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
: "${weft:=$lab_here/../../build/weft}"

lab_skip() { echo "skipped: $*"; exit 77; }

lab_fail() { # says why, shows what the jobs said last
    echo "FAILED: $*" >&2
    lab_exec squeue -t all -o "%i %T %r %N" >&2 || true
    local log
    for log in $(find "$lab_work" -name '*.out' 2>/dev/null); do
        echo "--- $log" >&2
        tail -n 60 "$log" >&2
    done
    exit 1
}

lab_cluster() { LAB_DIR=$lab_dir "$lab_here/cluster.sh" "$@"; } # power-off n2, unplug n3 ...

# On the control host: sbatch, squeue, weft submit ...
lab_exec() { TMPDIR=$lab_dir/scratch SLURM_CONF=$lab_dir/etc/slurm.conf lab_cluster exec "$@"; }
lab_on() { TMPDIR=$lab_dir/scratch SLURM_CONF=$lab_dir/etc/slurm.conf lab_cluster on "$@"; } # on NODE

lab_up() { # lab_up [NODES]
    local tool
    for tool in slurmctld slurmd sbatch munged ip nsenter unshare; do
        PATH=$PATH:/usr/sbin:/sbin command -v $tool >/dev/null || lab_skip "$tool is not installed"
    done
    [ "$(id -u)" = 0 ] || lab_skip "the cluster's namespaces need root"
    unshare --pid --fork --mount-proc --mount --uts --ipc --net true 2>/dev/null ||
        lab_skip "namespaces cannot be made here"
    . "$lab_here/../packages.sh"
    weft_mpi_environment
    lab_dir=$(mktemp -d /tmp/weft-lab.XXXXXX)
    lab_work=$lab_dir/work
    export LAB_NODES=${1:-4} LAB_OWNER=$$
    export WEFT_PROGRESS=${WEFT_PROGRESS-off}
    trap lab_down EXIT
    lab_cluster up
    mkdir "$lab_work"
}

lab_down() { lab_cluster down; }

lab_until() { # lab_until SECONDS CMD...: polls until it succeeds
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.2
    done
}

lab_state() { lab_exec squeue -h -t all -j "$1" -o %T; } # PENDING, RUNNING, COMPLETED, FAILED ...
lab_field() { lab_exec scontrol -o show job "$1" | tr ' ' '\n' | sed -n "s/^$2=//p" | head -n 1; }
lab_is_in() { case ,$2, in *,$(lab_state "$1"),*) ;; *) return 1 ;; esac; }

lab_wait() { # lab_wait JOB STATE[,STATE...] [SECONDS]
    lab_until "${3:-60}" lab_is_in "$1" "$2" || lab_fail "job $1 is $(lab_state "$1"), not $2"
}

lab_restarts() { lab_field "$1" Restarts; }

# A shard of the demo's small requests, four kinds, PER_KIND of each, arriving over SPAN seconds.
lab_shard() { # lab_shard FILE PER_KIND SPAN [SEED]
    /usr/bin/python3 "$lab_here/../../jobs/demo/make_prompts.py" --per-task "$2" --span "$3" \
        --seed "${4:-1}" -o "$1.jsonl"
    "$weft" pack "$1.jsonl" -o "$1" --model "$lab_here/../../jobs/demo/model" >/dev/null
    rm "$1.jsonl"
}

lab_check() { # lab_check OUTPUT ROWS: all of them, exactly once
    local said
    said=$("$weft" check --complete "$1") || lab_fail "$said"
    case $said in *"checked $2 rows (0 failed)"*) ;; *) lab_fail "not $2 rows: $said" ;; esac
}
