// Times of a layout, term by term. See layout.h.
#include "jobs/layout/layout.h"

#include <math.h>

// How each feed-forward is laid out. A row of the paper's figure 2.
static const struct {
    const char *name;
    int n_gathered; // axes that weights are gathered over
} ffns[WF_LAYOUT_N_FFNS] = {
    [WF_LAYOUT_1D] = {"1d", 0},
    [WF_LAYOUT_2D] = {"2d", 0},
    [WF_LAYOUT_GATHER_X] = {"gather-x", 1},
    [WF_LAYOUT_GATHER_XY] = {"gather-xy", 2},
    [WF_LAYOUT_GATHER_XYZ] = {"gather-xyz", 3},
};

const char *wf_layout_ffn_name(wf_layout_ffn ffn)
{
    return ffns[ffn].name;
}

int wf_layout_n_gathered(wf_layout_ffn ffn)
{
    return ffns[ffn].n_gathered;
}

// Devices that talk to each other: neighbours along some axes.
typedef struct {
    int k;    // devices
    int span; // neighbouring devices from the first of them to the last
    int ring; // hops round a ring along each axis
} peers;

// All the terms of one layer are computed from these.
typedef struct {
    const wf_layout_model *m;
    const wf_machine *machine;
    const wf_layout_format *format;
    const wf_layout *layout;
    int n;                        // devices of one copy
    peers outer, inner;           // gathered over; the rest
    double batch;                 // sequences of one copy
    double tokens, past;          // of each sequence
    double rows;                  // batch * tokens
    double q, kv;                 // columns of Q; of K and V together
    double attention, ffn;        // weights of a layer
    double batch_ways, head_ways; // how K and V are split
} layer;

static peers along(const wf_layout *l, int from, int to)
{
    const int axis[3] = {l->x, l->y, l->z};
    peers p = {1, 1, 0};
    for (int i = from; i < to; i++) {
        p.k *= axis[i];
        p.ring += axis[i] - 1;
    }
    p.span = p.k;
    for (int i = to; i < 3 && p.k > 1; i++)
        p.span *= axis[i];
    return p;
}

static layer layer_of(const wf_layout_model *m, const wf_machine *machine,
                      const wf_layout_format *format, const wf_layout *l, const wf_layout_work *w)
{
    int gathered = ffns[l->ffn].n_gathered;
    double q = (double)m->n_heads * m->head_dim, kv = 2.0 * m->n_kv_heads * m->head_dim;
    double batch = ceil((double)w->batch / l->replicas);
    layer c = {.m = m,
               .machine = machine,
               .format = format,
               .layout = l,
               .n = l->x * l->y * l->z,
               .outer = along(l, 0, gathered),
               .inner = along(l, gathered, 3),
               .batch = batch,
               .tokens = (double)w->tokens,
               .past = (double)w->past,
               .rows = batch * (double)w->tokens,
               .q = q,
               .kv = kv,
               .attention = m->hidden * (2 * q + kv),
               .ffn = (m->gated ? 3.0 : 2.0) * m->hidden * m->ffn};
    bool by_batch = l->attention == WF_LAYOUT_BY_BATCH;
    c.batch_ways = by_batch ? c.n : c.outer.k;
    c.head_ways = by_batch ? 1 : c.inner.k;
    return c;
}

// ---- links --------------------------------------------------------------------------------------

// A collective whose larger side is `bytes` on every device (appendix A.1 of the paper).
static void add_collective(const layer *c, const peers *p, double bytes, wf_layout_cost *cost)
{
    if (p->k < 2 || bytes <= 0) return;
    bool near = p->span <= c->machine->node_devices;
    double rate = near ? c->machine->link_rate : c->machine->network_rate;
    cost->link_s += bytes / rate * (p->k - 1) / p->k;
    cost->hop_s += c->machine->hop_s * (c->machine->torus ? p->ring : ceil(log2(p->k)));
}

// Activations that a layer's matrices take in and give: an all-gather and a reduce-scatter of the
// hidden size for each pair of them.
static void add_hidden(const layer *c, double bytes, wf_layout_cost *cost)
{
    int n_pairs = c->m->parallel ? 1 : 2;
    for (int i = 0; i < n_pairs; i++) {
        add_collective(c, &c->inner, bytes, cost);
        add_collective(c, &c->inner, bytes, cost);
    }
}

// The same between the two matrices: over x, of the columns that y and z hold.
static void add_columns(const layer *c, wf_layout_cost *cost)
{
    peers x = along(c->layout, 0, 1);
    double bytes = c->rows * c->format->value_bytes / (c->layout->y * c->layout->z);
    double ffn_in = bytes * c->m->ffn * (c->m->gated ? 2 : 1), ffn_out = bytes * c->m->ffn;
    double attention_in = bytes * (c->q + c->kv), attention_out = bytes * c->q;
    if (c->m->parallel) {
        add_collective(c, &x, ffn_in + attention_in, cost);
        add_collective(c, &x, ffn_out + attention_out, cost);
        return;
    }
    add_collective(c, &x, ffn_in, cost);
    add_collective(c, &x, attention_in, cost);
    add_collective(c, &x, ffn_out, cost);
    add_collective(c, &x, attention_out, cost);
}

static void add_links(const layer *c, wf_layout_cost *cost)
{
    double hidden = c->rows * c->m->hidden * c->format->value_bytes;
    double at_rest = (c->attention + c->ffn) * c->format->weight_bytes / c->n;
    peers inside = c->inner;
    if (c->layout->ffn == WF_LAYOUT_2D) {
        layer yz = *c;
        yz.inner = along(c->layout, 1, 3);
        add_hidden(&yz, hidden / c->layout->x, cost);
        add_columns(c, cost);
    } else {
        add_collective(c, &c->outer, at_rest * c->outer.k, cost);
        add_hidden(c, hidden / c->outer.k, cost);
    }
    if (c->layout->attention == WF_LAYOUT_BY_BATCH) { // from heads to sequences, and back
        double each = c->rows * c->format->value_bytes / c->n;
        add_collective(c, &inside, each * (c->q + c->kv), cost);
        add_collective(c, &inside, each * c->q, cost);
    }
}

// ---- devices ------------------------------------------------------------------------------------

// Bytes of K and V that the fullest device has of a token of all sequences.
static double kv_token_bytes(const layer *c)
{
    double heads = ceil(c->m->n_kv_heads / c->head_ways);
    return ceil(c->batch / c->batch_ways) * 2 * heads * c->m->head_dim * c->format->value_bytes;
}

static void add_devices(const layer *c, wf_layout_cost *cost)
{
    double rate = c->machine->flops[c->format->rate], n_weights = c->attention + c->ffn;
    // Fewer sequences than they are split over leave devices idle.
    double busy = c->batch / (ceil(c->batch / c->outer.k) * c->outer.k);
    double attended = c->past + (c->tokens + 1) / 2;
    double own_heads = ceil(c->m->n_heads / c->head_ways);
    double own_rows = ceil(c->batch / c->batch_ways) * c->tokens;
    cost->compute_s += 2 * c->rows * n_weights / (c->n * busy) / rate;
    cost->compute_s += 4 * own_rows * attended * own_heads * c->m->head_dim / rate;
    cost->weights_s +=
        n_weights * c->format->weight_bytes / c->n * c->outer.k / c->machine->memory_rate;
    cost->kv_s += kv_token_bytes(c) * (c->past + c->tokens) / c->machine->memory_rate;
}

static void add_up(wf_layout_cost *cost)
{
    cost->step_s = fmax(cost->compute_s, cost->weights_s + cost->kv_s) + cost->link_s + cost->hop_s;
}

void wf_layout_layer_cost(const wf_layout_model *model, const wf_machine *machine,
                          const wf_layout_format *format, const wf_layout *layout,
                          const wf_layout_work *work, wf_layout_cost *out)
{
    layer c = layer_of(model, machine, format, layout, work);
    *out = (wf_layout_cost){0};
    add_devices(&c, out);
    add_links(&c, out);
    add_up(out);
}

// ---- whole steps --------------------------------------------------------------------------------

double wf_layout_n_params(const wf_layout_model *m)
{
    double q = (double)m->n_heads * m->head_dim, kv = 2.0 * m->n_kv_heads * m->head_dim;
    double ffn = (m->gated ? 3.0 : 2.0) * m->ffn, tables = m->tied ? 1 : 2;
    return m->hidden * (m->n_layers * (2 * q + kv + ffn) + tables * m->n_vocab);
}

static double memory_of(const layer *c)
{
    double weights = wf_layout_n_params(c->m) * c->format->weight_bytes / c->n;
    double gathered =
        c->outer.k < 2 ? 0 : (c->attention + c->ffn) * c->format->weight_bytes / c->n * c->outer.k;
    double kv = c->m->n_layers * kv_token_bytes(c) * (c->past + c->tokens);
    double rows = ceil(c->batch / c->outer.k) * c->tokens;
    double wide = c->layout->ffn == WF_LAYOUT_2D ? c->m->hidden / c->layout->x : c->m->hidden;
    double columns = (c->m->gated ? 2.0 : 1.0) * c->m->ffn * c->outer.k / c->n;
    return weights + gathered + kv + rows * (2 * wide + columns) * c->format->value_bytes;
}

// The head computes one row of each sequence.
static void add_head(const layer *c, wf_layout_cost *cost)
{
    double n_weights = (double)c->m->n_vocab * c->m->hidden;
    cost->compute_s += 2 * c->batch * n_weights / c->n / c->machine->flops[c->format->rate];
    cost->weights_s += n_weights * c->format->weight_bytes / c->n / c->machine->memory_rate;
}

void wf_layout_step_cost(const wf_layout_model *model, const wf_machine *machine,
                         const wf_layout_format *format, const wf_layout *layout,
                         const wf_layout_work *work, wf_layout_cost *out)
{
    layer c = layer_of(model, machine, format, layout, work);
    wf_layout_cost one;
    wf_layout_layer_cost(model, machine, format, layout, work, &one);
    double n = model->n_layers, devices = (double)c.n * layout->replicas;
    *out = (wf_layout_cost){.compute_s = n * one.compute_s,
                            .weights_s = n * one.weights_s,
                            .kv_s = n * one.kv_s,
                            .link_s = n * one.link_s,
                            .hop_s = n * one.hop_s,
                            .memory_bytes = memory_of(&c)};
    add_head(&c, out);
    add_up(out);
    double tokens = (double)work->batch * (double)work->tokens;
    out->tokens_per_s = tokens / out->step_s;
    out->device_s_per_mtok = devices / out->tokens_per_s * 1e6;
    out->mfu = 2 * wf_layout_n_params(model) * out->tokens_per_s /
               (devices * machine->flops[format->rate]);
}

double wf_layout_longest_context(const wf_layout_model *model, const wf_machine *machine,
                                 const wf_layout_format *format, const wf_layout *layout,
                                 int64_t batch, double share)
{
    wf_layout_work work = {.batch = batch, .tokens = 1};
    layer c = layer_of(model, machine, format, layout, &work);
    return share * machine->memory_bytes / (model->n_layers * kv_token_bytes(&c));
}

const char *wf_layout_bound(const wf_layout_cost *c)
{
    bool computing = c->compute_s >= c->weights_s + c->kv_s;
    double device = fmax(c->compute_s, c->weights_s + c->kv_s);
    if (c->link_s > device && c->link_s >= c->hop_s) return "bytes over links";
    if (c->hop_s > device) return "latency of links";
    if (computing) return "computing";
    return c->weights_s >= c->kv_s ? "reading weights" : "reading K and V";
}
