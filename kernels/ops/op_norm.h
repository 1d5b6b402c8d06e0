// Norms and sums of rows.
#ifndef WF_KERNELS_OP_NORM_H
#define WF_KERNELS_OP_NORM_H

#include "kernels/ops/op_base.h"

// y = x / sqrt(mean(x^2) + eps) * weight. With `residual`: residual += scale * x first, y from the
// sum.
typedef struct wf_rmsnorm_args {
    wf_matrix x;        // [M, H] act, or f32 (rounded to act first)
    wf_matrix residual; // [M, H] act, in and out; data NULL: none
    const float *weight;
    float eps;
    wf_matrix y; // [M, H] act
    float scale; // of x where it is added; 0: 1
} wf_rmsnorm_args;

// y = (x - mean) / sqrt(var + eps) * weight + bias; `residual` as in wf_rmsnorm_args.
typedef struct wf_layernorm_args {
    wf_matrix x, residual;
    const float *weight, *bias;
    float eps;
    wf_matrix y;
    float scale;
} wf_layernorm_args;

// y += x, element by element.
typedef struct wf_add_args {
    wf_matrix x, y;
} wf_add_args;

#define WF_NORM_OPS(X)                                                                             \
    X(rmsnorm, wf_rmsnorm_args)                                                                    \
    X(layernorm, wf_layernorm_args)                                                                \
    X(add, wf_add_args)
WF_NORM_OPS(WF_OP_CHECK)

#endif
