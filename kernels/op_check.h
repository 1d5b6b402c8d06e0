// Checks of operation arguments that every back end makes before it computes.
//
// Each returns WF_INTERNAL with what is wrong: these are mistakes of the caller, not of the user.
// `act` is the back end's activation dtype. Only shapes and types are looked at, no device memory.
// All functions are Local.
#ifndef WF_KERNELS_OP_CHECK_H
#define WF_KERNELS_OP_CHECK_H

#include "io/base/status.h"
#include "kernels/ops.h"

wf_status wf_check_weight_block(const wf_weight *w, int64_t i_row, int64_t n_rows,
                                int64_t src_stride);
wf_status wf_check_embed(const wf_embed_args *a, wf_dtype act);
wf_status wf_check_gemm(const wf_gemm_args *a, wf_dtype act);
wf_status wf_check_rmsnorm(const wf_rmsnorm_args *a, wf_dtype act);
wf_status wf_check_layernorm(const wf_layernorm_args *a, wf_dtype act);
wf_status wf_check_add(const wf_add_args *a, wf_dtype act);
wf_status wf_check_rope(const wf_rope_args *a, wf_dtype act);
wf_status wf_check_attention(const wf_attention_args *a, wf_dtype act);
wf_status wf_check_silu_mul(const wf_activation_args *a, wf_dtype act);
wf_status wf_check_gelu(const wf_activation_args *a, wf_dtype act);
wf_status wf_check_gather(const wf_gather_args *a);
wf_status wf_check_scatter(const wf_scatter_args *a);
wf_status wf_check_reorder(const wf_reorder_args *a);
wf_status wf_check_sample(const wf_sample_args *a);
wf_status wf_check_best(const wf_best_args *a);

#endif
