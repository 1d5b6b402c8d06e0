// gemm by cuBLASLt: describes a product, asks for algorithms, runs one.
#include "kernels/cuda/cuda_gemm.cuh"

static_assert(sizeof(cublasLtMatmulAlgo_t) <= WF_GEMM_ALGO_BYTES, "the book stores algorithms");

static cudaDataType_t lt_type(wf_dtype dtype)
{
    switch (dtype) {
#define LT_TYPE(name, type, lt, map)                                                               \
    case WF_##name:                                                                                \
        return lt;
        WF_CUDA_TYPES(LT_TYPE)
#undef LT_TYPE
    default:
        return (cudaDataType_t)-1; // which cuBLASLt refuses
    }
}

wf_status wf_lt_check(const wf_cuda *cu, cublasStatus_t rc)
{
    if (rc == CUBLAS_STATUS_SUCCESS) return WF_OK;
    return wf_fail(WF_DEVICE, "device %d (%s) on %s: cuBLASLt: %s", cu->device, cu->gpu, cu->host,
                   cublasLtGetStatusString(rc));
}

static wf_status as_batch(const wf_cuda *cu, cublasLtMatrixLayout_t layout, int32_t n,
                          int64_t stride)
{
    WF_TRY(wf_lt_check(cu, cublasLtMatrixLayoutSetAttribute(
                               layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &n, sizeof n)));
    return wf_lt_check(
        cu, cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
                                             &stride, sizeof stride));
}

wf_status wf_lt_describe(const wf_cuda *cu, const wf_gemm_args *a, wf_lt_problem *p)
{
    cublasOperation_t transposed = CUBLAS_OP_T;
    int32_t runs = wf_gemm_runs_of(a);
    int64_t ld = a->w->n_cols;
    uint64_t n = (uint64_t)a->w->n_rows, k = (uint64_t)(ld / runs), m = (uint64_t)a->x.n_rows;
    WF_TRY(wf_lt_check(cu, cublasLtMatmulDescInit(&p->op, CUBLAS_COMPUTE_32F, CUDA_R_32F)));
    WF_TRY(wf_lt_check(cu, cublasLtMatmulDescSetAttribute(&p->op, CUBLASLT_MATMUL_DESC_TRANSA,
                                                          &transposed, sizeof transposed)));
    WF_TRY(wf_lt_check(cu, cublasLtMatrixLayoutInit(&p->w, lt_type(a->w->dtype), k, n, ld)));
    WF_TRY(wf_lt_check(
        cu, cublasLtMatrixLayoutInit(&p->x, lt_type(a->x.dtype), k, m, m > 1 ? a->x.stride : ld)));
    WF_TRY(wf_lt_check(cu, cublasLtMatrixLayoutInit(&p->y, lt_type(a->y.dtype), n, m,
                                                    m > 1 ? a->y.stride : (int64_t)n)));
    if (runs == 1) return WF_OK;
    WF_TRY(as_batch(cu, &p->w, runs, (int64_t)k));
    WF_TRY(as_batch(cu, &p->x, runs, (int64_t)k));
    return as_batch(cu, &p->y, runs, a->y.n_rows * a->y.stride);
}

cublasStatus_t wf_lt_run(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a, wf_lt_problem *p,
                         const cublasLtMatmulAlgo_t *algo)
{
    const float one = 1.0f, zero = 0.0f;
    const void *w = ((const wf_cuda_weight *)a->w)->data;
    return cublasLtMatmul(cu->lt, &p->op, &one, w, &p->w, a->x.data, &p->x, &zero, a->y.data, &p->y,
                          a->y.data, &p->y, algo, s->lt_workspace, WF_LT_WORKSPACE_BYTES, s->s);
}

int wf_lt_propose(wf_cuda *cu, wf_lt_problem *p, cublasLtMatmulHeuristicResult_t *out, int most)
{
    cublasLtMatmulPreference_t wish;
    size_t workspace = WF_LT_WORKSPACE_BYTES;
    int n = 0;
    if (cublasLtMatmulPreferenceCreate(&wish) != CUBLAS_STATUS_SUCCESS) return 0;
    (void)cublasLtMatmulPreferenceSetAttribute(wish, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                               &workspace, sizeof workspace);
    // Split-K adds up in another order; with `deterministic` it is not even proposed.
    uint32_t schemes = CUBLASLT_REDUCTION_SCHEME_NONE;
    if (cu->deterministic)
        (void)cublasLtMatmulPreferenceSetAttribute(wish, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                                                   &schemes, sizeof schemes);
    if (cublasLtMatmulAlgoGetHeuristic(cu->lt, &p->op, &p->w, &p->x, &p->y, &p->y, wish, most, out,
                                       &n) != CUBLAS_STATUS_SUCCESS)
        n = 0;
    (void)cublasLtMatmulPreferenceDestroy(wish);
    return n;
}

bool wf_lt_one_chain(const cublasLtMatmulAlgo_t *algo)
{
    uint32_t n_splits = 0, reduction = 1;
    size_t n = 0;
    return cublasLtMatmulAlgoConfigGetAttribute(algo, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, &n_splits,
                                                sizeof n_splits, &n) == CUBLAS_STATUS_SUCCESS &&
           cublasLtMatmulAlgoConfigGetAttribute(algo, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME,
                                                &reduction, sizeof reduction,
                                                &n) == CUBLAS_STATUS_SUCCESS &&
           n_splits <= 1 && reduction == CUBLASLT_REDUCTION_SCHEME_NONE;
}

bool wf_lt_fits(const wf_gemm_args *a)
{
    return a->x.dtype == a->w->dtype && rows_aligned(&a->x, 16) && (uintptr_t)a->y.data % 16 == 0 &&
           a->w->n_cols / wf_gemm_runs_of(a) % 8 == 0 &&
           (size_t)a->y.stride * wf_dtype_bytes(a->y.dtype) % 16 == 0 && a->w->n_rows >= 8;
}
