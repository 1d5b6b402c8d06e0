// gemm for any shape, stride and mix of dtypes: y = x W^T (+ bias), products and sums in f32, one
// chain per element in ascending k. Blocks of 64 x 64 outputs, 4 x 4 per thread, k by 16 through
// shared memory. Not fast: the way for shapes that cuBLASLt and the skinny kernels do not take.
// Runs of k (ops.h) are blocks of their own, which leave their sums in y [runs][M][N].
//
// wf_gemm_chain: the same on tensor cores, mma m16n8k16 in ascending k, one warp per 16 x 8
// outputs: what deterministic plans are held against. On an H200 every cuBLASLt algorithm without
// split-K has given its bits, at every shape and number of rows that was tried (2026-11-21).
#include "kernels/cuda/cuda_gemm.cuh"
#include "kernels/cuda/cuda_mma.cuh"
#include "kernels/cuda/cuda_w8.cuh"

#define BLOCK 64
#define STEP  16

static __global__ void __launch_bounds__(256)
    general_gemm_kernel(wf_matrix x, weight_view w, int64_t k, const float *bias, wf_matrix y)
{
    int64_t first = blockIdx.z * k, y_at = blockIdx.z * y.n_rows * y.stride;
    __shared__ float xs[STEP][BLOCK + 1], ws[STEP][BLOCK + 1];
    int64_t m0 = (int64_t)blockIdx.y * BLOCK, n0 = (int64_t)blockIdx.x * BLOCK;
    int tx = threadIdx.x % 16, ty = threadIdx.x / 16;
    float sum[4][4] = {};
    wait_for_previous();
    for (int64_t k0 = 0; k0 < k; k0 += STEP) {
        for (int i = (int)threadIdx.x; i < BLOCK * STEP; i += 256) {
            int r = i / STEP, c = i % STEP;
            bool in_k = k0 + c < k;
            xs[c][r] = in_k && m0 + r < x.n_rows
                           ? load_any(x.data, x.dtype, (m0 + r) * x.stride + first + k0 + c)
                           : 0.0f;
            ws[c][r] = in_k && n0 + r < w.n_rows ? weight_at(w, n0 + r, first + k0 + c) : 0.0f;
        }
        __syncthreads();
        for (int c = 0; c < STEP; c++) {
            float a[4], b[4];
            for (int i = 0; i < 4; i++)
                a[i] = xs[c][ty + 16 * i], b[i] = ws[c][tx + 16 * i];
            for (int i = 0; i < 4; i++)
                for (int j = 0; j < 4; j++)
                    sum[i][j] += a[i] * b[j];
        }
        __syncthreads();
    }
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) {
            int64_t row = m0 + ty + 16 * i, col = n0 + tx + 16 * j;
            if (row < x.n_rows && col < w.n_rows)
                store_any(y.data, y.dtype, y_at + row * y.stride + col,
                          sum[i][j] + (bias != nullptr ? bias[col] : 0.0f));
        }
}

wf_status wf_gemm_general(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a)
{
    const wf_weight *w = a->w;
    int runs = wf_gemm_runs_of(a);
    dim3 grid((unsigned)div_up64(w->n_rows, BLOCK), (unsigned)div_up64(a->x.n_rows, BLOCK),
              (unsigned)runs);
    return wf_cuda_launch(cu, s, "gemm", general_gemm_kernel, grid, dim3(256), 0, a->x,
                          view_of(a->w), w->n_cols / runs, a->bias, a->y);
}

// Two neighbours of row r, zeros beyond the rows and columns there are.
template <typename T>
__device__ __forceinline__ uint32_t pair_at(const T *row, bool real, int64_t k, int64_t end)
{
    return real && k < end ? *(const uint32_t *)(row + k) : 0u;
}

template <typename T>
static __global__ void chain_gemm_kernel(wf_matrix x, const T *w, int64_t n, int64_t ld, int64_t k,
                                         wf_matrix y)
{
    int lane = (int)threadIdx.x, g = lane / 4, t = lane % 4;
    int64_t n0 = (int64_t)blockIdx.x * 16, m0 = (int64_t)blockIdx.y * 8, first = blockIdx.z * k;
    const T *w0 = w + (n0 + g) * ld + first, *w8 = w0 + 8 * ld;
    const T *xr = (const T *)x.data + (m0 + g) * x.stride + first;
    bool in_w0 = n0 + g < n, in_w8 = n0 + g + 8 < n, in_x = m0 + g < x.n_rows;
    float sum[4] = {};
    wait_for_previous();
    for (int64_t i = 2 * t; i < k + 2 * t; i += 16) {
        uint32_t a[4] = {pair_at(w0, in_w0, i, k), pair_at(w8, in_w8, i, k),
                         pair_at(w0, in_w0, i + 8, k), pair_at(w8, in_w8, i + 8, k)};
        mma<T>(sum, a, pair_at(xr, in_x, i, k), pair_at(xr, in_x, i + 8, k));
    }
    for (int i = 0; i < 4; i++) {
        int64_t col = n0 + g + i / 2 * 8, row = m0 + 2 * t + i % 2;
        if (col < n && row < x.n_rows)
            store_any(y.data, y.dtype, (blockIdx.z * y.n_rows + row) * y.stride + col, sum[i]);
    }
}

template <typename T> static wf_status chain(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a)
{
    const wf_cuda_weight *w = (const wf_cuda_weight *)a->w;
    int runs = wf_gemm_runs_of(a);
    dim3 grid((unsigned)div_up64(w->base.n_rows, 16), (unsigned)div_up64(a->x.n_rows, 8),
              (unsigned)runs);
    return wf_cuda_launch(cu, s, "gemm", chain_gemm_kernel<T>, grid, dim3(32), 0, a->x,
                          (const T *)w->data, w->base.n_rows, w->base.n_cols, w->base.n_cols / runs,
                          a->y);
}

wf_status wf_gemm_chain(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a)
{
    if (a->w->dtype == WF_F32) return wf_gemm_general(cu, s, a); // it is one chain, too
    return with_half(a->w->dtype,
                     [&](auto *t) { return chain<std::remove_pointer_t<decltype(t)>>(cu, s, a); });
}
