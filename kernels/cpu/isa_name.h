// Names of the functions of isa_*.c in the instruction set that they are compiled for, and what all
// of them may use.
#ifndef WF_KERNELS_CPU_ISA_NAME_H
#define WF_KERNELS_CPU_ISA_NAME_H

#include <stddef.h>

// Scratch of one thread: GEMM packs x into it, attention keeps its tiles there.
#define WF_CPU_SCRATCH_BYTES ((size_t)512 << 10)

// Positions of an attention tile. Fixed, whatever the page size, so that the order of the online
// softmax depends on the position alone.
#define WF_ATTENTION_TILE 64

// Rows (tokens x query heads of one KV head) of an attention task, a multiple of every tile height.
#define WF_ATTENTION_ROWS 96

// WF_ISA(gemm) is wf_isa_gemm_avx512 in the AVX-512 files.
#define WF_ISA_JOIN2(name, isa) wf_isa_##name##_##isa
#define WF_ISA_JOIN(name, isa)  WF_ISA_JOIN2(name, isa)
#define WF_ISA(name)            WF_ISA_JOIN(name, WF_ISA_NAME)

#endif
