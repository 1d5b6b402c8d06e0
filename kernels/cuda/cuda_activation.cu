// gate_mul: y = curve(gate) * up, x = [gate | up]. activate: y = curve(x); curves as in ops.h.
// add: y += x. softcap: x = cap tanh(x / cap), in place and always f32.
//
// x, y: act. A thread does VEC neighbours (16 bytes) where rows allow it, else one. Computed in
// f32. Bytes, 2-byte act: gate_mul 6 F per row, activate 4 F, add 6 H. Tolerance: rounding of act.
#include "kernels/cuda/cuda_num.cuh"

extern "C" {
#include "kernels/ops/op_activation.h"
#include "kernels/ops/op_norm.h"
}

enum act_kind { GATE_MUL, ACTIVATE, ADD };

template <wf_curve CURVE> __device__ __forceinline__ float curve_of(float x)
{
    if (CURVE == WF_CURVE_SILU) return x / (1.0f + expf(-x));
    if (CURVE == WF_CURVE_GELU_TANH)
        return 0.5f * x * (1.0f + tanhf(0.7978845608028654f * (x + 0.044715f * x * x * x)));
    if (CURVE == WF_CURVE_GELU_EXACT) return x * normcdff(x);
    if (CURVE == WF_CURVE_TANH) return tanhf(x);
    return x < 0.0f ? 0.0f : x;
}

template <typename T, int VEC, act_kind KIND, wf_curve CURVE>
static __global__ void act_kernel(wf_matrix x, wf_matrix y, int64_t n_pieces)
{
    typedef vec<T, VEC> piece;
    let_next_start();
    wait_for_previous();
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    int64_t per_row = y.n_cols / VEC, row = i / per_row, at = i % per_row;
    if (i >= n_pieces) return;
    const T *x_row = (const T *)x.data + row * x.stride;
    T *y_row = (T *)y.data + row * y.stride;
    piece a = ((const piece *)x_row)[at], b, out;
    if (KIND == GATE_MUL) b = *(const piece *)(x_row + y.n_cols + at * VEC);
    if (KIND == ADD) b = ((const piece *)y_row)[at];
#pragma unroll
    for (int j = 0; j < VEC; j++) {
        float v = to_f32(a.v[j]);
        if (KIND != ADD) v = curve_of<CURVE>(v);
        if (KIND == GATE_MUL) v *= to_f32(b.v[j]);
        if (KIND == ADD) v += to_f32(b.v[j]);
        out.v[j] = of_f32<T>(v);
    }
    ((piece *)y_row)[at] = out;
}

template <act_kind KIND, wf_curve CURVE>
static wf_status launch(wf_backend *be, wf_stream *s, const char *what, wf_matrix x, wf_matrix y)
{
    wf_cuda *cu = cuda_of(be);
    if (y.n_rows == 0 || y.n_cols == 0) return WF_OK;
    bool aligned = rows_aligned(&x, 16) && rows_aligned(&y, 16);
    return with_dtype(cu->numerics.act, [&](auto *t) {
        typedef std::remove_pointer_t<decltype(t)> T;
        int64_t n = y.n_rows * y.n_cols / (aligned ? 16 / (int64_t)sizeof(T) : 1);
        auto kernel =
            aligned ? act_kernel<T, 16 / sizeof(T), KIND, CURVE> : act_kernel<T, 1, KIND, CURVE>;
        return wf_cuda_launch(cu, stream_of(be, s), what, kernel, dim3((unsigned)div_up64(n, 256)),
                              dim3(256), 0, x, y, n);
    });
}

template <act_kind KIND>
static wf_status activation(wf_backend *be, wf_stream *s, const char *what,
                            const wf_activation_args *a)
{
    switch (a->curve) {
    case WF_CURVE_GELU_TANH:
        return launch<KIND, WF_CURVE_GELU_TANH>(be, s, what, a->x, a->y);
    case WF_CURVE_GELU_EXACT:
        return launch<KIND, WF_CURVE_GELU_EXACT>(be, s, what, a->x, a->y);
    case WF_CURVE_RELU:
        return launch<KIND, WF_CURVE_RELU>(be, s, what, a->x, a->y);
    case WF_CURVE_TANH:
        return launch<KIND, WF_CURVE_TANH>(be, s, what, a->x, a->y);
    default:
        return launch<KIND, WF_CURVE_SILU>(be, s, what, a->x, a->y);
    }
}

wf_status wf_cuda_gate_mul(wf_backend *be, wf_stream *s, const wf_activation_args *a)
{
    WF_TRY(wf_check_gate_mul(a, cuda_of(be)->numerics.act));
    return activation<GATE_MUL>(be, s, "gate_mul", a);
}

wf_status wf_cuda_activate(wf_backend *be, wf_stream *s, const wf_activation_args *a)
{
    WF_TRY(wf_check_activate(a, cuda_of(be)->numerics.act));
    return activation<ACTIVATE>(be, s, "activate", a);
}

wf_status wf_cuda_add(wf_backend *be, wf_stream *s, const wf_add_args *a)
{
    WF_TRY(wf_check_add(a, cuda_of(be)->numerics.act));
    return launch<ADD, WF_CURVE_RELU>(be, s, "add", a->x, a->y);
}

static __global__ void softcap_kernel(wf_matrix x, float cap)
{
    let_next_start();
    wait_for_previous();
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= x.n_rows * x.n_cols) return;
    float *at = (float *)x.data + i / x.n_cols * x.stride + i % x.n_cols;
    *at = cap * tanhf(*at / cap);
}

wf_status wf_cuda_softcap(wf_backend *be, wf_stream *s, const wf_softcap_args *a)
{
    WF_TRY(wf_check_softcap(a, cuda_of(be)->numerics.act));
    int64_t n = a->x.n_rows * a->x.n_cols;
    if (n == 0) return WF_OK;
    return wf_cuda_launch(cuda_of(be), stream_of(be, s), "softcap", softcap_kernel,
                          dim3((unsigned)div_up64(n, 256)), dim3(256), 0, a->x, a->cap);
}
