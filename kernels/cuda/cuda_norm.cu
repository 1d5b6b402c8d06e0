// rmsnorm:   y = x / sqrt(mean(x^2) + eps) * weight
// layernorm: y = (x - mean) / sqrt(var + eps) * weight + bias
// With a residual, residual += scale * x comes first and the norm is of the sum, before it is
// rounded.
//
// x, residual, y: [M, H] act; weight, bias: [H] f32. One block per row; a thread keeps its elements
// in registers between the passes, VEC at a time (16-byte accesses) where rows allow it. Sums in
// f32: warp shuffles, then over warps, in an order that depends on H alone.
// Bytes: 2-byte act, residual: 8 H per row. Tolerance against ref: rounding of act + 4e-6.
#include "kernels/cuda/cuda_norm.cuh"

// X: the type of x, T or float.
template <typename T, typename X, int VEC, int PIECES, bool LAYER>
static __global__ void __launch_bounds__(NORM_THREADS) norm_kernel(norm_args a)
{
    __shared__ float slots[2][32];
    int64_t row = blockIdx.x;
    const X *x = (const X *)a.x.data + row * a.x.stride;
    norm_weights<VEC, PIECES> w(a);
    let_next_start();
    wait_for_previous();
    norm_row<T, VEC, PIECES, LAYER>(a, w, row, slots, [&](int i) {
        vec<T, VEC> piece;
        if constexpr (std::is_same_v<T, X>)
            piece = ((const vec<T, VEC> *)x)[i];
        else
#pragma unroll
            for (int j = 0; j < VEC; j++)
                piece.v[j] = of_f32<T>(to_f32(x[i * VEC + j]));
        return piece;
    });
}

// Rows longer than the registers hold: every pass adds x and residual anew, the last one stores.
template <typename T, typename X, bool LAYER> static __global__ void norm_long_kernel(norm_args a)
{
    __shared__ float slots[2][32];
    int64_t row = blockIdx.x, n_cols = a.x.n_cols;
    const X *x = (const X *)a.x.data + row * a.x.stride;
    T *r = (T *)a.residual.data + row * a.residual.stride, *y = (T *)a.y.data + row * a.y.stride;
    bool with = a.residual.data != nullptr;
    float sum = 0.0f, mean = 0.0f;
    auto value = [&](int64_t i) {
        float v = to_f32(of_f32<T>(to_f32(x[i])));
        return with ? fmaf(v, a.scale, to_f32(r[i])) : v;
    };
    wait_for_previous();
    for (int64_t i = threadIdx.x; i < n_cols; i += blockDim.x) {
        float v = value(i);
        sum += LAYER ? v : v * v;
    }
    sum = block_sum(sum, slots[0]);
    if (LAYER) {
        mean = sum / (float)n_cols;
        sum = 0.0f;
        for (int64_t i = threadIdx.x; i < n_cols; i += blockDim.x) {
            float d = value(i) - mean;
            sum += d * d;
        }
        sum = block_sum(sum, slots[1]);
    }
    float scale = 1.0f / sqrtf(sum / (float)n_cols + a.eps);
    for (int64_t i = threadIdx.x; i < n_cols; i += blockDim.x) {
        float v = value(i);
        if (with) r[i] = of_f32<T>(v);
        v = (v - mean) * scale * a.weight[i];
        if (LAYER && a.bias != nullptr) v += a.bias[i];
        y[i] = of_f32<T>(v);
    }
}

template <typename T, typename X, int VEC, bool LAYER>
static wf_status launch_norm(wf_cuda *cu, wf_stream *s, const norm_args &a)
{
    int64_t n_pieces = a.x.n_cols / VEC;
    dim3 grid((unsigned)a.x.n_rows);
    int threads = norm_threads(n_pieces);
    if (n_pieces <= NORM_THREADS)
        return wf_cuda_launch(cu, s, "norm", norm_kernel<T, X, VEC, 1, LAYER>, grid, dim3(threads),
                              0, a);
    if (n_pieces <= 2 * NORM_THREADS)
        return wf_cuda_launch(cu, s, "norm", norm_kernel<T, X, VEC, 2, LAYER>, grid, dim3(threads),
                              0, a);
    if (n_pieces <= 4 * NORM_THREADS)
        return wf_cuda_launch(cu, s, "norm", norm_kernel<T, X, VEC, 4, LAYER>, grid, dim3(threads),
                              0, a);
    return wf_cuda_launch(cu, s, "norm", norm_long_kernel<T, X, LAYER>, grid, dim3(NORM_THREADS), 0,
                          a);
}

template <bool LAYER> static wf_status norm(wf_backend *be, wf_stream *s, const norm_args &a)
{
    wf_cuda *cu = cuda_of(be);
    wf_stream *st = stream_of(be, s);
    if (a.x.n_rows == 0 || a.x.n_cols == 0) return WF_OK;
    bool aligned = rows_aligned(&a.x, 16) && rows_aligned(&a.y, 16) &&
                   (a.residual.data == nullptr || rows_aligned(&a.residual, 16));
    return with_dtype(cu->numerics.act, [&](auto *t) {
        typedef std::remove_pointer_t<decltype(t)> T;
        constexpr int VEC = 16 / sizeof(T);
        if (a.x.dtype == cu->numerics.act)
            return aligned ? launch_norm<T, T, VEC, LAYER>(cu, st, a)
                           : launch_norm<T, T, 1, LAYER>(cu, st, a);
        return aligned ? launch_norm<T, float, VEC, LAYER>(cu, st, a)
                       : launch_norm<T, float, 1, LAYER>(cu, st, a);
    });
}

wf_status wf_cuda_rmsnorm(wf_backend *be, wf_stream *s, const wf_rmsnorm_args *a)
{
    WF_TRY(wf_check_rmsnorm(a, cuda_of(be)->numerics.act));
    return norm<false>(
        be, s,
        norm_args{a->x, a->residual, a->y, a->weight, nullptr, a->eps, wf_scale_of(a->scale)});
}

wf_status wf_cuda_layernorm(wf_backend *be, wf_stream *s, const wf_layernorm_args *a)
{
    WF_TRY(wf_check_layernorm(a, cuda_of(be)->numerics.act));
    return norm<true>(
        be, s,
        norm_args{a->x, a->residual, a->y, a->weight, a->bias, a->eps, wf_scale_of(a->scale)});
}
