// The attention block: qkv, norms of its heads where there are any, rotation and append to the KV
// pages, attention, o.
#include "engine/block.h"
#include "engine/forward_internal.h"
#include "kernels/kv.h"

// scratch: [T, qkv columns], attention's output [T, q columns], and of norms over all heads the
// sums of squares of this rank's heads of q and k, of all ranks' heads
enum { QKV, HEADS, SQUARES, ALL_SQUARES };

static size_t q_cols(const wf_arch *a, const wf_arch_layer *share)
{
    return (size_t)(share->n_heads * a->head_dim);
}

static size_t qkv_cols(const wf_arch *a, const wf_arch_layer *share)
{
    return (size_t)((share->n_heads + 2 * share->n_kv_heads) * a->head_dim);
}

static bool norms_wide(const wf_arch *a)
{
    return a->head_norms && a->family->head_norm == WF_HEAD_NORM_WIDE;
}

static void scratch(const wf_block_shape *s, size_t bytes[WF_BLOCK_SCRATCH])
{
    bytes[QKV] = s->n_tokens * qkv_cols(s->arch, &s->layer) * s->act_bytes;
    bytes[HEADS] = s->n_tokens * q_cols(s->arch, &s->layer) * s->act_bytes;
    if (!norms_wide(s->arch)) return;
    bytes[SQUARES] = s->n_tokens * (size_t)(s->layer.n_heads + s->layer.n_kv_heads) * sizeof(float);
    bytes[ALL_SQUARES] = s->tp > 1 ? bytes[SQUARES] * s->tp : 0;
}

static int64_t kv_bytes(const wf_arch *a, const wf_arch_layer *share, wf_dtype kv)
{
    return 2 * share->n_kv_heads * wf_kv_token_bytes(kv, a->head_dim); // K and V
}

static wf_kv layer_kv(const wf_forward *f, int32_t i_layer)
{
    const wf_arch *a = &f->m->arch;
    const wf_arch_layer *share = &f->m->layers[i_layer].share;
    int32_t n_kv_heads = share->n_kv_heads;
    wf_dtype dtype = f->num.kv;
    int64_t head = wf_kv_tile(dtype, f->cfg.page_tokens, a->head_dim);
    return (wf_kv){.base = (char *)f->kv + f->kv_at[i_layer],
                   .dtype = dtype,
                   .page_tokens = f->cfg.page_tokens,
                   .n_kv_heads = n_kv_heads,
                   .head_dim = a->head_dim,
                   .page_stride = 2 * head * n_kv_heads,
                   .kv_stride = head * n_kv_heads,
                   .head_stride = head};
}

// From the weights of one head's norm to the next one's.
static int32_t norm_stride(const wf_arch *a)
{
    return a->family->head_norm == WF_HEAD_NORM_ALIKE ? 0 : a->head_dim;
}

static bool centred(const wf_arch *a)
{
    return a->head_norms && a->family->norm == WF_NORM_LAYER;
}

// The sums of squares of all heads of the group, rank by rank.
static wf_status sum_squares(wf_forward *f, const wf_layer *l, wf_matrix qkv, float **out)
{
    void *const *own = f->scratch[WF_BLOCK_ATTENTION];
    int32_t n_heads = l->share.n_heads + l->share.n_kv_heads;
    size_t bytes = (size_t)(qkv.n_rows * n_heads) * sizeof(float);
    *out = own[SQUARES];
    WF_TRY(f->be->ops->head_squares(
        f->be, f->stream,
        &(wf_head_squares_args){
            .qkv = qkv, .n_heads = n_heads, .head_dim = f->m->arch.head_dim, .squares = *out}));
    if (f->m->tp_size == 1) return WF_OK;
    *out = own[ALL_SQUARES];
    return f->comm->ops->all_gather(f->comm, f->stream, own[SQUARES], bytes, *out);
}

static wf_status rope_and_append(wf_forward *f, const wf_forward_step *st, const wf_layer *l,
                                 wf_matrix qkv, wf_kv kv)
{
    const wf_arch *a = &f->m->arch;
    float *squares = NULL;
    bool rotated = l->share.i_rope >= 0;
    wf_rotary tables = rotated ? f->m->rotary[l->share.i_rope] : (wf_rotary){0};
    if (norms_wide(a)) WF_TRY(sum_squares(f, l, qkv, &squares));
    return f->be->ops->rope_kv_append(f->be, f->stream,
                                      &(wf_rope_args){.batch = &st->batch,
                                                      .qkv = qkv,
                                                      .n_heads = l->share.n_heads,
                                                      .rotary_dim = rotated ? a->rotary_dim : 0,
                                                      .interleaved = a->family->interleaved_rotary,
                                                      .cos = tables.cos,
                                                      .sin = tables.sin,
                                                      .kv = kv,
                                                      .q_norm = l->q_norm.vector,
                                                      .k_norm = l->k_norm.vector,
                                                      .norm_eps = a->norm_eps,
                                                      .norm_stride = norm_stride(a),
                                                      .norm_centred = centred(a),
                                                      .squares = squares,
                                                      .n_ranks = f->m->tp_size});
}

// The layer's window, where the step or the model's context reaches beyond it. Steps are alike for
// every batch where results must be.
static int32_t window_of(const wf_forward *f, const wf_forward_step *st, const wf_layer *l)
{
    int32_t most = f->cfg.deterministic ? f->m->max_context : st->batch.max_context;
    return l->share.window < most ? l->share.window : 0;
}

static wf_status attend(wf_forward *f, const wf_forward_step *st, const wf_layer *l, wf_matrix qkv,
                        wf_kv kv, wf_matrix out)
{
    return f->be->ops->attention(f->be, f->stream,
                                 &(wf_attention_args){.batch = &st->batch,
                                                      .qkv = qkv,
                                                      .n_heads = l->share.n_heads,
                                                      .scale = l->share.scale,
                                                      .kv = kv,
                                                      .out = out,
                                                      .window = window_of(f, st, l),
                                                      .softcap = l->share.softcap,
                                                      .sinks = l->sinks.vector,
                                                      .slopes = f->m->slopes});
}

// y = o(attention(n)), this rank's part of the sum.
static wf_status run(wf_forward *f, const wf_forward_step *st, int32_t i_layer, void *n, void *y)
{
    const wf_arch *a = &f->m->arch;
    const wf_layer *l = &f->m->layers[i_layer];
    void *const *own = f->scratch[WF_BLOCK_ATTENTION];
    int64_t n_tokens = st->n_tokens;
    wf_matrix qkv = wf_block_matrix(f, own[QKV], n_tokens, qkv_cols(a, &l->share));
    wf_matrix heads = wf_block_matrix(f, own[HEADS], n_tokens, q_cols(a, &l->share));
    wf_matrix in = wf_block_matrix(f, n, n_tokens, f->s.hidden);
    wf_kv kv = layer_kv(f, i_layer);
    WF_TRY(wf_block_gemm(f, in, &l->qkv, qkv));
    WF_TRY(rope_and_append(f, st, l, qkv, kv));
    WF_TRY(attend(f, st, l, qkv, kv, heads));
    return wf_block_gemm_part(f, heads, &l->o, y);
}

const wf_block wf_block_attention = {
    .name = "attention", .scratch = scratch, .kv_bytes = kv_bytes, .run = run};
