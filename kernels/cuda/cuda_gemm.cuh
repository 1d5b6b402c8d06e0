// What gemm is made of: cuBLASLt's products, the own kernels that compete with them, and the
// measuring that chooses.
//
//   cuda_gemm.cu     the operation: finds the plan of a shape, adds biases and runs of k
//   cuda_gemm_measure.cu    makes a plan: measures what may compute the shape
//   cuda_gemm_lt.cu         one product by cuBLASLt
//   cuda_gemm8.cu           weights of 8 bits
//   cuda_gemm_mma8.cu       of those, what the ring kernels are not for
//   cuda_gemm_act8.cu       of those, rows of 8 bits too
//   cuda_gemm_own.cu        the table of own kernels, each in a file of its name
//   cuda_gemm_book.h        the plans made so far
#ifndef WF_KERNELS_CUDA_GEMM_CUH
#define WF_KERNELS_CUDA_GEMM_CUH

#include "kernels/cuda/cuda_gemm_book.h"
#include "kernels/cuda/cuda_num.cuh"

extern "C" {
#include "kernels/ops/op_gemm.h"
}

// ---- own kernels --------------------------------------------------------------------------------

// A kernel of ours that measuring may choose where it fits: one row of the table.
struct wf_gemm_own {
    const char *name; // in logs, in the book, and for tests
    bool (*fits)(const wf_cuda *cu, const wf_gemm_args *a);
    wf_status (*run)(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a);
    // What it saves within a step by starting before its turn, which a measurement alone does not
    // show. For few rows the best of 2, 6 and 20 for whole steps of 1 and 8 rows; for some rows
    // from steps of 32, 48 and 64 rows with several choices of these numbers.
    float early_us;
};

const wf_gemm_own *wf_gemm_owns(int *out_n); // the table. Local

// The own kernels (cuda_gemm_skinny.cu, cuda_gemm_stream.cu, cuda_gemm_ring.cu).
bool wf_gemm_skinny_fits(const wf_cuda *cu, const wf_gemm_args *a);
wf_status wf_gemm_skinny_8x4(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a);
wf_status wf_gemm_skinny_8x6(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a);
wf_status wf_gemm_skinny_4x8(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a);
wf_status wf_gemm_skinny_tall(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a);
bool wf_gemm_stream_fits(const wf_cuda *cu, const wf_gemm_args *a);
wf_status wf_gemm_stream(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a);
bool wf_gemm_ring_fits(const wf_cuda *cu, const wf_gemm_args *a);
wf_status wf_gemm_ring_pairs_128(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a);
wf_status wf_gemm_ring_pairs_64(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a);
wf_status wf_gemm_ring_runs(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a);

// Weights of 8 bits (cuda_gemm_ring8.cuh): features of a tile, and who sums what.
enum wf_ring8_way {
    WF_RING8_PAIRS_64,
    WF_RING8_PAIRS_128,
    WF_RING8_RUNS_64,
    WF_RING8_RUNS_128,
    WF_RING8_RUNS_256,
    WF_RING8_SHARED_64, // warpgroups share the k of 64 features
    WF_RING8_SHARED_PAIRS,
    WF_RING8_WHOLE_64,
    WF_RING8_WHOLE_128,
};
wf_status wf_gemm_ring_fp8(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a, wf_ring8_way way);
wf_status wf_gemm_ring_int8(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a, wf_ring8_way way);

// Of those, which take part in measuring and what serves before it (cuda_gemm8.cu).
bool wf_gemm8_pairs_fit(const wf_cuda *cu, const wf_gemm_args *a);
bool wf_gemm8_runs_64_fit(const wf_cuda *cu, const wf_gemm_args *a);
bool wf_gemm8_runs_fit(const wf_cuda *cu, const wf_gemm_args *a);
bool wf_gemm8_shared_fit(const wf_cuda *cu, const wf_gemm_args *a);
wf_status wf_gemm8_pairs_64(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a);
wf_status wf_gemm8_pairs_128(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a);
wf_status wf_gemm8_runs_64(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a);
wf_status wf_gemm8_runs_128(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a);
wf_status wf_gemm8_runs_256(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a);
wf_status wf_gemm8_shared_64(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a);
wf_status wf_gemm8_shared_pairs(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a);
bool wf_gemm8_measures(const wf_cuda *cu, const wf_gemm_args *a);
const wf_gemm_own *wf_gemm8_first(const wf_gemm_args *a);
wf_status wf_gemm8_unmeasured(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a);

// On any device, for any rows of 4 bytes (cuda_gemm_mma8.cu).
bool wf_gemm_mma8_fits(const wf_gemm_args *a);
wf_status wf_gemm_mma8(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a);

// Rows and weights in fp8 by cuBLASLt (cuda_gemm_act8.cu), where the back end was asked for it:
// from that many rows on, always.
#define WF_ACT8_LEAST_ROWS 65
bool wf_gemm_act8_fits(const wf_cuda *cu, const wf_gemm_args *a);
int wf_gemm_act8_propose(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a,
                         cublasLtMatmulHeuristicResult_t *out, int most);
wf_status wf_gemm_act8_run(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a,
                           const cublasLtMatmulAlgo_t *algo);

// y[m][n] = sums[m * stride + n] + bias[n].
wf_status wf_gemm_add_bias(wf_cuda *cu, wf_stream *s, const float *sums, int64_t stride,
                           const float *bias, const wf_matrix *y);

// Any shape and mix of dtypes, and the chain that deterministic plans are held against: without a
// bias; k even, rows of 4-byte alignment, x and w of one dtype (cuda_gemm_general.cu).
wf_status wf_gemm_general(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a);
wf_status wf_gemm_chain(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a);

// ---- cuBLASLt -----------------------------------------------------------------------------------

// Row-major y = x W^T is, column by column, Y = op(W) X with op(W) = transposed.
struct wf_lt_problem {
    cublasLtMatmulDescOpaque_t op;
    cublasLtMatrixLayoutOpaque_t w, x, y;
};

bool wf_lt_fits(const wf_gemm_args *a);
wf_status wf_lt_check(const wf_cuda *cu, cublasStatus_t rc);
wf_status wf_lt_describe(const wf_cuda *cu, const wf_gemm_args *a, wf_lt_problem *p);
// Fills `out` with at most `most` algorithms, the most promising first; returns how many.
int wf_lt_propose(wf_cuda *cu, wf_lt_problem *p, cublasLtMatmulHeuristicResult_t *out, int most);
// Whether an algorithm adds up every element in one chain of k, whatever the number of rows.
bool wf_lt_one_chain(const cublasLtMatmulAlgo_t *algo);
cublasStatus_t wf_lt_run(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a, wf_lt_problem *p,
                         const cublasLtMatmulAlgo_t *algo);

// ---- plans --------------------------------------------------------------------------------------

// Completes a plan of which the key is set with what computes `a` fastest. WF_NO_MEMORY: the KV
// cache has left no room to measure. Blocks.
wf_status wf_gemm_measure(wf_cuda *cu, wf_stream *s, const wf_gemm_args *a, wf_gemm_plan *plan);
// The same without measuring: cuBLASLt's first proposal, which the book does not store.
wf_status wf_gemm_take_first(wf_cuda *cu, const wf_gemm_args *a, wf_gemm_plan *plan);

static inline int32_t wf_gemm_runs_of(const wf_gemm_args *a)
{
    return a->k_runs > 1 ? a->k_runs : 1;
}

#endif
