// What the isa_*.c files share: their names in this instruction set, and the tile of sums that GEMM
// and attention are made of.
#ifndef WF_KERNELS_CPU_ISA_H
#define WF_KERNELS_CPU_ISA_H

#include "kernels/cpu/cpu_isa.h"
#include "kernels/cpu/simd.h"

// WF_ISA(gemm) is wf_isa_gemm_avx512 in the AVX-512 files.
#define WF_ISA_JOIN2(name, isa) wf_isa_##name##_##isa
#define WF_ISA_JOIN(name, isa)  WF_ISA_JOIN2(name, isa)
#define WF_ISA(name)            WF_ISA_JOIN(name, WF_ISA_NAME)

void WF_ISA(gemm)(const wf_gemm_part *part);
void WF_ISA(attention)(const wf_attention_part *part);
void WF_ISA(packed_attention)(const wf_packed_part *part);
void WF_ISA(latent_attention)(const wf_latent_part *part);
void WF_ISA(rmsnorm)(const wf_rmsnorm_args *a, int64_t begin, int64_t end);
void WF_ISA(layernorm)(const wf_layernorm_args *a, int64_t begin, int64_t end);
void WF_ISA(softcap)(const wf_softcap_args *a, int64_t begin, int64_t end);
void WF_ISA(add)(const wf_add_args *a, int64_t begin, int64_t end);
void WF_ISA(gate_mul)(const wf_activation_args *a, int64_t begin, int64_t end);
void WF_ISA(activate)(const wf_activation_args *a, int64_t begin, int64_t end);
void WF_ISA(head_squares)(const wf_head_squares_args *a, int64_t begin, int64_t end);
void WF_ISA(rope_kv_append)(const wf_rope_args *a, int32_t begin, int32_t end);
float WF_ISA(greatest)(const float *x, int64_t n);

// Rows of x in the packed form that tiles read: [k][n_rows].
WF_INLINE void wf_pack_rows(float *packed, const float *x, int64_t x_stride, int n_rows, int64_t n)
{
    for (int64_t k = 0; k < n; k++)
        for (int r = 0; r < n_rows; r++)
            packed[k * n_rows + r] = x[r * x_stride + k];
}

#endif
