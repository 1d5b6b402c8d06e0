// What stands round the products of experts: route, pack_pairs, combine (ops.h).
//
// route       a warp per token; lane l has experts l, l + 32 ...
// pack_pairs  a block per expert: counts the pairs of experts before its own, then lists its own in
//             order. No block waits for another, and nothing but the pairs decides where they go.
// combine     a thread per piece of a token's row: 16 bytes where rows allow it, else one number
//
// Scores and sums are f32. Bytes: route 4 T n, pack_pairs 4 P E from the L2, combine (C + 1) H act.
// Tolerance: 1e-6 relative for scores, rounding of y.
#include "kernels/cuda/cuda_num.cuh"

extern "C" {
#include "kernels/ops/op_experts.h"
}

#define LANES     32
#define ROUTE     128 // threads of a block: tokens times 32
#define PACK      256
#define FULL_MASK 0xffffffffu

// ---- route --------------------------------------------------------------------------------------

struct candidate {
    float value;
    int id;
};

__device__ __forceinline__ candidate better(candidate a, candidate b)
{
    bool first = a.value > b.value || (a.value == b.value && a.id < b.id);
    return first ? a : b;
}

// Numbers in the order of unsigned integers, and back.
__device__ __forceinline__ uint32_t order_of(float x)
{
    uint32_t bits = __float_as_uint(x);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}
__device__ __forceinline__ float of_order(uint32_t order)
{
    return __uint_as_float(order & 0x80000000u ? order & 0x7fffffffu : ~order);
}

// The greatest over the warp, the lowest id on ties.
__device__ __forceinline__ candidate warp_best(candidate c)
{
    uint32_t mine = order_of(c.value), best = __reduce_max_sync(FULL_MASK, mine);
    uint32_t id = mine == best ? (uint32_t)c.id : (uint32_t)INT32_MAX;
    return {of_order(best), (int)__reduce_min_sync(FULL_MASK, id)};
}

// The greatest of the experts [begin, end) but `without`.
template <int PER_LANE>
__device__ __forceinline__ candidate best_of(const float *choice, int begin, int end, int without)
{
    candidate c = {-INFINITY, INT32_MAX};
    int lane = (int)threadIdx.x % LANES;
#pragma unroll
    for (int i = 0; i < PER_LANE; i++) {
        int e = i * LANES + lane;
        if (e >= begin && e < end && e != without) c = better(c, candidate{choice[i], e});
    }
    return warp_best(c);
}

template <int PER_LANE>
__device__ __forceinline__ void scores_of(const wf_route_args &a, const float *logit, float *score)
{
    int lane = (int)threadIdx.x % LANES, n = (int)a.logits.n_cols;
    float most = -INFINITY, sum = 0.0f;
#pragma unroll
    for (int i = 0; i < PER_LANE; i++) {
        score[i] = i * LANES + lane < n ? logit[i * LANES + lane] : -INFINITY;
        most = fmaxf(most, score[i]);
    }
    for (int i = 16; i > 0; i >>= 1)
        most = fmaxf(most, __shfl_xor_sync(FULL_MASK, most, i));
#pragma unroll
    for (int i = 0; i < PER_LANE; i++) {
        bool real = i * LANES + lane < n && !isnan(score[i]);
        float x =
            a.score == WF_SCORE_SIGMOID ? 1.0f / (1.0f + expf(-score[i])) : expf(score[i] - most);
        score[i] = real ? x : 0.0f;
        sum += score[i];
    }
    sum = warp_sum(sum);
#pragma unroll
    for (int i = 0; a.score == WF_SCORE_SOFTMAX && i < PER_LANE; i++)
        score[i] = score[i] / sum;
}

// Leaves the experts of the best groups; lane g keeps what group g is worth.
template <int PER_LANE>
__device__ __forceinline__ void keep_best_groups(const wf_route_args &a, float *choice)
{
    int lane = (int)threadIdx.x % LANES, each = (int)a.logits.n_cols / a.n_groups;
    uint32_t kept = 0;
    candidate mine = {-INFINITY, lane};
    for (int g = 0; g < a.n_groups; g++) {
        candidate best = best_of<PER_LANE>(choice, g * each, (g + 1) * each, -1);
        float worth = best.value;
        if (a.score == WF_SCORE_SIGMOID && each > 1)
            worth += best_of<PER_LANE>(choice, g * each, (g + 1) * each, best.id).value;
        if (lane == g) mine.value = worth;
    }
    for (int i = 0; i < a.n_best_groups; i++) {
        candidate best = warp_best(mine);
        kept |= 1u << best.id;
        if (lane == best.id) mine.value = -INFINITY;
    }
#pragma unroll
    for (int i = 0; i < PER_LANE; i++) {
        int e = i * LANES + lane;
        if (e < (int)a.logits.n_cols && !(kept >> (e / each) & 1u)) choice[i] = -INFINITY;
    }
}

template <int PER_LANE> // experts of a lane
static __global__ void __launch_bounds__(ROUTE) route_kernel(wf_route_args a)
{
    int lane = (int)threadIdx.x % LANES, n = (int)a.logits.n_cols;
    int64_t t = ((int64_t)blockIdx.x * ROUTE + threadIdx.x) / LANES;
    float score[PER_LANE], choice[PER_LANE], mine = 0.0f, sum = 0.0f;
    int mine_id = 0;
    let_next_start();
    wait_for_previous();
    if (t >= a.logits.n_rows) return;
    scores_of<PER_LANE>(a, (const float *)a.logits.data + t * a.logits.stride, score);
#pragma unroll
    for (int i = 0; i < PER_LANE; i++) {
        int e = i * LANES + lane;
        choice[i] = score[i] + (a.choice_bias != nullptr && e < n ? a.choice_bias[e] : 0.0f);
    }
    if (a.n_groups > 1) keep_best_groups<PER_LANE>(a, choice);
    for (int c = 0; c < a.n_choices; c++) {
        candidate best = best_of<PER_LANE>(choice, 0, n, -1);
        float taken = 0.0f;
        if (best.id >= n) best.id = 0; // nothing but NaN
#pragma unroll
        for (int i = 0; i < PER_LANE; i++)
            if (i * LANES + lane == best.id) {
                taken = score[i];
                choice[i] = -INFINITY;
            }
        taken = __shfl_sync(FULL_MASK, taken, best.id % LANES);
        sum += taken;
        if (lane == c) mine = taken, mine_id = best.id;
    }
    if (lane >= a.n_choices) return;
    a.expert[t * a.n_choices + lane] = mine_id;
    a.weight[t * a.n_choices + lane] = (a.renormalise ? mine / sum : mine) * a.scale;
}

wf_status wf_cuda_route(wf_backend *be, wf_stream *s, const wf_route_args *a)
{
    wf_cuda *cu = cuda_of(be);
    WF_TRY(wf_check_route(a, cu->numerics.act));
    if (a->n_groups > LANES)
        return wf_fail(WF_INTERNAL, "route: %d groups, at most %d", a->n_groups, LANES);
    if (a->logits.n_rows == 0) return WF_OK;
    auto kernel = a->logits.n_cols <= 128   ? route_kernel<4>
                  : a->logits.n_cols <= 256 ? route_kernel<8>
                                            : route_kernel<WF_MAX_EXPERTS / LANES>;
    return wf_cuda_launch(cu, stream_of(be, s), "route", kernel,
                          dim3((unsigned)div_up64(a->logits.n_rows, ROUTE / LANES)), dim3(ROUTE), 0,
                          *a);
}

// ---- pack_pairs ---------------------------------------------------------------------------------

// The sums over a block of two counts, the same in every thread. Called once.
__device__ __forceinline__ int2 block_counts(int2 x, int2 *slots)
{
    int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32;
    x.x = __reduce_add_sync(FULL_MASK, x.x);
    x.y = __reduce_add_sync(FULL_MASK, x.y);
    if (lane == 0) slots[warp] = x;
    __syncthreads();
    int2 y = lane < PACK / 32 ? slots[lane] : make_int2(0, 0);
    return make_int2(__reduce_add_sync(FULL_MASK, y.x), __reduce_add_sync(FULL_MASK, y.y));
}

// Block e. Expert -1 stands for those of other ranks: block 0 marks their pairs.
static __global__ void __launch_bounds__(PACK) pack_pairs_kernel(wf_pack_pairs_args a)
{
    __shared__ int2 slots[PACK / 32];
    __shared__ int warp_count[2][PACK / 32];
    int me = (int)blockIdx.x, warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32;
    int2 n = make_int2(0, 0); // pairs of experts before mine, of mine
    let_next_start();
    wait_for_previous();
    for (int p = (int)threadIdx.x; p < a.n_pairs; p += PACK) {
        int e = a.expert[p] - a.first_expert;
        n.x += e >= 0 && e < me;
        n.y += e == me;
        if (me == 0 && (e < 0 || e >= a.n_experts)) a.row[p] = -1;
    }
    n = block_counts(n, slots);
    if (threadIdx.x == 0) {
        a.begin[me] = n.x;
        if (me == a.n_experts - 1) a.begin[me + 1] = n.x + n.y;
    }
    if (n.y == 0) return;
    int at = n.x, turn = 0;
    for (int first = 0; first < a.n_pairs; first += PACK, turn ^= 1) {
        int p = first + (int)threadIdx.x;
        bool mine = p < a.n_pairs && a.expert[p] - a.first_expert == me;
        uint32_t in_warp = __ballot_sync(FULL_MASK, mine);
        if (lane == 0) warp_count[turn][warp] = __popc(in_warp);
        __syncthreads(); // two sets of counts: one barrier a turn
        int before = 0, all = 0;
        for (int w = 0; w < PACK / 32; w++) {
            before += w < warp ? warp_count[turn][w] : 0;
            all += warp_count[turn][w];
        }
        if (mine) {
            int row = at + before + __popc(in_warp & ((1u << lane) - 1u));
            a.pair[row] = p;
            a.row[p] = row;
        }
        at += all;
    }
}

wf_status wf_cuda_pack_pairs(wf_backend *be, wf_stream *s, const wf_pack_pairs_args *a)
{
    wf_cuda *cu = cuda_of(be);
    WF_TRY(wf_check_pack_pairs(a, cu->numerics.act));
    return wf_cuda_launch(cu, stream_of(be, s), "pack_pairs", pack_pairs_kernel,
                          dim3((unsigned)a->n_experts), dim3(PACK), 0, *a);
}

// ---- combine ------------------------------------------------------------------------------------

// Runs are kept apart until the end, at most 8 of them.
template <typename T, int VEC, int RUNS>
static __global__ void combine_kernel(wf_combine_args a, int64_t n_pieces)
{
    typedef vec<T, VEC> piece;
    let_next_start();
    wait_for_previous();
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x, per_row = a.y.n_cols / VEC;
    int64_t t = i / per_row, at = i % per_row * VEC;
    float sum[RUNS][VEC] = {};
    if (i >= n_pieces) return;
    if (a.shared.data != nullptr) {
        float g = a.shared_gate != nullptr ? 1.0f / (1.0f + expf(-a.shared_gate[t])) : 1.0f;
#pragma unroll
        for (int r = 0; r < RUNS; r++) {
            const T *from = (const T *)a.shared.data + r * a.shared_run_stride;
            piece x = *(const piece *)(from + t * a.shared.stride + at);
#pragma unroll
            for (int j = 0; j < VEC; j++)
                sum[r][j] = g * to_f32(x.v[j]);
        }
    }
    for (int64_t p = t * a.n_choices; p < (t + 1) * a.n_choices; p++) {
        int32_t row = a.row[p];
        float w = a.weight[p];
        if (row < 0) continue;
#pragma unroll
        for (int r = 0; r < RUNS; r++) {
            const T *from = (const T *)a.x.data + r * a.run_stride;
            piece x = *(const piece *)(from + row * a.x.stride + at);
#pragma unroll
            for (int j = 0; j < VEC; j++)
                sum[r][j] = __fmaf_rn(w, to_f32(x.v[j]), sum[r][j]);
        }
    }
#pragma unroll
    for (int step = 1; step < RUNS; step *= 2)
#pragma unroll
        for (int r = 0; r + step < RUNS; r += 2 * step)
#pragma unroll
            for (int j = 0; j < VEC; j++)
                sum[r][j] = __fadd_rn(sum[r][j], sum[r + step][j]);
    for (int j = 0; j < VEC; j++)
        store_any(a.y.data, a.y.dtype, t * a.y.stride + at + j, sum[0][j]);
}

template <typename T, int VEC>
static wf_status combine_runs(wf_cuda *cu, wf_stream *s, const wf_combine_args *a)
{
    int64_t n = a->y.n_rows * a->y.n_cols / VEC;
    auto kernel = a->k_runs == 8   ? combine_kernel<T, VEC, 8>
                  : a->k_runs == 4 ? combine_kernel<T, VEC, 4>
                  : a->k_runs == 2 ? combine_kernel<T, VEC, 2>
                                   : combine_kernel<T, VEC, 1>;
    return wf_cuda_launch(cu, s, "combine", kernel, dim3((unsigned)div_up64(n, 256)), dim3(256), 0,
                          *a, n);
}

// Pieces of 8 bytes of 2-byte numbers, 16 of f32: more threads than with wider ones.
wf_status wf_cuda_combine(wf_backend *be, wf_stream *s, const wf_combine_args *a)
{
    wf_cuda *cu = cuda_of(be);
    WF_TRY(wf_check_combine(a, cu->numerics.act));
    if (a->y.n_rows == 0 || a->y.n_cols == 0) return WF_OK;
    bool aligned = rows_aligned(&a->x, 16) && a->run_stride % 8 == 0 &&
                   a->shared_run_stride % 8 == 0 &&
                   (a->shared.data == nullptr || rows_aligned(&a->shared, 16));
    return with_dtype(a->x.dtype, [&](auto *t) {
        typedef std::remove_pointer_t<decltype(t)> T;
        return aligned ? combine_runs<T, 4>(cu, stream_of(be, s), a)
                       : combine_runs<T, 1>(cu, stream_of(be, s), a);
    });
}
