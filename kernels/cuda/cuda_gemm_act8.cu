// gemm with weights and activations in fp8, for many rows: y = (x' W^T) sx sw (+ bias) by cuBLASLt,
// where x' is each row of x over its greatest magnitude, rounded to fp8
// (wf_numerics.act_fp8).
//
// x [M, K] bf16 or f16, rows of 4 bytes; W [N, K] fp8 with a scale for each row, N a multiple of
// 16; y [M, N] act or f32. Rounding x leaves about 2^-5 of each of its numbers. The order of k is
// that of cuda_w8.cuh in both, and padding is zeros in both.
#include "kernels/cuda/cuda_gemm.cuh"
#include "kernels/cuda/cuda_w8.cuh"

#define ROW_THREADS 256

__device__ __forceinline__ float greatest_of_two(float most, uint32_t two, __nv_bfloat16 *)
{
    float2 v = __bfloat1622float2(*(__nv_bfloat162 *)&two);
    return fmaxf(most, fmaxf(fabsf(v.x), fabsf(v.y)));
}
__device__ __forceinline__ float greatest_of_two(float most, uint32_t two, __half *)
{
    float2 v = __half22float2(*(__half2 *)&two);
    return fmaxf(most, fmaxf(fabsf(v.x), fabsf(v.y)));
}

// The greatest magnitude of a row, the same in every thread.
template <typename T> __device__ __forceinline__ float row_greatest(const T *x, int64_t k)
{
    __shared__ float slots[ROW_THREADS / 32];
    float most = 1e-30f; // of zeros: any scale serves
    for (int64_t i = 2 * (int64_t)threadIdx.x; i < k; i += 2 * ROW_THREADS)
        if (i + 1 < k)
            most = greatest_of_two(most, *(const uint32_t *)(x + i), (T *)nullptr);
        else
            most = fmaxf(most, fabsf(to_f32(x[i])));
    for (int i = 16; i > 0; i >>= 1)
        most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, i));
    if (threadIdx.x % 32 == 0) slots[threadIdx.x / 32] = most;
    __syncthreads();
    for (int i = 0; i < ROW_THREADS / 32; i++)
        most = fmaxf(most, slots[i]);
    return most;
}

// out row = x row / scale in the order of w8_place, scales[row] = scale. A block for each row,
// words of four numbers.
template <typename T>
static __global__ void __launch_bounds__(ROW_THREADS)
    quantize_rows_kernel(wf_matrix x, uint32_t *out, int64_t pitch, float *scales)
{
    wait_for_previous();
    let_next_start();
    const T *row = (const T *)x.data + blockIdx.x * x.stride;
    float most = row_greatest(row, x.n_cols), up = __fdiv_rn(448.0f, most);
    if (threadIdx.x == 0) scales[blockIdx.x] = __fdiv_rn(most, 448.0f);
    uint32_t *to = out + blockIdx.x * (pitch / 4);
    for (int64_t i = threadIdx.x; i < pitch / 4; i += ROW_THREADS) {
        int t = (int)(i % 4), c = (int)(i / 4 % 4), h = (int)(i / 16 % 2);
        int64_t k = i / 32 * W8_GROUP + 64 * h + 16 * c + 2 * t;
        uint32_t word = 0;
#pragma unroll
        for (int b = 0; b < 4; b++) { // k, k + 8, k + 1, k + 9
            int64_t at = k + b % 2 * 8 + b / 2;
            float v = at < x.n_cols ? to_f32(row[at]) * up : 0.0f;
            word |= (uint32_t)w8_of(v, WF_FP8) << (8 * b);
        }
        to[i / 32 * 32 + t * 8 + h * 4 + c] = word;
    }
}

// Of one product, in a stream's scratch: rows in fp8, their scales, and sums that wait for a bias.
struct act8_scratch {
    uint8_t *x;
    float *scales, *sums;
};

static wf_status open_scratch(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a, act8_scratch *out)
{
    size_t m = (size_t)a->x.n_rows, x_bytes = m * (size_t)w8_pitch(a->w->n_cols);
    size_t scale_bytes = (m * 4 + 255) / 256 * 256;
    size_t sum_bytes = a->bias != nullptr ? m * (size_t)a->w->n_rows * 4 : 0;
    void *data = nullptr;
    WF_TRY(wf_cuda_scratch(cu, s, x_bytes + scale_bytes + sum_bytes, &data));
    out->x = (uint8_t *)data;
    out->scales = (float *)(out->x + x_bytes);
    out->sums = (float *)(out->x + x_bytes + scale_bytes);
    return WF_OK;
}

template <typename V>
static cublasStatus_t set(wf_lt_problem *p, cublasLtMatmulDescAttributes_t what, V value)
{
    return cublasLtMatmulDescSetAttribute(&p->op, what, &value, sizeof value);
}

static wf_status describe(const wf_cuda *cu, const wf_gemm_args *a, const act8_scratch *at,
                          const wf_matrix *y, wf_lt_problem *p)
{
    const float *w_scales = ((const wf_cuda_weight *)a->w)->scales, *x_scales = at->scales;
    int32_t by_row = CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F;
    uint64_t n = (uint64_t)a->w->n_rows, m = (uint64_t)a->x.n_rows;
    int64_t k = w8_pitch(a->w->n_cols);
    cudaDataType_t y_type = y->dtype == WF_F32    ? CUDA_R_32F
                            : y->dtype == WF_BF16 ? CUDA_R_16BF
                                                  : CUDA_R_16F;
    WF_TRY(wf_lt_check(cu, cublasLtMatmulDescInit(&p->op, CUBLAS_COMPUTE_32F, CUDA_R_32F)));
    WF_TRY(wf_lt_check(cu, set(p, CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T)));
    WF_TRY(wf_lt_check(cu, set(p, CUBLASLT_MATMUL_DESC_A_SCALE_MODE, by_row)));
    WF_TRY(wf_lt_check(cu, set(p, CUBLASLT_MATMUL_DESC_B_SCALE_MODE, by_row)));
    WF_TRY(wf_lt_check(cu, set(p, CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, w_scales)));
    WF_TRY(wf_lt_check(cu, set(p, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, x_scales)));
    WF_TRY(wf_lt_check(cu, cublasLtMatrixLayoutInit(&p->w, CUDA_R_8F_E4M3, (uint64_t)k, n, k)));
    WF_TRY(wf_lt_check(cu, cublasLtMatrixLayoutInit(&p->x, CUDA_R_8F_E4M3, (uint64_t)k, m, k)));
    return wf_lt_check(cu, cublasLtMatrixLayoutInit(&p->y, y_type, n, m, y->stride));
}

// Where cuBLASLt writes: y, or the sums that wait for a bias.
static wf_matrix product_of(const wf_gemm_args *a, const act8_scratch *at)
{
    if (a->bias == nullptr) return a->y;
    return wf_matrix_of(at->sums, WF_F32, a->y.n_rows, a->y.n_cols);
}

bool wf_gemm_act8_fits(const wf_cuda *cu, const wf_gemm_args *a)
{
    return cu->numerics.act_fp8 && !cu->deterministic && a->w->dtype == WF_FP8 &&
           a->w->block == 0 && a->k_runs <= 1 && a->x.dtype != WF_F32 &&
           a->x.n_rows >= WF_ACT8_LEAST_ROWS && (uintptr_t)a->x.data % 4 == 0 &&
           a->x.stride % 2 == 0 && a->w->n_rows % 16 == 0 && (uintptr_t)a->y.data % 16 == 0 &&
           (size_t)a->y.stride * wf_dtype_bytes(a->y.dtype) % 16 == 0;
}

int wf_gemm_act8_propose(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a,
                         cublasLtMatmulHeuristicResult_t *out, int most)
{
    act8_scratch at;
    wf_lt_problem p;
    if (open_scratch(cu, s, a, &at) != WF_OK) return 0;
    wf_matrix y = product_of(a, &at);
    return describe(cu, a, &at, &y, &p) == WF_OK ? wf_lt_propose(cu, &p, out, most) : 0;
}

wf_status wf_gemm_act8_run(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a,
                           const cublasLtMatmulAlgo_t *algo)
{
    act8_scratch at;
    wf_lt_problem p;
    const float one = 1.0f, zero = 0.0f;
    const void *w = ((const wf_cuda_weight *)a->w)->data;
    WF_TRY(open_scratch(cu, s, a, &at));
    wf_matrix y = product_of(a, &at);
    WF_TRY(describe(cu, a, &at, &y, &p));
    WF_TRY(with_half(a->x.dtype, [&](auto *t) {
        typedef std::remove_pointer_t<decltype(t)> T;
        return wf_cuda_launch(cu, s, "rounding rows", quantize_rows_kernel<T>,
                              dim3((unsigned)a->x.n_rows), dim3(ROW_THREADS), 0, a->x,
                              (uint32_t *)at.x, w8_pitch(a->w->n_cols), at.scales);
    }));
    WF_TRY(wf_lt_check(cu, cublasLtMatmul(cu->lt, &p.op, &one, w, &p.w, at.x, &p.x, &zero, y.data,
                                          &p.y, y.data, &p.y, algo, s->lt_workspace,
                                          WF_LT_WORKSPACE_BYTES, s->s)));
    if (a->bias == nullptr) return WF_OK;
    return wf_gemm_add_bias(cu, s, at.sums, y.stride, a->bias, &a->y);
}
