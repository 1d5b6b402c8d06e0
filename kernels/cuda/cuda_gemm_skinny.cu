// gemm for few rows: y = x W^T (+ bias), M <= 16, bound by reading W once.
//
// x [M, K] act, W [N, K] same dtype, y [M, N] act or f32; K a multiple of 256, rows of 16 bytes.
// A block owns ROWS = 16 * TILES rows of W; its WARPS warps split K into 32-wide steps taken in
// turn, each warp keeps its sums in matrix fragments, and the block adds the warps in order: the
// order of a sum depends on K and the variant alone, never on M.
//
//   mma m16n8k16: A = 16 rows of W, B = 8 rows of x. Any order of k serves a dot product as long
//   as A and B share it, so a lane loads 16 bytes of a row (8 k) and they serve as its fragments of
//   two instructions: W goes from memory to registers without shared memory or shuffles.
//
// W does not depend on the kernel before this one: its first loads are in flight before
// wait_for_previous(). Bytes: 2 N K. Tolerance: rounding of y.
#include "kernels/cuda/cuda_mma.cuh"

template <int WARPS_, int TILES_, int DEPTH_> struct skinny_shape {
    static const int warps = WARPS_, tiles = TILES_, depth = DEPTH_; // depth: steps in flight
    static const int rows = 16 * TILES_;
};

struct skinny_args {
    wf_matrix x, y;
    const void *w;
    int64_t n, k;
    const float *bias;
};

template <typename S> struct w_step {
    uint4 r[S::tiles][2]; // rows g and g + 8 of each tile
};

__device__ __forceinline__ uint4 load_once(const uint4 *p)
{
    uint4 r;
    asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r.x), "=r"(r.y), "=r"(r.z), "=r"(r.w)
                 : "l"(p));
    return r;
}

template <typename T, typename S, int MB> // MB: blocks of 8 rows of x
static __global__ void __launch_bounds__(S::warps * 32) skinny_kernel(skinny_args a)
{
    __shared__ float sums[S::warps][S::rows][8 * MB + 1];
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    int64_t n0 = (int64_t)blockIdx.x * S::rows;
    int steps = (int)(a.k / 32 / S::warps); // of this warp
    const T *w = (const T *)a.w + warp * 32 + t * 8;
    const uint4 *w_row[S::tiles][2];
#pragma unroll
    for (int i = 0; i < S::tiles; i++)
#pragma unroll
        for (int h = 0; h < 2; h++) {
            int64_t row = n0 + i * 16 + h * 8 + g;
            w_row[i][h] = (const uint4 *)(w + (row < a.n ? row : a.n - 1) * a.k);
        }
    const int stride = S::warps * 32 / 8; // uint4 between the steps of a warp
    w_step<S> ring[S::depth];
#pragma unroll
    for (int d = 0; d < S::depth; d++)
        if (d < steps)
#pragma unroll
            for (int i = 0; i < S::tiles; i++)
#pragma unroll
                for (int h = 0; h < 2; h++)
                    ring[d].r[i][h] = load_once(w_row[i][h] + d * stride);
    const uint4 *x_row[MB];
    bool x_real[MB];
#pragma unroll
    for (int b = 0; b < MB; b++) {
        int64_t row = b * 8 + g;
        x_real[b] = row < a.x.n_rows;
        x_row[b] = (const uint4 *)((const T *)a.x.data + (x_real[b] ? row : 0) * a.x.stride +
                                   warp * 32 + t * 8);
    }
    float c[S::tiles][MB][4] = {};
    wait_for_previous();
    for (int i0 = 0; i0 < steps; i0 += S::depth)
#pragma unroll
        for (int d = 0; d < S::depth; d++) {
            int i = i0 + d;
            if (i >= steps) break;
            uint4 x[MB];
#pragma unroll
            for (int b = 0; b < MB; b++)
                x[b] = x_real[b] ? x_row[b][i * stride] : make_uint4(0, 0, 0, 0);
#pragma unroll
            for (int j = 0; j < S::tiles; j++) {
                uint4 lo = ring[d].r[j][0], hi = ring[d].r[j][1];
                uint32_t first[4] = {lo.x, hi.x, lo.y, hi.y}, second[4] = {lo.z, hi.z, lo.w, hi.w};
#pragma unroll
                for (int b = 0; b < MB; b++) {
                    mma<T>(c[j][b], first, x[b].x, x[b].y);
                    mma<T>(c[j][b], second, x[b].z, x[b].w);
                }
                if (i + S::depth < steps) {
                    ring[d].r[j][0] = load_once(w_row[j][0] + (i + S::depth) * stride);
                    ring[d].r[j][1] = load_once(w_row[j][1] + (i + S::depth) * stride);
                }
            }
        }
    let_next_start();
#pragma unroll
    for (int j = 0; j < S::tiles; j++)
#pragma unroll
        for (int b = 0; b < MB; b++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                sums[warp][j * 16 + g + (i >> 1) * 8][b * 8 + t * 2 + (i & 1)] = c[j][b][i];
    __syncthreads();
    int m_end = (int)a.x.n_rows;
    for (int i = (int)threadIdx.x; i < S::rows * m_end; i += S::warps * 32) {
        int r = i % S::rows, m = i / S::rows;
        if (n0 + r >= a.n) continue;
        float sum = 0.0f;
#pragma unroll
        for (int v = 0; v < S::warps; v++)
            sum += sums[v][r][m];
        if (a.bias != nullptr) sum += a.bias[n0 + r];
        int64_t at = (int64_t)m * a.y.stride + n0 + r;
        if (a.y.dtype == WF_F32)
            ((float *)a.y.data)[at] = sum;
        else
            ((T *)a.y.data)[at] = of_f32<T>(sum);
    }
}

bool wf_gemm_skinny_fits(const wf_gemm_args *a)
{
    return a->x.n_rows <= 16 && a->w->dtype != WF_F32 && a->x.dtype == a->w->dtype &&
           a->w->n_cols % 256 == 0 && a->w->n_cols <= (int64_t)1 << 24 &&
           (uintptr_t)a->x.data % 16 == 0 && a->x.stride % 8 == 0;
}

template <typename T, typename S>
static wf_status launch_skinny(wf_cuda *cu, wf_stream *s, const wf_gemm_args *g)
{
    const wf_cuda_weight *w = (const wf_cuda_weight *)g->w;
    skinny_args a = {g->x, g->y, w->data, w->base.n_rows, w->base.n_cols, g->bias};
    dim3 grid((unsigned)div_up64(w->base.n_rows, S::rows)), block(S::warps * 32);
    if (g->x.n_rows <= 8)
        return wf_cuda_launch(cu, s, "gemm", skinny_kernel<T, S, 1>, grid, block, 0, a);
    return wf_cuda_launch(cu, s, "gemm", skinny_kernel<T, S, 2>, grid, block, 0, a);
}

template <typename T>
static wf_status skinny_variant(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a, int variant)
{
    switch (variant) {
    case 0:
        return launch_skinny<T, skinny_shape<8, 1, 4>>(cu, s, a);
    case 1:
        return launch_skinny<T, skinny_shape<8, 1, 8>>(cu, s, a);
    case 2:
        return launch_skinny<T, skinny_shape<4, 1, 8>>(cu, s, a);
    default:
        return launch_skinny<T, skinny_shape<8, 2, 4>>(cu, s, a);
    }
}

wf_status wf_gemm_skinny(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a, int variant)
{
    return a->w->dtype == WF_BF16 ? skinny_variant<__nv_bfloat16>(cu, s, a, variant)
                                  : skinny_variant<__half>(cu, s, a, variant);
}
