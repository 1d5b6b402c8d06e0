// The segment writer: finished requests in, sealed result segments out (format weft-results).
//
//   put() --> [ columns being filled ] --swap--> writer thread --> r2-e0-00007.h5.part
//   any thread     bounded by queue_bytes          HDF5 only here      | close, fsync, link,
//                                                                      v fsync the folder
//                                    <out>/segments/g<group>/r2-e0-00007.h5   (sealed)
//
// Life: create, put ... put, close. One writer per process: its thread makes all HDF5 calls, so
// compressing, sealing and fsync never stall a step. A segment is sealed at `seal_bytes`, when its
// oldest row is `seal_ns` old (the first after 10 s, each later one after twice as long), when
// asked, and by close. Killed at any moment it leaves at most one `.part`, which no reader looks
// at.
//
// A disk that fills up is noticed before it is full (io/results/space.h): what has finished is
// sealed, then writing ends. Any other failure ends it at once: the `.part` is removed, sealed
// segments stay. Either way every later call answers that failure, WF_IO with the path and the
// bytes needed. All calls are Local and may come from any thread.
#ifndef WF_IO_RESULTS_SEGMENT_H
#define WF_IO_RESULTS_SEGMENT_H

#include "io/base/status.h"
#include "io/results/result.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// One row of /shards: what wf_result.shard indexes.
typedef struct wf_result_shard {
    const char *uid; // the shard's content hash
    const char *path;
    uint64_t rows;
} wf_result_shard;

// X(field, kind U16|N16|U32|I64|F64|TEXT, units, description; N16 as U16, absent from older files):
// one row of /runs per group that ran.
#define WF_RUN_TABLE(X)                                                                            \
    X(run, U16, "1", "number of the run")                                                          \
    X(group, U16, "1", "group of ranks within the run")                                            \
    X(epoch, U16, "1", "restart of the group within the run")                                      \
    X(n_groups, N16, "1", "groups that the run was started with, 0: not known")                    \
    X(resumed, U16, "bool", "1: continues an earlier run")                                         \
    X(timed, U16, "bool", "1: rows had arrival times of their own")                                \
    X(restart, U32, "1", "restart count of the batch job")                                         \
    X(start_unix_ns, I64, "ns", "run time zero as Unix time")                                      \
    X(clock_start_ns, I64, "ns", "run time at which this run began to submit")                     \
    X(clock_offset_ns, I64, "ns", "this host's clock less the first group's, at the start")        \
    X(clock_drift_ns, I64, "ns",                                                                   \
      "wall clock less monotonic: its change until the segment was sealed")                        \
    X(lag_limit_ns, I64, "ns", "schedule lag tolerated in a timed replay, -1: no limit")           \
    X(speed, F64, "1", "replay speed")                                                             \
    X(load_bytes, I64, "bytes", "weights the group's first rank read from files; 0: random")       \
    X(load_ns, I64, "ns", "time until its weights were in place")                                  \
    X(job_id, TEXT, "text", "batch job")                                                           \
    X(hosts, TEXT, "text", "hosts of the group, by commas")                                        \
    X(devices, TEXT, "text", "devices of the group, by commas")                                    \
    X(version_weft, TEXT, "text", "Weft version and commit")                                       \
    X(version_cuda, TEXT, "text", "CUDA")                                                          \
    X(version_nccl, TEXT, "text", "NCCL")                                                          \
    X(version_mpi, TEXT, "text", "MPI")                                                            \
    X(version_hdf5, TEXT, "text", "HDF5")                                                          \
    X(version_pmix, TEXT, "text", "PMIx")                                                          \
    X(version_driver, TEXT, "text", "device driver")

typedef uint16_t wf_run_U16, wf_run_N16;
typedef uint32_t wf_run_U32;
typedef int64_t wf_run_I64;
typedef double wf_run_F64;
typedef const char *wf_run_TEXT; // NULL counts as ""; borrowed

typedef struct wf_run_info {
#define WF_RUN_FIELD(field, kind, units, description) wf_run_##kind field;
    WF_RUN_TABLE(WF_RUN_FIELD)
#undef WF_RUN_FIELD
} wf_run_info;

// What a results file says about the job as a whole.
typedef struct wf_result_job {
    const char *job_text;   // the whole resolved job file
    const char *model_hash; // identity of the model
    const char *labels;     // of scores: a JSON array of their names; NULL: there are none
    int64_t n_vocab;        // token ids are below it; 0: unknown
    uint64_t seed;
    const wf_result_shard *shards;
    size_t n_shards;
} wf_result_job;

typedef struct wf_segment_config {
    const char *out_dir; // must exist; segments/g<group> is made in it
    wf_run_info run;     // its run, group and epoch name the files
    wf_result_job job;
    wf_result_columns columns;
    uint64_t seal_bytes;  // 0: 256 MB (before compression)
    int64_t seal_ns;      // 0: 300 s
    uint64_t queue_bytes; // 0: 64 MB; two of these are the writer's memory
} wf_segment_config;

typedef struct wf_segment_status {
    uint64_t rows_put, rows_sealed;
    uint64_t segments_sealed, bytes_sealed; // bytes on disk
    uint64_t queued_bytes;                  // waiting for the writer thread
    int64_t blocked_ns;                     // put() waited for the disk this long in all
    bool waiting;                           // a put() waits right now: say so to the user
    wf_status error;                        // WF_OK, or the failure that ended writing
} wf_segment_status;

typedef struct wf_segment_writer wf_segment_writer;

// Copies all of `config` and starts the thread. WF_IO when the folder cannot be made. own.
wf_status wf_segment_writer_create(const wf_segment_config *config, wf_segment_writer **out);

// The age at which rows are sealed when that many segments have been: little is lost early on, and
// a long run makes few files. Pure.
int64_t wf_segment_seal_after_ns(int64_t seal_ns, uint64_t n_sealed);

// Copies one finished request. Blocks only while queue_bytes are waiting.
wf_status wf_segment_writer_put(wf_segment_writer *writer, const wf_result *result);

// Copies one engine step; does nothing when columns.steps is off. Never blocks: steps that do not
// fit are dropped and counted in a warning.
wf_status wf_segment_writer_put_step(wf_segment_writer *writer, const wf_step_record *step);

// Asks for a seal now and waits until everything put is sealed.
wf_status wf_segment_writer_sync(wf_segment_writer *writer);

void wf_segment_writer_status(wf_segment_writer *writer, wf_segment_status *out);

// Seals the rest, joins the thread, frees all. The status is that of the whole life: WF_OK means
// every row put is sealed. *writer becomes NULL; NULL inside is fine.
wf_status wf_segment_writer_close(wf_segment_writer **writer);

// As close, but gives up what is not sealed (for a run that lost its fence).
void wf_segment_writer_abandon(wf_segment_writer **writer);

#endif
