// heads_gemm with matrix instructions: a block for 16 or 64 rows and 64 columns of a head.
//
// Both operands come through two stages of cp.async in steps of 64 of k. Every sum is one chain of
// instructions over k ascending, whatever the rows beside it and the block's height: results do
// not depend on the batch. x and W allow accesses of 16 bytes, K is a multiple of 8; N is any.
// Bytes: W once for every 64 (16) rows. FLOPs: 2 N K per row and head.
#include "kernels/cuda/cuda_latent.cuh"
#include "kernels/cuda/cuda_mma.cuh"

#define COLS    64
#define STEP    64 // of k
#define CHUNKS  (STEP / 8)
#define WARPS   4
#define THREADS (WARPS * 32)

struct heads_args {
    wf_matrix x, y;
    int64_t x_step, y_step;
    const char *w; // [heads][n][k]
    int32_t n, k;
};

// Rows begin .. begin + ROWS of a matrix [n_rows][k] to a stage; zeros beyond it.
template <typename T, int ROWS>
__device__ __forceinline__ void fetch(const T *src, int64_t stride, int64_t begin, int64_t n_rows,
                                      int k0, int k, uint32_t stage)
{
    for (int i = (int)threadIdx.x; i < ROWS * CHUNKS; i += THREADS) {
        int r = i / CHUNKS, c = i % CHUNKS;
        bool real = begin + r < n_rows && k0 + c * 8 < k;
        const T *at = src + (real ? (begin + r) * stride + k0 + c * 8 : 0);
        copy16(stage + swizzled<CHUNKS>(r, c), at, real);
    }
}

// ROWS 64: a warp has 16 rows and all columns; 16: all rows and 16 columns.
template <typename T, int ROWS>
static __global__ void __launch_bounds__(THREADS) heads_kernel(const __grid_constant__ heads_args a)
{
    const int x_bytes = ROWS * STEP * 2, stage_bytes = x_bytes + COLS * STEP * 2;
    const int pairs = ROWS == 64 ? COLS / 16 : 1; // of 8 columns
    __shared__ __align__(128) char shared[2 * stage_bytes];
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t2 = lane % 4 * 2;
    int row = ROWS == 64 ? warp * 16 : 0, col = ROWS == 64 ? 0 : warp * 16;
    int64_t row0 = (int64_t)blockIdx.y * ROWS, col0 = (int64_t)blockIdx.x * COLS, head = blockIdx.z;
    const T *x = (const T *)a.x.data + head * a.x_step;
    const T *w = (const T *)a.w + head * a.n * a.k;
    uint32_t ring = shared_address(shared);
    float sum[2 * pairs][4] = {};
    auto fetch_step = [&](int i) {
        uint32_t stage = ring + (uint32_t)(i % 2 * stage_bytes);
        fetch<T, ROWS>(x, a.x.stride, row0, a.x.n_rows, i * STEP, a.k, stage);
        fetch<T, COLS>(w, a.k, col0, a.n, i * STEP, a.k, stage + x_bytes);
    };
    let_next_start();
    wait_for_previous();
    int n_steps = (a.k + STEP - 1) / STEP;
    fetch_step(0);
    copy_commit();
    for (int i = 0; i < n_steps; i++) {
        uint32_t stage = ring + (uint32_t)(i % 2 * stage_bytes), r[4], b[4];
        copy_wait<0>();
        __syncthreads();
        if (i + 1 < n_steps) fetch_step(i + 1);
        copy_commit();
#pragma unroll
        for (int k = 0; k < STEP / 16; k++) {
            load_matrix4(stage + swizzled<CHUNKS>(row + lane % 16, 2 * k + lane / 16), r);
#pragma unroll
            for (int n = 0; n < pairs; n++) {
                int at = col + n * 16 + (lane / 16) * 8 + lane % 8;
                load_matrix4(stage + x_bytes + swizzled<CHUNKS>(at, 2 * k + (lane / 8) % 2), b);
                mma<T>(sum[2 * n], r, b[0], b[1]);
                mma<T>(sum[2 * n + 1], r, b[2], b[3]);
            }
        }
    }
#pragma unroll
    for (int n = 0; n < 2 * pairs; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            int64_t at = row0 + row + g + (i >> 1) * 8, c = col0 + col + n * 8 + t2 + (i & 1);
            if (at < a.y.n_rows && c < a.n)
                ((T *)a.y.data)[at * a.y.stride + head * a.y_step + c] = of_f32<T>(sum[n][i]);
        }
}

bool wf_heads_gemm_mma_fits(const wf_heads_gemm_args *a)
{
    const wf_cuda_weight *w = (const wf_cuda_weight *)a->w;
    return a->w->dtype != WF_F32 && a->w->n_cols % 8 == 0 && a->x_step % 8 == 0 &&
           a->x.stride % 8 == 0 && (uintptr_t)a->x.data % 16 == 0 && (uintptr_t)w->data % 16 == 0;
}

wf_status wf_heads_gemm_mma(wf_cuda *cu, wf_stream *s, const wf_heads_gemm_args *a)
{
    const wf_cuda_weight *w = (const wf_cuda_weight *)a->w;
    heads_args args = {
        a->x, a->y, a->x_step, a->y_step, w->data, (int32_t)a->w->n_rows, (int32_t)a->w->n_cols};
    unsigned rows = a->x.n_rows > 16 ? 64 : 16;
    dim3 grid((unsigned)div_up64(a->w->n_rows, COLS), (unsigned)div_up64(a->x.n_rows, rows),
              (unsigned)a->w->n_groups);
    return with_half(a->w->dtype, [&](auto *t) {
        typedef std::remove_pointer_t<decltype(t)> T;
        auto kernel = rows == 64 ? heads_kernel<T, 64> : heads_kernel<T, 16>;
        return wf_cuda_launch(cu, s, "heads_gemm", kernel, grid, dim3(THREADS), 0, args);
    });
}
