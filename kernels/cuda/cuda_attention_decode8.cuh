// Decode attention over K and V of 8 bits (cuda_attention_decode.cuh, tensor.h): half the bytes go
// through the ring, and a warp makes numbers of act of them where it needs them.
//
// A stage is K and V of 16 tokens and then their scales. The products add up over any order of
// dims, so those of q are turned round as the bytes lie:
//
//   K  a lane of quad place t takes bytes 16 t + (0..15) of each 64 dims in one load: 4 steps of k
//   V  a transposed load gives it dims 2 g and 2 g + 1 of tokens 2 t and 2 t + 1: the even dims of
//      16 are one column tile of the output, the odd ones another
//
// Scores are multiplied by K's scales, weights by V's before they are rounded to act. Conversions
// are the work: about 8 instructions for 4 numbers.
#ifndef WF_KERNELS_CUDA_ATTENTION_DECODE8_CUH
#define WF_KERNELS_CUDA_ATTENTION_DECODE8_CUH

#include "kernels/cuda/cuda_attention_decode.cuh"
#include "kernels/cuda/cuda_kv8.cuh"

template <int D> struct decode8_shape {
    static const int dim = D, chunks = D / 16, stages = D == 64 ? 10 : D == 128 ? 6 : 3;
    static const int tile_bytes = TILE * D, scales_at = 2 * tile_bytes;
    static const int stage_bytes = scales_at + 2 * TILE * 4;
    static const int ring_bytes = stages * stage_bytes;
    static const int most_warps = D == 256 ? 4 : MAX_WARPS;
    static_assert(ring_bytes >= 16 * (D + 4) * 4, "a warp's output fits its ring");
};

// Byte offset of chunk c of row r where quads of two neighbouring rows read 4 chunks each, and
// where 8 rows of one chunk are read: in different banks.
template <int CHUNKS> __device__ __forceinline__ uint32_t k_place(int r, int c)
{
    return (uint32_t)(r * CHUNKS + (CHUNKS == 4 ? c : c ^ (r % 2 * 4))) * 16u;
}
template <int CHUNKS> __device__ __forceinline__ uint32_t v_place(int r, int c)
{
    return (uint32_t)(r * CHUNKS + (c ^ (CHUNKS == 4 ? r / 2 % 4 : r % 8))) * 16u;
}

__device__ __forceinline__ uint4 shared_load16(uint32_t at)
{
    uint4 x;
    asm volatile("ld.shared.v4.u32 {%0,%1,%2,%3}, [%4];"
                 : "=r"(x.x), "=r"(x.y), "=r"(x.z), "=r"(x.w)
                 : "r"(at));
    return x;
}
__device__ __forceinline__ float2 shared_load_pair(uint32_t at)
{
    float2 x;
    asm volatile("ld.shared.v2.f32 {%0,%1}, [%2];" : "=f"(x.x), "=f"(x.y) : "r"(at));
    return x;
}

// Queues the copy of one tile's K, V and scales; tokens from `end` on become zeros, their scales
// are what the page holds.
template <int D>
__device__ __forceinline__ void fetch_tile8(const decode_args &a, const int32_t *pages, int kv_head,
                                            int token, int end, uint32_t stage)
{
    typedef decode8_shape<D> S;
    int lane = threadIdx.x % 32, in_page = token % a.kv.page_tokens;
    const wf_kv &kv = a.kv;
    int64_t tile = pages[token / kv.page_tokens] * kv.page_stride + kv_head * kv.head_stride;
    const char *k = (const char *)kv.base + tile + (int64_t)in_page * D, *v = k + kv.kv_stride;
#pragma unroll
    for (int i = 0; i < TILE * S::chunks / 32; i++) {
        int n = i * 32 + lane, r = n / S::chunks, c = n % S::chunks;
        bool real = token + r < end;
        copy16(stage + k_place<S::chunks>(r, c), k + (real ? n * 16 : 0), real);
        copy16(stage + S::tile_bytes + v_place<S::chunks>(r, c), v + (real ? n * 16 : 0), real);
    }
    if (lane < 8)
        copy16(stage + S::scales_at + lane * 16,
               kv_scales(kv, tile + (lane < 4 ? 0 : kv.kv_stride)) + in_page + lane % 4 * 4, true);
}

// Query rows as A fragments: step 4 h + j of k has dims 64 h + 16 t + 4 j + (0, 2) and (1, 3).
template <typename T, int D>
__device__ __forceinline__ void load_queries8(const decode_args &a, int64_t t, int head, int n_rows,
                                              uint32_t q[D / 16][4])
{
    int lane = threadIdx.x % 32, g = lane / 4;
    const T *base = (const T *)a.qkv.data + t * a.qkv.stride + (int64_t)head * D;
#pragma unroll
    for (int h = 0; h < 2; h++)
#pragma unroll
        for (int k = 0; k < D / 16; k++) {
            const T *src = base + (g + h * 8) * D + k / 4 * 64 + lane % 4 * 16 + k % 4 * 4;
            uint32_t pair[2] = {0, 0};
            if (g + h * 8 < n_rows)
#pragma unroll
                for (int i = 0; i < 2; i++)
                    pair[i] = a.q_wide
                                  ? *(const uint32_t *)(src + 2 * i)
                                  : pack2((T *)nullptr, to_f32(src[2 * i]), to_f32(src[2 * i + 1]));
            q[k][h] = __byte_perm(pair[0], pair[1], 0x5410);
            q[k][2 + h] = __byte_perm(pair[0], pair[1], 0x7632);
        }
}

// Scores of a lane's rows g and g + 8 with tokens 2 t, 2 t + 1 of each 8.
template <typename T, int D, wf_dtype F>
__device__ __forceinline__ void score8(const uint32_t q[D / 16][4], uint32_t stage, float s[2][4])
{
    typedef decode8_shape<D> S;
    int lane = threadIdx.x % 32;
    float odd[2][4] = {};
#pragma unroll
    for (int h = 0; h < D / 64; h++)
#pragma unroll
        for (int n = 0; n < 2; n++) {
            uint4 k = shared_load16(stage + k_place<S::chunks>(n * 8 + lane / 4, h * 4 + lane % 4));
            const uint32_t four[4] = {k.x, k.y, k.z, k.w};
#pragma unroll
            for (int j = 0; j < 4; j++) {
                uint32_t lo, hi;
                w8_four<T, F>(four[j], lo, hi);
                mma<T>(j % 2 == 0 ? s[n] : odd[n], q[4 * h + j], lo, hi);
            }
        }
#pragma unroll
    for (int i = 0; i < 8; i++)
        s[i / 4][i % 4] += odd[i / 4][i % 4];
}

// A tile's scores become weights; the lane's maxima, sums and outputs move on.
template <int D>
__device__ __forceinline__ void soften8(float s[2][4], const float2 k_scale[2], int n_real,
                                        const decode_args &a, const lane_bend &l, warp_state<D> &w)
{
    int t2 = threadIdx.x % 4 * 2;
    float top[2] = {w.max[0], w.max[1]};
#pragma unroll
    for (int n = 0; n < 2; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            int token = n * 8 + t2 + (i & 1);
            bool real = token < n_real;
            float score = s[n][i] * (i & 1 ? k_scale[n].y : k_scale[n].x);
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
}

// A lane's two scales of tokens `token` and the next, 0 from n_real on: there a page may hold
// anything.
__device__ __forceinline__ float2 v_scales8(uint32_t scales, int token, int n_real, float up)
{
    float2 x = shared_load_pair(scales + (uint32_t)token * 4u);
    return make_float2(token < n_real ? x.x * up : 0.0f, token + 1 < n_real ? x.y * up : 0.0f);
}

template <typename T, int D, wf_dtype F>
__device__ __forceinline__ void attend_tile8(const uint32_t q[D / 16][4], uint32_t stage,
                                             int n_real, const decode_args &a, const lane_bend &l,
                                             warp_state<D> &w)
{
    typedef decode8_shape<D> S;
    int lane = threadIdx.x % 32, t2 = lane % 4 * 2;
    uint32_t scales = stage + S::scales_at, r[4], p[4];
    float s[2][4] = {};
    float2 k_scale[2], v_scale[2];
#pragma unroll
    for (int n = 0; n < 2; n++) {
        float2 x = shared_load_pair(scales + (uint32_t)(n * 8 + t2) * 4u);
        k_scale[n] = make_float2(x.x * a.scale_log2, x.y * a.scale_log2);
        v_scale[n] = v_scales8(scales + TILE * 4, n * 8 + t2, n_real, kv8_up<T>::value);
    }
    score8<T, D, F>(q, stage, s);
    soften8<D>(s, k_scale, n_real, a, l, w);
#pragma unroll
    for (int n = 0; n < 2; n++) {
        p[2 * n] = pack2((T *)nullptr, s[n][0] * v_scale[n].x, s[n][1] * v_scale[n].y);
        p[2 * n + 1] = pack2((T *)nullptr, s[n][2] * v_scale[n].x, s[n][3] * v_scale[n].y);
    }
#pragma unroll
    for (int c = 0; c < S::chunks; c += 2) { // matrices: tokens 0-7 | 8-15 of 16 dims, and the next
        int token = (lane / 8) % 2 * 8 + lane % 8;
        load_matrix4_transposed(stage + S::tile_bytes + v_place<S::chunks>(token, c + lane / 16),
                                r);
#pragma unroll
        for (int i = 0; i < 2; i++) {
            uint32_t lo[2], hi[2];
            w8_four<T, F>(r[2 * i], lo[0], hi[0]);
            w8_four<T, F>(r[2 * i + 1], lo[1], hi[1]);
            mma<T>(w.o[2 * (c + i)], p, lo[0], lo[1]);
            mma<T>(w.o[2 * (c + i) + 1], p, hi[0], hi[1]);
        }
    }
}

template <typename T, int D, wf_dtype F> struct scaled_kv : decode8_shape<D> {
    typedef T number;

    static __device__ __forceinline__ void fetch(const decode_args &a, const int32_t *pages,
                                                 int kv_head, int token, int end, uint32_t stage)
    {
        fetch_tile8<D>(a, pages, kv_head, token, end, stage);
    }
    static __device__ __forceinline__ void queries(const decode_args &a, int64_t t, int head,
                                                   int n_rows, uint32_t q[D / 16][4])
    {
        load_queries8<T, D>(a, t, head, n_rows, q);
    }
    static __device__ __forceinline__ void attend(const uint32_t q[D / 16][4], uint32_t stage,
                                                  int n_real, const decode_args &a,
                                                  const lane_bend &l, warp_state<D> &w)
    {
        attend_tile8<T, D, F>(q, stage, n_real, a, l, w);
    }
    static __device__ __forceinline__ void store_row(const warp_state<D> &w, int h, float *row)
    {
        const float down = 1.0f / kv8_up<T>::value;
#pragma unroll
        for (int c = 0; c < D / 16; c++) {
            const float *even = w.o[2 * c] + 2 * h, *odd = w.o[2 * c + 1] + 2 * h;
            *(float4 *)(row + c * 16 + threadIdx.x % 4 * 4) =
                make_float4(even[0] * down, odd[0] * down, even[1] * down, odd[1] * down);
        }
    }
};

template <typename T, int D> using fp8_kv = scaled_kv<T, D, WF_FP8>;
template <typename T, int D> using int8_kv = scaled_kv<T, D, WF_INT8>;

static wf_status decode_attention8(wf_cuda *cu, wf_stream *s, const wf_attention_args *in)
{
    return in->kv.dtype == WF_INT8 ? decode_attention<int8_kv>(cu, s, in)
                                   : decode_attention<fp8_kv>(cu, s, in);
}

#endif
