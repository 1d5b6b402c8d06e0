// Runs of an output folder: which sealed segments count, and what is left to do.
//
//   <out>/runs/3.json         made once, never changed: what run 3 inherits, its identity
//   <out>/runs/3-g1-e2.json   group 1 was restarted in run 3: which of its older segments count
//   <out>/runs/3.done.json    run 3 left nothing to do
//   <out>/segments/g1/r3-e2-00000.h5
//   <out>/void/               what does not count, moved aside and reported
//
// Every start is a run. Sealed segments are the only truth, run files only fence: a segment counts
// when the newest run's file lists it, or when it is of the newest run and either of its group's
// newest epoch or listed by that epoch's file. What an older run or epoch publishes later is void.
// A listed segment may be marked `void_failed`: its done rows count, its failed ones do not (weft
// run
// --retry-failed); the mark goes on from run to run. So every row has one result that counts, or
// none.
//
// The order of a start, by one process (the first rank): wf_owner_take
// (io/results/runfile_owner.h), wf_runs_open, compare the identity, wf_runs_start, read what is
// done (io/results/runfile_done.h). All Local. HDF5 is not touched here, except by wf_runs_verify.
#ifndef WF_IO_RESULTS_RUNFILE_H
#define WF_IO_RESULTS_RUNFILE_H

#include "io/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct wf_segment_ref {
    const char *path; // relative to the output folder, "segments/g0/r1-e0-00000.h5"; borrow
    uint32_t group, run, epoch, number;
    uint64_t rows;     // 0 until verified or listed
    uint64_t bytes;    // on disk
    uint64_t xxh64;    // 0 until verified or listed
    uint64_t n_failed; // rows that failed; known once verified
    bool void_failed;  // those do not count: a later run has them to do again
} wf_segment_ref;

typedef struct wf_runs wf_runs;

// What happened to files that do not count: called once for each, with one line for people.
typedef void (*wf_runs_report_fn)(void *context, const char *line);

typedef struct wf_runs_options {
    bool read_only;           // look, move nothing (report, merge of a running job, status)
    wf_runs_report_fn report; // NULL: wf_warn()
    void *report_context;
} wf_runs_options;

// Reads the run files and lists the segments that count. Unless read_only, segments that do not
// count and left-over `.part` files go to <out>/void/. A folder without runs is fine: n_runs 0.
// `options` may be NULL. own.
wf_status wf_runs_open(const char *out_dir, const wf_runs_options *options, wf_runs **out);
void wf_runs_close(wf_runs **runs);

// What a look into a segment finds.
typedef struct wf_segment_facts {
    uint64_t rows, n_failed;
} wf_segment_facts;

// Opens a segment, checks its structure and its key columns. WF_DATA: it is damaged.
wf_status wf_segment_look(const char *path, wf_segment_facts *out);

// Looks into every segment that counts, checks its rows against what is recorded, and sets aside
// (void/, with a report) what is damaged: its rows will be done again. Fills rows and xxh64. `look`
// does it elsewhere, where a file over which HDF5 dies or never ends harms nobody (WF_DATA then);
// NULL: wf_segment_look() here, which needs HDF5: call on the HDF5 thread.
typedef wf_status (*wf_segment_look_fn)(void *context, const char *path, wf_segment_facts *out);
wf_status wf_runs_verify_by(wf_runs *runs, wf_segment_look_fn look, void *context);
wf_status wf_runs_verify(wf_runs *runs); // the same without `look`

// Runs that a folder may still have: their numbers are 16 bits wide in the results.
#define WF_RUNS_MOST 65536u
size_t wf_runs_room(const wf_runs *runs);
wf_status wf_runs_check_room(const wf_runs *runs); // WF_DATA when there is none

size_t wf_runs_count(const wf_runs *runs); // runs so far; the newest is number count - 1
const wf_segment_ref *wf_runs_segments(const wf_runs *runs, size_t *n); // borrow; by g, r, e, n
bool wf_runs_complete(const wf_runs *runs);           // the newest run left nothing to do
const char *wf_runs_identity(const wf_runs *runs);    // newest run's identity as JSON, NULL: none
size_t wf_runs_without_progress(const wf_runs *runs); // newest runs in a row that sealed nothing

// Compares two identities (JSON objects). Every member must be equal, except that members of
// `shards` may be added, and that `shard_paths` (uid -> path) only serves to name a shard that is
// gone. WF_MISMATCH names each difference: "sampling.temperature: was 0, is 0.7".
wf_status wf_identity_compare(const char *was, const char *is);

typedef struct wf_run_params {
    const char *identity; // JSON object: model, dtype, sampling, seed, arrivals, shards ...
    const char *job_id;   // batch job, NULL: none
    uint32_t restart;     // its restart count
    bool retry_failed;    // rows that failed so far do not count from this run on
    const char *command;  // how the job was started, for people; NULL: not known
} wf_run_params;

// Creates <out>/runs/<r>.json naming the segments that count; what older runs publish from now on
// is void. WF_DATA when there is no room for one more. WF_IN_USE when another process made that run
// first. `run` is its number.
wf_status wf_runs_start(wf_runs *runs, const wf_run_params *params, uint32_t *run);

// Records that run `run` left nothing to do. May be repeated.
wf_status wf_run_complete(const char *out_dir, uint32_t run);

// Restarts group `group` within `run`: lists its segments so far and gives the next epoch; what its
// older epochs publish from now on is void. A group that was never restarted has epoch 0.
wf_status wf_run_raise_epoch(const char *out_dir, uint32_t run, uint32_t group, uint32_t *epoch);

// WF_IN_USE when `run` (and `epoch` of `group`) is no longer the newest: the caller lost its fence
// and must stop without publishing.
wf_status wf_run_fence(const char *out_dir, uint32_t run, uint32_t group, uint32_t epoch);

// Makes <out_dir>/runs, where run files lie, and the journals of segments beside them.
wf_status wf_runs_make_folder(const char *out_dir);

#endif
