// Progress: what a person sees while a job runs, and the heartbeat behind it.
//
//   step loop --atomics--> heartbeat thread --2 s--> <out>/status/rank-<n>.json
//                                                     |  (all groups)
//                            rank 0's thread <--------+--> live line | log line every 30 s
//
// Every rank starts one; the rank with `print` also reads the others' status files and prints: on a
// terminal one line redrawn in place, elsewhere a log line every 30 s. It also says, once, that a
// rank's counters have stopped moving. The environment decides where the terminal is hidden behind
// a launcher's pipe: WEFT_PROGRESS=live, log or off.
//
// A conductor, which is no rank, starts one with rank -1: it prints what the ranks' files say, all
// lives of a group together, and writes no file.
//
// start -> the step loop updates wf_progress_counters() -> stop. All Local; nothing here is
// collective. Errors of the heartbeat itself are warned about once and never stop a job.
#ifndef WF_JOBS_WATCH_PROGRESS_H
#define WF_JOBS_WATCH_PROGRESS_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "jobs/watch/progress_status.h"

// What the line shows: all groups together, at one moment.
typedef struct wf_progress_view {
    int64_t n_rows;         // of the job; fewer than requests_total: these are samples
    int64_t requests_total; // of the job; 0: not known
    int64_t requests_done;  // earlier runs included
    int64_t requests_failed;
    double tokens_per_s; // generated; below 0: not known yet
    int64_t in_flight, waiting;
    int64_t kv_pages, kv_pages_total;
    int64_t eta_ns; // below 0: not known yet
    bool ended;     // nothing is under way: no queue, KV and ETA
    bool replay;    // show the lag
    int64_t lag_ns;
} wf_progress_view;

// "1,234/50,000 requests (2.4%), 3 failed, 41.2k tokens/s, 256 in flight, 120 queued, KV 63%,
// ETA 12m33s, lag 0.4 ms". Pure. Cut to text_bytes - 1 characters; returns text.
char *wf_progress_line(const wf_progress_view *view, char *text, size_t text_bytes);

// What is left, from what this run has done in `elapsed_ns`; in replay not before the last arrival,
// `arrives_ns` from now. Below 0: not known. Pure.
int64_t wf_progress_eta(int64_t n_left, int64_t n_done, int64_t elapsed_ns, int64_t arrives_ns);

typedef struct wf_progress_config {
    const char *out_dir;
    int rank, group, position; // rank -1: no rank
    int64_t run, epoch;
    int64_t reader_pid; // of the process that reads for this one; 0: none
    bool print;
    const int *watch; // [n_watch] with print: the other ranks
    size_t n_watch;
    int64_t n_rows;                          // with print: of the shards
    int64_t requests_total, requests_before; // with print: of the job; done by earlier runs
    bool limit_failures;  // with print: when more than max_failures requests have failed in all
    int64_t max_failures; // groups together, they are asked to leave, by the folder's stop file
    bool replay;
    int64_t last_arrival_ns; // replay: run time of the last arrival
    int64_t deadline_ns;     // of wf_clock_ns(): the rank drains by then; INT64_MAX, 0: no limit
    const volatile sig_atomic_t *signal; // nonzero: the signal that asked to drain; may be NULL
    int64_t beat_ns;                     // 0: 2 s
    int64_t log_ns;                      // 0: 30 s
    int64_t stall_ns;                    // 0: 30 s
} wf_progress_config;

typedef struct wf_progress wf_progress;

// Makes <out_dir>/status, writes the first status file and starts the thread. Copies the config.
wf_status wf_progress_start(const wf_progress_config *config, wf_progress **out);

// Writes the last status file, ends the live line, joins the thread. NULL inside is fine.
void wf_progress_stop(wf_progress **progress);

// For the step loop to update; borrowed until stop.
wf_counters *wf_progress_counters(wf_progress *progress);

// Rows in the batch, at most WF_FLIGHTS_SHOWN, for the status file. Copies.
void wf_progress_flights(wf_progress *progress, const wf_rank_flight *flights, size_t n);

// The run's t0 has passed (after load and warm-up): rates and ETA count from here.
void wf_progress_begin(wf_progress *progress);

// Writes the status file now. Before the ranks agree on their end, so that the rank that prints
// reads everybody's last figures.
void wf_progress_flush(wf_progress *progress);

// The last error of this rank, for its status file. Copies. Thread-safe.
void wf_progress_error(wf_progress *progress, const char *text);

// The rank's last words: how it ends, with which exit code and why ("" where another rank knows).
// Written at once: whoever ends the ranks next may not leave the time for it. The status file says
// so from then on.
void wf_progress_farewell(wf_progress *progress, wf_status end, const char *text);

#endif
