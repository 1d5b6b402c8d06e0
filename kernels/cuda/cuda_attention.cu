// attention: out[t][h] = softmax(scale q K^T) V over positions 0..token_pos[t], over pages.
//
// Chooses: the first n_decode sequences go to the split-KV decode kernel, the others to the prefill
// kernel, where K, V and act have one 2-byte dtype, head_dim is 64, 128 or 256 and 16 tokens lie
// side by side, or K and V are scaled (cuda_kv8.cuh) with the same. Everything else goes to the
// general kernel below, one block per (token, head).
#include "kernels/cuda/cuda_kv8.cuh"

#define GENERAL_WARPS  8
#define GENERAL_PIECES 8 // head_dim <= 256 = 32 lanes * 8

struct general_args {
    wf_batch b;
    wf_attention_args in; // its batch is `b`
};

// A score as it enters the softmax (ops.h); `back`: positions behind the query's.
__device__ __forceinline__ float bend(const wf_attention_args &in, float score, int head, int back)
{
    if (in.softcap > 0.0f) score = in.softcap * tanhf(score / in.softcap);
    return in.slopes ? score - in.slopes[head] * (float)back : score;
}

__device__ __forceinline__ float load_kv(const wf_kv &kv, int64_t at)
{
    return kv_scaled(kv.dtype) ? w8_load(((const uint8_t *)kv.base)[at], kv.dtype)
                               : load_any(kv.base, kv.dtype, at);
}

// Each warp takes every 8th position and keeps its own running maximum, sum and output; lanes split
// head_dim. Then the warps are combined, in order. f32 throughout, so that it can serve as a check.
static __global__ void __launch_bounds__(GENERAL_WARPS * 32)
    general_kernel(const __grid_constant__ general_args a)
{
    __shared__ float maxima[GENERAL_WARPS], sums[GENERAL_WARPS], parts[GENERAL_WARPS][256];
    wait_for_previous();
    const wf_batch &b = a.b;
    const wf_kv &kv = a.in.kv;
    const wf_matrix &qkv = a.in.qkv, &out = a.in.out;
    int64_t t = blockIdx.x;
    int head = (int)blockIdx.y, kv_head = head / (a.in.n_heads / kv.n_kv_heads), dim = kv.head_dim;
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    int pos = b.token_pos[t], window = a.in.window;
    int first = window > 0 && pos >= window ? pos - window + 1 : 0;
    const int32_t *pages = b.page_table + (int64_t)b.seq_row[b.token_seq[t]] * b.page_stride;
    float q[GENERAL_PIECES], o[GENERAL_PIECES] = {}, max = -INFINITY, sum = 0.0f;
    for (int i = 0; i < GENERAL_PIECES; i++) {
        int d = i * 32 + lane;
        q[i] = d < dim ? load_any(qkv.data, qkv.dtype, t * qkv.stride + (int64_t)head * dim + d) *
                             a.in.scale
                       : 0.0f;
    }
    for (int p = first + warp; p <= pos; p += GENERAL_WARPS) {
        int64_t tile = pages[p / kv.page_tokens] * kv.page_stride + kv_head * kv.head_stride;
        int64_t at = tile + (int64_t)(p % kv.page_tokens) * dim;
        bool scaled = kv_scaled(kv.dtype);
        float k_scale = scaled ? kv_scales(kv, tile)[p % kv.page_tokens] : 1.0f;
        float v_scale = scaled ? kv_scales(kv, tile + kv.kv_stride)[p % kv.page_tokens] : 1.0f;
        float dot = 0.0f;
        for (int i = 0; i < GENERAL_PIECES; i++)
            if (i * 32 + lane < dim) dot += q[i] * load_kv(kv, at + i * 32 + lane);
        dot = bend(a.in, warp_sum(dot) * k_scale, head, pos - p);
        float raised = fmaxf(max, dot), keep = expf(max - raised), weight = expf(dot - raised);
        max = raised;
        sum = sum * keep + weight;
        for (int i = 0; i < GENERAL_PIECES; i++)
            if (i * 32 + lane < dim)
                o[i] =
                    o[i] * keep + weight * v_scale * load_kv(kv, at + kv.kv_stride + i * 32 + lane);
    }
    if (lane == 0) maxima[warp] = max, sums[warp] = sum;
    for (int i = 0; i < GENERAL_PIECES; i++)
        if (i * 32 + lane < dim) parts[warp][i * 32 + lane] = o[i];
    __syncthreads();
    float top = -INFINITY, total = 0.0f;
    for (int w = 0; w < GENERAL_WARPS; w++)
        top = fmaxf(top, maxima[w]);
    for (int w = 0; w < GENERAL_WARPS; w++)
        total += sums[w] * expf(maxima[w] - top);
    if (a.in.sinks) total += expf(a.in.sinks[head] - top);
    for (int d = (int)threadIdx.x; d < dim; d += GENERAL_WARPS * 32) {
        float x = 0.0f;
        for (int w = 0; w < GENERAL_WARPS; w++)
            x += parts[w][d] * expf(maxima[w] - top);
        store_any(out.data, out.dtype, t * out.stride + (int64_t)head * dim + d, x / total);
    }
}

static bool fast(const wf_cuda *cu, const wf_kv *kv)
{
    int64_t whole = 16 / (int64_t)wf_dtype_bytes(kv->dtype);
    return cu->numerics.act != WF_F32 && (kv->dtype == cu->numerics.act || kv_scaled(kv->dtype)) &&
           kv->page_tokens % 16 == 0 &&
           (kv->head_dim == 64 || kv->head_dim == 128 || kv->head_dim == 256) &&
           (uintptr_t)kv->base % 16 == 0 && kv->page_stride % whole == 0 &&
           kv->kv_stride % whole == 0 && kv->head_stride % whole == 0;
}

typedef wf_status (*attention_part)(wf_cuda *cu, wf_stream *s, const wf_attention_args *a);

static attention_part decode_of(const wf_attention_args *a)
{
    bool bent = wf_attention_varies(a);
    if (kv_scaled(a->kv.dtype)) return bent ? wf_attention_decode8_bent : wf_attention_decode8;
    return bent ? wf_attention_decode_bent : wf_attention_decode;
}

wf_status wf_cuda_attention(wf_backend *be, wf_stream *s, const wf_attention_args *a)
{
    wf_cuda *cu = cuda_of(be);
    wf_stream *st = stream_of(be, s);
    WF_TRY(wf_check_attention(a, cu->numerics.act));
    if (a->batch->n_tokens == 0) return WF_OK;
    if (fast(cu, &a->kv)) {
        if (a->batch->n_decode > 0) WF_TRY(decode_of(a)(cu, st, a));
        return a->batch->n_seqs > a->batch->n_decode ? wf_attention_prefill(cu, st, a) : WF_OK;
    }
    return wf_cuda_launch(cu, st, "attention", general_kernel,
                          dim3((unsigned)a->batch->n_tokens, (unsigned)a->n_heads),
                          dim3(GENERAL_WARPS * 32), 0, general_args{*a->batch, *a});
}
