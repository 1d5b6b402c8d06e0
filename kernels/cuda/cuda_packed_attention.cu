// packed_attention: out[t][h] = softmax(scale q K^T + bias) V over the tokens of t's own sequence,
// in both directions, K and V read where the projection has left them.
//
//   grid (query tile, query head, sequence); 4 warps of MT x 16 queries
//   loop over tiles of N tokens: two stages of cp.async, S = Q K^T, online softmax, O += P V
//
// A sequence of up to N tokens is one tile: its q, k and v are read once, scores and weights never
// leave registers (ByteTransformer's fused attention for short rows, arXiv 2210.03052); longer ones
// loop (FlashAttention-2, arXiv 2307.08691). Windows and biases are a second instance, so that the
// plain one pays nothing for them. 2-byte act, head_dim 32, 64 or 128, rows of 16-byte pieces;
// everything else goes to the general kernel, one block per (token, head).
// Accumulation f32, P rounded to act. FLOPs: 4 * head_dim per pair that is seen. Tolerance:
// rounding of act.
#include "kernels/cuda/cuda_mma.cuh"

extern "C" {
#include "kernels/ops/op_encode.h"
}

#define PACKED_WARPS   4
#define PACKED_THREADS (PACKED_WARPS * 32)
#define LOG2E          1.4426950408889634f

struct packed_args {
    const int32_t *cu_seqlens, *token_seq;
    wf_matrix qkv, out;
    int32_t n_heads, n_kv_heads, head_dim, window, bias_reach;
    const float *bias;
    float scale;
};

__device__ __forceinline__ bool sees(const packed_args &a, int query, int key)
{
    return a.window == 0 || abs(query - key) <= a.window;
}

__device__ __forceinline__ float bias_of(const packed_args &a, int head, int distance)
{
    int near = min(max(distance, -a.bias_reach), a.bias_reach);
    return a.bias ? __ldg(a.bias + (int64_t)head * (2 * a.bias_reach + 1) + near + a.bias_reach)
                  : 0.0f;
}

// ---- the general kernel -------------------------------------------------------------------------

#define GENERAL_WARPS  8
#define GENERAL_PIECES 8 // head_dim <= 256 = 32 lanes * 8

// Each warp takes every 8th token and keeps its own running maximum, sum and output; lanes split
// head_dim. Then the warps are combined, in order.
static __global__ void __launch_bounds__(GENERAL_WARPS * 32)
    packed_general_kernel(const __grid_constant__ packed_args a)
{
    __shared__ float maxima[GENERAL_WARPS], sums[GENERAL_WARPS], parts[GENERAL_WARPS][256];
    wait_for_previous();
    int t = (int)blockIdx.x, head = (int)blockIdx.y, dim = a.head_dim;
    int seq = a.token_seq[t], begin = a.cu_seqlens[seq], end = a.cu_seqlens[seq + 1];
    int kv_head = head / (a.n_heads / a.n_kv_heads), warp = threadIdx.x / 32;
    int lane = threadIdx.x % 32;
    int64_t k_at = (int64_t)(a.n_heads + kv_head) * dim, v_at = k_at + (int64_t)a.n_kv_heads * dim;
    float q[GENERAL_PIECES], o[GENERAL_PIECES] = {}, top = -1e30f, sum = 0.0f;
    for (int i = 0; i < GENERAL_PIECES; i++) {
        int64_t at = t * a.qkv.stride + (int64_t)head * dim + i * 32 + lane;
        q[i] = i * 32 + lane < dim ? load_any(a.qkv.data, a.qkv.dtype, at) * a.scale : 0.0f;
    }
    for (int p = begin + warp; p < end; p += GENERAL_WARPS) {
        if (!sees(a, t, p)) continue;
        int64_t row = p * a.qkv.stride;
        float dot = 0.0f;
        for (int i = 0; i < GENERAL_PIECES; i++)
            if (i * 32 + lane < dim)
                dot += q[i] * load_any(a.qkv.data, a.qkv.dtype, row + k_at + i * 32 + lane);
        dot = warp_sum(dot) + bias_of(a, head, p - t);
        float raised = fmaxf(top, dot), keep = expf(top - raised), weight = expf(dot - raised);
        top = raised;
        sum = sum * keep + weight;
        for (int i = 0; i < GENERAL_PIECES; i++)
            if (i * 32 + lane < dim)
                o[i] = o[i] * keep +
                       weight * load_any(a.qkv.data, a.qkv.dtype, row + v_at + i * 32 + lane);
    }
    if (lane == 0) maxima[warp] = top, sums[warp] = sum;
    for (int i = 0; i < GENERAL_PIECES; i++)
        if (i * 32 + lane < dim) parts[warp][i * 32 + lane] = o[i];
    __syncthreads();
    float most = -1e30f, total = 0.0f;
    for (int w = 0; w < GENERAL_WARPS; w++)
        most = fmaxf(most, maxima[w]);
    for (int w = 0; w < GENERAL_WARPS; w++)
        total += sums[w] * expf(maxima[w] - most);
    for (int d = (int)threadIdx.x; d < dim; d += GENERAL_WARPS * 32) {
        float x = 0.0f;
        for (int w = 0; w < GENERAL_WARPS; w++)
            x += parts[w][d] * expf(maxima[w] - most);
        store_any(a.out.data, a.out.dtype, t * a.out.stride + (int64_t)head * dim + d, x / total);
    }
}

// ---- tiles --------------------------------------------------------------------------------------

template <int D, int MT> struct packed_shape {
    static const int n = D == 128 ? 32 : 64; // tokens of a tile
    static const int m = PACKED_WARPS * MT * 16;
    static const int pieces = D / 8, chunks = D < 64 ? 8 : D / 8; // of a row; and its room
    static const int kv_bytes = n * chunks * 16, stage_bytes = 2 * kv_bytes;
    static const int q_bytes = m * chunks * 16, shared_bytes = q_bytes + 2 * stage_bytes;
};

// Queues the copy of ROWS rows of D numbers, zeros from n_real on.
template <int ROWS, int PIECES, int CHUNKS, typename T>
__device__ __forceinline__ void fetch_rows(const T *from, int64_t stride, int n_real, uint32_t to)
{
    for (int i = (int)threadIdx.x; i < ROWS * PIECES; i += PACKED_THREADS) {
        int r = i / PIECES, c = i % PIECES;
        copy16(to + swizzled<CHUNKS>(r, c), from + (r < n_real ? r : 0) * stride + c * 8,
               r < n_real);
    }
}

// One tile: scores, mask, softmax, output of this warp's rows. `first`: the tile's first token,
// `query`: of the warp's row g; n_tokens: of the sequence.
template <typename T, int D, int MT, bool BENT>
__device__ __forceinline__ void
attend_tile(uint32_t q_tile, uint32_t stage, int warp_row, int first, int query, int n_tokens,
            int head, const packed_args &a, float max[][2], float sum[][2], float o[][D / 8][4])
{
    typedef packed_shape<D, MT> S;
    int lane = threadIdx.x % 32, t2 = lane % 4 * 2;
    const float scale = BENT ? 1.0f : a.scale * LOG2E; // bent scores are scaled before
    float s[MT][S::n / 8][4];
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int n = 0; n < S::n / 8; n++)
            s[m][n][0] = s[m][n][1] = s[m][n][2] = s[m][n][3] = 0.0f;
#pragma unroll
    for (int k = 0; k < D / 16; k++) {
        uint32_t q[MT][4], r[4];
#pragma unroll
        for (int m = 0; m < MT; m++)
            load_matrix4(q_tile +
                             swizzled<S::chunks>(warp_row + m * 16 + lane % 16, k * 2 + lane / 16),
                         q[m]);
#pragma unroll
        for (int n = 0; n < S::n / 16; n++) {
            int token = n * 16 + (lane / 16) * 8 + lane % 8, chunk = k * 2 + (lane / 8) % 2;
            load_matrix4(stage + swizzled<S::chunks>(token, chunk), r);
#pragma unroll
            for (int m = 0; m < MT; m++) {
                mma<T>(s[m][2 * n], q[m], r[0], r[1]);
                mma<T>(s[m][2 * n + 1], q[m], r[2], r[3]);
            }
        }
    }
    bool ends = first + S::n > n_tokens;
    uint32_t p[MT][S::n / 16][4];
#pragma unroll
    for (int m = 0; m < MT; m++) {
        float top[2] = {max[m][0], max[m][1]};
        if (BENT || ends) {
#pragma unroll
            for (int n = 0; n < S::n / 8; n++)
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    int key = first + n * 8 + t2 + (i & 1), row = query + m * 16 + (i >> 1) * 8;
                    bool seen = key < n_tokens;
                    if (BENT) {
                        seen = seen && sees(a, row, key);
                        s[m][n][i] = (s[m][n][i] * a.scale + bias_of(a, head, key - row)) * LOG2E;
                    }
                    if (!seen) s[m][n][i] = -INFINITY;
                }
        }
#pragma unroll
        for (int n = 0; n < S::n / 8; n++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                top[i >> 1] = fmaxf(top[i >> 1], s[m][n][i]);
        top[0] = quad_max(top[0]);
        top[1] = quad_max(top[1]);
        if (__any_sync(0xffffffffu, top[0] > max[m][0] || top[1] > max[m][1])) {
            float keep[2];
#pragma unroll
            for (int h = 0; h < 2; h++) {
                keep[h] = exp2_fast((max[m][h] - top[h]) * scale);
                max[m][h] = top[h];
                sum[m][h] *= keep[h];
            }
#pragma unroll
            for (int n = 0; n < D / 8; n++)
#pragma unroll
                for (int i = 0; i < 4; i++)
                    o[m][n][i] *= keep[i >> 1];
        }
        const float shift[2] = {max[m][0] * scale, max[m][1] * scale};
#pragma unroll
        for (int n = 0; n < S::n / 8; n++) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                s[m][n][i] = exp2_fast(fmaf(s[m][n][i], scale, -shift[i >> 1]));
                sum[m][i >> 1] += s[m][n][i];
            }
            p[m][n / 2][n % 2 * 2] = pack2((T *)nullptr, s[m][n][0], s[m][n][1]);
            p[m][n / 2][n % 2 * 2 + 1] = pack2((T *)nullptr, s[m][n][2], s[m][n][3]);
        }
    }
#pragma unroll
    for (int k = 0; k < S::n / 16; k++)
#pragma unroll
        for (int n = 0; n < D / 16; n++) {
            uint32_t r[4];
            int token = k * 16 + (lane / 8) % 2 * 8 + lane % 8, chunk = n * 2 + lane / 16;
            load_matrix4_transposed(stage + S::kv_bytes + swizzled<S::chunks>(token, chunk), r);
#pragma unroll
            for (int m = 0; m < MT; m++) {
                mma<T>(o[m][2 * n], p[m][k], r[0], r[1]);
                mma<T>(o[m][2 * n + 1], p[m][k], r[2], r[3]);
            }
        }
}

template <typename T, int D, int MT, bool BENT>
static __global__ void __launch_bounds__(PACKED_THREADS)
    packed_kernel(const __grid_constant__ packed_args a)
{
    typedef packed_shape<D, MT> S;
    extern __shared__ __align__(128) char shared[];
    wait_for_previous();
    let_next_start();
    int head = (int)blockIdx.y, kv_head = head / (a.n_heads / a.n_kv_heads);
    int64_t t0 = a.cu_seqlens[blockIdx.z];
    int n_tokens = (int)(a.cu_seqlens[blockIdx.z + 1] - t0), query = (int)blockIdx.x * S::m;
    if (query >= n_tokens) return;
    int n_rows = min(S::m, n_tokens - query);
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32, warp_row = warp * MT * 16;
    uint32_t q_tile = shared_address(shared), ring = q_tile + S::q_bytes;
    const T *row = (const T *)a.qkv.data + t0 * a.qkv.stride;
    const T *k = row + (int64_t)(a.n_heads + kv_head) * D, *v = k + (int64_t)a.n_kv_heads * D;
    float max[MT][2], sum[MT][2], o[MT][D / 8][4];
#pragma unroll
    for (int m = 0; m < MT; m++) {
        max[m][0] = max[m][1] = -1e30f;
        sum[m][0] = sum[m][1] = 0.0f;
#pragma unroll
        for (int n = 0; n < D / 8; n++)
            o[m][n][0] = o[m][n][1] = o[m][n][2] = o[m][n][3] = 0.0f;
    }
    auto fetch = [&](int i) {
        uint32_t stage = ring + (uint32_t)(i % 2 * S::stage_bytes);
        int64_t at = (int64_t)i * S::n * a.qkv.stride;
        int n_real = n_tokens - i * S::n;
        fetch_rows<S::n, S::pieces, S::chunks>(k + at, a.qkv.stride, n_real, stage);
        fetch_rows<S::n, S::pieces, S::chunks>(v + at, a.qkv.stride, n_real, stage + S::kv_bytes);
        copy_commit();
    };
    int reach = BENT && a.window > 0 ? a.window : n_tokens;
    int first = query > reach ? (query - reach) / S::n : 0;
    int n_tiles = (min(n_tokens, query + n_rows + reach) + S::n - 1) / S::n;
    fetch_rows<S::m, S::pieces, S::chunks>(row + query * a.qkv.stride + (int64_t)head * D,
                                           a.qkv.stride, n_rows, q_tile);
    fetch(first);
    for (int i = first; i < n_tiles; i++) {
        copy_wait<0>();
        __syncthreads(); // the tile is there, and nobody reads the other stage any more
        if (i + 1 < n_tiles) fetch(i + 1);
        if (warp_row >= n_rows) continue; // no query of this warp
        attend_tile<T, D, MT, BENT>(q_tile, ring + (uint32_t)(i % 2 * S::stage_bytes), warp_row,
                                    i * S::n, query + warp_row + lane / 4, n_tokens, head, a, max,
                                    sum, o);
    }
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int h = 0; h < 2; h++) {
            int r = warp_row + m * 16 + lane / 4 + h * 8;
            float scale = 1.0f / quad_sum(sum[m][h]);
            if (r >= n_rows) continue;
            T *out = (T *)a.out.data + (t0 + query + r) * a.out.stride + (int64_t)head * D +
                     lane % 4 * 2;
#pragma unroll
            for (int n = 0; n < D / 8; n++)
                *(uint32_t *)(out + n * 8) =
                    pack2((T *)nullptr, o[m][n][2 * h] * scale, o[m][n][2 * h + 1] * scale);
        }
}

template <typename T, int D, int MT>
static wf_status launch_packed(wf_cuda *cu, wf_stream *s, const wf_batch *b, const packed_args &a)
{
    typedef packed_shape<D, MT> S;
    bool bent = a.window > 0 || a.bias != nullptr;
    auto kernel = bent ? packed_kernel<T, D, MT, true> : packed_kernel<T, D, MT, false>;
    WF_TRY(wf_cuda_allow_shared(cu, kernel, S::shared_bytes, "packed_attention"));
    dim3 grid((unsigned)div_up64(b->max_new, S::m), (unsigned)a.n_heads, (unsigned)b->n_seqs);
    return wf_cuda_launch(cu, s, "packed_attention", kernel, grid, dim3(PACKED_THREADS),
                          S::shared_bytes, a);
}

// Short rows take tiles of 64 queries: half as many of them stand idle.
template <typename T, int D>
static wf_status packed_rows(wf_cuda *cu, wf_stream *s, const wf_batch *b, const packed_args &a)
{
    return b->max_new <= 64 ? launch_packed<T, D, 1>(cu, s, b, a)
                            : launch_packed<T, D, 2>(cu, s, b, a);
}

template <typename T>
static wf_status packed_dims(wf_cuda *cu, wf_stream *s, const wf_batch *b, const packed_args &a)
{
    if (a.head_dim == 32) return packed_rows<T, 32>(cu, s, b, a);
    if (a.head_dim == 64) return packed_rows<T, 64>(cu, s, b, a);
    return packed_rows<T, 128>(cu, s, b, a);
}

static bool fast(const wf_cuda *cu, const wf_packed_attention_args *a)
{
    bool dim = a->head_dim == 32 || a->head_dim == 64 || a->head_dim == 128;
    return cu->numerics.act != WF_F32 && dim && (uintptr_t)a->qkv.data % 16 == 0 &&
           a->qkv.stride % 8 == 0 && (uintptr_t)a->out.data % 4 == 0 && a->out.stride % 2 == 0 &&
           a->batch->n_seqs <= 65535;
}

wf_status wf_cuda_packed_attention(wf_backend *be, wf_stream *s, const wf_packed_attention_args *in)
{
    wf_cuda *cu = cuda_of(be);
    wf_stream *st = stream_of(be, s);
    const wf_batch *b = in->batch;
    WF_TRY(wf_check_packed_attention(in, cu->numerics.act));
    if (b->n_tokens == 0) return WF_OK;
    packed_args a = {b->cu_seqlens,  b->token_seq,   in->qkv,      in->out,
                     in->n_heads,    in->n_kv_heads, in->head_dim, in->window,
                     in->bias_reach, in->bias,       in->scale};
    if (!fast(cu, in))
        return wf_cuda_launch(cu, st, "packed_attention", packed_general_kernel,
                              dim3((unsigned)b->n_tokens, (unsigned)a.n_heads),
                              dim3(GENERAL_WARPS * 32), 0, a);
    return with_half(cu->numerics.act, [&](auto *t) {
        return packed_dims<std::remove_pointer_t<decltype(t)>>(cu, st, b, a);
    });
}
