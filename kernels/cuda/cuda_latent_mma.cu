// Latent attention over rows of 512 + 64 numbers of 2 bytes, decode and prefill alike.
//
//   block: 16, 32 or 64 rows (new token x head) of one sequence, one split of its context
//   8 warps: W of them share 16 rows; of a tile of 64 keys each takes 64 / W, of values 512 / W
//
// All heads read one row of the cache, so a tile is fetched once for all rows of the block: two
// stages of cp.async, a tile's keys and values being the same bytes. Of each tile
//
//   s = q K^T -> maxima and weights of the rows through shared memory -> o = o a + p V
//
// with three barriers. Decode rows are split over their context where they do not fill the device;
// a second kernel adds the splits in order. With `deterministic` nothing is split and every block
// has 64 rows: what a row gets depends on its query and its context alone.
//
// q rows allow accesses of 16 bytes; accumulation f32, weights rounded to act before V.
// Bytes: 1152 per token of context and block of rows. FLOPs: 2 * (576 + 512) per row and position.
// Source: DeepSeek-V2, arXiv 2405.04434; the loop: Dao et al., arXiv 2205.14135.
#include "kernels/cuda/cuda_latent.cuh"
#include "kernels/cuda/cuda_mma.cuh"

#define LOG2E       1.44269504088896340736f
#define DIM         576
#define RANK        512
#define CHUNKS      (DIM / 8) // 16 bytes each, of a row
#define TILE        64        // tokens
#define WARPS       8
#define THREADS     (WARPS * 32)
#define MOST_SPLITS 64
#define LEAST_SPLIT 128        // tokens
#define PART        (RANK + 4) // numbers of a split's part: output, maximum, sum

struct latent_args {
    wf_batch b;
    wf_matrix q, out;
    wf_kv kv;
    int32_t n_heads, first_seq;
    float scale_log2;
    float *partial; // [seq][n_heads][n_splits][PART], where rows are split
    int32_t n_splits;
};

// Rows of a block, as tiles of 16: R of them.
template <int R> struct latent_shape {
    static const int rows = 16 * R, cols = WARPS / R; // cols: warps that share 16 rows
    static const int keys = TILE / cols, values = RANK / cols;
    static const int q_bytes = rows * DIM * 2, tile_bytes = TILE * DIM * 2;
    static const int p_bytes = rows * TILE * 2, state_bytes = cols * rows * 4;
    static const int bytes = q_bytes + 2 * tile_bytes + p_bytes + 2 * state_bytes;
};

__host__ __device__ __forceinline__ int split_tokens_of(int context, int n_splits)
{
    int even = (context + n_splits - 1) / n_splits;
    if (even < LEAST_SPLIT) even = LEAST_SPLIT;
    return (even + TILE - 1) / TILE * TILE;
}

// Queues the copy of one tile; tokens from `end` on become zeros.
template <typename T>
__device__ __forceinline__ void fetch_tile(const latent_args &a, const int32_t *pages, int token,
                                           int end, uint32_t stage)
{
    const wf_kv &kv = a.kv;
    for (int i = (int)threadIdx.x; i < TILE * CHUNKS; i += THREADS) {
        int r = i / CHUNKS, c = i % CHUNKS, pos = token + r;
        bool real = pos < end;
        int at = real ? pos : 0;
        const T *src = (const T *)kv.base + pages[at / kv.page_tokens] * kv.page_stride +
                       (int64_t)(at % kv.page_tokens) * DIM + c * 8;
        copy16(stage + swizzled<CHUNKS>(r, c), src, real);
    }
}

template <typename T, int R>
__device__ __forceinline__ void fetch_queries(const latent_args &a, int64_t t0, int row0,
                                              int n_rows, uint32_t shared)
{
    for (int i = (int)threadIdx.x; i < latent_shape<R>::rows * CHUNKS; i += THREADS) {
        int r = i / CHUNKS, c = i % CHUNKS, row = min(row0 + r, n_rows - 1);
        const T *src = (const T *)a.q.data + (t0 + row / a.n_heads) * a.q.stride +
                       (int64_t)(row % a.n_heads) * DIM + c * 8;
        copy16(shared + swizzled<CHUNKS>(r, c), src, row0 + r < n_rows);
    }
}

// What a warp knows: of its two rows per lane (g, g + 8), and its part of their outputs.
template <int R> struct warp_state {
    float max[2], sum[2], o[8 * R][4];
};

// Scores of the warp's 16 rows with its R * 8 keys of the tile.
template <typename T, int R>
__device__ __forceinline__ void score(uint32_t q, uint32_t stage, int row, int key, float s[R][4])
{
    int lane = threadIdx.x % 32;
    uint32_t x[4], y[4], r[4];
#pragma unroll
    for (int n = 0; n < R; n++)
        s[n][0] = s[n][1] = s[n][2] = s[n][3] = 0.0f;
#pragma unroll 4
    for (int k = 0; k < DIM / 16; k += 2) {
        load_matrix4(q + swizzled<CHUNKS>(row + lane % 16, 2 * k + lane / 16), x);
        load_matrix4(q + swizzled<CHUNKS>(row + lane % 16, 2 * k + 2 + lane / 16), y);
#pragma unroll
        for (int n = 0; n < R; n++) { // 8 keys, both steps
            load_matrix4(stage + swizzled<CHUNKS>(key + n * 8 + lane % 8, 2 * k + lane / 8), r);
            mma<T>(s[n], x, r[0], r[1]);
            mma<T>(s[n], y, r[2], r[3]);
        }
    }
}

// o += p V: the tile's 64 tokens, the warp's part of the values.
template <typename T, int R>
__device__ __forceinline__ void weigh(uint32_t p, uint32_t stage, int row, int chunk0,
                                      float o[8 * R][4])
{
    int lane = threadIdx.x % 32;
    uint32_t x[4], r[4];
#pragma unroll
    for (int k = 0; k < TILE / 16; k++) {
        load_matrix4(p + swizzled<TILE / 8>(row + lane % 16, 2 * k + lane / 16), x);
        int token = k * 16 + (lane / 8) % 2 * 8 + lane % 8;
#pragma unroll
        for (int n = 0; n < 4 * R; n++) {
            load_matrix4_transposed(stage + swizzled<CHUNKS>(token, chunk0 + n * 2 + lane / 16), r);
            mma<T>(o[2 * n], x, r[0], r[1]);
            mma<T>(o[2 * n + 1], x, r[2], r[3]);
        }
    }
}

// Where the block's rows and its split of the context lie.
struct latent_block {
    int seq, row0, n_rows, begin, end, split;
    int n_splits; // of the row, where rows are split
    int64_t t0;   // first packed token of the sequence
    int past;
};

// The block's warps exchange maxima, then have weights of the tile in `p`.
template <typename T, int R>
__device__ __forceinline__ void soften(const latent_args &a, const latent_block &k, int token0,
                                       int row, int col, float s[R][4], float *maxima, char *p,
                                       warp_state<R> &w)
{
    typedef latent_shape<R> S;
    int lane = threadIdx.x % 32, g = lane / 4, t2 = lane % 4 * 2, key = col * S::keys;
    float top[2] = {w.max[0], w.max[1]};
#pragma unroll
    for (int n = 0; n < R; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            int pos = token0 + key + n * 8 + t2 + (i & 1);
            int mine = k.row0 + row + g + (i >> 1) * 8;
            bool seen = pos < k.end && pos <= k.past + mine / a.n_heads;
            s[n][i] = seen ? s[n][i] * a.scale_log2 : -INFINITY;
            top[i >> 1] = fmaxf(top[i >> 1], s[n][i]);
        }
    top[0] = quad_max(top[0]);
    top[1] = quad_max(top[1]);
    if (lane % 4 == 0) {
        maxima[col * S::rows + row + g] = top[0];
        maxima[col * S::rows + row + g + 8] = top[1];
    }
    __syncthreads();
#pragma unroll
    for (int h = 0; h < 2; h++) {
#pragma unroll
        for (int c = 0; c < S::cols; c++)
            top[h] = fmaxf(top[h], maxima[c * S::rows + row + g + h * 8]);
        float keep = exp2_fast(w.max[h] - top[h]);
        w.max[h] = top[h];
        w.sum[h] *= keep;
#pragma unroll
        for (int n = 0; n < 8 * R; n++) {
            w.o[n][2 * h] *= keep;
            w.o[n][2 * h + 1] *= keep;
        }
    }
#pragma unroll
    for (int n = 0; n < R; n++) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
            s[n][i] = exp2_fast(s[n][i] - w.max[i >> 1]);
            w.sum[i >> 1] += s[n][i];
        }
#pragma unroll
        for (int h = 0; h < 2; h++)
            *(uint32_t *)(p + swizzled<TILE / 8>(row + g + h * 8, key / 8 + n) + t2 * 2) =
                pack2((T *)nullptr, s[n][2 * h], s[n][2 * h + 1]);
    }
    __syncthreads();
}

template <typename T, int R>
__device__ __forceinline__ void store(const latent_args &a, const latent_block &k, int row, int col,
                                      float *sums, const warp_state<R> &w)
{
    typedef latent_shape<R> S;
    int lane = threadIdx.x % 32, g = lane / 4, t2 = lane % 4 * 2;
#pragma unroll
    for (int h = 0; h < 2; h++) {
        float sum = quad_sum(w.sum[h]);
        if (lane % 4 == 0) sums[col * S::rows + row + g + h * 8] = sum;
    }
    __syncthreads();
#pragma unroll
    for (int h = 0; h < 2; h++) {
        int local = row + g + h * 8, mine = k.row0 + local;
        float sum = 0.0f;
        for (int c = 0; c < S::cols; c++)
            sum += sums[c * S::rows + local];
        if (mine >= k.n_rows) continue;
        int head = mine % a.n_heads;
        if (k.n_splits > 1) {
            float *part =
                a.partial +
                (((int64_t)(k.seq - a.first_seq) * a.n_heads + head) * a.n_splits + k.split) * PART;
#pragma unroll
            for (int n = 0; n < 8 * R; n++)
                *(float2 *)(part + col * S::values + n * 8 + t2) =
                    make_float2(w.o[n][2 * h], w.o[n][2 * h + 1]);
            if (col == 0 && t2 == 0) *(float2 *)(part + RANK) = make_float2(w.max[h], sum);
            continue;
        }
        T *out = (T *)a.out.data + (k.t0 + mine / a.n_heads) * a.out.stride + (int64_t)head * RANK +
                 col * S::values + t2;
#pragma unroll
        for (int n = 0; n < 8 * R; n++) {
            out[n * 8] = of_f32<T>(w.o[n][2 * h] / sum);
            out[n * 8 + 1] = of_f32<T>(w.o[n][2 * h + 1] / sum);
        }
    }
}

// false: nothing to do here.
template <int R> __device__ __forceinline__ bool find_block(const latent_args &a, latent_block *k)
{
    k->seq = a.first_seq + (int)blockIdx.z;
    k->t0 = a.b.cu_seqlens[k->seq];
    k->past = a.b.seq_past[k->seq];
    int n_new = a.b.cu_seqlens[k->seq + 1] - (int)k->t0;
    k->n_rows = n_new * a.n_heads;
    k->row0 = (int)(gridDim.y - 1 - blockIdx.y) * latent_shape<R>::rows; // the longest first
    if (k->row0 >= k->n_rows) return false;
    int last = min(k->row0 + latent_shape<R>::rows, k->n_rows) - 1;
    int context = k->past + last / a.n_heads + 1;
    k->split = (int)blockIdx.x;
    k->n_splits = 1;
    k->begin = 0;
    k->end = context;
    if (a.n_splits == 1) return true;
    int split = split_tokens_of(context, a.n_splits);
    k->n_splits = (context + split - 1) / split;
    k->begin = k->split * split;
    k->end = min(context, k->begin + split);
    return k->split < k->n_splits;
}

template <typename T, int R>
static __global__ void __launch_bounds__(THREADS)
    latent_kernel(const __grid_constant__ latent_args a)
{
    typedef latent_shape<R> S;
    extern __shared__ __align__(128) char shared[];
    latent_block k;
    let_next_start();
    wait_for_previous();
    if (!find_block<R>(a, &k)) return;
    int warp = threadIdx.x / 32, row = warp / S::cols * 16, col = warp % S::cols;
    char *p = shared + S::q_bytes + 2 * S::tile_bytes;
    float *maxima = (float *)(p + S::p_bytes), *sums = maxima + S::cols * S::rows;
    uint32_t q = shared_address(shared), ring = q + S::q_bytes, weights = shared_address(p);
    const int32_t *pages = a.b.page_table + (int64_t)a.b.seq_row[k.seq] * a.b.page_stride;
    int n_tiles = (k.end - k.begin + TILE - 1) / TILE;
    fetch_queries<T, R>(a, k.t0, k.row0, k.n_rows, q);
    fetch_tile<T>(a, pages, k.begin, k.end, ring);
    copy_commit();
    warp_state<R> w;
    w.max[0] = w.max[1] = -1e30f; // finite, so that a difference of two is never NaN
    w.sum[0] = w.sum[1] = 0.0f;
#pragma unroll
    for (int n = 0; n < 8 * R; n++)
        w.o[n][0] = w.o[n][1] = w.o[n][2] = w.o[n][3] = 0.0f;
    for (int i = 0; i < n_tiles; i++) {
        uint32_t stage = ring + (uint32_t)(i % 2 * S::tile_bytes);
        int token0 = k.begin + i * TILE;
        copy_wait<0>();
        __syncthreads(); // the tile is there, and all are done with the one before
        if (i + 1 < n_tiles)
            fetch_tile<T>(a, pages, token0 + TILE, k.end,
                          ring + (uint32_t)((i + 1) % 2 * S::tile_bytes));
        copy_commit();
        float s[R][4];
        score<T, R>(q, stage, row, col * S::keys, s);
        soften<T, R>(a, k, token0, row, col, s, maxima, p, w);
        weigh<T, R>(weights, stage, row, col * (S::values / 8), w.o);
    }
    store<T, R>(a, k, row, col, sums, w);
}

// Adds the splits of a row that has several, in order.
template <typename T>
static __global__ void __launch_bounds__(128)
    latent_combine_kernel(const __grid_constant__ latent_args a)
{
    let_next_start();
    wait_for_previous();
    int seq = a.first_seq + (int)blockIdx.y, head = (int)blockIdx.x, d = (int)threadIdx.x * 4;
    int context = a.b.seq_past[seq] + 1, split = split_tokens_of(context, a.n_splits);
    int n = (context + split - 1) / split;
    if (n == 1) return;
    const float *part = a.partial + ((int64_t)blockIdx.y * a.n_heads + head) * a.n_splits * PART;
    float max = -1e30f, sum = 0.0f, x[4] = {};
    for (int i = 0; i < n; i++)
        max = fmaxf(max, part[i * PART + RANK]);
    for (int i = 0; i < n; i++) {
        float keep = exp2_fast(part[i * PART + RANK] - max);
        float4 o = *(const float4 *)(part + i * PART + d);
        sum += part[i * PART + RANK + 1] * keep;
        x[0] += o.x * keep, x[1] += o.y * keep, x[2] += o.z * keep, x[3] += o.w * keep;
    }
    T *out = (T *)a.out.data + (int64_t)a.b.cu_seqlens[seq] * a.out.stride + (int64_t)head * RANK;
    for (int j = 0; j < 4; j++)
        out[d + j] = of_f32<T>(x[j] / sum);
}

template <typename T, int R>
static wf_status launch(wf_cuda *cu, wf_stream *s, const latent_args &a, int n_rows, int n_seqs)
{
    auto kernel = latent_kernel<T, R>;
    const int bytes = latent_shape<R>::bytes;
    unsigned n_blocks = (unsigned)div_up64(n_rows, latent_shape<R>::rows);
    WF_TRY(wf_cuda_allow_shared(cu, kernel, (size_t)bytes, "latent attention"));
    return wf_cuda_launch(cu, s, "latent attention", kernel,
                          dim3((unsigned)a.n_splits, n_blocks, (unsigned)n_seqs), dim3(THREADS),
                          (size_t)bytes, a);
}

// As many splits as fill the device with blocks, of contexts up to the step's longest.
static int splits_of(const wf_cuda *cu, const latent_args &a, int rows)
{
    int64_t units = div_up64(a.n_heads, rows) * a.b.n_decode;
    int64_t n = cu->n_sms / units, most = div_up64(a.b.max_context, LEAST_SPLIT);
    if (n > most) n = most;
    if (n > MOST_SPLITS) n = MOST_SPLITS;
    return n < 1 || cu->deterministic ? 1 : (int)n;
}

template <typename T> static wf_status decode(wf_cuda *cu, wf_stream *s, latent_args a)
{
    int rows = cu->deterministic || a.n_heads > 32 ? 64 : a.n_heads > 16 ? 32 : 16;
    void *partial = nullptr;
    a.n_splits = splits_of(cu, a, rows);
    size_t n_parts = (size_t)a.b.n_decode * (size_t)a.n_heads * (size_t)a.n_splits;
    if (a.n_splits > 1) WF_TRY(wf_cuda_scratch(cu, s, n_parts * PART * 4, &partial));
    a.partial = (float *)partial;
    auto run = rows == 64 ? launch<T, 4> : rows == 32 ? launch<T, 2> : launch<T, 1>;
    WF_TRY(run(cu, s, a, a.n_heads, a.b.n_decode));
    if (a.n_splits == 1) return WF_OK;
    return wf_cuda_launch(cu, s, "latent attention's splits", latent_combine_kernel<T>,
                          dim3((unsigned)a.n_heads, (unsigned)a.b.n_decode), dim3(RANK / 4), 0, a);
}

bool wf_latent_mma_fits(const wf_cuda *cu, const wf_latent_attention_args *a)
{
    const wf_kv *kv = &a->kv;
    return cu->cc_major >= 9 && cu->numerics.act != WF_F32 && kv->dtype == cu->numerics.act &&
           kv->head_dim == DIM && a->rank == RANK && (uintptr_t)kv->base % 16 == 0 &&
           kv->page_stride % 8 == 0 && rows_aligned(&a->q, 16);
}

wf_status wf_latent_mma(wf_cuda *cu, wf_stream *s, const wf_latent_attention_args *in)
{
    latent_args a = {};
    a.b = *in->batch;
    a.q = in->q;
    a.out = in->out;
    a.kv = in->kv;
    a.n_heads = in->n_heads;
    a.scale_log2 = in->scale * LOG2E;
    a.n_splits = 1;
    return with_half(cu->numerics.act, [&](auto *t) {
        typedef std::remove_pointer_t<decltype(t)> T;
        if (a.b.n_decode > 0) WF_TRY(decode<T>(cu, s, a));
        a.first_seq = a.b.n_decode;
        if (a.b.n_seqs == a.b.n_decode) return WF_OK;
        return launch<T, 4>(cu, s, a, a.b.max_new * a.n_heads, a.b.n_seqs - a.b.n_decode);
    });
}
