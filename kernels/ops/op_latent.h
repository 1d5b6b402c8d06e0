// Latent attention.
#ifndef WF_KERNELS_OP_LATENT_H
#define WF_KERNELS_OP_LATENT_H

#include "kernels/ops/op_base.h"

//   x [T, hidden] -- gemm --> q [T, heads (nope | rope)]     -- gemm --> c [T, rank | rope]
//   c -- latent_append --> the cache: norm(c[0..rank)) | rotated c[rank..), one row for all heads
//   q -- heads_gemm (keys absorbed) --> wide [T, heads (rank | rope)], whose rotated part
//   latent_append adds -- latent_attention --> [T, heads rank] -- heads_gemm (values) --> o
//
// A token leaves rank + rope numbers in the cache, whatever the number of heads; a key is all of
// them, a value the first `rank`. Source: DeepSeek-V2, arXiv 2405.04434, section 2.1.

// y[t][h] = x[t][h] W[h]^T: head h has K numbers of a row of x from h * x_step on, and N of y from
// h * y_step on; what lies between is left alone. Every sum over k is one chain, as in gemm.
typedef struct wf_heads_gemm_args {
    wf_matrix x; // [T, at least (H - 1) x_step + K] act
    int64_t x_step, y_step;
    const wf_weight *w; // H matrices [N, K]
    wf_matrix y;        // [T, at least (H - 1) y_step + N] act
} wf_heads_gemm_args;

// Appends row c of every token to the cache, its first `rank` numbers normed as in rmsnorm, the
// others rotated by its position; and rotates the last `rope` numbers of every head of q into the
// last `rope` of that head in `wide`. Pairs and tables as in wf_rope_args.
typedef struct wf_latent_append_args {
    const wf_batch *batch;
    wf_matrix c; // [T, rank + rope] act
    int32_t n_heads, rank, rope, nope;
    const float *norm; // [rank]
    float norm_eps;
    bool interleaved;
    const float *cos, *sin; // [max_context][rope / 2]
    wf_matrix q;            // [T, n_heads * (nope + rope)] act
    wf_matrix wide;         // [T, n_heads * (rank + rope)] act
    wf_kv kv;               // of one head, head_dim rank + rope, without values (kv_stride 0)
} wf_latent_append_args;

// out[t][h] = softmax over p <= pos(t) of (scale q[t][h] . K[p]) times the first `rank` of K[p].
typedef struct wf_latent_attention_args {
    const wf_batch *batch;
    wf_matrix q; // [T, n_heads * head_dim] act
    int32_t n_heads, rank;
    float scale;
    wf_kv kv;      // as in wf_latent_append_args
    wf_matrix out; // [T, n_heads * rank] act
} wf_latent_attention_args;

// The longest row of a latent cache.
#define WF_MAX_LATENT 1024

#define WF_LATENT_OPS(X)                                                                           \
    X(heads_gemm, wf_heads_gemm_args)                                                              \
    X(latent_append, wf_latent_append_args)                                                        \
    X(latent_attention, wf_latent_attention_args)
WF_LATENT_OPS(WF_OP_CHECK)

#endif
