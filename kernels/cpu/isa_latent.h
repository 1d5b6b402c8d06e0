// Latent attention: a part of one.
#ifndef WF_KERNELS_CPU_ISA_LATENT_H
#define WF_KERNELS_CPU_ISA_LATENT_H

#include "kernels/cpu/isa_name.h"
#include "kernels/ops/op_latent.h"

// Heads of a task of latent attention.
#define WF_LATENT_HEADS 16

// Heads i_head..end_head, at most WF_LATENT_HEADS, of one packed token.
typedef struct wf_latent_part {
    const wf_latent_attention_args *args;
    int32_t i_token, i_head, end_head;
    float *scratch; // WF_CPU_SCRATCH_BYTES
} wf_latent_part;

#ifdef WF_ISA_NAME
void WF_ISA(latent_attention)(const wf_latent_part *part);
#endif

#endif
