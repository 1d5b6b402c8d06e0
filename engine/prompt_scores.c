// Scores of prompts: from schedule to plan, and from a step's output to sequences. See
// prompt_scores.h.
#include "engine/prompt_scores.h"

#include <string.h>

#include "engine/sequence.h"

// Places of a sequence's chunk that are scored, by the hidden states from its first token on. What
// was generated before a put-back is fed with the prompt, and has its scores.
static int32_t n_scored(const wf_seq *s)
{
    const wf_sequence *q = s->tag;
    if (!q || s->kind != WF_SEQ_CHUNK || q->n_prompt_logprobs < 0) return 0;
    int32_t left = (int32_t)q->out.n_prompt - 1 - s->n_past;
    return left <= 0 ? 0 : left < s->n_new ? left : s->n_new;
}

void wf_prompt_scores_header(const wf_schedule *s, const wf_plan_limits *limits, int32_t *h)
{
    int32_t n = 0, most = -1;
    for (int32_t i = 0; limits->prompt_probs > 0 && i < s->n_seqs; i++) {
        const wf_sequence *q = s->seqs[i].tag;
        int32_t own = n_scored(&s->seqs[i]);
        n += own;
        if (own > 0 && q->n_prompt_logprobs > most) most = q->n_prompt_logprobs;
    }
    if (n == 0) return;
    int32_t batch = n < limits->max_rows ? n : limits->max_rows;
    h[WF_PLAN_SCORES] = (n + batch - 1) / batch * batch;
    h[WF_PLAN_SCORE_BATCH] = batch;
    h[WF_PLAN_SCORE_PROBS] = most + 1;
}

// Place i: its token alone is allowed.
static void put(int32_t *const at[WF_PLAN_N_SECTIONS], int32_t i, int32_t i_token, int32_t id)
{
    const wf_row_wishes only = {.i_allowed = i, .n_allowed = 1};
    at[WF_PLAN_AT_SCORE_TOKEN][i] = i_token;
    at[WF_PLAN_AT_SCORE_ID][i] = id;
    memcpy(at[WF_PLAN_AT_SCORE_WISHES] + i * WF_WISHES_WORDS, &only, sizeof only);
}

void wf_prompt_scores_fill(const wf_schedule *s, const wf_plan_limits *limits, const int32_t *h,
                           int32_t *const at[WF_PLAN_N_SECTIONS])
{
    int32_t n = 0, i_token = 0, batch = h[WF_PLAN_SCORE_BATCH], group = h[WF_PLAN_GROUP_SIZE];
    if (h[WF_PLAN_SCORES] == 0) return;
    for (int32_t i = 0; i < s->n_seqs; i_token += s->seqs[i++].n_new) {
        const wf_sequence *q = s->seqs[i].tag;
        int32_t own = n_scored(&s->seqs[i]);
        for (int32_t k = 0; k < own; k++)
            put(at, n++, i_token + k, q->prompt[s->seqs[i].n_past + k + 1]);
    }
    while (n < h[WF_PLAN_SCORES]) // the last batch is as long as the others
        put(at, n++, 0, 0);
    for (int32_t i = 0; i < batch; i++) {
        at[WF_PLAN_AT_SCORE_ROW][i] = limits->max_rows; // greedy, and nobody's
        at[WF_PLAN_AT_SCORE_POS][i] = 0;
        for (int32_t r = 0; r < group; r++)
            at[WF_PLAN_AT_SCORE_INDEX][i * group + r] = r * batch + i;
    }
}

void wf_prompt_scores_deliver(const wf_schedule *s, const wf_step_output *out)
{
    int32_t n = 0, top = out->n_score_top;
    if (!out->score) return;
    for (int32_t i = 0; i < s->n_seqs; i++) {
        wf_sequence *q = s->seqs[i].tag;
        int32_t own = n_scored(&s->seqs[i]);
        for (int32_t k = 0; k < own; k++, n++) {
            int64_t place = s->seqs[i].n_past + k + 1, each = q->n_prompt_logprobs;
            q->prompt_logprob[place] = out->score[n];
            for (int64_t t = 0; t < each; t++) {
                q->prompt_top_id[place * each + t] = out->score_id[n * top + t];
                q->prompt_top_logprob[place * each + t] = out->score_top[n * top + t];
            }
        }
    }
}
