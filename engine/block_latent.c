// The block of latent attention (kernels/ops.h): queries from the input or from a latent of their
// own, one row of the cache per token for all heads, keys and values absorbed into queries and
// outputs.
#include "engine/block.h"
#include "engine/forward_internal.h"

// The epsilon of both norms, whatever that of the others: as in transformers.
#define LATENT_NORM_EPS 1e-6f

// Scratch: kv_a's output [T, kv_rank + rope]; queries [T, heads (nope + rope)]; the same with keys
// absorbed [T, heads (kv_rank + rope)]; attention's output [T, heads kv_rank], and of values
// [T, heads v]. WIDE and LATENT hold the queries' latent before, and that normed.
enum { C, Q, WIDE, LATENT, HEADS };

static int64_t row_numbers(const wf_arch *a)
{
    return a->latent.kv_rank + a->latent.rope;
}

static size_t larger(int64_t a, int64_t b)
{
    return (size_t)(a > b ? a : b);
}

static void scratch(const wf_block_shape *s, size_t bytes[WF_BLOCK_SCRATCH])
{
    const wf_arch_latent *l = &s->arch->latent;
    int64_t n_heads = s->layer.n_heads;
    size_t each = s->n_tokens * s->act_bytes;
    bytes[C] = each * (size_t)row_numbers(s->arch);
    bytes[Q] = each * (size_t)(n_heads * s->arch->head_dim);
    bytes[WIDE] = each * larger(n_heads * row_numbers(s->arch), l->q_rank);
    bytes[LATENT] = each * larger(n_heads * l->kv_rank, l->q_rank);
    bytes[HEADS] = each * (size_t)(n_heads * l->v);
}

// The same on every rank: a row is of all heads.
static int64_t kv_bytes(const wf_arch *a, const wf_arch_layer *share, wf_dtype kv)
{
    (void)share;
    return row_numbers(a) * (int64_t)wf_dtype_bytes(kv);
}

static wf_kv layer_kv(const wf_forward *f, int32_t i_layer)
{
    int64_t row = row_numbers(&f->m->arch), page = f->cfg.page_tokens * row;
    return (wf_kv){.base = (char *)f->kv + f->kv_at[i_layer],
                   .dtype = f->num.kv,
                   .page_tokens = f->cfg.page_tokens,
                   .n_kv_heads = 1,
                   .head_dim = (int32_t)row,
                   .page_stride = page,
                   .head_stride = page};
}

static wf_status make_queries(wf_forward *f, const wf_layer *l, wf_matrix in, wf_matrix q)
{
    void *const *own = f->scratch[WF_BLOCK_LATENT];
    size_t rank = (size_t)f->m->arch.latent.q_rank;
    if (rank == 0) return wf_block_gemm(f, in, &l->latent_q, q);
    wf_matrix latent = wf_block_matrix(f, own[WIDE], in.n_rows, rank);
    wf_matrix normed = wf_block_matrix(f, own[LATENT], in.n_rows, rank);
    WF_TRY(wf_block_gemm(f, in, &l->q_a, latent));
    WF_TRY(f->be->ops->rmsnorm(
        f->be, f->stream,
        &(wf_rmsnorm_args){
            .x = latent, .weight = l->q_a_norm.vector, .eps = LATENT_NORM_EPS, .y = normed}));
    return wf_block_gemm(f, normed, &l->latent_q, q);
}

static wf_status append(wf_forward *f, const wf_forward_step *st, const wf_layer *l, wf_matrix c,
                        wf_matrix q, wf_matrix wide, wf_kv kv)
{
    const wf_arch_latent *a = &f->m->arch.latent;
    const wf_rotary *tables = &f->m->rotary[l->share.i_rope];
    return f->be->ops->latent_append(f->be, f->stream,
                                     &(wf_latent_append_args){.batch = &st->batch,
                                                              .c = c,
                                                              .n_heads = l->share.n_heads,
                                                              .rank = a->kv_rank,
                                                              .rope = a->rope,
                                                              .nope = a->nope,
                                                              .norm = l->kv_a_norm.vector,
                                                              .norm_eps = LATENT_NORM_EPS,
                                                              .interleaved = a->interleaved,
                                                              .cos = tables->cos,
                                                              .sin = tables->sin,
                                                              .q = q,
                                                              .wide = wide,
                                                              .kv = kv});
}

static wf_status multiply_heads(wf_forward *f, const wf_param *w, wf_matrix x, int64_t x_step,
                                wf_matrix y, int64_t y_step)
{
    return f->be->ops->heads_gemm(
        f->be, f->stream,
        &(wf_heads_gemm_args){.x = x, .x_step = x_step, .y_step = y_step, .w = w->matrix, .y = y});
}

// y = o(attention(n)), this rank's part of the sum.
static wf_status run(wf_forward *f, const wf_forward_step *st, int32_t i_layer, void *n, void *y)
{
    const wf_arch *a = &f->m->arch;
    const wf_layer *l = &f->m->layers[i_layer];
    void *const *own = f->scratch[WF_BLOCK_LATENT];
    int64_t T = st->n_tokens, row = row_numbers(a), rank = a->latent.kv_rank, v = a->latent.v;
    size_t n_heads = (size_t)l->share.n_heads;
    wf_matrix in = wf_block_matrix(f, n, T, f->s.hidden);
    wf_matrix c = wf_block_matrix(f, own[C], T, (size_t)row);
    wf_matrix q = wf_block_matrix(f, own[Q], T, n_heads * (size_t)a->head_dim);
    wf_matrix wide = wf_block_matrix(f, own[WIDE], T, n_heads * (size_t)row);
    wf_matrix latent = wf_block_matrix(f, own[LATENT], T, n_heads * (size_t)rank);
    wf_matrix heads = wf_block_matrix(f, own[HEADS], T, n_heads * (size_t)v);
    wf_kv kv = layer_kv(f, i_layer);
    WF_TRY(make_queries(f, l, in, q));
    WF_TRY(wf_block_gemm(f, in, &l->kv_a, c));
    WF_TRY(multiply_heads(f, &l->latent_k, q, a->head_dim, wide, row));
    WF_TRY(append(f, st, l, c, q, wide, kv));
    WF_TRY(f->be->ops->latent_attention(f->be, f->stream,
                                        &(wf_latent_attention_args){.batch = &st->batch,
                                                                    .q = wide,
                                                                    .n_heads = l->share.n_heads,
                                                                    .rank = (int32_t)rank,
                                                                    .scale = l->share.scale,
                                                                    .kv = kv,
                                                                    .out = latent}));
    WF_TRY(multiply_heads(f, &l->latent_v, latent, rank, heads, v));
    return wf_block_gemm_part(f, heads, &l->o, y);
}

const wf_block wf_block_latent = {
    .name = "latent", .scratch = scratch, .kv_bytes = kv_bytes, .run = run};
