// gemm for few rows: y = x W^T (+ bias), M <= 16, bound by reading W once.
//
// x [M, K] act, W [N, K] same dtype, y [M, N] act or f32; K a multiple of 1024, rows of 16 bytes.
// A block takes groups of ROWS = 16 * TILES rows of W in turn; its WARPS warps split K into 32-wide
// steps, each keeps its sums in matrix fragments, and the block adds the warps in order: the order
// of a sum depends on K and the variant alone, never on M. Loads run DEPTH steps ahead, over the
// end of a group into the next, so that memory never waits for a sum to be stored.
//
//   mma m16n8k16: A = 16 rows of W, B = 8 rows of x. Any order of k serves a dot product as long
//   as A and B share it, so a lane loads 16 bytes of a row (8 k) and they serve as its fragments of
//   two instructions: W goes from memory to registers without shared memory or shuffles.
//
// W does not depend on the kernel before this one: its first loads are in flight before
// wait_for_previous(). Bytes: 2 N K. Tolerance: rounding of y.
#include "kernels/cuda/cuda_gemm.cuh"
#include "kernels/cuda/cuda_mma.cuh"

template <int WARPS_, int TILES_, int DEPTH_, int RESIDENT_> struct skinny_shape {
    static const int warps = WARPS_, tiles = TILES_, depth = DEPTH_; // depth: steps in flight
    static const int rows = 16 * TILES_, resident = RESIDENT_;       // blocks of a multiprocessor
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

// A warp's steps come in runs of 4, 256 bytes of a row side by side; warps take runs in turn.
#define RUN 128

template <typename S> __device__ __forceinline__ int step_at(int step)
{
    return (step / 4 * S::warps * RUN + step % 4 * 32) / 8;
}

// Where a warp's loads are: the steps of a row group, then those of the block's next group.
template <typename T, typename S> struct w_cursor {
    const uint4 *row[S::tiles][2];
    int64_t group;
    int step;
};

template <typename T, typename S>
__device__ __forceinline__ void point_to_group(const skinny_args &a, w_cursor<T, S> &c)
{
    int warp = threadIdx.x / 32, g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
    for (int i = 0; i < S::tiles; i++)
#pragma unroll
        for (int h = 0; h < 2; h++) {
            int64_t row = c.group * S::rows + i * 16 + h * 8 + g;
            row = row < a.n ? row : a.n - 1; // never stored
            c.row[i][h] = (const uint4 *)((const T *)a.w + row * a.k + warp * RUN + t * 8);
        }
}

// Loads the next step, unless the block's rows are over.
template <typename T, typename S>
__device__ __forceinline__ void load_step(const skinny_args &a, int steps, int64_t n_groups,
                                          w_cursor<T, S> &c, w_step<S> &out)
{
    if (c.group >= n_groups) return;
#pragma unroll
    for (int i = 0; i < S::tiles; i++)
#pragma unroll
        for (int h = 0; h < 2; h++)
            out.r[i][h] = load_once(c.row[i][h] + step_at<S>(c.step));
    if (++c.step < steps) return;
    c.step = 0;
    c.group += gridDim.x;
    if (c.group < n_groups) point_to_group<T, S>(a, c);
}

// Adds the warps' sums of a row group, in order, and stores them.
template <typename T, typename S, int MB>
__device__ __forceinline__ void store_group(const skinny_args &a, int64_t group,
                                            float (*sums)[S::rows][8 * MB + 1], float (*c)[MB][4])
{
    int warp = threadIdx.x / 32, g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    __syncthreads(); // the group before is stored
#pragma unroll
    for (int j = 0; j < S::tiles; j++)
#pragma unroll
        for (int b = 0; b < MB; b++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                sums[warp][j * 16 + g + (i >> 1) * 8][b * 8 + t * 2 + (i & 1)] = c[j][b][i];
                c[j][b][i] = 0.0f;
            }
    __syncthreads();
    for (int i = (int)threadIdx.x; i < S::rows * (int)a.x.n_rows; i += S::warps * 32) {
        int r = i % S::rows, m = i / S::rows;
        int64_t n = group * S::rows + r;
        if (n >= a.n) continue;
        float sum = 0.0f;
#pragma unroll
        for (int v = 0; v < S::warps; v++)
            sum += sums[v][r][m];
        if (a.bias != nullptr) sum += a.bias[n];
        int64_t at = (int64_t)m * a.y.stride + n;
        if (a.y.dtype == WF_F32)
            ((float *)a.y.data)[at] = sum;
        else
            ((T *)a.y.data)[at] = of_f32<T>(sum);
    }
}

template <typename T, typename S, int MB> // MB: blocks of 8 rows of x
static __global__ void __launch_bounds__(S::warps * 32, S::resident) skinny_kernel(skinny_args a)
{
    __shared__ float sums[S::warps][S::rows][8 * MB + 1];
    int warp = threadIdx.x / 32, g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    int steps = (int)(a.k / 32 / S::warps); // of a warp and group
    int64_t n_groups = (a.n + S::rows - 1) / S::rows;
    w_cursor<T, S> cursor;
    cursor.group = blockIdx.x;
    cursor.step = 0;
    point_to_group<T, S>(a, cursor);
    w_step<S> ring[S::depth];
#pragma unroll
    for (int d = 0; d < S::depth; d++)
        load_step<T, S>(a, steps, n_groups, cursor, ring[d]);
    const uint4 *x_row[MB];
    bool x_real[MB];
#pragma unroll
    for (int b = 0; b < MB; b++) {
        int64_t row = b * 8 + g;
        x_real[b] = row < a.x.n_rows;
        x_row[b] = (const uint4 *)((const T *)a.x.data + (x_real[b] ? row : 0) * a.x.stride +
                                   warp * RUN + t * 8);
    }
    float c[S::tiles][MB][4] = {};
    int64_t group = blockIdx.x;
    int step = 0, x_step = 0;
    uint4 x_ring[S::depth][MB]; // x is read ahead as well, or every step would wait for the L2
    auto load_x = [&](uint4 *x) {
#pragma unroll
        for (int b = 0; b < MB; b++)
            x[b] = x_real[b] ? x_row[b][step_at<S>(x_step)] : make_uint4(0, 0, 0, 0);
        x_step = x_step + 1 < steps ? x_step + 1 : 0;
    };
    wait_for_previous();
    let_next_start(); // it can wait beside this one, and load its own weights
#pragma unroll
    for (int d = 0; d < S::depth; d++)
        load_x(x_ring[d]);
    while (group < n_groups)
#pragma unroll
        for (int d = 0; d < S::depth; d++) {
            if (group >= n_groups) break;
            const uint4 *x = x_ring[d];
#pragma unroll
            for (int j = 0; j < S::tiles; j++) {
                uint4 lo = ring[d].r[j][0], hi = ring[d].r[j][1];
                uint32_t first[4] = {lo.x, hi.x, lo.y, hi.y}, second[4] = {lo.z, hi.z, lo.w, hi.w};
#pragma unroll
                for (int b = 0; b < MB; b++) {
                    mma<T>(c[j][b], first, x[b].x, x[b].y);
                    mma<T>(c[j][b], second, x[b].z, x[b].w);
                }
            }
            load_step<T, S>(a, steps, n_groups, cursor, ring[d]);
            load_x(x_ring[d]);
            if (++step < steps) continue;
            store_group<T, S, MB>(a, group, sums, c);
            step = 0;
            group += gridDim.x;
        }
}

bool wf_gemm_skinny_fits(const wf_cuda *cu, const wf_gemm_args *a)
{
    return !cu->overlap && a->x.n_rows <= 16 && a->w->dtype != WF_F32 &&
           a->x.dtype == a->w->dtype && a->w->n_cols % 1024 == 0 &&
           a->w->n_cols <= (int64_t)1 << 24 && (uintptr_t)a->x.data % 16 == 0 &&
           a->x.stride % 8 == 0;
}

template <typename T, typename S>
static wf_status launch_skinny(wf_cuda *cu, wf_stream *s, const wf_gemm_args *g)
{
    const wf_cuda_weight *w = (const wf_cuda_weight *)g->w;
    skinny_args a = {g->x, g->y, w->data, w->base.n_rows, w->base.n_cols, g->bias};
    int64_t n_groups = div_up64(w->base.n_rows, S::rows), most = (int64_t)cu->n_sms * S::resident;
    // As few blocks as keep their rounds: all of them then end together.
    int64_t rounds = div_up64(n_groups, most);
    dim3 grid((unsigned)div_up64(n_groups, rounds)), block(S::warps * 32);
    if (g->x.n_rows <= 8)
        return wf_cuda_launch(cu, s, "gemm", skinny_kernel<T, S, 1>, grid, block, 0, a);
    return wf_cuda_launch(cu, s, "gemm", skinny_kernel<T, S, 2>, grid, block, 0, a);
}

template <typename S> static wf_status skinny(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a)
{
    return with_half(a->w->dtype, [&](auto *t) {
        return launch_skinny<std::remove_pointer_t<decltype(t)>, S>(cu, s, a);
    });
}

wf_status wf_gemm_skinny_8x4(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a)
{
    return skinny<skinny_shape<8, 1, 4, 2>>(cu, s, a);
}

wf_status wf_gemm_skinny_8x6(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a)
{
    return skinny<skinny_shape<8, 1, 6, 2>>(cu, s, a);
}

wf_status wf_gemm_skinny_4x8(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a)
{
    return skinny<skinny_shape<4, 1, 8, 3>>(cu, s, a);
}

wf_status wf_gemm_skinny_tall(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a)
{
    return skinny<skinny_shape<8, 2, 4, 1>>(cu, s, a);
}
