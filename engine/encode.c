// The end of a step that makes vectors: final norm over its tokens, pooling, length 1.
#include "engine/forward_internal.h"

// The last hidden states, through the norm behind the last layer where there is one.
static wf_status last_states(wf_forward *f, const wf_forward_step *st, wf_addend added,
                             wf_matrix *out)
{
    *out = wf_block_matrix(f, f->b.x, st->n_tokens, f->s.hidden);
    if (!f->m->final_norm.vector) return wf_block_add(f, *out, added);
    WF_TRY(wf_block_norm(f, &f->m->final_norm, *out, added, f->b.n));
    out->data = f->b.n;
    return WF_OK;
}

wf_status wf_forward_encode(wf_forward *f, const wf_forward_step *st, wf_addend added)
{
    wf_matrix x, pooled;
    const wf_encode *e = &f->m->arch.encode;
    if (st->n_samples == 0) return WF_OK;
    WF_TRY(last_states(f, st, added, &x));
    pooled = wf_matrix_of(f->b.vector, WF_F32, st->n_samples, x.n_cols);
    // Of whole rows each is sampled, in order: its tokens are those of its sequence.
    WF_TRY(f->be->ops->pool(f->be, f->stream,
                            &(wf_pool_args){.x = x,
                                            .first = st->at[WF_PLAN_AT_CU_SEQLENS],
                                            .last = st->at[WF_PLAN_AT_SAMPLE_TOKEN],
                                            .pooling = e->pooling,
                                            .y = pooled}));
    if (!e->normalise) return WF_OK;
    return f->be->ops->unit_rows(f->be, f->stream, &(wf_unit_rows_args){.x = pooled, .y = pooled});
}
