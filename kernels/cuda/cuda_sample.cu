// sample: one token per listed row, without a sort (order of steps: ops.h; arithmetic: sampling.h).
//
// One block per row; the row's logits (f32, changed in place) are read a few times from the L2.
// Weights exp((logit - max) / temperature) are kept in fixed point, 2^-44 each in 64 bits, so that
// sums by atomics are the same in any order: the draw is bitwise repeatable. What `ref` does in
// double agrees within 2^-27 of the total.
//
// A filter's threshold (k-th greatest logit; least logit of the top-p mass) is found by histograms
// that narrow the interval it lies in: first 2048 buckets evenly over the range of logits, which
// spreads the atomics, then 2048 equal parts of what is left, in the order of the floats' bits,
// until one value is left. The filters keep ties. The draw sums in ascending id: each warp owns a
// contiguous range, then the range that holds the target is walked.
// Bytes: 4 V per pass; greedy 1 pass, top-k or top-p 3 to 5 passes each, draw 1 more.
#include <cmath>

#include "io/base/rng.h"
#include "kernels/cuda/cuda_num.cuh"

#define THREADS      1024
#define WARPS        (THREADS / 32)
#define BUCKETS      2048
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
};

struct shared_space {
    u64 bucket[BUCKETS];
    u64 warp[WARPS];
    double warp_double[WARPS];
    float low[WARPS];
    u64 value;
    int32_t index;
};

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

// NaN, penalties, masked stop tokens, in place; then the greatest logit and its lowest id.
__device__ int32_t prepare(row_state &r, const uint16_t *counts, int32_t pos, shared_space &sh)
{
    const wf_row_sampling *p = r.p;
    bool penalise =
        counts != nullptr && (p->repetition_penalty != 1.0f || p->presence_penalty != 0.0f ||
                              p->frequency_penalty != 0.0f);
    int n_masked = pos - p->prompt_len < p->min_tokens ? p->n_stop_ids : 0;
    u64 best = 0;
    float low = INFINITY;
    if (!penalise && n_masked == 0) { // ids ascend in a thread: the first of equals stays
        float top = -INFINITY;
        int32_t at = -1;
        each_logit(r, [&](int i, float x) {
            if (isnan(x)) r.logits[i] = x = -INFINITY;
            if (x > top || at < 0) top = x, at = i;
            if (x > -INFINITY) low = fminf(low, x);
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

// The greatest order value v >= floor such that the logits with order >= v sum to `target`:
// WEIGHTED in weights, else in tokens.
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
    while (lo < hi) {
        int shift = max(0, 32 - __clz(hi - lo) - 11); // (hi - lo) >> shift < 2048
        float low = value_of(lo), high = value_of(hi);
        clear_buckets(sh);
        each_logit(r, [&](int, float x) {
            if (x < low || x > high || part_of(e, x) != part) return;
            uint32_t order = order_of(x);
            atomicAdd(&sh.bucket[(hi - order) >> shift], WEIGHTED ? weight_of(r, x) : 1ull);
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

// Tokens of a warp's contiguous range: whole rounds of 32 lanes times 4.
__device__ __forceinline__ int range_of_warp(const row_state &r)
{
    return ((r.n_vocab + WARPS - 1) / WARPS + 127) / 128 * 128;
}

// Sum of the weights of logits >= floor, the same in every thread; sh.warp[] keeps the sums of the
// warps' contiguous ranges.
__device__ u64 sum_ranges(const row_state &r, float floor, shared_space &sh)
{
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32, per_warp = range_of_warp(r);
    int i = warp * per_warp, end = min(r.n_vocab, i + per_warp);
    u64 sum = 0;
    if ((uintptr_t)r.logits % 16 == 0)
        for (; i + 512 <= end; i += 512) {
            float4 x[4];
#pragma unroll
            for (int k = 0; k < 4; k++)
                x[k] = *(const float4 *)(r.logits + i + k * 128 + lane * 4);
#pragma unroll
            for (int k = 0; k < 4; k++) {
                if (x[k].x >= floor) sum += weight_of(r, x[k].x);
                if (x[k].y >= floor) sum += weight_of(r, x[k].y);
                if (x[k].z >= floor) sum += weight_of(r, x[k].z);
                if (x[k].w >= floor) sum += weight_of(r, x[k].w);
            }
        }
    for (i += lane; i < end; i += 32)
        if (r.logits[i] >= floor) sum += weight_of(r, r.logits[i]);
    for (int k = 16; k > 0; k >>= 1)
        sum += __shfl_xor_sync(0xffffffffu, sum, k);
    __syncthreads();
    if (lane == 0) sh.warp[warp] = sum;
    __syncthreads();
    sum = 0;
    for (int w = 0; w < WARPS; w++)
        sum += sh.warp[w];
    return sum;
}

__device__ int32_t draw(const row_state &r, float floor, int32_t pos, shared_space &sh)
{
    int per_warp = range_of_warp(r);
    u64 total = sum_ranges(r, floor, sh);
    uint32_t key[2] = {(uint32_t)r.p->rng_key, (uint32_t)(r.p->rng_key >> 32)};
    uint32_t counter[4] = {(uint32_t)pos, 0, 0, 0}, bits[4];
    wf_philox(key, counter, bits);
    // A whole sum passes the real target exactly when it passes the target's whole part.
    u64 target = (u64)(wf_rng_double(bits[0], bits[1]) * (double)total), ahead = 0;
    if (target >= total) target = total - 1;
    int owner = 0;
    while (owner < WARPS - 1 && ahead + sh.warp[owner] <= target)
        ahead += sh.warp[owner++];
    // The owner's range, a few neighbours per thread.
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32,
        per_thread = (per_warp + THREADS - 1) / THREADS;
    int begin = owner * per_warp + (int)threadIdx.x * per_thread;
    int end = min(min(begin + per_thread, (owner + 1) * per_warp), r.n_vocab);
    u64 mine = 0;
    for (int i = begin; i < end; i++)
        if (r.logits[i] >= floor) mine += weight_of(r, r.logits[i]);
    u64 sum = mine;
    for (int k = 1; k < 32; k <<= 1) {
        u64 up = __shfl_up_sync(0xffffffffu, sum, k);
        if (lane >= k) sum += up;
    }
    __syncthreads(); // everybody has read the sums of the ranges
    if (lane == 31) sh.warp[warp] = sum;
    __syncthreads();
    ahead += sum - mine;
    for (int w = 0; w < warp; w++)
        ahead += sh.warp[w];
    if (ahead <= target && target < ahead + mine) // one thread
        for (int i = begin; i < end; i++) {
            if (r.logits[i] >= floor) ahead += weight_of(r, r.logits[i]);
            if (ahead <= target) continue;
            sh.index = i;
            break;
        }
    __syncthreads();
    return sh.index;
}

__device__ int32_t draw_filtered(const row_state &r, int32_t pos, shared_space &sh)
{
    const wf_row_sampling *p = r.p;
    uint32_t floor = 0;
    if (p->min_p > 0.0f) {
        double least = (double)r.max + (double)p->temperature * log((double)p->min_p);
        floor = min(order_of(__double2float_ru(least)), order_of(r.max));
    }
    if (p->top_k > 0 && p->top_k < r.n_vocab)
        floor = max(floor, select<false>(r, (u64)p->top_k, floor, sh));
    if (p->top_p < 1.0f) {
        double total = (double)sum_ranges(r, value_of(floor), sh);
        u64 target = (u64)ceil((double)p->top_p * total);
        floor = select<true>(r, max(target, 1ull), floor, sh);
    }
    return draw(r, value_of(floor), pos, sh);
}

// log(sum(exp(logit - max))), in double, in an order that depends on n_vocab alone.
__device__ double log_sum(const row_state &r, shared_space &sh)
{
    double sum = 0.0;
    each_logit(r, [&](int, float x) { sum += (double)expf(gap_of(r, x)); });
    for (int i = 16; i > 0; i >>= 1)
        sum += __shfl_xor_sync(0xffffffffu, sum, i);
    __syncthreads();
    if (threadIdx.x % 32 == 0) sh.warp_double[threadIdx.x / 32] = sum;
    __syncthreads();
    sum = 0.0;
    for (int w = 0; w < WARPS; w++)
        sum += sh.warp_double[w];
    return log(sum);
}

__device__ __forceinline__ float gap_double(const row_state &r, float logit, double log_total)
{
    double gap = logit == r.max ? 0.0 : (double)logit - (double)r.max;
    return (float)(gap - log_total);
}

// The n_top greatest, one after the other: each the greatest below the one before.
__device__ void top_logprobs(const row_state &r, int32_t n_top, double log_total, int32_t *id,
                             float *logprob, shared_space &sh)
{
    u64 last = ~0ull;
    for (int k = 0; k < n_top; k++) {
        u64 best = 0;
        each_logit(r, [&](int i, float logit) {
            u64 x = (u64)order_of(logit) << 32 | (0xffffffffu - (uint32_t)i);
            if (x < last) best = max(best, x);
        });
        last = block_max(best, sh);
        int32_t token = (int32_t)(0xffffffffu - (uint32_t)last);
        if (threadIdx.x == 0) {
            id[k] = token;
            logprob[k] = gap_double(r, r.logits[token], log_total);
        }
    }
}

static __global__ void __launch_bounds__(THREADS) sample_kernel(wf_sample_args a)
{
    __shared__ shared_space sh;
    wait_for_previous();
    let_next_start();
    int64_t i = blockIdx.x;
    int32_t row = a.row[i], pos = a.pos[i];
    row_state r = {&a.sampling[row], (float *)a.logits.data + i * a.logits.stride, a.n_vocab};
    int32_t token =
        prepare(r, a.counts != nullptr ? a.counts + row * a.counts_stride : nullptr, pos, sh);
    if (r.p->temperature > 0.0f) {
        r.inverse_temperature = 1.0f / r.p->temperature;
        __syncthreads();
        token = draw_filtered(r, pos, sh);
    }
    if (threadIdx.x == 0) {
        a.token[i] = token;
        a.last_token[row] = token;
    }
    if (a.logprob == nullptr && a.top_id == nullptr) return;
    double log_total = log_sum(r, sh);
    if (threadIdx.x == 0 && a.logprob != nullptr)
        a.logprob[i] = gap_double(r, r.logits[token], log_total);
    if (a.top_id != nullptr)
        top_logprobs(r, a.n_top, log_total, a.top_id + i * a.n_top, a.top_logprob + i * a.n_top,
                     sh);
}

wf_status wf_cuda_sample(wf_backend *be, wf_stream *s, const wf_sample_args *a)
{
    WF_TRY(wf_check_sample(a));
    if (a->logits.n_rows == 0) return WF_OK;
    return wf_cuda_launch(cuda_of(be), stream_of(be, s), "sample", sample_kernel,
                          dim3((unsigned)a->logits.n_rows), dim3(THREADS), 0, *a);
}
