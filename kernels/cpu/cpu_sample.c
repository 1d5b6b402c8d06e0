// The sampler without a sort: one pass per filter over the logits, rows in parallel.
//
// top_k and top_p look for the least logit that is kept. Floats map to integers of the same order
// (key_of), and the search goes down their bits, 11 + 11 + 10 of them: each pass counts (top_k) or
// weighs (top_p) the candidates by their next bits and enters the bin in which the bound falls.
// Three passes find the bound exactly, and only the first one touches many logits.
// The draw keeps the running sum at the start of every block of tokens, so that only the block in
// which it falls is weighed twice. Weights and sums are those of sampling.h, in the same order as
// ref's, so the same token is drawn.
#include <math.h>
#include <string.h>

#include "kernels/convert.h"
#include "kernels/cpu/cpu_impl.h"
#include "kernels/op_check.h"
#include "kernels/sampling.h"

#define N_BINS   2048
#define N_BLOCKS 512

// About one thread's nanoseconds for each logit of a row that is weighed.
#define NS_PER_LOGIT 6.0

static const struct {
    int shift, bits;
} levels[] = {{21, 11}, {10, 11}, {0, 10}};

// Greater keys for greater logits; -0 and 0 are one logit.
static uint32_t key_of(float logit)
{
    uint32_t bits = wf_f32_bits(logit + 0.0f);
    return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

static float logit_of(uint32_t key)
{
    return wf_f32_of_bits((key & 0x80000000u) != 0 ? key & 0x7fffffffu : ~key);
}

// A row of logits on its way through the filters.
typedef struct row_state {
    const float *logits;
    int32_t n_vocab;
    float max, temperature;
    float least; // logits below it are out
} row_state;

static double weight_of(const row_state *r, float logit)
{
    return wf_sample_weight(logit, r->max, r->temperature);
}

static void clean(float *logits, int32_t n_vocab)
{
    for (int32_t i = 0; i < n_vocab; i++)
        logits[i] = isnan(logits[i]) ? -INFINITY : logits[i];
}

static void penalise(float *logits, int32_t n_vocab, const wf_row_sampling *p,
                     const uint16_t *counts, int32_t pos)
{
    int32_t n_masked = wf_sample_n_masked(p, pos);
    if (counts != NULL)
        for (int32_t i = 0; i < n_vocab; i++)
            logits[i] = wf_sample_penalise(logits[i], counts[i], p);
    for (int32_t i = 0; i < n_masked; i++)
        if (p->stop_ids[i] >= 0 && p->stop_ids[i] < n_vocab) logits[p->stop_ids[i]] = -INFINITY;
}

static void filter_min_p(row_state *r, float min_p)
{
    // Logits clearly below the bound need no weighing; the slack covers rounding.
    double bound = (double)r->max + (log((double)min_p) - 1e-6) * (double)r->temperature;
    float least = r->max;
    for (int32_t i = 0; i < r->n_vocab; i++) {
        float logit = r->logits[i];
        if ((double)logit < bound || logit >= least) continue;
        if (weight_of(r, logit) >= (double)min_p) least = logit;
    }
    r->least = least;
}

// Walks down the bins from the greatest: the first at which the sum reaches `goal`, or the last
// that is not empty where rounding leaves the goal just out of reach. *sum: of the bins above it.
static int bin_reaching(const double *bins, int n_bins, double goal, double *sum)
{
    int last = -1;
    for (int bin = n_bins - 1; bin >= 0; bin--) {
        if (bins[bin] == 0.0) continue;
        if (last >= 0) *sum += bins[last];
        last = bin;
        if (*sum + bins[bin] >= goal) break;
    }
    return last;
}

// The least key such that the candidates down to it sum to `goal` or more: their number, or their
// weights.
static uint32_t key_reaching(const row_state *r, double goal, bool by_weight)
{
    double above = 0.0;
    uint32_t prefix = 0, mask = 0;
    for (size_t level = 0; level < sizeof levels / sizeof *levels; level++) {
        int shift = levels[level].shift, n_bins = 1 << levels[level].bits;
        double bins[N_BINS];
        memset(bins, 0, (size_t)n_bins * sizeof *bins);
        for (int32_t i = 0; i < r->n_vocab; i++) {
            float logit = r->logits[i];
            uint32_t key = key_of(logit);
            if (logit < r->least || (key & mask) != prefix) continue;
            bins[key >> shift & (uint32_t)(n_bins - 1)] += by_weight ? weight_of(r, logit) : 1.0;
        }
        uint32_t bin = (uint32_t)bin_reaching(bins, n_bins, goal, &above);
        prefix |= bin << shift;
        mask |= (uint32_t)(n_bins - 1) << shift;
    }
    return prefix;
}

static void filter_top_k(row_state *r, int32_t top_k)
{
    int32_t n = 0;
    for (int32_t i = 0; i < r->n_vocab; i++)
        n += r->logits[i] >= r->least;
    if (top_k < n) r->least = logit_of(key_reaching(r, (double)top_k, false));
}

static double total_weight(const row_state *r)
{
    double total = 0.0;
    for (int32_t i = 0; i < r->n_vocab; i++)
        if (r->logits[i] >= r->least) total += weight_of(r, r->logits[i]);
    return total;
}

static int32_t draw(const row_state *r, double uniform)
{
    double at_block[N_BLOCKS + 1], sum = 0.0;
    int32_t per_block = (r->n_vocab + N_BLOCKS - 1) / N_BLOCKS, n_blocks = 0;
    for (int32_t i = 0; i < r->n_vocab; i++) {
        if (i % per_block == 0) at_block[n_blocks++] = sum;
        if (r->logits[i] >= r->least) sum += weight_of(r, r->logits[i]);
    }
    at_block[n_blocks] = sum;
    double target = uniform * sum;
    int32_t block = 0;
    while (block < n_blocks - 1 && at_block[block + 1] <= target)
        block++;
    int32_t token = 0;
    sum = at_block[block];
    for (int32_t i = block * per_block; i < r->n_vocab; i++) {
        if (r->logits[i] < r->least) continue;
        token = i;
        sum += weight_of(r, r->logits[i]);
        if (sum > target) break;
    }
    return token;
}

static int32_t first_of(const float *logits, float value)
{
    int32_t i = 0;
    while (logits[i] != value)
        i++;
    return i;
}

// The token, and the least logit that the filters keep.
static int32_t choose(const float *logits, int32_t n_vocab, float max, const wf_row_sampling *p,
                      int32_t pos, float *least)
{
    *least = -INFINITY;
    if (!(p->temperature > 0.0f)) return first_of(logits, max);
    row_state r = {logits, n_vocab, max, p->temperature, -INFINITY};
    if (p->min_p > 0.0f) filter_min_p(&r, p->min_p);
    if (p->top_k > 0 && p->top_k < n_vocab) filter_top_k(&r, p->top_k);
    if (p->top_p < 1.0f)
        r.least = logit_of(key_reaching(&r, (double)p->top_p * total_weight(&r), true));
    *least = r.least;
    return draw(&r, wf_sample_uniform(p->rng_key, pos));
}

// The n greatest logits in descending order, the lowest id first on ties.
static void find_top(const float *logits, int32_t n_vocab, int32_t n, int32_t *ids, float *values)
{
    int32_t n_found = 0;
    for (int32_t i = 0; i < n_vocab; i++) {
        if (n_found == n && !(logits[i] > values[n - 1])) continue;
        int32_t at = n_found < n ? n_found++ : n - 1;
        for (; at > 0 && logits[i] > values[at - 1]; at--) {
            values[at] = values[at - 1];
            ids[at] = ids[at - 1];
        }
        values[at] = logits[i];
        ids[at] = i;
    }
}

static void write_top(const wf_sample_args *a, int64_t i, const float *logits,
                      const wf_sample_norm *norm)
{
    if (a->top_id == NULL || a->n_top == 0) return;
    float *values = a->top_logprob + i * a->n_top;
    find_top(logits, a->n_vocab, a->n_top, a->top_id + i * a->n_top, values);
    for (int32_t k = 0; k < a->n_top; k++)
        values[k] = wf_sample_logprob(norm, values[k]);
}

// Raw logprobs of a row that sampling is about to change.
static wf_sample_norm write_raw_top(const wf_cpu *cpu, const wf_sample_args *a, int64_t i,
                                    const float *logits)
{
    float max = cpu->isa->greatest(logits, a->n_vocab);
    wf_sample_norm norm = wf_sample_norm_of(logits, a->n_vocab, max, -INFINITY, 1.0f);
    write_top(a, i, logits, &norm);
    return norm;
}

static float raw_logit(const wf_sample_args *a, int64_t i, const float *logits, int32_t token)
{
    float logit = a->raw != NULL ? wf_sample_raw_logit(a, i, token) : logits[token];
    return isnan(logit) ? -INFINITY : logit;
}

static void sample_row(const wf_cpu *cpu, const wf_sample_args *a, int64_t i)
{
    float *logits = (float *)a->logits.data + i * a->logits.stride, least;
    int32_t row = a->row[i];
    const wf_row_sampling *p = &a->sampling[row];
    bool penalised = a->counts != NULL && wf_sampling_penalises(p);
    const uint16_t *counts = penalised ? a->counts + (int64_t)row * a->counts_stride : NULL;
    bool wishes = a->wishes != NULL && wf_sample_wishes(&a->wishes[i]);
    bool changes = penalised || wishes || wf_sample_n_masked(p, a->pos[i]) > 0;
    bool logprobs = a->logprob != NULL || a->top_id != NULL;
    bool before = logprobs && !a->processed && changes;
    wf_sample_norm norm;
    clean(logits, a->n_vocab);
    if (before) norm = write_raw_top(cpu, a, i, logits);
    if (wishes)
        wf_sample_grant(logits, a->n_vocab, &a->wishes[i], a->wish_words, a->last_token[row]);
    if (changes) penalise(logits, a->n_vocab, p, counts, a->pos[i]);
    float max = cpu->isa->greatest(logits, a->n_vocab);
    int32_t token = choose(logits, a->n_vocab, max, p, a->pos[i], &least);
    a->token[i] = token;
    a->last_token[row] = token;
    if (!logprobs) return;
    float temperature = a->processed && p->temperature > 0.0f ? p->temperature : 1.0f;
    if (!a->processed) least = -INFINITY;
    if (!before) {
        norm = wf_sample_norm_of(logits, a->n_vocab, max, least, temperature);
        write_top(a, i, logits, &norm);
    }
    if (a->logprob != NULL)
        a->logprob[i] =
            wf_sample_logprob(&norm, before ? raw_logit(a, i, logits, token) : logits[token]);
}

wf_status wf_cpu_sample(wf_backend *be, wf_stream *s, const wf_sample_args *a)
{
    (void)s;
    WF_TRY(wf_check_sample(a, WF_F32));
    const wf_cpu *cpu = wf_cpu_of(be);
    int n_threads =
        wf_cpu_threads_for(cpu, NS_PER_LOGIT * (double)a->logits.n_rows * (double)a->n_vocab);
#pragma omp parallel for num_threads(n_threads) schedule(dynamic, 1) if (n_threads > 1)
    for (int64_t i = 0; i < a->logits.n_rows; i++)
        sample_row(cpu, a, i);
    return WF_OK;
}

static wf_best best_of(const wf_cpu *cpu, float *logits, const wf_best_args *a)
{
    if (a->n_valid == 0) return (wf_best){-INFINITY, INT32_MAX};
    for (int32_t i = 0; i < a->n_valid; i++)
        logits[i] = isnan(logits[i]) ? -INFINITY : logits[i];
    float max = cpu->isa->greatest(logits, a->n_valid);
    return (wf_best){max, a->first_id + first_of(logits, max)};
}

wf_status wf_cpu_best(wf_backend *be, wf_stream *s, const wf_best_args *a)
{
    (void)s;
    WF_TRY(wf_check_best(a, WF_F32));
    const wf_cpu *cpu = wf_cpu_of(be);
    int n_threads = wf_cpu_threads_for(cpu, (double)a->logits.n_rows * (double)a->n_valid);
#pragma omp parallel for num_threads(n_threads) schedule(dynamic, 1) if (n_threads > 1)
    for (int64_t i = 0; i < a->logits.n_rows; i++)
        a->best[i] = best_of(cpu, (float *)a->logits.data + i * a->logits.stride, a);
    return WF_OK;
}
