// The forward pass: its life cycle, and a step from its plan to its tokens. Runs the list of layers
// and knows no kind of block; what differs between model families is read from the architecture.
#include "engine/forward_internal.h"

#include "io/base/arena.h"

#include <stdlib.h>
#include <string.h>

// ---- life cycle ---------------------------------------------------------------------------------

static wf_status alloc_if(wf_forward *f, size_t bytes, void **out)
{
    return bytes > 0 ? f->be->ops->alloc(f->be, bytes, out) : WF_OK;
}

static wf_status alloc_buffers(wf_forward *f)
{
    void **at = (void **)&f->b;
    wf_forward_bytes bytes = wf_forward_bytes_of(&f->m->arch, &f->s);
    for (size_t i = 0; i < WF_N_FORWARD_BUFFERS; i++)
        WF_TRY(alloc_if(f, bytes.own[i], &at[i]));
    for (int kind = 0; kind < WF_N_BLOCKS; kind++)
        for (int i = 0; i < WF_BLOCK_SCRATCH; i++)
            WF_TRY(alloc_if(f, bytes.scratch[kind][i], &f->scratch[kind][i]));
    return alloc_if(f, (size_t)f->kv_at[f->m->arch.n_layers], &f->kv);
}

// Layers lie end to end, each with all of its pages.
static wf_status place_kv(wf_forward *f)
{
    const wf_arch *a = &f->m->arch;
    int64_t n_tokens = (int64_t)(f->cfg.n_pages + f->cfg.pad) * f->cfg.page_tokens;
    WF_TRY(wf_alloc((size_t)a->n_layers + 1, sizeof *f->kv_at, &f->kv_at));
    for (int32_t i = 0; i < a->n_layers; i++)
        f->kv_at[i + 1] =
            f->kv_at[i] + n_tokens * wf_block_kv_bytes(a, i, f->m->tp_size, f->num.kv);
    return WF_OK;
}

static bool are_alike(const wf_arch *a, int32_t i, int32_t k)
{
    const wf_quant *q = &a->quant;
    return memcmp(&a->layer[i], &a->layer[k], sizeof a->layer[i]) == 0 &&
           memcmp(q->in_layer[i], q->in_layer[k], sizeof q->in_layer[i]) == 0;
}

// Weights of a new shape or format are products to measure.
static wf_status find_shapes(wf_forward *f)
{
    const wf_arch *a = &f->m->arch;
    WF_TRY(wf_alloc((size_t)a->n_layers, sizeof *f->new_shape, &f->new_shape));
    for (int32_t i = 0, k; i < a->n_layers; i++) {
        for (k = 0; k < i && !are_alike(a, k, i);)
            k++;
        f->new_shape[i] = k == i;
    }
    return WF_OK;
}

static wf_status alloc_host(wf_forward *f, size_t bytes, void *host)
{
    return bytes > 0 ? f->be->ops->host_alloc(f->be, bytes, host) : WF_OK;
}

static wf_status create_slot(wf_forward *f, wf_forward_slot *s)
{
    size_t tops = f->s.R * f->s.n_top * 4;
    WF_TRY(alloc_host(f, f->s.plan_bytes, &s->plan));
    WF_TRY(alloc_host(f, f->s.R * 4, &s->token));
    WF_TRY(alloc_host(f, f->s.probs * 4, &s->logprob));
    WF_TRY(alloc_host(f, tops, &s->top_id));
    WF_TRY(alloc_host(f, tops, &s->top_logprob));
    WF_TRY(alloc_host(f, f->s.R * f->s.vector_cols * 4, &s->vector));
    if (f->m->tp_rank == 0) WF_TRY(alloc_host(f, f->s.loads * 4, &s->loads));
    WF_TRY(alloc_host(f, f->s.scores * 4, &s->score));
    WF_TRY(alloc_host(f, f->s.scores * f->s.score_top * 4, &s->score_id));
    WF_TRY(alloc_host(f, f->s.scores * f->s.score_top * 4, &s->score_top));
    return f->be->ops->event_create(f->be, &s->done);
}

static void destroy_slot(wf_forward *f, wf_forward_slot *s)
{
    void *host[] = {s->plan,   s->token, s->logprob, s->top_id,   s->top_logprob,
                    s->vector, s->loads, s->score,   s->score_id, s->score_top};
    if (s->done) f->be->ops->event_destroy(f->be, s->done);
    for (size_t i = 0; i < sizeof host / sizeof *host; i++)
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
    if (f->s.N > f->s.R)
        WF_TRY(upload_now(f, (wf_row_sampling *)f->b.sampling + f->s.R, &plain, sizeof plain));
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
    return WF_OK;
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
    f->num = info.numerics;
    f->s = wf_forward_shape_of(a, f->m->tp_size, &f->cfg, wf_dtype_bytes(f->num.act));
    f->k_runs = wf_forward_k_runs(a, f->m->tp_size, &f->cfg);
    if (f->k_runs > 0) f->num.sum = WF_F32;
    WF_TRY(place_kv(f));
    WF_TRY(find_shapes(f));
    WF_TRY(f->be->ops->stream_create(f->be, &f->stream));
    WF_TRY(alloc_buffers(f));
    for (int i = 0; i < WF_EXECUTOR_SLOTS; i++)
        WF_TRY(create_slot(f, &f->slots[i]));
    if (f->cfg.capture) WF_TRY(wf_graphs_create(f->be, &f->graphs));
    if (f->cfg.slot_pages > 0) WF_TRY(upload_identity_table(f));
    return set_up_padding(f);
}

static const wf_executor_ops executor_ops;

wf_status wf_forward_create(wf_backend *be, const wf_model *model, wf_comm *comm,
                            const wf_forward_config *config, wf_forward **out)
{
    *out = NULL;
    wf_forward *f = calloc(1, sizeof *f);
    if (!f) return wf_fail(WF_NO_MEMORY, "engine: out of memory");
    f->executor.ops = &executor_ops;
    f->be = be;
    f->m = model;
    f->comm = comm;
    f->cfg = *config;
    f->whole = true;
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
    for (int i = 0; i < WF_EXECUTOR_SLOTS; i++)
        destroy_slot(f, &f->slots[i]);
    if (f->kv) f->be->ops->free(f->be, f->kv);
    for (size_t i = 0; i < WF_N_FORWARD_BUFFERS; i++)
        if (at[i]) f->be->ops->free(f->be, at[i]);
    for (int kind = 0; kind < WF_N_BLOCKS; kind++)
        for (int i = 0; i < WF_BLOCK_SCRATCH; i++)
            if (f->scratch[kind][i]) f->be->ops->free(f->be, f->scratch[kind][i]);
    if (f->stream) f->be->ops->stream_destroy(f->be, f->stream);
    free(f->new_shape);
    free(f->kv_at);
    free(f);
}

wf_executor *wf_forward_executor(wf_forward *f)
{
    return &f->executor;
}

int32_t wf_forward_n_graphs(const wf_forward *f)
{
    return wf_graphs_count(f->graphs);
}

// ---- one step -----------------------------------------------------------------------------------

// One layer: x + mixer + feed-forward, in one of the ways of wf_join. `added` is what is still to
// be added to x before and after it.
typedef wf_status (*join)(wf_forward *f, const wf_forward_step *st, int32_t i_layer, wf_matrix x,
                          wf_addend *added);

static wf_status run_mixer(wf_forward *f, const wf_forward_step *st, int32_t i_layer, void *n)
{
    const wf_block *mixer = wf_block_of(f->m->layers[i_layer].share.mixer);
    return mixer->run(f, st, i_layer, n, f->b.y);
}

static wf_status run_feed_forward(wf_forward *f, const wf_forward_step *st, int32_t i_layer,
                                  void *n, void *y)
{
    const wf_block *ffn = wf_block_of(f->m->layers[i_layer].share.feed_forward);
    return ffn->run(f, st, i_layer, n, y);
}

// What a block reads: norm(x + added), or that itself where no norm stands before the block.
static wf_status enter(wf_forward *f, const wf_param *norm, wf_matrix x, wf_addend added, void **n)
{
    *n = norm->vector ? f->b.n : x.data;
    return norm->vector ? wf_block_norm(f, norm, x, added, f->b.n) : wf_block_add(f, x, added);
}

// What a block has left in y, through the norm behind it where there is one.
static wf_status leave(wf_forward *f, const wf_param *after, wf_matrix x, wf_addend *added)
{
    *added = (wf_addend){.data = after->vector ? f->b.after : f->b.y, .whole = after->vector};
    return after->vector ? wf_block_norm_sum(f, after, x, f->b.y, f->b.after) : WF_OK;
}

static wf_status join_serial(wf_forward *f, const wf_forward_step *st, int32_t i_layer, wf_matrix x,
                             wf_addend *added)
{
    void *n;
    const wf_layer *l = &f->m->layers[i_layer];
    WF_TRY(enter(f, &l->attn_norm, x, *added, &n));
    WF_TRY(run_mixer(f, st, i_layer, n));
    WF_TRY(leave(f, &l->attn_after, x, added));
    WF_TRY(enter(f, &l->mlp_norm, x, *added, &n));
    WF_TRY(run_feed_forward(f, st, i_layer, n, f->b.y));
    return leave(f, &l->mlp_after, x, added);
}

// One sum over the group for both branches.
static wf_status join_branches(wf_forward *f, const wf_forward_step *st, int32_t i_layer,
                               wf_matrix x, void *n2, wf_addend *added)
{
    wf_matrix y = x, y2 = x;
    y.data = f->b.y;
    y2.data = f->b.y2;
    *added = (wf_addend){.data = f->b.y};
    WF_TRY(run_mixer(f, st, i_layer, f->b.n));
    WF_TRY(run_feed_forward(f, st, i_layer, n2, f->b.y2));
    return f->be->ops->add(f->be, f->stream, &(wf_add_args){.x = y2, .y = y});
}

static wf_status join_parallel(wf_forward *f, const wf_forward_step *st, int32_t i_layer,
                               wf_matrix x, wf_addend *added)
{
    const wf_layer *l = &f->m->layers[i_layer];
    WF_TRY(wf_block_norm(f, &l->attn_norm, x, *added, f->b.n));
    WF_TRY(wf_block_norm(f, &l->mlp_norm, x, (wf_addend){0}, f->b.n2));
    return join_branches(f, st, i_layer, x, f->b.n2, added);
}

static wf_status join_shared(wf_forward *f, const wf_forward_step *st, int32_t i_layer, wf_matrix x,
                             wf_addend *added)
{
    WF_TRY(wf_block_norm(f, &f->m->layers[i_layer].attn_norm, x, *added, f->b.n));
    return join_branches(f, st, i_layer, x, f->b.n, added);
}

// The stream is x, then n, then x again: a norm may not write over what it reads.
static wf_status join_post(wf_forward *f, const wf_forward_step *st, int32_t i_layer, wf_matrix x,
                           wf_addend *added)
{
    const wf_layer *l = &f->m->layers[i_layer];
    const wf_addend part = {.data = f->b.y};
    wf_matrix n = x;
    n.data = f->b.n;
    *added = (wf_addend){0};
    WF_TRY(run_mixer(f, st, i_layer, x.data));
    WF_TRY(wf_block_norm(f, &l->attn_norm, x, part, n.data));
    WF_TRY(run_feed_forward(f, st, i_layer, n.data, f->b.y));
    return wf_block_norm(f, &l->mlp_norm, n, part, x.data);
}

static wf_status layer(wf_forward *f, const wf_forward_step *st, int32_t i_layer, wf_addend *added)
{
    static const join joins[WF_N_JOINS] = {[WF_JOIN_SERIAL] = join_serial,
                                           [WF_JOIN_PARALLEL] = join_parallel,
                                           [WF_JOIN_SHARED] = join_shared,
                                           [WF_JOIN_POST] = join_post};
    wf_matrix x = wf_block_matrix(f, f->b.x, st->n_tokens, f->s.hidden);
    return joins[f->m->layers[i_layer].share.join](f, st, i_layer, x, added);
}

static wf_status download(wf_forward *f, const wf_forward_step *st, wf_forward_slot *s)
{
    size_t bytes = (size_t)st->n_samples * 4;
    if (st->n_samples == 0) return WF_OK;
    if (s->vector)
        return f->be->ops->download(f->be, f->stream, s->vector, f->b.vector,
                                    bytes * f->s.vector_cols);
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
    const wf_forward_step *st;
    wf_forward_slot *slot;
} compute_args;

// From ids to tokens: all that a captured step replays. Depends on the plan's header and on device
// memory alone.
static wf_status compute(void *arg)
{
    wf_forward *f = ((compute_args *)arg)->f;
    const wf_forward_step *st = ((compute_args *)arg)->st;
    wf_addend added = {0};
    WF_TRY(wf_forward_embed(f, st));
    for (int32_t i = 0; i < f->m->arch.n_layers; i++)
        if (f->whole || f->new_shape[i]) WF_TRY(layer(f, st, i, &added));
    if (st->h[WF_PLAN_SCORES] > 0)
        WF_TRY(wf_forward_score_prompts(f, st, added, ((compute_args *)arg)->slot));
    return f->b.vector ? wf_forward_encode(f, st, added) : wf_forward_sample(f, st, added);
}

static wf_status compute_or_replay(wf_forward *f, const wf_forward_step *st, wf_forward_slot *s)
{
    compute_args args = {f, st, s};
    if (!f->graphs || !st->h[WF_PLAN_PADDED]) return compute(&args);
    wf_graph_key key = {st->h[WF_PLAN_SEQS], st->h[WF_PLAN_MAX_CONTEXT], st->h[WF_PLAN_LOGPROBS],
                        st->h[WF_PLAN_GREEDY], st->h[WF_PLAN_WISH_WORDS] > 0};
    return wf_graphs_run(f->graphs, f->stream, &key, compute, &args);
}

void wf_forward_run_whole(wf_forward *f, bool whole)
{
    f->whole = whole;
}

static wf_forward *forward_of(wf_executor *x)
{
    return (wf_forward *)x;
}

static int32_t *plan_buffer(wf_executor *x, int i_slot)
{
    return forward_of(x)->slots[i_slot].plan;
}

static wf_status enqueue(wf_executor *x, int i_slot)
{
    wf_forward *f = forward_of(x);
    wf_forward_step st = {0};
    wf_forward_slot *s = &f->slots[i_slot];
    bool decode = s->plan[WF_PLAN_DECODE] == s->plan[WF_PLAN_TOKENS];
    f->be->ops->range(f->be, decode ? "decode step" : "mixed step");
    WF_TRY(wf_forward_upload_plan(f, s, &st));
    s->n_samples = (int32_t)st.n_samples;
    s->n_top = st.n_samples > 0 ? st.n_top : -1;
    WF_TRY(wf_forward_move_rows(f, &st));
    WF_TRY(wf_forward_enter_rows(f, &st));
    s->n_score_top = s->plan[WF_PLAN_SCORE_PROBS] - 1;
    WF_TRY(compute_or_replay(f, &st, s));
    if (s->loads) WF_TRY(wf_forward_count_experts(f, &st, s));
    WF_TRY(download(f, &st, s));
    f->be->ops->range(f->be, NULL);
    return f->be->ops->event_record(f->be, s->done, f->stream);
}

static wf_status wait(wf_executor *x, int i_slot, wf_step_output *out)
{
    wf_forward *f = forward_of(x);
    wf_forward_slot *s = &f->slots[i_slot];
    WF_TRY(wf_comm_wait(f->comm, f->be, s->done, f->n_waited++));
    *out = (wf_step_output){.n_samples = s->n_samples,
                            .n_top = s->n_top > 0 ? s->n_top : 0,
                            .token = s->token,
                            .vector = s->vector,
                            .score = s->n_score_top >= 0 ? s->score : NULL,
                            .n_score_top = s->n_score_top,
                            .score_id = s->score_id,
                            .score_top = s->score_top,
                            .n_vector = (int32_t)f->s.vector_cols,
                            .logprob = s->n_top >= 0 ? s->logprob : NULL,
                            .top_id = s->n_top > 0 ? s->top_id : NULL,
                            .top_logprob = s->n_top > 0 ? s->top_logprob : NULL};
    if (s->loads) wf_forward_tell_experts(f, s, out);
    return WF_OK;
}

static const wf_executor_ops executor_ops = {
    .plan_buffer = plan_buffer, .enqueue = enqueue, .wait = wait};
