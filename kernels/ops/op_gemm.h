// Products with one matrix.
#ifndef WF_KERNELS_OP_GEMM_H
#define WF_KERNELS_OP_GEMM_H

#include "kernels/ops/op_base.h"

// y = x W^T (+ bias). W is [N, K]; every y element is one sum over k in ascending order on the CPU.
typedef struct wf_gemm_args {
    wf_matrix x; // [M, K] act
    const wf_weight *w;
    const float *bias; // [N] f32 or NULL
    wf_matrix y;       // [M, N] act, or f32 (logits)
    // A power of 2 that divides K, or 0: into how many equal runs of k every sum is cut. Each run
    // is a chain of its own, the first with the bias; their sums are added in f32, neighbours
    // first,
    // ((0+1)+(2+3))+..., and rounded once. So ranks that hold runs of one K can add up to the bits
    // of a single rank. `ref` is free of order, and ignores it.
    int32_t k_runs;
} wf_gemm_args;

#define WF_GEMM_OPS(X) X(gemm, wf_gemm_args)
WF_GEMM_OPS(WF_OP_CHECK)

#endif
