// Attention of whole rows: a part of one.
#ifndef WF_KERNELS_CPU_ISA_PACKED_ATTENTION_H
#define WF_KERNELS_CPU_ISA_PACKED_ATTENTION_H

#include "kernels/cpu/isa_name.h"
#include "kernels/ops/op_encode.h"

// Tokens i_row..end_row, counted within their sequence, as queries of one head.
typedef struct wf_packed_part {
    const wf_packed_attention_args *args;
    int32_t i_seq, head;
    int32_t i_row, end_row; // at most WF_ATTENTION_ROWS
    float *scratch;         // WF_CPU_SCRATCH_BYTES
} wf_packed_part;

#ifdef WF_ISA_NAME
void WF_ISA(packed_attention)(const wf_packed_part *part);
#endif

#endif
