// gemm with weights of 8 bits: y = x W^T (+ bias), any M, on Hopper's tensor cores, through rings
// in shared memory that start to fill before the kernel's turn (cuda_gemm_ring.cuh).
//
//   W warp           W0 W1 W2 ...     tensor copies of 128 k, one byte each
//   x warp           x0 x1 ...        of 128 k of at most R rows, 2 bytes each
//   WGS warpgroups   W --16-byte loads--> bytes --(exact)--> bf16 or f16 in registers
//                    sums += W x^T    (wgmma: A = W from registers, B = the rows of x)
//                    SHARE of them take turns at the units of the same features
//
// x [M, K] bf16 or f16, rows aligned to 16 bytes; W [N, K] fp8 or int8 in the order of cuda_w8.cuh
// with one scale a row, or one for each 128 k of a row; y [M, N] act or f32. Rows are taken R at a
// time; tiles of the same features and other rows lie side by side, so that W comes from memory
// once. Sums by runs of k (ops.h) are tiles of their own.
//
// A warpgroup has 64 k of converted W in flight while it converts the next 64. The products are
// those of the same weights in bf16 or f16; a scale multiplies the sum of its block, once.
// The order of a sum, `whole`: one chain of k, for a scale of a row; else N, K, WGS, C and the
// device decide, never M. Bytes: N K. FLOPs: 2 N K times M rounded up to R. Tolerance: rounding
// of y.
#ifndef WF_KERNELS_CUDA_GEMM_RING8_CUH
#define WF_KERNELS_CUDA_GEMM_RING8_CUH

#include "kernels/cuda/cuda_gemm_ring.cuh"
#include "kernels/cuda/cuda_w8.cuh"

#define UNIT_K W8_GROUP // k of a slot

struct ring8_args : ring_args {
    int32_t n_row_blocks, n_runs; // tiles are [features][runs][row blocks]
    const float *unit_scale;      // [n][n_runs * units]; NULL: a scale for a row
};

template <int R, int WGS, int C, int SHARE>
struct ring8_shape : ring_sizes<R, WGS, C, UNIT_K, 8, SHARE> {
    // With few rows registers are left for small kernels' blocks, as if the block had more threads.
    static const int roomy = ring8_shape::threads * 8 / 5 / 32 * 32;
    static const int bound = R <= 64 && WGS <= 2 ? roomy : ring8_shape::threads;
};

__device__ __forceinline__ uint4 load_shared16(uint32_t at)
{
    uint4 r;
    asm volatile("ld.shared.v4.u32 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r.x), "=r"(r.y), "=r"(r.z), "=r"(r.w)
                 : "r"(at)
                 : "memory");
    return r;
}

// BY_UNIT: each unit of k has its own scale.
template <typename T, wf_dtype F, int R, int WGS, int C, int SHARE, bool BY_UNIT>
struct ring8_block : ring_work<T, ring8_shape<R, WGS, C, SHARE>> {
    typedef ring8_shape<R, WGS, C, SHARE> shape, S;
    static_assert(SHARE == 1 || !BY_UNIT, "scales of units are one warpgroup's");
    typedef ring_work<T, S> work;
    using work::w_ring, work::x_ring;
    const ring8_args &a;

    __device__ __forceinline__ ring8_block(const ring8_args &args, uint32_t shared)
        : work(args, shared), a(args)
    {
    }

    // Where a tile begins: feature, row, unit of k.
    struct corner {
        int feature, row, unit, run;
    };

    __device__ __forceinline__ corner corner_of(int tile) const
    {
        int rest = tile / a.n_row_blocks, run = rest % a.n_runs;
        return {rest / a.n_runs * S::features, tile % a.n_row_blocks * R, run * a.units, run};
    }

    // One thread.
    __device__ __forceinline__ void copy_w() const
    {
        ring_place<S::slots> at;
        ring_piece q;
        for (int i = 0; this->next(i, q); i++) {
            corner c = corner_of(q.tile);
            for (int u = q.begin; u < q.end; u++, at.step()) {
                barrier_wait(this->w_empty(at.slot), at.phase ^ 1);
                barrier_expect(this->w_full(at.slot), S::w_bytes);
                copy_box(w_ring + at.slot * S::w_bytes, &a.w, (c.unit + u) * UNIT_K, c.feature,
                         this->w_full(at.slot), a.n_row_blocks > 1 ? KEEP_MOST : KEEP_LEAST);
            }
        }
    }

    // One thread. Two boxes of 64 k, which are 128 bytes.
    __device__ __forceinline__ void copy_x() const
    {
        ring_place<S::slots> at;
        ring_piece q;
        for (int i = 0; this->next(i, q); i++) {
            corner c = corner_of(q.tile);
            for (int u = q.begin; u < q.end; u++, at.step()) {
                uint32_t to = x_ring + at.slot * S::x_bytes, full = this->x_full(at.slot);
                int k = (c.unit + u) * UNIT_K;
                barrier_wait(this->x_empty(at.slot), at.phase ^ 1);
                barrier_expect(full, S::x_bytes);
                copy_box(to, &a.x, k, c.row, full, KEEP_MOST);
                copy_box(to + S::x_bytes / 2, &a.x, k + 64, c.row, full, KEEP_MOST);
            }
        }
    }

    __device__ __forceinline__ void release_w(uint32_t slot) const
    {
        __syncwarp(); // all lanes have read it
        if (threadIdx.x % 32 == 0) barrier_arrive(this->w_empty(slot));
    }
    __device__ __forceinline__ void release_x(uint32_t slot) const
    {
        if (threadIdx.x % 32 == 0) barrier_arrive(this->x_empty(slot));
    }

    // Half a unit, 64 k: the products of a lane's bytes of rows g and g + 8 of its warp.
    __device__ __forceinline__ void multiply(float *d, uint32_t *w, uint4 up, uint4 down,
                                             uint64_t x, int add) const
    {
        w8_four<T, F>(up.x, w[0], w[2]), w8_four<T, F>(down.x, w[1], w[3]);
        w8_four<T, F>(up.y, w[4], w[6]), w8_four<T, F>(down.y, w[5], w[7]);
        w8_four<T, F>(up.z, w[8], w[10]), w8_four<T, F>(down.z, w[9], w[11]);
        w8_four<T, F>(up.w, w[12], w[14]), w8_four<T, F>(down.w, w[13], w[15]);
        product_fence();
#pragma unroll
        for (int c = 0; c < 4; c++) // 32 bytes on, in units of 16
            product<T, R>::registers(d, w + 4 * c, x + (uint64_t)(c * 2), add | c);
        product_commit();
    }

    // A lane's bytes of a unit: rows g and g + 8 of its warp, for the first 64 k and the others.
    __device__ __forceinline__ void load_unit(uint32_t slot, uint4 *v) const
    {
        uint32_t g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
        uint32_t row = w_ring + slot * S::w_bytes + ((uint32_t)this->reader() * 16 + g) * UNIT_K;
        uint32_t first = ((2 * t) ^ g) * 16, second = ((2 * t + 1) ^ g) * 16; // as swizzled
        v[0] = load_shared16(row + first);
        v[1] = load_shared16(row + first + 8 * UNIT_K);
        v[2] = load_shared16(row + second);
        v[3] = load_shared16(row + second + 8 * UNIT_K);
    }

    // d = a piece's sums. d[4 n + j]: feature 16 w + g (+ 8 where j >= 2), row 8 n + 2 t + j % 2,
    // of lane 4 g + t of warp w.
    __device__ __forceinline__ void add_up(float *d, const ring_piece &q,
                                           ring_place<S::slots> &at) const
    {
        uint32_t before = 0, w[2][16] = {};
        int first = q.begin + this->sharer();
        ring_place<S::slots> place = at;
        if (S::share > 1) place.go((uint32_t)this->sharer());
        const float *scale = BY_UNIT ? scales_of(q) : nullptr;
#pragma unroll
        for (int i = 0; i < S::sums; i++)
            d[i] = 0.0f;
        for (int u = first; u < q.end; u += S::share) {
            float part[BY_UNIT ? S::sums : 1], s[2] = {};
            float *sums = BY_UNIT ? part : d;
            uint4 v[4];
            if (BY_UNIT) s[0] = scale[u], s[1] = scale[u + 8 * (int64_t)a.n_runs * a.units];
            barrier_wait(this->w_full(place.slot), place.phase);
            load_unit(place.slot, v);
            barrier_wait(this->x_full(place.slot), place.phase);
            uint64_t x = operand_at(x_ring + place.slot * S::x_bytes, 16, 1024);
            product_wait<1>();
            touch<16>(w[0]);
            multiply(sums, w[0], v[0], v[1], x, BY_UNIT ? 0 : 1);
            release_w(place.slot);
            product_wait<1>();
            touch<16>(w[1]);
            if (!BY_UNIT && u > first) release_x(before);
            multiply(sums, w[1], v[2], v[3], x + S::x_bytes / 2 / 16, 1);
            if (BY_UNIT) add_unit(d, part, s, place.slot);
            before = place.slot;
            if (S::share == 1)
                place.step();
            else
                place.go(S::share);
        }
        if (S::share == 1)
            at = place;
        else
            at.go((uint32_t)(q.end - q.begin));
        if (BY_UNIT) return;
        product_wait<0>();
        touch<S::sums>(d);
        if (q.end > first) release_x(before);
    }

    // The scales of the lane's feature g, one a unit of the piece's tile.
    __device__ __forceinline__ const float *scales_of(const ring_piece &q) const
    {
        corner c = corner_of(q.tile);
        int64_t f = c.feature + (int64_t)threadIdx.x / 32 * 16 + threadIdx.x % 32 / 4;
        return a.unit_scale + f * a.n_runs * a.units + c.unit;
    }

    __device__ __forceinline__ void add_unit(float *d, float *part, const float *s,
                                             uint32_t slot) const
    {
        product_wait<0>();
        touch<S::sums>(part);
        release_x(slot);
#pragma unroll
        for (int i = 0; i < S::sums; i++)
            d[i] = fmaf(s[i / 2 % 2], part[i], d[i]);
    }

    __device__ __forceinline__ void store_tile(float *sum, int tile) const
    {
        corner c = corner_of(tile);
        wf_matrix y = a.y;
        y.data = (char *)y.data + c.run * y.n_rows * y.stride * (y.dtype == WF_F32 ? 4 : 2);
        this->store(sum, y, c.feature, c.row);
    }
};

template <typename T, wf_dtype F, int R, int WGS, int C, int SHARE, bool BY_UNIT>
static __global__ void __launch_bounds__(ring8_shape<R, WGS, C, SHARE>::bound, 1)
    ring8_kernel(const __grid_constant__ ring8_args a)
{
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    extern __shared__ char raw[];
    ring_run<ring8_block<T, F, R, WGS, C, SHARE, BY_UNIT>>(a, raw);
#endif
}

// ---- launch -------------------------------------------------------------------------------------

static inline wf_status ring8_maps(const wf_cuda *cu, const wf_gemm_args *g, int features, int rows,
                                   ring8_args *a)
{
    const wf_cuda_weight *w = (const wf_cuda_weight *)g->w;
    uint64_t k = (uint64_t)w->base.n_cols, pitch = (uint64_t)w8_pitch(w->base.n_cols);
    cuuint64_t w_dims[] = {pitch, (uint64_t)w->base.n_rows}, w_stride[] = {pitch};
    cuuint64_t x_dims[] = {k, (uint64_t)g->x.n_rows}, x_stride[] = {(uint64_t)g->x.stride * 2};
    cuuint32_t w_box[] = {UNIT_K, (cuuint32_t)features}, x_box[] = {64, (cuuint32_t)rows};
    WF_TRY(make_map_of(cu, "gemm", CU_TENSOR_MAP_DATA_TYPE_UINT8, w->data, 2, w_dims, w_stride,
                       w_box, &a->w));
    return make_map(cu, "gemm", g->x.dtype, g->x.data, 2, x_dims, x_stride, x_box, &a->x);
}

template <typename T, wf_dtype F, int R, int WGS, int C, int SHARE, bool BY_UNIT>
static wf_status launch_ring8(wf_cuda *cu, wf_stream *s, const wf_gemm_args *g, bool whole)
{
    typedef ring8_shape<R, WGS, C, SHARE> S;
    auto kernel = ring8_kernel<T, F, R, WGS, C, SHARE, BY_UNIT>;
    const wf_cuda_weight *w = (const wf_cuda_weight *)g->w;
    ring8_args a = {};
    a.y = g->y;
    a.n = w->base.n_rows;
    a.n_runs = wf_gemm_runs_of(g);
    a.n_row_blocks = (int32_t)div_up64(g->x.n_rows, R);
    a.units = (int32_t)div_up64(w->base.n_cols / a.n_runs, UNIT_K);
    a.n_tiles = (int32_t)div_up64(a.n, S::features) * a.n_runs * a.n_row_blocks;
    a.whole = whole;
    a.scale = BY_UNIT ? nullptr : w->scales;
    a.unit_scale = BY_UNIT ? w->scales : nullptr;
    a.bias = g->bias;
    WF_TRY(ring8_maps(cu, g, S::features, R, &a));
    WF_TRY(wf_cuda_allow_shared(cu, kernel, S::shared_bytes, "gemm"));
    int64_t n_blocks = ring_blocks(cu, C, whole ? 1 : a.units, a.n_tiles);
    if (C == 1 && !whole) WF_TRY(ring_parts<S>(cu, s, n_blocks, &a));
    return wf_cuda_launch_clusters(cu, s, "gemm", kernel, dim3((unsigned)n_blocks),
                                   dim3(S::threads), S::shared_bytes, C, a);
}

// R as few as hold the rows; more rows than 128 are taken in turns. Sharers have 32 at most: more
// sums would take the place of the ring.
template <typename T, wf_dtype F, int WGS, int C, int SHARE, bool BY_UNIT>
static wf_status ring8_rows(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a, bool whole)
{
    constexpr int least = C == 1 ? 8 : 16, most = C == 1 && WGS <= 2 ? 128 : 64;
    int64_t m = a->x.n_rows;
    if (m <= least) return launch_ring8<T, F, least, WGS, C, SHARE, BY_UNIT>(cu, s, a, whole);
    if (m <= 16) return launch_ring8<T, F, 16, WGS, C, SHARE, BY_UNIT>(cu, s, a, whole);
    if (m <= 32) return launch_ring8<T, F, 32, WGS, C, SHARE, BY_UNIT>(cu, s, a, whole);
    constexpr int more = SHARE == 1 ? 64 : 32, all = SHARE == 1 ? most : 32;
    if (m <= 64) return launch_ring8<T, F, more, WGS, C, SHARE, BY_UNIT>(cu, s, a, whole);
    return launch_ring8<T, F, all, WGS, C, SHARE, BY_UNIT>(cu, s, a, whole);
}

template <wf_dtype F>
static wf_status ring8(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a, wf_ring8_way way)
{
    return with_half(a->x.dtype, [&](auto *t) {
        typedef std::remove_pointer_t<decltype(t)> T;
        bool whole = way >= WF_RING8_WHOLE_64;
        if (a->w->block > 0) return ring8_rows<T, F, 2, 1, 1, true>(cu, s, a, whole);
        switch (way) {
        case WF_RING8_PAIRS_64:
            return ring8_rows<T, F, 1, 2, 1, false>(cu, s, a, false);
        case WF_RING8_PAIRS_128:
            return ring8_rows<T, F, 2, 2, 1, false>(cu, s, a, false);
        case WF_RING8_SHARED_PAIRS:
            return ring8_rows<T, F, 4, 2, 4, false>(cu, s, a, false);
        case WF_RING8_SHARED_64:
            return ring8_rows<T, F, 4, 1, 4, false>(cu, s, a, false);
        case WF_RING8_RUNS_64:
        case WF_RING8_WHOLE_64:
            return ring8_rows<T, F, 1, 1, 1, false>(cu, s, a, whole);
        case WF_RING8_RUNS_256:
            return ring8_rows<T, F, 4, 1, 1, false>(cu, s, a, false);
        default:
            return ring8_rows<T, F, 2, 1, 1, false>(cu, s, a, whole);
        }
    });
}

#endif
