// The report of a run: reads results, computes the figures, prints them as text, JSON or CSV.
//
// Rows that a timed replay did again after an interruption are left out of latency (their clock
// started anew) and counted elsewhere; the report says how many. A replay whose schedule lag passed
// its tolerance says so. HDF5 thread. Local.
#ifndef WF_RESULTS_REPORT_H
#define WF_RESULTS_REPORT_H

#include <stdio.h>

#include "io/results/results_file.h"
#include "results/metrics.h"
#include "results/report_experts.h"
#include "results/report_job.h"
#include "results/report_parts.h"

typedef enum wf_report_form {
    WF_REPORT_TEXT,
    WF_REPORT_BRIEF, // a few lines of it, at the end of a run
    WF_REPORT_JSON,
    WF_REPORT_CSV,
    WF_REPORT_VLLM
} wf_report_form;

// Who else wants what a report reads: begin once, then rows, then steps, each in file order. NULL
// calls are left out.
typedef struct wf_report_listener {
    wf_status (*begin)(void *context, const wf_results *results);
    wf_status (*row)(void *context, const wf_result *row);
    wf_status (*step)(void *context, const wf_step_record *step);
    void *context;
} wf_report_listener;

typedef struct wf_report_options {
    wf_report_form form;
    wf_goodput_limits limits; // all 0: no goodput
    int64_t warmup_ns;        // of each run: what begins within it is left out of the figures
    bool with_resumed;        // count resumed rows for latency too
    const char *place;        // what the places are called together; NULL: the first one's name
    bool partial;             // more is to come that is in none of them
    size_t n_blocks;          // of time, for intervals; 0: WF_REPORT_BLOCKS, 1: none
    const char *by;           // a key of the requests' notes: figures of each of its values too
    const wf_report_listener *listener; // may be NULL
} wf_report_options;

#define WF_REPORT_BLOCKS 10
#define WF_REPORT_ERRORS 8   // kinds of row failure listed
#define WF_REPORT_WORDS  256 // of one row's message

typedef struct wf_report {
    wf_figures figures;
    char *place, *started, *hosts, *devices; // own; devices: each kind once, by ';'
    wf_report_job job;
    bool complete;
    int64_t apart_ns;      // of several places: between the starts of runs that are counted as one
    uint64_t n_shard_rows; // rows the shards hold in all
    uint64_t n_bad_rows;   // rows of prompts files that are no requests in them
    size_t n_shards, n_runs, n_groups;
    size_t n_started;   // groups that the run with the most was started with; 0: not known
    int64_t warmup_ns;  // as asked for
    uint64_t n_resumed; // done rows left out of latency
    bool has_samples;   // some rows have several results
    wf_report_parts parts;
    wf_expert_loads experts;
    struct {
        uint16_t code;
        uint64_t n;
        char first[WF_REPORT_WORDS]; // what the first such row says, cut; "" when it says nothing
    } errors[WF_REPORT_ERRORS];      // most frequent first is not promised; n 0 ends
} wf_report;

// Reads a folder, segment or merged file. `options` may be NULL. destroy frees what out owns.
wf_status wf_report_make(const char *path, const wf_report_options *options, wf_report *out);
// The same of several together: the parts of an array, whose runs of one number count as one.
wf_status wf_report_make_many(const char *const *paths, size_t n, const wf_report_options *options,
                              wf_report *out);
void wf_report_destroy(wf_report *report);

// The runs of some results, one for each number; own, free().
wf_status wf_report_runs(const wf_results *results, bool with_resumed, wf_metrics_run **out,
                         size_t *n_out);

void wf_report_text(const wf_report *report, FILE *out);
void wf_report_brief(const wf_report *report, FILE *out);
wf_status wf_report_json(const wf_report *report, FILE *out);
void wf_report_csv(const wf_report *report, FILE *out); // header line, a row (of each part)

// All in one, for the command. WF_IO when `out` cannot be written.
wf_status wf_report_print(const char *path, const wf_report_options *options, FILE *out);
wf_status wf_report_print_many(const char *const *paths, size_t n, const wf_report_options *options,
                               FILE *out);

#endif
