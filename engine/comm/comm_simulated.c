// See comm_simulated.h.
#include "engine/comm/comm_simulated.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/simulated/sim_backend.h"

typedef struct sim_comm {
    wf_comm base; // first
    wf_backend *be;
    const wf_costs *costs;
} sim_comm;

static void take(const wf_comm *c, double bytes)
{
    const sim_comm *x = (const sim_comm *)c;
    const wf_costs_device *d = wf_costs_of(x->costs);
    wf_simulated_busy(x->be, d->hop_ns + bytes / d->link_bytes_per_ns);
}

static wf_status sim_all_reduce(wf_comm *c, wf_stream *s, void *data, int64_t n, wf_dtype dtype)
{
    (void)s, (void)data;
    double bytes = (double)n * (double)wf_dtype_bytes(dtype);
    take(c, 2.0 * bytes * (c->size - 1) / c->size);
    return WF_OK;
}

static wf_status sim_all_gather(wf_comm *c, wf_stream *s, const void *send, size_t bytes,
                                void *recv)
{
    (void)s;
    if (((const sim_comm *)c)->be) {
        take(c, (double)bytes * (c->size - 1));
        return WF_OK;
    }
    memset(recv, 0, bytes * (size_t)c->size);
    memcpy(recv, send, bytes);
    return WF_OK;
}

static wf_status sim_broadcast(wf_comm *c, void *data, size_t bytes, int root)
{
    (void)c, (void)data, (void)bytes, (void)root;
    return WF_OK;
}

static wf_status sim_barrier(wf_comm *c)
{
    (void)c;
    return WF_OK;
}

static wf_status sim_max_i64(wf_comm *c, int64_t value, int64_t *out)
{
    (void)c;
    *out = value;
    return WF_OK;
}

// The first rank's group is of those with its colour, and only it knows one: all.
static wf_status sim_split(wf_comm *c, int color, int key, wf_comm **out)
{
    const sim_comm *x = (const sim_comm *)c;
    (void)key;
    *out = NULL;
    return color < 0 ? WF_OK : wf_comm_simulated_create(c->size, x->be, x->costs, out);
}

static wf_status sim_publish(wf_comm *c, const void *data, size_t bytes)
{
    (void)c, (void)data, (void)bytes;
    return WF_OK;
}

static wf_status sim_receive(wf_comm *c, void *data, size_t capacity, size_t *out_bytes)
{
    (void)c, (void)data, (void)capacity, (void)out_bytes;
    return wf_fail(WF_INTERNAL, "comm simulated: its first rank has nobody to receive from");
}

static void sim_abort(wf_comm *c, int exit_code)
{
    (void)c;
    _exit(exit_code);
}

static void sim_destroy(wf_comm *c)
{
    free(c);
}

static const wf_comm_ops sim_ops = {
    .name = "simulated",
    .all_reduce = sim_all_reduce,
    .all_gather = sim_all_gather,
    .broadcast = sim_broadcast,
    .barrier = sim_barrier,
    .max_i64 = sim_max_i64,
    .split = sim_split,
    .publish = sim_publish,
    .receive = sim_receive,
    .abort = sim_abort,
    .destroy = sim_destroy,
};

wf_status wf_comm_simulated_create(int size, wf_backend *be, const wf_costs *costs, wf_comm **out)
{
    *out = NULL;
    if (be && size > 1 && !(wf_costs_of(costs)->link_bytes_per_ns > 0.0))
        return wf_fail(WF_CONFIG,
                       "%s: its costs say no speed of links, and a group has %d ranks: "
                       "name a machine that has them (--machine)",
                       wf_costs_of(costs)->name, size);
    sim_comm *c = malloc(sizeof *c);
    if (!c) return wf_fail(WF_NO_MEMORY, "comm simulated: out of memory");
    *c = (sim_comm){.base = {.ops = &sim_ops, .rank = 0, .size = size}, .be = be, .costs = costs};
    *out = &c->base;
    return WF_OK;
}
