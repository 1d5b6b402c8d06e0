// Plans of padding alone. See warmup.h.
#include "engine/warmup.h"

#include <string.h>

typedef struct sections {
    int32_t *at[WF_PLAN_N_SECTIONS];
} sections;

// Numbers of prompt tokens as far apart as products are measured (kernels/cuda/cuda_gemm.cu).
static const int32_t chunk_tokens[] = {
    12,  16,  24,  32,  40,  48,  64,   80,   96,   112,  128,  160,  192,  224,  256,  320,
    384, 448, 512, 640, 768, 896, 1024, 1280, 1536, 2048, 2560, 3072, 4096, 6144, 8192, 16384};

static int32_t least(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static int64_t begin(const wf_warmup *w, const int32_t *header, int32_t *plan, sections *p)
{
    int64_t offsets[WF_PLAN_N_SECTIONS];
    memcpy(plan, header, WF_PLAN_HEADER_WORDS * sizeof *plan);
    plan[WF_PLAN_KIND] = WF_PLAN_STEP;
    plan[WF_PLAN_GROUP_SIZE] = w->limits.group_size;
    int64_t words = wf_plan_layout(plan, offsets);
    for (int i = 0; i < WF_PLAN_N_SECTIONS; i++)
        p->at[i] = plan + offsets[i];
    return words;
}

// Sequence i: n tokens from position `past` on.
static void put_seq(const wf_warmup *w, sections *p, int32_t i, int32_t i_token, int32_t past,
                    int32_t n)
{
    p->at[WF_PLAN_AT_CU_SEQLENS][i] = i_token;
    p->at[WF_PLAN_AT_CU_SEQLENS][i + 1] = i_token + n;
    p->at[WF_PLAN_AT_SEQ_ROW][i] = w->limits.max_rows;
    p->at[WF_PLAN_AT_SEQ_PAST][i] = past;
    p->at[WF_PLAN_AT_SEQ_JOIN][i] = 0;
    for (int32_t k = 0; k < n; k++) {
        p->at[WF_PLAN_AT_TOKEN_SEQ][i_token + k] = i;
        p->at[WF_PLAN_AT_TOKEN_POS][i_token + k] = past + k;
        p->at[WF_PLAN_AT_HOST_ID][i_token + k] = 0;
    }
}

static int64_t decode_plan(const wf_warmup *w, int32_t rows, int32_t context, int32_t *plan)
{
    const int32_t header[WF_PLAN_HEADER_WORDS] = {[WF_PLAN_TOKENS] = rows,
                                                  [WF_PLAN_SEQS] = rows,
                                                  [WF_PLAN_DECODE] = rows,
                                                  [WF_PLAN_MAX_NEW] = 1,
                                                  [WF_PLAN_MAX_CONTEXT] = context,
                                                  [WF_PLAN_SAMPLES] = rows,
                                                  [WF_PLAN_LOGPROBS] = w->logprobs,
                                                  [WF_PLAN_GREEDY] = w->greedy,
                                                  [WF_PLAN_PADDED] = 1};
    sections p;
    int64_t words = begin(w, header, plan, &p);
    int32_t group = w->limits.group_size;
    for (int32_t i = 0; i < rows; i++) {
        put_seq(w, &p, i, i, 1, 1);
        p.at[WF_PLAN_AT_SAMPLE_TOKEN][i] = i;
        p.at[WF_PLAN_AT_SAMPLE_ROW][i] = w->limits.max_rows;
        p.at[WF_PLAN_AT_SAMPLE_POS][i] = 2;
        for (int32_t r = 0; r < group; r++)
            p.at[WF_PLAN_AT_LOGIT_INDEX][i * group + r] = r * rows + i;
    }
    return words;
}

// Prompts as long as a request may have, none sampled.
static int64_t chunk_plan(const wf_warmup *w, int32_t n_tokens, int32_t *plan)
{
    int32_t longest = w->max_context - 1, n_seqs = (n_tokens + longest - 1) / longest;
    const int32_t header[WF_PLAN_HEADER_WORDS] = {
        [WF_PLAN_TOKENS] = n_tokens,
        [WF_PLAN_SEQS] = n_seqs,
        [WF_PLAN_MAX_NEW] = least(n_tokens, longest),
        [WF_PLAN_MAX_CONTEXT] = least(n_tokens, longest),
    };
    sections p;
    int64_t words = begin(w, header, plan, &p);
    for (int32_t i = 0, at = 0; i < n_seqs; i++, at += longest)
        put_seq(w, &p, i, at, 0, least(longest, n_tokens - at));
    return words;
}

// The i-th number of prompt tokens beyond those of decode rows, the last one being the most that a
// step may have; 0: there are no more.
static int32_t chunk(const wf_warmup *w, int32_t i)
{
    int32_t n = (int32_t)(sizeof chunk_tokens / sizeof *chunk_tokens), k = 0;
    int64_t fits = (int64_t)(w->max_context - 1) * w->limits.max_rows;
    int32_t most = fits < w->limits.step_tokens ? (int32_t)fits : w->limits.step_tokens;
    while (k < n && chunk_tokens[k] <= w->limits.max_rows)
        k++;
    for (; k < n && chunk_tokens[k] < most; k++)
        if (i-- == 0) return chunk_tokens[k];
    return i == 0 ? most : 0;
}

// The i-th bucket of decode rows; 0: there are no more.
static int32_t bucket(const wf_warmup *w, int32_t i)
{
    int32_t most = w->limits.max_rows, rows = 1;
    while (i > 0 && rows < most) {
        rows = wf_plan_bucket_rows(rows + 1, most);
        i--;
    }
    return i > 0 ? 0 : rows;
}

int64_t wf_warmup_plan(const wf_warmup *w, int32_t i, bool *whole, int32_t *plan)
{
    int32_t n_buckets = 0, n_chunks = 0, first = wf_plan_bucket_context(1);
    while (bucket(w, n_buckets) > 0)
        n_buckets++;
    while (chunk(w, n_chunks) > 0)
        n_chunks++;
    *whole = false;
    if (i < n_chunks) return chunk_plan(w, chunk(w, i), plan);
    i -= n_chunks;
    // The largest first: what grows with the rows grows once.
    for (int32_t context = first; w->capture || context == first; context *= 4) {
        int32_t uses = w->capture ? 2 : 1;
        if (i < uses * n_buckets) {
            *whole = i >= n_buckets;
            return decode_plan(w, bucket(w, n_buckets - 1 - i % n_buckets), context, plan);
        }
        i -= uses * n_buckets;
        if (context >= w->max_context) break;
    }
    return 0;
}
