// The forward pass. One function per stage; what differs between model families is read from the
// architecture's table row (engine/family.h), never branched on by name.
#include "engine/forward.h"

#include "engine/graphs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// The step's buffers: X(name, bytes). T = step_tokens, R = max_rows, N = row slots (max_rows and
// the padding's), act = bytes of an activation.
#define WF_FORWARD_BUFFERS(X)                                                                      \
    X(x, T * hidden * act) /* residual stream */                                                   \
    X(y, T * hidden * sum) /* what is added to it next */                                          \
    X(y2, parallel * T * hidden * act)                                                             \
    X(n, T * hidden * act) /* normed */                                                            \
    X(n2, parallel * T * hidden * act)                                                             \
    X(qkv, T * qkv_cols * act)                                                                     \
    X(heads, T * q_cols * act) /* attention's output */                                            \
    X(up, T * up_cols * act)                                                                       \
    X(ffn, T * ffn * act)                                                                          \
    X(ids, T * 4)                                                                                  \
    X(last_x, R * hidden * act) /* rows that are sampled */                                        \
    X(last_y, R * hidden * sum)                                                                    \
    X(last_n, R * hidden * act)                                                                    \
    X(slice, R * slice_cols * 4) /* this rank's logits */                                          \
    X(gathered, split * R * slice_cols * tp * 4)                                                   \
    X(logits, split * R * slice_cols * tp * 4)                                                     \
    X(best, split * R * sizeof(wf_best)) /* this rank's greatest logits */                         \
    X(bests, split * R * sizeof(wf_best) * tp)                                                     \
    X(last_token, N * 4) /* row arrays from here on */                                             \
    X(page_table, N * table_cols * 4)                                                              \
    X(sampling, N * sizeof(wf_row_sampling))                                                       \
    X(counts, N * counts_cols * 2)                                                                 \
    X(plan, plan_bytes) /* the step's plan */                                                      \
    X(token, R * 4)     /* what the step draws */                                                  \
    X(logprob, probs * 4)                                                                          \
    X(top_id, R * n_top * 4)                                                                       \
    X(top_logprob, R * n_top * 4)

typedef struct buffers {
#define WF_FORWARD_FIELD(name, bytes) void *name;
    WF_FORWARD_BUFFERS(WF_FORWARD_FIELD)
#undef WF_FORWARD_FIELD
} buffers;

typedef struct shape {
    size_t T, R, N, act, sum, hidden, qkv_cols, q_cols, up_cols, ffn, slice_cols, tp, table_cols,
        counts_cols, plan_bytes;
    size_t parallel, split; // 0 or 1: buffers of parallel residuals, of vocabulary slices
    size_t n_top, probs;    // probs: rows that get logprobs, R or 0
} shape;

// The host's side of a step in flight, pinned. The device needs one of each only: a step's plan is
// copied in when the step before it has run, its tokens out before the next.
typedef struct slot {
    int32_t *plan; // [plan_words]
    int32_t *token;
    float *logprob;  // [R]
    int32_t *top_id; // [R][n_top]
    float *top_logprob;
    wf_event *done;
    int32_t n_samples, n_top;
} slot;

struct wf_forward {
    wf_backend *be;
    const wf_model *m;
    wf_comm *comm;
    wf_forward_config cfg;
    wf_dtype act, sum; // of activations, and of what is summed over the group
    int32_t k_runs;    // of the GEMMs whose results are summed (ops.h)
    shape s;
    buffers b;
    void *kv; // [layer][page][K|V][kv_head][token][head_dim]
    int64_t page_bytes, layer_bytes;
    int64_t plan_words;
    wf_stream *stream;
    wf_graphs *graphs; // NULL: none
    int32_t n_layers;  // that a step runs through
    slot slots[WF_FORWARD_SLOTS];
    int64_t n_waited; // steps that were waited for
};

// ---- sizes --------------------------------------------------------------------------------------

static wf_plan_limits limits_of(const wf_forward_config *c, int32_t tp)
{
    return (wf_plan_limits){.max_rows = c->max_rows,
                            .step_tokens = c->step_tokens,
                            .page_tokens = c->page_tokens,
                            .slot_pages = c->slot_pages,
                            .group_size = tp,
                            .n_top = c->n_top,
                            .pad = c->pad};
}

// Whether sums over the group are to be the same bits for a group of any size: every rank adds its
// runs of eighths of K, in f32, as the ranks of a larger group would add theirs. Both branches of a
// parallel residual are in one sum, and stay out of this.
static bool size_free(const wf_arch *a, int32_t tp, const wf_forward_config *c)
{
    return c->deterministic && !a->parallel_residual && WF_K_RUNS % tp == 0 &&
           a->n_heads * a->head_dim % WF_K_RUNS == 0 && a->ffn % WF_K_RUNS == 0;
}

static shape shape_of(const wf_arch *a, int32_t tp, const wf_forward_config *c, size_t act_bytes)
{
    wf_plan_limits limits = limits_of(c, tp);
    shape s = {.T = (size_t)c->step_tokens,
               .R = (size_t)c->max_rows,
               .N = (size_t)c->max_rows + c->pad,
               .act = act_bytes,
               .sum = size_free(a, tp, c) ? 4 : act_bytes,
               .hidden = (size_t)a->hidden,
               .ffn = (size_t)(a->ffn / tp),
               .q_cols = (size_t)(a->n_heads / tp * a->head_dim),
               .slice_cols = (size_t)wf_arch_vocab_slice(a, tp),
               .tp = (size_t)tp,
               .table_cols = (size_t)c->max_pages,
               .counts_cols = c->penalties ? (size_t)((a->n_vocab + 1) & ~1) : 0,
               .parallel = a->parallel_residual,
               .split = tp > 1,
               .n_top = c->n_top > 0 ? (size_t)c->n_top : 0,
               .probs = c->n_top >= 0 ? (size_t)c->max_rows : 0,
               .plan_bytes = (size_t)wf_plan_most_words(&limits) * 4};
    s.qkv_cols = s.q_cols + 2 * (size_t)(a->n_kv_heads / tp * a->head_dim);
    s.up_cols = a->gated ? 2 * s.ffn : s.ffn;
    return s;
}

static size_t buffer_bytes(const shape *s, size_t out[])
{
    size_t T = s->T, R = s->R, N = s->N, act = s->act, sum = s->sum, hidden = s->hidden,
           qkv_cols = s->qkv_cols, q_cols = s->q_cols, up_cols = s->up_cols, ffn = s->ffn,
           slice_cols = s->slice_cols, tp = s->tp, table_cols = s->table_cols,
           counts_cols = s->counts_cols, plan_bytes = s->plan_bytes, parallel = s->parallel,
           split = s->split, n_top = s->n_top, probs = s->probs, total = 0, i = 0;
#define WF_FORWARD_SIZE(name, bytes)                                                               \
    out[i] = (bytes);                                                                              \
    total += out[i++];
    WF_FORWARD_BUFFERS(WF_FORWARD_SIZE)
#undef WF_FORWARD_SIZE
    return total;
}

uint64_t wf_forward_workspace_bytes(const wf_arch *arch, int32_t tp_size,
                                    const wf_forward_config *config, wf_dtype dtype,
                                    size_t act_bytes)
{
    size_t each[sizeof(buffers) / sizeof(void *)];
    shape s = shape_of(arch, tp_size, config, act_bytes);
    uint64_t page = wf_forward_page_bytes(arch, tp_size, config->page_tokens, dtype);
    return buffer_bytes(&s, each) + (config->pad ? page : 0);
}

uint64_t wf_forward_page_bytes(const wf_arch *arch, int32_t tp_size, int32_t page_tokens,
                               wf_dtype dtype)
{
    uint64_t heads = (uint64_t)arch->n_layers * (uint64_t)(arch->n_kv_heads / tp_size);
    uint64_t tile = (uint64_t)page_tokens * (uint64_t)arch->head_dim * wf_dtype_bytes(dtype);
    return 2 * heads * tile; // K and V
}

// ---- life cycle ---------------------------------------------------------------------------------

static wf_status alloc_buffers(wf_forward *f)
{
    size_t each[sizeof(buffers) / sizeof(void *)];
    void **at = (void **)&f->b;
    buffer_bytes(&f->s, each);
    for (size_t i = 0; i < sizeof(buffers) / sizeof(void *); i++)
        if (each[i] > 0) WF_TRY(f->be->ops->alloc(f->be, each[i], &at[i]));
    return f->be->ops->alloc(f->be, (size_t)f->layer_bytes * (size_t)f->m->arch.n_layers, &f->kv);
}

static wf_status alloc_host(wf_forward *f, size_t bytes, void *host)
{
    return bytes > 0 ? f->be->ops->host_alloc(f->be, bytes, host) : WF_OK;
}

static wf_status create_slot(wf_forward *f, slot *s)
{
    size_t tops = f->s.R * f->s.n_top * 4;
    WF_TRY(alloc_host(f, f->s.plan_bytes, &s->plan));
    WF_TRY(alloc_host(f, f->s.R * 4, &s->token));
    WF_TRY(alloc_host(f, f->s.probs * 4, &s->logprob));
    WF_TRY(alloc_host(f, tops, &s->top_id));
    WF_TRY(alloc_host(f, tops, &s->top_logprob));
    return f->be->ops->event_create(f->be, &s->done);
}

static void destroy_slot(wf_forward *f, slot *s)
{
    void *host[] = {s->plan, s->token, s->logprob, s->top_id, s->top_logprob};
    if (s->done) f->be->ops->event_destroy(f->be, s->done);
    for (int i = 0; i < 5; i++)
        if (host[i]) f->be->ops->host_free(f->be, host[i]);
}

// Uploads once, when the engine is made: waits until `src` may be changed.
static wf_status upload_now(wf_forward *f, void *dst, const void *src, size_t bytes)
{
    WF_TRY(f->be->ops->upload(f->be, f->stream, dst, src, bytes));
    WF_TRY(f->be->ops->event_record(f->be, f->slots[0].done, f->stream));
    return f->be->ops->event_sync(f->be, f->slots[0].done);
}

// The row of padding: its page, again and again, and sampling that changes no logit.
static wf_status set_up_padding(wf_forward *f)
{
    wf_row_sampling plain = {.top_p = 1.0f, .repetition_penalty = 1.0f};
    if (!f->cfg.pad) return WF_OK;
    int32_t *pages = f->slots[0].plan; // not in use yet
    size_t n = f->s.table_cols < f->s.plan_bytes / 4 ? f->s.table_cols : f->s.plan_bytes / 4;
    for (size_t i = 0; i < n; i++)
        pages[i] = f->cfg.n_pages;
    for (size_t at = 0, m; at < f->s.table_cols; at += m) {
        m = f->s.table_cols - at < n ? f->s.table_cols - at : n;
        WF_TRY(upload_now(f, (int32_t *)f->b.page_table + f->s.R * f->s.table_cols + at, pages,
                          m * 4));
    }
    return upload_now(f, (wf_row_sampling *)f->b.sampling + f->s.R, &plain, sizeof plain);
}

// Contiguous slots: page c of row r is r * slot_pages + c, for ever.
static wf_status upload_identity_table(wf_forward *f)
{
    size_t cols = f->s.table_cols, bytes = f->s.R * cols * 4;
    int32_t *table = calloc(f->s.R * cols, 4);
    if (!table) return wf_fail(WF_NO_MEMORY, "engine: out of memory");
    for (size_t r = 0; r < f->s.R; r++)
        for (int32_t c = 0; c < f->cfg.slot_pages; c++)
            table[r * cols + (size_t)c] = (int32_t)r * f->cfg.slot_pages + c;
    wf_status st = upload_now(f, f->b.page_table, table, bytes);
    free(table);
    return st;
}

static wf_status set_up(wf_forward *f)
{
    const wf_arch *a = &f->m->arch;
    wf_backend_info info;
    WF_TRY(f->be->ops->info(f->be, &info));
    f->act = info.act_dtype;
    f->s = shape_of(a, f->m->tp_size, &f->cfg, wf_dtype_bytes(f->act));
    f->k_runs = size_free(a, f->m->tp_size, &f->cfg) ? WF_K_RUNS / f->m->tp_size : 0;
    f->sum = f->k_runs > 0 ? WF_F32 : f->act;
    f->plan_words = (int64_t)f->s.plan_bytes / 4;
    f->page_bytes =
        (int64_t)wf_forward_page_bytes(a, f->m->tp_size, f->cfg.page_tokens, f->m->dtype) /
        a->n_layers;
    f->layer_bytes = f->page_bytes * (f->cfg.n_pages + f->cfg.pad);
    WF_TRY(f->be->ops->stream_create(f->be, &f->stream));
    WF_TRY(alloc_buffers(f));
    for (int i = 0; i < WF_FORWARD_SLOTS; i++)
        WF_TRY(create_slot(f, &f->slots[i]));
    if (f->cfg.capture) WF_TRY(wf_graphs_create(f->be, &f->graphs));
    if (f->cfg.slot_pages > 0) WF_TRY(upload_identity_table(f));
    return set_up_padding(f);
}

wf_status wf_forward_create(wf_backend *be, const wf_model *model, wf_comm *comm,
                            const wf_forward_config *config, wf_forward **out)
{
    *out = NULL;
    wf_forward *f = calloc(1, sizeof *f);
    if (!f) return wf_fail(WF_NO_MEMORY, "engine: out of memory");
    f->be = be;
    f->m = model;
    f->comm = comm;
    f->cfg = *config;
    f->n_layers = model->arch.n_layers;
    wf_status st = set_up(f);
    if (st != WF_OK) {
        wf_forward_destroy(f);
        return st;
    }
    *out = f;
    return WF_OK;
}

void wf_forward_destroy(wf_forward *f)
{
    if (!f) return;
    void **at = (void **)&f->b;
    wf_graphs_destroy(f->graphs);
    for (int i = 0; i < WF_FORWARD_SLOTS; i++)
        destroy_slot(f, &f->slots[i]);
    if (f->kv) f->be->ops->free(f->be, f->kv);
    for (size_t i = 0; i < sizeof(buffers) / sizeof(void *); i++)
        if (at[i]) f->be->ops->free(f->be, at[i]);
    if (f->stream) f->be->ops->stream_destroy(f->be, f->stream);
    free(f);
}

int32_t *wf_forward_plan_buffer(wf_forward *f, int i_slot)
{
    return f->slots[i_slot].plan;
}

int64_t wf_forward_plan_words(const wf_forward *f)
{
    return f->plan_words;
}

int32_t wf_forward_n_graphs(const wf_forward *f)
{
    return wf_graphs_count(f->graphs);
}

// ---- one step -----------------------------------------------------------------------------------

// A step in the making: the header, where the sections lie on the device, and the packed batch.
typedef struct step {
    const int32_t *h;
    const int32_t *at[WF_PLAN_N_SECTIONS]; // device
    wf_batch batch;
    int64_t n_tokens, n_samples;
    int32_t n_top; // -1: no logprobs
} step;

static wf_matrix act_matrix(const wf_forward *f, void *data, int64_t rows, size_t cols)
{
    return wf_matrix_of(data, f->act, rows, (int64_t)cols);
}

// What attention has to do: KV rows it reads, pairs of tokens it multiplies.
static void count_work(const int32_t *plan, const int64_t *offsets, wf_batch *b)
{
    const int32_t *past = plan + offsets[WF_PLAN_AT_SEQ_PAST];
    const int32_t *begin = plan + offsets[WF_PLAN_AT_CU_SEQLENS];
    for (int32_t i = 0; i < b->n_seqs; i++) {
        int64_t n = begin[i + 1] - begin[i];
        b->n_kv += past[i] + n;
        b->n_pairs += n * past[i] + n * (n + 1) / 2;
    }
}

static wf_status upload_plan(wf_forward *f, step *st, slot *s)
{
    int64_t offsets[WF_PLAN_N_SECTIONS];
    const int32_t *h = s->plan;
    int64_t words = wf_plan_layout(h, offsets);
    WF_TRY(f->be->ops->upload(f->be, f->stream, f->b.plan, s->plan, (size_t)words * 4));
    for (int i = 0; i < WF_PLAN_N_SECTIONS; i++)
        st->at[i] = (int32_t *)f->b.plan + offsets[i];
    st->h = h;
    st->n_top = f->cfg.n_top >= 0 ? h[WF_PLAN_LOGPROBS] - 1 : -1;
    st->n_tokens = h[WF_PLAN_TOKENS];
    st->n_samples = h[WF_PLAN_SAMPLES];
    st->batch = (wf_batch){.n_tokens = h[WF_PLAN_TOKENS],
                           .n_seqs = h[WF_PLAN_SEQS],
                           .n_decode = h[WF_PLAN_DECODE],
                           .max_new = h[WF_PLAN_MAX_NEW],
                           .max_context = h[WF_PLAN_MAX_CONTEXT],
                           .cu_seqlens = st->at[WF_PLAN_AT_CU_SEQLENS],
                           .seq_row = st->at[WF_PLAN_AT_SEQ_ROW],
                           .seq_past = st->at[WF_PLAN_AT_SEQ_PAST],
                           .token_seq = st->at[WF_PLAN_AT_TOKEN_SEQ],
                           .token_pos = st->at[WF_PLAN_AT_TOKEN_POS],
                           .page_table = f->b.page_table,
                           .page_stride = f->cfg.max_pages};
    count_work(h, offsets, &st->batch);
    return WF_OK;
}

// Rows move to where the plan wants them; contiguous slots take their KV along.
static wf_status move_rows(wf_forward *f, const step *st)
{
    wf_row_array arrays[4] = {{f->b.last_token, 4}, {f->b.sampling, sizeof(wf_row_sampling)}};
    int32_t n = 2;
    if (f->cfg.slot_pages == 0) arrays[n++] = (wf_row_array){f->b.page_table, f->s.table_cols * 4};
    if (f->b.counts) arrays[n++] = (wf_row_array){f->b.counts, f->s.counts_cols * 2};
    if (st->h[WF_PLAN_MOVES] > 0)
        WF_TRY(f->be->ops->reorder(f->be, f->stream,
                                   &(wf_reorder_args){.arrays = arrays,
                                                      .n_arrays = n,
                                                      .n_moves = st->h[WF_PLAN_MOVES],
                                                      .from = st->at[WF_PLAN_AT_MOVE_FROM],
                                                      .to = st->at[WF_PLAN_AT_MOVE_TO]}));
    if (st->h[WF_PLAN_COPIES] == 0) return WF_OK;
    return f->be->ops->kv_copy(f->be, f->stream,
                               &(wf_kv_copy_args){.pool = f->kv,
                                                  .layer_bytes = f->layer_bytes,
                                                  .page_bytes = f->page_bytes,
                                                  .n_layers = f->m->arch.n_layers,
                                                  .n_pages = st->h[WF_PLAN_COPIES],
                                                  .from = st->at[WF_PLAN_AT_COPY_FROM],
                                                  .to = st->at[WF_PLAN_AT_COPY_TO]});
}

static wf_status enter_rows(wf_forward *f, const step *st)
{
    if (st->h[WF_PLAN_JOINS] > 0)
        WF_TRY(f->be->ops->scatter(f->be, f->stream,
                                   &(wf_scatter_args){.dst = f->b.sampling,
                                                      .src = st->at[WF_PLAN_AT_JOIN_SAMPLING],
                                                      .index = st->at[WF_PLAN_AT_JOIN_ROW],
                                                      .n = st->h[WF_PLAN_JOINS],
                                                      .row_bytes = sizeof(wf_row_sampling)}));
    if (st->h[WF_PLAN_PAGES] == 0) return WF_OK;
    return f->be->ops->scatter(f->be, f->stream,
                               &(wf_scatter_args){.dst = f->b.page_table,
                                                  .src = st->at[WF_PLAN_AT_PAGE],
                                                  .index = st->at[WF_PLAN_AT_PAGE_INDEX],
                                                  .n = st->h[WF_PLAN_PAGES],
                                                  .row_bytes = 4});
}

static wf_status sum_over_group(wf_forward *f, wf_matrix m)
{
    if (f->m->tp_size == 1) return WF_OK;
    return f->comm->ops->all_reduce(f->comm, f->stream, m.data, m.n_rows * m.n_cols, m.dtype);
}

static wf_status embed(wf_forward *f, const step *st)
{
    wf_token_ids_args ids = {.batch = &st->batch,
                             .host_ids = st->at[WF_PLAN_AT_HOST_ID],
                             .last_token = f->b.last_token,
                             .ids = f->b.ids};
    WF_TRY(f->be->ops->token_ids(f->be, f->stream, &ids));
    if (f->b.counts)
        WF_TRY(f->be->ops->count(f->be, f->stream,
                                 &(wf_count_args){.batch = &st->batch,
                                                  .ids = f->b.ids,
                                                  .sampling = f->b.sampling,
                                                  .counts = f->b.counts,
                                                  .counts_stride = (int64_t)f->s.counts_cols,
                                                  .n_vocab = f->m->arch.n_vocab}));
    wf_matrix x = act_matrix(f, f->b.x, st->n_tokens, f->s.hidden);
    WF_TRY(f->be->ops->embed(
        f->be, f->stream,
        &(wf_embed_args){
            .ids = f->b.ids, .table = f->m->embed, .vocab_begin = f->m->vocab_begin, .y = x}));
    return sum_over_group(f, x);
}

static wf_status layernorm(wf_forward *f, const wf_norm *w, wf_matrix in, wf_matrix residual,
                           wf_matrix y)
{
    if (residual.data) WF_TRY(sum_over_group(f, in));
    return f->be->ops->layernorm(f->be, f->stream,
                                 &(wf_layernorm_args){.x = in,
                                                      .residual = residual,
                                                      .weight = w->weight,
                                                      .bias = w->bias,
                                                      .eps = f->m->arch.norm_eps,
                                                      .y = y});
}

// y = norm(x), or with `added`, this rank's part of a sum: x += the group's sum first.
static wf_status norm(wf_forward *f, const wf_norm *w, wf_matrix x, void *added, void *out)
{
    wf_matrix y = x, residual = {0}, in = x;
    y.data = out;
    if (added) {
        residual = x;
        in = wf_matrix_of(added, f->sum, x.n_rows, x.n_cols);
    }
    if (f->m->arch.family->norm == WF_NORM_LAYER) return layernorm(f, w, in, residual, y);
    wf_rmsnorm_args a = {
        .x = in, .residual = residual, .weight = w->weight, .eps = f->m->arch.norm_eps, .y = y};
    return added ? wf_comm_all_reduce_rmsnorm(f->comm, f->be, f->stream, &a)
                 : f->be->ops->rmsnorm(f->be, f->stream, &a);
}

static wf_status gemm(wf_forward *f, wf_matrix x, const wf_weight *w, const float *bias,
                      wf_matrix y)
{
    return f->be->ops->gemm(f->be, f->stream,
                            &(wf_gemm_args){.x = x, .w = w, .bias = bias, .y = y});
}

// y = x W^T, this rank's part of a sum over the group.
static wf_status gemm_part(wf_forward *f, wf_matrix x, const wf_weight *w, const float *bias,
                           void *y)
{
    wf_matrix part = wf_matrix_of(y, f->sum, x.n_rows, (int64_t)f->s.hidden);
    return f->be->ops->gemm(
        f->be, f->stream,
        &(wf_gemm_args){.x = x, .w = w, .bias = bias, .y = part, .k_runs = f->k_runs});
}

static wf_kv layer_kv(const wf_forward *f, int32_t i_layer)
{
    const wf_arch *a = &f->m->arch;
    int64_t head = (int64_t)f->cfg.page_tokens * a->head_dim;
    return (wf_kv){.base = (char *)f->kv + i_layer * f->layer_bytes,
                   .dtype = f->m->dtype,
                   .page_tokens = f->cfg.page_tokens,
                   .n_kv_heads = f->m->n_kv_heads,
                   .head_dim = a->head_dim,
                   .page_stride = 2 * head * f->m->n_kv_heads,
                   .kv_stride = head * f->m->n_kv_heads,
                   .head_stride = head};
}

// y = o(attention(n)), this rank's part of the sum.
static wf_status attend(wf_forward *f, const step *st, int32_t i_layer, void *n, void *y)
{
    const wf_arch *a = &f->m->arch;
    const wf_layer *l = &f->m->layers[i_layer];
    wf_matrix qkv = act_matrix(f, f->b.qkv, st->n_tokens, f->s.qkv_cols);
    wf_matrix heads = act_matrix(f, f->b.heads, st->n_tokens, f->s.q_cols);
    wf_kv kv = layer_kv(f, i_layer);
    WF_TRY(gemm(f, act_matrix(f, n, st->n_tokens, f->s.hidden), l->qkv, l->qkv_bias, qkv));
    WF_TRY(f->be->ops->rope_kv_append(f->be, f->stream,
                                      &(wf_rope_args){.batch = &st->batch,
                                                      .qkv = qkv,
                                                      .n_heads = f->m->n_heads,
                                                      .rotary_dim = a->rotary_dim,
                                                      .interleaved = a->family->interleaved_rotary,
                                                      .cos = f->m->cos,
                                                      .sin = f->m->sin,
                                                      .kv = kv}));
    WF_TRY(f->be->ops->attention(f->be, f->stream,
                                 &(wf_attention_args){.batch = &st->batch,
                                                      .qkv = qkv,
                                                      .n_heads = f->m->n_heads,
                                                      .scale = a->attn_scale,
                                                      .kv = kv,
                                                      .out = heads}));
    return gemm_part(f, heads, l->o, l->o_bias, y);
}

// y = down(activation(gate_up(n))), this rank's part of the sum.
static wf_status feed_forward(wf_forward *f, const step *st, int32_t i_layer, void *n, void *y)
{
    const wf_layer *l = &f->m->layers[i_layer];
    wf_matrix up = act_matrix(f, f->b.up, st->n_tokens, f->s.up_cols);
    wf_activation_args act = {.x = up,
                              .y = act_matrix(f, f->b.ffn, st->n_tokens, f->s.ffn),
                              .exact = f->m->arch.gelu_exact};
    WF_TRY(gemm(f, act_matrix(f, n, st->n_tokens, f->s.hidden), l->gate_up, l->gate_up_bias, up));
    WF_TRY((f->m->arch.gated ? f->be->ops->silu_mul : f->be->ops->gelu)(f->be, f->stream, &act));
    return gemm_part(f, act.y, l->down, l->down_bias, y);
}

// x + attention + mlp of one layer. `y` holds what is still to be added to x before and after it:
// this rank's part, summed over the group where it is added.
static wf_status layer(wf_forward *f, const step *st, int32_t i_layer)
{
    const wf_layer *l = &f->m->layers[i_layer];
    const buffers *b = &f->b;
    wf_matrix x = act_matrix(f, b->x, st->n_tokens, f->s.hidden), y = x, y2 = x;
    y.data = b->y;
    y2.data = b->y2;
    WF_TRY(norm(f, &l->attn_norm, x, i_layer > 0 ? b->y : NULL, b->n));
    if (!f->m->arch.parallel_residual) {
        WF_TRY(attend(f, st, i_layer, b->n, b->y));
        WF_TRY(norm(f, &l->mlp_norm, x, b->y, b->n));
        return feed_forward(f, st, i_layer, b->n, b->y);
    }
    bool shared = f->m->arch.shared_norm;
    if (!shared) WF_TRY(norm(f, &l->mlp_norm, x, NULL, b->n2));
    WF_TRY(attend(f, st, i_layer, b->n, b->y));
    WF_TRY(feed_forward(f, st, i_layer, shared ? b->n : b->n2, b->y2));
    // One sum over the group for both branches.
    return f->be->ops->add(f->be, f->stream, &(wf_add_args){.x = y2, .y = y});
}

static wf_status gather(wf_forward *f, wf_matrix x, const int32_t *index, wf_matrix y)
{
    return f->be->ops->gather(f->be, f->stream, &(wf_gather_args){.x = x, .index = index, .y = y});
}

// This rank's slice of the sampled rows' logits. Only these rows are summed over the group.
static wf_status head(wf_forward *f, const step *st, wf_matrix *out)
{
    const int32_t *index = st->at[WF_PLAN_AT_SAMPLE_TOKEN];
    int64_t cols = (int64_t)f->s.hidden;
    wf_matrix x = act_matrix(f, f->b.x, st->n_tokens, f->s.hidden);
    wf_matrix last_x = act_matrix(f, f->b.last_x, st->n_samples, f->s.hidden), last_n = last_x;
    last_n.data = f->b.last_n;
    WF_TRY(gather(f, x, index, last_x));
    WF_TRY(gather(f, wf_matrix_of(f->b.y, f->sum, st->n_tokens, cols), index,
                  wf_matrix_of(f->b.last_y, f->sum, st->n_samples, cols)));
    WF_TRY(norm(f, &f->m->final_norm, last_x, f->b.last_y, f->b.last_n));
    *out = wf_matrix_of(f->b.slice, WF_F32, st->n_samples, (int64_t)f->s.slice_cols);
    return gemm(f, last_n, f->m->head, f->m->head_bias, *out);
}

// Logits over the whole vocabulary: slices of all ranks, put side by side.
static wf_status gather_logits(wf_forward *f, const step *st, wf_matrix *logits)
{
    int64_t cols = logits->n_cols, tp = f->m->tp_size;
    if (tp == 1) return WF_OK;
    WF_TRY(f->comm->ops->all_gather(f->comm, f->stream, f->b.slice,
                                    (size_t)(st->n_samples * cols) * 4, f->b.gathered));
    WF_TRY(gather(f, wf_matrix_of(f->b.gathered, WF_F32, st->n_samples * tp, cols),
                  st->at[WF_PLAN_AT_LOGIT_INDEX],
                  wf_matrix_of(f->b.logits, WF_F32, st->n_samples * tp, cols)));
    *logits = wf_matrix_of(f->b.logits, WF_F32, st->n_samples, cols * tp);
    return WF_OK;
}

// Greedy rows of a group: the ranks exchange their slices' greatest logits alone.
static wf_status sample_greedy(wf_forward *f, const step *st, wf_matrix slice)
{
    WF_TRY(f->be->ops->best(f->be, f->stream,
                            &(wf_best_args){.logits = slice,
                                            .n_valid = f->m->vocab_end - f->m->vocab_begin,
                                            .first_id = f->m->vocab_begin,
                                            .best = f->b.best}));
    WF_TRY(f->comm->ops->all_gather(f->comm, f->stream, f->b.best,
                                    (size_t)st->n_samples * sizeof(wf_best), f->b.bests));
    return f->be->ops->best_pick(f->be, f->stream,
                                 &(wf_best_pick_args){.best = f->b.bests,
                                                      .n_ranks = f->m->tp_size,
                                                      .n = (int32_t)st->n_samples,
                                                      .row = st->at[WF_PLAN_AT_SAMPLE_ROW],
                                                      .last_token = f->b.last_token,
                                                      .token = f->b.token});
}

static wf_status sample(wf_forward *f, const step *st, wf_matrix logits)
{
    bool logprobs = st->n_top >= 0;
    return f->be->ops->sample(f->be, f->stream,
                              &(wf_sample_args){.logits = logits,
                                                .n_vocab = f->m->arch.n_vocab,
                                                .row = st->at[WF_PLAN_AT_SAMPLE_ROW],
                                                .pos = st->at[WF_PLAN_AT_SAMPLE_POS],
                                                .sampling = f->b.sampling,
                                                .counts = f->b.counts,
                                                .counts_stride = (int64_t)f->s.counts_cols,
                                                .last_token = f->b.last_token,
                                                .token = f->b.token,
                                                .n_top = logprobs ? st->n_top : 0,
                                                .logprob = logprobs ? f->b.logprob : NULL,
                                                .top_id = logprobs ? f->b.top_id : NULL,
                                                .top_logprob = logprobs ? f->b.top_logprob : NULL});
}

static wf_status download(wf_forward *f, const step *st, slot *s)
{
    size_t bytes = (size_t)st->n_samples * 4;
    if (st->n_samples == 0) return WF_OK;
    WF_TRY(f->be->ops->download(f->be, f->stream, s->token, f->b.token, bytes));
    if (s->n_top < 0) return WF_OK;
    WF_TRY(f->be->ops->download(f->be, f->stream, s->logprob, f->b.logprob, bytes));
    if (s->n_top == 0) return WF_OK;
    bytes *= (size_t)s->n_top;
    WF_TRY(f->be->ops->download(f->be, f->stream, s->top_id, f->b.top_id, bytes));
    return f->be->ops->download(f->be, f->stream, s->top_logprob, f->b.top_logprob, bytes);
}

typedef struct compute_args {
    wf_forward *f;
    const step *st;
} compute_args;

// From ids to tokens: all that a captured step replays. Depends on the plan's header and on device
// memory alone.
static wf_status compute(void *arg)
{
    wf_forward *f = ((compute_args *)arg)->f;
    const step *st = ((compute_args *)arg)->st;
    wf_matrix logits;
    WF_TRY(embed(f, st));
    for (int32_t i = 0; i < f->n_layers; i++)
        WF_TRY(layer(f, st, i));
    if (st->n_samples == 0) return WF_OK;
    WF_TRY(head(f, st, &logits));
    if (st->h[WF_PLAN_GREEDY]) return sample_greedy(f, st, logits);
    WF_TRY(gather_logits(f, st, &logits));
    return sample(f, st, logits);
}

static wf_status compute_or_replay(wf_forward *f, const step *st)
{
    compute_args args = {f, st};
    if (!f->graphs || !st->h[WF_PLAN_PADDED]) return compute(&args);
    wf_graph_key key = {st->h[WF_PLAN_SEQS], st->h[WF_PLAN_MAX_CONTEXT], st->h[WF_PLAN_LOGPROBS],
                        st->h[WF_PLAN_GREEDY]};
    return wf_graphs_run(f->graphs, f->stream, &key, compute, &args);
}

void wf_forward_limit_layers(wf_forward *f, int32_t n_layers)
{
    bool limited = n_layers > 0 && n_layers < f->m->arch.n_layers;
    f->n_layers = limited ? n_layers : f->m->arch.n_layers;
}

wf_status wf_forward_enqueue(wf_forward *f, int i_slot)
{
    step st = {0};
    slot *s = &f->slots[i_slot];
    bool decode = s->plan[WF_PLAN_DECODE] == s->plan[WF_PLAN_TOKENS];
    f->be->ops->range(f->be, decode ? "decode step" : "mixed step");
    WF_TRY(upload_plan(f, &st, s));
    s->n_samples = (int32_t)st.n_samples;
    s->n_top = st.n_samples > 0 ? st.n_top : -1;
    WF_TRY(move_rows(f, &st));
    WF_TRY(enter_rows(f, &st));
    WF_TRY(compute_or_replay(f, &st));
    WF_TRY(download(f, &st, s));
    f->be->ops->range(f->be, NULL);
    return f->be->ops->event_record(f->be, s->done, f->stream);
}

wf_status wf_forward_wait(wf_forward *f, int i_slot, wf_forward_output *out)
{
    slot *s = &f->slots[i_slot];
    WF_TRY(wf_comm_wait(f->comm, f->be, s->done, f->n_waited++));
    *out = (wf_forward_output){.n_samples = s->n_samples,
                               .n_top = s->n_top > 0 ? s->n_top : 0,
                               .token = s->token,
                               .logprob = s->n_top >= 0 ? s->logprob : NULL,
                               .top_id = s->n_top > 0 ? s->top_id : NULL,
                               .top_logprob = s->n_top > 0 ? s->top_logprob : NULL};
    return WF_OK;
}
