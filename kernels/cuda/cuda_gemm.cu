// gemm: y = x W^T (+ bias) by cuBLASLt, by an own kernel for few or some rows where that is faster,
// or by the general kernel where none takes the shape (cuda_gemm.cuh).
//
// The first use of a (N, K, dtypes, row bucket) measures; the winner is kept in the book, in memory
// and on disk (cuda_gemm_book.h), and serves every row count of its bucket. Inside a capture
// nothing can be measured: the first proposal serves until a later use measures.
//
// With `deterministic` a plan is taken only if its result on random rows is, bit for bit, that of
// one plain chain on the tensor cores (wf_gemm_chain): then rows, buckets and the split of a weight
// over ranks do not show. Sums by runs of k (ops.h) are one batch of such chains and an addition.
#include <cstdio>

#include "kernels/cuda/cuda_gemm.cuh"

// Rows of a product by runs of k that are computed at once: their sums wait in scratch.
#define RUNS_ROWS 256

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

static wf_gemm_key key_of(const wf_cuda *cu, const wf_gemm_args *a, int bucket)
{
    wf_gemm_key key = {};
    key.n = a->w->n_rows;
    key.k = a->w->n_cols;
    key.rows = bucket_rows[bucket];
    key.w = a->w->dtype;
    key.y = a->y.dtype;
    key.k_runs = wf_gemm_runs_of(a);
    key.deterministic = cu->deterministic;
    key.act8 = wf_gemm_act8_fits(cu, a);
    return key;
}

// The plan of a shape and bucket, measured at its first use.
static wf_status find_plan(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a,
                           const wf_gemm_plan **out)
{
    int bucket = bucket_of(a->x.n_rows);
    wf_cuda_weight *w = (wf_cuda_weight *)a->w;
    const wf_gemm_plan **slot = &w->plans[a->k_runs > 1 ? 2 : a->y.dtype == WF_F32][bucket];
    wf_gemm_key key = key_of(cu, a, bucket);
    if (*slot != nullptr && !wf_gemm_same_key(&(*slot)->key, &key)) *slot = nullptr;
    if (*slot == nullptr) *slot = wf_gemm_book_find(cu->book, &key);
    if (*slot == nullptr && !s->capturing) {
        wf_gemm_plan plan = {};
        plan.key = key;
        wf_status st = wf_gemm_measure(cu, s, a, &plan);
        if (st == WF_NO_MEMORY) st = wf_gemm_take_first(cu, a, &plan);
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

wf_status wf_gemm_add_bias(wf_cuda *cu, wf_stream *s, const float *sums, int64_t stride,
                           const float *bias, const wf_matrix *y)
{
    return wf_cuda_launch(cu, s, "bias", add_bias_kernel,
                          dim3((unsigned)div_up64(y->n_cols, 256), (unsigned)y->n_rows), dim3(256),
                          0, sums, stride, bias, *y);
}

// What wf_gemm_chain reads two numbers at a time.
static bool chain_fits(const wf_gemm_args *a)
{
    int64_t k = a->w->n_cols / wf_gemm_runs_of(a);
    return a->x.dtype == a->w->dtype && a->w->dtype != WF_F32 && k % 2 == 0 &&
           (uintptr_t)a->x.data % 4 == 0 && a->x.stride % 2 == 0;
}

// Where cuBLASLt has nothing, or does not take the shape.
static wf_status run_own(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a)
{
    if (wf_format_scaled(a->w->dtype)) return wf_gemm8_unmeasured(cu, s, a);
    return cu->deterministic && a->bias == nullptr && chain_fits(a) ? wf_gemm_chain(cu, s, a)
                                                                    : wf_gemm_general(cu, s, a);
}

static wf_status run_lt_plan(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a,
                             const wf_gemm_plan *plan)
{
    wf_lt_problem p;
    cublasLtMatmulHeuristicResult_t first;
    WF_TRY(wf_lt_describe(cu, a, &p));
    const cublasLtMatmulAlgo_t *algo = plan ? (const cublasLtMatmulAlgo_t *)plan->algo : nullptr;
    if (algo == nullptr) {
        if (wf_lt_propose(cu, &p, &first, 1) < 1) return run_own(cu, s, a);
        algo = &first.algo;
    }
    return wf_lt_check(cu, wf_lt_run(cu, s, a, &p, algo));
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
    bool fits = wf_lt_fits(&bare);
    if (fits) WF_TRY(find_plan(cu, s, &bare, &plan));
    bool own = !fits || (plan != nullptr && plan->kind == WF_GEMM_GENERAL);
    if (own && !cu->deterministic) return wf_gemm_general(cu, s, a);
    if (plan != nullptr && plan->kind == WF_GEMM_OWN) return plan->own->run(cu, s, a);
    WF_TRY(own ? run_own(cu, s, &bare) : run_lt_plan(cu, s, &bare, plan));
    return wf_gemm_add_bias(cu, s, (const float *)scratch, stride, a->bias, &a->y);
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
    bool fits = wf_lt_fits(&parts);
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

// Weights of 8 bits; their kernels add biases.
static wf_status gemm_scaled(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a)
{
    const wf_gemm_plan *plan = nullptr;
    if (!wf_gemm8_measures(cu, a)) return wf_gemm8_unmeasured(cu, s, a);
    WF_TRY(find_plan(cu, s, a, &plan));
    if (plan != nullptr && plan->kind == WF_GEMM_ACT8)
        return wf_gemm_act8_run(cu, s, a, (const cublasLtMatmulAlgo_t *)plan->algo);
    const wf_gemm_own *own = plan != nullptr ? plan->own : wf_gemm8_first(a);
    return own->run(cu, s, a);
}

wf_status wf_cuda_gemm(wf_backend *be, wf_stream *s, const wf_gemm_args *a)
{
    wf_cuda *cu = cuda_of(be);
    wf_stream *st = stream_of(be, s);
    const wf_gemm_plan *plan = nullptr;
    WF_TRY(wf_check_gemm(a, cu->numerics.act));
    if (a->y.n_rows == 0 || a->y.n_cols == 0) return WF_OK;
    if (a->k_runs > 1) return gemm_all_runs(cu, st, a);
    if (wf_format_scaled(a->w->dtype)) return gemm_scaled(cu, st, a);
    if (a->bias != nullptr && (cu->deterministic || wf_lt_fits(a)))
        return gemm_then_bias(cu, st, a);
    if (!wf_lt_fits(a)) return run_own(cu, st, a);
    WF_TRY(find_plan(cu, st, a, &plan));
    if (plan != nullptr && plan->kind == WF_GEMM_GENERAL) return run_own(cu, st, a);
    if (plan != nullptr && plan->kind == WF_GEMM_OWN) return plan->own->run(cu, st, a);
    return run_lt_plan(cu, st, a, plan);
}

// ---- the book's place ---------------------------------------------------------------------------

wf_status wf_gemm_book_open(wf_cuda *cu)
{
    char tag[128];
    snprintf(tag, sizeof tag, "%s-%d-cublaslt-%zu", cu->gpu, cu->n_sms, cublasLtGetVersion());
    return wf_gemm_book_create(cu->gemm_own == nullptr ? tag : nullptr, &cu->book);
}

void wf_gemm_book_close(wf_cuda *cu)
{
    wf_gemm_book_destroy(cu->book);
    cu->book = nullptr;
}
