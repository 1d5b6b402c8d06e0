// Captured steps: what a decode step queues is recorded once and then replayed by one launch.
//
//   first use of a key:  queued as always (products are measured, scratch grows)
//   second use:          queued once more, captured
//   from then on:        replayed
//
// A key is everything that the launches of a step depend on beside device memory; the plan decides
// it, so all ranks of a group capture and replay the same steps in the same order. Steps that are
// not captured are queued as always: the tokens are the same bits.
#ifndef WF_ENGINE_GRAPHS_H
#define WF_ENGINE_GRAPHS_H

#include "kernels/backend.h"

typedef struct wf_graphs wf_graphs;

// Whether steps of decode rows alone are padded to a few sizes, captured and replayed.
typedef enum wf_capture {
    WF_CAPTURE_AUTO,    // where the back end can capture
    WF_CAPTURE_OFF,     // never
    WF_CAPTURE_PAD_ONLY // padded on any back end, never captured: the same bits as captured
} wf_capture;

typedef struct wf_graph_key {
    int32_t rows, context, logprobs, greedy, wishes; // of the padded plan (stepplan.h)
} wf_graph_key;

// *out is NULL where the back end cannot capture. be is borrowed. Errors: WF_NO_MEMORY. Local.
wf_status wf_graphs_create(wf_backend *be, wf_graphs **out);
void wf_graphs_destroy(wf_graphs *g); // takes NULL; no step may be in flight

// Queues a step on `s`, by `queue(arg)` or by replaying what it queued. Collective where `queue`
// is.
wf_status wf_graphs_run(wf_graphs *g, wf_stream *s, const wf_graph_key *key,
                        wf_status (*queue)(void *arg), void *arg);

int32_t wf_graphs_count(const wf_graphs *g); // captured so far; g NULL: 0

#endif
