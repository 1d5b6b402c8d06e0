// silu_mul: y = silu(gate) * up, x = [gate | up]. gelu: the tanh form of GPT-2 and
// GPT-J, or x Phi(x), GPT-NeoX's.
#include <math.h>

#include "kernels/op_check.h"
#include "kernels/ref/ref.h"

wf_status wf_ref_silu_mul(wf_backend *be, wf_stream *s, const wf_activation_args *a)
{
    (void)be;
    (void)s;
    WF_TRY(wf_check_silu_mul(a, WF_F32));
    for (int64_t i = 0; i < a->y.n_rows; i++) {
        const float *gate = (const float *)a->x.data + i * a->x.stride;
        const float *up = gate + a->y.n_cols;
        float *y = (float *)a->y.data + i * a->y.stride;
        for (int64_t j = 0; j < a->y.n_cols; j++)
            y[j] = (float)((double)gate[j] / (1.0 + exp(-(double)gate[j])) * (double)up[j]);
    }
    return WF_OK;
}

wf_status wf_ref_gelu(wf_backend *be, wf_stream *s, const wf_activation_args *a)
{
    (void)be;
    (void)s;
    WF_TRY(wf_check_gelu(a, WF_F32));
    for (int64_t i = 0; i < a->y.n_rows; i++) {
        const float *x = (const float *)a->x.data + i * a->x.stride;
        float *y = (float *)a->y.data + i * a->y.stride;
        for (int64_t j = 0; j < a->y.n_cols; j++) {
            double v = (double)x[j];
            double inner = 0.79788456080286535588 * (v + 0.044715 * v * v * v); // sqrt(2 / pi)
            double twice_phi = a->exact ? erfc(v * -0.70710678118654752440) : 1.0 + tanh(inner);
            y[j] = (float)(0.5 * v * twice_phi);
        }
    }
    return WF_OK;
}

wf_status wf_ref_softcap(wf_backend *be, wf_stream *s, const wf_softcap_args *a)
{
    (void)be;
    (void)s;
    WF_TRY(wf_check_softcap(a, WF_F32));
    for (int64_t i = 0; i < a->x.n_rows; i++) {
        float *x = (float *)a->x.data + i * a->x.stride;
        for (int64_t j = 0; j < a->x.n_cols; j++)
            x[j] = (float)((double)a->cap * tanh((double)x[j] / (double)a->cap));
    }
    return WF_OK;
}
