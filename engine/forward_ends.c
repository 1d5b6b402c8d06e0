// What stands before the first layer and after the last: ids and embedding; final norm, head, and
// the step's tokens.
#include "engine/forward_internal.h"

#include "kernels/convert.h"

// Gemma holds its scale in the numbers that it computes in.
static float embed_scale(const wf_forward *f)
{
    float scale = f->m->arch.embed_scale, held = 0.0f;
    if (!f->m->arch.family->embed_by_width) return scale;
    wf_store_f32(&held, f->num.act, 0, scale);
    return wf_load_f32(&held, f->num.act, 0);
}

// Of tokens, where some row has a second segment.
static const int32_t *types_of(const wf_forward_step *st)
{
    return st->h[WF_PLAN_TYPED] ? st->at[WF_PLAN_AT_TOKEN_TYPE] : NULL;
}

// y = the tokens' embeddings, of one rank each, summed, and those of positions and types.
static wf_status look_up(wf_forward *f, const wf_forward_step *st, wf_matrix y)
{
    const wf_model *m = f->m;
    WF_TRY(f->be->ops->embed(f->be, f->stream,
                             &(wf_embed_args){.ids = f->b.ids,
                                              .table = m->embed.matrix,
                                              .vocab_begin = m->vocab_begin,
                                              .y = y,
                                              .scale = embed_scale(f),
                                              .positions = m->positions.matrix,
                                              .pos = st->batch.token_pos,
                                              .first_position = m->arch.family->first_position,
                                              .types = m->types.matrix,
                                              .type = types_of(st)}));
    return wf_block_sum(f, y);
}

// x = the tokens' embeddings and what the model does with them first: a norm, or none; a matrix
// that brings them to its own width, or none.
static wf_status embed(wf_forward *f, const wf_forward_step *st)
{
    const wf_model *m = f->m;
    bool normed = m->embed_norm.vector != NULL, up = m->embed_up.matrix != NULL;
    size_t width = (size_t)m->arch.embed_width;
    wf_matrix x = wf_block_matrix(f, f->b.x, st->n_tokens, width), n = x;
    n.data = f->b.n;
    if (!normed && !up) return look_up(f, st, x);
    WF_TRY(look_up(f, st, normed == up ? x : n));
    if (normed)
        WF_TRY(wf_block_norm(f, &m->embed_norm, up ? x : n, (wf_addend){0}, up ? n.data : x.data));
    return up ? wf_block_gemm(f, n, &m->embed_up,
                              wf_block_matrix(f, f->b.x, st->n_tokens, f->s.hidden))
              : WF_OK;
}

wf_status wf_forward_embed(wf_forward *f, const wf_forward_step *st)
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
    return embed(f, st);
}

static wf_status gather(wf_forward *f, wf_matrix x, const int32_t *index, wf_matrix y)
{
    return f->be->ops->gather(f->be, f->stream, &(wf_gather_args){.x = x, .index = index, .y = y});
}

// This rank's slice of the sampled rows' logits. Only these rows are summed over the group.
wf_status wf_forward_head(wf_forward *f, const wf_forward_step *st, wf_addend added, wf_matrix *out)
{
    const int32_t *index = st->at[WF_PLAN_AT_SAMPLE_TOKEN];
    wf_addend last = {.data = f->b.last_y, .whole = added.whole};
    wf_matrix x = wf_block_matrix(f, f->b.x, st->n_tokens, f->s.hidden);
    wf_matrix last_x = wf_block_matrix(f, f->b.last_x, st->n_samples, f->s.hidden), last_n = last_x;
    last_n.data = f->b.last_n;
    WF_TRY(gather(f, x, index, last_x));
    WF_TRY(gather(f, wf_block_addend(f, added, x), index, wf_block_addend(f, last, last_x)));
    WF_TRY(wf_block_norm(f, &f->m->final_norm, last_x, last, f->b.last_n));
    *out = wf_matrix_of(f->b.slice, WF_F32, st->n_samples, (int64_t)f->s.slice_cols);
    WF_TRY(wf_block_gemm(f, last_n, &f->m->head, *out));
    if (f->m->arch.logit_cap <= 0.0f) return WF_OK;
    return f->be->ops->softcap(f->be, f->stream,
                               &(wf_softcap_args){.x = *out, .cap = f->m->arch.logit_cap});
}

// Logits over the whole vocabulary: slices of all ranks, put side by side; *slices are the same as
// they came, which sampling leaves alone. Of one rank they are copied only where both are needed.
wf_status wf_forward_gather_logits(wf_forward *f, const wf_forward_step *st, wf_matrix *logits,
                                   void **slices)
{
    int64_t cols = logits->n_cols, tp = f->m->tp_size;
    *slices = NULL;
    if (tp == 1 && (!f->s.whole || st->n_top < 0)) return WF_OK;
    *slices = tp > 1 ? f->b.gathered : f->b.slice;
    if (tp > 1)
        WF_TRY(f->comm->ops->all_gather(f->comm, f->stream, f->b.slice,
                                        (size_t)(st->n_samples * cols) * 4, f->b.gathered));
    WF_TRY(gather(f, wf_matrix_of(*slices, WF_F32, st->n_samples * tp, cols),
                  st->at[WF_PLAN_AT_LOGIT_INDEX],
                  wf_matrix_of(f->b.logits, WF_F32, st->n_samples * tp, cols)));
    *logits = wf_matrix_of(f->b.logits, WF_F32, st->n_samples, cols * tp);
    return WF_OK;
}

// Greedy rows of a group: the ranks exchange their slices' greatest logits alone.
static wf_status sample_greedy(wf_forward *f, const wf_forward_step *st, wf_matrix slice)
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

static wf_status sample(wf_forward *f, const wf_forward_step *st, wf_matrix logits,
                        const void *slices)
{
    bool logprobs = st->n_top >= 0, wishes = st->h[WF_PLAN_WISH_WORDS] > 0;
    const void *listed = wishes ? st->at[WF_PLAN_AT_WISHES] : NULL;
    return f->be->ops->sample(f->be, f->stream,
                              &(wf_sample_args){.logits = logits,
                                                .n_vocab = f->m->arch.n_vocab,
                                                .row = st->at[WF_PLAN_AT_SAMPLE_ROW],
                                                .pos = st->at[WF_PLAN_AT_SAMPLE_POS],
                                                .sampling = f->b.sampling,
                                                .counts = f->b.counts,
                                                .counts_stride = (int64_t)f->s.counts_cols,
                                                .wishes = listed,
                                                .wish_words = st->at[WF_PLAN_AT_WISH_WORD],
                                                .last_token = f->b.last_token,
                                                .token = f->b.token,
                                                .n_top = logprobs ? st->n_top : 0,
                                                .processed = f->cfg.processed_logprobs,
                                                .raw = logprobs ? slices : NULL,
                                                .raw_cols = (int64_t)f->s.slice_cols,
                                                .logprob = logprobs ? f->b.logprob : NULL,
                                                .top_id = logprobs ? f->b.top_id : NULL,
                                                .top_logprob = logprobs ? f->b.top_logprob : NULL});
}

wf_status wf_forward_sample(wf_forward *f, const wf_forward_step *st, wf_addend added)
{
    wf_matrix logits;
    void *slices;
    if (st->n_samples == 0) return WF_OK;
    if (f->m->arch.encode.task == WF_TASK_FILL_MASK) {
        logits = wf_matrix_of(f->b.slice, WF_F32, st->n_samples, (int64_t)f->s.slice_cols);
        WF_TRY(wf_forward_masks(f, st, added, logits));
    } else {
        WF_TRY(wf_forward_head(f, st, added, &logits));
    }
    if (st->h[WF_PLAN_GREEDY]) return sample_greedy(f, st, logits);
    WF_TRY(wf_forward_gather_logits(f, st, &logits, &slices));
    return sample(f, st, logits, slices);
}
