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
#include "kernels/cuda/cuda_gemm.cuh"
#include "kernels/cuda/cuda_hopper.cuh"

#define UNIT_K       64           // k of a slot: 128 bytes, what the swizzle spans
#define MOST_SLOTS   24           // of a ring
#define SHARED_BYTES (220 * 1024) // of a block; small kernels' blocks get in beside it
#define INT_MOST     ((int64_t)INT32_MAX)

struct ring_args {
    CUtensorMap w, x;
    wf_matrix y;
    int64_t n;
    int32_t units, n_tiles; // of k, of W
    const float *bias;
    float *parts;  // C = 1: sums that blocks leave to later ones, [block][warp][i][lane][4]
    int32_t *left; // C = 1: [block][warp] 1: they are there. Zero between products
};

// R: rows of x, rounded up.
template <int R, int WGS, int C> struct ring_shape {
    static const int features = 64 * WGS, warps = 4 * WGS, threads = 32 * warps + 64;
    // Registers for the small kernels' blocks: as if the block had more threads.
    static const int bound = threads * 8 / 5 / 32 * 32;
    static const int w_bytes = features * UNIT_K * 2, x_bytes = R * UNIT_K * 2; // of a slot
    static const int sums = R / 2, part = sums / C; // of a thread; that its block stores
    static const int inbox_bytes = C == 1 ? 0 : warps * part * 128;
    static const int n_bars = 4 * MOST_SLOTS + 2 * warps;
    static const int fixed_bytes = 1024 + inbox_bytes + n_bars * 8; // the start is rounded up
    static const int n_slots = (SHARED_BYTES - fixed_bytes) / (w_bytes + x_bytes);
    static const int slots = n_slots < MOST_SLOTS ? n_slots : MOST_SLOTS;
    static const int shared_bytes = fixed_bytes + slots * (w_bytes + x_bytes);
    static_assert(R % (8 * C) == 0 && C <= 2, "a block stores whole columns of products");
};

// ---- between the blocks of a cluster ------------------------------------------------------------

__device__ __forceinline__ uint32_t at_peer(uint32_t address, uint32_t rank)
{
    uint32_t r;
    asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(r) : "r"(address), "r"(rank));
    return r;
}
// Asynchronous: the bytes count at the peer's barrier when they are there.
__device__ __forceinline__ void store_at_peer(uint32_t at, const float *v, uint32_t bar)
{
    asm volatile("st.async.shared::cluster.mbarrier::complete_tx::bytes.v4.f32 [%0], "
                 "{%1, %2, %3, %4}, [%5];" ::"r"(at),
                 "f"(v[0]), "f"(v[1]), "f"(v[2]), "f"(v[3]), "r"(bar)
                 : "memory");
}
__device__ __forceinline__ void arrive_at_peer(uint32_t bar)
{
    asm volatile("mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%0];" ::"r"(bar)
                 : "memory");
}
__device__ __forceinline__ void wait_for_peer(uint32_t bar, uint32_t parity)
{
    uint32_t done;
    do
        asm volatile("{ .reg .pred p;\n"
                     "mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 p, [%1], %2;\n"
                     "selp.u32 %0, 1, 0, p; }"
                     : "=r"(done)
                     : "r"(bar), "r"(parity)
                     : "memory");
    while (done == 0);
}
__device__ __forceinline__ void cluster_arrive()
{
    asm volatile("barrier.cluster.arrive.release;" ::: "memory");
}
__device__ __forceinline__ void cluster_wait()
{
    asm volatile("barrier.cluster.wait.acquire;" ::: "memory");
}

// ---- the roles ----------------------------------------------------------------------------------

// Of a tile, units [begin, end) of k; from: the first block that has units of it.
struct ring_piece {
    int tile, begin, end, from;
};

template <typename T, int R, int WGS, int C> struct ring_block {
    typedef ring_shape<R, WGS, C> S;
    const ring_args &a;
    uint32_t w_ring, x_ring, inbox, bars; // in shared memory, at the same place in every block
    int rank;                             // in the cluster
    int lo, hi;                           // C = 1: units, counted through all tiles

    __device__ __forceinline__ ring_block(const ring_args &args, uint32_t shared) : a(args)
    {
        int64_t all = (int64_t)a.units * a.n_tiles;
        rank = (int)blockIdx.x % C;
        lo = (int)(all * blockIdx.x / gridDim.x);
        hi = (int)(all * (blockIdx.x + 1) / gridDim.x);
        w_ring = shared;
        x_ring = w_ring + (uint32_t)(S::slots * S::w_bytes);
        inbox = x_ring + (uint32_t)(S::slots * S::x_bytes);
        bars = inbox + S::inbox_bytes;
    }

    __device__ __forceinline__ uint32_t bar(uint32_t kind, uint32_t i) const
    {
        return bars + (kind * MOST_SLOTS + i) * 8;
    }
    __device__ __forceinline__ uint32_t w_full(uint32_t i) const { return bar(0, i); }
    __device__ __forceinline__ uint32_t w_empty(uint32_t i) const { return bar(1, i); }
    __device__ __forceinline__ uint32_t x_full(uint32_t i) const { return bar(2, i); }
    __device__ __forceinline__ uint32_t x_empty(uint32_t i) const { return bar(3, i); }
    // Of a warp: the peer's sums have come; the peer has read what was sent to it.
    __device__ __forceinline__ uint32_t come(int warp) const { return bar(4, (uint32_t)warp); }
    __device__ __forceinline__ uint32_t read(int warp) const
    {
        return bar(4, (uint32_t)(S::warps + warp));
    }

    __device__ __forceinline__ void init_barriers() const
    {
        for (uint32_t i = 0; i < S::slots; i++) {
            barrier_init(w_full(i), 1);
            barrier_init(w_empty(i), S::warps);
            barrier_init(x_full(i), 1);
            barrier_init(x_empty(i), S::warps);
        }
        for (int i = 0; C > 1 && i < S::warps; i++) {
            barrier_init(come(i), 1);
            barrier_init(read(i), 1);
        }
        asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
        fence_shared_for_async();
    }

    // The i-th piece of this block, false: it has no more. C = 1: what a later block waits for
    // comes first, what waits for earlier blocks last.
    __device__ __forceinline__ bool next(int i, ring_piece &q) const
    {
        if (C > 1) {
            q = {((int)blockIdx.x + i * (int)gridDim.x) / C, a.units * rank / C,
                 a.units * (rank + 1) / C, 0};
            return q.tile < a.n_tiles;
        }
        int first = lo / a.units, first_unit = lo % a.units;
        int last = hi / a.units, last_unit = hi % a.units; // hi is one beyond
        if (first == last) {
            q = {first, first_unit, last_unit, 0};
            return i == 0 && lo < hi;
        }
        if (last_unit > 0 && i-- == 0) {
            q = {last, 0, last_unit, 0};
            return true;
        }
        q = {first + (first_unit > 0) + i, 0, a.units, 0};
        if (q.tile < last) return true;
        if (first_unit == 0 || q.tile > last) return false;
        q = {first, first_unit, a.units, block_of((int64_t)first * a.units)};
        return true;
    }

    // The block whose run has a unit.
    __device__ __forceinline__ int block_of(int64_t unit) const
    {
        int64_t all = (int64_t)a.units * a.n_tiles;
        int block = (int)(unit * gridDim.x / all);
        while (all * (block + 1) / gridDim.x <= unit)
            block++;
        return block;
    }

    // One thread.
    __device__ __forceinline__ void copy_w() const
    {
        ring_place<S::slots> at;
        ring_piece q;
        for (int i = 0; next(i, q); i++)
            for (int u = q.begin; u < q.end; u++, at.step()) {
                barrier_wait(w_empty(at.slot), at.phase ^ 1);
                barrier_expect(w_full(at.slot), S::w_bytes);
                copy_box(w_ring + at.slot * S::w_bytes, &a.w, u * UNIT_K, q.tile * S::features,
                         w_full(at.slot), KEEP_LEAST);
            }
    }

    // One thread.
    __device__ __forceinline__ void copy_x() const
    {
        ring_place<S::slots> at;
        ring_piece q;
        for (int i = 0; next(i, q); i++)
            for (int u = q.begin; u < q.end; u++, at.step()) {
                barrier_wait(x_empty(at.slot), at.phase ^ 1);
                barrier_expect(x_full(at.slot), S::x_bytes);
                copy_box(x_ring + at.slot * S::x_bytes, &a.x, u * UNIT_K, 0, x_full(at.slot),
                         KEEP_MOST);
            }
    }

    __device__ __forceinline__ void release(uint32_t slot) const
    {
        if (threadIdx.x % 32 != 0) return;
        barrier_arrive(w_empty(slot));
        barrier_arrive(x_empty(slot));
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
            barrier_wait(w_full(at.slot), at.phase);
            barrier_wait(x_full(at.slot), at.phase);
            uint64_t w = operand_at(mine + at.slot * S::w_bytes, 16, 1024);
            uint64_t x = operand_at(x_ring + at.slot * S::x_bytes, 16, 1024);
            product_fence();
#pragma unroll
            for (int k = 0; k < UNIT_K / 16; k++) // 32 bytes on, in units of 16
                product<T, R>::shared(d, w + (uint64_t)(k * 2), x + (uint64_t)(k * 2), 1);
            product_commit();
            product_wait<1>();
            if (u > q.begin) release(before);
            before = at.slot;
            at.step();
        }
        product_wait<0>();
        touch<S::sums>(d);
        if (q.end > q.begin) release(before);
    }

    // C = 2. sum = the tile's sums over all k, for this block's half of the rows. Warps of one
    // number deal with each other alone. A block is gone only when all that is sent to it has come:
    // nobody tells it that its last message was read.
    __device__ __forceinline__ void exchange(const float *d, float *sum, uint32_t turn,
                                             bool last) const
    {
        int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32;
        uint32_t box = inbox + (uint32_t)(warp * S::part * 128 + lane * 16);
        uint32_t to = at_peer(box, (uint32_t)(rank ^ 1));
        uint32_t at_come = at_peer(come(warp), (uint32_t)(rank ^ 1));
        if (lane == 0) barrier_expect(come(warp), S::part * 128);
        if (turn > 0) wait_for_peer(read(warp), (turn - 1) & 1);
#pragma unroll
        for (int i = 0; i < S::part; i += 4) {
            float theirs[4];
#pragma unroll
            for (int j = 0; j < 4; j++) {
                float first = d[i + j], second = d[S::sums - S::part + i + j];
                theirs[j] = rank == 0 ? second : first;
                sum[i + j] = rank == 0 ? first : second;
            }
            store_at_peer(to + (uint32_t)(i * 128), theirs, at_come);
        }
        wait_for_peer(come(warp), turn & 1);
#pragma unroll
        for (int i = 0; i < S::part; i += 4) {
            float v[4];
            asm volatile("ld.shared.v4.f32 {%0, %1, %2, %3}, [%4];"
                         : "=f"(v[0]), "=f"(v[1]), "=f"(v[2]), "=f"(v[3])
                         : "r"(box + (uint32_t)(i * 128))
                         : "memory");
#pragma unroll
            for (int j = 0; j < 4; j++)
                sum[i + j] += v[j]; // of two, in either order
        }
        __syncwarp();
        if (!last && lane == 0) arrive_at_peer(at_peer(read(warp), (uint32_t)(rank ^ 1)));
    }

    __device__ __forceinline__ float4 *part_of(int block) const
    {
        int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32;
        return (float4 *)a.parts + ((int64_t)block * S::warps + warp) * (S::sums / 4 * 32) + lane;
    }

    // C = 1. Leaves a piece's sums to the block that has the end of the tile.
    __device__ __forceinline__ void leave(const float *d) const
    {
        float4 *to = part_of((int)blockIdx.x);
        int32_t *flag = a.left + blockIdx.x * S::warps + threadIdx.x / 32;
#pragma unroll
        for (int i = 0; i < S::sums / 4; i++)
            to[i * 32] = make_float4(d[4 * i], d[4 * i + 1], d[4 * i + 2], d[4 * i + 3]);
        __syncwarp();
        if (threadIdx.x % 32 == 0)
            asm volatile("st.release.gpu.global.b32 [%0], 1;" ::"l"(flag) : "memory");
    }

    // C = 1. Adds what blocks from `from` on left of the tile, in order, before d.
    __device__ __forceinline__ void collect(float *d, int from) const
    {
        int n = (int)blockIdx.x - from;
        for (int i = (int)threadIdx.x % 32; i < n; i += 32) {
            int32_t *flag = a.left + (from + i) * S::warps + threadIdx.x / 32, seen;
            do
                asm volatile("ld.acquire.gpu.global.b32 %0, [%1];"
                             : "=r"(seen)
                             : "l"(flag)
                             : "memory");
            while (seen == 0);
            *flag = 0; // for the next product
        }
        __syncwarp();
        if (n == 1)
            add_left<1, S::sums / 4>(d, from);
        else
            add_left<4, 2>(d, from);
    }

    // Reads B blocks' sums, 4 P of each, at a time.
    template <int B, int P> __device__ __forceinline__ void add_left(float *d, int from) const
    {
#pragma unroll
        for (int c = 0; c < S::sums / 4; c += P) {
            float total[4 * P] = {};
            for (int b = from; b < (int)blockIdx.x; b += B) {
                float4 v[B][P];
#pragma unroll
                for (int j = 0; j < B; j++)
#pragma unroll
                    for (int i = 0; i < P; i++)
                        v[j][i] = b + j < (int)blockIdx.x ? __ldcg(part_of(b + j) + (c + i) * 32)
                                                          : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
#pragma unroll
                for (int j = 0; j < B; j++)
#pragma unroll
                    for (int i = 0; i < P; i++) {
                        total[4 * i] += v[j][i].x;
                        total[4 * i + 1] += v[j][i].y;
                        total[4 * i + 2] += v[j][i].z;
                        total[4 * i + 3] += v[j][i].w;
                    }
            }
#pragma unroll
            for (int i = 0; i < 4 * P; i++)
                d[4 * c + i] = total[i] + d[4 * c + i];
        }
    }

    // The block's part of the rows, 16 features of a warp.
    __device__ __forceinline__ void store(float *sum, int tile) const
    {
        int g = (int)threadIdx.x % 32 / 4, t = (int)threadIdx.x % 4, row = rank * (R / C);
        int64_t feature = (int64_t)tile * S::features + threadIdx.x / 32 * 16;
#pragma unroll
        for (int h = 0; h < 2 && a.bias != nullptr; h++) {
            int64_t f = feature + g + 8 * h;
            float b = f < a.n ? a.bias[f] : 0.0f;
#pragma unroll
            for (int n = 0; n < S::part; n += 4) {
                sum[n + 2 * h] += b;
                sum[n + 2 * h + 1] += b;
            }
        }
        if (a.y.dtype == WF_F32)
            store_f32(sum, row + 2 * t, feature + g);
        else
            store_act(sum, row + g, feature + 2 * t);
    }

    __device__ __forceinline__ void store_f32(const float *sum, int row, int64_t f) const
    {
        float *y = (float *)a.y.data + row * a.y.stride + f;
        int left = (int)a.y.n_rows - row;
        bool real[2] = {f < a.n, f + 8 < a.n};
#pragma unroll
        for (int n = 0; n < S::part; n += 4, y += 8 * a.y.stride)
#pragma unroll
            for (int i = 0; i < 4; i++)
                if (real[i / 2] && 2 * n + i % 2 < left)
                    y[i % 2 * a.y.stride + i / 2 * 8] = sum[n + i];
    }

    // Two sums of a feature and neighbouring rows, turned round: of a row and neighbouring
    // features.
    __device__ __forceinline__ void store_act(const float *sum, int row, int64_t f) const
    {
        uint16_t *y = (uint16_t *)a.y.data + row * a.y.stride + f;
        int left = (int)a.y.n_rows - row;
#pragma unroll
        for (int n = 0; n < S::part; n += 4, y += 8 * a.y.stride)
#pragma unroll
            for (int h = 0; h < 2; h++) {
                uint32_t two = pack2((T *)nullptr, sum[n + 2 * h], sum[n + 2 * h + 1]);
                asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %0;" : "+r"(two));
                if (2 * n < left && f + 8 * h + 1 < a.n)
                    *(uint32_t *)(y + 8 * h) = two;
                else if (2 * n < left && f + 8 * h < a.n)
                    y[8 * h] = (uint16_t)two;
            }
    }

    __device__ __forceinline__ void compute() const
    {
        float d[S::sums];
        ring_place<S::slots> at;
        ring_piece q;
        for (int i = 0; next(i, q); i++) {
            add_up(d, q, at);
            if (C > 1) {
                float sum[S::part];
                exchange(d, sum, (uint32_t)i, q.tile + (int)gridDim.x / C >= a.n_tiles);
                store(sum, q.tile);
            } else if (q.end < a.units) {
                leave(d);
            } else {
                if (q.begin > 0) collect(d, q.from);
                store(d, q.tile);
            }
        }
    }
};

template <typename T, int R, int WGS, int C>
static __global__ void __launch_bounds__(ring_shape<R, WGS, C>::bound, 1)
    ring_kernel(const __grid_constant__ ring_args a)
{
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    extern __shared__ char raw[];
    const int warps = ring_shape<R, WGS, C>::warps;
    ring_block<T, R, WGS, C> block(a, (shared_address(raw) + 1023) & ~1023u);
    let_next_start(); // it waits for this kernel's end before it reads a word
    if (threadIdx.x == 0) {
        block.init_barriers();
    } else if (threadIdx.x == 32) {
        prefetch_map(&a.w);
        prefetch_map(&a.x);
    }
    __syncthreads();
    if (C > 1) cluster_arrive();
    if (threadIdx.x / 32 == warps) {
        if (threadIdx.x % 32 == 0) block.copy_w();
        if (C > 1) cluster_wait();
    } else if (threadIdx.x / 32 == warps + 1) {
        wait_for_previous();
        if (threadIdx.x % 32 == 0) block.copy_x();
        if (C > 1) cluster_wait();
    } else {
        wait_for_previous();
        if (C > 1) cluster_wait(); // the peer's barriers are there
        block.compute();
    }
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

// C = 2: as few clusters as keep their rounds, so that all of them end together.
static int64_t clusters_for(const wf_cuda *cu, int64_t n_tiles)
{
    int64_t most = cu->n_sms / 2;
    return div_up64(n_tiles, div_up64(n_tiles, most));
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
    if (C > 1)
        return wf_cuda_launch_clusters(cu, s, "gemm", kernel,
                                       dim3((unsigned)(clusters_for(cu, a.n_tiles) * C)),
                                       dim3(S::threads), S::shared_bytes, C, a);
    int64_t all = (int64_t)a.n_tiles * a.units, n_blocks = all < cu->n_sms ? all : cu->n_sms;
    void *parts = nullptr;
    WF_TRY(wf_cuda_scratch(cu, s, (size_t)(n_blocks * S::warps * S::sums) * 128, &parts));
    WF_TRY(wf_cuda_counters(cu, s, (size_t)(n_blocks * S::warps), &a.left));
    a.parts = (float *)parts;
    return wf_cuda_launch(cu, s, "gemm", kernel, dim3((unsigned)n_blocks), dim3(S::threads),
                          S::shared_bytes, a);
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
