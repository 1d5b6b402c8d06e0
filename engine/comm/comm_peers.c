// Bring-up of the own sums among devices (comm_peers.h), part of the module weft_cuda.
#include "engine/comm/comm_peers.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/base/clock.h"
#include "io/base/log.h"

#define LEAST_BYTES ((size_t)4096)

int wf_sum_bucket(size_t bytes)
{
    int i = 0;
    while (i + 1 < WF_SUM_BUCKETS && LEAST_BYTES << i < bytes)
        i++;
    return i;
}

// ---- regions ------------------------------------------------------------------------------------

// *out_good: `mine` is true on every rank.
static wf_status all_good(wf_comm *control, bool mine, bool *out_good)
{
    int64_t n_bad = 0;
    WF_TRY(control->ops->max_i64(control, !mine, &n_bad));
    *out_good = n_bad == 0;
    return WF_OK;
}

static wf_status on_one_host(wf_comm *control, bool *out)
{
    char mine[64] = "", *all = calloc((size_t)control->size, sizeof mine);
    if (!all) return wf_fail(WF_NO_MEMORY, "peers: out of memory");
    if (gethostname(mine, sizeof mine - 1) != 0) mine[0] = '\0';
    wf_status st = control->ops->all_gather(control, NULL, mine, sizeof mine, all);
    *out = true;
    for (int r = 0; r < control->size && st == WF_OK; r++)
        *out = *out && memcmp(all + (size_t)r * sizeof mine, mine, sizeof mine) == 0;
    free(all);
    return st;
}

// One step of the bring-up on this rank; all stop where one fails. The reason is told by who has
// it.
typedef struct bring_up {
    wf_comm *control;
    wf_peers *peers;
    bool good;
} bring_up;

static wf_status step(bring_up *b, wf_status mine)
{
    if (mine != WF_OK)
        wf_warn("sums among devices go through NCCL alone: rank %d: %s", b->control->rank,
                wf_error());
    return all_good(b->control, mine == WF_OK, &b->good);
}

static wf_status exchange(bring_up *b)
{
    char mine[WF_PEERS_HANDLE_BYTES];
    char (*all)[WF_PEERS_HANDLE_BYTES] = calloc((size_t)b->control->size, sizeof *all);
    if (!all) return wf_fail(WF_NO_MEMORY, "peers: out of memory");
    wf_status st = step(b, wf_peers_handle(b->peers, mine));
    if (st == WF_OK && b->good)
        st = b->control->ops->all_gather(b->control, NULL, mine, sizeof mine, all);
    if (st == WF_OK && b->good) st = step(b, wf_peers_open(b->peers, all));
    free(all);
    return st;
}

static wf_status connect_peers(bring_up *b, wf_backend *be, const wf_peers_config *config)
{
    WF_TRY(step(b, wf_peers_create(be, config, &b->peers)));
    if (b->good) WF_TRY(exchange(b));
    if (b->good) WF_TRY(step(b, wf_peers_write_pattern(b->peers)));
    if (b->good) WF_TRY(step(b, wf_peers_check_pattern(b->peers)));
    return WF_OK;
}

wf_status wf_comm_peers_create(wf_comm *control, wf_backend *be, int64_t limit_ns, wf_peers **out)
{
    bring_up b = {.control = control};
    wf_peers_config config = {control->rank, control->size, WF_SUM_MOST_BYTES, limit_ns};
    bool one_host = false;
    *out = NULL;
    WF_TRY(on_one_host(control, &one_host));
    if (!one_host || control->size < 2 || control->size > WF_PEERS_MOST) {
        wf_debug("sums among %d devices%s go through NCCL alone", control->size,
                 one_host ? "" : " of several hosts");
        return WF_OK;
    }
    wf_status st = connect_peers(&b, be, &config);
    if (st != WF_OK || !b.good) {
        wf_comm_peers_destroy(control, st != WF_OK, &b.peers);
        return st;
    }
    *out = b.peers;
    return WF_OK;
}

void wf_comm_peers_destroy(wf_comm *control, bool lost, wf_peers **p)
{
    if (*p) wf_peers_close(*p);
    if (!lost) (void)control->ops->barrier(control); // no peer maps what is freed now
    wf_peers_destroy(*p);
    *p = NULL;
}

// ---- measuring ----------------------------------------------------------------------------------

enum { CALLS_PER_GRAPH = 8, N_LAUNCHES = 4 };

typedef struct timing {
    wf_comm *control;
    wf_backend *be;
    const wf_sum_runner *runner;
    wf_stream *stream;
    wf_event *event;
    void *data;
    wf_dtype dtype;
} timing;

static wf_status finish(const timing *t)
{
    WF_TRY(t->be->ops->event_record(t->be, t->event, t->stream));
    return t->be->ops->event_sync(t->be, t->event);
}

static wf_status capture(const timing *t, wf_sum_way way, int64_t n, wf_graph **out)
{
    WF_TRY(t->runner->run(t->runner->arg, t->stream, way, t->data, n)); // connects
    WF_TRY(finish(t));
    WF_TRY(t->be->ops->capture_begin(t->be, t->stream));
    for (int i = 0; i < CALLS_PER_GRAPH; i++)
        WF_TRY(t->runner->run(t->runner->arg, t->stream, way, t->data, n));
    return t->be->ops->capture_end(t->be, t->stream, out);
}

// Nanoseconds of one sum: the best of a few launches after one that lines the ranks up.
static wf_status time_way(const timing *t, wf_sum_way way, size_t bytes, int64_t *out_ns)
{
    wf_graph *graph = NULL;
    int64_t best = INT64_MAX;
    WF_TRY(capture(t, way, (int64_t)(bytes / wf_dtype_bytes(t->dtype)), &graph));
    wf_status st = WF_OK;
    for (int i = 0; i <= N_LAUNCHES && st == WF_OK; i++) {
        int64_t begin = wf_clock_ns();
        st = t->be->ops->graph_launch(t->be, t->stream, graph);
        if (st == WF_OK) st = finish(t);
        int64_t ns = (wf_clock_ns() - begin) / CALLS_PER_GRAPH;
        if (i > 0 && ns < best) best = ns;
    }
    t->be->ops->graph_destroy(t->be, graph);
    if (st != WF_OK) return st;
    return t->control->ops->max_i64(t->control, best, out_ns);
}

static wf_status time_all(const timing *t, const wf_peers *p, bool nccl,
                          int64_t ns[WF_SUM_BUCKETS][WF_SUM_N_WAYS])
{
    for (int b = 0; b < WF_SUM_BUCKETS; b++)
        for (wf_sum_way way = 0; way < WF_SUM_N_WAYS; way++) {
            size_t bytes = LEAST_BYTES << b; // two-shot takes larger ones in pieces
            size_t piece = bytes < WF_SUM_MOST_BYTES ? bytes : WF_SUM_MOST_BYTES;
            int64_t n = (int64_t)(piece / wf_dtype_bytes(t->dtype));
            ns[b][way] = INT64_MAX;
            bool fits = way == WF_SUM_NCCL
                            ? nccl
                            : wf_peers_fits(p, (wf_peers_way)way, t->data, n, t->dtype);
            if (way == WF_SUM_ONE_SHOT && piece < bytes) fits = false;
            if (fits) WF_TRY(time_way(t, way, bytes, &ns[b][way]));
        }
    return WF_OK;
}

static void choose(int64_t ns[WF_SUM_BUCKETS][WF_SUM_N_WAYS], wf_sum_way way[WF_SUM_BUCKETS])
{
    for (int b = 0; b < WF_SUM_BUCKETS; b++) {
        way[b] = WF_SUM_TWO_SHOT;
        for (wf_sum_way w = 0; w < WF_SUM_N_WAYS; w++)
            if (ns[b][w] < ns[b][way[b]]) way[b] = w;
        wf_debug("sums of %zu KiB: one-shot %.1f us, two-shot %.1f us, NCCL %.1f us",
                 (LEAST_BYTES << b) / 1024, (double)ns[b][WF_SUM_ONE_SHOT] * 1e-3,
                 (double)ns[b][WF_SUM_TWO_SHOT] * 1e-3, (double)ns[b][WF_SUM_NCCL] * 1e-3);
    }
}

wf_status wf_comm_peers_measure(wf_comm *control, wf_backend *be, const wf_peers *p, bool nccl,
                                const wf_sum_runner *runner,
                                int64_t ns[WF_SUM_BUCKETS][WF_SUM_N_WAYS],
                                wf_sum_way way[WF_SUM_BUCKETS])
{
    wf_backend_info info;
    timing t = {.control = control, .be = be, .runner = runner};
    WF_TRY(be->ops->info(be, &info));
    t.dtype = info.numerics.act;
    wf_status st = be->ops->alloc(be, LEAST_BYTES << (WF_SUM_BUCKETS - 1), &t.data);
    if (st == WF_OK) st = be->ops->stream_create(be, &t.stream);
    if (st == WF_OK) st = be->ops->event_create(be, &t.event);
    if (st == WF_OK) st = time_all(&t, p, nccl, ns);
    if (st == WF_OK) choose(ns, way);
    if (t.event) be->ops->event_destroy(be, t.event);
    if (t.stream) be->ops->stream_destroy(be, t.stream);
    if (t.data) be->ops->free(be, t.data);
    return st;
}
