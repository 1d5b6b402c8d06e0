// The figures of a run: one definition each, the same for every report.
//
// Names, units and definitions are in the table of figures.c; latency is counted from the
// *intended* arrival.
//
// Percentiles are linear interpolation between closest ranks, as numpy's default. Life: create,
// add ..., finish, destroy. Pure: no files, no clock. Memory: 40 bytes per request; ITL is exact to
// `max_gaps` gaps (default 16 million), above that within 0.1%, and says so; with blocks 56 bytes
// more per request. All Local.
#ifndef WF_RESULTS_METRICS_H
#define WF_RESULTS_METRICS_H

#include "io/base/status.h"
#include "io/results/result.h"
#include "results/blocks.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct wf_distribution { // of times: in ns
    uint64_t n;
    double mean, std, min, max; // 0 when n is 0
    double p50, p90, p95, p99;
    bool few;         // fewer than 100 values: p99 says little
    bool approximate; // from a histogram
} wf_distribution;

// Limits of goodput; 0: none.
typedef struct wf_goodput_limits {
    int64_t ttft_ns, tpot_ns, e2el_ns;
} wf_goodput_limits;

// What the figures need to know of each run that rows name.
typedef struct wf_metrics_run {
    uint16_t run;
    int64_t start_ns;     // when it began to submit, run time
    int64_t warmup_ns;    // what began within so long of it is left out, failures excepted
    bool timed;           // has schedule lag
    bool latency;         // its rows count for latency (a resumed timed replay's do not)
    int64_t lag_limit_ns; // -1: none
} wf_metrics_run;

enum { WF_METRICS_REASONS = 8 }; // finish reasons counted apart; others with the last

typedef struct wf_figures {
    uint64_t n_warmup;                            // done rows that were left out
    uint64_t n_rows, n_done, n_failed, n_latency; // n_latency: done rows whose latency counts
    uint64_t n_finish[WF_METRICS_REASONS];        // done rows by wf_finish
    uint64_t prompt_tokens, output_tokens;        // of done rows
    uint64_t dropped_tokens;                      // of samples that were not kept
    uint64_t cached_tokens;                       // of these prompts', not computed
    double cache_hit_rate;                        // of prompt_tokens
    uint64_t n_preempted, preemptions;            // rows put back at least once; times in all
    int64_t duration_ns, latency_duration_ns;     // of all runs; of those whose latency counts
    uint64_t n_groups;                            // that finished rows, counted in each run
    uint64_t most_groups;                         // the same of one run, at most
    double balance;                               // of the runs' groups, each alike; 0 without any
    int64_t group_ns[2]; // least and most time of a group from its run's start to its last finish
    double request_throughput, output_throughput, total_token_throughput; // per s
    bool has_goodput;
    uint64_t n_good;
    double request_goodput, good_share; // of those whose latency counts
    wf_distribution ttft, tpot, itl, e2el, queue, lag;
    wf_distribution session_duration, session_turns; // turns: not in ns
    wf_intervals intervals;                          // where blocks are wanted
    uint64_t n_lag_exceeded;                         // rows submitted later than their run's limit
    int64_t lag_limit_ns;                            // the least of the limits, -1: none

    uint64_t n_steps;
    double mean_decode_rows, mean_prompt_tokens; // per step
    double mean_waiting;
    int64_t max_waiting;
    int32_t max_rows, max_kv_pages;
    uint64_t rows_moved, bytes_moved, rows_discarded, rows_put_back;
    int64_t step_busy_ns; // sum of step durations
    wf_distribution step; // durations
} wf_figures;

typedef struct wf_metrics wf_metrics;

// Copies limits (NULL: none) and runs. A row of a run that is not listed counts for nothing but
// n_rows. own.
wf_status wf_metrics_create(const wf_metrics_run *runs, size_t n_runs,
                            const wf_goodput_limits *limits, size_t max_gaps, wf_metrics **out);
void wf_metrics_destroy(wf_metrics **metrics);

wf_status wf_metrics_add(wf_metrics *metrics, const wf_result *row); // copies what it needs
wf_status wf_metrics_add_step(wf_metrics *metrics, const wf_step_record *step);

// Wants intervals by so many blocks of time; before the first row.
void wf_metrics_want_blocks(wf_metrics *metrics, size_t n_blocks);

// Computes the figures of everything added; sorts in place, so it may be called once. Of rows that
// are a part of others (a tenant's), rates are by the time `whole` took, so that they sum up to
// its; NULL: by their own.
void wf_metrics_finish(wf_metrics *metrics, const wf_figures *whole, wf_figures *out);

// Of the results that were not left out as warm-up, failed ones included, the share within every
// limit; 0 without any.
double wf_figures_within(const wf_figures *figures);

// The distribution of `n` values (sorted by this call) and one percentile of sorted values,
// `q` in [0, 1].
wf_distribution wf_distribution_of(double *values, size_t n);
double wf_percentile(const double *sorted, size_t n, double q);

#endif
