// Layout of the step plan.
#include "engine/stepplan.h"

static int64_t align_words(int64_t words)
{
    return (words + 3) & ~(int64_t)3;
}

int64_t wf_plan_layout(const int32_t *h, int64_t offsets[WF_PLAN_N_SECTIONS])
{
    int64_t at = WF_PLAN_HEADER_WORDS;
#define WF_PLAN_PLACE(name, words)                                                                 \
    offsets[WF_PLAN_AT_##name] = at;                                                               \
    at = align_words(at + (int64_t)(words));
    WF_PLAN_SECTIONS(WF_PLAN_PLACE)
#undef WF_PLAN_PLACE
    return at;
}

// Close enough that padding costs little, few enough to capture them all. Products over them are
// measured for the same numbers of rows (kernels/cuda/cuda_gemm.cu).
static const int32_t row_buckets[] = {1,   2,   3,   4,   6,   8,    12,   16,   24,   32,  40,
                                      48,  64,  80,  96,  112, 128,  160,  192,  224,  256, 320,
                                      384, 448, 512, 640, 768, 1024, 1280, 1536, 2048, 4096};

int32_t wf_plan_bucket_rows(int32_t n_rows, int32_t max_rows)
{
    for (size_t i = 0; i < sizeof row_buckets / sizeof *row_buckets; i++)
        if (row_buckets[i] >= n_rows) return row_buckets[i] < max_rows ? row_buckets[i] : max_rows;
    return max_rows;
}

int32_t wf_plan_bucket_context(int32_t max_context)
{
    int32_t bucket = 2048;
    while (bucket < max_context && bucket <= INT32_MAX / 4)
        bucket *= 4;
    return bucket > max_context ? bucket : max_context;
}

static void most(const wf_plan_limits *l, int32_t h[WF_PLAN_HEADER_WORDS])
{
    for (int i = 0; i < WF_PLAN_HEADER_WORDS; i++)
        h[i] = 0;
    h[WF_PLAN_TOKENS] = l->step_tokens;
    h[WF_PLAN_SEQS] = h[WF_PLAN_DECODE] = h[WF_PLAN_SAMPLES] = l->max_rows;
    h[WF_PLAN_MOVES] = h[WF_PLAN_JOINS] = l->max_rows;
    h[WF_PLAN_COPIES] = l->max_rows * (l->slot_pages + (l->n_beams > 0));
    h[WF_PLAN_PAGES] = 2 * l->max_rows + l->step_tokens / l->page_tokens + l->shared_pages;
    h[WF_PLAN_GROUP_SIZE] = l->group_size;
    h[WF_PLAN_GREEDY] = l->group_size > 1;
    h[WF_PLAN_PADDED] = 1;
    h[WF_PLAN_WISH_WORDS] = l->max_rows * l->row_wishes;
    h[WF_PLAN_TYPED] = l->types;
    if (l->prompt_probs == 0) return;
    h[WF_PLAN_SCORES] = l->step_tokens + l->max_rows;
    h[WF_PLAN_SCORE_BATCH] = l->max_rows;
    h[WF_PLAN_SCORE_PROBS] = l->prompt_probs;
}

int64_t wf_plan_most_words(const wf_plan_limits *limits)
{
    int32_t h[WF_PLAN_HEADER_WORDS];
    int64_t offsets[WF_PLAN_N_SECTIONS];
    most(limits, h);
    return wf_plan_layout(h, offsets);
}

bool wf_plan_valid(const int32_t *plan, int64_t n_words, const wf_plan_limits *limits)
{
    int32_t top[WF_PLAN_HEADER_WORDS];
    int64_t offsets[WF_PLAN_N_SECTIONS];
    if (n_words < WF_PLAN_HEADER_WORDS) return false;
    if (plan[WF_PLAN_KIND] == WF_PLAN_STOP) return true;
    if (plan[WF_PLAN_KIND] != WF_PLAN_STEP) return false;
    most(limits, top);
    for (int i = WF_PLAN_TOKENS; i < WF_PLAN_N_FIELDS; i++) {
        bool open = i == WF_PLAN_MAX_NEW || i == WF_PLAN_MAX_CONTEXT || i == WF_PLAN_LOGPROBS;
        if (plan[i] < 0 || (!open && plan[i] > top[i])) return false;
    }
    return wf_plan_layout(plan, offsets) == n_words;
}
