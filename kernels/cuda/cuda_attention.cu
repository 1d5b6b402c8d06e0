// attention: out[t][h] = softmax(scale q K^T) V over positions 0..token_pos[t], over pages.
//
// Chooses: the first n_decode sequences go to the split-KV decode kernel, the others to the prefill
// kernel, where K, V and act have one 2-byte dtype, head_dim is 64, 128 or 256 and 16 tokens lie
// side by side. Everything else goes to the general kernel below, one block per (token, head).
#include "kernels/cuda/cuda_num.cuh"

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
        int64_t at = pages[p / kv.page_tokens] * kv.page_stride + kv_head * kv.head_stride +
                     (int64_t)(p % kv.page_tokens) * dim;
        float dot = 0.0f;
        for (int i = 0; i < GENERAL_PIECES; i++)
            if (i * 32 + lane < dim) dot += q[i] * load_any(kv.base, kv.dtype, at + i * 32 + lane);
        dot = bend(a.in, warp_sum(dot), head, pos - p);
        float raised = fmaxf(max, dot), keep = expf(max - raised), weight = expf(dot - raised);
        max = raised;
        sum = sum * keep + weight;
        for (int i = 0; i < GENERAL_PIECES; i++)
            if (i * 32 + lane < dim)
                o[i] = o[i] * keep +
                       weight * load_any(kv.base, kv.dtype, at + kv.kv_stride + i * 32 + lane);
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
    return cu->numerics.act != WF_F32 && kv->dtype == cu->numerics.act &&
           kv->page_tokens % 16 == 0 &&
           (kv->head_dim == 64 || kv->head_dim == 128 || kv->head_dim == 256) &&
           (uintptr_t)kv->base % 16 == 0 && kv->page_stride % 8 == 0 && kv->kv_stride % 8 == 0 &&
           kv->head_stride % 8 == 0;
}

wf_status wf_cuda_attention(wf_backend *be, wf_stream *s, const wf_attention_args *a)
{
    wf_cuda *cu = cuda_of(be);
    wf_stream *st = stream_of(be, s);
    WF_TRY(wf_check_attention(a, cu->numerics.act));
    if (a->batch->n_tokens == 0) return WF_OK;
    if (fast(cu, &a->kv)) {
        auto decode = wf_attention_varies(a) ? wf_attention_decode_bent : wf_attention_decode;
        if (a->batch->n_decode > 0) WF_TRY(decode(cu, st, a));
        return a->batch->n_seqs > a->batch->n_decode ? wf_attention_prefill(cu, st, a) : WF_OK;
    }
    return wf_cuda_launch(cu, st, "attention", general_kernel,
                          dim3((unsigned)a->batch->n_tokens, (unsigned)a->n_heads),
                          dim3(GENERAL_WARPS * 32), 0, general_args{*a->batch, *a});
}
