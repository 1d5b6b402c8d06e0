// weft doctor: what every rank measures of its machine, and what is made of it.
//
//   measure (doctor_host.c, doctor_links.c)  ->  gather to all  ->  judge (pure)  ->  print
//
// A check is a row of a table: name, unit, which way is better, where it is fine and where it is
// bad, whose word the expectation is, and what to change. A measure is a value of a check at a
// place. Of each check the worst measure speaks.
#ifndef WF_LAUNCHER_DOCTOR_H
#define WF_LAUNCHER_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/base/json_writer.h"
#include "io/base/text.h"
#include "launcher/bringup/device_look.h"
#include "launcher/bringup/world.h"

// X(NAME, name, unit, better, fine, bad, source, advice). `fine`, `bad`: from where on it is so; in
// a unit of "x", as a share of the measure's own reference. Unit "": 1 is yes, 0 no.
#define WF_CHECK_TABLE(X)                                                                          \
    X(CORES, "cores per rank", "cores", HIGH, 1, 0.25, "a rank computes on a core of its own",     \
      "start fewer ranks per node, or ask for more cores (slurm.cpus_per_task)")                   \
    X(MEMORY, "free memory per rank", "GiB", HIGH, 2, 0.25, "a small model and its KV",            \
      "ask for more (slurm.mem), or start fewer ranks per node")                                   \
    X(NOFILE, "open files allowed", "files", HIGH, 1024, 128, "segments, shards, sockets of MPI",  \
      "ulimit -n 4096 in slurm.setup, or PropagateResourceLimits")                                 \
    X(MEMLOCK, "memory that may be locked", "GiB", HIGH, 1, 0.0001,                                \
      "InfiniBand and pinned staging lock memory",                                                 \
      "ulimit -l unlimited; slurmd must run with LimitMEMLOCK=infinity")                           \
    X(STACK, "stack", "MiB", HIGH, 8, 1, "the system's usual", "ulimit -s 8192 in slurm.setup")    \
    X(HUGEPAGES, "transparent huge pages", "", HIGH, 1, -1, "weights are read once per step",      \
      "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled, as root")                       \
    X(OMP, "OpenMP settings fit the cores", "", HIGH, 1, -1,                                       \
      "threads beyond a rank's cores, or waiting ones that spin, slow all down",                   \
      "unset OMP_NUM_THREADS, OMP_WAIT_POLICY, OMP_PROC_BIND, GOMP_CPU_AFFINITY")                  \
    X(BINARY, "the same program everywhere", "", HIGH, 1, 0, "ranks of one job are one build",     \
      "install weft on a file system that all nodes see")                                          \
    X(LIBRARIES, "the same libraries and driver everywhere", "", HIGH, 1, -1,                      \
      "MPI, PMIx, HDF5, CUDA, NCCL of two versions may not talk to each other",                    \
      "load the same modules on all nodes (slurm.setup); update the node that differs")            \
    X(DEVICES, "a device for each rank", "", HIGH, 1, 0, "ranks and devices are paired", "")       \
    X(CLOCK, "clock against rank 0's host", "ms", LOW, 100, 5000,                                  \
      "NTP keeps hosts within milliseconds", "start chronyd or ntpd on that host")                 \
    X(SEEN, "a new file is seen by all", "s", LOW, 2, 15, "attribute caches of NFS last seconds",  \
      "put output.dir on a file system that all nodes mount; mount with actimeo=1")                \
    X(FSYNC, "fsync of a small file", "ms", LOW, 50, 2000, "disks and Lustre take milliseconds",   \
      "put output.dir on a faster file system, or raise output.seal_every")                        \
    X(WRITE, "writing 16 MiB with fsync", "GB/s", HIGH, 0.05, 0.002,                               \
      "a disk writes 0.1 to 2 GB/s", "put output.dir on a faster file system")                     \
    X(LINK, "link() on the output folder", "", HIGH, 1, -1, "segments are published by it",        \
      "a file system with hard links is safer: without, a rename publishes")                       \
    X(EXCL, "O_EXCL on the output folder", "", HIGH, 1, 0, "runs and leases are claimed by it",    \
      "put output.dir on another file system: two jobs could own this one at once")                \
    X(LOCKS, "file locks on the output folder", "", HIGH, 1, -1, "HDF5 asks for them",             \
      "none is needed: Weft does without; HDF5_USE_FILE_LOCKING=FALSE quiets other tools")         \
    X(SPACE, "free space for results", "GiB", HIGH, 10, 0.25, "a segment has up to 256 MB",        \
      "make room, or choose another output.dir")                                                   \
    X(INODES, "free inodes for results", "files", HIGH, 10000, 200, "a segment every few minutes", \
      "remove small files, or choose another output.dir")                                          \
    X(MPI_NEAR, "MPI round trip, same node", "us", LOW, 50, 5000, "shared memory takes 1 to 5 us", \
      "more ranks than cores: start fewer, or set OMPI_MCA_mpi_yield_when_idle=1")                 \
    X(MPI_NEAR_RATE, "MPI bandwidth, same node", "GB/s", HIGH, 2, 0.2,                             \
      "shared memory copies at 2 to 20 GB/s", "more ranks than cores, or no CMA or vader in MPI")  \
    X(MPI_FAR, "MPI round trip, other node", "us", LOW, 200, 10000,                                \
      "InfiniBand takes 5 us, Ethernet 50 to 100 us",                                              \
      "choose the fast network: OMPI_MCA_btl_tcp_if_include, UCX_NET_DEVICES")                     \
    X(MPI_FAR_RATE, "MPI bandwidth, other node", "x", HIGH, 0.4, 0.05,                             \
      "the fastest link's speed, as the kernel tells it",                                          \
      "MPI takes a slow interface: OMPI_MCA_btl_tcp_if_include, UCX_NET_DEVICES")                  \
    X(SUM_SMALL, "MPI all-reduce of 64 KiB in a group", "us", LOW, 1000, 20000,                    \
      "a decode step has two per layer",                                                           \
      "more ranks than cores, or groups that cross nodes: lower parallel.tensor")                  \
    X(SUM_LARGE, "MPI all-reduce of 16 MiB in a group", "GB/s", HIGH, 0.5, 0.02,                   \
      "half of the bandwidth between two ranks",                                                   \
      "more ranks than cores, or groups that cross nodes: lower parallel.tensor")                  \
    X(NCCL_SMALL, "NCCL all-reduce of 64 KiB in a group", "us", LOW, 60, 1000,                     \
      "NVLink takes 10 to 30 us",                                                                  \
      "NCCL_DEBUG=INFO shows its path; NCCL_SOCKET_IFNAME chooses one")                            \
    X(NCCL_LARGE, "NCCL all-reduce of 64 MiB in a group", "GB/s", HIGH, 100, 5,                    \
      "NVLink gives 150 to 450 GB/s, PCIe 20 to 50",                                               \
      "all devices of a node must be visible to its ranks: --gpus-per-node, no --gpus-per-task")

typedef enum wf_check {
#define WF_CHECK_ENUM(id, name, unit, better, fine, bad, source, advice) WF_CHECK_##id,
    WF_CHECK_TABLE(WF_CHECK_ENUM)
#undef WF_CHECK_ENUM
        WF_N_CHECKS
} wf_check;

typedef enum wf_verdict { WF_VERDICT_OK, WF_VERDICT_WARN, WF_VERDICT_BAD } wf_verdict;

// Of fixed size: they travel between ranks.
typedef struct wf_measure {
    int32_t check, judged;   // judged 0: there is nothing to expect
    double value, reference; // reference: of a check in "x"
    char place[96];          // "rank 3 on n2", "n1 - n2 (eth0, 10 Gb/s)"
    char note[160];          // what a person must hear; ""
} wf_measure;

enum { WF_MEASURES_MAX = 40 };

typedef struct wf_measures {
    int32_t n, pad;
    wf_measure item[WF_MEASURES_MAX];
} wf_measures;

// Adds one; what does not fit is dropped (there are fewer checks than places).
void wf_measure_add(wf_measures *m, wf_check check, double value, const char *place);

// What stands in the map of ranks.
typedef struct wf_rank_place {
    int32_t rank, node, local, device, numa, n_cores;
    double memory_gib;
    char host[WF_HOST_MAX], cores[64], gpu[48], pci[16];
    uint64_t binary, libraries; // hashes
    char versions[256];
} wf_rank_place;

// A check's worst measure and what it means.
typedef struct wf_finding {
    wf_check check;
    wf_verdict verdict;
    size_t n;                // measures of it
    const wf_measure *worst; // borrowed
} wf_finding;

// The findings of all checks that were measured, in the order of the table. Pure.
size_t wf_doctor_judge(const wf_measure *measures, size_t n, wf_finding out[WF_N_CHECKS]);

// "measured  expected", for people. Pure.
void wf_finding_text(const wf_finding *finding, wf_text *out);
void wf_finding_json(const wf_finding *finding, wf_json_writer *w);
const char *wf_check_advice(const wf_finding *finding);
const char *wf_verdict_word(wf_verdict verdict);

// This host: cores, limits, settings; `place` is filled but for its device. Local.
void wf_doctor_host(const wf_world *world, wf_rank_place *place, wf_measures *out);

// What it may lock: asked for by devices and by networks between nodes. Once the device is known.
void wf_doctor_locked(const wf_world *world, const wf_rank_place *place, wf_measures *out);

// The folder that results go to, made if it is not there. Local; SEEN is collective.
wf_status wf_doctor_folder(const wf_world *world, const char *dir, wf_measures *out);

// Links between ranks, by MPI and, where `device` is not below 0 on all, NCCL; and clocks. `tensor`
// ranks form a group. Collective.
wf_status wf_doctor_links(const wf_world *world, int tensor, int device, wf_measures *out);

#endif
