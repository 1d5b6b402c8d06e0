// The attention block: qkv, rotation and append to the KV pages, attention, o.
#include "engine/block.h"
#include "engine/forward_internal.h"

enum { QKV, HEADS }; // scratch: [T, qkv columns], attention's output [T, q columns]

static size_t q_cols(const wf_arch *a, int32_t tp)
{
    return (size_t)(a->n_heads / tp * a->head_dim);
}

static size_t qkv_cols(const wf_arch *a, int32_t tp)
{
    return q_cols(a, tp) + 2 * (size_t)(a->n_kv_heads / tp * a->head_dim);
}

static void scratch(const wf_block_shape *s, size_t bytes[WF_BLOCK_SCRATCH])
{
    bytes[QKV] = s->n_tokens * qkv_cols(s->arch, s->tp_size) * s->act_bytes;
    bytes[HEADS] = s->n_tokens * q_cols(s->arch, s->tp_size) * s->act_bytes;
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

static wf_status rope_and_append(wf_forward *f, const wf_forward_step *st, wf_matrix qkv, wf_kv kv)
{
    const wf_arch *a = &f->m->arch;
    return f->be->ops->rope_kv_append(f->be, f->stream,
                                      &(wf_rope_args){.batch = &st->batch,
                                                      .qkv = qkv,
                                                      .n_heads = f->m->n_heads,
                                                      .rotary_dim = a->rotary_dim,
                                                      .interleaved = a->family->interleaved_rotary,
                                                      .cos = f->m->cos,
                                                      .sin = f->m->sin,
                                                      .kv = kv});
}

// y = o(attention(n)), this rank's part of the sum.
static wf_status run(wf_forward *f, const wf_forward_step *st, int32_t i_layer, void *n, void *y)
{
    const wf_arch *a = &f->m->arch;
    const wf_layer *l = &f->m->layers[i_layer];
    void *const *own = f->scratch[WF_BLOCK_ATTENTION];
    int64_t n_tokens = st->n_tokens;
    wf_matrix qkv = wf_block_matrix(f, own[QKV], n_tokens, qkv_cols(a, f->m->tp_size));
    wf_matrix heads = wf_block_matrix(f, own[HEADS], n_tokens, q_cols(a, f->m->tp_size));
    wf_matrix in = wf_block_matrix(f, n, n_tokens, f->s.hidden);
    wf_kv kv = layer_kv(f, i_layer);
    WF_TRY(wf_block_gemm(f, in, l->qkv, l->qkv_bias, qkv));
    WF_TRY(rope_and_append(f, st, qkv, kv));
    WF_TRY(f->be->ops->attention(f->be, f->stream,
                                 &(wf_attention_args){.batch = &st->batch,
                                                      .qkv = qkv,
                                                      .n_heads = f->m->n_heads,
                                                      .scale = a->attn_scale,
                                                      .kv = kv,
                                                      .out = heads}));
    return wf_block_gemm_part(f, heads, l->o, l->o_bias, y);
}

const wf_block wf_block_attention = {.name = "attention", .scratch = scratch, .run = run};
