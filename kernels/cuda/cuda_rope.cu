// rope_kv_append: rotates q and k of every token by its position, appends k and v to the pages.
//
// qkv: [T, (n_heads + 2 n_kv_heads) * head_dim] act; cos, sin: [max_context][rotary_dim / 2] f32.
// Grid (token, part of the row). A thread does VEC pairs (16-byte accesses) where the half is a
// multiple of VEC and pairs lie half a rotation apart (Llama), else one pair. K is stored rounded
// once from f32, also where the cache's dtype is not act. Bytes: the row read and written, k and v
// written once more. Tolerance: rounding of act.
#include "kernels/cuda/cuda_num.cuh"

// One item: VEC pairs of a rotated head, VEC untouched elements of one, or VEC of a V head.
struct rope_shape {
    int32_t n_heads, n_kv_heads, head_dim, rotary_dim;
    int32_t pairs, rest; // items of a head: rotated, untouched
    bool interleaved;
};

template <typename T, int VEC>
__device__ __forceinline__ void store_kv(const wf_kv &kv, int64_t at, const float *v)
{
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
    int pos = b.token_pos[t], row = b.seq_row[b.token_seq[t]];
    int kv_head = is_v ? head : head - s.n_heads;
    int64_t page = b.page_table[(int64_t)row * b.page_stride + pos / kv.page_tokens];
    int64_t at = page * kv.page_stride + kv_head * kv.head_stride +
                 (int64_t)(pos % kv.page_tokens) * kv.head_dim;
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

wf_status wf_cuda_rope_kv_append(wf_backend *be, wf_stream *s, const wf_rope_args *a)
{
    wf_cuda *cu = cuda_of(be);
    WF_TRY(wf_check_rope_kv_append(a, cu->act));
    if (a->batch->n_tokens == 0) return WF_OK;
    return with_dtype(cu->act, [&](auto *t) {
        typedef std::remove_pointer_t<decltype(t)> T;
        const int VEC = 16 / sizeof(T);
        bool wide = !a->interleaved && a->rotary_dim % (2 * VEC) == 0 &&
                    a->kv.head_dim % VEC == 0 && rows_aligned(&a->qkv, 16) &&
                    kv_aligned(&a->kv, 16);
        return wide ? rope<T, VEC>(cu, stream_of(be, s), a) : rope<T, 1>(cu, stream_of(be, s), a);
    });
}
