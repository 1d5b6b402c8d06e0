// Causal attention over a paged cache, and what comes before it.
#ifndef WF_KERNELS_OP_ATTENTION_H
#define WF_KERNELS_OP_ATTENTION_H

#include "kernels/ops/op_base.h"

// What the norms of q and k over all their heads need: the sum of x^2 of every head x.
typedef struct wf_head_squares_args {
    wf_matrix qkv;             // [T, at least n_heads * head_dim] act: q's heads, then k's
    int32_t n_heads, head_dim; // of q and k together
    float *squares;            // [T][n_heads]
} wf_head_squares_args;

// Rotates q and k of every token by its position and appends k and v to the KV cache; with no cache
// (kv.base NULL, of kv its n_kv_heads and head_dim alone) both are rotated in place.
// qkv rows: [n_heads | n_kv_heads | n_kv_heads] * head_dim; q is rotated in place.
// Rotary tables: cos/sin [max_context][rotary_dim / 2] f32. interleaved: pairs (2i, 2i+1) (GPT-J),
// else (i, i + rotary_dim / 2) (Llama); rotary_dim 0: nothing is rotated. With q_norm, every head x
// of q and of k becomes x / sqrt(mean(x^2) + norm_eps) * weight first (Qwen3), the mean being that
// of the head, or, with `squares`, of all heads of q or of k of all ranks, added up rank by rank
// and head by head (OLMo 2); `norm_centred`: (x - mean(x)) takes the place of x, as in a LayerNorm
// (Command-R).
typedef struct wf_rope_args {
    const wf_batch *batch;
    wf_matrix qkv; // [T, (n_heads + 2 n_kv_heads) * head_dim] act
    int32_t n_heads, rotary_dim;
    bool interleaved;
    const float *cos, *sin;
    wf_kv kv;
    const float *q_norm, *k_norm; // weights of the norms; both NULL: none
    float norm_eps;
    int32_t norm_stride; // from a head's weights to the next one's; 0: all heads have the same
    bool norm_centred;
    const float *squares; // [n_ranks][T][n_heads + n_kv_heads] of wf_head_squares_args, or NULL
    int32_t n_ranks;      // of squares
} wf_rope_args;

// Causal attention of packed rows over their pages: out[t,h] = sum over p of w[p] V[p], where
//   x[p] = scale q . K[p]; with a softcap c, c tanh(x / c); with slopes, + slopes[h] (p - pos)
//   w[p] = exp(x[p]) / (sum over p of exp(x[p]) + exp(sinks[h]))
// over positions 0..pos, pos = token_pos[t]; with a window the last `window` of them. Pages wholly
// before the window of a sequence's first token may hold anything finite. Query head h reads KV
// head h / (n_heads / n_kv_heads).
typedef struct wf_attention_args {
    const wf_batch *batch;
    wf_matrix qkv; // rotated q in the first n_heads * head_dim columns
    int32_t n_heads;
    float scale;
    wf_kv kv;
    wf_matrix out;       // [T, n_heads * head_dim] act
    int32_t window;      // positions that a token sees, its own included; 0: all
    float softcap;       // 0: none
    const float *sinks;  // [n_heads] logits that take weight and have no value; NULL: none
    const float *slopes; // [n_heads] ALiBi, arXiv 2108.12409; NULL: none
} wf_attention_args;

// Whether anything but the plain softmax is asked for.
static inline bool wf_attention_varies(const wf_attention_args *a)
{
    return a->window > 0 || a->softcap > 0.0f || a->sinks != NULL || a->slopes != NULL;
}

#define WF_ATTENTION_OPS(X)                                                                        \
    X(head_squares, wf_head_squares_args)                                                          \
    X(rope_kv_append, wf_rope_args)                                                                \
    X(attention, wf_attention_args)
WF_ATTENTION_OPS(WF_OP_CHECK)

#endif
