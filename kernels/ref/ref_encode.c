// packed_attention: out[t][h] = softmax(scale q K^T + bias) V over the tokens of t's own sequence.
// pool: the first, last, mean or greatest of runs of rows. unit_rows: rows of length 1.
#include <math.h>
#include <stdlib.h>

#include "kernels/convert.h"
#include "kernels/op_check.h"
#include "kernels/ref/ref.h"

static const float *head_of(const wf_packed_attention_args *a, int32_t t, int32_t head)
{
    return (const float *)a->qkv.data + t * a->qkv.stride + (int64_t)head * a->head_dim;
}

static bool sees(const wf_packed_attention_args *a, int32_t t, int32_t p)
{
    return a->window == 0 || abs(p - t) <= a->window;
}

// weights[p - begin] = exp(score - max), 0 where p is not seen; returns their sum.
static double softmax_weights(const wf_packed_attention_args *a, int32_t t, int32_t head,
                              int32_t begin, int32_t end, double *weights)
{
    int32_t kv_head = a->n_heads + head / (a->n_heads / a->n_kv_heads);
    const float *q = head_of(a, t, head);
    double max = -INFINITY, sum = 0.0;
    for (int32_t p = begin; p < end; p++) {
        const float *k = head_of(a, p, kv_head);
        double dot = 0.0;
        for (int32_t d = 0; d < a->head_dim; d++)
            dot += (double)q[d] * (double)k[d];
        dot *= (double)a->scale;
        if (a->bias) dot += (double)a->bias[wf_relative_index(head, a->bias_reach, p - t)];
        weights[p - begin] = sees(a, t, p) ? dot : -INFINITY;
        max = fmax(max, weights[p - begin]);
    }
    for (int32_t p = begin; p < end; p++) {
        weights[p - begin] = exp(weights[p - begin] - max);
        sum += weights[p - begin];
    }
    return sum;
}

wf_status wf_ref_packed_attention(wf_backend *be, wf_stream *s, const wf_packed_attention_args *a)
{
    (void)be;
    (void)s;
    WF_TRY(wf_check_packed_attention(a, WF_F32));
    const wf_batch *b = a->batch;
    double *weights = malloc(((size_t)b->n_tokens + 1) * sizeof *weights);
    if (weights == NULL) return wf_fail(WF_NO_MEMORY, "packed_attention: out of memory");
    for (int32_t t = 0; t < b->n_tokens; t++)
        for (int32_t h = 0; h < a->n_heads; h++) {
            int32_t begin = b->cu_seqlens[b->token_seq[t]],
                    end = b->cu_seqlens[b->token_seq[t] + 1];
            int32_t v_head = a->n_heads + a->n_kv_heads + h / (a->n_heads / a->n_kv_heads);
            double sum = softmax_weights(a, t, h, begin, end, weights);
            float *out = (float *)a->out.data + t * a->out.stride + (int64_t)h * a->head_dim;
            for (int32_t d = 0; d < a->head_dim; d++) {
                double total = 0.0;
                for (int32_t p = begin; p < end; p++)
                    total += weights[p - begin] * (double)head_of(a, p, v_head)[d];
                out[d] = (float)(total / sum);
            }
        }
    free(weights);
    return WF_OK;
}

static float pooled(const wf_pool_args *a, int32_t i, int64_t col)
{
    const float *x = (const float *)a->x.data + col;
    int32_t first = a->pooling == WF_POOL_LAST ? a->last[i] : a->first[i];
    int32_t last = a->pooling == WF_POOL_FIRST ? first : a->last[i];
    double sum = 0.0, most = -INFINITY;
    for (int64_t t = first; t <= last; t++) {
        double v = (double)x[t * a->x.stride];
        sum += v;
        most = fmax(most, v);
    }
    return (float)(a->pooling == WF_POOL_MAX ? most : sum / (last - first + 1));
}

wf_status wf_ref_pool(wf_backend *be, wf_stream *s, const wf_pool_args *a)
{
    (void)be;
    (void)s;
    WF_TRY(wf_check_pool(a, WF_F32));
    for (int32_t i = 0; i < a->y.n_rows; i++)
        for (int64_t k = 0; k < a->y.n_cols; k++)
            ((float *)a->y.data)[i * a->y.stride + k] = pooled(a, i, k);
    return WF_OK;
}

wf_status wf_ref_unit_rows(wf_backend *be, wf_stream *s, const wf_unit_rows_args *a)
{
    (void)be;
    (void)s;
    WF_TRY(wf_check_unit_rows(a, WF_F32));
    for (int64_t i = 0; i < a->x.n_rows; i++) {
        const float *x = (const float *)a->x.data + i * a->x.stride;
        float *y = (float *)a->y.data + i * a->y.stride;
        double squares = 0.0;
        for (int64_t k = 0; k < a->x.n_cols; k++)
            squares += (double)x[k] * (double)x[k];
        double length = a->plain ? 1.0 : fmax(sqrt(squares), WF_LEAST_LENGTH);
        for (int64_t k = 0; k < a->x.n_cols; k++)
            y[k] = (float)((double)x[k] / length);
    }
    return WF_OK;
}
