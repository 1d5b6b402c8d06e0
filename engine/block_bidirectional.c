// The attention block of models that read both ways: qkv, rotation where there is any, attention of
// each row's tokens over one another, o. Nothing is kept beyond the step.
#include "engine/block.h"
#include "engine/forward_internal.h"

enum { QKV, HEADS }; // scratch: [T, qkv columns], attention's output [T, q columns]

static size_t q_cols(const wf_arch *a, const wf_arch_layer *share)
{
    return (size_t)(share->n_heads * a->head_dim);
}

static size_t qkv_cols(const wf_arch *a, const wf_arch_layer *share)
{
    return (size_t)((share->n_heads + 2 * share->n_kv_heads) * a->head_dim);
}

static void scratch(const wf_block_shape *s, size_t bytes[WF_BLOCK_SCRATCH])
{
    bytes[QKV] = s->n_tokens * qkv_cols(s->arch, &s->layer) * s->act_bytes;
    bytes[HEADS] = s->n_tokens * q_cols(s->arch, &s->layer) * s->act_bytes;
}

static wf_status rotate(wf_forward *f, const wf_forward_step *st, const wf_layer *l, wf_matrix qkv)
{
    const wf_arch *a = &f->m->arch;
    if (l->share.i_rope < 0) return WF_OK;
    wf_rotary tables = f->m->rotary[l->share.i_rope];
    return f->be->ops->rope_kv_append(
        f->be, f->stream,
        &(wf_rope_args){.batch = &st->batch,
                        .qkv = qkv,
                        .n_heads = l->share.n_heads,
                        .rotary_dim = a->rotary_dim,
                        .interleaved = a->family->interleaved_rotary,
                        .cos = tables.cos,
                        .sin = tables.sin,
                        .kv = {.n_kv_heads = l->share.n_kv_heads, .head_dim = a->head_dim}});
}

// y = o(attention(n)), this rank's part of the sum.
static wf_status run(wf_forward *f, const wf_forward_step *st, int32_t i_layer, void *n, void *y)
{
    const wf_arch *a = &f->m->arch;
    const wf_layer *l = &f->m->layers[i_layer];
    void *const *own = f->scratch[WF_BLOCK_BIDIRECTIONAL];
    wf_matrix qkv = wf_block_matrix(f, own[QKV], st->n_tokens, qkv_cols(a, &l->share));
    wf_matrix heads = wf_block_matrix(f, own[HEADS], st->n_tokens, q_cols(a, &l->share));
    WF_TRY(wf_block_gemm(f, wf_block_matrix(f, n, st->n_tokens, f->s.hidden), &l->qkv, qkv));
    WF_TRY(rotate(f, st, l, qkv));
    WF_TRY(f->be->ops->packed_attention(
        f->be, f->stream,
        &(wf_packed_attention_args){.batch = &st->batch,
                                    .qkv = qkv,
                                    .n_heads = l->share.n_heads,
                                    .n_kv_heads = l->share.n_kv_heads,
                                    .head_dim = a->head_dim,
                                    .scale = l->share.scale,
                                    .window = l->share.window,
                                    .bias = f->m->distances,
                                    .bias_reach = f->m->distances ? WF_DISTANCE_REACH : 0,
                                    .out = heads}));
    return wf_block_gemm_part(f, heads, &l->o, y);
}

const wf_block wf_block_bidirectional = {.name = "bidirectional", .scratch = scratch, .run = run};
