// Confidence intervals by blocks of time: the measured time is cut into blocks of equal length, a
// figure is taken of what finished in each, and the interval is Student's t over the blocks' values
// (batch means: Conway, Management Science 10(1), 1963; Law & Kelton, Simulation Modeling and
// Analysis). Requests of one block hang together, blocks much longer than a request hardly do.
//
// Memory: 48 bytes a request. Pure. Local.
#ifndef WF_RESULTS_BLOCKS_H
#define WF_RESULTS_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/base/status.h"

// X(NAME, figure, statistic): what intervals there are, by the figure's name (results/figures.c)
// and which of its statistics; "": it is one number.
#define WF_INTERVAL_TABLE(X)                                                                       \
    X(REQUESTS, "request_throughput", "")                                                          \
    X(OUTPUT, "output_throughput", "")                                                             \
    X(TOKENS, "total_token_throughput", "")                                                        \
    X(TTFT_MEAN, "ttft", "mean")                                                                   \
    X(TTFT_P50, "ttft", "p50")                                                                     \
    X(TTFT_P99, "ttft", "p99")                                                                     \
    X(TPOT_MEAN, "tpot", "mean")                                                                   \
    X(TPOT_P50, "tpot", "p50")                                                                     \
    X(TPOT_P99, "tpot", "p99")                                                                     \
    X(E2EL_MEAN, "e2el", "mean")                                                                   \
    X(E2EL_P50, "e2el", "p50")                                                                     \
    X(E2EL_P99, "e2el", "p99")

enum {
#define WF_INTERVAL_ENUM(name, figure, statistic) WF_INTERVAL_##name,
    WF_INTERVAL_TABLE(WF_INTERVAL_ENUM) WF_N_INTERVALS
#undef WF_INTERVAL_ENUM
};

#define WF_INTERVAL_LEVEL 0.95

typedef struct wf_interval {
    double mean, half; // of the blocks' values, in the figure's unit (ns): mean +- half
    size_t n;          // blocks that have a value; below 2: no interval
} wf_interval;

typedef struct wf_intervals {
    size_t n_blocks; // 0: none were made
    double block_ns;
    bool are_short; // a block lasts less than five mean E2E: neighbours hang together
    bool are_thin;  // fewer than ten requests a block on average
    wf_interval of[WF_N_INTERVALS];
} wf_intervals;

// NULL: there is none of that figure and statistic, or it is of fewer than two blocks.
const wf_interval *wf_interval_of(const wf_intervals *intervals, const char *figure,
                                  const char *statistic);

typedef struct wf_interval_name {
    const char *figure, *statistic;
} wf_interval_name;
extern const wf_interval_name wf_interval_names[WF_N_INTERVALS];

// A request that was done, at run time `finish_ns` of run number i_run in the list given to finish.
typedef struct wf_block_entry {
    int64_t finish_ns;
    double ttft, tpot, e2el; // ns; tpot below 0: none
    uint32_t n_prompt, n_tokens;
    size_t i_run;
} wf_block_entry;

// Starts as {0}; free it also after a failure.
typedef struct wf_blocks {
    wf_block_entry *entry; // [n]
    double *value;         // [n] room
    size_t n, capacity, value_capacity;
} wf_blocks;

wf_status wf_blocks_add(wf_blocks *blocks, const wf_block_entry *entry);

// Of n_blocks; run i was measured from begin_ns[i] to end_ns[i] (no time where that is not later),
// one after the other. Sorts in place.
void wf_blocks_finish(wf_blocks *blocks, size_t n_blocks, const int64_t *begin_ns,
                      const int64_t *end_ns, size_t n_runs, wf_intervals *out);

void wf_blocks_free(wf_blocks *blocks);

// The upper 97.5% point of Student's t.
double wf_student_t(size_t n_free);

#endif
