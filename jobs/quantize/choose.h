// Which choice for each layer, so that the errors of all are least within a budget of bytes: a
// knapsack with one item of each layer, by dynamic programming over bytes. Local, pure.
#ifndef WF_JOBS_QUANTIZE_CHOOSE_H
#define WF_JOBS_QUANTIZE_CHOOSE_H

#include <stdint.h>

#include "io/base/status.h"

typedef struct wf_choice {
    uint64_t bytes;
    double error; // at least 0
} wf_choice;

// choices: [n_layers][n_choices]; out: [n_layers], which of each. Bytes are told apart to 1 /
// 16,384 of the budget, never exceeded; no worse than any single choice for all layers that fits.
// WF_CONFIG: no choice fits, with the least bytes that would. WF_NO_MEMORY.
wf_status wf_choose(const wf_choice *choices, int32_t n_layers, int32_t n_choices, uint64_t budget,
                    int32_t *out);

// Of choices that were made.
wf_choice wf_chosen_sum(const wf_choice *choices, int32_t n_layers, int32_t n_choices,
                        const int32_t *chosen);

#endif
