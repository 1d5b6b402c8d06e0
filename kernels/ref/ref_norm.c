// rmsnorm:   y = x / sqrt(mean(x^2) + eps) * weight
// layernorm: y = (x - mean) / sqrt(var + eps) * weight + bias
// With a residual, residual += scale * x comes first and the norm is of the sum. add: y += x.
#include <math.h>

#include "kernels/op_check.h"
#include "kernels/ref/ref.h"

static float *row_of(const wf_matrix *m, int64_t i)
{
    return (float *)m->data + i * m->stride;
}

// The row to be normalised: x itself, or the residual after x was added to it.
static const float *norm_input(const wf_matrix *x, const wf_matrix *residual, float scale,
                               int64_t i)
{
    const float *x_row = row_of(x, i);
    if (residual->data == NULL) return x_row;
    float *r = row_of(residual, i);
    for (int64_t j = 0; j < x->n_cols; j++)
        r[j] += wf_scale_of(scale) * x_row[j];
    return r;
}

wf_status wf_ref_rmsnorm(wf_backend *be, wf_stream *s, const wf_rmsnorm_args *a)
{
    (void)be;
    (void)s;
    WF_TRY(wf_check_rmsnorm(a, WF_F32));
    for (int64_t i = 0; i < a->x.n_rows; i++) {
        const float *x = norm_input(&a->x, &a->residual, a->scale, i);
        float *y = row_of(&a->y, i);
        double squares = 0.0;
        for (int64_t j = 0; j < a->x.n_cols; j++)
            squares += (double)x[j] * (double)x[j];
        double scale = 1.0 / sqrt(squares / (double)a->x.n_cols + (double)a->eps);
        for (int64_t j = 0; j < a->x.n_cols; j++)
            y[j] = (float)((double)x[j] * scale * (double)a->weight[j]);
    }
    return WF_OK;
}

wf_status wf_ref_layernorm(wf_backend *be, wf_stream *s, const wf_layernorm_args *a)
{
    (void)be;
    (void)s;
    WF_TRY(wf_check_layernorm(a, WF_F32));
    double n = (double)a->x.n_cols;
    for (int64_t i = 0; i < a->x.n_rows; i++) {
        const float *x = norm_input(&a->x, &a->residual, a->scale, i);
        float *y = row_of(&a->y, i);
        double sum = 0.0, squares = 0.0;
        for (int64_t j = 0; j < a->x.n_cols; j++)
            sum += (double)x[j];
        for (int64_t j = 0; j < a->x.n_cols; j++)
            squares += ((double)x[j] - sum / n) * ((double)x[j] - sum / n);
        double scale = 1.0 / sqrt(squares / n + (double)a->eps);
        for (int64_t j = 0; j < a->x.n_cols; j++) {
            double bias = a->bias != NULL ? (double)a->bias[j] : 0.0;
            y[j] = (float)(((double)x[j] - sum / n) * scale * (double)a->weight[j] + bias);
        }
    }
    return WF_OK;
}

wf_status wf_ref_add(wf_backend *be, wf_stream *s, const wf_add_args *a)
{
    (void)be;
    (void)s;
    WF_TRY(wf_check_add(a, WF_F32));
    for (int64_t i = 0; i < a->x.n_rows; i++)
        for (int64_t j = 0; j < a->x.n_cols; j++)
            row_of(&a->y, i)[j] += row_of(&a->x, i)[j];
    return WF_OK;
}
