// What an operation must do at least: bytes of memory read and written once, floating-point
// operations. Pure.
#ifndef WF_KERNELS_PROFILE_COST_H
#define WF_KERNELS_PROFILE_COST_H

#include "kernels/ops.h"

// X(entry of the back-end table, its arguments)
#define WF_PROFILED_OPS(X)                                                                         \
    X(token_ids, wf_token_ids_args)                                                                \
    X(embed, wf_embed_args)                                                                        \
    X(gemm, wf_gemm_args)                                                                          \
    X(rmsnorm, wf_rmsnorm_args)                                                                    \
    X(layernorm, wf_layernorm_args)                                                                \
    X(add, wf_add_args)                                                                            \
    X(rope_kv_append, wf_rope_args)                                                                \
    X(attention, wf_attention_args)                                                                \
    X(silu_mul, wf_activation_args)                                                                \
    X(gelu, wf_activation_args)                                                                    \
    X(gather, wf_gather_args)                                                                      \
    X(scatter, wf_scatter_args)                                                                    \
    X(reorder, wf_reorder_args)                                                                    \
    X(kv_copy, wf_kv_copy_args)                                                                    \
    X(count, wf_count_args)                                                                        \
    X(sample, wf_sample_args)                                                                      \
    X(best, wf_best_args)                                                                          \
    X(best_pick, wf_best_pick_args)

typedef struct wf_op_cost {
    int64_t rows;        // rows of activations
    int64_t n_out, n_in; // gemm: the weight's shape; else 0
    double bytes, flops;
} wf_op_cost;

#define WF_PROFILE_COST(op, args) wf_op_cost wf_cost_##op(const args *a);
WF_PROFILED_OPS(WF_PROFILE_COST)
#undef WF_PROFILE_COST

#endif
