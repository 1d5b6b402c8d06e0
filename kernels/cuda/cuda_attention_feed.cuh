// The producers of Hopper's prefill kernel (cuda_attention_hopper.cu): what a unit of work is, who
// plans units, and who copies Q and tiles of K and V for them.
#ifndef WF_KERNELS_CUDA_ATTENTION_FEED_CUH
#define WF_KERNELS_CUDA_ATTENTION_FEED_CUH

#include "kernels/cuda/cuda_attention.cuh"
#include "kernels/cuda/cuda_hopper.cuh"

#define BLOCK            64 // positions of a warpgroup, and keys that are masked or not as one
#define N_CONSUMERS      2
#define HOPPER_THREADS   ((N_CONSUMERS + 1) * 128)
#define CONSUMER_WARPS   (N_CONSUMERS * 4)
#define PRODUCER_NUMBERS 40  // registers of a thread, of all a multiprocessor has: 128 * 40
#define CONSUMER_NUMBERS 232 // + 256 * 232 <= 65536

struct hopper_args {
    CUtensorMap q, kv;
    wf_batch b;
    wf_matrix out;
    int32_t page_tokens, box_tokens; // tokens of a page, and of one copy: no more than BLOCK
    int32_t v_tile;                  // K and V tiles of a page: V of head h is tile v_tile + h
    int32_t group, n_units;          // units: heads, or pairs of heads
    bool paired;                     // a unit is 64 positions of two heads
    float scale_log2;
    float slack;       // a score may pass the maximum by that much: weights stay under 2^8
    int32_t *counters; // units taken beyond the first of each block, blocks that are done
};

template <int D, int KS, int VS> struct hopper_shape {
    static const int blocks = D == 256 ? 1 : 2, n = blocks * BLOCK; // keys of a tile
    static const int q_bytes = BLOCK * D * 2, tile_bytes = n * D * 2;
    static const int column_bytes = n * 128; // 64 columns of a tile
    static const int kv_bytes = (KS + VS) * tile_bytes;
    static const int q_slots = 4 * q_bytes + kv_bytes <= 225 * 1024 ? 2 : 1;
    static const int k_at = q_slots * N_CONSUMERS * q_bytes, v_at = k_at + KS * tile_bytes;
    static const int bars_at = v_at + VS * tile_bytes;
    static const int shared_bytes = bars_at + 256 + 1024; // the start is rounded up
};

// What a unit is: written by the planner, read by the copier and the consumers.
struct unit_info {
    int32_t head, block; // first of the unit's; block < 0: no more units
    int32_t n_blocks;    // of keys, in the sequence
    int32_t row;         // token that position 0 of `block` would be
    int32_t begin, end;  // tokens of the sequence
    int32_t seq;
};
#define UNIT_SLOTS 2

// Addresses of barriers; w: consumer.
struct hopper_bars {
    uint32_t at;
    __device__ __forceinline__ uint32_t unit_full(uint32_t i) const { return at + i * 8; }
    __device__ __forceinline__ uint32_t unit_empty(uint32_t i) const { return at + 16 + i * 8; }
    __device__ __forceinline__ uint32_t q_full(int w, uint32_t i) const
    {
        return at + 32 + ((uint32_t)w * 2 + i) * 8;
    }
    __device__ __forceinline__ uint32_t q_empty(int w, uint32_t i) const
    {
        return at + 64 + ((uint32_t)w * 2 + i) * 8;
    }
    __device__ __forceinline__ uint32_t k_full(uint32_t i) const { return at + 96 + i * 8; }
    __device__ __forceinline__ uint32_t k_empty(uint32_t i) const { return at + 128 + i * 8; }
    __device__ __forceinline__ uint32_t v_full(uint32_t i) const { return at + 160 + i * 8; }
    __device__ __forceinline__ uint32_t v_empty(uint32_t i) const { return at + 192 + i * 8; }
    __device__ __forceinline__ uint32_t tail() const { return at + 224; }
};

// ---- units of work ------------------------------------------------------------------------------

// Where a warp is in the list of (row of blocks, sequence) pairs: from the last row to the first,
// all sequences of a row that have it, in order.
struct unit_walk {
    int row, base, passed; // passed: pairs before (row, base)
};

__device__ __forceinline__ int last_position(const wf_batch &b, int seq)
{
    return b.seq_past[seq] + b.cu_seqlens[seq + 1] - b.cu_seqlens[seq] - 1;
}

// The last row of any sequence.
__device__ __forceinline__ int last_row(const wf_batch &b, int row_tokens)
{
    int most = -1;
    for (int s = b.n_decode + (int)threadIdx.x % 32; s < b.n_seqs; s += 32)
        if (b.cu_seqlens[s + 1] > b.cu_seqlens[s]) most = max(most, last_position(b, s));
    most = __reduce_max_sync(0xffffffffu, most);
    return most < 0 ? -1 : most / row_tokens;
}

// Walks on to pair `wanted`, which is no earlier than where the walk is. False: there is none.
__device__ __forceinline__ bool walk_to(const wf_batch &b, int row_tokens, int wanted, unit_walk &w,
                                        int *out_seq)
{
    int lane = threadIdx.x % 32;
    while (w.row >= 0) {
        int s = w.base + lane;
        bool has = s < b.n_seqs && b.cu_seqlens[s + 1] > b.cu_seqlens[s] &&
                   b.seq_past[s] / row_tokens <= w.row && last_position(b, s) / row_tokens >= w.row;
        unsigned those = __ballot_sync(0xffffffffu, has);
        int n = __popc(those);
        if (wanted < w.passed + n) {
            bool mine = has && __popc(those & ((1u << lane) - 1)) == wanted - w.passed;
            *out_seq = w.base + __ffs(__ballot_sync(0xffffffffu, mine)) - 1;
            return true;
        }
        w.passed += n;
        w.base += 32;
        if (w.base >= b.n_seqs) w.row--, w.base = b.n_decode;
    }
    return false;
}

// ---- copier and planner -------------------------------------------------------------------------

// A tile to copy: keys [0, end) of a sequence are wanted, `page` is this lane's box's, -1: none.
struct tile_copy {
    int tile, page, kv_head, end;
};

template <typename T, int D, int KS, int VS> struct copier {
    typedef hopper_shape<D, KS, VS> S;
    const hopper_args &a;
    hopper_bars bars;
    uint32_t shared;
    ring_place<S::q_slots> q_at;
    ring_place<KS> k_at;
    ring_place<VS> v_at;
    uint32_t tail_phase = 0;

    __device__ __forceinline__ copier(const hopper_args &args, hopper_bars b, uint32_t s)
        : a(args), bars(b), shared(s)
    {
    }

    __device__ __forceinline__ tile_copy tile_of(const int32_t *pages, int tile, int kv_head,
                                                 int end) const
    {
        int lane = threadIdx.x % 32, token = tile * S::n + lane * a.box_tokens;
        bool has = lane * a.box_tokens < S::n && token < end;
        return {tile, has ? pages[token / a.page_tokens] : -1, kv_head, end};
    }

    // Queues the copies of a tile's boxes to `to`; its bytes arrive at `signal`.
    __device__ __forceinline__ void copy_boxes(const tile_copy &t, int kind, uint32_t to,
                                               uint32_t signal)
    {
        int lane = threadIdx.x % 32, token = t.tile * S::n + lane * a.box_tokens;
        int n_boxes = __popc(__ballot_sync(0xffffffffu, t.page >= 0));
        if (lane == 0) barrier_expect(signal, n_boxes * a.box_tokens * D * 2);
        __syncwarp();
        if (t.page >= 0)
#pragma unroll
            for (int c = 0; c < D / 64; c++)
                copy_box(to + (uint32_t)(c * S::column_bytes + lane * a.box_tokens * 128), &a.kv,
                         c * 64, token % a.page_tokens, kind + t.kv_head, t.page, signal,
                         KEEP_MOST);
    }

    __device__ __forceinline__ void copy_k(const tile_copy &t)
    {
        uint32_t to = shared + S::k_at + k_at.slot * S::tile_bytes;
        barrier_wait(bars.k_empty(k_at.slot), k_at.phase ^ 1);
        copy_boxes(t, 0, to, bars.k_full(k_at.slot));
        k_at.step();
    }

    // Rows of V after the last token become zeros, whatever the page held: their weight is zero,
    // but zero times NaN is not.
    __device__ __forceinline__ void clear_tail(const tile_copy &t, uint32_t to)
    {
        int first = t.end - t.tile * S::n, last = (first + BLOCK - 1) / BLOCK * BLOCK;
        for (int i = (int)threadIdx.x % 32; i < (last - first) * 8; i += 32)
#pragma unroll
            for (int c = 0; c < D / 64; c++)
                asm volatile("st.shared.v4.b32 [%0], {%1, %1, %1, %1};" ::"r"(
                                 to + (uint32_t)(c * S::column_bytes + first * 128 + i * 16)),
                             "r"(0)
                             : "memory");
        fence_shared_for_async();
        __syncwarp();
    }

    __device__ __forceinline__ void copy_v(const tile_copy &t)
    {
        uint32_t to = shared + S::v_at + v_at.slot * S::tile_bytes;
        uint32_t full = bars.v_full(v_at.slot);
        bool ragged = t.end % BLOCK != 0 && (t.tile + 1) * S::n > t.end;
        barrier_wait(bars.v_empty(v_at.slot), v_at.phase ^ 1);
        copy_boxes(t, a.v_tile, to, ragged ? bars.tail() : full);
        if (ragged) {
            barrier_wait(bars.tail(), tail_phase);
            tail_phase ^= 1;
            clear_tail(t, to);
            if (threadIdx.x % 32 == 0) barrier_arrive(full);
        }
        v_at.step();
    }

    __device__ __forceinline__ void copy_queries(const unit_info &u)
    {
        uint32_t slot = q_at.slot;
        for (int w = 0; w < N_CONSUMERS; w++)
            barrier_wait(bars.q_empty(w, slot), q_at.phase ^ 1);
        if (threadIdx.x % 32 == 0)
#pragma unroll
            for (int w = 0; w < N_CONSUMERS; w++) {
                uint32_t full = bars.q_full(w, slot);
                uint32_t to = shared + (slot * N_CONSUMERS + w) * S::q_bytes;
                barrier_expect(full, S::q_bytes);
#pragma unroll
                for (int c = 0; c < D / 64; c++)
                    copy_box(to + (uint32_t)(c * BLOCK * 128), &a.q,
                             (u.head + (a.paired ? w : 0)) * D + c * 64,
                             u.row + (a.paired ? 0 : w * BLOCK), full, KEEP_LEAST);
            }
        __syncwarp();
        q_at.step();
    }

    // Tile i + 1 of K goes before tile i of V, across units too: the order in which they are used.
    __device__ __forceinline__ void run(const unit_info *slots)
    {
        tile_copy waiting = {-1, 0, 0, 0};
        ring_place<UNIT_SLOTS> at;
        for (;; at.step()) {
            barrier_wait(bars.unit_full(at.slot), at.phase);
            unit_info u = slots[at.slot];
            __syncwarp();
            if (threadIdx.x % 32 == 0) barrier_arrive(bars.unit_empty(at.slot));
            if (u.block < 0) break;
            const int32_t *pages = a.b.page_table + (int64_t)a.b.seq_row[u.seq] * a.b.page_stride;
            int kv_head = u.head / a.group,
                n_blocks = min(u.block + (a.paired ? 1 : 2), u.n_blocks);
            int n_tiles = (n_blocks + S::blocks - 1) / S::blocks;
            int end = min(u.end - u.row + u.block * BLOCK, n_blocks * BLOCK);
            for (int i = 0; i < n_tiles; i++) {
                tile_copy t = tile_of(pages, i, kv_head, end);
                copy_k(t);
                if (i == 0) copy_queries(u);
                if (waiting.tile >= 0) copy_v(waiting);
                waiting = t;
            }
        }
        if (waiting.tile >= 0) copy_v(waiting);
    }
};

// Takes units off the counter, one ahead of their use.
__device__ __forceinline__ void plan_units(const hopper_args &a, hopper_bars bars, unit_info *slots)
{
    int row_blocks = a.paired ? 1 : N_CONSUMERS, unit = (int)blockIdx.x, lane = threadIdx.x % 32;
    unit_walk walk = {last_row(a.b, row_blocks * BLOCK), a.b.n_decode, 0};
    ring_place<UNIT_SLOTS> at;
    unit_info u;
    do {
        u.block = -1;
        if (walk_to(a.b, row_blocks * BLOCK, unit / a.n_units, walk, &u.seq)) {
            int past = a.b.seq_past[u.seq];
            u.head = unit % a.n_units * (a.paired ? 2 : 1);
            u.block = walk.row * row_blocks;
            u.begin = a.b.cu_seqlens[u.seq];
            u.end = a.b.cu_seqlens[u.seq + 1];
            u.row = u.begin + u.block * BLOCK - past;
            u.n_blocks = (past + u.end - u.begin + BLOCK - 1) / BLOCK;
        }
        barrier_wait(bars.unit_empty(at.slot), at.phase ^ 1);
        if (lane == 0) {
            slots[at.slot] = u;
            barrier_arrive(bars.unit_full(at.slot));
            if (u.block >= 0) unit = atomicAdd(a.counters, 1) + (int)gridDim.x;
        }
        unit = __shfl_sync(0xffffffffu, unit, 0);
        at.step();
    } while (u.block >= 0);
    if (lane == 0 && atomicAdd(a.counters + 1, 1) == (int)gridDim.x - 1)
        a.counters[0] = a.counters[1] = 0; // for the next launch
}

#endif
