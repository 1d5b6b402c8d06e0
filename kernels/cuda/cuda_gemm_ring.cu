// gemm for some rows: y = x W^T (+ bias), M <= 64, on Hopper's tensor cores, through rings in
// shared memory that start to fill before the kernel's turn.
//
//   W warp           W0 W1 W2 ...       (tensor copies; from before the kernel's turn on)
//   x warp                x0 x1 ...     (once the kernel before has written x)
//   WGS warpgroups   sums += W x^T, 64 features (rows of W) each (wgmma: A = W, B = all rows of x)
//
// x [M, K] act, W [N, K] same dtype, y [M, N] act or f32; rows of x and W aligned to 16 bytes. What
// lies beyond M, N and K is read as zeros. W depends on no kernel before this one: launched early
// (programmatic launch), a block gets in as soon as its multiprocessor has room and asks for all
// that its ring of W holds, up to 18 MB over the device, while the kernels between (a norm, an
// activation) wait for each other. The ring of x is as deep: while W comes in, what x asks for
// waits as long.
//
// A tile is 64 WGS features by all of k. Who sums what:
//   C = 2  Clusters of two blocks, half of k each. Each gets the other's sums for its half of the
//          rows and stores these. For matrices with few tiles.
//   C = 1  All tiles, laid end to end, are cut into equal runs, one for each multiprocessor. What a
//          block has of a tile that ends in a later run comes first, and is left in memory; the
//          block with the tile's end adds it, last. Nobody waits for a block after it in the grid.
//          For matrices with many tiles.
//
// The order of a sum depends on N, K, WGS, C and the device, not on M; it is not that of one chain,
// so `deterministic` does without these kernels. Bytes: 2 N K. FLOPs: 2 N K times M rounded up to
// 32 or 64. Tolerance: rounding of y.
#include "kernels/cuda/cuda_gemm_ring.cuh"

#define UNIT_K 64 // k of a slot: 128 bytes, what the swizzle spans

template <int R, int WGS, int C> struct ring_shape : ring_sizes<R, WGS, C, UNIT_K, 16> {
    // Registers for the small kernels' blocks: as if the block had more threads.
    static const int bound = ring_shape::threads * 8 / 5 / 32 * 32;
};

template <typename T, int R, int WGS, int C>
struct ring_block : ring_work<T, ring_shape<R, WGS, C>> {
    typedef ring_shape<R, WGS, C> shape, S;
    typedef ring_work<T, S> work;
    using work::a, work::w_ring, work::x_ring;
    using work::work;

    // One thread.
    __device__ __forceinline__ void copy_w() const
    {
        ring_place<S::slots> at;
        ring_piece q;
        for (int i = 0; this->next(i, q); i++)
            for (int u = q.begin; u < q.end; u++, at.step()) {
                barrier_wait(this->w_empty(at.slot), at.phase ^ 1);
                barrier_expect(this->w_full(at.slot), S::w_bytes);
                copy_box(w_ring + at.slot * S::w_bytes, &a.w, u * UNIT_K, q.tile * S::features,
                         this->w_full(at.slot), KEEP_LEAST);
            }
    }

    // One thread.
    __device__ __forceinline__ void copy_x() const
    {
        ring_place<S::slots> at;
        ring_piece q;
        for (int i = 0; this->next(i, q); i++)
            for (int u = q.begin; u < q.end; u++, at.step()) {
                barrier_wait(this->x_empty(at.slot), at.phase ^ 1);
                barrier_expect(this->x_full(at.slot), S::x_bytes);
                copy_box(x_ring + at.slot * S::x_bytes, &a.x, u * UNIT_K, 0, this->x_full(at.slot),
                         KEEP_MOST);
            }
    }

    // d = a piece's sums. d[4 n + j]: feature 16 w + g (+ 8 where j >= 2), row 8 n + 2 t + j % 2,
    // of lane 4 g + t of warp w.
    __device__ __forceinline__ void add_up(float *d, const ring_piece &q,
                                           ring_place<S::slots> &at) const
    {
        uint32_t mine = w_ring + threadIdx.x / 128 * (64 * UNIT_K * 2), before = 0;
#pragma unroll
        for (int i = 0; i < S::sums; i++)
            d[i] = 0.0f;
        for (int u = q.begin; u < q.end; u++) {
            barrier_wait(this->w_full(at.slot), at.phase);
            barrier_wait(this->x_full(at.slot), at.phase);
            uint64_t w = operand_at(mine + at.slot * S::w_bytes, 16, 1024);
            uint64_t x = operand_at(x_ring + at.slot * S::x_bytes, 16, 1024);
            product_fence();
#pragma unroll
            for (int k = 0; k < UNIT_K / 16; k++) // 32 bytes on, in units of 16
                product<T, R>::shared(d, w + (uint64_t)(k * 2), x + (uint64_t)(k * 2), 1);
            product_commit();
            product_wait<1>();
            if (u > q.begin) this->release(before);
            before = at.slot;
            at.step();
        }
        product_wait<0>();
        touch<S::sums>(d);
        if (q.end > q.begin) this->release(before);
    }

    __device__ __forceinline__ void store_tile(float *sum, int tile) const
    {
        this->store(sum, a.y, (int64_t)tile * S::features, 0);
    }
};

template <typename T, int R, int WGS, int C>
static __global__ void __launch_bounds__(ring_shape<R, WGS, C>::bound, 1)
    ring_kernel(const __grid_constant__ ring_args a)
{
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    extern __shared__ char raw[];
    ring_run<ring_block<T, R, WGS, C>>(a, raw);
#endif
}

// ---- launch -------------------------------------------------------------------------------------

bool wf_gemm_ring_fits(const wf_cuda *cu, const wf_gemm_args *a)
{
    int64_t n = a->w->n_rows, k = a->w->n_cols;
    return cu->encode_map != nullptr && a->x.n_rows > 16 && a->x.n_rows <= 64 &&
           a->w->dtype != WF_F32 && a->x.dtype == a->w->dtype && k % 8 == 0 &&
           (uintptr_t)a->x.data % 16 == 0 && a->x.stride % 8 == 0 &&
           div_up64(n, 64) * div_up64(k, UNIT_K) <= INT_MOST && n <= INT_MOST - 256 &&
           (a->y.dtype == WF_F32 || ((uintptr_t)a->y.data % 4 == 0 && a->y.stride % 2 == 0));
}

static wf_status make_maps(const wf_cuda *cu, const wf_gemm_args *g, int features, int rows,
                           ring_args *a)
{
    const wf_cuda_weight *w = (const wf_cuda_weight *)g->w;
    uint64_t k = (uint64_t)w->base.n_cols;
    cuuint64_t w_dims[] = {k, (uint64_t)w->base.n_rows}, w_stride[] = {k * 2};
    cuuint64_t x_dims[] = {k, (uint64_t)g->x.n_rows}, x_stride[] = {(uint64_t)g->x.stride * 2};
    cuuint32_t w_box[] = {UNIT_K, (cuuint32_t)features}, x_box[] = {UNIT_K, (cuuint32_t)rows};
    WF_TRY(make_map(cu, "gemm", g->w->dtype, w->data, 2, w_dims, w_stride, w_box, &a->w));
    return make_map(cu, "gemm", g->w->dtype, g->x.data, 2, x_dims, x_stride, x_box, &a->x);
}

template <typename T, int R, int WGS, int C>
static wf_status launch_ring(wf_cuda *cu, wf_stream *s, const wf_gemm_args *g)
{
    typedef ring_shape<R, WGS, C> S;
    auto kernel = ring_kernel<T, R, WGS, C>;
    ring_args a = {};
    a.y = g->y;
    a.n = g->w->n_rows;
    a.units = (int32_t)div_up64(g->w->n_cols, UNIT_K);
    a.n_tiles = (int32_t)div_up64(a.n, S::features);
    a.bias = g->bias;
    WF_TRY(make_maps(cu, g, S::features, R, &a));
    WF_TRY(wf_cuda_allow_shared(cu, kernel, S::shared_bytes, "gemm"));
    int64_t n_blocks = ring_blocks(cu, C, a.units, a.n_tiles);
    if (C == 1) WF_TRY(ring_parts<S>(cu, s, n_blocks, &a));
    return wf_cuda_launch_clusters(cu, s, "gemm", kernel, dim3((unsigned)n_blocks),
                                   dim3(S::threads), S::shared_bytes, C, a);
}

template <typename T, int WGS, int C>
static wf_status ring_rows(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a)
{
    return a->x.n_rows <= 32 ? launch_ring<T, 32, WGS, C>(cu, s, a)
                             : launch_ring<T, 64, WGS, C>(cu, s, a);
}

template <int WGS, int C> static wf_status ring(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a)
{
    return with_half(a->w->dtype, [&](auto *t) {
        return ring_rows<std::remove_pointer_t<decltype(t)>, WGS, C>(cu, s, a);
    });
}

wf_status wf_gemm_ring_pairs_128(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a)
{
    return ring<2, 2>(cu, s, a);
}

wf_status wf_gemm_ring_pairs_64(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a)
{
    return ring<1, 2>(cu, s, a);
}

wf_status wf_gemm_ring_runs(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a)
{
    return ring<2, 1>(cu, s, a);
}
