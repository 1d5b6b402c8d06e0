// gemm with weights of 8 bits for devices and shapes that the ring kernels are not for: y = x W^T
// (+ bias), any M, on the tensor cores of sm_80 and later.
//
// x [M, K] bf16 or f16, rows of 4 bytes; W [N, K] fp8 or int8 in the order of cuda_w8.cuh, a scale
// for each row or for each 128 k of it; y [M, N] act or f32. A block has 16 features and NB * 8
// rows; its warps take units of 128 k in turn, straight from memory to registers, and their sums
// are added in order. So the order of a sum depends on K alone. Runs of k (ops.h) are blocks of
// their own. Bytes: N K for each NB * 8 rows. Tolerance: rounding of y.
#include "kernels/cuda/cuda_gemm.cuh"
#include "kernels/cuda/cuda_mma.cuh"
#include "kernels/cuda/cuda_w8.cuh"

#define WARPS    8
#define FEATURES 16

struct mma8_args {
    wf_matrix x, y;
    const uint8_t *w;
    const float *scales, *bias;
    int64_t n, pitch;
    int32_t units, row_blocks; // of a run; scales of a row
};

// Numbers k and k + 1 of a row, zeros from the row's end on.
template <typename T>
__device__ __forceinline__ uint32_t two_of(const T *row, int64_t k, int64_t end)
{
    if (k + 1 < end) return *(const uint32_t *)(row + k);
    return k < end ? (uint32_t)*(const uint16_t *)(row + k) : 0u;
}

// part = the products of one unit of k: of rows g and g + 8 of W, whose bytes `up` and `down` point
// to.
template <typename T, wf_dtype F, int NB>
__device__ __forceinline__ void multiply_unit(float (*part)[4], const uint4 *up, const uint4 *down,
                                              const T *const *x, int64_t k, int64_t end)
{
#pragma unroll
    for (int h = 0; h < 2; h++) {
        uint4 u = __ldg(up + h), d = __ldg(down + h);
        const uint32_t us[4] = {u.x, u.y, u.z, u.w}, ds[4] = {d.x, d.y, d.z, d.w};
#pragma unroll
        for (int c = 0; c < 4; c++) {
            uint32_t a[4];
            int64_t at = k + 64 * h + 16 * c;
            w8_four<T, F>(us[c], a[0], a[2]);
            w8_four<T, F>(ds[c], a[1], a[3]);
#pragma unroll
            for (int b = 0; b < NB; b++)
                mma<T>(part[b], a, x[b] != nullptr ? two_of(x[b], at, end) : 0u,
                       x[b] != nullptr ? two_of(x[b], at + 8, end) : 0u);
        }
    }
}

// Adds the warps' sums, in order, and stores them.
template <int NB>
__device__ __forceinline__ void store_block(const mma8_args &a, float (*sums)[FEATURES][8 * NB + 1])
{
    int64_t m0 = (int64_t)blockIdx.y * 8 * NB, n0 = (int64_t)blockIdx.x * FEATURES;
    for (int i = (int)threadIdx.x; i < FEATURES * 8 * NB; i += WARPS * 32) {
        int64_t n = n0 + i % FEATURES, m = m0 + i / FEATURES;
        if (n >= a.n || m >= a.y.n_rows) continue;
        float sum = 0.0f;
        for (int v = 0; v < WARPS; v++)
            sum += sums[v][i % FEATURES][i / FEATURES];
        if (a.row_blocks == 1) sum *= a.scales[n];
        if (a.bias != nullptr) sum += a.bias[n];
        store_any(a.y.data, a.y.dtype, (blockIdx.z * a.y.n_rows + m) * a.y.stride + n, sum);
    }
}

template <typename T, wf_dtype F, int NB>
static __global__ void __launch_bounds__(WARPS * 32) mma8_kernel(mma8_args a)
{
    __shared__ float sums[WARPS][FEATURES][8 * NB + 1];
    int warp = (int)threadIdx.x / 32, g = (int)threadIdx.x % 32 / 4, t = (int)threadIdx.x % 4;
    int64_t n0 = (int64_t)blockIdx.x * FEATURES + g, m0 = (int64_t)blockIdx.y * 8 * NB + g;
    int64_t rows[2] = {min(n0, a.n - 1), min(n0 + 8, a.n - 1)}; // beyond the last: never stored
    int64_t first = (int64_t)blockIdx.z * a.units;
    const T *x[NB];
    float total[NB][4] = {};
    wait_for_previous();
#pragma unroll
    for (int b = 0; b < NB; b++)
        x[b] = m0 + 8 * b < a.x.n_rows ? (const T *)a.x.data + (m0 + 8 * b) * a.x.stride : nullptr;
    for (int u = warp; u < a.units; u += WARPS) {
        float part[NB][4] = {}, s[2] = {1.0f, 1.0f};
        int64_t k = (first + u) * W8_GROUP;
        const uint8_t *w = a.w + k + 32 * t;
        for (int h = 0; h < 2 && a.row_blocks > 1; h++)
            s[h] = a.scales[rows[h] * a.row_blocks + first + u];
        multiply_unit<T, F, NB>(part, (const uint4 *)(w + rows[0] * a.pitch),
                                (const uint4 *)(w + rows[1] * a.pitch), x, k + 2 * t, a.x.n_cols);
#pragma unroll
        for (int b = 0; b < NB; b++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                total[b][i] = fmaf(s[i / 2], part[b][i], total[b][i]);
    }
#pragma unroll
    for (int b = 0; b < NB; b++)
#pragma unroll
        for (int i = 0; i < 4; i++)
            sums[warp][g + i / 2 * 8][b * 8 + 2 * t + i % 2] = total[b][i];
    __syncthreads();
    store_block<NB>(a, sums);
}

template <typename T, wf_dtype F>
static wf_status launch(wf_cuda *cu, wf_stream *s, const wf_gemm_args *g)
{
    const wf_cuda_weight *w = (const wf_cuda_weight *)g->w;
    int64_t runs = wf_gemm_runs_of(g), m = g->x.n_rows;
    mma8_args a = {};
    a.x = g->x;
    a.y = g->y;
    a.w = (const uint8_t *)w->data;
    a.scales = w->scales;
    a.bias = g->bias;
    a.n = w->base.n_rows;
    a.pitch = w8_pitch(w->base.n_cols);
    a.units = (int32_t)div_up64(w->base.n_cols / runs, W8_GROUP);
    a.row_blocks = (int32_t)wf_weight_row_blocks(&w->base);
    auto kernel = m <= 8    ? mma8_kernel<T, F, 1>
                  : m <= 16 ? mma8_kernel<T, F, 2>
                  : m <= 32 ? mma8_kernel<T, F, 4>
                            : mma8_kernel<T, F, 8>;
    int64_t rows = m <= 8 ? 8 : m <= 16 ? 16 : m <= 32 ? 32 : 64;
    dim3 grid((unsigned)div_up64(a.n, FEATURES), (unsigned)div_up64(m, rows), (unsigned)runs);
    return wf_cuda_launch(cu, s, "gemm", kernel, grid, dim3(WARPS * 32), 0, a);
}

bool wf_gemm_mma8_fits(const wf_gemm_args *a)
{
    const wf_weight *w = a->w;
    int64_t runs = wf_gemm_runs_of(a);
    // One scale of 128 k is one of a row.
    return !w->zeros && (w->block == 0 || w->block == W8_GROUP) && a->x.dtype != WF_F32 &&
           (uintptr_t)a->x.data % 4 == 0 && a->x.stride % 2 == 0 &&
           (runs == 1 || w->n_cols / runs % W8_GROUP == 0);
}

wf_status wf_gemm_mma8(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a)
{
    return with_half(a->x.dtype, [&](auto *t) {
        typedef std::remove_pointer_t<decltype(t)> T;
        return a->w->dtype == WF_FP8 ? launch<T, WF_FP8>(cu, s, a) : launch<T, WF_INT8>(cu, s, a);
    });
}
