// What a layer may do to the scores of attention beside scaling them (ops.h): a window, a softcap,
// slopes and sinks. Kernels that include this are made twice, plain and bent, in files of their own
// (cuda_attention_bent.cu defines WF_ATTENTION_BENT), so that the plain ones pay nothing for it.
// Scores are in units of log2: an exponential is 2^x.
#ifndef WF_KERNELS_CUDA_ATTENTION_BEND_CUH
#define WF_KERNELS_CUDA_ATTENTION_BEND_CUH

#include "kernels/cuda/cuda_attention.cuh"
#include "kernels/cuda/cuda_mma.cuh"

#ifdef WF_ATTENTION_BENT
constexpr bool BENT = true;
#else
constexpr bool BENT = false;
#endif

#define LOG2E 1.4426950408889634f

struct bend_args {
    int32_t window;              // 0: none
    float cap, share;            // softcap and 1 / softcap; 0: none
    const float *sinks, *slopes; // [n_heads] in units of e; NULL: none
};

static inline bend_args bend_of(const wf_attention_args *in)
{
    bend_args b = {in->window, 0.0f, 0.0f, in->sinks, in->slopes};
    if (in->softcap > 0.0f) b.cap = in->softcap * LOG2E, b.share = 1.0f / b.cap;
    return b;
}

// The first position that a token at `pos` sees.
__host__ __device__ __forceinline__ int first_seen(const bend_args &b, int pos)
{
    return BENT && b.window > 0 && pos >= b.window ? pos - b.window + 1 : 0;
}

__device__ __forceinline__ float slope_of(const bend_args &b, int head)
{
    return b.slopes ? b.slopes[head] * LOG2E : 0.0f;
}

// 1 - 2 / (e^2x + 1), good to 2e-7.
__device__ __forceinline__ float tanh_fast(float x)
{
    return 1.0f - __fdividef(2.0f, exp2_fast(x * (2.0f * LOG2E)) + 1.0f);
}

// `back`: positions behind the query's.
__device__ __forceinline__ float bend(const bend_args &b, float score, float slope, int back)
{
    if (b.cap > 0.0f) score = b.cap * tanh_fast(score * b.share);
    return score - slope * (float)back;
}

// What a sink adds to the sum of weights 2^(score - max).
__device__ __forceinline__ float sink_weight(const bend_args &b, int head, float max)
{
    return b.sinks ? exp2_fast(b.sinks[head] * LOG2E - max) : 0.0f;
}

#endif
