// gate_mul: y = curve(gate) * up, x = [gate | up]. activate: y = curve(x). Curves: silu, gelu in
// the tanh form of GPT-2 and GPT-J, gelu as x Phi(x), GPT-NeoX's, relu, OPT's, and
// tanh, of poolers.
#include <math.h>

#include "kernels/op_check.h"
#include "kernels/ref/ref.h"

static double gelu(double v, wf_curve curve)
{
    double inner = 0.79788456080286535588 * (v + 0.044715 * v * v * v); // sqrt(2 / pi)
    bool exact = curve == WF_CURVE_GELU_EXACT;
    return 0.5 * v * (exact ? erfc(v * -0.70710678118654752440) : 1.0 + tanh(inner));
}

static double value_of(double v, wf_curve curve)
{
    if (curve == WF_CURVE_SILU) return v / (1.0 + exp(-v));
    if (curve == WF_CURVE_TANH) return tanh(v);
    if (curve == WF_CURVE_RELU) return v < 0.0 ? 0.0 : v;
    return gelu(v, curve);
}

wf_status wf_ref_gate_mul(wf_backend *be, wf_stream *s, const wf_activation_args *a)
{
    (void)be;
    (void)s;
    WF_TRY(wf_check_gate_mul(a, WF_F32));
    for (int64_t i = 0; i < a->y.n_rows; i++) {
        const float *gate = (const float *)a->x.data + i * a->x.stride;
        const float *up = gate + a->y.n_cols;
        float *y = (float *)a->y.data + i * a->y.stride;
        for (int64_t j = 0; j < a->y.n_cols; j++)
            y[j] = (float)(value_of((double)gate[j], a->curve) * (double)up[j]);
    }
    return WF_OK;
}

wf_status wf_ref_activate(wf_backend *be, wf_stream *s, const wf_activation_args *a)
{
    (void)be;
    (void)s;
    WF_TRY(wf_check_activate(a, WF_F32));
    for (int64_t i = 0; i < a->y.n_rows; i++) {
        const float *x = (const float *)a->x.data + i * a->x.stride;
        float *y = (float *)a->y.data + i * a->y.stride;
        for (int64_t j = 0; j < a->y.n_cols; j++)
            y[j] = (float)value_of((double)x[j], a->curve);
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
