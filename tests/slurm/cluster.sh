#!/usr/bin/env bash
# A real Slurm of several nodes on one machine, for tests. Needs root (or a user namespace's root).
#
#   the machine
#   └─ ctl: munged, slurmctld, clients; a bridge
#      ├─ n1: slurmd, its jobs; own processes, network, host name, /dev/shm and scratch folder
#      ├─ n2 ...
#
# Jobs of the partition `urgent` push those of `batch` off their nodes.
#
# Each host is a set of namespaces (processes, network, host name, mounts, IPC). The nodes live inside
# ctl's process namespace, so that ending ONE process ends everything; the machine's own network
# and /etc are not touched. All files are in LAB_DIR. Booting takes about a second.
#
#   cluster.sh up                    boots; with LAB_OWNER=PID, all of it ends when that process does
#   cluster.sh down                  ends everything and removes LAB_DIR
#   cluster.sh status
#   cluster.sh exec CMD...           runs on ctl: sbatch, srun, squeue ...
#   cluster.sh as USER CMD...        the same as another user
#   cluster.sh on NODE CMD...        runs inside a node
#   cluster.sh power-off|power-on NODE      the whole node dies at once; boots again
#   cluster.sh kill-slurmd|start-slurmd NODE   the daemon dies, its jobs' processes live on
#   cluster.sh unplug|plug NODE             the network cable
#
# LAB_DIR must be short (unix sockets live there); LAB_NODES (4), LAB_CPUS (4) and LAB_MEMORY (4000
# MB) are a node's size as Slurm sees it, LAB_GPUS (0) its fake devices, LAB_KEEP=1 keeps the logs.
# LAB_ACCOUNTING=1 adds slurmdbd over a MariaDB (sacct answers); the queue then forgets a job that
# ended after 2 s, as sites' queues do after minutes.
set -euo pipefail
lab=${LAB_DIR:?cluster.sh: LAB_DIR says where the cluster lives, such as /tmp/lab}
n_nodes=${LAB_NODES:-4} cpus=${LAB_CPUS:-4} memory=${LAB_MEMORY:-4000} gpus=${LAB_GPUS:-0}
accounting=${LAB_ACCOUNTING:-0} forget_s=600
[ "$accounting" = 0 ] || forget_s=2
net=198.18.77 # RFC 2544's addresses for tests; seen inside ctl only
self=$(readlink -f "$0")
export PATH=$PATH:/usr/sbin:/sbin
export SLURM_CONF=$lab/etc/slurm.conf

die() { echo "cluster.sh: $*" >&2; exit 1; }
nodes() { seq -f 'n%.0f' "$n_nodes"; }

until_true() { # until_true SECONDS CMD...
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.05
    done
}

# ---- processes ----------------------------------------------------------------------------------
# A host's first process is remembered as "pid start-time", so that a pid that was used again is
# never taken for ours. A zombie counts as gone.
start_time() { awk '{sub(/^.*\) /, ""); if ($1 != "Z" && $1 != "X") print $20}' "/proc/$1/stat" 2>/dev/null || true; }

remember() { # remember NAME PID
    local t
    t=$(start_time "$2")
    [ -n "$t" ] && echo "$2 $t" >"$lab/pids/$1"
}

pid_of() { # pid_of NAME: fails where it is gone
    local pid t
    { read -r pid t <"$lab/pids/$1"; } 2>/dev/null || return 1
    [ "$(start_time "$pid")" = "$t" ] && echo "$pid"
}

# The first process of a host that PID (or a child of it) has made, as the machine numbers it.
find_init() { # find_init PID HOST [DEPTH]
    local child
    for child in $(pgrep -P "$1"); do
        case $(tr '\0' ' ' <"/proc/$child/cmdline" 2>/dev/null) in
        "/bin/bash $self _init $2 ") echo "$child"; return ;;
        esac
        [ "${3:-3}" -le 1 ] || find_init "$child" "$2" $((${3:-3} - 1))
    done
}

inside() { # inside HOST CMD...: in all namespaces of the host, in the same working folder
    local pid
    pid=$(pid_of "$1") || die "$1 is not up"
    shift
    nsenter -t "$pid" -m -u -i -n -p -- /bin/sh -c 'cd "$1" 2>/dev/null; shift; exec "$@"' sh "$PWD" "$@"
}

# ---- hosts --------------------------------------------------------------------------------------
init() { # process 1 of a host
    hostname "$1"
    ip link set lo up
    mount -t tmpfs -o mode=1777,size=1g tmpfs /dev/shm
    mount --bind "$lab/node/$1/tmp" "$lab/scratch"
    mount --bind "$lab/etc/hosts" /etc/hosts
    trap 'exit 0' TERM
    : >"$lab/node/$1/ready"
    while :; do # waits, and reaps what its children leave
        sleep 3600 &
        wait $! || true
    done
}

boot() { # boot HOST
    local host=$1 parent
    mkdir -p "$lab/node/$host/tmp" "$lab/node/$host/spool"
    chmod 1777 "$lab/node/$host/tmp"
    rm -f "$lab/node/$host/ready"
    local command=(unshare --pid --fork --kill-child=KILL --mount-proc --mount --uts --ipc --net --
        /bin/bash "$self" _init "$host")
    if [ "$host" = ctl ]; then
        setsid "${command[@]}" </dev/null >>"$lab/log/init.$host" 2>&1 &
        parent=$!
        disown
    else # from inside ctl, whose process 1 adopts it
        inside ctl sh -c 'log=$1; shift; setsid "$@" </dev/null >>"$log" 2>&1 &' \
            sh "$lab/log/init.$host" "${command[@]}"
        parent=$(pid_of ctl)
    fi
    until_true 10 test -e "$lab/node/$host/ready" || die "$host did not boot: $(tail -n 3 "$lab/log/init.$host")"
    remember "$host" "$(find_init "$parent" "$host")" || die "$host's first process was not found"
}

wire() { # wire NODE: a cable from the node to the bridge
    local i=${1#n} ctl node
    ctl=$(pid_of ctl) node=$(pid_of "$1")
    nsenter -t "$ctl" -n ip link del "v$i" 2>/dev/null || true
    nsenter -t "$ctl" -n ip link add "v$i" type veth peer name eth0 netns "$node"
    nsenter -t "$ctl" -n ip link set "v$i" master br0 up
    # A node that boots again keeps its card: the others remember its address for half a minute.
    nsenter -t "$node" -n ip link set eth0 address "02:00:00:00:00:$(printf %02x "$i")"
    nsenter -t "$node" -n ip addr add "$net.$((10 + i))/24" dev eth0
    nsenter -t "$node" -n ip link set eth0 up
}

start_slurmd() { inside "$1" slurmd -N "$1"; }

# ---- configuration ------------------------------------------------------------------------------
write_configuration() {
    local i node_gres=''
    if [ "$gpus" -gt 0 ]; then
        for ((i = 0; i < gpus; i++)); do mknod -m 666 "$lab/etc/gpu$i" c 1 3; done
        echo "NodeName=n[1-$n_nodes] Name=gpu File=$lab/etc/gpu[0-$((gpus - 1))]" >"$lab/etc/gres.conf"
        node_gres=" Gres=gpu:$gpus"
    fi
    echo "127.0.0.1 localhost" >"$lab/etc/hosts"
    echo "$net.10 ctl" >>"$lab/etc/hosts"
    for ((i = 1; i <= n_nodes; i++)); do echo "$net.$((10 + i)) n$i"; done >>"$lab/etc/hosts"
    echo "PMIxCliTmpDirBase=$lab/scratch" >"$lab/etc/mpi.conf"
    # Short time-outs, so that a lost node is seen in seconds; otherwise as a site would have it.
    cat >"$SLURM_CONF" <<CONF
ClusterName=lab
SlurmctldHost=ctl($net.10)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$lab/munge/sock,cred_expire=5
CredType=cred/munge
SlurmctldPidFile=$lab/node/ctl/slurmctld.pid
SlurmdPidFile=$lab/node/%n/slurmd.pid
SlurmdSpoolDir=$lab/node/%n/spool
StateSaveLocation=$lab/state
SlurmctldLogFile=$lab/log/slurmctld
SlurmdLogFile=$lab/log/slurmd.%n
SlurmctldDebug=info
SlurmdDebug=info
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
$(if [ "$accounting" = 0 ]; then
        echo AccountingStorageType=accounting_storage/none
    else
        echo AccountingStorageType=accounting_storage/slurmdbd
        echo AccountingStorageHost=ctl
        echo "AccountingStoragePass=$lab/munge/sock" # which munge, that is
    fi)
JobCompType=jobcomp/none
SwitchType=switch/none
MpiDefault=pmix
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
PropagateResourceLimits=NONE
ReturnToService=2
JobRequeue=1
SlurmctldTimeout=5
SlurmdTimeout=5
MessageTimeout=5
TCPTimeout=2
BatchStartTimeout=10
KillWait=3
UnkillableStepTimeout=30
CompleteWait=0
InactiveLimit=0
MinJobAge=$forget_s
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0,sched_min_interval=0
$([ "$gpus" = 0 ] || echo GresTypes=gpu)
$(for ((i = 1; i <= n_nodes; i++)); do
        echo "NodeName=n$i NodeAddr=$net.$((10 + i)) NodeHostname=n$i CPUs=$cpus RealMemory=$memory$node_gres"
    done)
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=batch Nodes=ALL Default=YES MaxTime=INFINITE PriorityTier=1 State=UP
PartitionName=urgent Nodes=ALL MaxTime=INFINITE PriorityTier=2 State=UP
CONF
}

# ---- accounting ---------------------------------------------------------------------------------
# A database of its own, reachable inside ctl alone.
start_accounting() {
    local db=$lab/db
    cat >"$lab/etc/slurmdbd.conf" <<CONF
AuthType=auth/munge
AuthInfo=socket=$lab/munge/sock
DbdHost=ctl
DbdAddr=$net.10
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StorageUser=root
StorageLoc=slurm
LogFile=$lab/log/slurmdbd
PidFile=$lab/node/ctl/slurmdbd.pid
CONF
    chmod 600 "$lab/etc/slurmdbd.conf"
    mariadb-install-db --no-defaults --user=root --datadir="$db" --skip-test-db \
        --auth-root-authentication-method=normal >"$lab/log/database" 2>&1 || die "no database: $lab/log/database"
    inside ctl sh -c 'log=$1; shift; setsid "$@" </dev/null >>"$log" 2>&1 &' sh "$lab/log/database" \
        mariadbd --no-defaults --user=root --datadir="$db" --socket="$db/socket" \
        --pid-file="$db/pid" --bind-address=127.0.0.1 --innodb-buffer-pool-size=64M --skip-grant-tables
    until_true 20 inside ctl mariadb-admin --no-defaults --socket="$db/socket" ping || die "the database does not answer"
    inside ctl slurmdbd
    until_true 20 inside ctl sacctmgr -n list cluster || die "slurmdbd does not answer"
    inside ctl sacctmgr -i add cluster lab >/dev/null
}

# ---- up and down --------------------------------------------------------------------------------
all_idle() { [ "$(inside ctl sinfo -h -t idle -o %D | awk '{n += $1} END {print n + 0}')" = "$n_nodes" ]; }

watch_owner() { # as a process of its own, in the machine's namespaces
    while pid_of owner >/dev/null; do sleep 0.5; done
    "$self" down
}

up() {
    local host ctl
    if pid_of ctl >/dev/null && [ -e "$lab/.up" ]; then status; return; fi
    [ "$(id -u)" = 0 ] || die "needs root"
    [ ${#lab} -le 60 ] || die "$lab: too long a name for the sockets in it"
    if [ -e "$lab" ] && [ ! -e "$lab/.lab" ] && [ -n "$(ls -A "$lab")" ]; then
        die "$lab: is there and is not a cluster's"
    fi
    down
    mkdir -p "$lab"/{etc,log,state,munge,pids,scratch,node}
    : >"$lab/.lab"
    chmod 755 "$lab" "$lab/munge"
    chmod 1777 "$lab/scratch"
    (umask 077 && head -c 128 /dev/urandom >"$lab/munge/key")
    write_configuration
    trap 'rc=$?; [ $rc = 0 ] || { tail -n 5 "$lab"/log/* >&2; down; }' EXIT
    boot ctl
    ctl=$(pid_of ctl)
    nsenter -t "$ctl" -n ip link add br0 type bridge
    nsenter -t "$ctl" -n ip addr add "$net.10/24" dev br0
    nsenter -t "$ctl" -n ip link set br0 up
    for host in $(nodes); do
        boot "$host"
        wire "$host"
    done
    inside ctl munged --key-file="$lab/munge/key" --socket="$lab/munge/sock" \
        --pid-file="$lab/munge/pid" --log-file="$lab/log/munged" --seed-file="$lab/munge/seed" --num-threads=4
    [ "$accounting" = 0 ] || start_accounting
    inside ctl slurmctld
    for host in $(nodes); do start_slurmd "$host"; done
    until_true 30 all_idle || die "not all nodes are idle: $(inside ctl sinfo -N -l)"
    : >"$lab/.up"
    if [ -n "${LAB_OWNER:-}" ]; then
        remember owner "$LAB_OWNER"
        setsid /bin/bash "$self" _watch </dev/null >/dev/null 2>&1 &
        disown
    fi
}

down() {
    local ctl
    if ctl=$(pid_of ctl); then
        kill -TERM "$ctl" 2>/dev/null || true # then the kernel ends all that is inside, nodes too
        until_true 3 sh -c "! kill -0 $ctl" || kill -KILL "$ctl" 2>/dev/null || true
        until_true 5 [ -z "$(start_time "$ctl")" ] || die "ctl's process $ctl does not end"
    fi
    rm -f "$lab/.up" "$lab"/pids/* # the watcher sees its owner gone, comes here once more and ends
    if [ -e "$lab/.lab" ] && [ "${LAB_KEEP:-0}" != 1 ]; then rm -rf "$lab"; fi
}

status() {
    local host
    pid_of ctl >/dev/null || { echo "down"; return 3; }
    inside ctl sinfo -N -o "%N %T %C %E"
    for host in ctl $(nodes); do echo "$host: process $(pid_of "$host" || echo gone)"; done
}

command=${1:-}
shift || true
case $command in
_init) init "$1" ;;
_watch) watch_owner ;;
up) up ;;
down) down ;;
status) status ;;
exec) inside ctl "$@" ;;
as)
    user=$1
    shift
    inside ctl setpriv --reuid="$user" --regid="$(id -g "$user")" --init-groups \
        env HOME="$(getent passwd "$user" | cut -d: -f6)" USER="$user" LOGNAME="$user" "$@"
    ;;
on) inside "$@" ;;
power-off)
    kill -KILL "$(pid_of "$1")"
    rm -f "$lab/pids/$1"
    ;;
power-on)
    ! pid_of "$1" >/dev/null || die "$1 is up"
    rm -rf "$lab/node/$1/tmp"
    boot "$1"
    wire "$1"
    start_slurmd "$1"
    ;;
kill-slurmd) inside "$1" sh -c 'kill -KILL $(cat "$1")' sh "$lab/node/$1/slurmd.pid" ;;
start-slurmd) start_slurmd "$1" ;;
unplug) nsenter -t "$(pid_of ctl)" -n ip link set "v${1#n}" down ;;
plug) nsenter -t "$(pid_of ctl)" -n ip link set "v${1#n}" up ;;
*)
    sed -n '2,30s/^# \{0,1\}//p' "$self"
    exit 2
    ;;
esac
