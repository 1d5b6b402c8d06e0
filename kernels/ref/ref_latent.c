// heads_gemm, latent_append, latent_attention. Sums are doubles, ascending.
#include <math.h>
#include <stdlib.h>

#include "kernels/convert.h"
#include "kernels/op_check.h"
#include "kernels/ref/ref.h"

wf_status wf_ref_heads_gemm(wf_backend *be, wf_stream *s, const wf_heads_gemm_args *a)
{
    (void)be;
    (void)s;
    WF_TRY(wf_check_heads_gemm(a, WF_F32));
    int64_t n_out = a->w->n_rows, n_in = a->w->n_cols;
    for (int64_t t = 0; t < a->x.n_rows; t++)
        for (int64_t h = 0; h < a->w->n_groups; h++) {
            const float *x = (const float *)a->x.data + t * a->x.stride + h * a->x_step;
            float *y = (float *)a->y.data + t * a->y.stride + h * a->y_step;
            for (int64_t n = 0; n < n_out; n++) {
                double sum = 0.0;
                for (int64_t k = 0; k < n_in; k++)
                    sum += (double)x[k] * (double)wf_ref_weight_at(a->w, h * n_out + n, k);
                y[n] = (float)sum;
            }
        }
    return WF_OK;
}

// Element offset of position `pos` of packed token t's sequence.
static int64_t row_offset(const wf_batch *b, const wf_kv *kv, int32_t t, int32_t pos)
{
    const int32_t *pages = b->page_table + (int64_t)b->seq_row[b->token_seq[t]] * b->page_stride;
    return pages[pos / kv->page_tokens] * kv->page_stride +
           (int64_t)(pos % kv->page_tokens) * kv->head_dim;
}

static void rotate(const wf_latent_append_args *a, int32_t pos, const float *x, float *y)
{
    int32_t half = a->rope / 2;
    const float *cos_row = a->cos + (int64_t)pos * half, *sin_row = a->sin + (int64_t)pos * half;
    for (int32_t i = 0; i < half; i++) {
        int32_t first = a->interleaved ? 2 * i : i;
        int32_t second = a->interleaved ? 2 * i + 1 : i + half;
        double c = (double)cos_row[i], s = (double)sin_row[i];
        double p = (double)x[first], q = (double)x[second];
        y[first] = (float)(p * c - q * s);
        y[second] = (float)(q * c + p * s);
    }
}

static void append(const wf_latent_append_args *a, int32_t t, int32_t pos)
{
    const float *c = (const float *)a->c.data + t * a->c.stride;
    int64_t at = row_offset(a->batch, &a->kv, t, pos);
    double squares = 0.0;
    float rotated[WF_MAX_LATENT];
    for (int32_t d = 0; d < a->rank; d++)
        squares += (double)c[d] * (double)c[d];
    double scale = 1.0 / sqrt(squares / a->rank + (double)a->norm_eps);
    for (int32_t d = 0; d < a->rank; d++)
        wf_store_f32(a->kv.base, a->kv.dtype, at + d,
                     (float)((double)c[d] * scale * (double)a->norm[d]));
    rotate(a, pos, c + a->rank, rotated);
    for (int32_t d = 0; d < a->rope; d++)
        wf_store_f32(a->kv.base, a->kv.dtype, at + a->rank + d, rotated[d]);
}

wf_status wf_ref_latent_append(wf_backend *be, wf_stream *s, const wf_latent_append_args *a)
{
    (void)be;
    (void)s;
    WF_TRY(wf_check_latent_append(a, WF_F32));
    int32_t head = a->nope + a->rope;
    for (int32_t t = 0; t < a->batch->n_tokens; t++) {
        int32_t pos = a->batch->token_pos[t];
        append(a, t, pos);
        for (int32_t h = 0; h < a->n_heads; h++)
            rotate(a, pos, (const float *)a->q.data + t * a->q.stride + (int64_t)h * head + a->nope,
                   (float *)a->wide.data + t * a->wide.stride + (int64_t)h * a->kv.head_dim +
                       a->rank);
    }
    return WF_OK;
}

static void attend(const wf_latent_attention_args *a, int32_t t, int32_t h, double *weights)
{
    const wf_kv *kv = &a->kv;
    int32_t pos = a->batch->token_pos[t];
    const float *q = (const float *)a->q.data + t * a->q.stride + (int64_t)h * kv->head_dim;
    float *out = (float *)a->out.data + t * a->out.stride + (int64_t)h * a->rank;
    double max = -INFINITY, sum = 0.0;
    for (int32_t p = 0; p <= pos; p++) {
        int64_t at = row_offset(a->batch, kv, t, p);
        double dot = 0.0;
        for (int32_t d = 0; d < kv->head_dim; d++)
            dot += (double)q[d] * (double)wf_load_f32(kv->base, kv->dtype, at + d);
        weights[p] = dot * (double)a->scale;
        max = fmax(max, weights[p]);
    }
    for (int32_t p = 0; p <= pos; p++) {
        weights[p] = exp(weights[p] - max);
        sum += weights[p];
    }
    for (int32_t d = 0; d < a->rank; d++) {
        double total = 0.0;
        for (int32_t p = 0; p <= pos; p++)
            total += weights[p] *
                     (double)wf_load_f32(kv->base, kv->dtype, row_offset(a->batch, kv, t, p) + d);
        out[d] = (float)(total / sum);
    }
}

wf_status wf_ref_latent_attention(wf_backend *be, wf_stream *s, const wf_latent_attention_args *a)
{
    (void)be;
    (void)s;
    WF_TRY(wf_check_latent_attention(a, WF_F32));
    double *weights = malloc((size_t)(a->batch->max_context + 1) * sizeof *weights);
    if (weights == NULL) return wf_fail(WF_NO_MEMORY, "latent_attention: out of memory");
    for (int32_t t = 0; t < a->batch->n_tokens; t++)
        for (int32_t h = 0; h < a->n_heads; h++)
            attend(a, t, h, weights);
    free(weights);
    return WF_OK;
}
