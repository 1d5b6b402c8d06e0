// Encoders: rows that are whole in a step.
#ifndef WF_KERNELS_OP_ENCODE_H
#define WF_KERNELS_OP_ENCODE_H

#include "kernels/ops/op_base.h"

// Attention of packed rows over their own tokens, in both directions and without a KV cache:
//   out[t,h] = sum over p of w[p] V[p],  w = softmax over p of scale q . K[p] + bias[h][p - t]
// over the tokens p of t's sequence; with a window those with |p - t| <= window. Distances beyond
// the reach of `bias` have that of its ends. Query head h reads KV head h / (n_heads / n_kv_heads).
// Without padding and, for short rows, one kernel: ByteTransformer, arXiv 2210.03052.
typedef struct wf_packed_attention_args {
    const wf_batch *batch;
    wf_matrix qkv; // [T, (n_heads + 2 n_kv_heads) * head_dim] act, q | k | v
    int32_t n_heads, n_kv_heads, head_dim;
    float scale;
    int32_t window;     // tokens that one sees on either side; 0: all
    const float *bias;  // [n_heads][2 reach + 1], of distances -reach .. reach; NULL: none
    int32_t bias_reach; // reach
    wf_matrix out;      // [T, n_heads * head_dim] act
} wf_packed_attention_args;

// Where the bias of a distance p - t stands.
static inline int64_t wf_relative_index(int32_t head, int32_t reach, int32_t distance)
{
    int32_t near = distance < -reach ? -reach : distance > reach ? reach : distance;
    return (int64_t)head * (2 * reach + 1) + near + reach;
}

// What of a row's tokens becomes its vector.
typedef enum wf_pooling {
    WF_POOL_FIRST,
    WF_POOL_LAST,
    WF_POOL_MEAN, // added up in the order of the tokens on the CPU
    WF_POOL_MAX,
    WF_N_POOLINGS
} wf_pooling;

// y[i] = of rows x[first[i]] .. x[last[i]] the first, the last, their mean or the greatest numbers.
typedef struct wf_pool_args {
    wf_matrix x;          // [T, H] act
    const int32_t *first; // [n]; not read for LAST
    const int32_t *last;  // [n]; not read for FIRST
    wf_pooling pooling;
    wf_matrix y; // [n, H] act or f32
} wf_pool_args;

// y = x / max(|x|, 1e-12), row by row; `plain`: y = x.
#define WF_LEAST_LENGTH 1e-12
typedef struct wf_unit_rows_args {
    wf_matrix x; // [n, W] act or f32
    bool plain;
    wf_matrix y; // [n, W] f32; may be x
} wf_unit_rows_args;

#define WF_ENCODE_OPS(X)                                                                           \
    X(packed_attention, wf_packed_attention_args)                                                  \
    X(pool, wf_pool_args)                                                                          \
    X(unit_rows, wf_unit_rows_args)
WF_ENCODE_OPS(WF_OP_CHECK)

#endif
