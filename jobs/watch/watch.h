// Watching a job from outside: what its status files and run files say, and what to make of it.
//
//   open -> look, again and again until nothing is unsure -> view -> close
//
// A heartbeat renews a rank's status file every two seconds, so one look says what a rank last did
// and two say whether it lives. Clocks and caches of hosts differ: a rank is judged by counters
// that move while we watch, by its own word on how long it has stood still, and, on its own host,
// by whether its process is there. Works while the job runs and after; writes nothing. All Local.
#ifndef WF_JOBS_WATCH_WATCH_H
#define WF_JOBS_WATCH_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "jobs/watch/progress_status.h"

// X(NAME, words): how a rank is.
#define WF_PULSE_TABLE(X)                                                                          \
    X(UNSURE, "unsure") /* not watched for long enough */                                          \
    X(BEATS, "alive")                                                                              \
    X(STILL, "stalled") /* its heartbeat goes on, its main thread does not */                      \
    X(QUIET, "silent")  /* no heartbeat: stopped, cut off, or gone without a word */               \
    X(GONE, "gone")     /* its process is not there any more, and it left no last word */          \
    X(OVER, "ended")    /* it has said farewell */

typedef enum wf_pulse {
#define WF_PULSE_ENUM(name, words) WF_PULSE_##name,
    WF_PULSE_TABLE(WF_PULSE_ENUM)
#undef WF_PULSE_ENUM
        WF_N_PULSES
} wf_pulse;

const char *wf_pulse_words(wf_pulse pulse);

// What a pulse is taken from. Pure.
typedef struct wf_pulse_signs {
    wf_operation operation;
    bool in_step;       // entered more steps than it left
    bool moved;         // its heartbeat, while we watched
    int64_t watched_ns; // since the heartbeat last moved under our eyes, or since the first look
    int64_t age_ns;     // of the file by the wall clocks of two hosts: a hint
    int64_t still_ns;   // the rank's own word
    bool process_gone;  // on its own host
} wf_pulse_signs;

wf_pulse wf_pulse_of(const wf_pulse_signs *signs);

typedef struct wf_watch_rank {
    wf_rank_status is;
    wf_pulse pulse;
    int64_t silent_ns;                   // without a heartbeat, at least; 0 when it beats
    double requests_per_s, tokens_per_s; // between two heartbeats; below 0: not known
} wf_watch_rank;

// What is known of the batch job from elsewhere (the launcher asks; jobs knows no scheduler).
typedef enum wf_batch_word {
    WF_BATCH_UNKNOWN,
    WF_BATCH_WAITS,
    WF_BATCH_RUNS,
    WF_BATCH_OVER,
    WF_BATCH_SILENT // a job was submitted, and nobody here can be asked of it
} wf_batch_word;

// X(NAME, words): where a job stands.
#define WF_STAND_TABLE(X)                                                                          \
    X(ABSENT, "never started")                                                                     \
    X(SUBMITTED, "submitted")                                                                      \
    X(QUEUED, "queued")                                                                            \
    X(STARTING, "starting") /* its allocation is there, no rank has spoken */                      \
    X(LOADING, "loading")                                                                          \
    X(RUNNING, "running")                                                                          \
    X(DRAINING, "draining")                                                                        \
    X(STALLED, "stalled")                                                                          \
    X(DRAINED, "drained") /* something is left: the same command goes on */                        \
    X(FINISHED, "finished")                                                                        \
    X(FAILED, "failed")

typedef enum wf_stand {
#define WF_STAND_ENUM(name, words) WF_STAND_##name,
    WF_STAND_TABLE(WF_STAND_ENUM)
#undef WF_STAND_ENUM
        WF_N_STANDS
} wf_stand;

const char *wf_stand_words(wf_stand stand);

typedef struct wf_watch_view {
    const char *out_dir;
    size_t n_runs;      // 0: no run has begun
    bool complete;      // nothing is left to do
    size_t n_idle_runs; // newest runs in a row that sealed nothing
    char job_id[64];    // batch job of the newest run, "" when none
    int64_t restart;
    char command[1024]; // how the newest run was started; "" when unknown
    char started[64];   // newest run, ISO 8601; "" when unknown
    size_t n_ranks;
    const wf_watch_rank *rank; // [n_ranks] of the newest run, by rank
    // Sums over the ranks.
    int64_t n_rows; // of the shards, each one request
    int64_t
        n_bad_rows; // of prompts files: no requests, in no other number here; below 0: not known
    int64_t requests_total, requests_done, requests_failed; // all samples; 0: not known; this run
    int64_t requests_here;                                  // of those done, by this run
    int64_t requests_sealed; // of those done: what nothing that happens to the ranks can take away
    int64_t in_flight, waiting, kv_pages, kv_pages_total;
    int64_t tokens;                       // generated in this run
    int64_t prompt_tokens, cached_tokens; // of it: computed; found in the prefix cache
    int64_t elapsed_ns;                   // since this run's time zero
    double requests_per_s, tokens_per_s;  // now; below 0: not known
    int64_t eta_ns;                       // below 0: not known
    int64_t deadline_ns; // until the ranks drain, from now; INT64_MAX: no limit known
    size_t n_pulse[WF_N_PULSES];
} wf_watch_view;

typedef struct wf_watch wf_watch;

// WF_NO_INPUT when there is no such folder. The caller owns *out; the first look is taken.
wf_status wf_watch_open(const char *out_dir, wf_watch **out);
void wf_watch_close(wf_watch **watch);

// Reads everything again. Files that cannot be read are as they were.
wf_status wf_watch_look(wf_watch *watch);

// Looks until every rank is known to be alive or not, at most `most_ns`.
wf_status wf_watch_settle(wf_watch *const *watches, size_t n, int64_t most_ns);

const wf_watch_view *wf_watch_get(const wf_watch *watch); // borrow, until the next look

// Where the job stands. Pure.
wf_stand wf_stand_of(const wf_watch_view *view, wf_batch_word queue);

#endif
