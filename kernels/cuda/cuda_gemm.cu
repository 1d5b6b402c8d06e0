// gemm: y = x W^T (+ bias) by cuBLASLt, by an own kernel for few or some rows where that is faster
// (the stream and ring kernels, before Hopper the skinny ones), or by the general kernel where none
// takes the shape.
//
// The first use of a (N, K, dtypes, row bucket) measures what cuBLASLt's heuristics propose and the
// own kernels, on random rows and this weight, with the L2 flushed between; the winner is
// kept in the book, in memory and on disk (cuda_gemm_book.h), and serves every row count of its
// bucket. Inside a capture nothing can be measured: the first proposal serves until a later use
// measures.
//
// With `deterministic` a plan is taken only if its result on random rows is, bit for bit, that of
// one plain chain on the tensor cores (wf_gemm_chain): then rows, buckets and the split of a weight
// over ranks do not show. Sums by runs of k (ops.h) are one batch of such chains and an addition.
#include <cstdlib>
#include <cstring>

extern "C" {
#include "io/base/log.h"
}
#include "kernels/cuda/cuda_gemm_book.h"
#include "kernels/cuda/cuda_num.cuh"
#include "kernels/random.h"

#define N_PROPOSALS 32
#define N_RUNS      7
// Rows of a product by runs of k that are computed at once: their sums wait in scratch.
#define RUNS_ROWS   256
#define FLUSH_BYTES ((size_t)192 << 20) // more than any L2 so far
// What a kernel that starts before its turn saves within a step, by variant. For few rows the best
// of 2, 6 and 20 for whole steps of 1 and 8 rows; for some rows from steps of 32, 48 and 64 rows
// with several choices of these numbers.
static const float early_us[WF_GEMM_N_VARIANTS] = {2.0f, 2.0f, 2.0f, 2.0f, 2.0f, 4.0f, 5.0f, 5.0f};
// Results rounded to 16 bits that must be those of the chain: an algorithm that adds up in another
// order differs in about one of a thousand, after rounding, so that a few hundred tell nothing.
#define CHAIN_RESULTS ((int64_t)1 << 17)
#define CHAIN_TRIALS  1024

// Row buckets: exact to 8, then about 1.25 to 1.5 times apart.
static const int32_t bucket_rows[WF_N_ROW_BUCKETS] = {
    1,   2,   3,    4,    5,    6,    7,    8,    12,   16,   24,   32,   40,  48,
    64,  80,  96,   112,  128,  160,  192,  224,  256,  320,  384,  448,  512, 640,
    768, 896, 1024, 1280, 1536, 2048, 2560, 3072, 4096, 6144, 8192, 16384};

static int bucket_of(int64_t n_rows)
{
    int i = 0;
    while (i + 1 < WF_N_ROW_BUCKETS && bucket_rows[i] < n_rows)
        i++;
    return i;
}

// ---- one cuBLASLt product -----------------------------------------------------------------------

// Row-major y = x W^T is, column by column, Y = op(W) X with op(W) = transposed.
struct lt_problem {
    cublasLtMatmulDescOpaque_t op;
    cublasLtMatrixLayoutOpaque_t w, x, y;
};

static cudaDataType_t lt_type(wf_dtype dtype)
{
    return dtype == WF_BF16 ? CUDA_R_16BF : dtype == WF_F16 ? CUDA_R_16F : CUDA_R_32F;
}

static wf_status lt_check(const wf_cuda *cu, cublasStatus_t rc)
{
    if (rc == CUBLAS_STATUS_SUCCESS) return WF_OK;
    return wf_fail(WF_DEVICE, "device %d (%s) on %s: cuBLASLt: %s", cu->device, cu->gpu, cu->host,
                   cublasLtGetStatusString(rc));
}

static wf_status as_batch(const wf_cuda *cu, cublasLtMatrixLayout_t layout, int32_t n,
                          int64_t stride)
{
    WF_TRY(lt_check(cu, cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT,
                                                         &n, sizeof n)));
    return lt_check(
        cu, cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
                                             &stride, sizeof stride));
}

static wf_status describe(const wf_cuda *cu, const wf_gemm_args *a, lt_problem *p)
{
    cublasOperation_t transposed = CUBLAS_OP_T;
    int32_t runs = a->k_runs > 1 ? a->k_runs : 1;
    int64_t ld = a->w->n_cols;
    uint64_t n = (uint64_t)a->w->n_rows, k = (uint64_t)(ld / runs), m = (uint64_t)a->x.n_rows;
    WF_TRY(lt_check(cu, cublasLtMatmulDescInit(&p->op, CUBLAS_COMPUTE_32F, CUDA_R_32F)));
    WF_TRY(lt_check(cu, cublasLtMatmulDescSetAttribute(&p->op, CUBLASLT_MATMUL_DESC_TRANSA,
                                                       &transposed, sizeof transposed)));
    WF_TRY(lt_check(cu, cublasLtMatrixLayoutInit(&p->w, lt_type(a->w->dtype), k, n, ld)));
    WF_TRY(lt_check(
        cu, cublasLtMatrixLayoutInit(&p->x, lt_type(a->x.dtype), k, m, m > 1 ? a->x.stride : ld)));
    WF_TRY(lt_check(cu, cublasLtMatrixLayoutInit(&p->y, lt_type(a->y.dtype), n, m,
                                                 m > 1 ? a->y.stride : (int64_t)n)));
    if (runs == 1) return WF_OK;
    WF_TRY(as_batch(cu, &p->w, runs, (int64_t)k));
    WF_TRY(as_batch(cu, &p->x, runs, (int64_t)k));
    return as_batch(cu, &p->y, runs, a->y.n_rows * a->y.stride);
}

static cublasStatus_t run_lt(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a, lt_problem *p,
                             const cublasLtMatmulAlgo_t *algo)
{
    const float one = 1.0f, zero = 0.0f;
    const void *w = ((const wf_cuda_weight *)a->w)->data;
    return cublasLtMatmul(cu->lt, &p->op, &one, w, &p->w, a->x.data, &p->x, &zero, a->y.data, &p->y,
                          a->y.data, &p->y, algo, s->lt_workspace, WF_LT_WORKSPACE_BYTES, s->s);
}

static int propose(wf_cuda *cu, lt_problem *p, cublasLtMatmulHeuristicResult_t *out, int most)
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

// ---- measuring ----------------------------------------------------------------------------------

// How many times a plan is held against the chain, on rows of their own.
static int64_t chain_trials(const wf_cuda *cu, const wf_gemm_args *a, int64_t rows)
{
    int64_t each = rows * a->w->n_rows;
    if (!cu->deterministic || a->y.dtype == WF_F32 || each >= CHAIN_RESULTS) return 1;
    int64_t n = (CHAIN_RESULTS + each - 1) / each;
    return n < CHAIN_TRIALS ? n : CHAIN_TRIALS;
}

static __global__ void random_rows_kernel(void *x, wf_dtype dtype, int64_t n)
{
    int64_t step = (int64_t)gridDim.x * blockDim.x;
    wait_for_previous();
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += step)
        store_any(x, dtype, i, wf_random_weight(1, (uint64_t)i, 1.0f));
}

// Fills the L2 with lines that need no writing back, as the steps of a model leave it.
static __global__ void flush_kernel(const uint4 *data, size_t n, uint32_t *sink)
{
    uint32_t sum = 0;
    wait_for_previous();
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < n;
         i += (size_t)gridDim.x * blockDim.x)
        sum += data[i].x ^ data[i].w;
    if (sum == 0x9e3779b9u) *sink = sum; // keeps the loads
}

// What a measurement needs beside the weight; freed when it is over.
struct bench {
    void *x, *y, *flush;
    void *chain; // deterministic: the results to be met, [trials * rows][n]
    int32_t *wrong;
    int64_t trials;
    cudaEvent_t begin, end;
};

static void bench_close(bench *b)
{
    cudaFree(b->x);
    cudaFree(b->y);
    cudaFree(b->flush);
    cudaFree(b->chain);
    cudaFree(b->wrong);
    if (b->begin) cudaEventDestroy(b->begin);
    if (b->end) cudaEventDestroy(b->end);
}

// The problem of `rows` dense rows of random numbers; those of the further trials follow them.
static wf_status bench_open(wf_cuda *cu, wf_stream *s, int64_t rows, wf_gemm_args *a, bench *b)
{
    int64_t n = a->w->n_rows, k = a->w->n_cols, trials = chain_trials(cu, a, rows);
    size_t x_bytes = (size_t)(trials * rows * k) * wf_dtype_bytes(a->x.dtype);
    size_t y_bytes = (size_t)(rows * n) * wf_dtype_bytes(a->y.dtype);
    if (a->k_runs > 1) y_bytes *= (size_t)a->k_runs;
    b->trials = trials;
    WF_CU(cu, cudaMalloc(&b->x, x_bytes), "measuring GEMMs");
    WF_CU(cu, cudaMalloc(&b->y, y_bytes), "measuring GEMMs");
    WF_CU(cu, cudaMalloc(&b->flush, FLUSH_BYTES), "measuring GEMMs");
    WF_CU(cu, cudaEventCreate(&b->begin), "measuring GEMMs");
    WF_CU(cu, cudaEventCreate(&b->end), "measuring GEMMs");
    a->x = wf_matrix{b->x, a->x.dtype, rows, k, k};
    a->y = wf_matrix{b->y, a->y.dtype, rows, n, n};
    WF_TRY(wf_cuda_launch(cu, s, "measuring GEMMs", random_rows_kernel, dim3(512), dim3(256), 0,
                          b->x, a->x.dtype, trials * rows * k));
    if (!cu->deterministic) return WF_OK;
    wf_gemm_args met = *a;
    WF_CU(cu, cudaMalloc(&b->chain, (size_t)trials * y_bytes), "measuring GEMMs");
    WF_CU(cu, cudaMalloc((void **)&b->wrong, sizeof *b->wrong), "measuring GEMMs");
    met.x.n_rows = met.y.n_rows = trials * rows;
    met.y.data = b->chain;
    met.bias = nullptr;
    return wf_gemm_chain(cu, s, &met);
}

static __global__ void compare_kernel(const uint16_t *a, const uint16_t *b, int64_t n,
                                      int32_t *wrong)
{
    wait_for_previous();
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < n;
         i += (int64_t)gridDim.x * blockDim.x)
        if (a[i] != b[i]) *wrong = 1;
}

static wf_status run_plan(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a, lt_problem *p,
                          const wf_gemm_plan *plan)
{
    if (plan->kind == WF_GEMM_SKINNY) return wf_gemm_skinny(cu, s, a, plan->variant);
    return lt_check(cu, run_lt(cu, s, a, p, (const cublasLtMatmulAlgo_t *)plan->algo));
}

// One of the trials: queues the plan on its rows and the comparison.
static wf_status try_chain(wf_cuda *cu, wf_stream *s, const wf_gemm_args *asked, lt_problem *p,
                           const wf_gemm_plan *plan, const bench *b, int64_t i_trial)
{
    wf_gemm_args a = *asked;
    int64_t n = a.y.n_rows * a.y.n_cols * (a.k_runs > 1 ? a.k_runs : 1);
    size_t x_bytes = (size_t)(a.x.n_rows * a.x.stride) * wf_dtype_bytes(a.x.dtype);
    n *= (int64_t)wf_dtype_bytes(a.y.dtype) / 2;
    a.x.data = (char *)a.x.data + (size_t)i_trial * x_bytes;
    WF_TRY(run_plan(cu, s, &a, p, plan));
    return wf_cuda_launch(cu, s, "measuring GEMMs", compare_kernel, dim3(512), dim3(256), 0,
                          (const uint16_t *)b->y, (const uint16_t *)b->chain + i_trial * n, n,
                          b->wrong);
}

// Whether a plan gives the bits of the plain chain.
static bool meets_chain(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a, lt_problem *p,
                        const wf_gemm_plan *plan, const bench *b)
{
    int32_t wrong = 1;
    if (cudaMemsetAsync(b->wrong, 0, sizeof *b->wrong, s->s) != cudaSuccess) return false;
    for (int64_t i = 0; i < b->trials; i++)
        if (try_chain(cu, s, a, p, plan, b, i) != WF_OK) return false;
    if (cudaMemcpyAsync(&wrong, b->wrong, sizeof wrong, cudaMemcpyDeviceToHost, s->s) !=
            cudaSuccess ||
        cudaStreamSynchronize(s->s) != cudaSuccess)
        return false;
    if (wrong != 0)
        wf_log(WF_LOG_DEBUG, "gemm %lld x %lld, %lld rows: an algorithm differs from the chain",
               (long long)a->w->n_rows, (long long)a->w->n_cols, (long long)a->x.n_rows);
    return wrong == 0;
}

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

// Median microseconds of a plan; a plan that does not run takes for ever.
static float time_plan(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a, lt_problem *p,
                       const wf_gemm_plan *plan, const bench *b, int n_runs)
{
    float us[N_RUNS];
    if (run_plan(cu, s, a, p, plan) != WF_OK || cudaStreamSynchronize(s->s) != cudaSuccess)
        return 1e30f;
    for (int i = 0; i < n_runs; i++) {
        float ms = 0.0f;
        if (wf_cuda_launch(cu, s, "measuring GEMMs", flush_kernel, dim3(1056), dim3(256), 0,
                           (const uint4 *)b->flush, FLUSH_BYTES / 16,
                           (uint32_t *)b->flush) != WF_OK)
            return 1e30f;
        (void)cudaEventRecord(b->begin, s->s);
        if (run_plan(cu, s, a, p, plan) != WF_OK) return 1e30f;
        (void)cudaEventRecord(b->end, s->s);
        if (cudaEventSynchronize(b->end) != cudaSuccess ||
            cudaEventElapsedTime(&ms, b->begin, b->end) != cudaSuccess)
            return 1e30f;
        us[i] = ms * 1e3f;
    }
    qsort(us, (size_t)n_runs, sizeof *us, by_value);
    return us[n_runs / 2];
}

// Microseconds of a plan within a step: a kernel that may start before its turn has its first
// weights by then, which a measurement alone does not show.
static float worth(const wf_cuda *cu, const wf_gemm_plan *plan)
{
    if (plan->kind != WF_GEMM_SKINNY || !cu->overlap) return plan->us;
    return plan->us - early_us[plan->variant];
}

static void keep_faster(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a, lt_problem *p,
                        const bench *b, wf_gemm_plan *candidate, wf_gemm_plan *best)
{
    double flops = 2.0 * (double)a->x.n_rows * (double)a->w->n_rows * (double)a->w->n_cols;
    candidate->us = time_plan(cu, s, a, p, candidate, b, flops > 2e11 ? 3 : N_RUNS);
    wf_log(WF_LOG_DEBUG, "gemm %lld x %lld, %d rows: %s %d: %.2f us", (long long)a->w->n_rows,
           (long long)a->w->n_cols, best->key.rows,
           candidate->kind == WF_GEMM_SKINNY ? "own" : "cublasLt", candidate->variant,
           (double)candidate->us);
    if (candidate->kind == WF_GEMM_LT && candidate->us < best->lt_us) best->lt_us = candidate->us;
    if (worth(cu, candidate) >= worth(cu, best)) return;
    float lt_us = best->lt_us;
    wf_gemm_key key = best->key;
    *best = *candidate;
    best->lt_us = lt_us;
    best->key = key;
}

// Whether an algorithm adds up every element in one chain of k, whatever the number of rows.
static bool one_chain(const cublasLtMatmulAlgo_t *algo)
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

// Where code can start early the stream kernel takes the place of the skinny ones.
static bool own_fits(const wf_cuda *cu, const wf_gemm_args *a, int variant)
{
    if (a->k_runs > 1) return false;
    if (variant >= WF_GEMM_RING) return wf_gemm_ring_fits(cu, a);
    if (variant == WF_GEMM_STREAM) return wf_gemm_stream_fits(cu, a);
    return !cu->overlap && wf_gemm_skinny_fits(a);
}

static wf_status measure(wf_cuda *cu, wf_stream *s, const wf_gemm_args *asked, wf_gemm_plan *best)
{
    wf_gemm_args a = *asked;
    bench b = {};
    lt_problem p;
    cublasLtMatmulHeuristicResult_t found[N_PROPOSALS];
    int64_t rows = best->key.rows < 0 ? -best->key.rows : best->key.rows;
    wf_status st = bench_open(cu, s, rows, &a, &b);
    a.bias = nullptr;
    best->us = best->lt_us = 1e30f;
    if (st == WF_OK) st = describe(cu, &a, &p);
    bool forced = cu->gemm_variant >= 0 && own_fits(cu, &a, cu->gemm_variant);
    int n = st == WF_OK && !forced ? propose(cu, &p, found, N_PROPOSALS) : 0;
    for (int i = 0; i < n; i++) {
        wf_gemm_plan candidate = {};
        if (cu->deterministic && !one_chain(&found[i].algo)) continue;
        candidate.kind = WF_GEMM_LT;
        memcpy(candidate.algo, &found[i].algo, sizeof candidate.algo);
        if (cu->deterministic && !meets_chain(cu, s, &a, &p, &candidate, &b)) continue;
        keep_faster(cu, s, &a, &p, &b, &candidate, best);
    }
    for (int v = 0; st == WF_OK && !cu->deterministic && v < WF_GEMM_N_VARIANTS; v++) {
        wf_gemm_plan candidate = {};
        if (!own_fits(cu, &a, v) || (forced && v != cu->gemm_variant)) continue;
        candidate.kind = WF_GEMM_SKINNY;
        candidate.variant = v;
        keep_faster(cu, s, &a, &p, &b, &candidate, best);
    }
    if (st == WF_OK && best->us >= 1e30f) best->kind = WF_GEMM_GENERAL;
    bench_close(&b);
    return st;
}

// Where the KV cache has left no room to measure: the first proposal, kept for this run only.
static wf_status take_first(wf_cuda *cu, const wf_gemm_args *a, wf_gemm_plan *plan)
{
    lt_problem p;
    cublasLtMatmulHeuristicResult_t first;
    WF_TRY(describe(cu, a, &p));
    plan->us = plan->lt_us = WF_GEMM_UNMEASURED;
    plan->kind = propose(cu, &p, &first, 1) == 1 ? WF_GEMM_LT : WF_GEMM_GENERAL;
    if (plan->kind == WF_GEMM_LT) memcpy(plan->algo, &first.algo, sizeof plan->algo);
    return WF_OK;
}

// ---- the operation ------------------------------------------------------------------------------

static_assert(sizeof(cublasLtMatmulAlgo_t) <= WF_GEMM_ALGO_BYTES, "the book stores algorithms");

static bool lt_fits(const wf_gemm_args *a)
{
    return a->x.dtype == a->w->dtype && rows_aligned(&a->x, 16) && (uintptr_t)a->y.data % 16 == 0 &&
           a->w->n_cols / (a->k_runs > 1 ? a->k_runs : 1) % 8 == 0 &&
           (size_t)a->y.stride * wf_dtype_bytes(a->y.dtype) % 16 == 0 && a->w->n_rows >= 8;
}

static wf_gemm_key key_of(const wf_cuda *cu, const wf_gemm_args *a, int bucket)
{
    wf_gemm_key key = {a->w->n_rows, a->w->n_cols, bucket_rows[bucket], (int32_t)a->w->dtype,
                       (int32_t)a->y.dtype};
    if (a->k_runs > 1) key.y_dtype |= a->k_runs << 8;
    if (cu->deterministic) { // 64: held against the chain, often enough (128: was not)
        key.rows = -key.rows;
        key.y_dtype |= 64;
    }
    return key;
}

// The plan of a shape and bucket, measured at its first use.
static wf_status find_plan(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a,
                           const wf_gemm_plan **out)
{
    int bucket = bucket_of(a->x.n_rows);
    wf_cuda_weight *w = (wf_cuda_weight *)a->w;
    const wf_gemm_plan **slot = &w->plans[a->k_runs > 1 ? 2 : a->y.dtype == WF_F32][bucket];
    if (*slot != nullptr && (*slot)->key.y_dtype != key_of(cu, a, bucket).y_dtype) *slot = nullptr;
    if (*slot == nullptr) {
        wf_gemm_key key = key_of(cu, a, bucket);
        *slot = wf_gemm_book_find(cu->book, &key);
    }
    if (*slot == nullptr && !s->capturing) {
        wf_gemm_plan plan = {};
        plan.key = key_of(cu, a, bucket);
        wf_status st = measure(cu, s, a, &plan);
        if (st == WF_NO_MEMORY) st = take_first(cu, a, &plan);
        WF_TRY(st);
        WF_TRY(wf_gemm_book_add(cu->book, &plan, slot));
    }
    *out = *slot;
    return WF_OK;
}

// y[m][n] = x[m][n] + bias[n], x f32; in place where x is y.
static __global__ void add_bias_kernel(const float *x, int64_t x_stride, const float *bias,
                                       wf_matrix y)
{
    wait_for_previous();
    int64_t n = (int64_t)blockIdx.x * blockDim.x + threadIdx.x, m = blockIdx.y;
    if (n < y.n_cols) store_any(y.data, y.dtype, m * y.stride + n, x[m * x_stride + n] + bias[n]);
}

// What wf_gemm_chain reads two numbers at a time.
static bool chain_fits(const wf_gemm_args *a)
{
    int64_t k = a->w->n_cols / (a->k_runs > 1 ? a->k_runs : 1);
    return a->x.dtype == a->w->dtype && a->w->dtype != WF_F32 && k % 2 == 0 &&
           (uintptr_t)a->x.data % 4 == 0 && a->x.stride % 2 == 0;
}

// Where cuBLASLt has nothing, or does not take the shape.
static wf_status run_own(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a)
{
    return cu->deterministic && a->bias == nullptr && chain_fits(a) ? wf_gemm_chain(cu, s, a)
                                                                    : wf_gemm_general(cu, s, a);
}

static wf_status run_lt_plan(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a,
                             const wf_gemm_plan *plan)
{
    lt_problem p;
    cublasLtMatmulHeuristicResult_t first;
    WF_TRY(describe(cu, a, &p));
    const cublasLtMatmulAlgo_t *algo = plan ? (const cublasLtMatmulAlgo_t *)plan->algo : nullptr;
    if (algo == nullptr) {
        if (propose(cu, &p, &first, 1) < 1) return run_own(cu, s, a);
        algo = &first.algo;
    }
    return lt_check(cu, run_lt(cu, s, a, &p, algo));
}

// The product without the bias, in f32, then the sum rounded once: rounding twice would lose a bit
// where product and bias cancel.
static wf_status gemm_then_bias(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a)
{
    wf_gemm_args bare = *a;
    void *scratch = nullptr;
    const wf_gemm_plan *plan = nullptr;
    int64_t stride = (a->y.n_cols + 3) / 4 * 4;
    WF_TRY(wf_cuda_scratch(cu, s, (size_t)(a->y.n_rows * stride) * 4, &scratch));
    bare.bias = nullptr;
    bare.y = wf_matrix{scratch, WF_F32, a->y.n_rows, a->y.n_cols, stride};
    bool fits = lt_fits(&bare);
    if (fits) WF_TRY(find_plan(cu, s, &bare, &plan));
    bool own = !fits || (plan != nullptr && plan->kind == WF_GEMM_GENERAL);
    if (own && !cu->deterministic) return wf_gemm_general(cu, s, a);
    if (plan != nullptr && plan->kind == WF_GEMM_SKINNY)
        return wf_gemm_skinny(cu, s, a, plan->variant);
    WF_TRY(own ? run_own(cu, s, &bare) : run_lt_plan(cu, s, &bare, plan));
    return wf_cuda_launch(cu, s, "bias", add_bias_kernel,
                          dim3((unsigned)div_up64(a->y.n_cols, 256), (unsigned)a->y.n_rows),
                          dim3(256), 0, (const float *)scratch, stride, a->bias, a->y);
}

// y[m][n] = the sum of parts[r][m][n] over r, neighbours first; bias belongs to the first part.
static __global__ void add_runs_kernel(const float *parts, int n_runs, int64_t run_stride,
                                       int64_t stride, const float *bias, wf_matrix y)
{
    int64_t n = (int64_t)blockIdx.x * blockDim.x + threadIdx.x, m = blockIdx.y;
    float x[8];
    wait_for_previous();
    let_next_start();
    if (n >= y.n_cols) return;
#pragma unroll
    for (int r = 0; r < 8; r++)
        x[r] = r < n_runs ? parts[r * run_stride + m * stride + n] : 0.0f;
    if (bias != nullptr) x[0] = __fadd_rn(x[0], bias[n]);
#pragma unroll
    for (int step = 1; step < 8; step *= 2)
#pragma unroll
        for (int r = 0; r + step < 8; r += 2 * step)
            if (r + step < n_runs) x[r] = __fadd_rn(x[r], x[r + step]);
    store_any(y.data, y.dtype, m * y.stride + n, x[0]);
}

// At most RUNS_ROWS rows.
static wf_status gemm_by_runs(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a)
{
    wf_gemm_args parts = *a;
    void *scratch = nullptr;
    const wf_gemm_plan *plan = nullptr;
    int64_t stride = (a->y.n_cols + 3) / 4 * 4, run_stride = a->y.n_rows * stride;
    WF_TRY(wf_cuda_scratch(cu, s, (size_t)(a->k_runs * run_stride) * 4, &scratch));
    parts.bias = nullptr;
    parts.y = wf_matrix{scratch, WF_F32, a->y.n_rows, a->y.n_cols, stride};
    bool fits = lt_fits(&parts);
    if (fits) WF_TRY(find_plan(cu, s, &parts, &plan));
    if (!fits || (plan != nullptr && plan->kind != WF_GEMM_LT))
        WF_TRY(run_own(cu, s, &parts));
    else
        WF_TRY(run_lt_plan(cu, s, &parts, plan));
    return wf_cuda_launch(cu, s, "sums by runs", add_runs_kernel,
                          dim3((unsigned)div_up64(a->y.n_cols, 256), (unsigned)a->y.n_rows),
                          dim3(256), 0, (const float *)scratch, a->k_runs, run_stride, stride,
                          a->bias, a->y);
}

static wf_matrix rows_of(const wf_matrix *m, int64_t first, int64_t n)
{
    size_t at = (size_t)(first * m->stride) * wf_dtype_bytes(m->dtype);
    return wf_matrix{(char *)m->data + at, m->dtype, n, m->n_cols, m->stride};
}

static wf_status gemm_all_runs(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a)
{
    for (int64_t first = 0; first < a->y.n_rows; first += RUNS_ROWS) {
        int64_t n = a->y.n_rows - first < RUNS_ROWS ? a->y.n_rows - first : RUNS_ROWS;
        wf_gemm_args some = *a;
        some.x = rows_of(&a->x, first, n);
        some.y = rows_of(&a->y, first, n);
        WF_TRY(gemm_by_runs(cu, s, &some));
    }
    return WF_OK;
}

wf_status wf_cuda_gemm(wf_backend *be, wf_stream *s, const wf_gemm_args *a)
{
    wf_cuda *cu = cuda_of(be);
    wf_stream *st = stream_of(be, s);
    const wf_gemm_plan *plan = nullptr;
    WF_TRY(wf_check_gemm(a, cu->act));
    if (a->y.n_rows == 0 || a->y.n_cols == 0) return WF_OK;
    if (a->k_runs > 1) return gemm_all_runs(cu, st, a);
    if (a->bias != nullptr && (cu->deterministic || lt_fits(a))) return gemm_then_bias(cu, st, a);
    if (!lt_fits(a)) return run_own(cu, st, a);
    WF_TRY(find_plan(cu, st, a, &plan));
    if (plan != nullptr && plan->kind == WF_GEMM_GENERAL) return run_own(cu, st, a);
    if (plan != nullptr && plan->kind == WF_GEMM_SKINNY)
        return wf_gemm_skinny(cu, st, a, plan->variant);
    return run_lt_plan(cu, st, a, plan);
}

// ---- the book's place ---------------------------------------------------------------------------

wf_status wf_gemm_book_open(wf_cuda *cu)
{
    char tag[128];
    snprintf(tag, sizeof tag, "%s-%d-cublaslt-%zu", cu->gpu, cu->n_sms, cublasLtGetVersion());
    return wf_gemm_book_create(cu->gemm_variant < 0 ? tag : NULL, &cu->book);
}

void wf_gemm_book_close(wf_cuda *cu)
{
    wf_gemm_book_destroy(cu->book);
    cu->book = nullptr;
}
