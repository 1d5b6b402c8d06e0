// The sampler, by sorting: wishes, penalties, logprobs, filters and the draw in the order of ops.h.
#include <math.h>
#include <stdlib.h>

#include "kernels/op_check.h"
#include "kernels/ref/ref.h"
#include "kernels/sampling.h"

typedef struct ranked {
    float logit;
    int32_t id;
} ranked;

static int by_logit_then_id(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->logit != y->logit) return x->logit > y->logit ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

static void clean(float *logits, int32_t n_vocab)
{
    for (int32_t i = 0; i < n_vocab; i++)
        if (isnan(logits[i])) logits[i] = -INFINITY;
}

static void grant(const wf_sample_args *a, int64_t i, float *logits)
{
    if (a->wishes)
        wf_sample_grant(logits, a->n_vocab, &a->wishes[i], a->wish_words, a->last_token[a->row[i]]);
}

static void penalise(float *logits, int32_t n_vocab, const wf_row_sampling *p,
                     const uint16_t *counts, int32_t pos)
{
    int32_t n_masked = wf_sample_n_masked(p, pos);
    if (counts != NULL && wf_sampling_penalises(p))
        for (int32_t i = 0; i < n_vocab; i++)
            logits[i] = wf_sample_penalise(logits[i], counts[i], p);
    for (int32_t i = 0; i < n_masked; i++)
        if (p->stop_ids[i] >= 0 && p->stop_ids[i] < n_vocab) logits[p->stop_ids[i]] = -INFINITY;
}

// The least logit that the filters keep; `sorted` is in descending order.
static float kept_threshold(const ranked *sorted, int32_t n_vocab, const wf_row_sampling *p)
{
    float max = sorted[0].logit, t = p->temperature;
    int32_t n = n_vocab; // kept: the first n
    while (p->min_p > 0.0f && n > 1 &&
           wf_sample_weight(sorted[n - 1].logit, max, t) < (double)p->min_p)
        n--;
    if (p->top_k > 0 && p->top_k < n) {
        float least = sorted[p->top_k - 1].logit;
        while (sorted[n - 1].logit < least)
            n--;
    }
    if (p->top_p >= 1.0f) return sorted[n - 1].logit;
    double total = 0.0, sum = 0.0;
    for (int32_t i = 0; i < n; i++)
        total += wf_sample_weight(sorted[i].logit, max, t);
    int32_t last = 0;
    while (last < n - 1) {
        sum += wf_sample_weight(sorted[last].logit, max, t);
        if (sum >= (double)p->top_p * total) break;
        last++;
    }
    return sorted[last].logit;
}

static int32_t draw(const float *logits, int32_t n_vocab, float max, float threshold,
                    const wf_row_sampling *p, int32_t pos)
{
    double total = 0.0, sum = 0.0;
    for (int32_t i = 0; i < n_vocab; i++)
        if (logits[i] >= threshold) total += wf_sample_weight(logits[i], max, p->temperature);
    double target = wf_sample_uniform(p->rng_key, pos) * total;
    int32_t token = 0;
    for (int32_t i = 0; i < n_vocab; i++) {
        if (logits[i] < threshold) continue;
        token = i;
        sum += wf_sample_weight(logits[i], max, p->temperature);
        if (sum > target) break;
    }
    return token;
}

static void sort(const float *logits, int32_t n_vocab, ranked *sorted)
{
    for (int32_t id = 0; id < n_vocab; id++)
        sorted[id] = (ranked){logits[id], id};
    qsort(sorted, (size_t)n_vocab, sizeof *sorted, by_logit_then_id);
}

static void write_top(const wf_sample_args *a, int64_t i, const ranked *sorted,
                      const wf_sample_norm *norm)
{
    for (int32_t k = 0; a->top_id != NULL && k < a->n_top; k++) {
        a->top_id[i * a->n_top + k] = sorted[k].id;
        a->top_logprob[i * a->n_top + k] = wf_sample_logprob(norm, sorted[k].logit);
    }
}

static void sample_row(const wf_sample_args *a, int64_t i, ranked *sorted)
{
    float *logits = (float *)a->logits.data + i * a->logits.stride;
    int32_t row = a->row[i], n_vocab = a->n_vocab, token;
    const wf_row_sampling *p = &a->sampling[row];
    const uint16_t *counts = a->counts != NULL ? a->counts + (int64_t)row * a->counts_stride : NULL;
    clean(logits, n_vocab);
    sort(logits, n_vocab, sorted);
    wf_sample_norm norm = wf_sample_norm_of(logits, n_vocab, sorted[0].logit, -INFINITY, 1.0f);
    if (!a->processed) write_top(a, i, sorted, &norm);

    grant(a, i, logits);
    penalise(logits, n_vocab, p, counts, a->pos[i]);
    sort(logits, n_vocab, sorted);
    float max = sorted[0].logit, least = -INFINITY, temperature = 1.0f;
    token = sorted[0].id;
    if (p->temperature > 0.0f) {
        temperature = p->temperature;
        least = kept_threshold(sorted, n_vocab, p);
        token = draw(logits, n_vocab, max, least, p, a->pos[i]);
    }
    a->token[i] = token;
    a->last_token[row] = token;

    float logit = logits[token];
    if (a->processed) {
        norm = wf_sample_norm_of(logits, n_vocab, max, least, temperature);
        write_top(a, i, sorted, &norm);
    } else if (a->raw != NULL) {
        logit = wf_sample_raw_logit(a, i, token);
        if (isnan(logit)) logit = -INFINITY;
    }
    if (a->logprob != NULL) a->logprob[i] = wf_sample_logprob(&norm, logit);
}

wf_status wf_ref_sample(wf_backend *be, wf_stream *s, const wf_sample_args *a)
{
    (void)be;
    (void)s;
    WF_TRY(wf_check_sample(a, WF_F32));
    ranked *sorted = malloc((size_t)a->n_vocab * sizeof *sorted);
    if (sorted == NULL) return wf_fail(WF_NO_MEMORY, "sample: out of memory");
    for (int64_t i = 0; i < a->logits.n_rows; i++)
        sample_row(a, i, sorted);
    free(sorted);
    return WF_OK;
}

static bool better(wf_best a, wf_best b)
{
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

wf_status wf_ref_best(wf_backend *be, wf_stream *s, const wf_best_args *a)
{
    (void)be;
    (void)s;
    WF_TRY(wf_check_best(a, WF_F32));
    for (int64_t i = 0; i < a->logits.n_rows; i++) {
        const float *logits = (const float *)a->logits.data + i * a->logits.stride;
        wf_best best = {-INFINITY, INT32_MAX};
        for (int32_t k = 0; k < a->n_valid; k++) {
            wf_best one = {isnan(logits[k]) ? -INFINITY : logits[k], a->first_id + k};
            if (better(one, best)) best = one;
        }
        a->best[i] = best;
    }
    return WF_OK;
}

wf_status wf_ref_best_pick(wf_backend *be, wf_stream *s, const wf_best_pick_args *a)
{
    (void)be;
    (void)s;
    WF_TRY(wf_check_best_pick(a, WF_F32));
    for (int32_t i = 0; i < a->n; i++) {
        wf_best best = a->best[i];
        for (int32_t r = 1; r < a->n_ranks; r++)
            if (better(a->best[r * a->n + i], best)) best = a->best[r * a->n + i];
        a->token[i] = best.id;
        a->last_token[a->row[i]] = best.id;
    }
    return WF_OK;
}
