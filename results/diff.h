// What is different between two results of the same requests: rows, the first token at which they
// part, how nearly the model was undecided there, and times.
//
//   a: rows in order --+
//                      +-- side by side, by (shard, row, sample) --> differences, sums
//   b: rows in order --+
//
// Shards are matched by their uid, whatever their number or name. A row differs when its status,
// its reason to end or its tokens do; times never make a row differ. Memory: two blocks of rows, 32
// bytes per row of each side, and 24 bytes per row that both have done. HDF5 thread. Local.
#ifndef WF_RESULTS_DIFF_H
#define WF_RESULTS_DIFF_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "io/base/status.h"
#include "results/metrics.h"

typedef struct wf_diff_side {
    const char *name;         // for people
    const char *const *paths; // [n_paths] folders or files, together
    size_t n_paths;
} wf_diff_side;

typedef struct wf_diff_options {
    bool json;   // one object: sums, and the rows told
    bool common; // rows that only one side has are no difference
    bool quiet;  // nothing is printed
    double tie;  // nat; tokens that part where either side's gap is at most this are a tie, which
                 // is no difference; below 0: none is
    uint64_t n_most; // differing rows told; all are counted
} wf_diff_options;

typedef struct wf_diff_gap { // of log-probabilities, over equal tokens
    uint64_t n;
    double max, sum;
} wf_diff_gap;

typedef struct wf_diff_times {
    wf_distribution a, b, by; // by: b - a, row by row
} wf_diff_times;

typedef struct wf_diff_sums {
    uint64_t n_both, n_only[2];
    uint64_t n_status, n_finish, n_tokens, n_ties; // rows: the first of these that differs
    uint64_t equal_tokens, tokens[2];              // before rows part; of rows that both have
    wf_diff_gap logprob;
    wf_diff_times ttft, tpot, e2el; // of rows done in both
    bool simulated[2];              // results of weft simulate: their tokens are no model's
    bool differ;
} wf_diff_sums;

// Prints to `out`; *sums may be NULL. WF_DIFFERS, without words, when there is a difference.
wf_status wf_diff(const wf_diff_side sides[2], const wf_diff_options *options, FILE *out,
                  wf_diff_sums *sums);

#endif
