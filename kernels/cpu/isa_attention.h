// Attention over pages: a part of one.
#ifndef WF_KERNELS_CPU_ISA_ATTENTION_H
#define WF_KERNELS_CPU_ISA_ATTENTION_H

#include "kernels/cpu/isa_name.h"
#include "kernels/ops/op_attention.h"

// Rows i_row..end_row of one (sequence, KV head); row r is the query of head r % group of the
// sequence's new token r / group.
typedef struct wf_attention_part {
    const wf_attention_args *args;
    int32_t i_seq, kv_head;
    int32_t i_row, end_row; // at most WF_ATTENTION_ROWS
    float *scratch;         // WF_CPU_SCRATCH_BYTES
} wf_attention_part;

#ifdef WF_ISA_NAME
void WF_ISA(attention)(const wf_attention_part *part);
#endif

#endif
