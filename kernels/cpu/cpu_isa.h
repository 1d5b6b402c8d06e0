// The vector kernels of one instruction set: a table that the back end picks at creation.
//
// Each isa_*.c file is compiled once per instruction set, with its own flags, and fills one table.
// A kernel, declared in isa_*.h, works on the part it is given, on the calling thread; splitting is
// the drivers' work (cpu_*.c). All functions are Local and cannot fail.
#ifndef WF_KERNELS_CPU_CPU_ISA_H
#define WF_KERNELS_CPU_CPU_ISA_H

#include "kernels/cpu/isa_attention.h"
#include "kernels/cpu/isa_gemm.h"
#include "kernels/cpu/isa_latent.h"
#include "kernels/cpu/isa_packed_attention.h"
#include "kernels/cpu/isa_rows.h"

typedef struct wf_cpu_isa {
    const char *name;
    int tile_rows; // rows that a full GEMM tile takes
    void (*gemm)(const wf_gemm_part *part);
    void (*attention)(const wf_attention_part *part);
    void (*packed_attention)(const wf_packed_part *part);
    void (*latent_attention)(const wf_latent_part *part);
    // Rows begin..end of the operation.
    void (*rmsnorm)(const wf_rmsnorm_args *a, int64_t begin, int64_t end);
    void (*layernorm)(const wf_layernorm_args *a, int64_t begin, int64_t end);
    void (*softcap)(const wf_softcap_args *a, int64_t begin, int64_t end);
    void (*add)(const wf_add_args *a, int64_t begin, int64_t end);
    void (*gate_mul)(const wf_activation_args *a, int64_t begin, int64_t end);
    void (*activate)(const wf_activation_args *a, int64_t begin, int64_t end);
    void (*head_squares)(const wf_head_squares_args *a, int64_t begin, int64_t end);
    void (*rope_kv_append)(const wf_rope_args *a, int32_t begin, int32_t end);
    float (*greatest)(const float *x, int64_t n); // n > 0, no NaN
} wf_cpu_isa;

extern const wf_cpu_isa wf_cpu_isa_portable;
#ifdef __x86_64__
extern const wf_cpu_isa wf_cpu_isa_avx2, wf_cpu_isa_avx512;
#endif

#endif
