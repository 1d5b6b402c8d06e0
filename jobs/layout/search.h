// Every layout of so many devices, and which of them one would want.
//
//   all layouts that fit x batches -> Pareto front (latency, throughput) -> the choice
//
// With a latency goal the choice is the greatest throughput within it, without one the greatest
// throughput. Beside it stands the best of what the engine builds: weight-stationary in one
// dimension, heads split, and replicas. Pure; all Local.
#ifndef WF_JOBS_LAYOUT_SEARCH_H
#define WF_JOBS_LAYOUT_SEARCH_H

#include <stddef.h>

#include "jobs/layout/layout.h"

enum {
    WF_LAYOUT_MOST_DEVICES = 4096,
    WF_LAYOUT_MOST_BATCH = 4096 // of a sweep: 1, 2, 4 ...
};

typedef struct wf_layout_search {
    const wf_layout_model *model;
    const wf_machine *machine;
    const wf_layout_format *format;
    int n_devices;
    int64_t tokens, past; // as of wf_layout_work
    int64_t batch;        // sequences at once, of all replicas; 0: powers of two
    double latency_s;     // of a step; 0: no goal
} wf_layout_search;

typedef struct wf_layout_point {
    wf_layout layout;
    int64_t batch;
    wf_layout_cost cost;
    bool built; // the engine runs it
} wf_layout_point;

typedef struct wf_layout_found {
    wf_layout_point *front; // [n] by latency, own
    size_t n, n_tried;      // n_tried: that fit the memory
    wf_layout_point best;
    bool any_built;
    wf_layout_point best_built;
} wf_layout_found;

// WF_CONFIG: nothing fits (the least number of devices that would do is named), nothing meets the
// goal (the least latency is named), the format cannot be computed. Give *out to
// wf_layout_found_free.
wf_status wf_layout_search_run(const wf_layout_search *search, wf_layout_found *out);
void wf_layout_found_free(wf_layout_found *found);

bool wf_layout_fits(const wf_layout_cost *cost, const wf_machine *machine);

// Why the engine does not run a layout, as a phrase; "" when it does.
const char *wf_layout_not_built(const wf_layout_model *model, const wf_layout_format *format,
                                const wf_layout *layout);

#endif
