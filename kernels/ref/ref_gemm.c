// y[m][n] = sum over k of x[m][k] w[n][k] (+ bias[n]); the sum is a double, k ascending.
// y[i] = scale * table[ids[i] - vocab_begin], zeros where this rank does not hold the row; plus
// types[type[i]] and positions[pos[i] + first_position] where there are such.
#include "kernels/op_check.h"
#include "kernels/ref/ref.h"

wf_status wf_ref_gemm(wf_backend *be, wf_stream *s, const wf_gemm_args *a)
{
    (void)be;
    (void)s;
    WF_TRY(wf_check_gemm(a, WF_F32));
    for (int64_t m = 0; m < a->x.n_rows; m++) {
        const float *x = (const float *)a->x.data + m * a->x.stride;
        float *y = (float *)a->y.data + m * a->y.stride;
        for (int64_t n = 0; n < a->w->n_rows; n++) {
            double sum = 0.0;
            for (int64_t k = 0; k < a->w->n_cols; k++)
                sum += (double)x[k] * (double)wf_ref_weight_at(a->w, n, k);
            y[n] = (float)(sum + (a->bias != NULL ? (double)a->bias[n] : 0.0));
        }
    }
    return WF_OK;
}

wf_status wf_ref_embed(wf_backend *be, wf_stream *s, const wf_embed_args *a)
{
    (void)be;
    (void)s;
    WF_TRY(wf_check_embed(a, WF_F32));
    for (int64_t i = 0; i < a->y.n_rows; i++) {
        float *y = (float *)a->y.data + i * a->y.stride;
        int64_t row = (int64_t)a->ids[i] - a->vocab_begin;
        bool mine = row >= 0 && row < a->table->n_rows;
        for (int64_t k = 0; k < a->y.n_cols; k++)
            y[k] = mine ? wf_scale_of(a->scale) * wf_ref_weight_at(a->table, row, k) : 0.0f;
        for (int64_t k = 0; a->types != NULL && k < a->y.n_cols; k++)
            y[k] += wf_ref_weight_at(a->types, a->type ? a->type[i] : 0, k);
        for (int64_t k = 0; a->positions != NULL && k < a->y.n_cols; k++)
            y[k] += wf_ref_weight_at(a->positions, a->pos[i] + a->first_position, k);
    }
    return WF_OK;
}
