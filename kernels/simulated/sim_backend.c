// See sim_backend.h.
#include "kernels/simulated/sim_backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/profile_cost.h"
#include "kernels/ref/ref.h"

#define ALIGNMENT 256

enum { MEMO = 4096 }; // a power of two

typedef enum op_number {
#define OP_NUMBER(op, args) OP_##op,
    WF_OPS(OP_NUMBER)
#undef OP_NUMBER
        N_OPS
} op_number;

static const char *const op_name[N_OPS] = {
#define OP_NAME(op, args) #op,
    WF_OPS(OP_NAME)
#undef OP_NAME
};

// The share that calls of one shape reach, once it has been looked up.
typedef struct memo {
    bool known;
    int op;
    int64_t rows, n_out, n_in;
    double share;
} memo;

typedef struct sim_backend {
    wf_backend base; // first
    wf_simulated_config c;
    const wf_costs_device *device;
    uintptr_t next;            // address of the next buffer
    double bytes;              // of all buffers and weights
    double free_ns;            // when the device has done all that was queued
    bool decode;               // the step only decodes
    int i_operation[2][N_OPS]; // of the costs, by the kind of step
    memo memo[MEMO];
} sim_backend;

struct wf_event {
    double at_ns;
};

static sim_backend *sim_of(wf_backend *be)
{
    return (sim_backend *)be;
}

// ---- time ---------------------------------------------------------------------------------------

static double clock_ns(const sim_backend *x)
{
    return (double)wf_clock_now(wf_simtime_clock(x->c.time, x->c.i_member));
}

void wf_simulated_busy(wf_backend *be, double ns)
{
    sim_backend *x = sim_of(be);
    double now = clock_ns(x);
    if (x->free_ns < now) x->free_ns = now;
    x->free_ns += ns;
}

static double share_of(sim_backend *x, int op, const wf_op_cost *c)
{
    uint64_t h = (uint64_t)c->rows * 0x9e3779b97f4a7c15u ^ (uint64_t)c->n_out * 0xc2b2ae3d27d4eb4fu;
    h ^= (uint64_t)c->n_in * 0x165667b19e3779f9u ^ (uint64_t)op << 40;
    memo *m = &x->memo[(h ^ h >> 29) & (MEMO - 1)];
    if (!m->known || m->op != op || m->rows != c->rows || m->n_out != c->n_out ||
        m->n_in != c->n_in) {
        *m = (memo){true, op, c->rows, c->n_out, c->n_in, 0.0};
        m->share = wf_costs_share(x->c.costs, x->i_operation[x->decode][op % N_OPS], c);
    }
    return m->share;
}

static wf_status take(wf_backend *be, op_number op, const wf_op_cost *cost)
{
    sim_backend *x = sim_of(be);
    double share = share_of(x, (int)op + (x->decode ? N_OPS : 0), cost);
    wf_simulated_busy(be, wf_costs_ns(x->c.costs, cost, share));
    return WF_OK;
}

// A step's first operation says what kind of step it is, and bears what a step takes beside them.
static void note_step(wf_backend *be, op_number op, const void *args)
{
    sim_backend *x = sim_of(be);
    if (op != OP_token_ids) return;
    const wf_token_ids_args *a = args;
    x->decode = a->batch->n_decode == a->batch->n_tokens;
    wf_simulated_busy(be, x->device->step_ns);
}

#define SIM_OP(op, args)                                                                           \
    static wf_status sim_##op(wf_backend *be, wf_stream *s, const args *a)                         \
    {                                                                                              \
        (void)s;                                                                                   \
        note_step(be, OP_##op, a);                                                                 \
        wf_op_cost c = wf_cost_##op(a);                                                            \
        return take(be, OP_##op, &c);                                                              \
    }
WF_OPS(SIM_OP)
#undef SIM_OP

// ---- memory -------------------------------------------------------------------------------------

static wf_status sim_alloc(wf_backend *be, size_t bytes, void **out)
{
    sim_backend *x = sim_of(be);
    if (x->device->memory_bytes > 0.0 && x->bytes + (double)bytes > x->device->memory_bytes)
        return wf_fail(WF_NO_MEMORY,
                       "%s (simulated): %.2f GB of %.2f are taken, %.2f more do not "
                       "fit",
                       x->device->name, x->bytes * 1e-9, x->device->memory_bytes * 1e-9,
                       (double)bytes * 1e-9);
    size_t size = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    *out = (void *)x->next; // an address and no memory
    x->next += size > 0 ? size : ALIGNMENT;
    x->bytes += (double)bytes;
    return WF_OK;
}

static void sim_free(wf_backend *be, void *data)
{
    (void)be, (void)data; // what an engine holds it holds to its end
}

static wf_status sim_upload(wf_backend *be, wf_stream *s, void *dst, const void *src, size_t bytes)
{
    (void)be, (void)s, (void)dst, (void)src, (void)bytes;
    return WF_OK;
}

static wf_status sim_download(wf_backend *be, wf_stream *s, void *dst, const void *src,
                              size_t bytes)
{
    (void)be, (void)s, (void)src;
    memset(dst, 0, bytes);
    return WF_OK;
}

// ---- weights ------------------------------------------------------------------------------------

static wf_status sim_weight_create(wf_backend *be, const wf_weight_shape *shape, wf_weight **out)
{
    void *data = NULL;
    wf_weight *w = malloc(sizeof *w);
    *out = NULL;
    if (!w) return wf_fail(WF_NO_MEMORY, "weight: out of memory");
    *w = *shape;
    wf_status st = sim_alloc(be, (size_t)wf_weight_bytes(w), &data);
    if (st == WF_OK)
        *out = w;
    else
        free(w);
    return st;
}

static wf_status sim_weight_load(wf_backend *be, wf_weight *w, const wf_weight_block *block)
{
    (void)be, (void)w, (void)block;
    return WF_OK;
}

static wf_status sim_weight_random(wf_backend *be, wf_weight *w, uint64_t seed, float std)
{
    (void)be, (void)w, (void)seed, (void)std;
    return WF_OK;
}

static void sim_weight_destroy(wf_backend *be, wf_weight *w)
{
    (void)be;
    free(w);
}

// ---- order --------------------------------------------------------------------------------------

// Streams carry no state: there is one queue, and what is put on different ones takes its time one
// after the other.

static wf_status sim_event_create(wf_backend *be, wf_event **out)
{
    (void)be;
    *out = calloc(1, sizeof **out);
    return *out ? WF_OK : wf_fail(WF_NO_MEMORY, "event: out of memory");
}

static void sim_event_destroy(wf_backend *be, wf_event *e)
{
    (void)be;
    free(e);
}

static wf_status sim_event_record(wf_backend *be, wf_event *e, wf_stream *s)
{
    (void)s;
    wf_simulated_busy(be, 0.0);
    e->at_ns = sim_of(be)->free_ns;
    return WF_OK;
}

static wf_status sim_event_query(wf_backend *be, wf_event *e, bool *out_done)
{
    *out_done = clock_ns(sim_of(be)) >= e->at_ns;
    return WF_OK;
}

static wf_status sim_event_sync(wf_backend *be, wf_event *e)
{
    const sim_backend *x = sim_of(be);
    wf_simtime_jump(x->c.time, x->c.i_member, (int64_t)e->at_ns);
    return WF_OK;
}

static wf_status sim_stamp(wf_backend *be, wf_stream *s, uint64_t *at)
{
    (void)s;
    *at = (uint64_t)sim_of(be)->free_ns;
    return WF_OK;
}

// ---- life cycle ---------------------------------------------------------------------------------

static wf_status sim_info(wf_backend *be, wf_backend_info *out)
{
    const sim_backend *x = sim_of(be);
    const wf_costs_device *d = x->device;
    wf_numerics n = x->c.numerics;
    n.act = n.sum = d->host                                    ? WF_F32
                    : n.weight == WF_F32 || n.weight == WF_F16 ? n.weight
                                                               : WF_BF16;
    *out = (wf_backend_info){.name = "simulated",
                             .host_memory = d->host,
                             .async = !d->host,
                             .numerics = n,
                             .free_bytes = (uint64_t)(d->memory_bytes - x->bytes),
                             .total_bytes = (uint64_t)d->memory_bytes};
    snprintf(out->device, sizeof out->device, "%.80s (simulated)", d->name);
    return WF_OK;
}

static void sim_destroy(wf_backend *be)
{
    free(be);
}

// Made by its own function: it needs more than a back end's configuration.
static wf_status sim_create(const wf_backend_config *config, wf_backend **out)
{
    (void)config, (void)out;
    return wf_fail(WF_INTERNAL, "back end simulated: made without its costs");
}

#define SIM_ENTRY(op, args) , .op = sim_##op
static const wf_backend_ops sim_ops = {
    .name = "simulated",
    .create = sim_create,
    .destroy = sim_destroy,
    .info = sim_info,
    .alloc = sim_alloc,
    .free = sim_free,
    .host_alloc = wf_ref_alloc,
    .host_free = wf_ref_free,
    .upload = sim_upload,
    .download = sim_download,
    .weight_create = sim_weight_create,
    .weight_load = sim_weight_load,
    .weight_random = sim_weight_random,
    .weight_destroy = sim_weight_destroy,
    .stream_create = wf_ref_stream_create,
    .stream_destroy = wf_ref_stream_destroy,
    .event_create = sim_event_create,
    .event_destroy = sim_event_destroy,
    .event_record = sim_event_record,
    .event_query = sim_event_query,
    .event_sync = sim_event_sync,
    .stream_wait = wf_ref_stream_wait,
    .stamp = sim_stamp,
    .range = wf_ref_range WF_OPS(SIM_ENTRY),
};

wf_status wf_simulated_create(const wf_simulated_config *config, wf_backend **out)
{
    sim_backend *x = calloc(1, sizeof *x);
    *out = NULL;
    if (!x) return wf_fail(WF_NO_MEMORY, "back end simulated: out of memory");
    x->base.ops = &sim_ops;
    x->c = *config;
    x->device = wf_costs_of(config->costs);
    x->next = (uintptr_t)1 << 40;
    for (int decode = 0; decode < 2; decode++)
        for (int op = 0; op < N_OPS; op++)
            x->i_operation[decode][op] = wf_costs_find(config->costs, op_name[op], decode != 0);
    *out = &x->base;
    return WF_OK;
}
