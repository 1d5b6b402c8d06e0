// Drain: on every rank, one answer to "must this job leave, and how soon?"
//
//   signals of this rank ------+
//   the deadline --------------+--> level 0 go on | 1 finish what fits | 2 leave now
//   <out>/stop ("now": 2) -----+        |
//            ^                          v
//            +--- a signal that came to one rank alone is told to the others by this file
//
// A small thread looks every 50 ms at the signals and the clock, and every second at the file.
// Everything that takes long asks the level: loading between two reads, the stages of the start,
// the step loop between two steps, merging between two blocks. A level never goes down. In a drain
// finished requests are kept; wf_drain_until_ns() bounds how long those in flight may go on. All
// Local.
#ifndef WF_JOBS_RUN_DRAIN_H
#define WF_JOBS_RUN_DRAIN_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/base/clock.h"
#include "io/base/status.h"
#include "jobs/watch/progress_status.h"

typedef enum wf_drain_level { WF_DRAIN_NO, WF_DRAIN_FINISH, WF_DRAIN_NOW } wf_drain_level;

// Signals that asked to leave, as a handler counts them.
typedef struct wf_drain_signals {
    volatile sig_atomic_t first; // number of the first, 0: none
    volatile sig_atomic_t n;     // how many; the second means now
} wf_drain_signals;

typedef struct wf_drain_config {
    const wf_drain_signals *signals; // borrowed; NULL: none come
    const wf_clock *clock;           // NULL: the real one, and a thread that looks at it
    int64_t begin_ns;                // of the clock: drain from then on; INT64_MAX: no limit
    int64_t end_ns;                  // the process is killed then; INT64_MAX: not known
    int64_t grace_ns;                // most time for requests in flight
    bool alone;                      // tell nobody of a signal: a conductor speaks for this job
} wf_drain_config;

typedef struct wf_drain wf_drain;

// Looks once, so that an early signal counts from the first moment, and starts the thread. Copies
// all but the signals. own.
wf_status wf_drain_start(const wf_drain_config *config, wf_drain **out);
void wf_drain_stop(wf_drain **drain); // NULL inside is fine

// From now on the stop file of this folder counts. Not before the run has begun there: an older
// file was for an older run. Copies.
wf_status wf_drain_watch(wf_drain *drain, const char *out_dir);

// A wf_drain_level. Borrowed until wf_drain_stop; for whoever only asks "nonzero?".
const atomic_int *wf_drain_level_of(const wf_drain *drain);

// Whether the level is at least `level`; false for NULL.
bool wf_drain_asks(const wf_drain *drain, wf_drain_level level);

// Looks now, as the thread does every 50 ms: for who has given the drain a clock of his own.
void wf_drain_look(wf_drain *drain);

// By when what is in flight must be over, of the clock: the grace from the moment the drain
// began, less where the end is known or SIGTERM or SIGINT asked, which whoever sends them follows
// with SIGKILL (Slurm's KillWait: 30 s). INT64_MAX while nothing asks.
int64_t wf_drain_until_ns(const wf_drain *drain);

// What the status files call it; WF_DRAIN_NOT while nothing asks.
wf_drain_cause wf_drain_cause_of(const wf_drain *drain);

// The first signal's number, for whoever reports it; borrowed.
const volatile sig_atomic_t *wf_drain_signal(const wf_drain *drain);

// "SIGUSR1", "the time limit", "out/stop"; "" while nothing asks. Returns line.
char *wf_drain_why(const wf_drain *drain, char *line, size_t line_bytes);

#endif
