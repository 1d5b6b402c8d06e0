// Results in forms that other programs read: rows as JSON lines or CSV, and a timeline.
//
// Rows come in the order of the input (ordered.h) with every column that the results have, by the
// names of the columns' table: those of `weft show --json`. A list, and a list of lists, is JSON in
// a cell of CSV. Nothing is held but a block of rows. HDF5 thread. Local.
#ifndef WF_RESULTS_EXPORT_H
#define WF_RESULTS_EXPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "io/base/status.h"
#include "io/base/text.h"
#include "io/results/results_file.h"

typedef struct wf_export_count {
    uint64_t rows;                  // written
    uint64_t steps, events;         // of a timeline
    uint64_t row_every, step_every; // of a timeline: one of so many is drawn
} wf_export_count;

// What a file has of an export that was stopped: whole lines, or records of CSV.
typedef struct wf_export_before {
    uint64_t records; // with the header
    int64_t end;      // bytes, behind the last of them
    char *last;       // own, free(): that one, with its line break; NULL: there is none
    size_t last_bytes;
} wf_export_before;

wf_status wf_export_look(int fd, const char *path, bool csv, wf_export_before *out);

// `before`: what of the rows is there already, and is not written again; NULL: nothing is. WF_IO
// when `out` cannot be written, WF_CONFIG when the last record there is another one than would be
// written in its place.
wf_status wf_export_jsonl(wf_results *results, const wf_export_before *before, FILE *out,
                          wf_export_count *count);
wf_status wf_export_csv(wf_results *results, const wf_export_before *before, FILE *out,
                        wf_export_count *count);

// The columns of both, for a reader that wants types: "shard_uid:text,row:u64,token_ids:i32[]".
void wf_export_columns(const wf_results *results, wf_text *out);

// Chrome's trace events as JSON, which Perfetto, chrome://tracing and speedscope open: a process
// for each group with its steps as slices, requests as asynchronous events (queue, prefill,
// decode), and counters of rows, of those waiting and of KV pages. Times are those of the wall
// clock, from the start of the first run. Of more than about max_events (0: 400,000) every k-th
// request and step is drawn, and counters show the most of the steps between; otherData says so.
// Source: Trace Event Format, Google 2016.
wf_status wf_export_trace(wf_results *results, uint64_t max_events, FILE *out,
                          wf_export_count *count);

#endif
