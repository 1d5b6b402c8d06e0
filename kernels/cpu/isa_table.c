// The table of this file's instruction set.
#include "kernels/cpu/cpu_isa.h"
#include "kernels/cpu/simd.h"

#define WF_ISA_TEXT2(isa) #isa
#define WF_ISA_TEXT(isa)  WF_ISA_TEXT2(isa)

#define WF_ISA_TABLE2(isa) wf_cpu_isa_##isa
#define WF_ISA_TABLE(isa)  WF_ISA_TABLE2(isa)

const wf_cpu_isa WF_ISA_TABLE(WF_ISA_NAME) = {
    .name = WF_ISA_TEXT(WF_ISA_NAME),
    .tile_rows = WF_TILE_ROWS,
    .gemm = WF_ISA(gemm),
    .attention = WF_ISA(attention),
    .packed_attention = WF_ISA(packed_attention),
    .latent_attention = WF_ISA(latent_attention),
    .rmsnorm = WF_ISA(rmsnorm),
    .layernorm = WF_ISA(layernorm),
    .softcap = WF_ISA(softcap),
    .add = WF_ISA(add),
    .gate_mul = WF_ISA(gate_mul),
    .activate = WF_ISA(activate),
    .head_squares = WF_ISA(head_squares),
    .rope_kv_append = WF_ISA(rope_kv_append),
    .greatest = WF_ISA(greatest),
};
