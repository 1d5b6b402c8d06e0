// What the ring kernels share (cuda_gemm_ring.cu, cuda_gemm_ring8.cu): who sums what of which tile,
// and how sums of several blocks come together and are stored.
//
// A tile is 64 WGS / SHARE features (rows of W) by at most R rows of x by all of k, which is
// counted in units of S::unit_k. Who sums what:
//   C = 2  Clusters of two blocks, half of k each. Each gets the other's sums for its half of the
//          rows and stores these. For matrices with few tiles.
//   C = 1  All tiles, laid end to end, are cut into equal runs, one for each multiprocessor. What a
//          block has of a tile that ends in a later run comes first, and is left in memory; the
//          block with the tile's end adds it, last. Nobody waits for a block after it in the grid.
//          For matrices with many tiles. With `whole` tiles are not cut, and blocks take turns.
// Within a block SHARE warpgroups take turns at the units of the same features, for matrices of
// which a block has so few units that it waits for its own instructions, not for memory.
#ifndef WF_KERNELS_CUDA_GEMM_RING_CUH
#define WF_KERNELS_CUDA_GEMM_RING_CUH

#include "kernels/cuda/cuda_gemm.cuh"
#include "kernels/cuda/cuda_hopper.cuh"

#define INT_MOST     ((int64_t)INT32_MAX)
#define MOST_SLOTS   24           // of a ring
#define SHARED_BYTES (220 * 1024) // of a block; small kernels' blocks get in beside it

struct ring_args {
    CUtensorMap w, x;
    wf_matrix y;
    int64_t n;
    int32_t units, n_tiles; // of k, of a tile
    bool whole;
    const float *scale, *bias; // of features; NULL: none
    float *parts;  // C = 1: sums that blocks leave to later ones, [block][warp][i][lane][4]
    int32_t *left; // C = 1: [block][warp] 1: they are there. Zero between products
};

// Shared memory and sums. R: rows of x, rounded up; UNIT_K: k of a slot; W_BITS: of a number of W;
// SHARE: warpgroups that take turns at the units of the same features.
template <int R, int WGS, int C, int UNIT_K, int W_BITS, int SHARE = 1> struct ring_sizes {
    static const int rows = R, blocks = C, unit_k = UNIT_K, share = SHARE;
    static const int features = 64 * WGS / SHARE, warps = 4 * WGS, threads = 32 * warps + 64;
    static const int readers = warps / SHARE; // warps that read a slot
    static const int w_bytes = features * UNIT_K * W_BITS / 8, x_bytes = R * UNIT_K * 2; // a slot's
    static const int sums = R / 2, part = sums / C; // of a thread; that its block stores
    static const int inbox_bytes = C == 1 ? 0 : readers * part * 128;
    static const int desk_bytes = (SHARE - 1) * readers * sums * 128; // sums of the other sharers
    static const int n_bars = 4 * MOST_SLOTS + 2 * readers;
    static const int fixed_bytes =
        1024 + inbox_bytes + desk_bytes + n_bars * 8; // from a rounded start
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

__device__ __forceinline__ void load_shared(uint32_t at, float *v)
{
    asm volatile("ld.shared.v4.f32 {%0, %1, %2, %3}, [%4];"
                 : "=f"(v[0]), "=f"(v[1]), "=f"(v[2]), "=f"(v[3])
                 : "r"(at)
                 : "memory");
}

// ---- the roles ----------------------------------------------------------------------------------

// Of a tile, units [begin, end) of k; from: the first block that has units of it.
struct ring_piece {
    int tile, begin, end, from;
};

// A block of a ring kernel but for its copies and products; S is of ring_sizes, T of activations.
template <typename T, typename S> struct ring_work {
    static const int C = S::blocks, R = S::rows;
    const ring_args &a;
    uint32_t w_ring, x_ring, inbox, desk, bars; // in shared memory, alike in every block
    int rank;                                   // in the cluster
    int lo, hi;                                 // C = 1: units, counted through all tiles

    __device__ __forceinline__ ring_work(const ring_args &args, uint32_t shared) : a(args)
    {
        int64_t all = (int64_t)a.units * a.n_tiles;
        rank = (int)blockIdx.x % C;
        lo = (int)(all * blockIdx.x / gridDim.x);
        hi = (int)(all * (blockIdx.x + 1) / gridDim.x);
        w_ring = shared;
        x_ring = w_ring + (uint32_t)(S::slots * S::w_bytes);
        inbox = x_ring + (uint32_t)(S::slots * S::x_bytes);
        desk = inbox + S::inbox_bytes;
        bars = desk + S::desk_bytes;
    }

    // Which of those who take turns at the units; the first has the sums in the end.
    __device__ __forceinline__ static int sharer()
    {
        return S::share == 1 ? 0 : (int)threadIdx.x / (32 * S::readers);
    }
    // The warp's place among those that read a slot: it has 16 features.
    __device__ __forceinline__ static int reader()
    {
        return S::share == 1 ? (int)threadIdx.x / 32 : (int)threadIdx.x / 32 % S::readers;
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
        return bar(4, (uint32_t)(S::readers + warp));
    }

    __device__ __forceinline__ void init_barriers() const
    {
        for (uint32_t i = 0; i < S::slots; i++) {
            barrier_init(w_full(i), 1);
            barrier_init(w_empty(i), S::readers);
            barrier_init(x_full(i), 1);
            barrier_init(x_empty(i), S::readers);
        }
        for (int i = 0; C > 1 && i < S::readers; i++) {
            barrier_init(come(i), 1);
            barrier_init(read(i), 1);
        }
        asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
        fence_shared_for_async();
    }

    __device__ __forceinline__ void release(uint32_t slot) const
    {
        if (threadIdx.x % 32 != 0) return;
        barrier_arrive(w_empty(slot));
        barrier_arrive(x_empty(slot));
    }

    // The i-th piece of this block, false: it has no more. C = 1: what a later block waits for
    // comes first, what waits for earlier blocks last.
    __device__ __forceinline__ bool next(int i, ring_piece &q) const
    {
        if (C > 1 || a.whole) {
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

    // What the sharers have of a piece, added up by the first of them, in order. True: this one is
    // the first.
    __device__ __forceinline__ bool gather(float *d) const
    {
        if (S::share == 1) return true;
        uint32_t place = desk + (uint32_t)(reader() * S::sums * 128 + threadIdx.x % 32 * 16);
        const uint32_t each = S::readers * S::sums * 128;
        everybody(); // has read what was here before
        if (sharer() > 0) {
            place += (uint32_t)(sharer() - 1) * each;
#pragma unroll
            for (int i = 0; i < S::sums; i += 4)
                asm volatile(
                    "st.shared.v4.f32 [%0], {%1, %2, %3, %4};" ::"r"(place + (uint32_t)(i * 128)),
                    "f"(d[i]), "f"(d[i + 1]), "f"(d[i + 2]), "f"(d[i + 3])
                    : "memory");
        }
        everybody(); // has written
        for (int from = 1; from < S::share && sharer() == 0; from++, place += each) {
#pragma unroll
            for (int i = 0; i < S::sums; i += 4) {
                float v[4];
                load_shared(place + (uint32_t)(i * 128), v);
#pragma unroll
                for (int j = 0; j < 4; j++)
                    d[i + j] += v[j];
            }
        }
        return sharer() == 0;
    }

    // The computing threads meet.
    __device__ __forceinline__ static void everybody()
    {
        asm volatile("bar.sync 1, %0;" ::"n"(S::warps * 32) : "memory");
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
            load_shared(box + (uint32_t)(i * 128), v);
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
            add_left<4, S::sums / 4 < 2 ? 1 : 2>(d, from);
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

    // The block's part of the rows of y from `row` on, 16 features of a warp from the first of a
    // tile on.
    __device__ __forceinline__ void store(float *sum, const wf_matrix &y, int64_t first,
                                          int row) const
    {
        int g = (int)threadIdx.x % 32 / 4, t = (int)threadIdx.x % 4;
        int64_t feature = first + threadIdx.x / 32 * 16;
        row += rank * (R / C);
#pragma unroll
        for (int h = 0; h < 2 && a.scale != nullptr; h++) {
            int64_t f = feature + g + 8 * h;
            float b = f < a.n ? a.scale[f] : 0.0f;
#pragma unroll
            for (int n = 0; n < S::part; n += 4) {
                sum[n + 2 * h] *= b;
                sum[n + 2 * h + 1] *= b;
            }
        }
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
        if (y.dtype == WF_F32)
            store_f32(sum, y, row + 2 * t, feature + g);
        else
            store_act(sum, y, row + g, feature + 2 * t);
    }

    __device__ __forceinline__ void store_f32(const float *sum, const wf_matrix &out, int row,
                                              int64_t f) const
    {
        float *y = (float *)out.data + row * out.stride + f;
        int left = (int)out.n_rows - row;
        bool real[2] = {f < a.n, f + 8 < a.n};
#pragma unroll
        for (int n = 0; n < S::part; n += 4, y += 8 * out.stride)
#pragma unroll
            for (int i = 0; i < 4; i++)
                if (real[i / 2] && 2 * n + i % 2 < left)
                    y[i % 2 * out.stride + i / 2 * 8] = sum[n + i];
    }

    // Two sums of a feature and neighbouring rows, turned round: of a row and neighbouring
    // features.
    __device__ __forceinline__ void store_act(const float *sum, const wf_matrix &out, int row,
                                              int64_t f) const
    {
        uint16_t *y = (uint16_t *)out.data + row * out.stride + f;
        int left = (int)out.n_rows - row;
#pragma unroll
        for (int n = 0; n < S::part; n += 4, y += 8 * out.stride)
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
};

// What a computing warp of a block does: B adds add_up(d, piece, place of the ring) and
// store_tile(sums, tile) to ring_work.
template <typename B> __device__ __forceinline__ void ring_compute(const B &b)
{
    typedef typename B::shape S;
    float d[S::sums];
    ring_place<S::slots> at;
    ring_piece q;
    for (int i = 0; b.next(i, q); i++) {
        b.add_up(d, q, at);
        if (!b.gather(d)) continue;
        if (S::blocks > 1) {
            float sum[S::part];
            b.exchange(d, sum, (uint32_t)i, q.tile + (int)gridDim.x / S::blocks >= b.a.n_tiles);
            b.store_tile(sum, q.tile);
        } else if (q.end < b.a.units) {
            b.leave(d);
        } else {
            if (q.begin > 0) b.collect(d, q.from);
            b.store_tile(d, q.tile);
        }
    }
}

// A whole kernel: copy_w and copy_x of B are for one thread.
template <typename B, typename A> __device__ __forceinline__ void ring_run(const A &a, char *raw)
{
    typedef typename B::shape S;
    const int warps = S::warps;
    B block(a, (shared_address(raw) + 1023) & ~1023u);
    let_next_start(); // it waits for this kernel's end before it reads a word
    if (threadIdx.x == 0) {
        block.init_barriers();
    } else if (threadIdx.x == 32) {
        prefetch_map(&a.w);
        prefetch_map(&a.x);
    }
    __syncthreads();
    if (S::blocks > 1) cluster_arrive();
    if (threadIdx.x / 32 == warps) {
        if (threadIdx.x % 32 == 0) block.copy_w();
        if (S::blocks > 1) cluster_wait();
    } else if (threadIdx.x / 32 == warps + 1) {
        wait_for_previous();
        if (threadIdx.x % 32 == 0) block.copy_x();
        if (S::blocks > 1) cluster_wait();
    } else {
        wait_for_previous();
        if (S::blocks > 1) cluster_wait(); // the peer's barriers are there
        ring_compute(block);
    }
}

// Where C = 1: room for what blocks leave to later ones.
template <typename S>
static inline wf_status ring_parts(wf_cuda *cu, wf_stream *s, int64_t n_blocks, ring_args *a)
{
    void *parts = nullptr;
    WF_TRY(wf_cuda_scratch(cu, s, (size_t)(n_blocks * S::warps * S::sums) * 128, &parts));
    WF_TRY(wf_cuda_counters(cu, s, (size_t)(n_blocks * S::warps), &a->left));
    a->parts = (float *)parts;
    return WF_OK;
}

// Blocks of a launch. C = 2: as few clusters as keep their rounds, so that all of them end
// together; likewise where tiles are not cut (one unit each).
static inline int64_t ring_blocks(const wf_cuda *cu, int n_cluster, int64_t n_units,
                                  int64_t n_tiles)
{
    int64_t most = cu->n_sms / n_cluster, all = n_tiles * n_units;
    if (n_cluster == 1 && n_units > 1) return all < most ? all : most;
    return div_up64(n_tiles, div_up64(n_tiles, most)) * n_cluster;
}

#endif
