// From schedule to step plan. Runs once per step on the first rank: plain loops over plain arrays.
#include "engine/planfill.h"

#include <string.h>

#include "engine/prompt_scores.h"
#include "engine/sequence.h"
#include "engine/wishes.h"
#include "kernels/sampling.h"

typedef struct sections {
    int32_t *at[WF_PLAN_N_SECTIONS];
} sections;

// 0: no sampled row asks for logprobs; else 1 + the most best ones any asks for.
static int32_t logprobs_asked(const wf_schedule *s, int32_t n_top)
{
    int32_t most = -1;
    if (n_top < 0) return 0;
    for (int32_t i = 0; i < s->n_seqs; i++) {
        const wf_sequence *q = s->seqs[i].tag;
        if (s->seqs[i].n_samples > 0 && q && q->n_logprobs > most) most = q->n_logprobs;
    }
    return most + 1;
}

static bool takes_greatest(const wf_sequence *q)
{
    const wf_row_sampling *p = &q->sampling;
    if (wf_wishes_words(&q->wishes) > 0) return false;
    bool masked = p->min_tokens > 0 && p->n_stop_ids > 0;
    return !(p->temperature > 0.0f) && !wf_sampling_penalises(p) && !masked;
}

// Whether the ranks need to exchange no more than each row's greatest logit. A row whose output is
// dropped has no say.
static bool all_greedy(const wf_schedule *s)
{
    for (int32_t i = 0; i < s->n_seqs; i++) {
        const wf_sequence *q = s->seqs[i].tag;
        if (s->seqs[i].n_samples > 0 && q && !takes_greatest(q)) return false;
    }
    return true;
}

static bool any_second(const wf_schedule *s)
{
    for (int32_t i = 0; i < s->n_seqs; i++) {
        const wf_sequence *q = s->seqs[i].tag;
        if (q && q->second > 0) return true;
    }
    return false;
}

static void fill_header(const wf_schedule *s, const wf_plan_limits *limits, int32_t *h)
{
    memset(h, 0, WF_PLAN_HEADER_WORDS * sizeof *h);
    h[WF_PLAN_KIND] = WF_PLAN_STEP;
    h[WF_PLAN_TOKENS] = s->n_tokens;
    h[WF_PLAN_SEQS] = s->n_seqs;
    h[WF_PLAN_DECODE] = s->n_decode;
    h[WF_PLAN_MAX_NEW] = s->max_new;
    h[WF_PLAN_MAX_CONTEXT] = s->max_context;
    h[WF_PLAN_SAMPLES] = s->n_samples;
    h[WF_PLAN_MOVES] = s->n_moves;
    h[WF_PLAN_COPIES] = s->n_copies;
    h[WF_PLAN_PAGES] = s->n_pages;
    h[WF_PLAN_JOINS] = s->n_joins;
    h[WF_PLAN_GROUP_SIZE] = limits->group_size;
    h[WF_PLAN_WISH_WORDS] = limits->row_wishes > 0 ? wf_wishes_count(s) : 0;
    h[WF_PLAN_LOGPROBS] = logprobs_asked(s, limits->n_top);
    h[WF_PLAN_TYPED] = limits->types && any_second(s);
    h[WF_PLAN_GREEDY] = limits->group_size > 1 && h[WF_PLAN_LOGPROBS] == 0 && all_greedy(s);
    wf_prompt_scores_header(s, limits, h);
    if (!limits->pad || s->n_seqs != s->n_decode || s->n_seqs == 0) return;
    int32_t rows = wf_plan_bucket_rows(s->n_seqs, limits->max_rows);
    h[WF_PLAN_PADDED] = 1;
    h[WF_PLAN_TOKENS] = h[WF_PLAN_SEQS] = h[WF_PLAN_DECODE] = h[WF_PLAN_SAMPLES] = rows;
    h[WF_PLAN_MAX_CONTEXT] = wf_plan_bucket_context(s->max_context);
}

static void fill_ids(const wf_seq *q, int32_t *ids)
{
    const wf_sequence *seq = q->tag;
    size_t n_draft = (size_t)q->n_new - 1;
    if (q->kind == WF_SEQ_CHUNK) {
        memcpy(ids, seq->prompt + q->n_past, (size_t)q->n_new * sizeof *ids);
        return;
    }
    ids[0] = q->known ? seq->token[q->n_past - (int32_t)seq->out.n_prompt] : -1;
    if (n_draft > 0) memcpy(ids + 1, seq->draft, n_draft * sizeof *ids);
}

static void fill_seq(const wf_seq *q, int32_t i, int32_t i_token, sections *p)
{
    p->at[WF_PLAN_AT_CU_SEQLENS][i] = i_token;
    p->at[WF_PLAN_AT_SEQ_ROW][i] = q->row;
    p->at[WF_PLAN_AT_SEQ_PAST][i] = q->n_past;
    p->at[WF_PLAN_AT_SEQ_JOIN][i] = q->join;
    for (int32_t k = 0; k < q->n_new; k++) {
        p->at[WF_PLAN_AT_TOKEN_SEQ][i_token + k] = i;
        p->at[WF_PLAN_AT_TOKEN_POS][i_token + k] = q->n_past + k;
    }
    fill_ids(q, p->at[WF_PLAN_AT_HOST_ID] + i_token);
}

static void fill_types(const wf_schedule *s, int32_t *type)
{
    for (int32_t i = 0; i < s->n_seqs; i++) {
        const wf_seq *q = &s->seqs[i];
        const wf_sequence *seq = q->tag;
        for (int32_t k = 0; k < q->n_new; k++)
            *type++ = seq && seq->second > 0 && q->n_past + k >= seq->second;
    }
}

// The packed token before `at` that is sampled, of a sequence that ends before `end`.
static int32_t previous_sample(const wf_seq *q, int32_t end, int32_t at)
{
    const wf_sequence *seq = q->tag;
    at--;
    while (seq && seq->n_marks > 0 && seq->prompt[q->n_past + q->n_new - (end - at)] != seq->mark)
        at--;
    return at;
}

static void fill_seqs(const wf_schedule *s, sections *p)
{
    int32_t i_token = 0, i_sample = 0, i_join = 0;
    for (int32_t i = 0; i < s->n_seqs; i++) {
        const wf_seq *q = &s->seqs[i];
        fill_seq(q, i, i_token, p);
        i_token += q->n_new;
        for (int32_t back = q->n_samples - 1, at = i_token; back >= 0; back--) {
            at = previous_sample(q, i_token, at);
            p->at[WF_PLAN_AT_SAMPLE_TOKEN][i_sample + back] = at;
            p->at[WF_PLAN_AT_SAMPLE_ROW][i_sample + back] = q->row;
            p->at[WF_PLAN_AT_SAMPLE_POS][i_sample + back] = q->n_past + q->n_new + at + 1 - i_token;
        }
        i_sample += q->n_samples;
        if (q->join) {
            p->at[WF_PLAN_AT_JOIN_ROW][i_join] = q->row;
            memcpy(p->at[WF_PLAN_AT_JOIN_SAMPLING] + i_join++ * WF_SAMPLING_WORDS,
                   &((const wf_sequence *)q->tag)->sampling, sizeof(wf_row_sampling));
        }
    }
    p->at[WF_PLAN_AT_CU_SEQLENS][s->n_seqs] = i_token;
}

// Rows beyond the live ones: token 0 at position 1, in a row of their own. Sampled rows beyond the
// live ones, likewise (a replayed row is not sampled).
static void pad_seqs(const wf_schedule *s, const int32_t *h, int32_t row, sections *p)
{
    for (int32_t i = s->n_seqs; i < h[WF_PLAN_SEQS]; i++) {
        p->at[WF_PLAN_AT_CU_SEQLENS][i + 1] = i + 1;
        p->at[WF_PLAN_AT_SEQ_ROW][i] = row;
        p->at[WF_PLAN_AT_SEQ_PAST][i] = 1;
        p->at[WF_PLAN_AT_SEQ_JOIN][i] = 0;
        p->at[WF_PLAN_AT_TOKEN_SEQ][i] = i;
        p->at[WF_PLAN_AT_TOKEN_POS][i] = 1;
        p->at[WF_PLAN_AT_HOST_ID][i] = 0;
    }
    for (int32_t i = s->n_samples; i < h[WF_PLAN_SAMPLES]; i++) {
        p->at[WF_PLAN_AT_SAMPLE_TOKEN][i] = i;
        p->at[WF_PLAN_AT_SAMPLE_ROW][i] = row;
        p->at[WF_PLAN_AT_SAMPLE_POS][i] = 2;
    }
}

// Without numbers there may be no `from` either.
static void copy(int32_t *to, const int32_t *from, int32_t n)
{
    if (n > 0) memcpy(to, from, (size_t)n * sizeof *to);
}

static void fill_rest(const wf_schedule *s, const int32_t *h, int32_t page_stride, sections *p)
{
    int32_t group_size = h[WF_PLAN_GROUP_SIZE], n_samples = h[WF_PLAN_SAMPLES];
    copy(p->at[WF_PLAN_AT_MOVE_FROM], s->move_from, s->n_moves);
    copy(p->at[WF_PLAN_AT_MOVE_TO], s->move_to, s->n_moves);
    copy(p->at[WF_PLAN_AT_COPY_FROM], s->copy_from, s->n_copies);
    copy(p->at[WF_PLAN_AT_COPY_TO], s->copy_to, s->n_copies);
    copy(p->at[WF_PLAN_AT_PAGE], s->page, s->n_pages);
    for (int32_t i = 0; i < s->n_pages; i++)
        p->at[WF_PLAN_AT_PAGE_INDEX][i] = s->page_row[i] * page_stride + s->page_col[i];
    for (int32_t i = 0; i < n_samples; i++)
        for (int32_t r = 0; r < group_size; r++)
            p->at[WF_PLAN_AT_LOGIT_INDEX][i * group_size + r] = r * n_samples + i;
}

int64_t wf_planfill(const wf_schedule *s, const wf_plan_limits *limits, int32_t page_stride,
                    int32_t *plan)
{
    int64_t offsets[WF_PLAN_N_SECTIONS];
    sections p;
    fill_header(s, limits, plan);
    int64_t words = wf_plan_layout(plan, offsets);
    for (int i = 0; i < WF_PLAN_N_SECTIONS; i++)
        p.at[i] = plan + offsets[i];
    fill_seqs(s, &p);
    if (plan[WF_PLAN_TYPED]) fill_types(s, p.at[WF_PLAN_AT_TOKEN_TYPE]);
    if (plan[WF_PLAN_WISH_WORDS] > 0)
        wf_wishes_fill(s, plan[WF_PLAN_SAMPLES], p.at[WF_PLAN_AT_WISHES],
                       p.at[WF_PLAN_AT_WISH_WORD]);
    wf_prompt_scores_fill(s, limits, plan, p.at);
    if (plan[WF_PLAN_PADDED]) pad_seqs(s, plan, limits->max_rows, &p);
    fill_rest(s, plan, page_stride, &p);
    return words;
}
