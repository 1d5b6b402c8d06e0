// The weights of a model, one row each: a tensor of the checkpoint, how large it is, how it is
// split over a group and where it is kept. From here come its role (family.h, whose rows name it)
// and its part (model_parts.h), which loading, checking, counting and freeing walk.
//
// X(scope, role, param, rows, columns, split, bias, block)
//   scope      LAYER: every layer has one; MODEL: one outside of layers
//   param      member of wf_layer or wf_model (model.h); rows with one param lie below each other
//   rows ...   wf_extent, wf_extent, wf_split, wf_bias (model_parts.h)
//   block      of layers with this block (wf_block_kind), ANY: of all
// A family that has no name for a role has no such tensor: q, k and v or one fused qkv; gate and
// up, one fused gate_up, or up alone. Norms stand before a block (attn_norm, mlp_norm), behind it
// (attn_after, mlp_after: of what it adds to x), or both; the MLP beside an attention may read the
// attention's. Positions and types of segments are on rank 0 alone. What stands in layers with
// ATTENTION stands in those with BIDIRECTIONAL as well.
// Two rows may name one tensor, of which each takes rows of its own (LATENT_K, LATENT_V).
// Tensors of which each expert has one (EXPERT_ splits) become one weight of many matrices; a
// family whose name of them has no "{E}" has one tensor of all, in codes (model_packed.h).
#ifndef WF_ENGINE_PART_TABLE_H
#define WF_ENGINE_PART_TABLE_H

// clang-format off
#define WF_PART_TABLE(X)                                                                           \
    /* scope  role        param       rows      columns split    bias   block */                   \
    X(LAYER, ATTN_NORM,  attn_norm,  HIDDEN,   VECTOR, WHOLE,   NORM,  ANY)                        \
    X(LAYER, Q,          qkv,        Q,        HIDDEN, ROWS,    QKV,   ATTENTION)                  \
    X(LAYER, K,          qkv,        KV,       HIDDEN, ROWS,    QKV,   ATTENTION)                  \
    X(LAYER, V,          qkv,        KV,       HIDDEN, ROWS,    QKV,   ATTENTION)                  \
    X(LAYER, QKV,        qkv,        QKV,      HIDDEN, QKV,     QKV,   ATTENTION)                  \
    X(LAYER, Q_NORM,     q_norm,     Q_NORM,   VECTOR, HEADS,   NORM,  ATTENTION)                  \
    X(LAYER, K_NORM,     k_norm,     K_NORM,   VECTOR, HEADS,   NORM,  ATTENTION)                  \
    X(LAYER, SINKS,      sinks,      HEADS,    VECTOR, ROWS,    NEVER, ATTENTION)                  \
    X(LAYER, LATENT_Q_A, q_a,        Q_RANK,   HIDDEN, WHOLE,   QKV,   LATENT)                     \
    X(LAYER, LATENT_Q_NORM, q_a_norm, Q_RANK,  VECTOR, WHOLE,   NEVER, LATENT)                     \
    X(LAYER, LATENT_Q,   latent_q,   Q,        HIDDEN, ROWS,    NEVER, LATENT)                     \
    X(LAYER, LATENT_Q_B, latent_q,   Q,        Q_RANK, ROWS,    NEVER, LATENT)                     \
    X(LAYER, LATENT_KV_A, kv_a,      KV_ROW,   HIDDEN, WHOLE,   QKV,   LATENT)                     \
    X(LAYER, LATENT_KV_NORM, kv_a_norm, KV_RANK, VECTOR, WHOLE, NEVER, LATENT)                     \
    X(LAYER, LATENT_K,   latent_k,   KV_UP,    KV_RANK, HEAD_KEYS, NEVER, LATENT)                  \
    X(LAYER, LATENT_V,   latent_v,   KV_UP,    KV_RANK, HEAD_VALUES, NEVER, LATENT)                \
    X(LAYER, O,          o,          HIDDEN,   Q,      COLUMNS, O,     ATTENTION)                  \
    X(LAYER, LATENT_O,   o,          HIDDEN,   V,      COLUMNS, O,     LATENT)                     \
    X(LAYER, ATTN_AFTER, attn_after, HIDDEN,   VECTOR, WHOLE,   NORM,  ANY)                        \
    X(LAYER, MLP_NORM,   mlp_norm,   HIDDEN,   VECTOR, WHOLE,   NORM,  ANY)                        \
    X(LAYER, GATE,       gate_up,    FFN,      HIDDEN, ROWS,    MLP,   DENSE)                      \
    X(LAYER, UP,         gate_up,    FFN,      HIDDEN, ROWS,    MLP,   DENSE)                      \
    X(LAYER, GATE_UP,    gate_up,    GATE_UP,  HIDDEN, GATE_UP, MLP,   DENSE)                      \
    X(LAYER, DOWN,       down,       HIDDEN,   FFN,    COLUMNS, MLP,   DENSE)                      \
    X(LAYER, ROUTER,     router,     EXPERTS,  HIDDEN, WHOLE,   ROUTER, EXPERTS)                   \
    X(LAYER, CHOICE_BIAS, choice_bias, EXPERTS, VECTOR, WHOLE,  NEVER, EXPERTS)                    \
    X(LAYER, EXPERT_GATE, expert_up, EXPERT_FFN, HIDDEN, EXPERT_ROWS, EXPERT, EXPERTS)             \
    X(LAYER, EXPERT_UP,  expert_up,  EXPERT_FFN, HIDDEN, EXPERT_ROWS, EXPERT, EXPERTS)             \
    X(LAYER, EXPERT_GATE_UP, expert_up, EXPERT_PAIRS, HIDDEN, EXPERT_PAIRS, EXPERT, EXPERTS)       \
    X(LAYER, EXPERT_DOWN, expert_down, HIDDEN, EXPERT_FFN, EXPERT_COLUMNS, EXPERT, EXPERTS)        \
    X(LAYER, SHARED_GATE, shared_up, SHARED_FFN, HIDDEN, ROWS,  NEVER, EXPERTS)                    \
    X(LAYER, SHARED_UP,  shared_up,  SHARED_FFN, HIDDEN, ROWS,  NEVER, EXPERTS)                    \
    X(LAYER, SHARED_DOWN, shared_down, HIDDEN, SHARED_FFN, COLUMNS, NEVER, EXPERTS)                \
    X(LAYER, SHARED_ROUTER, shared_router, ONE, HIDDEN, WHOLE,  NEVER, EXPERTS)                    \
    X(LAYER, MLP_AFTER,  mlp_after,  HIDDEN,   VECTOR, WHOLE,   NORM,  ANY)                        \
    X(MODEL, EMBED,      embed,      VOCAB,    EMBED,  VOCAB,   NEVER, ANY)                        \
    X(MODEL, POSITIONS,  positions,  POSITIONS, EMBED, WHOLE,   NEVER, ANY)                        \
    X(MODEL, TYPES,      types,      TYPES,    EMBED,  WHOLE,   NEVER, ANY)                        \
    X(MODEL, EMBED_NORM, embed_norm, EMBED,    VECTOR, WHOLE,   NORM,  ANY)                        \
    X(MODEL, EMBED_UP,   embed_up,   HIDDEN,   EMBED,  WHOLE,   EMBED_UP, ANY)                     \
    X(MODEL, FINAL_NORM, final_norm, HIDDEN,   VECTOR, WHOLE,   NORM,  ANY)                        \
    X(MODEL, SCORE_DENSE, head_dense, HIDDEN,  HIDDEN, WHOLE,   SCORE_DENSE, ANY)                  \
    X(MODEL, MASK_DENSE, head_dense, EMBED,    HIDDEN, WHOLE,   SCORE_DENSE, ANY)                  \
    X(MODEL, SCORE_NORM, head_norm,  HIDDEN,   VECTOR, WHOLE,   NORM,  ANY)                        \
    X(MODEL, MASK_NORM,  head_norm,  EMBED,    VECTOR, WHOLE,   NORM,  ANY)                        \
    X(MODEL, MASK_BIAS,  head_bias,  VOCAB,    VECTOR, VOCAB,   NEVER, ANY)                        \
    X(MODEL, SCORE,      score,      LABELS,   HIDDEN, WHOLE,   SCORE, ANY)                        \
    X(MODEL, HEAD,       head,       VOCAB,    EMBED,  VOCAB,   HEAD,  ANY)
// clang-format on

#endif
