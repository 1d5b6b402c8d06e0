// heads_gemm, latent_append and latent_attention for any shape; the last has a faster way where
// the cache is of 2-byte numbers and rows are 512 + 64 (cuda_latent_mma.cu).
#include "kernels/cuda/cuda_latent.cuh"

// ---- heads_gemm: a block for 64 rows and 32 columns of a head -----------------------------------
//
// Both operands go through shared memory as f32 or as they are; sums are f32, one chain of 16-wide
// steps over k whatever the rows beside, so results do not depend on the batch.

#define GEMM_ROWS  64
#define GEMM_COLS  32
#define GEMM_STEP  32
#define GEMM_WARPS 4

struct gemm_args {
    wf_matrix x, y;
    int64_t x_step, y_step;
    const void *w; // [heads][n][k]
    int32_t n, k;
};

// A thread has column threadIdx.x % 32 and 16 rows.
template <typename T>
static __global__ void __launch_bounds__(GEMM_WARPS * 32)
    heads_gemm_kernel(const __grid_constant__ gemm_args a)
{
    __shared__ float xs[GEMM_ROWS][GEMM_STEP + 1], ws[GEMM_COLS][GEMM_STEP + 1];
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, col = (int)blockIdx.x * GEMM_COLS + lane;
    int64_t row0 = (int64_t)blockIdx.y * GEMM_ROWS, head = blockIdx.z;
    const T *x = (const T *)a.x.data + head * a.x_step;
    const T *w = (const T *)a.w + head * a.n * a.k;
    const int each = GEMM_ROWS / GEMM_WARPS;
    float sum[each] = {};
    let_next_start();
    wait_for_previous();
    for (int k0 = 0; k0 < a.k; k0 += GEMM_STEP) {
        for (int i = (int)threadIdx.x; i < GEMM_ROWS * GEMM_STEP; i += GEMM_WARPS * 32) {
            int r = i / GEMM_STEP, k = i % GEMM_STEP;
            bool real = row0 + r < a.x.n_rows && k0 + k < a.k;
            xs[r][k] = real ? to_f32(x[(row0 + r) * a.x.stride + k0 + k]) : 0.0f;
        }
        for (int i = (int)threadIdx.x; i < GEMM_COLS * GEMM_STEP; i += GEMM_WARPS * 32) {
            int c = i / GEMM_STEP, k = i % GEMM_STEP, at = (int)blockIdx.x * GEMM_COLS + c;
            bool real = at < a.n && k0 + k < a.k;
            ws[c][k] = real ? to_f32(w[(int64_t)at * a.k + k0 + k]) : 0.0f;
        }
        __syncthreads();
        for (int k = 0; k < GEMM_STEP; k++)
#pragma unroll
            for (int r = 0; r < each; r++)
                sum[r] = fmaf(xs[warp * each + r][k], ws[lane][k], sum[r]);
        __syncthreads();
    }
    if (col >= a.n) return;
#pragma unroll
    for (int r = 0; r < each; r++) {
        int64_t row = row0 + warp * each + r;
        if (row < a.x.n_rows)
            ((T *)a.y.data)[row * a.y.stride + head * a.y_step + col] = of_f32<T>(sum[r]);
    }
}

wf_status wf_cuda_heads_gemm(wf_backend *be, wf_stream *s, const wf_heads_gemm_args *a)
{
    wf_cuda *cu = cuda_of(be);
    wf_stream *st = stream_of(be, s);
    WF_TRY(wf_check_heads_gemm(a, cu->numerics.act));
    if (a->w->dtype != cu->numerics.act)
        return wf_fail(WF_INTERNAL, "heads_gemm: weights in %s beside activations in %s",
                       wf_dtype_name(a->w->dtype), wf_dtype_name(cu->numerics.act));
    if (a->x.n_rows == 0) return WF_OK;
    if (wf_heads_gemm_mma_fits(a)) return wf_heads_gemm_mma(cu, st, a);
    const wf_cuda_weight *w = (const wf_cuda_weight *)a->w;
    gemm_args args = {
        a->x, a->y, a->x_step, a->y_step, w->data, (int32_t)a->w->n_rows, (int32_t)a->w->n_cols};
    dim3 grid((unsigned)div_up64(a->w->n_rows, GEMM_COLS),
              (unsigned)div_up64(a->x.n_rows, GEMM_ROWS), (unsigned)a->w->n_groups);
    return with_dtype(cu->numerics.act, [&](auto *t) {
        auto kernel = heads_gemm_kernel<std::remove_pointer_t<decltype(t)>>;
        return wf_cuda_launch(cu, st, "heads_gemm", kernel, grid, dim3(GEMM_WARPS * 32), 0, args);
    });
}

// ---- latent_append: a block for a token ---------------------------------------------------------

#define APPEND_THREADS 128

struct append_args {
    wf_batch b;
    wf_latent_append_args in; // its batch is `b`
};

// Numbers of pair i are x[first], x[second].
__device__ __forceinline__ void rotate_pair(const wf_latent_append_args &in, int pos, int i,
                                            float *x, float *y)
{
    int half = in.rope / 2;
    float c = in.cos[(int64_t)pos * half + i], s = in.sin[(int64_t)pos * half + i], p = *x, q = *y;
    *x = p * c - q * s;
    *y = q * c + p * s;
}

static __global__ void __launch_bounds__(APPEND_THREADS)
    append_kernel(const __grid_constant__ append_args a)
{
    __shared__ float slots[APPEND_THREADS / 32];
    const wf_latent_append_args &in = a.in;
    const wf_kv &kv = in.kv;
    let_next_start();
    wait_for_previous();
    int64_t t = blockIdx.x;
    int pos = a.b.token_pos[t], half = in.rope / 2, head_dim = in.nope + in.rope;
    const int32_t *pages =
        a.b.page_table + (int64_t)a.b.seq_row[a.b.token_seq[t]] * a.b.page_stride;
    int64_t at = pages[pos / kv.page_tokens] * kv.page_stride +
                 (int64_t)(pos % kv.page_tokens) * kv.head_dim;
    int64_t c = t * in.c.stride;
    float squares = 0.0f;
    for (int d = (int)threadIdx.x; d < in.rank; d += APPEND_THREADS) {
        float x = load_any(in.c.data, in.c.dtype, c + d);
        squares += x * x;
    }
    float scale = rsqrtf(block_sum(squares, slots) / (float)in.rank + in.norm_eps);
    for (int d = (int)threadIdx.x; d < in.rank; d += APPEND_THREADS)
        store_any(kv.base, kv.dtype, at + d,
                  load_any(in.c.data, in.c.dtype, c + d) * scale * in.norm[d]);
    for (int i = (int)threadIdx.x; i < (in.n_heads + 1) * half; i += APPEND_THREADS) {
        int h = i / half, k = i % half;
        int first = in.interleaved ? 2 * k : k, second = in.interleaved ? 2 * k + 1 : k + half;
        bool is_key = h == in.n_heads;
        const wf_matrix &from = is_key ? in.c : in.q;
        int64_t src = is_key ? c + in.rank : t * in.q.stride + (int64_t)h * head_dim + in.nope;
        float x = load_any(from.data, from.dtype, src + first);
        float y = load_any(from.data, from.dtype, src + second);
        rotate_pair(in, pos, k, &x, &y);
        void *to = is_key ? kv.base : in.wide.data;
        wf_dtype dtype = is_key ? kv.dtype : in.wide.dtype;
        int64_t dst =
            is_key ? at + in.rank : t * in.wide.stride + (int64_t)h * kv.head_dim + in.rank;
        store_any(to, dtype, dst + first, x);
        store_any(to, dtype, dst + second, y);
    }
}

wf_status wf_cuda_latent_append(wf_backend *be, wf_stream *s, const wf_latent_append_args *a)
{
    wf_cuda *cu = cuda_of(be);
    WF_TRY(wf_check_latent_append(a, cu->numerics.act));
    if (a->batch->n_tokens == 0) return WF_OK;
    return wf_cuda_launch(cu, stream_of(be, s), "latent_append", append_kernel,
                          dim3((unsigned)a->batch->n_tokens), dim3(APPEND_THREADS), 0,
                          append_args{*a->batch, *a});
}

// ---- latent_attention: a block for a token and head ---------------------------------------------

#define GENERAL_WARPS  8
#define GENERAL_PIECES (WF_MAX_LATENT / 32)

struct general_args {
    wf_batch b;
    wf_latent_attention_args in; // its batch is `b`
};

// Each warp takes every 8th position and keeps its own maximum and sum, its output in shared
// memory; lanes split the row. Then the warps are combined, in order. f32 throughout.
static __global__ void __launch_bounds__(GENERAL_WARPS * 32)
    general_kernel(const __grid_constant__ general_args a)
{
    extern __shared__ float parts[]; // [warps][rank]
    __shared__ float maxima[GENERAL_WARPS], sums[GENERAL_WARPS];
    const wf_kv &kv = a.in.kv;
    let_next_start();
    wait_for_previous();
    int64_t t = blockIdx.x;
    int head = (int)blockIdx.y, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    int dim = kv.head_dim, rank = a.in.rank, pos = a.b.token_pos[t];
    const int32_t *pages =
        a.b.page_table + (int64_t)a.b.seq_row[a.b.token_seq[t]] * a.b.page_stride;
    float q[GENERAL_PIECES], max = -INFINITY, sum = 0.0f, *o = parts + warp * rank;
#pragma unroll
    for (int i = 0; i < GENERAL_PIECES; i++) {
        int d = i * 32 + lane;
        q[i] = d < dim ? load_any(a.in.q.data, a.in.q.dtype,
                                  t * a.in.q.stride + (int64_t)head * dim + d) *
                             a.in.scale
                       : 0.0f;
    }
    for (int d = lane; d < rank; d += 32)
        o[d] = 0.0f;
    for (int p = warp; p <= pos; p += GENERAL_WARPS) {
        int64_t at =
            pages[p / kv.page_tokens] * kv.page_stride + (int64_t)(p % kv.page_tokens) * dim;
        float dot = 0.0f;
#pragma unroll
        for (int i = 0; i < GENERAL_PIECES; i++)
            if (i * 32 + lane < dim) dot += q[i] * load_any(kv.base, kv.dtype, at + i * 32 + lane);
        dot = warp_sum(dot);
        float raised = fmaxf(max, dot), keep = expf(max - raised), weight = expf(dot - raised);
        max = raised;
        sum = sum * keep + weight;
        for (int d = lane; d < rank; d += 32)
            o[d] = o[d] * keep + weight * load_any(kv.base, kv.dtype, at + d);
    }
    if (lane == 0) maxima[warp] = max, sums[warp] = sum;
    __syncthreads();
    float top = -INFINITY, total = 0.0f;
    for (int w = 0; w < GENERAL_WARPS; w++)
        top = fmaxf(top, maxima[w]);
    for (int w = 0; w < GENERAL_WARPS; w++)
        total += sums[w] * expf(maxima[w] - top);
    for (int d = (int)threadIdx.x; d < rank; d += GENERAL_WARPS * 32) {
        float x = 0.0f;
        for (int w = 0; w < GENERAL_WARPS; w++)
            x += parts[w * rank + d] * expf(maxima[w] - top);
        store_any(a.in.out.data, a.in.out.dtype, t * a.in.out.stride + (int64_t)head * rank + d,
                  x / total);
    }
}

wf_status wf_cuda_latent_attention(wf_backend *be, wf_stream *s, const wf_latent_attention_args *a)
{
    wf_cuda *cu = cuda_of(be);
    wf_stream *st = stream_of(be, s);
    WF_TRY(wf_check_latent_attention(a, cu->numerics.act));
    if (a->batch->n_tokens == 0) return WF_OK;
    if (wf_latent_mma_fits(cu, a)) return wf_latent_mma(cu, st, a);
    return wf_cuda_launch(cu, st, "latent_attention", general_kernel,
                          dim3((unsigned)a->batch->n_tokens, (unsigned)a->n_heads),
                          dim3(GENERAL_WARPS * 32), (size_t)GENERAL_WARPS * (size_t)a->rank * 4,
                          general_args{*a->batch, *a});
}
