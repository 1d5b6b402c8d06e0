// Decode attention: one query token per sequence, split over its KV (flash-decoding).
//
//   grid (split, KV head x block of 16 query heads, sequence); 4 warps
//   a warp: every 4th tile of 16 tokens of the split, through its own ring of cp.async stages
//
// The query heads of a KV head are the rows of one 16-row matrix tile, so K and V are read once for
// all of them. Each warp keeps its own maximum, sum and output over its tiles: no barrier in the
// loop. The block combines its 4 warps in order; where a row has several splits they go through
// scratch and the block that finishes last combines them, in order. A split's length depends on the
// row's own context alone and every order is fixed, so a row's result never depends on its batch.
//
// q [T, ...] act (any alignment), K, V pages act, 16-byte chunks; out act. Accumulation f32,
// weights rounded to act before V. Bytes: K and V once (2 * 2 * context * head_dim per KV head).
// Source of the split: Dao, Haziza, Massa, Sizov, "Flash-Decoding" (2023).
#include "kernels/cuda/cuda_mma.cuh"

#define DECODE_WARPS   4
#define DECODE_THREADS (DECODE_WARPS * 32)
#define TILE           16 // tokens
#define SPLIT_TOKENS   256
#define MAX_SPLITS     32

// Tokens of a split: 256, longer where a row would have more than 32 of them.
static inline __host__ __device__ int split_tokens_of(int context)
{
    int least = (context + MAX_SPLITS - 1) / MAX_SPLITS;
    least = (least + SPLIT_TOKENS - 1) / SPLIT_TOKENS * SPLIT_TOKENS;
    return least < SPLIT_TOKENS ? SPLIT_TOKENS : least;
}

struct decode_args {
    wf_batch b;
    wf_matrix qkv, out;
    wf_kv kv;
    int32_t n_heads, group, n_head_blocks; // group: query heads of a KV head
    float scale_log2;
    float *partial;    // [seq][n_heads][splits][head_dim + 2]: output, maximum, sum
    int32_t *counters; // [seq][KV head x head block]
    int32_t max_splits;
};

template <int D> struct decode_shape {
    static const int chunks = D / 8, stages = D == 64 ? 6 : D == 128 ? 3 : 2;
    static const int tile_bytes = TILE * D * 2, stage_bytes = 2 * tile_bytes;
    static const int ring_bytes = DECODE_WARPS * stages * stage_bytes;
    // After the loop the ring holds the warps' outputs.
    static const int combine_bytes = DECODE_WARPS * 16 * (D + 2) * 4;
    static const int shared_bytes = ring_bytes > combine_bytes ? ring_bytes : combine_bytes;
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
    for (int k = 0; k < D / 16; k++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            int row = g + (i & 1) * 8, d = k * 16 + t2 + (i >> 1) * 8;
            float lo = 0.0f, hi = 0.0f;
            if (row < n_rows) {
                lo = to_f32(base[row * D + d]);
                hi = to_f32(base[row * D + d + 1]);
            }
            q[k][i] = pack2((T *)nullptr, lo, hi);
        }
}

// What a warp knows of its tiles: two rows per lane (g, g + 8).
template <int D> struct warp_state {
    float max[2], sum[2], o[D / 8][4];
};

template <typename T, int D>
__device__ __forceinline__ void attend_tile(const uint32_t q[D / 16][4], uint32_t stage, int n_real,
                                            float scale_log2, warp_state<D> &w)
{
    typedef decode_shape<D> S;
    int lane = threadIdx.x % 32, t2 = lane % 4 * 2;
    float s[2][4] = {};
    uint32_t r[4], p[4];
#pragma unroll
    for (int k = 0; k < D / 16; k++) { // matrices: tokens 0-7 | 8-15, by halves of 16 dims
        int token = (lane / 16) * 8 + lane % 8, chunk = k * 2 + (lane / 8) % 2;
        load_matrix4(stage + swizzled<S::chunks>(token, chunk), r);
        mma<T>(s[0], q[k], r[0], r[1]);
        mma<T>(s[1], q[k], r[2], r[3]);
    }
    float top[2] = {w.max[0], w.max[1]};
#pragma unroll
    for (int n = 0; n < 2; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            bool real = n * 8 + t2 + (i & 1) < n_real;
            s[n][i] = real ? s[n][i] * scale_log2 : -INFINITY;
            top[i >> 1] = fmaxf(top[i >> 1], s[n][i]);
        }
#pragma unroll
    for (int h = 0; h < 2; h++) {
        top[h] = quad_max(top[h]);
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

// Combines n parts of a row and stores it: part i has its output at o + i * step, then maximum and
// sum behind it. One thread per (row, dim); returns the output, not yet divided by *sum.
__device__ __forceinline__ float combine(const float *o, int64_t step, int n, int D, int d,
                                         float *out_max, float *out_sum)
{
    float max = -INFINITY, sum = 0.0f, x = 0.0f;
    for (int i = 0; i < n; i++)
        max = fmaxf(max, o[i * step + D]);
    for (int i = 0; i < n; i++) {
        float keep = exp2_fast(o[i * step + D] - max);
        x += o[i * step + d] * keep;
        sum += o[i * step + D + 1] * keep;
    }
    *out_max = max;
    *out_sum = sum;
    return x;
}

// The last block of a row to finish combines the row's splits.
template <typename T, int D>
__device__ __forceinline__ void finish_row(const decode_args &a, int64_t t, int head, int n_rows,
                                           int n_splits, bool *last)
{
    __threadfence();
    __syncthreads();
    int32_t *counter = a.counters + (int64_t)blockIdx.z * gridDim.y + blockIdx.y;
    if (threadIdx.x == 0) {
        *last = atomicAdd(counter, 1) == n_splits - 1;
        if (*last) *counter = 0;
    }
    __syncthreads();
    if (!*last) return;
    __threadfence();
    for (int i = (int)threadIdx.x; i < n_rows * D; i += DECODE_THREADS) {
        int row = i / D, d = i % D;
        float max, sum;
        const float *parts =
            a.partial + ((int64_t)blockIdx.z * a.n_heads + head + row) * a.max_splits * (D + 2);
        float x = combine(parts, D + 2, n_splits, D, d, &max, &sum);
        ((T *)a.out.data)[t * a.out.stride + (int64_t)(head + row) * D + d] = of_f32<T>(x / sum);
    }
}

template <typename T, int D>
static __global__ void __launch_bounds__(DECODE_THREADS, D == 256 ? 1 : 2)
    decode_kernel(const __grid_constant__ decode_args a)
{
    typedef decode_shape<D> S;
    extern __shared__ __align__(128) char shared[];
    __shared__ bool last;
    wait_for_previous();
    let_next_start();
    int seq = (int)blockIdx.z, kv_head = (int)blockIdx.y / a.n_head_blocks;
    int block = (int)blockIdx.y % a.n_head_blocks;
    int n_rows = min(16, a.group - block * 16), head = kv_head * a.group + block * 16;
    int context = a.b.seq_past[seq] + 1, split = split_tokens_of(context);
    int n_splits = (context + split - 1) / split, begin = (int)blockIdx.x * split;
    if ((int)blockIdx.x >= n_splits) return;
    int end = min(context, begin + split), n_tiles = (end - begin + TILE - 1) / TILE;
    int64_t t = a.b.cu_seqlens[seq];
    const int32_t *pages = a.b.page_table + (int64_t)a.b.seq_row[seq] * a.b.page_stride;
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    uint32_t ring = shared_address(shared) + (uint32_t)(warp * S::stages * S::stage_bytes);
    int n_mine = (n_tiles - warp + DECODE_WARPS - 1) / DECODE_WARPS; // <= 0: none
#pragma unroll
    for (int i = 0; i < S::stages - 1; i++) {
        if (i < n_mine)
            fetch_tile<T, D>(a, pages, kv_head, begin + (warp + i * DECODE_WARPS) * TILE, end,
                             ring + (uint32_t)(i * S::stage_bytes));
        copy_commit();
    }
    uint32_t q[D / 16][4];
    load_queries<T, D>(a, t, head, n_rows, q);
    warp_state<D> w;
    w.max[0] = w.max[1] = -1e30f; // finite, so that a difference of two is never NaN
    w.sum[0] = w.sum[1] = 0.0f;
#pragma unroll
    for (int n = 0; n < D / 8; n++)
        w.o[n][0] = w.o[n][1] = w.o[n][2] = w.o[n][3] = 0.0f;
    for (int i = 0, stage = 0, ahead = S::stages - 1; i < n_mine; i++) {
        int next = i + S::stages - 1;
        if (next < n_mine)
            fetch_tile<T, D>(a, pages, kv_head, begin + (warp + next * DECODE_WARPS) * TILE, end,
                             ring + (uint32_t)(ahead * S::stage_bytes));
        copy_commit();
        copy_wait<S::stages - 1>();
        __syncwarp();
        attend_tile<T, D>(q, ring + (uint32_t)(stage * S::stage_bytes),
                          end - begin - (warp + i * DECODE_WARPS) * TILE, a.scale_log2, w);
        __syncwarp();
        stage = stage + 1 == S::stages ? 0 : stage + 1;
        ahead = ahead + 1 == S::stages ? 0 : ahead + 1;
    }
    copy_wait<0>();
    __syncthreads();
    float *mine = (float *)shared + warp * 16 * (D + 2);
#pragma unroll
    for (int h = 0; h < 2; h++) {
        int row = lane / 4 + h * 8;
        float sum = quad_sum(w.sum[h]);
        if (row >= n_rows) continue;
#pragma unroll
        for (int n = 0; n < D / 8; n++) {
            mine[row * (D + 2) + n * 8 + lane % 4 * 2] = w.o[n][2 * h];
            mine[row * (D + 2) + n * 8 + lane % 4 * 2 + 1] = w.o[n][2 * h + 1];
        }
        if (lane % 4 == 0) mine[row * (D + 2) + D] = w.max[h], mine[row * (D + 2) + D + 1] = sum;
    }
    __syncthreads();
    for (int i = (int)threadIdx.x; i < n_rows * D; i += DECODE_THREADS) {
        int row = i / D, d = i % D;
        float max, sum;
        float x = combine((const float *)shared + row * (D + 2), 16 * (D + 2), DECODE_WARPS, D, d,
                          &max, &sum);
        if (n_splits == 1) {
            ((T *)a.out.data)[t * a.out.stride + (int64_t)(head + row) * D + d] =
                of_f32<T>(x / sum);
            continue;
        }
        float *part =
            a.partial +
            (((int64_t)seq * a.n_heads + head + row) * a.max_splits + blockIdx.x) * (D + 2);
        part[d] = x;
        if (d == 0) part[D] = max, part[D + 1] = sum;
    }
    if (n_splits > 1) finish_row<T, D>(a, t, head, n_rows, n_splits, &last);
}

template <typename T, int D>
static wf_status launch_decode(wf_cuda *cu, wf_stream *s, const decode_args &a)
{
    auto kernel = decode_kernel<T, D>;
    const int bytes = decode_shape<D>::shared_bytes;
    WF_TRY(wf_cuda_allow_shared(cu, kernel, bytes, "decode attention"));
    return wf_cuda_launch(cu, s, "decode attention", kernel,
                          dim3((unsigned)a.max_splits,
                               (unsigned)(a.kv.n_kv_heads * a.n_head_blocks),
                               (unsigned)a.b.n_decode),
                          dim3(DECODE_THREADS), bytes, a);
}

template <typename T> static wf_status decode_dims(wf_cuda *cu, wf_stream *s, const decode_args &a)
{
    if (a.kv.head_dim == 64) return launch_decode<T, 64>(cu, s, a);
    if (a.kv.head_dim == 128) return launch_decode<T, 128>(cu, s, a);
    return launch_decode<T, 256>(cu, s, a);
}

wf_status wf_attention_decode(wf_cuda *cu, wf_stream *s, const wf_attention_args *in)
{
    const wf_batch *b = in->batch;
    decode_args a = {};
    a.b = *b;
    a.qkv = in->qkv;
    a.out = in->out;
    a.kv = in->kv;
    a.n_heads = in->n_heads;
    a.group = in->n_heads / in->kv.n_kv_heads;
    a.n_head_blocks = (a.group + 15) / 16;
    a.scale_log2 = in->scale * 1.4426950408889634f;
    // A row has at most as many splits as this many tokens need at the shortest split.
    a.max_splits = (b->max_context + SPLIT_TOKENS - 1) / SPLIT_TOKENS;
    if (a.max_splits > MAX_SPLITS) a.max_splits = MAX_SPLITS;
    if (a.max_splits > 1) {
        void *partial = nullptr;
        size_t rows = (size_t)b->n_decode * (size_t)a.n_heads;
        WF_TRY(wf_cuda_scratch(cu, s, rows * (size_t)a.max_splits * (size_t)(a.kv.head_dim + 2) * 4,
                               &partial));
        a.partial = (float *)partial;
        WF_TRY(wf_cuda_counters(
            cu, s, (size_t)b->n_decode * (size_t)(a.kv.n_kv_heads * a.n_head_blocks), &a.counters));
    }
    return cu->act == WF_BF16 ? decode_dims<__nv_bfloat16>(cu, s, a)
                              : decode_dims<__half>(cu, s, a);
}
