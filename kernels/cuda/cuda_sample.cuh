// What sampling a row is made of (cuda_sample.cu): its logits and their fixed-point weights, sums
// over the block, penalties, and thresholds by histograms over all logits.
#ifndef WF_KERNELS_CUDA_SAMPLE_CUH
#define WF_KERNELS_CUDA_SAMPLE_CUH

#include <cmath>

#include "io/base/rng.h"
#include "kernels/cuda/cuda_num.cuh"

extern "C" {
#include "kernels/sampling.h"
}

#define THREADS      1024
#define WARPS        (THREADS / 32)
#define BUCKETS      2048
#define PARTS        4096 // of [-32, 32], the greatest first; the ends take what lies beyond
#define PART_TOP     32.0f
#define PART_PER     64.0f
#define LIST         2048
#define LIST_BESIDE  384     // logits taken along on each side of the part that is looked for
#define COUNT_PROMPT 0x8000u // sampling.h: WF_COUNT_PROMPT

typedef unsigned long long u64;

// Floats in the order of unsigned integers; both zeros are one.
__device__ __forceinline__ uint32_t order_of(float x)
{
    uint32_t bits = __float_as_uint(x == 0.0f ? 0.0f : x);
    return bits ^ ((bits >> 31) ? 0xffffffffu : 0x80000000u);
}

// The float of this order; order 0, which no number has, stands for no limit.
__device__ __forceinline__ float value_of(uint32_t order)
{
    if (order == 0) return -INFINITY;
    return __uint_as_float(order ^ ((order >> 31) ? 0x80000000u : 0xffffffffu));
}

struct row_state {
    const wf_row_sampling *p;
    float *logits;
    int32_t n_vocab;
    float max, min; // min: of the finite ones
    float inverse_temperature;
    float floor; // the filters keep the logits from here on
};

struct shared_space {
    union {
        u64 bucket[BUCKETS];
        uint32_t count[PARTS]; // of the 1st pass; then logits in this part and above
    };
    uint32_t order[LIST]; // the list: logits in the order of their bits, and their ids
    int32_t id[LIST];
    u64 warp[WARPS];
    u64 range[WARPS]; // weights kept in each warp's range of ids
    double warp_double[WARPS];
    float low[WARPS];
    u64 value;
    int32_t index, n_list, first, last;
};

// A logit's place among the parts, before it is cut to a whole number.
__device__ __forceinline__ float place_of(float logit)
{
    return (PART_TOP - logit) * PART_PER;
}

__device__ __forceinline__ int coarse_of(float logit)
{
    return (int)fminf(fmaxf(place_of(logit), 0.0f), (float)(PARTS - 1));
}

// Calls f(id, logit) for every token, a fixed set of them per thread: 16 bytes at a time, four
// loads in flight, where the row allows it.
template <typename F> __device__ __forceinline__ void each_logit(const row_state &r, F f)
{
    int tid = (int)threadIdx.x, n_wide = r.n_vocab / 4, done = 0;
    if ((uintptr_t)r.logits % 16 == 0) {
        const float4 *wide = (const float4 *)r.logits;
        done = n_wide * 4;
        for (int i0 = tid; i0 < n_wide; i0 += 4 * THREADS) {
            float4 x[4];
#pragma unroll
            for (int k = 0; k < 4; k++)
                if (i0 + k * THREADS < n_wide) x[k] = wide[i0 + k * THREADS];
#pragma unroll
            for (int k = 0; k < 4; k++) {
                int i = (i0 + k * THREADS) * 4;
                if (i >= done) break;
                f(i, x[k].x), f(i + 1, x[k].y), f(i + 2, x[k].z), f(i + 3, x[k].w);
            }
        }
    }
    for (int i = done + tid; i < r.n_vocab; i += THREADS)
        f(i, r.logits[i]);
}

__device__ __forceinline__ float gap_of(const row_state &r, float logit)
{
    return logit == r.max ? 0.0f : logit - r.max;
}

// The weight in units of 2^-44.
__device__ __forceinline__ u64 weight_of(const row_state &r, float logit)
{
    return __float2ull_rz(expf(gap_of(r, logit) * r.inverse_temperature) * 17592186044416.0f);
}

__device__ __forceinline__ u64 block_max(u64 x, shared_space &sh)
{
    for (int i = 16; i > 0; i >>= 1)
        x = max(x, (u64)__shfl_xor_sync(0xffffffffu, x, i));
    __syncthreads();
    if (threadIdx.x % 32 == 0) sh.warp[threadIdx.x / 32] = x;
    __syncthreads();
    x = sh.warp[threadIdx.x % 32];
    for (int i = 16; i > 0; i >>= 1)
        x = max(x, (u64)__shfl_xor_sync(0xffffffffu, x, i));
    return x;
}

__device__ __forceinline__ u64 block_sum(u64 x, shared_space &sh)
{
    for (int i = 16; i > 0; i >>= 1)
        x += __shfl_xor_sync(0xffffffffu, x, i);
    __syncthreads();
    if (threadIdx.x % 32 == 0) sh.warp[threadIdx.x / 32] = x;
    __syncthreads();
    x = sh.warp[threadIdx.x % 32];
    for (int i = 16; i > 0; i >>= 1)
        x += __shfl_xor_sync(0xffffffffu, x, i);
    return x;
}

// Sum over the threads before this one.
__device__ __forceinline__ u64 block_before(u64 x, shared_space &sh)
{
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    u64 sum = x;
    for (int i = 1; i < 32; i <<= 1) {
        u64 up = __shfl_up_sync(0xffffffffu, sum, i);
        if (lane >= i) sum += up;
    }
    __syncthreads();
    if (lane == 31) sh.warp[warp] = sum;
    __syncthreads();
    u64 ahead = sum - x;
    for (int w = 0; w < warp; w++)
        ahead += sh.warp[w];
    return ahead;
}

__device__ __forceinline__ float penalised(float logit, uint32_t count, const wf_row_sampling *p)
{
    if (count == 0) return logit;
    int n_outputs = (int)(count & (COUNT_PROMPT - 1u));
    logit = logit > 0.0f ? logit / p->repetition_penalty : logit * p->repetition_penalty;
    if (n_outputs > 0)
        logit = __fsub_rn(__fsub_rn(logit, p->presence_penalty),
                          __fmul_rn(p->frequency_penalty, (float)n_outputs));
    return logit;
}

// Wishes, in place, by the whole block; ends with a barrier.
__device__ __forceinline__ void grant(row_state &r, const wf_row_wishes &w, const int32_t *words,
                                      int32_t last_token)
{
    const int32_t *allowed = words + w.i_allowed, *bias = words + w.i_bias;
    const int32_t *banned = words + w.i_banned;
    if (w.n_allowed > 0)
        each_logit(r, [&](int i, float) {
            if (!wf_sample_listed(allowed, w.n_allowed, i)) r.logits[i] = -INFINITY;
        });
    __syncthreads();
    for (int k = (int)threadIdx.x; k < w.n_bias; k += THREADS) {
        int32_t id = bias[2 * k];
        if (id >= 0 && id < r.n_vocab) r.logits[id] += __int_as_float(bias[2 * k + 1]);
    }
    __syncthreads();
    for (int k = (int)threadIdx.x; k < w.n_banned; k += THREADS)
        if (wf_sample_is_banned(banned + 2 * k, r.n_vocab, last_token))
            r.logits[banned[2 * k]] = -INFINITY;
    __syncthreads();
}

// NaN, penalties where there are counts, the first n_masked stop tokens, in place; then the
// greatest logit and its lowest id. COUNTED: sh.count holds the logits of each part.
template <bool COUNTED>
__device__ int32_t prepare(row_state &r, const uint16_t *counts, int32_t n_masked, shared_space &sh)
{
    if (COUNTED) {
        for (int i = (int)threadIdx.x; i < PARTS; i += THREADS)
            sh.count[i] = 0;
        __syncthreads();
    }
    const wf_row_sampling *p = r.p;
    bool penalise = counts != nullptr;
    u64 best = 0;
    float low = INFINITY;
    if (!penalise && n_masked == 0) { // ids ascend in a thread: the first of equals stays
        float top = -INFINITY;
        int32_t at = -1;
        each_logit(r, [&](int i, float x) {
            if (isnan(x)) r.logits[i] = x = -INFINITY;
            if (x > top || at < 0) top = x, at = i;
            if (x > -INFINITY) low = fminf(low, x);
            if (COUNTED) atomicAdd(&sh.count[coarse_of(x)], 1u);
        });
        if (at >= 0) best = (u64)order_of(top) << 32 | (0xffffffffu - (uint32_t)at);
    } else {
        each_logit(r, [&](int i, float was) {
            float x = isnan(was) ? -INFINITY : was;
            if (penalise) x = penalised(x, counts[i], p);
            for (int k = 0; k < n_masked; k++)
                if (p->stop_ids[k] == i) x = -INFINITY;
            if (__float_as_uint(x) != __float_as_uint(was)) r.logits[i] = x;
            best = max(best, (u64)order_of(x) << 32 | (0xffffffffu - (uint32_t)i));
            if (x > -INFINITY) low = fminf(low, x);
            if (COUNTED) atomicAdd(&sh.count[coarse_of(x)], 1u);
        });
    }
    best = block_max(best, sh);
    for (int i = 16; i > 0; i >>= 1)
        low = fminf(low, __shfl_xor_sync(0xffffffffu, low, i));
    if (threadIdx.x % 32 == 0) sh.low[threadIdx.x / 32] = low;
    __syncthreads();
    low = sh.low[threadIdx.x % 32];
    for (int i = 16; i > 0; i >>= 1)
        low = fminf(low, __shfl_xor_sync(0xffffffffu, low, i));
    int32_t token = (int32_t)(0xffffffffu - (uint32_t)best);
    r.max = r.logits[token]; // written by its own thread before block_max's barrier
    r.min = low;
    return token;
}

// Which of the 2048 even parts of [min, max] a logit lies in; 0 holds the greatest.
struct even_parts {
    float max, scale;
};

__device__ __forceinline__ int part_of(const even_parts &e, float logit)
{
    float at = (e.max - logit) * e.scale;
    return at < (float)(BUCKETS - 1) ? (int)at : BUCKETS - 1;
}

// The first bucket, from index 0 on, where the running sum reaches `target`; BUCKETS - 1 when none
// does. *before: the sum over the buckets ahead of it. Every thread gets the answer.
__device__ int first_reaching(shared_space &sh, u64 target, u64 *before)
{
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    u64 a = sh.bucket[2 * threadIdx.x], b = sh.bucket[2 * threadIdx.x + 1], sum = a + b;
    for (int i = 1; i < 32; i <<= 1) {
        u64 up = __shfl_up_sync(0xffffffffu, sum, i);
        if (lane >= i) sum += up;
    }
    if (lane == 31) sh.warp[warp] = sum;
    if (threadIdx.x == 0) sh.index = BUCKETS - 1;
    __syncthreads();
    u64 ahead = 0;
    for (int w = 0; w < warp; w++)
        ahead += sh.warp[w];
    ahead += sum - a - b; // over all buckets before this thread's two
    if (ahead < target && ahead + a >= target) sh.index = 2 * (int)threadIdx.x, sh.value = ahead;
    if (ahead + a < target && ahead + a + b >= target)
        sh.index = 2 * (int)threadIdx.x + 1, sh.value = ahead + a;
    if (threadIdx.x == THREADS - 1 && ahead + a + b < target) sh.value = ahead + a;
    __syncthreads();
    *before = sh.value;
    return sh.index;
}

__device__ __forceinline__ void clear_buckets(shared_space &sh)
{
    __syncthreads();
    sh.bucket[threadIdx.x] = 0;
    sh.bucket[threadIdx.x + THREADS] = 0;
    __syncthreads();
}

// The greatest order value v >= lo such that what each() calls with order >= v sums to `target`,
// `above` of it beyond hi: WEIGHTED in weights, else in tokens. lo when all together do not.
template <bool WEIGHTED, typename Each>
__device__ uint32_t narrow(const row_state &r, Each each, u64 target, u64 above, uint32_t lo,
                           uint32_t hi, shared_space &sh)
{
    while (lo < hi) {
        int shift = max(0, 32 - __clz(hi - lo) - 11); // (hi - lo) >> shift < 2048
        clear_buckets(sh);
        each([&](uint32_t order) {
            if (order < lo || order > hi) return;
            atomicAdd(&sh.bucket[(hi - order) >> shift],
                      WEIGHTED ? weight_of(r, value_of(order)) : 1ull);
        });
        __syncthreads();
        u64 before = 0;
        int at = first_reaching(sh, target - above, &before);
        at = min(at, (int)((hi - lo) >> shift));
        above += before;
        hi -= (uint32_t)at << shift;
        uint32_t width = (1u << shift) - 1u;
        lo = hi - lo > width ? hi - width : lo;
        __syncthreads();
    }
    return lo;
}

// The same over all logits >= floor: first 2048 buckets evenly over their range, which spreads the
// atomics, then the bucket that holds the value.
template <bool WEIGHTED>
__device__ uint32_t select(const row_state &r, u64 target, uint32_t floor, shared_space &sh)
{
    float range = r.max - r.min;
    even_parts e = {r.max, range > 0.0f ? (float)BUCKETS / range : 0.0f};
    float least = value_of(floor);
    u64 above = 0;
    if (!(e.scale < 1e30f)) e.scale = 0.0f; // infinite logits or hardly any range: no first pass
    clear_buckets(sh);
    each_logit(r, [&](int, float x) {
        u64 amount = x < least ? 0 : WEIGHTED ? weight_of(r, x) : 1;
        if (amount != 0) atomicAdd(&sh.bucket[part_of(e, x)], amount);
    });
    __syncthreads();
    int part = first_reaching(sh, target, &above);
    uint32_t lo = floor, hi = order_of(r.max);
    if (e.scale > 0.0f) { // the bounds of the part, a little wider than rounding can make them
        hi = min(hi, order_of(r.max - ((float)part - 0.01f) / e.scale));
        if (part < BUCKETS - 1) lo = max(lo, order_of(r.max - ((float)part + 1.01f) / e.scale));
    }
    auto each = [&](auto f) {
        each_logit(r, [&](int, float x) {
            if (part_of(e, x) == part) f(order_of(x));
        });
    };
    return narrow<WEIGHTED>(r, each, target, above, lo, hi, sh);
}

#endif
