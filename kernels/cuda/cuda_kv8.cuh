// KV memory of 8 bits (tensor.h, FP8 and INT8) on the device: how a head is kept, and where its
// scales lie. Numbers become those of T exactly (cuda_w8.cuh), so scores are multiplied by the
// scales of K and weights by those of V, in f32; nothing else is rounded.
#ifndef WF_KERNELS_CUDA_KV8_CUH
#define WF_KERNELS_CUDA_KV8_CUH

#include <cfloat>

#include "kernels/cuda/cuda_attention.cuh"
#include "kernels/cuda/cuda_w8.cuh"

__host__ __device__ __forceinline__ bool kv_scaled(wf_dtype dtype)
{
    return dtype == WF_FP8 || dtype == WF_INT8;
}

// Scales of the tile (a head's page) that begins at `tile`, one for each of its tokens.
__device__ __forceinline__ float *kv_scales(const wf_kv &kv, int64_t tile)
{
    return (float *)((char *)kv.base + tile + (int64_t)kv.page_tokens * kv.head_dim);
}

// A warp keeps one head, values in shared memory, as a token of a tile: as wf_quantize_row does.
__device__ __forceinline__ void keep_scaled(const wf_kv &kv, int64_t tile, int i_token,
                                            const float *values)
{
    int lane = threadIdx.x % 32;
    uint32_t bits = 0; // magnitudes order like their bits
    __syncwarp();
    for (int d = lane; d < kv.head_dim; d += 32)
        bits = max(bits, __float_as_uint(values[d]) & 0x7fffffffu);
    float most = __uint_as_float(__reduce_max_sync(0xffffffffu, bits));
    float scale = __fdiv_rn(most, kv.dtype == WF_INT8 ? 127.0f : 448.0f);
    if (scale < FLT_MIN) scale = 1.0f;
    uint32_t *numbers = (uint32_t *)((char *)kv.base + tile + (int64_t)i_token * kv.head_dim);
    for (int i = lane; i < kv.head_dim / 4; i += 32) {
        uint32_t four = 0;
#pragma unroll
        for (int j = 0; j < 4; j++)
            four |= (uint32_t)w8_of(__fdiv_rn(values[4 * i + j], scale), kv.dtype) << (8 * j);
        numbers[i] = four;
    }
    if (lane == 0) kv_scales(kv, tile)[i_token] = scale;
}

// What weights are multiplied by beside V's scale, and outputs divided by: f16 has no room for
// scales of small values.
template <typename T> struct kv8_up;
template <> struct kv8_up<__nv_bfloat16> {
    static constexpr float value = 1.0f;
};
template <> struct kv8_up<__half> {
    static constexpr float value = 64.0f;
};

// Attention's parts over such KV (cuda_attention_kv8.cu), plain and bent.
wf_status wf_attention_decode8(wf_cuda *cu, wf_stream *s, const wf_attention_args *a);
wf_status wf_attention_prefill8(wf_cuda *cu, wf_stream *s, const wf_attention_args *a);
wf_status wf_attention_decode8_bent(wf_cuda *cu, wf_stream *s, const wf_attention_args *a);
wf_status wf_attention_prefill8_bent(wf_cuda *cu, wf_stream *s, const wf_attention_args *a);

#endif
