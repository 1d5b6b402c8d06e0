// pool: y[i] = the first, last, mean or greatest of rows x[first[i]] .. x[last[i]], column by
// column. unit_rows: y = x / max(|x|, 1e-12).
//
// pool: grid (row of y, 256 columns), a thread adds up one column in f32, tokens ascending.
// unit_rows: a block a row, its squares summed in f32. Bytes: x once, y once. Tolerance: rounding
// of f32 (of y's type).
#include "kernels/cuda/cuda_num.cuh"

extern "C" {
#include "kernels/ops/op_encode.h"
}

static __global__ void pool_kernel(wf_matrix x, const int32_t *first, const int32_t *last,
                                   wf_pooling pooling, wf_matrix y)
{
    let_next_start();
    wait_for_previous();
    int64_t i = blockIdx.x, col = (int64_t)blockIdx.y * blockDim.x + threadIdx.x;
    if (col >= y.n_cols) return;
    int64_t begin = pooling == WF_POOL_LAST ? last[i] : first[i];
    int64_t end = pooling == WF_POOL_FIRST ? begin : last[i];
    float sum = load_any(x.data, x.dtype, begin * x.stride + col);
    for (int64_t t = begin + 1; t <= end; t++) {
        float v = load_any(x.data, x.dtype, t * x.stride + col);
        sum = pooling == WF_POOL_MAX ? fmaxf(sum, v) : sum + v;
    }
    if (pooling == WF_POOL_MEAN) sum /= (float)(end - begin + 1);
    store_any(y.data, y.dtype, i * y.stride + col, sum);
}

wf_status wf_cuda_pool(wf_backend *be, wf_stream *s, const wf_pool_args *a)
{
    WF_TRY(wf_check_pool(a, cuda_of(be)->numerics.act));
    if (a->y.n_rows == 0 || a->y.n_cols == 0) return WF_OK;
    dim3 grid((unsigned)a->y.n_rows, (unsigned)div_up64(a->y.n_cols, 256));
    return wf_cuda_launch(cuda_of(be), stream_of(be, s), "pool", pool_kernel, grid, dim3(256), 0,
                          a->x, a->first, a->last, a->pooling, a->y);
}

static __global__ void unit_rows_kernel(wf_matrix x, bool plain, wf_matrix y)
{
    __shared__ float slots[32];
    let_next_start();
    wait_for_previous();
    int64_t i = blockIdx.x;
    float squares = 0.0f;
    for (int64_t k = threadIdx.x; k < x.n_cols; k += blockDim.x) {
        float v = load_any(x.data, x.dtype, i * x.stride + k);
        squares += v * v;
    }
    float length = plain ? 1.0f : fmaxf(sqrtf(block_sum(squares, slots)), (float)WF_LEAST_LENGTH);
    for (int64_t k = threadIdx.x; k < x.n_cols; k += blockDim.x)
        ((float *)y.data)[i * y.stride + k] = load_any(x.data, x.dtype, i * x.stride + k) / length;
}

wf_status wf_cuda_unit_rows(wf_backend *be, wf_stream *s, const wf_unit_rows_args *a)
{
    WF_TRY(wf_check_unit_rows(a, cuda_of(be)->numerics.act));
    if (a->x.n_rows == 0 || a->x.n_cols == 0) return WF_OK;
    return wf_cuda_launch(cuda_of(be), stream_of(be, s), "unit_rows", unit_rows_kernel,
                          dim3((unsigned)a->x.n_rows), dim3(256), 0, a->x, a->plain, a->y);
}
