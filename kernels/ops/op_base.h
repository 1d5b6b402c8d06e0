// What the headers of operations share: the packed batch of a step, and what is declared for each
// operation: its check of arguments (op_check.h).
#ifndef WF_KERNELS_OP_BASE_H
#define WF_KERNELS_OP_BASE_H

#include <stdbool.h>

#include "io/base/status.h"
#include "kernels/handle.h"
#include "kernels/tensor.h"

// A scale of arguments, where 0 stands for 1.
static inline float wf_scale_of(float scale)
{
    return scale < 0.0f || scale > 0.0f ? scale : 1.0f;
}

// The packed batch of one step. Sequences lie end to end without padding; the first n_decode of
// them have one token each. Lengths known to the host are passed by value as bounds, the arrays are
// read on the device so that a captured step can be replayed with other lengths. Positions of a
// sequence are consecutive: token_pos[cu_seqlens[s] + i] = seq_past[s] + i.
typedef struct wf_batch {
    int32_t n_tokens, n_seqs, n_decode;
    int32_t max_new;           // longest chunk, tokens
    int32_t max_context;       // longest context after this step, tokens
    const int32_t *cu_seqlens; // [S+1] first packed token of each sequence
    const int32_t *seq_row;    // [S] row slot of each sequence
    const int32_t *seq_past;   // [S] tokens already in the KV cache
    const int32_t *seq_join;   // [S] 1: its row is new with this step, wherever it begins
    const int32_t *token_seq;  // [T] sequence of each packed token
    const int32_t *token_pos;  // [T] position of each packed token in its request
    const int32_t *page_table; // [R][page_stride] page numbers, row-indexed
    int32_t page_stride;       // columns of page_table
    int64_t n_kv, n_pairs;     // sums of contexts, of contexts of tokens: for profiles alone
} wf_batch;

#define WF_OP_CHECK(op, args) wf_status wf_check_##op(const args *a, wf_dtype act);

#endif
