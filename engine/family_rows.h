// The rows of the table of model families, by kind, and what they are written with. Private to
// engine/family*.c; what the columns mean says family.h.
#ifndef WF_ENGINE_FAMILY_ROWS_H
#define WF_ENGINE_FAMILY_ROWS_H

#include "engine/family.h"

// X(kind): the files engine/family_<kind>.c, each with its rows.
#define WF_FAMILY_KINDS(X) X(llama) X(experts) X(latent) X(windows) X(older) X(encoder)

#define WF_FAMILY_KIND(kind)                                                                       \
    extern const wf_family wf_family_##kind[];                                                     \
    extern const size_t wf_family_##kind##_count;
WF_FAMILY_KINDS(WF_FAMILY_KIND)
#undef WF_FAMILY_KIND

// Llama's naming, shared by its many descendants.
#define LLAMA_MATRICES                                                                             \
    [WF_ROLE_EMBED] = "model.embed_tokens", [WF_ROLE_Q] = "model.layers.{L}.self_attn.q_proj",     \
    [WF_ROLE_K] = "model.layers.{L}.self_attn.k_proj",                                             \
    [WF_ROLE_V] = "model.layers.{L}.self_attn.v_proj",                                             \
    [WF_ROLE_O] = "model.layers.{L}.self_attn.o_proj",                                             \
    [WF_ROLE_GATE] = "model.layers.{L}.mlp.gate_proj",                                             \
    [WF_ROLE_UP] = "model.layers.{L}.mlp.up_proj",                                                 \
    [WF_ROLE_DOWN] = "model.layers.{L}.mlp.down_proj", [WF_ROLE_FINAL_NORM] = "model.norm",        \
    [WF_ROLE_HEAD] = "lm_head", [WF_ROLE_SCORE] = "score"
#define LLAMA_NAMES                                                                                \
    LLAMA_MATRICES, [WF_ROLE_ATTN_NORM] = "model.layers.{L}.input_layernorm",                      \
                    [WF_ROLE_MLP_NORM] = "model.layers.{L}.post_attention_layernorm"

#define SILU_NAMES                                                                                 \
    {"silu", WF_CURVE_SILU},                                                                       \
    {                                                                                              \
        "swish", WF_CURVE_SILU                                                                     \
    }
#define GELU_TANH_NAMES                                                                            \
    {"gelu_new", WF_CURVE_GELU_TANH}, {"gelu_pytorch_tanh", WF_CURVE_GELU_TANH},                   \
    {                                                                                              \
        "gelu_fast", WF_CURVE_GELU_TANH                                                            \
    }

#define LLAMA_SIZES                                                                                \
    [WF_KEY_N_LAYERS] = {"num_hidden_layers"}, [WF_KEY_HIDDEN] = {"hidden_size"},                  \
    [WF_KEY_N_HEADS] = {"num_attention_heads"}, [WF_KEY_N_KV_HEADS] = {"num_key_value_heads"},     \
    [WF_KEY_HEAD_DIM] = {"head_dim"}, [WF_KEY_FFN] = {"intermediate_size"},                        \
    [WF_KEY_VOCAB] = {"vocab_size"}, [WF_KEY_MAX_CONTEXT] = {"max_position_embeddings"},           \
    [WF_KEY_ROPE_THETA] = {"rope_theta"}
#define LLAMA_KEYS                                                                                 \
    LLAMA_SIZES, [WF_KEY_NORM_EPS] = {"rms_norm_eps"}, [WF_KEY_ACTIVATION] = {"hidden_act"}

// Experts beside Llama's names; LLAMA_NAMES has those of a dense layer.
#define QWEN_EXPERT_NAMES                                                                          \
    [WF_ROLE_ROUTER] = "model.layers.{L}.mlp.gate",                                                \
    [WF_ROLE_EXPERT_GATE] = "model.layers.{L}.mlp.experts.{E}.gate_proj",                          \
    [WF_ROLE_EXPERT_UP] = "model.layers.{L}.mlp.experts.{E}.up_proj",                              \
    [WF_ROLE_EXPERT_DOWN] = "model.layers.{L}.mlp.experts.{E}.down_proj"

// Of the configuration classes of transformers 5.
#define LLAMA_ABSENT [WF_KEY_NORM_EPS] = 1e-6, [WF_KEY_ROPE_THETA] = 10000, [WF_KEY_ROTARY_PCT] = 1

#endif
