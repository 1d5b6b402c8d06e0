// Rows of tables, row arrays and pages: looked up, moved, copied.
#ifndef WF_KERNELS_OP_ROWS_H
#define WF_KERNELS_OP_ROWS_H

#include "kernels/ops/op_base.h"

// ids[i] = host_ids[i] where that is >= 0, else last_token[seq_row[token_seq[i]]].
typedef struct wf_token_ids_args {
    const wf_batch *batch;
    const int32_t *host_ids, *last_token;
    int32_t *ids; // [T]
} wf_token_ids_args;

// y[i] = scale * table[ids[i] - vocab_begin], 0 where ids[i] is outside this rank's [begin, begin +
// rows); plus types[type[i]] and positions[pos[i] + first_position] where there are such tables.
typedef struct wf_embed_args {
    const int32_t *ids;
    const wf_weight *table; // [V, H]
    int32_t vocab_begin;
    wf_matrix y;                // [T, H] act
    float scale;                // 0: 1
    const wf_weight *positions; // learned ones, [P, H], or NULL
    const int32_t *pos;         // [T]
    int32_t first_position;
    const wf_weight *types; // of segments, [n, H], or NULL
    const int32_t *type;    // [T]; NULL: all 0
} wf_embed_args;

// y[i] = x[index[i]]
typedef struct wf_gather_args {
    wf_matrix x;
    const int32_t *index; // [y.n_rows]
    wf_matrix y;
} wf_gather_args;

// dst[index[i] * row_bytes ...] = src[i * row_bytes ...]: new rows and new pages enter row arrays.
typedef struct wf_scatter_args {
    void *dst;
    const void *src;
    const int32_t *index; // [n]
    int32_t n;
    size_t row_bytes; // multiple of 4
} wf_scatter_args;

// One row array that a reordering moves.
typedef struct wf_row_array {
    void *data;
    size_t row_bytes; // multiple of 4
} wf_row_array;

// Moves row from[i] to row to[i] in every array, as if all were read before any is written.
typedef struct wf_reorder_args {
    const wf_row_array *arrays; // [host]
    int32_t n_arrays, n_moves;
    const int32_t *from, *to; // [n_moves]
} wf_reorder_args;

// Copies whole pages of every layer: pages to[i] = pages from[i] (physical compaction).
typedef struct wf_kv_copy_args {
    void *pool;
    int64_t layer_bytes, page_bytes;
    int32_t n_layers, n_pages;
    const int32_t *from, *to; // [n_pages]; the two sets are disjoint
} wf_kv_copy_args;

#define WF_ROWS_OPS(X)                                                                             \
    X(token_ids, wf_token_ids_args)                                                                \
    X(embed, wf_embed_args)                                                                        \
    X(gather, wf_gather_args)                                                                      \
    X(scatter, wf_scatter_args)                                                                    \
    X(reorder, wf_reorder_args)                                                                    \
    X(kv_copy, wf_kv_copy_args)
WF_ROWS_OPS(WF_OP_CHECK)

#endif
