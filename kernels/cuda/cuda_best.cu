// best:      best[i] = (greatest of logits[i][0 .. n_valid), its id), the lowest id on ties
// best_pick: token[i] = last_token[row[i]] = id of the best over ranks
//
// logits: [n, V] f32, rows a->logits.stride apart; best: [n] (ops.h). One block per row, 16-byte
// loads, four in flight. Logits map to integers of the same order with the id, inverted, below
// them, so that one integer maximum settles ties too. Exact: equal to ref in every bit.
// Bytes: 4 V per row.
#include <climits>

#include "kernels/cuda/cuda_num.cuh"

extern "C" {
#include "kernels/ops/op_sample.h"
}

#define BEST_THREADS 1024

typedef unsigned long long u64;

// Greater for greater logits, both zeros one, NaN as -inf; then greater for lower columns.
__device__ __forceinline__ u64 rank_of(float x, int column)
{
    if (isnan(x)) x = -INFINITY;
    uint32_t bits = __float_as_uint(x == 0.0f ? 0.0f : x);
    uint32_t order = bits ^ ((bits >> 31) ? 0xffffffffu : 0x80000000u);
    return (u64)order << 32 | (0xffffffffu - (uint32_t)column);
}

__device__ __forceinline__ u64 warp_max(u64 x)
{
    for (int i = 16; i > 0; i >>= 1)
        x = max(x, (u64)__shfl_xor_sync(0xffffffffu, x, i));
    return x;
}

// The greatest rank of a row; 0 where it has no column.
__device__ __forceinline__ u64 best_in(const float *logits, int n)
{
    u64 best = 0;
    int n_wide = (uintptr_t)logits % 16 == 0 ? n / 4 : 0;
    const float4 *wide = (const float4 *)logits;
    for (int i0 = (int)threadIdx.x; i0 < n_wide; i0 += 4 * BEST_THREADS) {
        float4 x[4];
#pragma unroll
        for (int k = 0; k < 4; k++)
            if (i0 + k * BEST_THREADS < n_wide) x[k] = wide[i0 + k * BEST_THREADS];
#pragma unroll
        for (int k = 0; k < 4; k++) {
            int i = (i0 + k * BEST_THREADS) * 4;
            if (i >= n_wide * 4) break;
            best = max(best, max(max(rank_of(x[k].x, i), rank_of(x[k].y, i + 1)),
                                 max(rank_of(x[k].z, i + 2), rank_of(x[k].w, i + 3))));
        }
    }
    for (int i = n_wide * 4 + (int)threadIdx.x; i < n; i += BEST_THREADS)
        best = max(best, rank_of(logits[i], i));
    return best;
}

static __global__ void __launch_bounds__(BEST_THREADS) best_kernel(wf_best_args a)
{
    __shared__ u64 slots[BEST_THREADS / 32];
    wait_for_previous();
    let_next_start();
    int64_t row = blockIdx.x;
    u64 best = warp_max(best_in((const float *)a.logits.data + row * a.logits.stride, a.n_valid));
    if (threadIdx.x % 32 == 0) slots[threadIdx.x / 32] = best;
    __syncthreads();
    if (threadIdx.x >= 32) return;
    best = warp_max(slots[threadIdx.x]);
    if (threadIdx.x > 0) return;
    uint32_t order = (uint32_t)(best >> 32), column = 0xffffffffu - (uint32_t)best;
    a.best[row] =
        best == 0 ? wf_best{-INFINITY, INT_MAX}
                  : wf_best{__uint_as_float(order ^ ((order >> 31) ? 0x80000000u : 0xffffffffu)),
                            a.first_id + (int32_t)column};
}

static __global__ void best_pick_kernel(wf_best_pick_args a)
{
    wait_for_previous();
    let_next_start();
    int32_t i = (int32_t)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i >= a.n) return;
    wf_best best = a.best[i];
    for (int32_t r = 1; r < a.n_ranks; r++) {
        wf_best other = a.best[(int64_t)r * a.n + i];
        if (other.logit > best.logit || (other.logit == best.logit && other.id < best.id))
            best = other;
    }
    a.token[i] = best.id;
    a.last_token[a.row[i]] = best.id;
}

wf_status wf_cuda_best(wf_backend *be, wf_stream *s, const wf_best_args *a)
{
    WF_TRY(wf_check_best(a, cuda_of(be)->numerics.act));
    if (a->logits.n_rows == 0) return WF_OK;
    return wf_cuda_launch(cuda_of(be), stream_of(be, s), "best", best_kernel,
                          dim3((unsigned)a->logits.n_rows), dim3(BEST_THREADS), 0, *a);
}

wf_status wf_cuda_best_pick(wf_backend *be, wf_stream *s, const wf_best_pick_args *a)
{
    WF_TRY(wf_check_best_pick(a, cuda_of(be)->numerics.act));
    if (a->n == 0) return WF_OK;
    return wf_cuda_launch(cuda_of(be), stream_of(be, s), "best", best_pick_kernel,
                          dim3((unsigned)div_up64(a->n, 128)), dim3(128), 0, *a);
}
