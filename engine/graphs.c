// Captured steps, found by key in a short list.
#include "engine/graphs.h"

#include <stdlib.h>
#include <string.h>

// More keys than this are not captured: rows come in 32 buckets, contexts and logprobs in few.
#define MOST_ENTRIES 256

typedef struct entry {
    wf_graph_key key;
    wf_graph *graph; // NULL: used once so far
} entry;

struct wf_graphs {
    wf_backend *be;
    int32_t n_entries, n_captured;
    entry entries[MOST_ENTRIES];
};

wf_status wf_graphs_create(wf_backend *be, wf_graphs **out)
{
    *out = NULL;
    if (!be->ops->capture_begin) return WF_OK;
    wf_graphs *g = calloc(1, sizeof *g);
    if (!g) return wf_fail(WF_NO_MEMORY, "engine: out of memory");
    g->be = be;
    *out = g;
    return WF_OK;
}

void wf_graphs_destroy(wf_graphs *g)
{
    if (!g) return;
    for (int32_t i = 0; i < g->n_entries; i++)
        if (g->entries[i].graph) g->be->ops->graph_destroy(g->be, g->entries[i].graph);
    free(g);
}

static entry *find(wf_graphs *g, const wf_graph_key *key)
{
    for (int32_t i = 0; i < g->n_entries; i++)
        if (memcmp(&g->entries[i].key, key, sizeof *key) == 0) return &g->entries[i];
    return NULL;
}

// A failure inside leaves the stream as it was: the capture is ended and thrown away, and the
// failure's own words stay.
static wf_status capture(wf_graphs *g, wf_stream *s, wf_status (*queue)(void *arg), void *arg,
                         wf_graph **out)
{
    WF_TRY(g->be->ops->capture_begin(g->be, s));
    wf_status st = queue(arg);
    if (st == WF_OK) return g->be->ops->capture_end(g->be, s, out);
    (void)g->be->ops->capture_end(g->be, s, NULL);
    return st;
}

wf_status wf_graphs_run(wf_graphs *g, wf_stream *s, const wf_graph_key *key,
                        wf_status (*queue)(void *arg), void *arg)
{
    entry *e = find(g, key);
    if (!e) {
        if (g->n_entries < MOST_ENTRIES) g->entries[g->n_entries++] = (entry){.key = *key};
        return queue(arg);
    }
    if (!e->graph) {
        WF_TRY(capture(g, s, queue, arg, &e->graph));
        g->n_captured++;
    }
    return g->be->ops->graph_launch(g->be, s, e->graph);
}

int32_t wf_graphs_count(const wf_graphs *g)
{
    return g ? g->n_captured : 0;
}
