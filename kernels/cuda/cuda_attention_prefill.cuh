// Prefill attention: chunks of a prompt over all of its KV so far, causal, packed without padding.
//
// The way of sm_80, which takes every shape:
//
//   grid (query tile, query head, sequence after the decode rows); 4 warps of MT x 16 query rows
//   loop over KV tiles of N tokens: two stages of cp.async, S = Q K^T, online softmax, O += P V
//
// q [T, ...] act (any alignment), K, V pages act; out act. Accumulation f32, P rounded to act.
// SCALED: K, V pages of 8 bits (tensor.h). A tile comes as it is, the block makes numbers of act of
// it once for its four warps, and scores and weights are multiplied by the scales.
// FLOPs: 4 * head_dim per (query, key) pair that the mask keeps.
// Source: Dao, "FlashAttention-2" (arXiv 2307.08691).
#ifndef WF_KERNELS_CUDA_ATTENTION_PREFILL_CUH
#define WF_KERNELS_CUDA_ATTENTION_PREFILL_CUH

#include "kernels/cuda/cuda_attention_bend.cuh"
#include "kernels/cuda/cuda_kv8.cuh"

#define PREFILL_WARPS   4
#define PREFILL_THREADS (PREFILL_WARPS * 32)

struct prefill_args {
    wf_batch b;
    wf_matrix qkv, out;
    wf_kv kv;
    int32_t group;
    float scale_log2;
    bool q_wide, out_wide; // rows allow accesses of 16 and 4 bytes
    bend_args bend;
};

template <int D> struct prefill_shape {
    static const int mt = D == 256 ? 1 : 2,
                     n = D == 64 ? 64 : 32; // row tiles of a warp, tokens of a KV tile
    static const int m = PREFILL_WARPS * mt * 16, chunks = D / 8;
    static const int kv_bytes = n * D * 2, stage_bytes = 2 * kv_bytes, q_bytes = m * D * 2;
    static const int shared_bytes = q_bytes + 2 * stage_bytes;
    // Scaled: one tile of numbers, and two stages of K, V and their scales as pages have them.
    static const int raw_scales = 2 * n * D, raw_bytes = raw_scales + 2 * n * 4;
    static const int scaled_bytes = q_bytes + stage_bytes + 2 * raw_bytes;
};

template <typename T, int D>
__device__ __forceinline__ void fetch_queries(const prefill_args &a, int64_t t, int head,
                                              int n_real, char *shared)
{
    typedef prefill_shape<D> S;
    for (int i = (int)threadIdx.x; i < S::m * S::chunks; i += PREFILL_THREADS) {
        int r = i / S::chunks, c = i % S::chunks;
        const T *src = (const T *)a.qkv.data + (t + (r < n_real ? r : 0)) * a.qkv.stride +
                       (int64_t)head * D + c * 8;
        uint32_t at = swizzled<S::chunks>(r, c);
        if (a.q_wide) {
            copy16(shared_address(shared) + at, src, r < n_real);
            continue;
        }
        for (int j = 0; j < 8; j++)
            ((T *)(shared + at))[j] = r < n_real ? src[j] : of_f32<T>(0.0f);
    }
}

// Queues the copy of a KV tile; tokens from `end` on become zeros. Where a page holds whole tiles,
// one look at the page table serves the tile.
template <typename T, int D>
__device__ __forceinline__ void fetch_kv(const prefill_args &a, const int32_t *pages, int kv_head,
                                         int token, int end, uint32_t stage)
{
    typedef prefill_shape<D> S;
    const wf_kv &kv = a.kv;
    const bool whole = kv.page_tokens % S::n == 0;
    int page_tokens = kv.page_tokens, first = token / page_tokens, in_page = token % page_tokens;
    const T *head = (const T *)kv.base + kv_head * kv.head_stride;
    const T *tile = head + pages[first] * kv.page_stride + (int64_t)in_page * D;
#pragma unroll
    for (int i = 0; i < S::n * S::chunks / PREFILL_THREADS; i++) {
        int at = i * PREFILL_THREADS + (int)threadIdx.x, r = at / S::chunks, c = at % S::chunks;
        bool real = token + r < end;
        const T *k = tile + (real ? r * D + c * 8 : 0);
        if (!whole && real)
            k = head + pages[(token + r) / page_tokens] * kv.page_stride +
                (int64_t)((token + r) % page_tokens) * D + c * 8;
        uint32_t to = stage + swizzled<S::chunks>(r, c);
        copy16(to, k, real);
        copy16(to + S::kv_bytes, k + kv.kv_stride, real);
    }
}

// The same of scaled KV, as it is. Scales beyond `end` may be anything.
template <int D>
__device__ __forceinline__ void fetch_raw(const prefill_args &a, const int32_t *pages, int kv_head,
                                          int token, int end, uint32_t stage)
{
    typedef prefill_shape<D> S;
    const wf_kv &kv = a.kv;
    const int chunks = D / 16;
    auto tile_of = [&](int at) {
        return pages[at / kv.page_tokens] * kv.page_stride + kv_head * kv.head_stride;
    };
#pragma unroll
    for (int i = 0; i < S::n * chunks / PREFILL_THREADS; i++) {
        int at = i * PREFILL_THREADS + (int)threadIdx.x, r = at / chunks;
        bool real = token + r < end;
        int pos = real ? token + r : token;
        const char *k = (const char *)kv.base + tile_of(pos) + (int64_t)(pos % kv.page_tokens) * D +
                        at % chunks * 16;
        copy16(stage + (uint32_t)at * 16, k, real);
        copy16(stage + (uint32_t)(S::n * D + at * 16), k + kv.kv_stride, real);
    }
    if (threadIdx.x < S::n / 2) { // 4 scales each, of K and then of V
        int i = (int)threadIdx.x % (S::n / 4) * 4, is_v = (int)threadIdx.x / (S::n / 4);
        bool real = token + i < end;
        int pos = real ? token + i : token;
        copy16(stage + (uint32_t)(S::raw_scales + threadIdx.x * 16),
               kv_scales(kv, tile_of(pos) + is_v * kv.kv_stride) + pos % kv.page_tokens, real);
    }
}

// 16 numbers of a stage become two chunks of a tile.
template <typename T, int D, wf_dtype F>
__device__ __forceinline__ void convert_chunk(const char *raw, char *tile, int r, int c)
{
    typedef prefill_shape<D> S;
    uint4 in = *(const uint4 *)raw, out[2];
    const uint32_t four[4] = {in.x, in.y, in.z, in.w};
    uint32_t pair[8];
#pragma unroll
    for (int j = 0; j < 4; j++) {
        uint32_t lo, hi;
        w8_four<T, F>(four[j], lo, hi);
        pair[2 * j] = __byte_perm(lo, hi, 0x5410);
        pair[2 * j + 1] = __byte_perm(lo, hi, 0x7632);
    }
    out[0] = make_uint4(pair[0], pair[1], pair[2], pair[3]);
    out[1] = make_uint4(pair[4], pair[5], pair[6], pair[7]);
    *(uint4 *)(tile + swizzled<S::chunks>(r, 2 * c)) = out[0];
    *(uint4 *)(tile + swizzled<S::chunks>(r, 2 * c + 1)) = out[1];
}

// The block's tile of K and V from a stage; scales of tokens from n_real on become 0.
template <typename T, int D>
__device__ __forceinline__ void convert_raw(const prefill_args &a, char *raw, char *tile,
                                            int n_real)
{
    typedef prefill_shape<D> S;
    const int chunks = D / 16;
#pragma unroll
    for (int i = 0; i < 2 * S::n * chunks / PREFILL_THREADS; i++) {
        int at = i * PREFILL_THREADS + (int)threadIdx.x, is_v = at / (S::n * chunks);
        int r = at / chunks % S::n, c = at % chunks;
        char *to = tile + is_v * S::kv_bytes;
        if (a.kv.dtype == WF_INT8)
            convert_chunk<T, D, WF_INT8>(raw + at * 16, to, r, c);
        else
            convert_chunk<T, D, WF_FP8>(raw + at * 16, to, r, c);
    }
    if (threadIdx.x < 2 * S::n && (int)threadIdx.x % S::n >= n_real)
        ((float *)(raw + S::raw_scales))[threadIdx.x] = 0.0f;
}

// One KV tile: scores, mask, softmax, output of this warp's rows. `first`: position of the tile's
// first token, `pos`: of the warp's row g; `masked`: some pair of the tile is not to be seen.
// SCALED: `scales` of the tile's tokens, of K and then of V.
template <typename T, int D, bool SCALED>
__device__ __forceinline__ void attend_kv(uint32_t q_tile, uint32_t stage, const float *scales,
                                          int warp_row, int first, int pos, bool masked,
                                          const prefill_args &a, float slope, float max[][2],
                                          float sum[][2], float o[][D / 8][4])
{
    typedef prefill_shape<D> S;
    int lane = threadIdx.x % 32, t2 = lane % 4 * 2;
    const float scale_log2 = BENT ? 1.0f : a.scale_log2; // bent scores are scaled before
    float s[S::mt][S::n / 8][4];
#pragma unroll
    for (int m = 0; m < S::mt; m++)
#pragma unroll
        for (int n = 0; n < S::n / 8; n++)
            s[m][n][0] = s[m][n][1] = s[m][n][2] = s[m][n][3] = 0.0f;
#pragma unroll
    for (int k = 0; k < D / 16; k++) {
        uint32_t q[S::mt][4], r[4];
#pragma unroll
        for (int m = 0; m < S::mt; m++)
            load_matrix4(q_tile +
                             swizzled<S::chunks>(warp_row + m * 16 + lane % 16, k * 2 + lane / 16),
                         q[m]);
#pragma unroll
        for (int n = 0; n < S::n / 16; n++) {
            int token = n * 16 + (lane / 16) * 8 + lane % 8, chunk = k * 2 + (lane / 8) % 2;
            load_matrix4(stage + swizzled<S::chunks>(token, chunk), r);
#pragma unroll
            for (int m = 0; m < S::mt; m++) {
                mma<T>(s[m][2 * n], q[m], r[0], r[1]);
                mma<T>(s[m][2 * n + 1], q[m], r[2], r[3]);
            }
        }
    }
    uint32_t p[S::mt][S::n / 16][4];
#pragma unroll
    for (int m = 0; m < S::mt; m++) {
        float top[2] = {max[m][0], max[m][1]};
        if constexpr (SCALED) {
#pragma unroll
            for (int n = 0; n < S::n / 8; n++) {
                float2 by = *(const float2 *)(scales + n * 8 + t2);
#pragma unroll
                for (int i = 0; i < 4; i++)
                    s[m][n][i] *= i & 1 ? by.y : by.x;
            }
        }
        if constexpr (BENT) {
#pragma unroll
            for (int n = 0; n < S::n / 8; n++)
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    int key = first + n * 8 + t2 + (i & 1), query = pos + m * 16 + (i >> 1) * 8;
                    bool seen = key <= query && key >= first_seen(a.bend, query);
                    float score = bend(a.bend, s[m][n][i] * a.scale_log2, slope, query - key);
                    s[m][n][i] = seen ? score : -INFINITY;
                }
        } else if (masked) {
#pragma unroll
            for (int n = 0; n < S::n / 8; n++)
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    int key = first + n * 8 + t2 + (i & 1), query = pos + m * 16 + (i >> 1) * 8;
                    if (key > query) s[m][n][i] = -INFINITY;
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
                keep[h] = exp2_fast((max[m][h] - top[h]) * scale_log2);
                max[m][h] = top[h];
                sum[m][h] *= keep[h];
            }
#pragma unroll
            for (int n = 0; n < D / 8; n++)
#pragma unroll
                for (int i = 0; i < 4; i++)
                    o[m][n][i] *= keep[i >> 1];
        }
        const float shift[2] = {max[m][0] * scale_log2, max[m][1] * scale_log2};
#pragma unroll
        for (int n = 0; n < S::n / 8; n++) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                s[m][n][i] = exp2_fast(fmaf(s[m][n][i], scale_log2, -shift[i >> 1]));
                sum[m][i >> 1] += s[m][n][i];
            }
            if constexpr (SCALED) {
                float2 by = *(const float2 *)(scales + S::n + n * 8 + t2);
#pragma unroll
                for (int i = 0; i < 4; i++)
                    s[m][n][i] *= (i & 1 ? by.y : by.x) * kv8_up<T>::value;
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
            for (int m = 0; m < S::mt; m++) {
                mma<T>(o[m][2 * n], p[m][k], r[0], r[1]);
                mma<T>(o[m][2 * n + 1], p[m][k], r[2], r[3]);
            }
        }
}

template <typename T, int D, bool SCALED>
static __global__ void __launch_bounds__(PREFILL_THREADS)
    prefill_kernel(const __grid_constant__ prefill_args a)
{
    typedef prefill_shape<D> S;
    extern __shared__ __align__(128) char shared[];
    wait_for_previous();
    let_next_start();
    int seq = a.b.n_decode + (int)blockIdx.z, head = (int)blockIdx.y, kv_head = head / a.group;
    int64_t t0 = a.b.cu_seqlens[seq];
    int n_new = (int)(a.b.cu_seqlens[seq + 1] - t0), past = a.b.seq_past[seq];
    int tile = (int)(gridDim.x - 1 - blockIdx.x); // the longest work first
    if (tile * S::m >= n_new) return;
    int n_rows = min(S::m, n_new - tile * S::m), query = past + tile * S::m;
    int end = query + n_rows; // keys that the tile's last row sees
    const int32_t *pages = a.b.page_table + (int64_t)a.b.seq_row[seq] * a.b.page_stride;
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32, warp_row = warp * S::mt * 16;
    uint32_t q_tile = shared_address(shared), ring = q_tile + S::q_bytes;
    float max[S::mt][2], sum[S::mt][2], o[S::mt][D / 8][4];
#pragma unroll
    for (int m = 0; m < S::mt; m++) {
        max[m][0] = max[m][1] = -1e30f;
        sum[m][0] = sum[m][1] = 0.0f;
#pragma unroll
        for (int n = 0; n < D / 8; n++)
            o[m][n][0] = o[m][n][1] = o[m][n][2] = o[m][n][3] = 0.0f;
    }
    fetch_queries<T, D>(a, t0 + tile * S::m, head, n_rows, shared);
    int n_tiles = (end + S::n - 1) / S::n, first = first_seen(a.bend, query) / S::n;
    float slope = BENT ? slope_of(a.bend, head) : 0.0f;
    const int stage_bytes = SCALED ? S::raw_bytes : S::stage_bytes;
    char *numbers = shared + S::q_bytes, *raw = numbers + S::stage_bytes; // scaled
    if (SCALED) ring += S::stage_bytes;
    auto fetch = [&](int i) {
        uint32_t stage = ring + (uint32_t)(i % 2 * stage_bytes);
        if constexpr (SCALED)
            fetch_raw<D>(a, pages, kv_head, i * S::n, end, stage);
        else
            fetch_kv<T, D>(a, pages, kv_head, i * S::n, end, stage);
        copy_commit();
    };
    fetch(first);
    for (int i = first; i < n_tiles; i++) {
        copy_wait<0>();
        __syncthreads(); // the tile is there, and nobody reads the other stage any more
        if (i + 1 < n_tiles) fetch(i + 1);
        uint32_t stage = ring + (uint32_t)(i % 2 * stage_bytes);
        const float *scales = nullptr;
        if constexpr (SCALED) {
            char *from = raw + i % 2 * stage_bytes;
            convert_raw<T, D>(a, from, numbers, end - i * S::n);
            stage = shared_address(numbers);
            scales = (const float *)(from + S::raw_scales);
            __syncthreads();
        }
        if (i * S::n >= query + warp_row + S::mt * 16) continue; // beyond what this warp's rows see
        if ((i + 1) * S::n <= first_seen(a.bend, query + warp_row)) continue; // before it
        attend_kv<T, D, SCALED>(q_tile, stage, scales, warp_row, i * S::n,
                                query + warp_row + lane / 4, (i + 1) * S::n > query + warp_row, a,
                                slope, max, sum, o);
    }
#pragma unroll
    for (int m = 0; m < S::mt; m++)
#pragma unroll
        for (int h = 0; h < 2; h++) {
            int row = warp_row + m * 16 + lane / 4 + h * 8;
            float all = quad_sum(sum[m][h]);
            if constexpr (BENT) all += sink_weight(a.bend, head, max[m][h]);
            float scale = 1.0f / all;
            if constexpr (SCALED) scale /= kv8_up<T>::value;
            if (row >= n_rows) continue;
            T *out = (T *)a.out.data + (t0 + tile * S::m + row) * a.out.stride + (int64_t)head * D +
                     lane % 4 * 2;
#pragma unroll
            for (int n = 0; n < D / 8; n++) {
                float lo = o[m][n][2 * h] * scale, hi = o[m][n][2 * h + 1] * scale;
                if (a.out_wide) {
                    *(uint32_t *)(out + n * 8) = pack2((T *)nullptr, lo, hi);
                } else {
                    out[n * 8] = of_f32<T>(lo);
                    out[n * 8 + 1] = of_f32<T>(hi);
                }
            }
        }
}

template <typename T, int D, bool SCALED>
static wf_status launch_prefill(wf_cuda *cu, wf_stream *s, const wf_attention_args *in,
                                const prefill_args &a)
{
    typedef prefill_shape<D> S;
    auto kernel = prefill_kernel<T, D, SCALED>;
    const int shared_bytes = SCALED ? S::scaled_bytes : S::shared_bytes;
    WF_TRY(wf_cuda_allow_shared(cu, kernel, shared_bytes, "prefill attention"));
    dim3 grid((unsigned)div_up64(a.b.max_new, S::m), (unsigned)in->n_heads,
              (unsigned)(a.b.n_seqs - a.b.n_decode));
    return wf_cuda_launch(cu, s, "prefill attention", kernel, grid, dim3(PREFILL_THREADS),
                          (size_t)shared_bytes, a);
}

template <typename T, bool SCALED>
static wf_status prefill_dims(wf_cuda *cu, wf_stream *s, const wf_attention_args *in,
                              const prefill_args &a)
{
    if (a.kv.head_dim == 64) return launch_prefill<T, 64, SCALED>(cu, s, in, a);
    if (a.kv.head_dim == 128) return launch_prefill<T, 128, SCALED>(cu, s, in, a);
    return launch_prefill<T, 256, SCALED>(cu, s, in, a);
}

template <bool SCALED>
static wf_status prefill_attention(wf_cuda *cu, wf_stream *s, const wf_attention_args *in)
{
    prefill_args a = {};
    a.b = *in->batch;
    a.qkv = in->qkv;
    a.out = in->out;
    a.kv = in->kv;
    a.group = in->n_heads / in->kv.n_kv_heads;
    a.scale_log2 = in->scale * LOG2E;
    a.bend = bend_of(in);
    a.q_wide = (uintptr_t)in->qkv.data % 16 == 0 && in->qkv.stride % 8 == 0;
    a.out_wide = (uintptr_t)in->out.data % 4 == 0 && in->out.stride % 2 == 0;
    return with_half(cu->numerics.act, [&](auto *t) {
        return prefill_dims<std::remove_pointer_t<decltype(t)>, SCALED>(cu, s, in, a);
    });
}

#endif
