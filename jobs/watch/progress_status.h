// The status file of one rank, <out>/status/rank-<n>.json: what it is doing, in counters that move.
//
// Renamed into place every two seconds by the rank's heartbeat (jobs/watch/progress.h). Everything
// that watches a job (the progress line, status, why, a conductor) reads these and nothing else,
// and judges by counters that move, never by file times: clocks and caches of hosts differ.
// All Local.
#ifndef WF_JOBS_WATCH_PROGRESS_STATUS_H
#define WF_JOBS_WATCH_PROGRESS_STATUS_H

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/base/status.h"

// X(NAME, words): what a rank is at.
#define WF_OPERATION_TABLE(X)                                                                      \
    X(START, "start")                                                                              \
    X(LOAD, "load")       /* reading weights */                                                    \
    X(WARM_UP, "warm-up") /* first steps, capture */                                               \
    X(RUN, "run")         /* between steps */                                                      \
    X(STEP, "step")       /* inside a step */                                                      \
    X(WAIT, "wait")       /* nothing to do: the next arrival, a lease, a full output buffer */     \
    X(DRAIN, "drain")     /* finishing what is in flight before a deadline */                      \
    X(SEAL, "seal")       /* writing the last segment */                                           \
    X(MERGE, "merge")                                                                              \
    X(DONE, "done")                                                                                \
    X(DRAINED, "drained") /* left in time, something is left to do */                              \
    X(FAILED, "failed")

typedef enum wf_operation {
#define WF_OPERATION_ENUM(name, words) WF_OPERATION_##name,
    WF_OPERATION_TABLE(WF_OPERATION_ENUM)
#undef WF_OPERATION_ENUM
        WF_N_OPERATIONS
} wf_operation;

const char *wf_operation_words(wf_operation operation);
bool wf_operation_is_over(wf_operation operation); // done, drained, failed: a rank's farewell

// X(NAME, words): why a rank stopped taking requests.
#define WF_DRAIN_TABLE(X)                                                                          \
    X(NOT, "")                                                                                     \
    X(SIGNAL, "signal")                                                                            \
    X(DEADLINE, "deadline") /* the time left has run out: slurm.signal before the limit */         \
    X(STOP_FILE, "stop file")

typedef enum wf_drain_cause {
#define WF_DRAIN_ENUM(name, words) WF_DRAIN_##name,
    WF_DRAIN_TABLE(WF_DRAIN_ENUM)
#undef WF_DRAIN_ENUM
        WF_N_DRAIN_CAUSES
} wf_drain_cause;

const char *wf_drain_words(wf_drain_cause cause);

// X(field, meaning). Ranks that lead no group leave all but beat and the steps at zero.
#define WF_COUNTER_TABLE(X)                                                                        \
    X(beat, "heartbeats so far")                                                                   \
    X(step_entered, "steps begun")                                                                 \
    X(step_left, "steps ended")                                                                    \
    X(step_idle, "of them, those that had nothing to compute")                                     \
    X(requests_done, "requests finished in this run, failed ones included")                        \
    X(requests_failed, "requests that failed in this run")                                         \
    X(requests_sealed, "requests in sealed segments")                                              \
    X(prompt_tokens, "prompt tokens computed")                                                     \
    X(cached_tokens, "prompt tokens that were in the prefix cache")                                \
    X(tokens, "tokens generated")                                                                  \
    X(in_flight, "requests in the batch")                                                          \
    X(waiting, "requests that have arrived and wait for admission")                                \
    X(kv_pages, "KV pages in use")                                                                 \
    X(kv_pages_total, "KV pages there are")                                                        \
    X(lag_ns, "replay: the largest schedule lag so far")

// X(field, meaning). What the heartbeat adds. Times by the wall clock are for people to read, and
// for the distance to a time limit; nothing is judged by them.
#define WF_BEAT_TABLE(X)                                                                           \
    X(run, "the run of the folder")                                                                \
    X(epoch, "restarts of the group within it")                                                    \
    X(pid, "process id on its host")                                                               \
    X(reader_pid, "process id of its reader there, 0: none")                                       \
    X(signal, "the signal that asked it to drain, 0: none")                                        \
    X(end, "wf_status as the rank ended, 0 until then")                                            \
    X(exit_code, "as the rank ended, -1: it has not")                                              \
    X(requests_total, "requests of the job, 0: another rank knows")                                \
    X(requests_before, "of them, done before this run")                                            \
    X(still_ns, "since a step began or ended, or the operation changed")                           \
    X(elapsed_ns, "since the run's time zero, 0: not there yet")                                   \
    X(last_arrival_ns,                                                                             \
      "replay: the last arrival, in the time of elapsed_ns; 0: nothing to wait for")               \
    X(beat_unix_ns, "wall clock of this file")                                                     \
    X(deadline_unix_ns, "wall clock by which it drains, 0: no limit")

// A row in the batch, as the step loop saw it lately.
typedef struct wf_rank_flight {
    uint32_t shard;
    uint16_t sample;
    uint64_t row;
    int64_t n_prompt, n_done;  // prompt tokens, and of them those computed
    int64_t n_tokens, n_limit; // generated, and at most
} wf_rank_flight;

enum { WF_FLIGHTS_SHOWN = 32 }; // of a batch, the first ones

// Written by one thread, read by the heartbeat: relaxed atomics are enough, each stands alone.
typedef struct wf_counters {
#define WF_COUNTER_FIELD(field, meaning) _Atomic int64_t field;
    WF_COUNTER_TABLE(WF_COUNTER_FIELD)
#undef WF_COUNTER_FIELD
    _Atomic int operation; // wf_operation
    _Atomic int drain;     // wf_drain_cause
} wf_counters;

typedef struct wf_rank_status {
    int rank, group, position; // group -1: idle
    char host[HOST_NAME_MAX + 1];
    wf_operation operation;
    wf_drain_cause drain;
    char error[WF_ERROR_MAX]; // the last error, "" when there was none
#define WF_BEAT_FIELD(field, meaning) int64_t field;
    WF_BEAT_TABLE(WF_BEAT_FIELD)
#undef WF_BEAT_FIELD
#define WF_COUNTER_FIELD(field, meaning) int64_t field;
    WF_COUNTER_TABLE(WF_COUNTER_FIELD)
#undef WF_COUNTER_FIELD
    size_t n_flights;
    wf_rank_flight flight[WF_FLIGHTS_SHOWN];
} wf_rank_status;

// Steps as the results count them, the one that goes on included.
static inline int64_t wf_rank_status_step(const wf_rank_status *status)
{
    return status->step_entered - status->step_idle;
}

// Takes what the counters say now.
void wf_rank_status_take(const wf_counters *counters, wf_rank_status *out);

// <out_dir>/status/rank-<n>.json. The folder must be there to write. WF_IO; reading a file that is
// not there is WF_NO_INPUT, one that is no status file WF_DATA.
wf_status wf_rank_status_write(const char *out_dir, const wf_rank_status *status);
wf_status wf_rank_status_read(const char *out_dir, int rank, wf_rank_status *out);

#endif
