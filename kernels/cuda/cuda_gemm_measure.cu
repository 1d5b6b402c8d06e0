// Measuring products: makes the plan of a shape and number of rows (cuda_gemm.cuh).
//
// Everything that may compute it runs on random rows and the weight itself, with the L2 flushed
// between; the fastest is the plan. With `deterministic` a plan is taken only if its result is, bit
// for bit, that of one plain chain on the tensor cores (wf_gemm_chain).
#include <cstdlib>
#include <cstring>

extern "C" {
#include "io/base/log.h"
}
#include "kernels/cuda/cuda_gemm.cuh"
#include "kernels/random.h"

#define N_PROPOSALS 32
#define N_RUNS      7
#define FLUSH_BYTES ((size_t)192 << 20) // more than any L2 so far
// Results rounded to 16 bits that must be those of the chain: an algorithm that adds up in another
// order differs in about one of a thousand, after rounding, so that a few hundred tell nothing.
#define CHAIN_RESULTS ((int64_t)1 << 17)
#define CHAIN_TRIALS  1024

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
    y_bytes *= (size_t)wf_gemm_runs_of(a);
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

static wf_status run_plan(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a, wf_lt_problem *p,
                          const wf_gemm_plan *plan)
{
    if (plan->kind == WF_GEMM_OWN) return plan->own->run(cu, s, a);
    if (plan->kind == WF_GEMM_ACT8)
        return wf_gemm_act8_run(cu, s, a, (const cublasLtMatmulAlgo_t *)plan->algo);
    return wf_lt_check(cu, wf_lt_run(cu, s, a, p, (const cublasLtMatmulAlgo_t *)plan->algo));
}

// One of the trials: queues the plan on its rows and the comparison.
static wf_status try_chain(wf_cuda *cu, wf_stream *s, const wf_gemm_args *asked, wf_lt_problem *p,
                           const wf_gemm_plan *plan, const bench *b, int64_t i_trial)
{
    wf_gemm_args a = *asked;
    int64_t n = a.y.n_rows * a.y.n_cols * wf_gemm_runs_of(&a);
    size_t x_bytes = (size_t)(a.x.n_rows * a.x.stride) * wf_dtype_bytes(a.x.dtype);
    n *= (int64_t)wf_dtype_bytes(a.y.dtype) / 2;
    a.x.data = (char *)a.x.data + (size_t)i_trial * x_bytes;
    WF_TRY(run_plan(cu, s, &a, p, plan));
    return wf_cuda_launch(cu, s, "measuring GEMMs", compare_kernel, dim3(512), dim3(256), 0,
                          (const uint16_t *)b->y, (const uint16_t *)b->chain + i_trial * n, n,
                          b->wrong);
}

// Whether a plan gives the bits of the plain chain.
static bool meets_chain(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a, wf_lt_problem *p,
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
static float time_plan(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a, wf_lt_problem *p,
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
// weights by then.
static float worth(const wf_cuda *cu, const wf_gemm_plan *plan)
{
    if (plan->kind != WF_GEMM_OWN || !cu->overlap) return plan->us;
    return plan->us - plan->own->early_us;
}

static void keep_faster(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a, wf_lt_problem *p,
                        const bench *b, wf_gemm_plan *candidate, wf_gemm_plan *best)
{
    double flops = 2.0 * (double)a->x.n_rows * (double)a->w->n_rows * (double)a->w->n_cols;
    candidate->us = time_plan(cu, s, a, p, candidate, b, flops > 2e11 ? 3 : N_RUNS);
    wf_log(WF_LOG_DEBUG, "gemm %lld x %lld, %d rows: %s: %.2f us", (long long)a->w->n_rows,
           (long long)a->w->n_cols, best->key.rows,
           candidate->kind == WF_GEMM_OWN ? candidate->own->name : "cublaslt",
           (double)candidate->us);
    if (candidate->kind == WF_GEMM_LT && candidate->us < best->lt_us) best->lt_us = candidate->us;
    if (worth(cu, candidate) >= worth(cu, best)) return;
    float lt_us = best->lt_us;
    wf_gemm_key key = best->key;
    *best = *candidate;
    best->lt_us = lt_us;
    best->key = key;
}

// Sums by runs of k are cuBLASLt's alone.
static bool own_fits(const wf_cuda *cu, const wf_gemm_args *a, const wf_gemm_own *own)
{
    return a->k_runs <= 1 && own->fits(cu, a);
}

// What cuBLASLt proposes.
static void try_proposals(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a, wf_lt_problem *p,
                          const bench *b, wf_gemm_plan *best)
{
    cublasLtMatmulHeuristicResult_t found[N_PROPOSALS];
    int n = wf_lt_propose(cu, p, found, N_PROPOSALS);
    for (int i = 0; i < n; i++) {
        wf_gemm_plan candidate = {};
        if (cu->deterministic && !wf_lt_one_chain(&found[i].algo)) continue;
        candidate.kind = WF_GEMM_LT;
        memcpy(candidate.algo, &found[i].algo, sizeof candidate.algo);
        if (cu->deterministic && !meets_chain(cu, s, a, p, &candidate, b)) continue;
        keep_faster(cu, s, a, p, b, &candidate, best);
    }
}

// Rows in fp8, which nothing else competes with: other numbers come of it.
static void try_act8(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a, wf_lt_problem *p,
                     const bench *b, wf_gemm_plan *best)
{
    cublasLtMatmulHeuristicResult_t found[N_PROPOSALS];
    int n = wf_gemm_act8_propose(cu, s, a, found, N_PROPOSALS);
    for (int i = 0; i < n; i++) {
        wf_gemm_plan candidate = {};
        candidate.kind = WF_GEMM_ACT8;
        memcpy(candidate.algo, &found[i].algo, sizeof candidate.algo);
        keep_faster(cu, s, a, p, b, &candidate, best);
    }
}

// The own kernels, or that one alone which a test wants taken.
static void try_owns(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a, wf_lt_problem *p,
                     const bench *b, bool forced, wf_gemm_plan *best)
{
    int n = 0;
    const wf_gemm_own *owns = wf_gemm_owns(&n);
    for (int i = 0; i < n; i++) {
        wf_gemm_plan candidate = {};
        if (!own_fits(cu, a, &owns[i]) || (forced && &owns[i] != cu->gemm_own)) continue;
        candidate.kind = WF_GEMM_OWN;
        candidate.own = &owns[i];
        keep_faster(cu, s, a, p, b, &candidate, best);
    }
}

// Where nothing that was measured ran.
static void take_any(const wf_gemm_args *a, wf_gemm_plan *plan)
{
    bool scaled = wf_format_scaled(a->w->dtype);
    plan->kind = scaled ? WF_GEMM_OWN : WF_GEMM_GENERAL;
    plan->own = scaled ? wf_gemm8_first(a) : nullptr;
}

wf_status wf_gemm_measure(wf_cuda *cu, wf_stream *s, const wf_gemm_args *asked, wf_gemm_plan *best)
{
    wf_gemm_args a = *asked;
    bench b = {};
    wf_lt_problem p;
    wf_status st = bench_open(cu, s, best->key.rows, &a, &b);
    a.bias = nullptr;
    best->us = best->lt_us = 1e30f;
    bool scaled = wf_format_scaled(a.w->dtype); // which cuBLASLt does not take
    if (st == WF_OK && !scaled) st = wf_lt_describe(cu, &a, &p);
    bool forced = cu->gemm_own != nullptr && own_fits(cu, &a, cu->gemm_own);
    if (st == WF_OK && !forced && !scaled) try_proposals(cu, s, &a, &p, &b, best);
    if (st == WF_OK && best->key.act8) try_act8(cu, s, &a, &p, &b, best);
    bool done = best->kind == WF_GEMM_ACT8 && best->us < 1e30f;
    if (st == WF_OK && !cu->deterministic && !done) try_owns(cu, s, &a, &p, &b, forced, best);
    if (st == WF_OK && best->us >= 1e30f) take_any(&a, best);
    bench_close(&b);
    return st;
}

wf_status wf_gemm_take_first(wf_cuda *cu, const wf_gemm_args *a, wf_gemm_plan *plan)
{
    wf_lt_problem p;
    cublasLtMatmulHeuristicResult_t first;
    plan->us = plan->lt_us = WF_GEMM_UNMEASURED;
    if (wf_format_scaled(a->w->dtype)) {
        take_any(a, plan);
        return WF_OK;
    }
    WF_TRY(wf_lt_describe(cu, a, &p));
    plan->kind = wf_lt_propose(cu, &p, &first, 1) == 1 ? WF_GEMM_LT : WF_GEMM_GENERAL;
    if (plan->kind == WF_GEMM_LT) memcpy(plan->algo, &first.algo, sizeof plan->algo);
    return WF_OK;
}
