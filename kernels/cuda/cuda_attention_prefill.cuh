// Prefill attention: chunks of a prompt over all of its KV so far, causal, packed without padding.
//
// The way of sm_80, which takes every shape:
//
//   grid (query tile, query head, sequence after the decode rows); 4 warps of MT x 16 query rows
//   loop over KV tiles of N tokens: two stages of cp.async, S = Q K^T, online softmax, O += P V
//
// q [T, ...] act (any alignment), K, V pages act; out act. Accumulation f32, P rounded to act.
// FLOPs: 4 * head_dim per (query, key) pair that the mask keeps.
// Source: Dao, "FlashAttention-2" (arXiv 2307.08691).
#ifndef WF_KERNELS_CUDA_ATTENTION_PREFILL_CUH
#define WF_KERNELS_CUDA_ATTENTION_PREFILL_CUH

#include "kernels/cuda/cuda_attention_bend.cuh"

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

// One KV tile: scores, mask, softmax, output of this warp's rows. `first`: position of the tile's
// first token, `pos`: of the warp's row g; `masked`: some pair of the tile is not to be seen.
template <typename T, int D>
__device__ __forceinline__ void attend_kv(uint32_t q_tile, uint32_t stage, int warp_row, int first,
                                          int pos, bool masked, const prefill_args &a, float slope,
                                          float max[][2], float sum[][2], float o[][D / 8][4])
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

template <typename T, int D>
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
    fetch_kv<T, D>(a, pages, kv_head, first * S::n, end,
                   ring + (uint32_t)(first % 2 * S::stage_bytes));
    copy_commit();
    for (int i = first; i < n_tiles; i++) {
        copy_wait<0>();
        __syncthreads(); // the tile is there, and nobody reads the other stage any more
        if (i + 1 < n_tiles) {
            fetch_kv<T, D>(a, pages, kv_head, (i + 1) * S::n, end,
                           ring + (uint32_t)((i + 1) % 2 * S::stage_bytes));
            copy_commit();
        }
        if (i * S::n >= query + warp_row + S::mt * 16) continue; // beyond what this warp's rows see
        if ((i + 1) * S::n <= first_seen(a.bend, query + warp_row)) continue; // before it
        attend_kv<T, D>(q_tile, ring + (uint32_t)(i % 2 * S::stage_bytes), warp_row, i * S::n,
                        query + warp_row + lane / 4, (i + 1) * S::n > query + warp_row, a, slope,
                        max, sum, o);
    }
#pragma unroll
    for (int m = 0; m < S::mt; m++)
#pragma unroll
        for (int h = 0; h < 2; h++) {
            int row = warp_row + m * 16 + lane / 4 + h * 8;
            float all = quad_sum(sum[m][h]);
            if constexpr (BENT) all += sink_weight(a.bend, head, max[m][h]);
            float scale = 1.0f / all;
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

template <typename T, int D>
static wf_status launch_prefill(wf_cuda *cu, wf_stream *s, const wf_attention_args *in,
                                const prefill_args &a)
{
    typedef prefill_shape<D> S;
    auto kernel = prefill_kernel<T, D>;
    WF_TRY(wf_cuda_allow_shared(cu, kernel, S::shared_bytes, "prefill attention"));
    dim3 grid((unsigned)div_up64(a.b.max_new, S::m), (unsigned)in->n_heads,
              (unsigned)(a.b.n_seqs - a.b.n_decode));
    return wf_cuda_launch(cu, s, "prefill attention", kernel, grid, dim3(PREFILL_THREADS),
                          S::shared_bytes, a);
}

template <typename T>
static wf_status prefill_dims(wf_cuda *cu, wf_stream *s, const wf_attention_args *in,
                              const prefill_args &a)
{
    if (a.kv.head_dim == 64) return launch_prefill<T, 64>(cu, s, in, a);
    if (a.kv.head_dim == 128) return launch_prefill<T, 128>(cu, s, in, a);
    return launch_prefill<T, 256>(cu, s, in, a);
}

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
        return prefill_dims<std::remove_pointer_t<decltype(t)>>(cu, s, in, a);
    });
}

#endif
