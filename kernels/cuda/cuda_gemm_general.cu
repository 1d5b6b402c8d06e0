// gemm for any shape, stride and mix of dtypes: y = x W^T (+ bias), products and sums in f32, one
// chain per element in ascending k. Blocks of 64 x 64 outputs, 4 x 4 per thread, k by 16 through
// shared memory. Not fast: the way for shapes that cuBLASLt and the skinny kernels do not take.
#include "kernels/cuda/cuda_num.cuh"

#define BLOCK 64
#define STEP  16

static __global__ void __launch_bounds__(256)
    general_gemm_kernel(wf_matrix x, const void *w, wf_dtype w_dtype, int64_t n, int64_t k,
                        const float *bias, wf_matrix y)
{
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
                           ? load_any(x.data, x.dtype, (m0 + r) * x.stride + k0 + c)
                           : 0.0f;
            ws[c][r] = in_k && n0 + r < n ? load_any(w, w_dtype, (n0 + r) * k + k0 + c) : 0.0f;
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
            if (row < x.n_rows && col < n)
                store_any(y.data, y.dtype, row * y.stride + col,
                          sum[i][j] + (bias != nullptr ? bias[col] : 0.0f));
        }
}

wf_status wf_gemm_general(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a)
{
    const wf_cuda_weight *w = (const wf_cuda_weight *)a->w;
    dim3 grid((unsigned)div_up64(w->base.n_rows, BLOCK), (unsigned)div_up64(a->x.n_rows, BLOCK));
    return wf_cuda_launch(cu, s, "gemm", general_gemm_kernel, grid, dim3(256), 0, a->x,
                          (const void *)w->data, w->base.dtype, w->base.n_rows, w->base.n_cols,
                          a->bias, a->y);
}
