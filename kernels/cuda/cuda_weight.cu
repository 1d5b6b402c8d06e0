// Weights: row-major [n_groups][n_rows][n_cols] in their own dtype, as checkpoints have them; those
// with scales are cuda_weight8.cu's. Loading converts on the device, through a staging block, and
// returns when the source may be reused.
#include <cstdlib>

#include "kernels/cuda/cuda_num.cuh"
#include "kernels/random.h"

extern "C" {
#include "kernels/backend.h"
}

wf_status wf_cuda_weight_create(wf_backend *be, const wf_weight_shape *shape, wf_weight **out)
{
    WF_TRY(wf_check_weight_shape(shape));
    wf_cuda_weight *w = (wf_cuda_weight *)calloc(1, sizeof *w);
    if (w == nullptr) return wf_fail(WF_NO_MEMORY, "weight: out of memory");
    w->base = *shape;
    void *data = nullptr;
    bool scaled = wf_format_scaled(shape->dtype);
    wf_status st =
        scaled ? wf_weight8_create(be, w) : be->ops->alloc(be, wf_weight_bytes(shape), &data);
    if (st != WF_OK) {
        wf_cuda_weight_destroy(be, &w->base);
        return st;
    }
    if (!scaled) w->data = (char *)data;
    *out = &w->base;
    return WF_OK;
}

void wf_cuda_weight_destroy(wf_backend *be, wf_weight *weight)
{
    if (weight == nullptr) return;
    wf_cuda_weight *w = (wf_cuda_weight *)weight;
    be->ops->free(be, w->data);
    be->ops->free(be, w->scales);
    be->ops->free(be, w->zeros);
    free(weight);
}

// dst[i] = src[i]; one element per thread and step.
static __global__ void convert_kernel(void *dst, wf_dtype dst_dtype, const void *src,
                                      wf_dtype src_dtype, int64_t n)
{
    wait_for_previous();
    int64_t step = (int64_t)gridDim.x * blockDim.x;
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += step)
        store_any(dst, dst_dtype, i, load_any(src, src_dtype, i));
}

// Rows of the same dtype go straight to their place; others through scratch, as many at a time as
// fit 64 MiB.
static wf_status load_rows(wf_cuda *cu, wf_cuda_weight *w, const wf_weight_block *b)
{
    wf_stream *s = &cu->main;
    const char *src = (const char *)b->src;
    int64_t n_rows = b->n_rows, src_stride = b->src_stride;
    size_t src_size = wf_dtype_bytes(b->src_dtype), cols = (size_t)w->base.n_cols;
    size_t row_bytes = cols * wf_dtype_bytes(w->base.dtype), src_bytes = cols * src_size;
    char *dst = w->data + (size_t)(b->i_group * w->base.n_rows + b->i_row) * row_bytes;
    if (b->src_dtype == w->base.dtype) {
        WF_CU(cu,
              cudaMemcpy2DAsync(dst, row_bytes, src, (size_t)src_stride * src_size, row_bytes,
                                (size_t)n_rows, cudaMemcpyHostToDevice, s->s),
              "loading weights");
        return WF_OK;
    }
    int64_t at_once = (int64_t)(((size_t)64 << 20) / src_bytes) + 1;
    for (int64_t i = 0; i < n_rows; i += at_once) {
        int64_t n = n_rows - i < at_once ? n_rows - i : at_once;
        void *stage = nullptr;
        WF_TRY(wf_cuda_scratch(cu, s, (size_t)n * src_bytes, &stage));
        WF_CU(cu,
              cudaMemcpy2DAsync(stage, src_bytes, src + (size_t)(i * src_stride) * src_size,
                                (size_t)src_stride * src_size, src_bytes, (size_t)n,
                                cudaMemcpyHostToDevice, s->s),
              "loading weights");
        WF_TRY(wf_cuda_launch(cu, s, "converting weights", convert_kernel, dim3(1024), dim3(256), 0,
                              dst + (size_t)i * row_bytes, w->base.dtype, stage, b->src_dtype,
                              n * (int64_t)cols));
    }
    return WF_OK;
}

wf_status wf_cuda_weight_load(wf_backend *be, wf_weight *weight, const wf_weight_block *b)
{
    wf_cuda *cu = cuda_of(be);
    WF_TRY(wf_check_weight_block(weight, b));
    if (b->n_rows == 0 || weight->n_cols == 0) return WF_OK;
    WF_CU(cu, cudaSetDevice(cu->device), "selecting the device");
    WF_TRY(wf_format_scaled(weight->dtype) ? wf_weight8_load(cu, (wf_cuda_weight *)weight, b)
                                           : load_rows(cu, (wf_cuda_weight *)weight, b));
    return wf_cuda_check(cu, cudaStreamSynchronize(cu->main.s), "loading weights");
}

static __global__ void random_kernel(void *dst, wf_dtype dtype, int64_t n, uint64_t seed, float std)
{
    wait_for_previous();
    int64_t step = (int64_t)gridDim.x * blockDim.x;
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += step)
        store_any(dst, dtype, i, wf_random_weight(seed, (uint64_t)i, std));
}

static wf_status fill_random(wf_cuda *cu, wf_cuda_weight *w, uint64_t seed, float std)
{
    return wf_cuda_launch(cu, &cu->main, "random weights", random_kernel, dim3(4096), dim3(256), 0,
                          w->data, w->base.dtype,
                          w->base.n_groups * w->base.n_rows * w->base.n_cols, seed, std);
}

wf_status wf_cuda_weight_random(wf_backend *be, wf_weight *weight, uint64_t seed, float std)
{
    wf_cuda *cu = cuda_of(be);
    wf_cuda_weight *w = (wf_cuda_weight *)weight;
    WF_CU(cu, cudaSetDevice(cu->device), "selecting the device");
    WF_TRY(wf_format_scaled(weight->dtype) ? wf_weight8_random(cu, w, seed, std)
                                           : fill_random(cu, w, seed, std));
    return wf_cuda_check(cu, cudaStreamSynchronize(cu->main.s), "random weights");
}
