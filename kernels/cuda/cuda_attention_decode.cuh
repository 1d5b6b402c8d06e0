// Decode attention: one query token per sequence, split over its KV (flash-decoding).
//
//   unit: a split of a row, for one block of 16 query heads of a KV head; 2 to 8 warps share it
//   warp w walks tiles w, w + warps, ... of 16 tokens through its own ring of cp.async stages
//
// The query heads of a KV head are the rows of one 16-row matrix tile, so K and V are read once for
// all of them. Each warp keeps its own maximum, sum and output: no barrier in the loop. The block
// then adds its warps in order; where a row has several splits, they go through scratch and the
// block that finishes last adds them, in order.
//
// Splits cost: a fence, an atomic and a second look at the parts, when nothing else is in flight.
// So there are no more warps and splits than fill the device (plan_splits). With `deterministic`
// both are fixed, and a row's result does not depend on its batch.
//
// A captured launch does not know the lengths: a block for every split that the longest row may
// have would mostly be a block for nothing. Where those do not all fit the device at once, as many
// as do take units off a counter, the largest first. Who takes a unit changes nothing in its
// result.
//
// With a window a row is what it sees of its context: its splits begin at the first tile of that.
//
// q [T, ...] act (any alignment), K, V pages act, 16-byte chunks (or scaled, of 8 bits:
// cuda_attention_decode8.cuh); out act. Accumulation f32,
// weights rounded to act before V. Bytes: K and V once (2 * 2 * context * head_dim per KV head).
// Source of the split: Dao, Haziza, Massa, Sizov, "Flash-Decoding" (2023).
#ifndef WF_KERNELS_CUDA_ATTENTION_DECODE_CUH
#define WF_KERNELS_CUDA_ATTENTION_DECODE_CUH

#include "kernels/cuda/cuda_attention_bend.cuh"

#define TILE              16 // tokens
#define LEAST_WARPS       2
#define MAX_WARPS         8
#define MAX_SPLITS        32
#define LEAST_WARP_TOKENS 64   // of one warp, below which it is all prologue
#define MOST_WARP_TOKENS  1024 // so that a long row among short ones is shared out
#define SM_WARPS          8    // that a multiprocessor holds at once, of all its blocks
#define UNIT_SIZES        4    // classes of units by their tokens, as parts of most_split
#define LIST_ROWS         1024 // of which a block can keep a list

struct decode_args {
    wf_batch b;
    wf_matrix qkv, out;
    wf_kv kv;
    int32_t n_heads, group, n_head_blocks; // group: query heads of a KV head
    int32_t n_head_units;                  // KV heads x head blocks
    float scale_log2;
    float *partial;                  // [seq][n_heads][splits][head_dim + 4]: output, maximum, sum
    int32_t *counters;               // [seq][head unit]: splits that are done
    int32_t *taken;                  // units beyond each block's first, blocks that left
    int32_t n_splits, max_splits;    // wished for of every row; of the longest
    int32_t least_split, most_split; // tokens of a split
    int32_t n_warps;
    bool q_wide; // rows of q allow accesses of 4 bytes
    bend_args bend;
};

// The first token of a row's first tile.
__device__ __forceinline__ int row_begin(const decode_args &a, int context)
{
    return first_seen(a.bend, context - 1) / TILE * TILE;
}

// Tokens of a row's splits: its part of n_splits within the bounds, more where it would need more
// than 32 of them. Depends on the row's own length and on the plan, not on the other rows' lengths,
// so that a captured launch serves them all.
__host__ __device__ __forceinline__ int split_tokens_of(int context, int n_splits, int least,
                                                        int most)
{
    int even = (context + n_splits - 1) / n_splits, last = (context + MAX_SPLITS - 1) / MAX_SPLITS;
    int split = even < least ? least : even > most ? most : even;
    if (split < last) split = last;
    return (split + TILE - 1) / TILE * TILE;
}

// What a block works on: split `split` of row `seq` for head unit `heads`. In the list, seq < 0:
// there are no more.
struct decode_unit {
    int seq, heads, split;
    int context, row; // of the sequence
};

// All units as a block sees them, and its own. The first warp looks for the next one when it is
// nearly done with its part of the present one; the block's next barrier hands it on.
struct unit_list {
    uint8_t rows[LIST_ROWS];        // size * 64 + splits; lane l has the l-th part of them
    int32_t before[UNIT_SIZES][33]; // splits of a size in the parts of lanes before; 32: in all
    decode_unit unit[2];            // in turns: a slow warp may still have to read the last
};

__device__ __forceinline__ int lane_rows(const decode_args &a)
{
    return (a.b.n_decode + 31) / 32;
}

// The order: all units of one size, row by row, then those of the next.
__device__ __forceinline__ void make_list(const decode_args &a, unit_list *list)
{
    int lane = threadIdx.x % 32, n = lane_rows(a);
    for (int s = (int)threadIdx.x; s < n * 32; s += (int)blockDim.x) {
        int what = 0;
        if (s < a.b.n_decode) {
            int context = a.b.seq_past[s] + 1, n_tokens = context - row_begin(a, context);
            int split = split_tokens_of(n_tokens, a.n_splits, a.least_split, a.most_split);
            int parts = min(n_tokens, split) * UNIT_SIZES / a.most_split;
            what = (UNIT_SIZES - 1 - min(parts, UNIT_SIZES - 1)) * 64;
            what += (n_tokens + split - 1) / split;
        }
        list->rows[s] = (uint8_t)what;
    }
    __syncthreads();
    if (threadIdx.x >= 32) return;
    int sum[UNIT_SIZES] = {};
    for (int i = 0; i < n; i++)
#pragma unroll
        for (int k = 0, what = list->rows[lane * n + i]; k < UNIT_SIZES; k++)
            sum[k] += what / 64 == k ? what % 64 : 0;
#pragma unroll
    for (int k = 0; k < UNIT_SIZES; k++) {
        for (int i = 1; i < 32; i *= 2) {
            int other = __shfl_up_sync(0xffffffffu, sum[k], i);
            if (lane >= i) sum[k] += other;
        }
        list->before[k][lane + 1] = sum[k];
        if (lane == 0) list->before[k][0] = 0;
    }
    __syncwarp();
}

// The first warp asks for a number: lane 0 has it.
__device__ __forceinline__ int ask_unit(const decode_args &a)
{
    return threadIdx.x == 0 ? (int)gridDim.x + atomicAdd(a.taken, 1) : 0;
}

// The first warp finds the unit that lane 0 has the number of.
__device__ __forceinline__ void find_unit(const decode_args &a, int number, unit_list *list,
                                          int slot)
{
    int at = __shfl_sync(0xffffffffu, number, 0), lane = threadIdx.x, n = lane_rows(a), size = 0;
    for (; size < UNIT_SIZES && at >= list->before[size][32] * a.n_head_units; size++)
        at -= list->before[size][32] * a.n_head_units;
    if (size == UNIT_SIZES) {
        if (lane == 0) list->unit[slot].seq = -1;
        return;
    }
    at -= list->before[size][lane] * a.n_head_units;
    int all = (list->before[size][lane + 1] - list->before[size][lane]) * a.n_head_units;
    if (at < 0 || at >= all) return; // another lane has it
    for (int s = lane * n;; s++) {
        int what = list->rows[s], n_splits = what / 64 == size ? what % 64 : 0;
        if (at < n_splits * a.n_head_units) {
            list->unit[slot] = {s, at / n_splits, at % n_splits, a.b.seq_past[s] + 1,
                                a.b.seq_row[s]};
            return;
        }
        at -= n_splits * a.n_head_units;
    }
}

template <int D> struct decode_shape {
    static const int dim = D, chunks = D / 8, stages = D == 64 ? 6 : D == 128 ? 3 : 2;
    static const int tile_bytes = TILE * D * 2, stage_bytes = 2 * tile_bytes;
    static const int ring_bytes = stages * stage_bytes; // of a warp; later holds its output
    static const int most_warps = D == 256 ? 4 : MAX_WARPS;
};

// Queues the copy of one tile's K and V to this warp's stage; tokens from `end` on become zeros.
template <typename T, int D>
__device__ __forceinline__ void fetch_tile(const decode_args &a, const int32_t *pages, int kv_head,
                                           int token, int end, uint32_t stage)
{
    typedef decode_shape<D> S;
    int lane = threadIdx.x % 32;
    const wf_kv &kv = a.kv;
    const T *k = (const T *)kv.base + pages[token / kv.page_tokens] * kv.page_stride +
                 kv_head * kv.head_stride + (int64_t)(token % kv.page_tokens) * D;
    const T *v = k + kv.kv_stride;
#pragma unroll
    for (int i = 0; i < TILE * S::chunks / 32; i++) {
        int n = i * 32 + lane, r = n / S::chunks, c = n % S::chunks;
        bool real = token + r < end;
        uint32_t at = stage + swizzled<S::chunks>(r, c);
        copy16(at, k + (real ? n * 8 : 0), real);
        copy16(at + S::tile_bytes, v + (real ? n * 8 : 0), real);
    }
}

// Query rows of the head block as A fragments; rows beyond the group are zero.
template <typename T, int D>
__device__ __forceinline__ void load_queries(const decode_args &a, int64_t t, int head, int n_rows,
                                             uint32_t q[D / 16][4])
{
    int lane = threadIdx.x % 32, g = lane / 4, t2 = lane % 4 * 2;
    const T *base = (const T *)a.qkv.data + t * a.qkv.stride + (int64_t)head * D;
#pragma unroll
    for (int h = 0; h < 2; h++)
#pragma unroll
        for (int k = 0; k < D / 8; k++) {
            const T *src = base + (g + h * 8) * D + k * 8 + t2;
            uint32_t pair = 0;
            if (g + h * 8 < n_rows)
                pair = a.q_wide ? *(const uint32_t *)src
                                : pack2((T *)nullptr, to_f32(src[0]), to_f32(src[1]));
            q[k / 2][k % 2 * 2 + h] = pair;
        }
}

// What a warp knows of its tiles: two rows per lane (g, g + 8).
template <int D> struct warp_state {
    float max[2], sum[2], o[D / 8][4];
};

// What bends a lane's scores: of its two rows, and where the tile lies.
struct lane_bend {
    float slope[2];
    int n_hidden, back; // tokens of the tile before the window; of its first token
};

template <typename T, int D>
__device__ __forceinline__ void attend_tile(const uint32_t q[D / 16][4], uint32_t stage, int n_real,
                                            const decode_args &a, const lane_bend &l,
                                            warp_state<D> &w)
{
    typedef decode_shape<D> S;
    int lane = threadIdx.x % 32, t2 = lane % 4 * 2;
    float s[2][4] = {}, odd[2][4] = {}; // two chains of sums halve their latency
    uint32_t r[4], p[4];
#pragma unroll
    for (int k = 0; k < D / 16; k++) { // matrices: tokens 0-7 | 8-15, by halves of 16 dims
        int token = (lane / 16) * 8 + lane % 8, chunk = k * 2 + (lane / 8) % 2;
        load_matrix4(stage + swizzled<S::chunks>(token, chunk), r);
        mma<T>(k % 2 == 0 ? s[0] : odd[0], q[k], r[0], r[1]);
        mma<T>(k % 2 == 0 ? s[1] : odd[1], q[k], r[2], r[3]);
    }
#pragma unroll
    for (int i = 0; i < 8; i++)
        s[i / 4][i % 4] += odd[i / 4][i % 4];
    float top[2] = {w.max[0], w.max[1]};
#pragma unroll
    for (int n = 0; n < 2; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            int token = n * 8 + t2 + (i & 1);
            bool real = token < n_real;
            float score = s[n][i] * a.scale_log2;
            if constexpr (BENT) {
                real = real && token >= l.n_hidden;
                score = bend(a.bend, score, l.slope[i >> 1], l.back - token);
            }
            s[n][i] = real ? score : -INFINITY;
            top[i >> 1] = fmaxf(top[i >> 1], s[n][i]);
        }
    top[0] = quad_max(top[0]);
    top[1] = quad_max(top[1]);
    if (__any_sync(0xffffffffu, top[0] > w.max[0] || top[1] > w.max[1]))
#pragma unroll
        for (int h = 0; h < 2; h++) {
            float keep = exp2_fast(w.max[h] - top[h]);
            w.max[h] = top[h];
            w.sum[h] *= keep;
#pragma unroll
            for (int n = 0; n < D / 8; n++) {
                w.o[n][2 * h] *= keep;
                w.o[n][2 * h + 1] *= keep;
            }
        }
#pragma unroll
    for (int n = 0; n < 2; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            s[n][i] = exp2_fast(s[n][i] - w.max[i >> 1]);
            w.sum[i >> 1] += s[n][i];
        }
    p[0] = pack2((T *)nullptr, s[0][0], s[0][1]);
    p[1] = pack2((T *)nullptr, s[0][2], s[0][3]);
    p[2] = pack2((T *)nullptr, s[1][0], s[1][1]);
    p[3] = pack2((T *)nullptr, s[1][2], s[1][3]);
#pragma unroll
    for (int n = 0; n < D / 16; n++) { // matrices: tokens 0-7 | 8-15 of dims 0-7, then of 8-15
        int token = (lane / 8) % 2 * 8 + lane % 8, chunk = n * 2 + lane / 16;
        load_matrix4_transposed(stage + S::tile_bytes + swizzled<S::chunks>(token, chunk), r);
        mma<T>(w.o[2 * n], p, r[0], r[1]);
        mma<T>(w.o[2 * n + 1], p, r[2], r[3]);
    }
}

// K and V of act's own format. What the kernels below are made for: a type like this one.
template <typename T, int D> struct plain_kv : decode_shape<D> {
    typedef T number;

    static __device__ __forceinline__ void fetch(const decode_args &a, const int32_t *pages,
                                                 int kv_head, int token, int end, uint32_t stage)
    {
        fetch_tile<T, D>(a, pages, kv_head, token, end, stage);
    }
    static __device__ __forceinline__ void queries(const decode_args &a, int64_t t, int head,
                                                   int n_rows, uint32_t q[D / 16][4])
    {
        load_queries<T, D>(a, t, head, n_rows, q);
    }
    static __device__ __forceinline__ void attend(const uint32_t q[D / 16][4], uint32_t stage,
                                                  int n_real, const decode_args &a,
                                                  const lane_bend &l, warp_state<D> &w)
    {
        attend_tile<T, D>(q, stage, n_real, a, l, w);
    }
    // Row `h` of the lane's outputs to a row of floats.
    static __device__ __forceinline__ void store_row(const warp_state<D> &w, int h, float *row)
    {
#pragma unroll
        for (int n = 0; n < D / 8; n++)
            *(float2 *)(row + n * 8 + threadIdx.x % 4 * 2) =
                make_float2(w.o[n][2 * h], w.o[n][2 * h + 1]);
    }
};

// The block that finishes a row last combines its splits: part i of a row has its output, then its
// maximum and sum. A warp does 4 rows: lane i weighs split i, then each adds up 4 neighbouring
// dims.
template <typename T, int D>
__device__ __forceinline__ void combine_rows(const decode_args &a, int64_t t, int seq, int head,
                                             int n_rows, int n_splits)
{
    const int R = 4, lane = threadIdx.x % 32;
    const int64_t step = D + 4, row_step = a.max_splits * step;
    const float *first = a.partial + ((int64_t)seq * a.n_heads + head) * row_step;
    for (int row = (int)threadIdx.x / 32 * R; row < n_rows; row += a.n_warps * R) {
        float weight[R];
        float2 state[R];
#pragma unroll
        for (int r = 0; r < R; r++) {
            const float *part = first + min(row + r, n_rows - 1) * row_step + lane * step;
            state[r] = lane < n_splits ? *(const float2 *)(part + D) : make_float2(-1e30f, 0.0f);
        }
#pragma unroll
        for (int r = 0; r < R; r++) {
            float max = state[r].x;
            for (int i = 16; i > 0; i >>= 1)
                max = fmaxf(max, __shfl_xor_sync(0xffffffffu, max, i));
            weight[r] = exp2_fast(state[r].x - max);
            float sum = warp_sum(weight[r] * state[r].y);
            if constexpr (BENT) sum += sink_weight(a.bend, head + min(row + r, n_rows - 1), max);
            weight[r] /= sum;
        }
#pragma unroll
        for (int d0 = 0; d0 < D; d0 += 128) {
            int d = min(d0 + lane * 4, D - 4);
            float x[R][4] = {};
#pragma unroll 4
            for (int k = 0; k < n_splits; k++)
#pragma unroll
                for (int r = 0; r < R; r++) {
                    float4 o = *(const float4 *)(first + min(row + r, n_rows - 1) * row_step +
                                                 k * step + d);
                    float w = __shfl_sync(0xffffffffu, weight[r], k);
                    x[r][0] += o.x * w, x[r][1] += o.y * w, x[r][2] += o.z * w, x[r][3] += o.w * w;
                }
#pragma unroll
            for (int r = 0; r < R; r++) {
                T *out = (T *)a.out.data + t * a.out.stride + (int64_t)(head + row + r) * D + d;
                if (row + r < n_rows && d0 + lane * 4 < D)
                    for (int j = 0; j < 4; j++)
                        out[j] = of_f32<T>(x[r][j]);
            }
        }
    }
}

// Where a row's result goes: the output, or the split's part of it.
template <typename T, int D>
__device__ __forceinline__ void store_pair(const decode_args &a, const decode_unit &u, int head,
                                           bool whole, int d, float x, float y, float max,
                                           float sum)
{
    if (whole) {
        T *out = (T *)a.out.data + u.seq * a.out.stride + (int64_t)head * D + d;
        if constexpr (BENT) sum += sink_weight(a.bend, head, max);
        out[0] = of_f32<T>(x / sum);
        out[1] = of_f32<T>(y / sum);
        return;
    }
    float *part =
        a.partial + (((int64_t)u.seq * a.n_heads + head) * a.max_splits + u.split) * (D + 4);
    *(float2 *)(part + d) = make_float2(x, y);
    if (d == 0) *(float2 *)(part + D) = make_float2(max, sum);
}

// The warps put theirs where their rings were, and the block adds them in order.
template <typename KV>
__device__ __forceinline__ void store_block(const decode_args &a, const decode_unit &u, int head,
                                            int n_rows, bool whole, warp_state<KV::dim> &w,
                                            char *shared)
{
    const int D = KV::dim, row_floats = D + 4, ring_floats = KV::ring_bytes / 4;
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    float *mine = (float *)shared + warp * ring_floats;
#pragma unroll
    for (int h = 0; h < 2; h++) {
        int row = lane / 4 + h * 8;
        float sum = quad_sum(w.sum[h]), *at = mine + row * row_floats;
        if (row >= n_rows) continue;
        KV::store_row(w, h, at);
        if (lane % 4 == 0) *(float2 *)(at + D) = make_float2(w.max[h], sum);
    }
    __syncthreads();
    for (int i = (int)threadIdx.x; i < n_rows * (D / 2); i += (int)blockDim.x) {
        int row = i / (D / 2), d = i % (D / 2) * 2;
        const float *parts = (const float *)shared + row * row_floats;
        float max = -INFINITY, sum = 0.0f, x = 0.0f, y = 0.0f;
        for (int k = 0; k < a.n_warps; k++)
            max = fmaxf(max, parts[k * ring_floats + D]);
        for (int k = 0; k < a.n_warps; k++) {
            const float *part = parts + k * ring_floats;
            float keep = exp2_fast(part[D] - max);
            sum += part[D + 1] * keep;
            x += part[d] * keep;
            y += part[d + 1] * keep;
        }
        store_pair<typename KV::number, D>(a, u, head + row, whole, d, x, y, max, sum);
    }
}

// Whether this block is the last one of its row; what all of them stored is then seen.
__device__ __forceinline__ bool is_last(const decode_args &a, const decode_unit &u, int n_splits,
                                        bool *last)
{
    int32_t *counter = a.counters + (int64_t)u.seq * a.n_head_units + u.heads;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
        *last = atomicAdd(counter, 1) == n_splits - 1;
        if (*last) *counter = 0;
    }
    __syncthreads();
    __threadfence();
    return *last;
}

// LISTED: finds the block's next unit on the way, for slot `slot` of the list.
template <typename KV, bool LISTED>
__device__ __forceinline__ void attend_unit(const decode_args &a, const decode_unit &u,
                                            char *shared, bool *last, unit_list *list, int slot)
{
    const int D = KV::dim;
    int kv_head = u.heads / a.n_head_blocks, block = u.heads % a.n_head_blocks;
    int warp = (int)threadIdx.x / 32, asked = 0;
    int n_rows = min(16, a.group - block * 16), head = kv_head * a.group + block * 16;
    int64_t t = u.seq; // decode rows come first, one token each
    int first = row_begin(a, u.context), n_tokens = u.context - first;
    int split = split_tokens_of(n_tokens, a.n_splits, a.least_split, a.most_split);
    const int32_t *pages = a.b.page_table + (int64_t)u.row * a.b.page_stride;
    int n_splits = (n_tokens + split - 1) / split, begin = first + u.split * split;
    if (!LISTED && u.split >= n_splits) return;
    int end = min(u.context, begin + split), n_tiles = (end - begin + TILE - 1) / TILE;
    int n_mine = (n_tiles - warp + a.n_warps - 1) / a.n_warps; // <= 0: none
    uint32_t ring = shared_address(shared) + (uint32_t)(warp * KV::ring_bytes);
    auto token_of = [&](int i) { return begin + (warp + i * a.n_warps) * TILE; };
#pragma unroll
    for (int i = 0; i < KV::stages - 1; i++) {
        if (i < n_mine)
            KV::fetch(a, pages, kv_head, token_of(i), end, ring + (uint32_t)(i * KV::stage_bytes));
        copy_commit();
    }
    uint32_t q[D / 16][4];
    KV::queries(a, t, head, n_rows, q);
    lane_bend l = {};
    if constexpr (BENT)
        for (int h = 0; h < 2; h++)
            l.slope[h] =
                slope_of(a.bend, head + min((int)threadIdx.x % 32 / 4 + h * 8, n_rows - 1));
    warp_state<D> w;
    w.max[0] = w.max[1] = -1e30f; // finite, so that a difference of two is never NaN
    w.sum[0] = w.sum[1] = 0.0f;
#pragma unroll
    for (int n = 0; n < D / 8; n++)
        w.o[n][0] = w.o[n][1] = w.o[n][2] = w.o[n][3] = 0.0f;
    for (int i = 0, stage = 0, ahead = KV::stages - 1; i < n_mine; i++) {
        if (LISTED && warp == 0 && i == max(n_mine - 2, 0)) asked = ask_unit(a);
        if (i + KV::stages - 1 < n_mine)
            KV::fetch(a, pages, kv_head, token_of(i + KV::stages - 1), end,
                      ring + (uint32_t)(ahead * KV::stage_bytes));
        copy_commit();
        copy_wait<KV::stages - 1>();
        __syncwarp();
        if constexpr (BENT) {
            l.n_hidden = first_seen(a.bend, u.context - 1) - token_of(i);
            l.back = u.context - 1 - token_of(i);
        }
        KV::attend(q, ring + (uint32_t)(stage * KV::stage_bytes), end - token_of(i), a, l, w);
        __syncwarp();
        stage = stage + 1 == KV::stages ? 0 : stage + 1;
        ahead = ahead + 1 == KV::stages ? 0 : ahead + 1;
    }
    copy_wait<0>();
    __syncwarp();
    if (LISTED && warp == 0) find_unit(a, asked, list, slot);
    store_block<KV>(a, u, head, n_rows, n_splits == 1, w, shared);
    if (n_splits > 1 && is_last(a, u, n_splits, last))
        combine_rows<typename KV::number, D>(a, t, u.seq, head, n_rows, n_splits);
}

template <typename KV, bool LISTED>
static __global__ void __launch_bounds__(KV::most_warps * 32)
    decode_kernel(const __grid_constant__ decode_args a)
{
    extern __shared__ __align__(128) char shared[];
    __shared__ bool last;
    __shared__ unit_list list;
    let_next_start();
    wait_for_previous();
    if constexpr (LISTED) {
        make_list(a, &list);
        if (threadIdx.x < 32) find_unit(a, (int)blockIdx.x, &list, 0);
        for (int slot = 0;; slot ^= 1) {
            __syncthreads(); // all have read what the last unit left in shared memory
            decode_unit u = list.unit[slot];
            if (u.seq < 0) break;
            attend_unit<KV, true>(a, u, shared, &last, &list, slot ^ 1);
        }
        if (threadIdx.x == 0 && atomicAdd(a.taken + 1, 1) == (int)gridDim.x - 1)
            a.taken[0] = a.taken[1] = 0; // for the next launch
    } else {
        int seq = (int)blockIdx.z;
        decode_unit u = {seq, (int)blockIdx.y, (int)blockIdx.x, a.b.seq_past[seq] + 1,
                         a.b.seq_row[seq]};
        attend_unit<KV, false>(a, u, shared, &last, nullptr, 0);
    }
}

// Splits of any row up to max_context: the longest has the most, but where n_splits binds before
// the bounds do.
static int most_splits_of(const decode_args *a)
{
    int context = a->b.max_context;
    if (BENT && a->bend.window > 0 && context > a->bend.window + TILE - 1)
        context = a->bend.window + TILE - 1; // of whole tiles
    int longest = split_tokens_of(context, a->n_splits, a->least_split, a->most_split);
    int n = (context + longest - 1) / longest;
    int even = (context + a->least_split - 1) / a->least_split; // rows at the least split
    if (even > a->n_splits) even = a->n_splits;
    return n > even ? n : even;
}

// Warps and splits: as many warps on a row as the rows leave free, at most SM_WARPS per
// multiprocessor in all; then splits, where rows are so few that multiprocessors would stay idle.
static void plan_splits(const wf_cuda *cu, int most_warps, decode_args *a)
{
    int rows = a->b.n_decode * a->n_head_units, most = cu->n_sms * SM_WARPS, n_splits = 1;
    a->n_warps = LEAST_WARPS;
    while (a->n_warps < most_warps && rows * a->n_warps * 2 <= most)
        a->n_warps *= 2;
    while (rows * n_splits * a->n_warps * 2 <= most && n_splits < MAX_SPLITS)
        n_splits *= 2;
    if (cu->deterministic) a->n_warps = 4;
    a->n_splits = n_splits;
    a->least_split = LEAST_WARP_TOKENS * a->n_warps;
    a->most_split = MOST_WARP_TOKENS * a->n_warps;
    if (cu->deterministic) a->least_split = a->most_split = 1024;
    a->max_splits = most_splits_of(a);
}

static wf_status reserve_parts(wf_cuda *cu, wf_stream *s, decode_args *a)
{
    void *partial = nullptr;
    size_t rows = (size_t)a->b.n_decode * (size_t)a->n_heads;
    size_t n_counters = (size_t)a->b.n_decode * (size_t)a->n_head_units;
    if (a->max_splits == 1) return WF_OK;
    WF_TRY(wf_cuda_scratch(cu, s, rows * (size_t)a->max_splits * (size_t)(a->kv.head_dim + 4) * 4,
                           &partial));
    a->partial = (float *)partial;
    WF_TRY(wf_cuda_counters(cu, s, n_counters + 2, &a->counters));
    a->taken = a->counters + n_counters;
    return WF_OK;
}

template <typename KV, bool LISTED>
static wf_status launch_kernel(wf_cuda *cu, wf_stream *s, const decode_args &a, dim3 grid)
{
    auto kernel = decode_kernel<KV, LISTED>;
    const int most = KV::most_warps, ring_bytes = KV::ring_bytes;
    WF_TRY(wf_cuda_allow_shared(cu, kernel, (size_t)(most * ring_bytes), "decode attention"));
    return wf_cuda_launch(cu, s, "decode attention", kernel, grid, dim3((unsigned)(a.n_warps * 32)),
                          (size_t)(a.n_warps * ring_bytes), a);
}

// One block for every unit there can be, or as many as run at once.
template <typename KV> static wf_status launch_decode(wf_cuda *cu, wf_stream *s, decode_args a)
{
    plan_splits(cu, KV::most_warps, &a);
    WF_TRY(reserve_parts(cu, s, &a));
    int64_t n_units = (int64_t)a.max_splits * a.n_head_units * a.b.n_decode;
    int64_t room = (int64_t)cu->n_sms * (SM_WARPS / a.n_warps);
    if (a.max_splits > 1 && n_units > room && a.b.n_decode <= LIST_ROWS)
        return launch_kernel<KV, true>(cu, s, a, dim3((unsigned)room));
    return launch_kernel<KV, false>(
        cu, s, a, dim3((unsigned)a.max_splits, (unsigned)a.n_head_units, (unsigned)a.b.n_decode));
}

template <template <typename, int> typename KV, typename T>
static wf_status decode_dims(wf_cuda *cu, wf_stream *s, const decode_args &a)
{
    if (a.kv.head_dim == 64) return launch_decode<KV<T, 64>>(cu, s, a);
    if (a.kv.head_dim == 128) return launch_decode<KV<T, 128>>(cu, s, a);
    return launch_decode<KV<T, 256>>(cu, s, a);
}

template <template <typename, int> typename KV>
static wf_status decode_attention(wf_cuda *cu, wf_stream *s, const wf_attention_args *in)
{
    decode_args a = {};
    a.b = *in->batch;
    a.qkv = in->qkv;
    a.out = in->out;
    a.kv = in->kv;
    a.n_heads = in->n_heads;
    a.group = in->n_heads / in->kv.n_kv_heads;
    a.n_head_blocks = (a.group + 15) / 16;
    a.n_head_units = in->kv.n_kv_heads * a.n_head_blocks;
    a.scale_log2 = in->scale * LOG2E;
    a.bend = bend_of(in);
    a.q_wide = (uintptr_t)in->qkv.data % 4 == 0 && in->qkv.stride % 2 == 0;
    return with_half(cu->numerics.act, [&](auto *t) {
        return decode_dims<KV, std::remove_pointer_t<decltype(t)>>(cu, s, a);
    });
}

#endif
