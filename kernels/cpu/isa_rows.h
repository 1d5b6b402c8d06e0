// Operations on rows by themselves: rows begin..end of one.
#ifndef WF_KERNELS_CPU_ISA_ROWS_H
#define WF_KERNELS_CPU_ISA_ROWS_H

#include "kernels/cpu/isa_name.h"
#include "kernels/ops/op_activation.h"
#include "kernels/ops/op_attention.h"
#include "kernels/ops/op_norm.h"

#ifdef WF_ISA_NAME
void WF_ISA(rmsnorm)(const wf_rmsnorm_args *a, int64_t begin, int64_t end);
void WF_ISA(layernorm)(const wf_layernorm_args *a, int64_t begin, int64_t end);
void WF_ISA(softcap)(const wf_softcap_args *a, int64_t begin, int64_t end);
void WF_ISA(add)(const wf_add_args *a, int64_t begin, int64_t end);
void WF_ISA(gate_mul)(const wf_activation_args *a, int64_t begin, int64_t end);
void WF_ISA(activate)(const wf_activation_args *a, int64_t begin, int64_t end);
void WF_ISA(head_squares)(const wf_head_squares_args *a, int64_t begin, int64_t end);
void WF_ISA(rope_kv_append)(const wf_rope_args *a, int32_t begin, int32_t end);
float WF_ISA(greatest)(const float *x, int64_t n);
#endif

#endif
