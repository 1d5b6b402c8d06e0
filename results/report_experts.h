// How evenly tokens chose experts, layer by layer: of steps that tell it (output.expert_load).
//
// A layer's imbalance is what its fullest expert got over what each got on average, over all steps:
// 1 where all got as many. With experts spread over ranks the fullest one is waited for. Local.
#ifndef WF_RESULTS_REPORT_EXPERTS_H
#define WF_RESULTS_REPORT_EXPERTS_H

#include <stdio.h>

#include "io/base/json_writer.h"
#include "io/base/status.h"
#include "io/results/result.h"

typedef struct wf_expert_loads {
    uint64_t *tokens;           // [n_layers][n_experts] of all steps; own
    size_t n_layers, n_experts; // 0: no step tells
} wf_expert_loads;

typedef struct wf_expert_layer {
    uint64_t tokens;    // that chose some expert, once for each expert chosen
    size_t fullest;     // expert
    double imbalance;   // of the fullest to the mean; 0: nothing was chosen
    size_t n_untouched; // experts that none chose
} wf_expert_layer;

// Steps that tell nothing, or of another model, are passed over. WF_NO_MEMORY.
wf_status wf_expert_loads_add(wf_expert_loads *loads, const wf_step_record *step);
void wf_expert_loads_free(wf_expert_loads *loads);

wf_expert_layer wf_expert_loads_layer(const wf_expert_loads *loads, size_t i_layer);

// A line of a report, and a member of its JSON; nothing where no step tells.
void wf_expert_loads_print(const wf_expert_loads *loads, FILE *out);
void wf_expert_loads_put(wf_json_writer *w, const wf_expert_loads *loads);

#endif
