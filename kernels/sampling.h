// The arithmetic of the sampler that host back ends share, so that they draw the same token from
// the same logits: weights and their sums are doubles, taken in ascending token id.
//
// A row's weights are exp((logit - max) / temperature): the greatest weighs 1. Source of the
// filters and of their order: vLLM's SamplingParams; min_p is from arXiv 2407.01082.
#ifndef WF_KERNELS_SAMPLING_H
#define WF_KERNELS_SAMPLING_H

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "io/base/rng.h"
#include "kernels/ops/op_sample.h"

// counts[row][id]: this bit says that id is in the prompt, the bits below it count outputs.
#define WF_COUNT_PROMPT 0x8000u

// How far a logit lies below the greatest; 0 for equal ones, infinite or not.
static inline double wf_sample_gap(float logit, float max)
{
    return logit == max ? 0.0 : (double)logit - (double)max;
}

static inline double wf_sample_weight(float logit, float max, float temperature)
{
    return exp(wf_sample_gap(logit, max) / (double)temperature);
}

// The uniform number in [0, 1) of the token at position `pos` of the row with this key.
static inline double wf_sample_uniform(uint64_t rng_key, int32_t pos)
{
    uint32_t key[2] = {(uint32_t)rng_key, (uint32_t)(rng_key >> 32)};
    uint32_t counter[4] = {(uint32_t)pos, 0, 0, 0};
    uint32_t bits[4];
    wf_philox(key, counter, bits);
    return wf_rng_double(bits[0], bits[1]);
}

// Whether these change any logit: the one place that knows which values leave them as they are.
WF_RNG_FN bool wf_penalises(float repetition, float presence, float frequency)
{
    return repetition != 1.0f || presence != 0.0f || frequency != 0.0f;
}

WF_RNG_FN bool wf_sampling_penalises(const wf_row_sampling *s)
{
    return wf_penalises(s->repetition_penalty, s->presence_penalty, s->frequency_penalty);
}

// The logit after the penalties for a token with this count word.
static inline float wf_sample_penalise(float logit, uint16_t count, const wf_row_sampling *s)
{
    if (count == 0) return logit;
    int n_outputs = count & (WF_COUNT_PROMPT - 1u);
    logit = logit > 0.0f ? logit / s->repetition_penalty : logit * s->repetition_penalty;
    if (n_outputs > 0)
        logit = (logit - s->presence_penalty) - s->frequency_penalty * (float)n_outputs;
    return logit;
}

// What log-probabilities are taken from: logits below `least` are out.
typedef struct wf_sample_norm {
    float max, least, temperature;
    double log_sum; // of the weights that are in
} wf_sample_norm;

static inline wf_sample_norm wf_sample_norm_of(const float *logits, int32_t n_vocab, float max,
                                               float least, float temperature)
{
    double sum = 0.0;
    for (int32_t id = 0; id < n_vocab; id++)
        if (logits[id] >= least) sum += wf_sample_weight(logits[id], max, temperature);
    return (wf_sample_norm){max, least, temperature, log(sum)};
}

static inline float wf_sample_logprob(const wf_sample_norm *n, float logit)
{
    if (logit < n->least) return -INFINITY;
    return (float)(wf_sample_gap(logit, n->max) / (double)n->temperature - n->log_sum);
}

// The logit of a token of the i-th listed row as it came, where sampling has changed it.
WF_RNG_FN float wf_sample_raw_logit(const wf_sample_args *a, int64_t i, int32_t token)
{
    int64_t slice = token / a->raw_cols, col = token % a->raw_cols;
    return a->raw[(slice * a->logits.n_rows + i) * a->raw_cols + col];
}

// Stop tokens that this row may not draw yet.
WF_RNG_FN int32_t wf_sample_n_masked(const wf_row_sampling *s, int32_t pos)
{
    return pos - s->prompt_len < s->min_tokens ? s->n_stop_ids : 0;
}

WF_RNG_FN bool wf_sample_wishes(const wf_row_wishes *w)
{
    return w->n_allowed > 0 || w->n_bias > 0 || w->n_banned > 0;
}

// Whether an ascending list has this id.
WF_RNG_FN bool wf_sample_listed(const int32_t *ids, int32_t n, int32_t id)
{
    int32_t begin = 0;
    while (begin < n) {
        int32_t middle = begin + (n - begin) / 2;
        if (ids[middle] == id) return true;
        if (ids[middle] < id)
            begin = middle + 1;
        else
            n = middle;
    }
    return false;
}

// A wish of (id, second word) that counts: its id is a token, and a ban's condition holds.
WF_RNG_FN bool wf_sample_is_banned(const int32_t *ban, int32_t n_vocab, int32_t last_token)
{
    return ban[0] >= 0 && ban[0] < n_vocab && (ban[1] < 0 || ban[1] == last_token);
}

static inline void wf_sample_grant(float *logits, int32_t n_vocab, const wf_row_wishes *w,
                                   const int32_t *words, int32_t last_token)
{
    const int32_t *allowed = words + w->i_allowed, *bias = words + w->i_bias;
    const int32_t *banned = words + w->i_banned;
    for (int32_t id = 0, k = 0; w->n_allowed > 0 && id < n_vocab; id++) {
        while (k < w->n_allowed && allowed[k] < id)
            k++;
        if (k == w->n_allowed || allowed[k] != id) logits[id] = -INFINITY;
    }
    for (int32_t k = 0; k < w->n_bias; k++) {
        int32_t id = bias[2 * k];
        float add;
        memcpy(&add, &bias[2 * k + 1], sizeof add);
        if (id >= 0 && id < n_vocab) logits[id] += add;
    }
    for (int32_t k = 0; k < w->n_banned; k++)
        if (wf_sample_is_banned(banned + 2 * k, n_vocab, last_token))
            logits[banned[2 * k]] = -INFINITY;
}

// A token seen once more: prompt tokens are marked, outputs counted up to what fits.
static inline uint16_t wf_sample_count(uint16_t count, bool in_prompt)
{
    if (in_prompt) return (uint16_t)(count | WF_COUNT_PROMPT);
    bool full = (count & (WF_COUNT_PROMPT - 1u)) == WF_COUNT_PROMPT - 1u;
    return (uint16_t)(full ? count : count + 1u);
}

#endif
