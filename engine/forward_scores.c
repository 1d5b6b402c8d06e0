// Scores of prompt tokens on the device: the head over places in batches. See prompt_scores.h.
#include "engine/forward_internal.h"

static wf_status score_batch(wf_forward *f, const wf_forward_step *part, int32_t first,
                             wf_addend added)
{
    wf_matrix logits;
    void *slices;
    WF_TRY(wf_forward_head(f, part, added, &logits));
    WF_TRY(wf_forward_gather_logits(f, part, &logits, &slices));
    const wf_row_wishes *wishes = (const void *)part->at[WF_PLAN_AT_SCORE_WISHES];
    return f->be->ops->sample(f->be, f->stream,
                              &(wf_sample_args){.logits = logits,
                                                .n_vocab = f->m->arch.n_vocab,
                                                .row = part->at[WF_PLAN_AT_SCORE_ROW],
                                                .pos = part->at[WF_PLAN_AT_SCORE_POS],
                                                .sampling = f->b.sampling,
                                                .wishes = wishes + first,
                                                .wish_words = part->at[WF_PLAN_AT_SCORE_ID],
                                                .last_token = f->b.last_token,
                                                .token = f->b.token,
                                                .n_top = part->n_top,
                                                .raw = slices,
                                                .raw_cols = (int64_t)f->s.slice_cols,
                                                .logprob = f->b.logprob,
                                                .top_id = f->b.top_id,
                                                .top_logprob = f->b.top_logprob});
}

static wf_status take_batch(wf_forward *f, const wf_forward_step *part, int32_t first,
                            wf_forward_slot *s)
{
    const wf_backend_ops *ops = f->be->ops;
    size_t n = (size_t)part->n_samples, top = (size_t)part->n_top, at = (size_t)first;
    WF_TRY(ops->download(f->be, f->stream, s->score + at, f->b.logprob, n * 4));
    if (top == 0) return WF_OK;
    WF_TRY(ops->download(f->be, f->stream, s->score_id + at * top, f->b.top_id, n * top * 4));
    return ops->download(f->be, f->stream, s->score_top + at * top, f->b.top_logprob, n * top * 4);
}

wf_status wf_forward_score_prompts(wf_forward *f, const wf_forward_step *st, wf_addend added,
                                   wf_forward_slot *s)
{
    wf_forward_step part = *st;
    int32_t n = st->h[WF_PLAN_SCORES], batch = st->h[WF_PLAN_SCORE_BATCH];
    part.n_samples = batch;
    part.n_top = st->h[WF_PLAN_SCORE_PROBS] - 1;
    part.at[WF_PLAN_AT_LOGIT_INDEX] = st->at[WF_PLAN_AT_SCORE_INDEX];
    for (int32_t first = 0; first < n; first += batch) {
        part.at[WF_PLAN_AT_SAMPLE_TOKEN] = st->at[WF_PLAN_AT_SCORE_TOKEN] + first;
        WF_TRY(score_batch(f, &part, first, added));
        WF_TRY(take_batch(f, &part, first, s));
    }
    return WF_OK;
}
