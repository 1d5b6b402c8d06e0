// rope_kv_append: rotates q and k of every token by its position, appends k and v to the pages;
// with q_norm, each of their heads is normed first: x / sqrt(mean(x^2) + eps) * weight, or
// (x - mean(x)) in the place of x, or the mean over all heads. head_squares: sums of x^2 of heads.
//
// qkv: [T, (n_heads + 2 n_kv_heads) * head_dim] act; cos, sin: [max_context][rotary_dim / 2] f32.
// Grid (token, part of the row). A thread does VEC pairs (16-byte accesses) where the half is a
// multiple of VEC and pairs lie half a rotation apart (Llama), else one pair. K is stored rounded
// once from f32, also where the cache's dtype is not act. With norms: grid (token, 8 heads), a warp
// takes a head, sums its squares in f32 and norms, rotates and rounds each number once. Bytes: the
// row read and written, k and v written once more. Tolerance: rounding of act.
//
// Scaled KV is kept by the second kernel, with norms or without: a warp has the whole head of which
// it needs the greatest number.
#include "kernels/cuda/cuda_kv8.cuh"

extern "C" {
#include "kernels/ops/op_attention.h"
}

// One item: VEC pairs of a rotated head, VEC untouched elements of one, or VEC of a V head.
struct rope_shape {
    int32_t n_heads, n_kv_heads, head_dim, rotary_dim;
    int32_t pairs, rest; // items of a head: rotated, untouched
    bool interleaved;
};

// Where the cache keeps K of a token, if there is a cache.
__device__ __forceinline__ int64_t place_in_kv(const wf_batch &b, const wf_kv &kv, int t, int pos,
                                               int kv_head)
{
    if (!kv.base) return 0;
    int row = b.seq_row[b.token_seq[t]];
    int64_t page = b.page_table[(int64_t)row * b.page_stride + pos / kv.page_tokens];
    return page * kv.page_stride + kv_head * kv.head_stride +
           (int64_t)(pos % kv.page_tokens) * kv.head_dim;
}

template <typename T, int VEC>
__device__ __forceinline__ void store_kv(const wf_kv &kv, int64_t at, const float *v)
{
    if (!kv.base) return;
    if (kv.dtype == dtype_of<T>::value) {
        vec<T, VEC> out;
#pragma unroll
        for (int j = 0; j < VEC; j++)
            out.v[j] = of_f32<T>(v[j]);
        *(vec<T, VEC> *)((T *)kv.base + at) = out;
        return;
    }
#pragma unroll
    for (int j = 0; j < VEC; j++)
        store_any(kv.base, kv.dtype, at + j, v[j]);
}

template <typename T, int VEC>
static __global__ void rope_kernel(wf_batch b, wf_matrix qkv, rope_shape s, const float *cos_table,
                                   const float *sin_table, wf_kv kv)
{
    typedef vec<T, VEC> piece;
    let_next_start();
    wait_for_previous();
    int t = (int)blockIdx.x, item = (int)(blockIdx.y * blockDim.x + threadIdx.x);
    int per_head = s.pairs + s.rest, n_rotated = (s.n_heads + s.n_kv_heads) * per_head;
    int per_v = s.head_dim / VEC;
    if (item >= n_rotated + s.n_kv_heads * per_v) return;
    bool is_v = item >= n_rotated;
    int head = is_v ? (item - n_rotated) / per_v : item / per_head;
    int sub = is_v ? (item - n_rotated) % per_v : item % per_head;
    int pos = b.token_pos[t];
    int kv_head = is_v ? head : head - s.n_heads;
    int64_t at = place_in_kv(b, kv, t, pos, kv_head);
    T *x = (T *)qkv.data + t * qkv.stride +
           (int64_t)(is_v ? s.n_heads + s.n_kv_heads + head : head) * s.head_dim;
    if (is_v || sub >= s.pairs) { // not rotated
        int d = is_v ? sub * VEC : s.rotary_dim + (sub - s.pairs) * VEC;
        if (kv_head < 0) return;
        piece in = *(piece *)(x + d);
        float v[VEC];
#pragma unroll
        for (int j = 0; j < VEC; j++)
            v[j] = to_f32(in.v[j]);
        store_kv<T, VEC>(kv, at + d + (is_v ? kv.kv_stride : 0), v);
        return;
    }
    int half = s.rotary_dim / 2, i = sub * VEC;
    int first = s.interleaved ? 2 * i : i, second = s.interleaved ? 2 * i + 1 : i + half;
    const float *c = cos_table + (int64_t)pos * half + i, *sn = sin_table + (int64_t)pos * half + i;
    piece a = *(piece *)(x + first), e = *(piece *)(x + second);
    float lo[VEC], hi[VEC];
#pragma unroll
    for (int j = 0; j < VEC; j++) {
        float u = to_f32(a.v[j]), w = to_f32(e.v[j]);
        lo[j] = u * c[j] - w * sn[j];
        hi[j] = w * c[j] + u * sn[j];
        a.v[j] = of_f32<T>(lo[j]);
        e.v[j] = of_f32<T>(hi[j]);
    }
    *(piece *)(x + first) = a;
    *(piece *)(x + second) = e;
    if (kv_head < 0) return;
    store_kv<T, VEC>(kv, at + first, lo);
    store_kv<T, VEC>(kv, at + second, hi);
}

#define NORM_WARPS 8

// How one head is normed: (x - mean) * scale * weight.
struct head_norm {
    const float *weight;
    float mean, scale;
};

// VEC numbers of one head at x + d, normed where there are weights.
template <typename T, int VEC>
__device__ __forceinline__ void load_normed(const T *x, const head_norm &n, int d, float *out)
{
    vec<T, VEC> in = *(const vec<T, VEC> *)(x + d);
#pragma unroll
    for (int j = 0; j < VEC; j++)
        out[j] = n.weight ? (to_f32(in.v[j]) - n.mean) * n.scale * __ldg(n.weight + d + j)
                          : to_f32(in.v[j]);
}

// Numbers d, d + 1, ... of a head of K or V that begins at element `at`; SCALED: into `staged`,
// where all of them wait for the scale.
template <typename T, int VEC, bool SCALED>
__device__ __forceinline__ void keep_part(const wf_kv &kv, int64_t at, float *staged, int d,
                                          const float *v)
{
    if constexpr (SCALED) {
#pragma unroll
        for (int j = 0; j < VEC; j++)
            staged[d + j] = v[j];
    } else {
        store_kv<T, VEC>(kv, at + d, v);
    }
}

template <typename T, int VEC, bool SCALED>
__device__ __forceinline__ void store_head(T *x, int d, const float *v, bool is_k, const wf_kv &kv,
                                           int64_t at, float *staged)
{
    vec<T, VEC> out;
#pragma unroll
    for (int j = 0; j < VEC; j++)
        out.v[j] = of_f32<T>(v[j]);
    *(vec<T, VEC> *)(x + d) = out;
    if (is_k) keep_part<T, VEC, SCALED>(kv, at, staged, d, v);
}

struct rope_norms {
    const float *q, *k;
    float eps;
    int32_t stride; // of weights from head to head
    bool centred;
    const float *squares; // or NULL
    int32_t n_ranks, n_tokens;
};

// The sum of (x - mean)^2 of one head, by one warp.
template <typename T, int VEC>
__device__ __forceinline__ float head_squares_of(const T *x, float mean, int head_dim, int lane)
{
    float sum = 0.0f;
    for (int d = lane * VEC; d < head_dim; d += 32 * VEC) {
        vec<T, VEC> in = *(const vec<T, VEC> *)(x + d);
#pragma unroll
        for (int j = 0; j < VEC; j++) {
            float v = to_f32(in.v[j]) - mean;
            sum += v * v;
        }
    }
    return warp_sum(sum);
}

template <typename T, int VEC>
__device__ __forceinline__ float head_mean(const T *x, int head_dim, int lane)
{
    float sum = 0.0f;
    for (int d = lane * VEC; d < head_dim; d += 32 * VEC) {
        vec<T, VEC> in = *(const vec<T, VEC> *)(x + d);
#pragma unroll
        for (int j = 0; j < VEC; j++)
            sum += to_f32(in.v[j]);
    }
    return warp_sum(sum) / (float)head_dim;
}

// The mean square over all heads of q or of k, of all ranks: the same order whatever their number.
__device__ __forceinline__ float mean_of_all(const rope_shape &s, const rope_norms &norms, int t,
                                             bool is_k)
{
    int n_both = s.n_heads + s.n_kv_heads;
    int first = is_k ? s.n_heads : 0, end = is_k ? n_both : s.n_heads;
    float sum = 0.0f;
    for (int rank = 0; rank < norms.n_ranks; rank++)
        for (int h = first; h < end; h++)
            sum += norms.squares[((int64_t)rank * norms.n_tokens + t) * n_both + h];
    return sum / ((float)norms.n_ranks * (float)(end - first) * (float)s.head_dim);
}

template <typename T, int VEC>
__device__ __forceinline__ head_norm norm_of(const T *x, const rope_shape &s,
                                             const rope_norms &norms, int t, int head, int lane)
{
    bool is_k = head >= s.n_heads;
    head_norm n;
    n.weight = (is_k ? norms.k + (int64_t)(head - s.n_heads) * norms.stride
                     : norms.q + (int64_t)head * norms.stride);
    n.mean = norms.centred ? head_mean<T, VEC>(x, s.head_dim, lane) : 0.0f;
    float square = norms.squares
                       ? mean_of_all(s, norms, t, is_k)
                       : head_squares_of<T, VEC>(x, n.mean, s.head_dim, lane) / (float)s.head_dim;
    n.scale = 1.0f / sqrtf(square + norms.eps);
    return n;
}

template <typename T, int VEC, bool SCALED>
static __global__ void rope_norm_kernel(wf_batch b, wf_matrix qkv, rope_shape s,
                                        const float *cos_table, const float *sin_table, wf_kv kv,
                                        rope_norms norms)
{
    __shared__ float heads[SCALED ? NORM_WARPS : 1][SCALED ? WF_MAX_HEAD_DIM : 1];
    float *staged = heads[SCALED ? threadIdx.x / 32 : 0];
    let_next_start();
    wait_for_previous();
    int t = (int)blockIdx.x, lane = (int)threadIdx.x % 32;
    int head = (int)(blockIdx.y * NORM_WARPS + threadIdx.x / 32);
    if (head >= s.n_heads + 2 * s.n_kv_heads) return;
    bool is_k = head >= s.n_heads, is_v = head >= s.n_heads + s.n_kv_heads;
    int pos = b.token_pos[t];
    int kv_head = is_v ? head - s.n_heads - s.n_kv_heads : is_k ? head - s.n_heads : 0;
    int64_t at = place_in_kv(b, kv, t, pos, kv_head);
    int64_t tile = at - (int64_t)(pos % kv.page_tokens) * kv.head_dim + (is_v ? kv.kv_stride : 0);
    if (is_v) at += kv.kv_stride;
    T *x = (T *)qkv.data + t * qkv.stride + (int64_t)head * s.head_dim;
    float v[VEC], w[VEC];
    for (int d = lane * VEC; is_v && d < s.head_dim; d += 32 * VEC) {
        vec<T, VEC> in = *(vec<T, VEC> *)(x + d);
#pragma unroll
        for (int j = 0; j < VEC; j++)
            v[j] = to_f32(in.v[j]);
        keep_part<T, VEC, SCALED>(kv, at, staged, d, v);
    }
    if (SCALED && is_v) keep_scaled(kv, tile, pos % kv.page_tokens, staged);
    if (is_v) return;
    head_norm norm = {nullptr, 0.0f, 1.0f};
    if (!SCALED || norms.q) norm = norm_of<T, VEC>(x, s, norms, t, head, lane);
    int half = s.rotary_dim / 2;
    for (int i = lane * VEC; i < half; i += 32 * VEC) {
        int first = s.interleaved ? 2 * i : i, second = s.interleaved ? 2 * i + 1 : i + half;
        const float *c = cos_table + (int64_t)pos * half + i;
        const float *sn = sin_table + (int64_t)pos * half + i;
        load_normed<T, VEC>(x, norm, first, v);
        load_normed<T, VEC>(x, norm, second, w);
#pragma unroll
        for (int j = 0; j < VEC; j++) {
            float u = v[j];
            v[j] = u * c[j] - w[j] * sn[j];
            w[j] = w[j] * c[j] + u * sn[j];
        }
        store_head<T, VEC, SCALED>(x, first, v, is_k, kv, at, staged);
        store_head<T, VEC, SCALED>(x, second, w, is_k, kv, at, staged);
    }
    for (int d = s.rotary_dim + lane * VEC; d < s.head_dim; d += 32 * VEC) {
        load_normed<T, VEC>(x, norm, d, v);
        store_head<T, VEC, SCALED>(x, d, v, is_k, kv, at, staged);
    }
    if (SCALED && is_k) keep_scaled(kv, tile, pos % kv.page_tokens, staged);
}

static bool kv_aligned(const wf_kv *kv, size_t bytes)
{
    size_t size = wf_dtype_bytes(kv->dtype);
    return (uintptr_t)kv->base % bytes == 0 && (size_t)kv->page_stride * size % bytes == 0 &&
           (size_t)kv->kv_stride * size % bytes == 0 &&
           (size_t)kv->head_stride * size % bytes == 0 && (size_t)kv->head_dim * size % bytes == 0;
}

template <typename T, int VEC>
static wf_status rope(wf_cuda *cu, wf_stream *st, const wf_rope_args *a)
{
    rope_shape s = {a->n_heads,    a->kv.n_kv_heads,        a->kv.head_dim,
                    a->rotary_dim, a->rotary_dim / 2 / VEC, (a->kv.head_dim - a->rotary_dim) / VEC,
                    a->interleaved};
    int items = (s.n_heads + s.n_kv_heads) * (s.pairs + s.rest) + s.n_kv_heads * (s.head_dim / VEC);
    int threads = items < 256 ? (items + 31) / 32 * 32 : 256;
    dim3 grid((unsigned)a->batch->n_tokens, (unsigned)div_up64(items, threads));
    return wf_cuda_launch(cu, st, "rope_kv_append", rope_kernel<T, VEC>, grid, dim3(threads), 0,
                          *a->batch, a->qkv, s, a->cos, a->sin, a->kv);
}

template <typename T, int VEC>
static wf_status rope_norm(wf_cuda *cu, wf_stream *st, const wf_rope_args *a)
{
    rope_shape s = {a->n_heads, a->kv.n_kv_heads, a->kv.head_dim, a->rotary_dim, 0,
                    0,          a->interleaved};
    rope_norms norms = {a->q_norm,       a->k_norm,  a->norm_eps, a->norm_stride,
                        a->norm_centred, a->squares, a->n_ranks,  (int32_t)a->qkv.n_rows};
    dim3 grid((unsigned)a->batch->n_tokens,
              (unsigned)div_up64(s.n_heads + 2 * s.n_kv_heads, NORM_WARPS));
    auto kernel =
        kv_scaled(a->kv.dtype) ? rope_norm_kernel<T, VEC, true> : rope_norm_kernel<T, VEC, false>;
    return wf_cuda_launch(cu, st, "rope_kv_append", kernel, grid, dim3(32 * NORM_WARPS), 0,
                          *a->batch, a->qkv, s, a->cos, a->sin, a->kv, norms);
}

// Whether VEC pairs of a head can be moved by one access each.
template <typename T> static bool fits(const wf_rope_args *a, int n)
{
    return !a->interleaved && a->rotary_dim % (2 * n) == 0 && a->kv.head_dim % n == 0 &&
           rows_aligned(&a->qkv, (size_t)n * sizeof(T)) &&
           kv_aligned(&a->kv, (size_t)n * sizeof(T));
}

wf_status wf_cuda_rope_kv_append(wf_backend *be, wf_stream *s, const wf_rope_args *a)
{
    wf_cuda *cu = cuda_of(be);
    WF_TRY(wf_check_rope_kv_append(a, cu->numerics.act));
    if (a->batch->n_tokens == 0) return WF_OK;
    return with_dtype(cu->numerics.act, [&](auto *t) {
        typedef std::remove_pointer_t<decltype(t)> T;
        const int VEC = 16 / sizeof(T);
        wf_stream *st = stream_of(be, s);
        if (a->q_norm || kv_scaled(a->kv.dtype))
            return fits<T>(a, 2) ? rope_norm<T, 2>(cu, st, a) : rope_norm<T, 1>(cu, st, a);
        return fits<T>(a, VEC) ? rope<T, VEC>(cu, st, a) : rope<T, 1>(cu, st, a);
    });
}

// ---- head_squares: a warp per head --------------------------------------------------------------

template <typename T, int VEC>
static __global__ void head_squares_kernel(wf_matrix qkv, int32_t n_heads, int32_t head_dim,
                                           float *squares)
{
    let_next_start();
    wait_for_previous();
    int64_t t = blockIdx.x;
    int head = (int)(blockIdx.y * NORM_WARPS + threadIdx.x / 32), lane = (int)threadIdx.x % 32;
    if (head >= n_heads) return;
    const T *x = (const T *)qkv.data + t * qkv.stride + (int64_t)head * head_dim;
    float sum = head_squares_of<T, VEC>(x, 0.0f, head_dim, lane);
    if (lane == 0) squares[t * n_heads + head] = sum;
}

wf_status wf_cuda_head_squares(wf_backend *be, wf_stream *s, const wf_head_squares_args *a)
{
    wf_cuda *cu = cuda_of(be);
    WF_TRY(wf_check_head_squares(a, cu->numerics.act));
    if (a->qkv.n_rows == 0) return WF_OK;
    dim3 grid((unsigned)a->qkv.n_rows, (unsigned)div_up64(a->n_heads, NORM_WARPS));
    return with_dtype(cu->numerics.act, [&](auto *t) {
        typedef std::remove_pointer_t<decltype(t)> T;
        bool two = a->head_dim % 2 == 0 && rows_aligned(&a->qkv, 2 * sizeof(T));
        auto kernel = two ? head_squares_kernel<T, 2> : head_squares_kernel<T, 1>;
        return wf_cuda_launch(cu, stream_of(be, s), "head_squares", kernel, grid,
                              dim3(32 * NORM_WARPS), 0, a->qkv, a->n_heads, a->head_dim,
                              a->squares);
    });
}
