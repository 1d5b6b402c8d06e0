// sample: one token per listed row, without a sort (order of steps: ops.h; arithmetic: sampling.h).
//
// One block per row; the row's logits (f32, changed in place) are read two or three times.
// Weights exp((logit - max) / temperature) are kept in fixed point, 2^-44 each in 64 bits, so that
// sums by atomics are the same in any order: the draw is bitwise repeatable. What `ref` does in
// double agrees within 2^-27 of the total.
//
// A filter's threshold (k-th greatest logit; least logit of the top-p mass) is found in a short
// list:
//
//   1st pass   greatest logit; how many logits lie in each of 4096 parts, 1/64 wide, of [-32, 32]
//   counts     tell the part of the k-th greatest exactly, and that of the top-p mass nearly
//   2nd pass   the parts around it go to a list in shared memory, what lies above is summed up
//   list       narrowed to one value by histograms of 2048 buckets over the order of floats' bits
//
// The exact sums tell whether the mass's threshold is in the list. Where it is not, or the list is
// too short (many ties, logits beyond 32, a large k), the same narrowing runs over all logits, in
// 3 to 5 passes. Both give the same value. The filters keep ties. The draw sums in ascending id:
// each warp owns a contiguous range, then the range that holds the target is walked.
// Bytes: 4 V per pass; greedy 1 pass, temperature 2, top-k and top-p 2.
#include "kernels/cuda/cuda_sample.cuh"

// Tokens of a warp's contiguous range: whole rounds of 32 lanes times 4.
__device__ __forceinline__ int range_of_warp(const row_state &r)
{
    return ((r.n_vocab + WARPS - 1) / WARPS + 127) / 128 * 128;
}

// Calls f(id, logit) for every token, each warp for its contiguous range.
template <typename F> __device__ __forceinline__ void each_in_ranges(const row_state &r, F f)
{
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32, per_warp = range_of_warp(r);
    int i = warp * per_warp, end = min(r.n_vocab, i + per_warp);
    if ((uintptr_t)r.logits % 16 == 0)
        for (; i + 512 <= end; i += 512) {
            float4 x[4];
#pragma unroll
            for (int k = 0; k < 4; k++)
                x[k] = *(const float4 *)(r.logits + i + k * 128 + lane * 4);
#pragma unroll
            for (int k = 0; k < 4; k++) {
                int id = i + k * 128 + lane * 4;
                f(id, x[k].x), f(id + 1, x[k].y), f(id + 2, x[k].z), f(id + 3, x[k].w);
            }
        }
    for (i += lane; i < end; i += 32)
        f(i, r.logits[i]);
}

// Puts the sum of a warp's threads in sh.range[] and returns the block's.
__device__ u64 store_ranges(u64 sum, shared_space &sh)
{
    for (int k = 16; k > 0; k >>= 1)
        sum += __shfl_xor_sync(0xffffffffu, sum, k);
    __syncthreads();
    if (threadIdx.x % 32 == 0) sh.range[threadIdx.x / 32] = sum;
    __syncthreads();
    sum = 0;
    for (int w = 0; w < WARPS; w++)
        sum += sh.range[w];
    return sum;
}

// Sum of the weights of logits >= floor, the same in every thread; fills sh.range[].
__device__ u64 sum_ranges(const row_state &r, float floor, shared_space &sh)
{
    u64 sum = 0;
    each_in_ranges(r, [&](int, float x) {
        if (x >= floor) sum += weight_of(r, x);
    });
    return store_ranges(sum, sh);
}

// Draws among the logits >= floor, whose weights sum to `total` and to sh.range[] in each range.
__device__ int32_t draw(const row_state &r, float floor, u64 total, int32_t pos, shared_space &sh)
{
    int per_warp = range_of_warp(r);
    uint32_t key[2] = {(uint32_t)r.p->rng_key, (uint32_t)(r.p->rng_key >> 32)};
    uint32_t counter[4] = {(uint32_t)pos, 0, 0, 0}, bits[4];
    wf_philox(key, counter, bits);
    // A whole sum passes the real target exactly when it passes the target's whole part.
    u64 target = (u64)(wf_rng_double(bits[0], bits[1]) * (double)total), ahead = 0;
    if (target >= total) target = total - 1;
    int owner = 0;
    while (owner < WARPS - 1 && ahead + sh.range[owner] <= target)
        ahead += sh.range[owner++];
    // The owner's range, a few neighbours per thread.
    int per_thread = (per_warp + THREADS - 1) / THREADS;
    int begin = owner * per_warp + (int)threadIdx.x * per_thread;
    int end = min(min(begin + per_thread, (owner + 1) * per_warp), r.n_vocab);
    u64 mine = 0;
    for (int i = begin; i < end; i++)
        if (r.logits[i] >= floor) mine += weight_of(r, r.logits[i]);
    ahead += block_before(mine, sh);
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

// ---- thresholds by a list -----------------------------------------------------------------------

// sh.count becomes how many logits lie in this part and above.
__device__ void cumulate_counts(shared_space &sh)
{
    uint4 c = ((const uint4 *)sh.count)[threadIdx.x];
    c.y += c.x, c.z += c.y, c.w += c.z;
    uint32_t ahead = (uint32_t)block_before(c.w, sh);
    ((uint4 *)sh.count)[threadIdx.x] =
        make_uint4(c.x + ahead, c.y + ahead, c.z + ahead, c.w + ahead);
    __syncthreads();
}

__device__ __forceinline__ uint32_t logits_before(const shared_space &sh, int part)
{
    return part > 0 ? sh.count[part - 1] : 0;
}

__device__ __forceinline__ void put_in_list(shared_space &sh, int id, float logit)
{
    int at = atomicAdd(&sh.n_list, 1);
    sh.order[at] = order_of(logit), sh.id[at] = id;
}

template <typename F> __device__ __forceinline__ void each_listed(const shared_space &sh, F f)
{
    for (int i = (int)threadIdx.x; i < sh.n_list; i += THREADS)
        f(sh.order[i], sh.id[i]);
}

// As select() over the list, which holds the parts first to last and all that matters.
template <bool WEIGHTED>
__device__ uint32_t select_listed(const row_state &r, u64 target, u64 above, uint32_t floor,
                                  int first, int last, shared_space &sh)
{
    uint32_t lo = floor, hi = order_of(r.max); // parts' bounds, wider than rounding can make them
    if (first > 0) hi = min(hi, order_of(PART_TOP - ((float)first - 0.01f) / PART_PER));
    if (last < PARTS - 1) lo = max(lo, order_of(PART_TOP - ((float)last + 1.01f) / PART_PER));
    auto each = [&](auto f) { each_listed(sh, [&](uint32_t order, int) { f(order); }); };
    return narrow<WEIGHTED>(r, each, target, above, lo, hi, sh);
}

// Adds the list's weights >= floor to sh.range[]; returns the sum of all ranges.
__device__ u64 add_listed(const row_state &r, uint32_t floor, shared_space &sh)
{
    int per_warp = range_of_warp(r);
    each_listed(sh, [&](uint32_t order, int id) {
        if (order >= floor) atomicAdd(&sh.range[id / per_warp], weight_of(r, value_of(order)));
    });
    __syncthreads();
    u64 total = 0;
    for (int w = 0; w < WARPS; w++)
        total += sh.range[w];
    return total;
}

__device__ u64 sum_listed(const row_state &r, uint32_t floor, shared_space &sh)
{
    u64 sum = 0;
    each_listed(sh, [&](uint32_t order, int) {
        if (order >= floor) sum += weight_of(r, value_of(order));
    });
    return block_sum(sum, sh);
}

__device__ __forceinline__ u64 mass_target(const wf_row_sampling *p, u64 total)
{
    return max((u64)ceil((double)p->top_p * (double)total), 1ull);
}

// top_k, then top_p, where the k greatest and those of the same part fit the list. False: nothing
// was done but cumulating the counts.
__device__ bool filter_top_k(const row_state &r, uint32_t *floor, u64 *total, shared_space &sh)
{
    uint32_t k = (uint32_t)r.p->top_k;
    cumulate_counts(sh);
    for (int i = (int)threadIdx.x; i < PARTS; i += THREADS)
        if (sh.count[i] >= k && logits_before(sh, i) < k) sh.last = i; // one thread
    if (threadIdx.x == 0) sh.n_list = 0;
    if (threadIdx.x < WARPS) sh.range[threadIdx.x] = 0;
    __syncthreads();
    int last = sh.last;
    if (sh.count[last] > LIST) return false;
    float end = last < PARTS - 1 ? (float)(last + 1) : INFINITY;
    __syncthreads(); // the list's buckets lie where the counts are
    each_logit(r, [&](int i, float x) {
        if (place_of(x) < end) put_in_list(sh, i, x);
    });
    __syncthreads();
    *floor = max(*floor, select_listed<false>(r, k, 0, *floor, 0, last, sh));
    if (r.p->top_p < 1.0f) {
        u64 target = mass_target(r.p, sum_listed(r, *floor, sh));
        *floor = select_listed<true>(r, target, 0, *floor, 0, last, sh);
    }
    *total = add_listed(r, *floor, sh);
    return true;
}

// The part where the mass of top_p is reached, if all logits of a part lay in its middle; then as
// many parts beside it as the list may hold: sh.first to sh.last. False: the list is too short.
__device__ bool choose_parts(const row_state &r, uint32_t floor, shared_space &sh)
{
    int begin = (int)threadIdx.x * 4, least = floor > 0 ? coarse_of(value_of(floor)) : PARTS - 1;
    u64 mass[4], sum = 0;
    cumulate_counts(sh);
    for (int k = 0; k < 4; k++) {
        uint32_t n = sh.count[begin + k] - logits_before(sh, begin + k);
        float middle = PART_TOP - ((float)(begin + k) + 0.5f) / PART_PER;
        float typical = begin + k > 0 ? fminf(middle, r.max) : r.max;
        mass[k] = n > 0 && begin + k <= least ? n * weight_of(r, typical) : 0;
        sum += mass[k];
    }
    u64 ahead = block_before(sum, sh), total = block_sum(sum, sh);
    u64 target = mass_target(r.p, total);
    if (threadIdx.x == 0) sh.n_list = 0, sh.index = -1, sh.last = 0, sh.first = PARTS;
    __syncthreads();
    for (int k = 0; k < 4; k++) {
        if (ahead < target && ahead + mass[k] >= target) sh.index = begin + k; // one thread
        ahead += mass[k];
    }
    __syncthreads();
    int part = sh.index;
    if (part < 0 || sh.count[part] - logits_before(sh, part) > LIST - 2 * LIST_BESIDE) return false;
    uint32_t before = logits_before(sh, part), upto = sh.count[part];
    int first = PARTS, last = 0;
    for (int i = begin; i < begin + 4; i++) {
        if (i <= part && before - min(before, logits_before(sh, i)) <= LIST_BESIDE)
            first = min(first, i);
        if (i >= part && sh.count[i] - upto <= LIST_BESIDE) last = max(last, i);
    }
    atomicMin(&sh.first, __reduce_min_sync(0xffffffffu, first));
    atomicMax(&sh.last, __reduce_max_sync(0xffffffffu, last));
    __syncthreads();
    return true;
}

// top_p alone. False: the list was too short or did not hold the threshold.
__device__ bool filter_top_p(const row_state &r, uint32_t *floor, u64 *total, shared_space &sh)
{
    if (!choose_parts(r, *floor, sh)) return false;
    int first = sh.first, last = sh.last;
    float begin = first > 0 ? (float)first : -INFINITY, least = value_of(*floor);
    float end = last < PARTS - 1 ? (float)(last + 1) : INFINITY;
    u64 above = 0, below = 0;
    each_in_ranges(r, [&](int i, float x) {
        if (!(x >= least)) return;
        float place = place_of(x);
        if (place >= begin && place < end) {
            put_in_list(sh, i, x);
        } else {
            u64 weight = weight_of(r, x);
            if (place < begin)
                above += weight;
            else
                below += weight;
        }
    });
    above = store_ranges(above, sh);
    below = block_sum(below, sh);
    u64 listed = sum_listed(r, *floor, sh), target = mass_target(r.p, above + listed + below);
    if (target <= above || target > above + listed) return false;
    *floor = select_listed<true>(r, target, above, *floor, first, last, sh);
    *total = add_listed(r, *floor, sh);
    return true;
}

// The same by passes over all logits.
__device__ u64 filter_all(const row_state &r, bool by_k, bool by_p, uint32_t *floor,
                          shared_space &sh)
{
    __syncthreads();
    if (by_k) *floor = max(*floor, select<false>(r, (u64)r.p->top_k, *floor, sh));
    if (by_p) {
        u64 target = mass_target(r.p, sum_ranges(r, value_of(*floor), sh));
        *floor = select<true>(r, target, *floor, sh);
    }
    return sum_ranges(r, value_of(*floor), sh);
}

__device__ __forceinline__ bool by_top_k(const row_state &r)
{
    return r.p->top_k > 0 && r.p->top_k < r.n_vocab;
}

__device__ int32_t draw_filtered(row_state &r, int32_t pos, shared_space &sh)
{
    const wf_row_sampling *p = r.p;
    bool by_k = by_top_k(r), by_p = p->top_p < 1.0f;
    uint32_t least = 0;
    u64 total = 0;
    if (p->min_p > 0.0f) {
        double logit = (double)r.max + (double)p->temperature * log((double)p->min_p);
        least = min(order_of(__double2float_ru(logit)), order_of(r.max));
    }
    uint32_t floor = least;
    bool done = by_k   ? filter_top_k(r, &floor, &total, sh)
                : by_p ? filter_top_p(r, &floor, &total, sh)
                       : false;
    if (!done) {
        floor = least;
        total = filter_all(r, by_k, by_p, &floor, sh);
    }
    r.floor = value_of(floor);
    return draw(r, r.floor, total, pos, sh);
}

// log(sum(exp((logit - max) / temperature))) of the logits from the floor on, in double, in an
// order that depends on n_vocab alone.
__device__ double log_sum(const row_state &r, shared_space &sh)
{
    double sum = 0.0;
    each_logit(r, [&](int, float x) {
        if (x >= r.floor) sum += (double)expf(gap_of(r, x) * r.inverse_temperature);
    });
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

__device__ __forceinline__ float logprob_of(const row_state &r, float logit, double log_total)
{
    if (logit < r.floor) return -INFINITY;
    double gap = logit == r.max ? 0.0 : (double)logit - (double)r.max;
    return (float)(gap * (double)r.inverse_temperature - log_total);
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
            logprob[k] = logprob_of(r, r.logits[token], log_total);
        }
    }
}

// Sum and best logprobs of the logits as they are now, at the temperature and from the floor set.
__device__ double write_top(const wf_sample_args &a, const row_state &r, int64_t i,
                            shared_space &sh)
{
    double log_total = log_sum(r, sh);
    if (a.top_id != nullptr)
        top_logprobs(r, a.n_top, log_total, a.top_id + i * a.n_top, a.top_logprob + i * a.n_top,
                     sh);
    return log_total;
}

// Raw logprobs of a row that sampling is about to change; *max: its greatest logit.
__device__ double write_raw_top(const wf_sample_args &a, row_state &r, int64_t i, float *max,
                                shared_space &sh)
{
    prepare<false>(r, nullptr, 0, sh);
    double log_total = write_top(a, r, i, sh);
    *max = r.max;
    __syncthreads();
    return log_total;
}

static __global__ void __launch_bounds__(THREADS) sample_kernel(wf_sample_args a)
{
    __shared__ shared_space sh;
    let_next_start();
    wait_for_previous();
    int64_t i = blockIdx.x;
    int32_t row = a.row[i], pos = a.pos[i];
    row_state r = {&a.sampling[row], (float *)a.logits.data + i * a.logits.stride, a.n_vocab};
    r.inverse_temperature = 1.0f, r.floor = -INFINITY;
    bool penalises = a.counts != nullptr && wf_sampling_penalises(r.p);
    const uint16_t *counts = penalises ? a.counts + row * a.counts_stride : nullptr;
    int32_t n_masked = wf_sample_n_masked(r.p, pos);
    bool logprobs = a.logprob != nullptr || a.top_id != nullptr;
    bool wishes = a.wishes != nullptr && wf_sample_wishes(&a.wishes[i]);
    bool before = logprobs && !a.processed && (penalises || wishes || n_masked > 0);
    double log_total = 0.0;
    float raw_max = 0.0f;
    if (before) log_total = write_raw_top(a, r, i, &raw_max, sh);
    if (wishes) grant(r, a.wishes[i], a.wish_words, a.last_token[row]);
    bool counted = r.p->temperature > 0.0f && (by_top_k(r) || r.p->top_p < 1.0f);
    int32_t token =
        counted ? prepare<true>(r, counts, n_masked, sh) : prepare<false>(r, counts, n_masked, sh);
    if (r.p->temperature > 0.0f) {
        r.inverse_temperature = 1.0f / r.p->temperature;
        __syncthreads();
        token = draw_filtered(r, pos, sh);
    }
    if (threadIdx.x == 0) {
        a.token[i] = token;
        a.last_token[row] = token;
    }
    if (!logprobs) return;
    float logit = r.logits[token];
    if (before && a.raw != nullptr) logit = wf_sample_raw_logit(&a, i, token);
    if (!a.processed) r.inverse_temperature = 1.0f, r.floor = -INFINITY;
    if (before)
        r.max = raw_max;
    else
        log_total = write_top(a, r, i, sh);
    if (threadIdx.x == 0 && a.logprob != nullptr)
        a.logprob[i] = logprob_of(r, isnan(logit) ? -INFINITY : logit, log_total);
}

wf_status wf_cuda_sample(wf_backend *be, wf_stream *s, const wf_sample_args *a)
{
    WF_TRY(wf_check_sample(a, cuda_of(be)->numerics.act));
    if (a->logits.n_rows == 0) return WF_OK;
    return wf_cuda_launch(cuda_of(be), stream_of(be, s), "sample", sample_kernel,
                          dim3((unsigned)a->logits.n_rows), dim3(THREADS), 0, *a);
}
