// Weights of 8 bits: bytes in the order of cuda_w8.cuh, scales and zero points row by row. Bytes
// come as checkpoints have them and are turned round on the device.
#include "kernels/cuda/cuda_w8.cuh"
#include "kernels/random.h"

extern "C" {
#include "kernels/backend.h"
}

wf_status wf_weight8_create(wf_backend *be, wf_cuda_weight *w)
{
    const wf_weight *shape = &w->base;
    size_t n_rows = (size_t)shape->n_rows, n_blocks = (size_t)wf_weight_row_blocks(shape);
    size_t n_scales = (n_rows + W8_MORE_ROWS) * n_blocks;
    void *data = nullptr, *scales = nullptr, *zeros = nullptr;
    if (wf_format_of(shape->dtype)->bits != 8)
        return wf_fail(WF_INTERNAL, "weight_create: cuda keeps no numbers in %s",
                       wf_dtype_name(shape->dtype));
    if (shape->n_groups > 1)
        return wf_fail(
            WF_CONFIG,
            "model.weights_format: back end cuda has no kernels for experts in %s; leave "
            "it out, or set parallel.backend: cpu",
            wf_dtype_name(shape->dtype));
    WF_TRY(be->ops->alloc(be, n_rows * (size_t)w8_pitch(shape->n_cols), &data));
    w->data = (char *)data;
    WF_TRY(be->ops->alloc(be, n_scales * sizeof *w->scales, &scales));
    w->scales = (float *)scales;
    if (!shape->zeros) return WF_OK;
    WF_TRY(be->ops->alloc(be, n_scales, &zeros));
    w->zeros = (int8_t *)zeros;
    return WF_OK;
}

// dst row i = src row i, each number in its place.
static __global__ void turn_round_kernel(uint8_t *dst, int64_t pitch, const uint8_t *src,
                                         int64_t n_rows, int64_t n_cols)
{
    wait_for_previous();
    int64_t step = (int64_t)gridDim.x * blockDim.x;
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < n_rows * n_cols; i += step)
        dst[i / n_cols * pitch + w8_place(i % n_cols)] = src[i];
}

// Through scratch, as many rows at a time as fit 64 MiB.
static wf_status load_numbers(wf_cuda *cu, wf_cuda_weight *w, const wf_weight_block *b)
{
    wf_stream *s = &cu->main;
    int64_t n_cols = w->base.n_cols, pitch = w8_pitch(n_cols);
    int64_t at_once = ((int64_t)64 << 20) / n_cols + 1;
    for (int64_t i = 0; i < b->n_rows; i += at_once) {
        int64_t n = b->n_rows - i < at_once ? b->n_rows - i : at_once;
        void *stage = nullptr;
        WF_TRY(wf_cuda_scratch(cu, s, (size_t)(n * n_cols), &stage));
        WF_CU(cu,
              cudaMemcpy2DAsync(stage, (size_t)n_cols, (const char *)b->src + i * b->src_stride,
                                (size_t)b->src_stride, (size_t)n_cols, (size_t)n,
                                cudaMemcpyHostToDevice, s->s),
              "loading weights");
        WF_TRY(wf_cuda_launch(cu, s, "turning weights round", turn_round_kernel, dim3(1024),
                              dim3(256), 0, (uint8_t *)w->data + (b->i_row + i) * pitch, pitch,
                              (const uint8_t *)stage, n, n_cols));
    }
    return WF_OK;
}

wf_status wf_weight8_load(wf_cuda *cu, wf_cuda_weight *w, const wf_weight_block *b)
{
    if (b->part == WF_WEIGHT_DATA) return load_numbers(cu, w, b);
    size_t n_blocks = (size_t)wf_weight_row_blocks(&w->base);
    size_t size = b->part == WF_WEIGHT_SCALE ? sizeof *w->scales : sizeof *w->zeros;
    char *part = b->part == WF_WEIGHT_SCALE ? (char *)w->scales : (char *)w->zeros;
    WF_CU(cu,
          cudaMemcpy2DAsync(part + (size_t)b->i_row * n_blocks * size, n_blocks * size, b->src,
                            (size_t)b->src_stride * size, n_blocks * size, (size_t)b->n_rows,
                            cudaMemcpyHostToDevice, cu->main.s),
          "loading scales");
    return WF_OK;
}

static __global__ void random8_kernel(uint8_t *dst, wf_dtype dtype, int64_t pitch, int64_t n_rows,
                                      int64_t n_cols, uint64_t seed, float std, float scale)
{
    wait_for_previous();
    int64_t step = (int64_t)gridDim.x * blockDim.x;
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < n_rows * n_cols; i += step)
        dst[i / n_cols * pitch + w8_place(i % n_cols)] =
            w8_of(__fdiv_rn(wf_random_weight(seed, (uint64_t)i, std), scale), dtype);
}

static __global__ void fill_kernel(float *dst, int64_t n, float x)
{
    wait_for_previous();
    int64_t step = (int64_t)gridDim.x * blockDim.x;
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += step)
        dst[i] = x;
}

wf_status wf_weight8_random(wf_cuda *cu, wf_cuda_weight *w, uint64_t seed, float std)
{
    const wf_weight *shape = &w->base;
    int64_t n_scales = shape->n_rows * wf_weight_row_blocks(shape);
    float scale = wf_random_scale(shape->dtype, std);
    if (w->zeros != nullptr)
        WF_CU(cu, cudaMemsetAsync(w->zeros, 0, (size_t)n_scales, cu->main.s), "random weights");
    WF_TRY(wf_cuda_launch(cu, &cu->main, "random weights", fill_kernel, dim3(256), dim3(256), 0,
                          w->scales, n_scales, scale));
    return wf_cuda_launch(cu, &cu->main, "random weights", random8_kernel, dim3(4096), dim3(256), 0,
                          (uint8_t *)w->data, shape->dtype, w8_pitch(shape->n_cols), shape->n_rows,
                          shape->n_cols, seed, std, scale);
}
