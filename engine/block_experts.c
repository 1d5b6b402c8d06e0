// The feed-forward block of experts: every token takes some of them, chosen by the router, and
// maybe one that all take.
//
//   n -- router --> logits -- route --> pairs -- pack --> rows by expert
//   rows -- gate | up, activation --> -- down --> each pair's part -- combine --> y
//
// A rank computes the rows of its experts, or its share of each of them: activations are whole on
// every rank, so nothing is sent but the sum that every block has. Counts stay on the device.
#include "engine/block.h"
#include "engine/forward_internal.h"

// Scratch: the router's numbers; [pairs, ffn]; [runs][pairs, hidden]; the same of the shared
// expert, [T, ffn] and [runs][T, hidden].
enum { ROUTE, ACT, OUT, SHARED_ACT, SHARED_OUT };

// What ROUTE holds, one after the other.
typedef struct route {
    float *logits, *weight, *shared_gate;
    int32_t *expert, *begin, *pair, *row;
} route;

#define ALIGN 256

enum { N_ARRAYS = 7 };

// Where each begins in ROUTE, and where it ends: bytes. All are of 4-byte numbers.
static void offsets_of(const wf_arch_layer *whole, size_t n_tokens, size_t at[N_ARRAYS + 1])
{
    size_t n_pairs = n_tokens * (size_t)whole->n_choices, n = (size_t)whole->n_experts;
    const size_t sizes[N_ARRAYS] = {n_tokens * n, n_pairs, n_tokens, n_pairs,
                                    n + 1,        n_pairs, n_pairs};
    at[0] = 0;
    for (int i = 0; i < N_ARRAYS; i++)
        at[i + 1] = at[i] + (sizes[i] * 4 + ALIGN - 1) / ALIGN * ALIGN;
}

static route route_in(const wf_arch_layer *whole, size_t n_tokens, void *memory)
{
    char *base = memory;
    size_t at[N_ARRAYS + 1];
    offsets_of(whole, n_tokens, at);
    return (route){.logits = (float *)(void *)(base + at[0]),
                   .weight = (float *)(void *)(base + at[1]),
                   .shared_gate = (float *)(void *)(base + at[2]),
                   .expert = (int32_t *)(void *)(base + at[3]),
                   .begin = (int32_t *)(void *)(base + at[4]),
                   .pair = (int32_t *)(void *)(base + at[5]),
                   .row = (int32_t *)(void *)(base + at[6])};
}

static void scratch(const wf_block_shape *s, size_t bytes[WF_BLOCK_SCRATCH])
{
    const wf_arch_layer *l = &s->layer;
    wf_arch_layer whole = *l;
    size_t T = s->n_tokens, at[N_ARRAYS + 1], n_pairs = T * (size_t)l->n_choices;
    size_t row = (size_t)s->arch->hidden * s->sum_bytes * (s->k_runs > 1 ? s->k_runs : 1);
    whole.n_experts *= s->arch->expert_parts; // logits are of all ranks' experts
    offsets_of(&whole, T, at);
    bytes[ROUTE] = at[N_ARRAYS];
    bytes[ACT] = n_pairs * (size_t)l->expert_ffn * s->act_bytes;
    bytes[OUT] = n_pairs * row;
    bytes[SHARED_ACT] = T * (size_t)l->shared_ffn * s->act_bytes;
    bytes[SHARED_OUT] = l->shared_ffn > 0 ? T * row : 0;
}

static wf_status choose(wf_forward *f, const wf_forward_step *st, int32_t i_layer, void *n,
                        const route *r)
{
    const wf_model *m = f->m;
    const wf_layer *l = &m->layers[i_layer];
    const wf_arch_router *router = &m->arch.router;
    int64_t n_experts = m->arch.layer[i_layer].n_experts;
    wf_matrix in = wf_block_matrix(f, n, st->n_tokens, f->s.hidden);
    wf_matrix logits = wf_matrix_of(r->logits, WF_F32, st->n_tokens, n_experts);
    WF_TRY(wf_block_gemm(f, in, &l->router, logits));
    if (l->shared_router.matrix)
        WF_TRY(wf_block_gemm(f, in, &l->shared_router,
                             wf_matrix_of(r->shared_gate, WF_F32, st->n_tokens, 1)));
    WF_TRY(f->be->ops->route(f->be, f->stream,
                             &(wf_route_args){.logits = logits,
                                              .score = router->score,
                                              .choice_bias = l->choice_bias.vector,
                                              .n_choices = l->share.n_choices,
                                              .n_groups = router->n_groups,
                                              .n_best_groups = router->n_best_groups,
                                              .renormalise = router->renormalise,
                                              .scale = router->scale,
                                              .expert = r->expert,
                                              .weight = r->weight}));
    return f->be->ops->pack_pairs(
        f->be, f->stream,
        &(wf_pack_pairs_args){.expert = r->expert,
                              .n_pairs = (int32_t)st->n_tokens * l->share.n_choices,
                              .first_expert =
                                  wf_arch_first_expert(&m->arch, i_layer, m->tp_rank, m->tp_size),
                              .n_experts = l->share.n_experts,
                              .begin = r->begin,
                              .pair = r->pair,
                              .row = r->row});
}

// One expert's or all experts' rows: out = down(gate(up(x))), its runs apart.
typedef struct product {
    const wf_param *up, *down;
    const int32_t *begin, *pair; // NULL: of the one that all tokens take
    int32_t n_choices;
    int64_t n_rows, ffn;
    void *act, *out;
} product;

static wf_status multiply(wf_forward *f, wf_matrix in, const product *p)
{
    wf_dtype sum = f->k_runs > 0 ? WF_F32 : f->num.act;
    wf_matrix act = wf_block_matrix(f, p->act, p->n_rows, (size_t)p->ffn);
    wf_matrix out = wf_matrix_of(p->out, sum, p->n_rows, (int64_t)f->s.hidden);
    WF_TRY(f->be->ops->experts_gemm(f->be, f->stream,
                                    &(wf_experts_gemm_args){.x = in,
                                                            .begin = p->begin,
                                                            .pair = p->pair,
                                                            .n_choices = p->n_choices,
                                                            .w = p->up->matrix,
                                                            .bias = p->up->bias,
                                                            .gate = f->m->arch.expert_gate,
                                                            .y = act}));
    return f->be->ops->experts_gemm(f->be, f->stream,
                                    &(wf_experts_gemm_args){.x = act,
                                                            .begin = p->begin,
                                                            .n_choices = p->n_choices,
                                                            .w = p->down->matrix,
                                                            .bias = p->down->bias,
                                                            .y = out,
                                                            .k_runs = f->k_runs,
                                                            .run_stride = out.n_rows * out.stride});
}

static wf_status combine(wf_forward *f, const wf_forward_step *st, const wf_layer *l,
                         const route *r, void *y)
{
    void *const *own = f->scratch[WF_BLOCK_EXPERTS];
    wf_dtype sum = f->k_runs > 0 ? WF_F32 : f->num.act;
    int64_t hidden = (int64_t)f->s.hidden, n_tokens = st->n_tokens;
    int64_t n_pairs = n_tokens * l->share.n_choices;
    wf_combine_args a = {.x = wf_matrix_of(own[OUT], sum, n_pairs, hidden),
                         .n_choices = l->share.n_choices,
                         .row = r->row,
                         .weight = r->weight,
                         .k_runs = f->k_runs,
                         .run_stride = n_pairs * hidden,
                         .shared_run_stride = n_tokens * hidden,
                         .y = wf_matrix_of(y, f->num.sum, n_tokens, hidden)};
    if (l->shared_up.matrix) a.shared = wf_matrix_of(own[SHARED_OUT], sum, n_tokens, hidden);
    if (l->shared_router.matrix) a.shared_gate = r->shared_gate;
    return f->be->ops->combine(f->be, f->stream, &a);
}

// Which of the layers with experts layer i is.
static size_t nth_with_experts(const wf_forward *f, int32_t i_layer)
{
    size_t n = 0;
    for (int32_t i = 0; i < i_layer; i++)
        n += f->m->arch.layer[i].feed_forward == WF_BLOCK_EXPERTS;
    return n;
}

// Where what tokens choose in layer i stays until the step has ended.
static int32_t *choices_of(const wf_forward *f, int32_t i_layer)
{
    size_t n_choices = (size_t)f->m->arch.layer[i_layer].n_choices;
    return (int32_t *)f->b.choices + nth_with_experts(f, i_layer) * f->s.T * n_choices;
}

wf_status wf_forward_count_experts(wf_forward *f, const wf_forward_step *st, wf_forward_slot *s)
{
    void *scratch_of_route = f->scratch[WF_BLOCK_EXPERTS][ROUTE];
    if (!f->whole) return WF_OK; // some layers alone have run
    for (int32_t i = 0; i < f->m->arch.n_layers; i++) {
        const wf_arch_layer *l = &f->m->arch.layer[i];
        if (l->feed_forward != WF_BLOCK_EXPERTS) continue;
        route r = route_in(l, (size_t)st->n_tokens, scratch_of_route);
        int32_t *begin =
            (int32_t *)f->b.loads + nth_with_experts(f, i) * (size_t)(l->n_experts + 1);
        WF_TRY(f->be->ops->pack_pairs(
            f->be, f->stream,
            &(wf_pack_pairs_args){.expert = choices_of(f, i),
                                  .n_pairs = (int32_t)st->n_live * l->n_choices,
                                  .n_experts = l->n_experts,
                                  .begin = begin,
                                  .pair = r.pair,
                                  .row = r.row}));
    }
    return f->be->ops->download(f->be, f->stream, s->loads, f->b.loads, f->s.loads * 4);
}

void wf_forward_tell_experts(const wf_forward *f, wf_forward_slot *s, wf_step_output *out)
{
    int32_t n_experts, n_layers = wf_arch_expert_layers(&f->m->arch, &n_experts);
    // Counts take the place of where rows begin, from the front: none is read after it is written.
    for (int32_t i = 0; i < n_layers; i++)
        for (int32_t e = 0; e < n_experts; e++) {
            const int32_t *begin = s->loads + i * (n_experts + 1) + e;
            s->loads[i * n_experts + e] = begin[1] - begin[0];
        }
    out->n_expert_layers = n_layers;
    out->n_expert_load = n_layers * n_experts;
    out->expert_load = s->loads;
}

// y = the experts' outputs, weighted, this rank's part of the sum.
static wf_status run(wf_forward *f, const wf_forward_step *st, int32_t i_layer, void *n, void *y)
{
    const wf_layer *l = &f->m->layers[i_layer];
    void *const *own = f->scratch[WF_BLOCK_EXPERTS];
    wf_matrix in = wf_block_matrix(f, n, st->n_tokens, f->s.hidden);
    route r = route_in(&f->m->arch.layer[i_layer], (size_t)st->n_tokens, own[ROUTE]);
    if (f->b.choices) r.expert = choices_of(f, i_layer);
    WF_TRY(choose(f, st, i_layer, n, &r));
    const product experts = {.up = &l->expert_up,
                             .down = &l->expert_down,
                             .begin = r.begin,
                             .pair = r.pair,
                             .n_choices = l->share.n_choices,
                             .n_rows = st->n_tokens * l->share.n_choices,
                             .ffn = l->share.expert_ffn,
                             .act = own[ACT],
                             .out = own[OUT]};
    WF_TRY(multiply(f, in, &experts));
    const product shared = {.up = &l->shared_up,
                            .down = &l->shared_down,
                            .n_choices = 1,
                            .n_rows = st->n_tokens,
                            .ffn = l->share.shared_ffn,
                            .act = own[SHARED_ACT],
                            .out = own[SHARED_OUT]};
    if (l->shared_up.matrix) WF_TRY(multiply(f, in, &shared));
    return combine(f, st, l, &r, y);
}

const wf_block wf_block_experts = {.name = "experts", .scratch = scratch, .run = run};
