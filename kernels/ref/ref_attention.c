// rope_kv_append: q and k normed where asked, rotated by their position; k and v appended to the
// pages.
// attention: out[t][h] = softmax(scale q K^T) V over the positions that a token sees, in two
// passes, with what ops.h says may be done to the scores and their sum.
#include <math.h>
#include <stdlib.h>

#include "kernels/convert.h"
#include "kernels/kv.h"
#include "kernels/op_check.h"
#include "kernels/quantize.h"
#include "kernels/ref/ref.h"

// One head's K or V of one position in the cache.
typedef struct cached {
    int64_t at;   // its first number's element
    float *scale; // NULL: numbers are values
} cached;

// K of position `pos` of packed token t's sequence, or V.
static cached cached_of(const wf_batch *b, const wf_kv *kv, int32_t t, int32_t pos, int32_t head,
                        bool is_v)
{
    const int32_t *pages = b->page_table + (int64_t)b->seq_row[b->token_seq[t]] * b->page_stride;
    int64_t tile = pages[pos / kv->page_tokens] * kv->page_stride + head * kv->head_stride +
                   (is_v ? kv->kv_stride : 0);
    int32_t token = pos % kv->page_tokens;
    cached x = {.at = tile + (int64_t)token * kv->head_dim};
    if (wf_format_scaled(kv->dtype))
        x.scale = (float *)(void *)((char *)kv->base + wf_kv_scales_at(kv, tile)) + token;
    return x;
}

static double kv_number(const wf_kv *kv, cached x, int32_t d)
{
    double number = (double)wf_load_f32(kv->base, kv->dtype, x.at + d);
    return x.scale != NULL ? number * (double)*x.scale : number;
}

static void keep(const wf_kv *kv, cached x, const float *values)
{
    if (x.scale != NULL)
        wf_quantize_row(values, kv->head_dim, kv->dtype, 0, (char *)kv->base + x.at, x.scale);
    else
        for (int32_t d = 0; d < kv->head_dim; d++)
            wf_store_f32(kv->base, kv->dtype, x.at + d, values[d]);
}

static void rotate(float *x, const float *cos_row, const float *sin_row, int32_t rotary_dim,
                   bool interleaved)
{
    int32_t half = rotary_dim / 2;
    for (int32_t i = 0; i < half; i++) {
        int32_t first = interleaved ? 2 * i : i, second = interleaved ? 2 * i + 1 : i + half;
        double c = (double)cos_row[i], s = (double)sin_row[i];
        double a = (double)x[first], b = (double)x[second];
        x[first] = (float)(a * c - b * s);
        x[second] = (float)(b * c + a * s);
    }
}

static double squares_of(const float *x, double center, int32_t n)
{
    double sum = 0.0;
    for (int32_t d = 0; d < n; d++)
        sum += ((double)x[d] - center) * ((double)x[d] - center);
    return sum;
}

wf_status wf_ref_head_squares(wf_backend *be, wf_stream *s, const wf_head_squares_args *a)
{
    (void)be;
    (void)s;
    WF_TRY(wf_check_head_squares(a, WF_F32));
    for (int64_t t = 0; t < a->qkv.n_rows; t++)
        for (int32_t h = 0; h < a->n_heads; h++)
            a->squares[t * a->n_heads + h] = (float)squares_of(
                (const float *)a->qkv.data + t * a->qkv.stride + (int64_t)h * a->head_dim, 0.0,
                a->head_dim);
    return WF_OK;
}

// The mean square over all heads of q or of k, of all ranks.
static double mean_of_all(const wf_rope_args *a, int32_t t, bool is_k)
{
    int32_t n_both = a->n_heads + a->kv.n_kv_heads;
    int32_t first = is_k ? a->n_heads : 0, end = is_k ? n_both : a->n_heads;
    double sum = 0.0;
    for (int64_t rank = 0; rank < a->n_ranks; rank++)
        for (int32_t h = first; h < end; h++)
            sum += (double)a->squares[(rank * a->qkv.n_rows + t) * n_both + h];
    return sum / ((double)a->n_ranks * (end - first) * a->kv.head_dim);
}

static void norm_head(const wf_rope_args *a, int32_t t, int32_t h, float *x)
{
    int32_t n = a->kv.head_dim;
    bool is_k = h >= a->n_heads;
    const float *weight = is_k ? a->k_norm + (int64_t)(h - a->n_heads) * a->norm_stride
                               : a->q_norm + (int64_t)h * a->norm_stride;
    double mean = 0.0;
    for (int32_t d = 0; a->norm_centred && d < n; d++)
        mean += (double)x[d] / n;
    double squares = a->squares ? mean_of_all(a, t, is_k) : squares_of(x, mean, n) / n;
    for (int32_t d = 0; d < n; d++)
        x[d] = (float)(((double)x[d] - mean) / sqrt(squares + (double)a->norm_eps) *
                       (double)weight[d]);
}

// Heads of q and k, before they are rotated.
static void norm_heads(const wf_rope_args *a, int32_t t, float *row)
{
    for (int32_t h = 0; h < a->n_heads + a->kv.n_kv_heads; h++)
        norm_head(a, t, h, row + (int64_t)h * a->kv.head_dim);
}

wf_status wf_ref_rope_kv_append(wf_backend *be, wf_stream *s, const wf_rope_args *a)
{
    (void)be;
    (void)s;
    WF_TRY(wf_check_rope_kv_append(a, WF_F32));
    const wf_kv *kv = &a->kv;
    for (int32_t t = 0; t < a->batch->n_tokens; t++) {
        float *row = (float *)a->qkv.data + t * a->qkv.stride;
        int32_t pos = a->batch->token_pos[t];
        const float *cos_row = a->cos + (int64_t)pos * (a->rotary_dim / 2);
        const float *sin_row = a->sin + (int64_t)pos * (a->rotary_dim / 2);
        if (a->q_norm) norm_heads(a, t, row);
        for (int32_t h = 0; h < a->n_heads + kv->n_kv_heads && a->rotary_dim > 0; h++)
            rotate(row + (int64_t)h * kv->head_dim, cos_row, sin_row, a->rotary_dim,
                   a->interleaved);
        for (int32_t h = 0; h < kv->n_kv_heads && kv->base; h++) {
            const float *k = row + (int64_t)(a->n_heads + h) * kv->head_dim;
            const float *v = k + (int64_t)kv->n_kv_heads * kv->head_dim;
            keep(kv, cached_of(a->batch, kv, t, pos, h, false), k);
            keep(kv, cached_of(a->batch, kv, t, pos, h, true), v);
        }
    }
    return WF_OK;
}

// First position that packed token t sees.
static int32_t first_seen(const wf_attention_args *a, int32_t t)
{
    int32_t pos = a->batch->token_pos[t];
    return a->window > 0 && pos >= a->window ? pos - a->window + 1 : 0;
}

// A score as it enters the softmax; `back`: how far its position lies behind the query's.
static double bend(const wf_attention_args *a, double score, int32_t head, int32_t back)
{
    double cap = (double)a->softcap;
    if (cap > 0.0) score = cap * tanh(score / cap);
    return a->slopes ? score - (double)a->slopes[head] * back : score;
}

// weights[p] = exp(score - max) of the positions that are seen; returns their sum, and the sink's.
static double softmax_weights(const wf_attention_args *a, int32_t t, int32_t head, double *weights)
{
    const wf_kv *kv = &a->kv;
    int32_t kv_head = head / (a->n_heads / kv->n_kv_heads), pos = a->batch->token_pos[t];
    int32_t first = first_seen(a, t);
    const float *q = (const float *)a->qkv.data + t * a->qkv.stride + (int64_t)head * kv->head_dim;
    double max = a->sinks ? (double)a->sinks[head] : -INFINITY, sum;
    for (int32_t p = first; p <= pos; p++) {
        cached k = cached_of(a->batch, kv, t, p, kv_head, false);
        double dot = 0.0;
        for (int32_t d = 0; d < kv->head_dim; d++)
            dot += (double)q[d] * kv_number(kv, k, d);
        weights[p] = bend(a, dot * (double)a->scale, head, pos - p);
        max = fmax(max, weights[p]);
    }
    sum = a->sinks ? exp((double)a->sinks[head] - max) : 0.0;
    for (int32_t p = first; p <= pos; p++) {
        weights[p] = exp(weights[p] - max);
        sum += weights[p];
    }
    return sum;
}

wf_status wf_ref_attention(wf_backend *be, wf_stream *s, const wf_attention_args *a)
{
    (void)be;
    (void)s;
    WF_TRY(wf_check_attention(a, WF_F32));
    const wf_kv *kv = &a->kv;
    double *weights = malloc((size_t)(a->batch->max_context + 1) * sizeof *weights);
    if (weights == NULL) return wf_fail(WF_NO_MEMORY, "attention: out of memory");
    for (int32_t t = 0; t < a->batch->n_tokens; t++)
        for (int32_t h = 0; h < a->n_heads; h++) {
            int32_t kv_head = h / (a->n_heads / kv->n_kv_heads);
            double sum = softmax_weights(a, t, h, weights);
            float *out = (float *)a->out.data + t * a->out.stride + (int64_t)h * kv->head_dim;
            for (int32_t d = 0; d < kv->head_dim; d++) {
                double total = 0.0;
                for (int32_t p = first_seen(a, t); p <= a->batch->token_pos[t]; p++) {
                    cached v = cached_of(a->batch, kv, t, p, kv_head, true);
                    total += weights[p] * kv_number(kv, v, d);
                }
                out[d] = (float)(total / sum);
            }
        }
    free(weights);
    return WF_OK;
}
