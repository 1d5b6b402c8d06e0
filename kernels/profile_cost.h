// What an operation must do at least: bytes of memory read and written once, floating-point
// operations. Pure.
#ifndef WF_KERNELS_PROFILE_COST_H
#define WF_KERNELS_PROFILE_COST_H

#include "kernels/ops.h"

typedef struct wf_op_cost {
    int64_t rows;        // rows of activations
    int64_t n_out, n_in; // gemm: the weight's shape; else 0
    double bytes, flops;
} wf_op_cost;

#define WF_OP_COST(op, args) wf_op_cost wf_cost_##op(const args *a);
WF_OPS(WF_OP_COST)
#undef WF_OP_COST

#endif
