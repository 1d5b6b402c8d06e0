// The table of model families. One row each; the columns are explained in family.h.
#include "engine/family.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

// Llama's naming, shared by its many descendants.
#define LLAMA_MATRICES                                                                             \
    [WF_ROLE_EMBED] = "model.embed_tokens", [WF_ROLE_Q] = "model.layers.{L}.self_attn.q_proj",     \
    [WF_ROLE_K] = "model.layers.{L}.self_attn.k_proj",                                             \
    [WF_ROLE_V] = "model.layers.{L}.self_attn.v_proj",                                             \
    [WF_ROLE_O] = "model.layers.{L}.self_attn.o_proj",                                             \
    [WF_ROLE_GATE] = "model.layers.{L}.mlp.gate_proj",                                             \
    [WF_ROLE_UP] = "model.layers.{L}.mlp.up_proj",                                                 \
    [WF_ROLE_DOWN] = "model.layers.{L}.mlp.down_proj", [WF_ROLE_FINAL_NORM] = "model.norm",        \
    [WF_ROLE_HEAD] = "lm_head"
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

// Norms before and behind each block.
#define GEMMA_NORMS                                                                                \
    [WF_ROLE_ATTN_NORM] = "model.layers.{L}.input_layernorm",                                      \
    [WF_ROLE_ATTN_AFTER] = "model.layers.{L}.post_attention_layernorm",                            \
    [WF_ROLE_MLP_NORM] = "model.layers.{L}.pre_feedforward_layernorm",                             \
    [WF_ROLE_MLP_AFTER] = "model.layers.{L}.post_feedforward_layernorm"
#define GEMMA_KEYS                                                                                 \
    LLAMA_SIZES,                                                                                   \
        [WF_KEY_NORM_EPS] = {"rms_norm_eps"}, [WF_KEY_ACTIVATION] = {"hidden_activation"},         \
        [WF_KEY_ATTN_BIAS] = {"attention_bias"}, [WF_KEY_ATTN_SCALAR] = {"query_pre_attn_scalar"}, \
        [WF_KEY_WINDOW] = {"sliding_window"}, [WF_KEY_ATTN_CAP] = {"attn_logit_softcapping"},      \
        [WF_KEY_LOGIT_CAP] = {"final_logit_softcapping"}

// Of the configuration classes of transformers 5.
#define LLAMA_ABSENT [WF_KEY_NORM_EPS] = 1e-6, [WF_KEY_ROPE_THETA] = 10000, [WF_KEY_ROTARY_PCT] = 1

// Experts beside Llama's names; LLAMA_NAMES has those of a dense layer.
#define QWEN_EXPERT_NAMES                                                                          \
    [WF_ROLE_ROUTER] = "model.layers.{L}.mlp.gate",                                                \
    [WF_ROLE_EXPERT_GATE] = "model.layers.{L}.mlp.experts.{E}.gate_proj",                          \
    [WF_ROLE_EXPERT_UP] = "model.layers.{L}.mlp.experts.{E}.up_proj",                              \
    [WF_ROLE_EXPERT_DOWN] = "model.layers.{L}.mlp.experts.{E}.down_proj"

#define QWEN_EXPERT_KEYS                                                                           \
    [WF_KEY_N_EXPERTS] = {"num_experts", "num_local_experts"},                                     \
    [WF_KEY_N_CHOICES] = {"num_experts_per_tok"}, [WF_KEY_EXPERT_FFN] = {"moe_intermediate_size"}, \
    [WF_KEY_NORM_TOPK] = {"norm_topk_prob"}, [WF_KEY_EXPERT_STEP] = {"decoder_sparse_step"},       \
    [WF_KEY_DENSE_LAYERS] = {"mlp_only_layers"}

static const wf_family families[] = {
    {
        .name = "llama",
        .model_types = {"llama"},
        .norm = WF_NORM_RMS,
        .gated = true,
        .curve = WF_CURVE_SILU,
        .activation_names = {SILU_NAMES},
        .names = {LLAMA_NAMES},
        .keys = {LLAMA_KEYS, [WF_KEY_ATTN_BIAS] = {"attention_bias"},
                 [WF_KEY_MLP_BIAS] = {"mlp_bias"}},
        .absent = {LLAMA_ABSENT},
        .ignored = {".rotary_emb.inv_freq"},
    },
    {
        .name = "mistral",
        .model_types = {"mistral"},
        .norm = WF_NORM_RMS,
        .gated = true,
        .curve = WF_CURVE_SILU,
        .activation_names = {SILU_NAMES},
        .names = {LLAMA_NAMES},
        .keys = {LLAMA_KEYS, [WF_KEY_WINDOW] = {"sliding_window"}},
        .absent = {LLAMA_ABSENT, [WF_KEY_N_KV_HEADS] = 8, [WF_KEY_WINDOW] = 4096},
        .unread = {"attention_bias", "mlp_bias"},
        .ignored = {".rotary_emb.inv_freq"},
    },
    {
        .name = "qwen2",
        .model_types = {"qwen2"},
        .norm = WF_NORM_RMS,
        .bias_qkv = true,
        .gated = true,
        .curve = WF_CURVE_SILU,
        .activation_names = {SILU_NAMES},
        .names = {LLAMA_NAMES},
        .keys = {LLAMA_KEYS, [WF_KEY_WINDOW] = {"sliding_window"},
                 [WF_KEY_USE_WINDOW] = {"use_sliding_window"},
                 [WF_KEY_FIRST_WINDOW] = {"max_window_layers"}},
        .types_by_layer = true,
        .absent = {LLAMA_ABSENT, [WF_KEY_N_KV_HEADS] = 32, [WF_KEY_WINDOW] = 4096,
                   [WF_KEY_FIRST_WINDOW] = 28},
        .unread = {"attention_bias", "mlp_bias"},
        .ignored = {".rotary_emb.inv_freq"},
    },
    {
        .name = "qwen3",
        .model_types = {"qwen3"},
        .norm = WF_NORM_RMS,
        .gated = true,
        .curve = WF_CURVE_SILU,
        .activation_names = {SILU_NAMES},
        .names = {LLAMA_NAMES, [WF_ROLE_Q_NORM] = "model.layers.{L}.self_attn.q_norm",
                  [WF_ROLE_K_NORM] = "model.layers.{L}.self_attn.k_norm"},
        .keys = {LLAMA_KEYS, [WF_KEY_ATTN_BIAS] = {"attention_bias"},
                 [WF_KEY_WINDOW] = {"sliding_window"}, [WF_KEY_USE_WINDOW] = {"use_sliding_window"},
                 [WF_KEY_FIRST_WINDOW] = {"max_window_layers"}},
        .types_by_layer = true,
        .absent = {LLAMA_ABSENT, [WF_KEY_N_KV_HEADS] = 32, [WF_KEY_HEAD_DIM] = 128,
                   [WF_KEY_WINDOW] = 4096, [WF_KEY_FIRST_WINDOW] = 28},
        .unread = {"mlp_bias"},
        .ignored = {".rotary_emb.inv_freq"},
    },
    {
        .name = "mixtral",
        .model_types = {"mixtral"},
        .norm = WF_NORM_RMS,
        .gated = true,
        .curve = WF_CURVE_SILU,
        .activation_names = {SILU_NAMES},
        .renormalise = true,
        .names = {LLAMA_NAMES, [WF_ROLE_ROUTER] = "model.layers.{L}.block_sparse_moe.gate",
                  [WF_ROLE_EXPERT_GATE] = "model.layers.{L}.block_sparse_moe.experts.{E}.w1",
                  [WF_ROLE_EXPERT_UP] = "model.layers.{L}.block_sparse_moe.experts.{E}.w3",
                  [WF_ROLE_EXPERT_DOWN] = "model.layers.{L}.block_sparse_moe.experts.{E}.w2"},
        .keys = {LLAMA_KEYS, [WF_KEY_WINDOW] = {"sliding_window"},
                 [WF_KEY_N_EXPERTS] = {"num_local_experts"},
                 [WF_KEY_N_CHOICES] = {"num_experts_per_tok"}},
        .absent = {[WF_KEY_NORM_EPS] = 1e-5,
                   [WF_KEY_ROPE_THETA] = 1e6,
                   [WF_KEY_ROTARY_PCT] = 1,
                   [WF_KEY_N_KV_HEADS] = 8,
                   [WF_KEY_N_EXPERTS] = 8,
                   [WF_KEY_N_CHOICES] = 2},
        .unread = {"attention_bias", "mlp_bias"},
        .ignored = {".rotary_emb.inv_freq"},
    },
    {
        .name = "qwen2_moe",
        .model_types = {"qwen2_moe"},
        .norm = WF_NORM_RMS,
        .bias_qkv = true,
        .gated = true,
        .curve = WF_CURVE_SILU,
        .activation_names = {SILU_NAMES},
        .names = {LLAMA_NAMES, QWEN_EXPERT_NAMES,
                  [WF_ROLE_SHARED_GATE] = "model.layers.{L}.mlp.shared_expert.gate_proj",
                  [WF_ROLE_SHARED_UP] = "model.layers.{L}.mlp.shared_expert.up_proj",
                  [WF_ROLE_SHARED_DOWN] = "model.layers.{L}.mlp.shared_expert.down_proj",
                  [WF_ROLE_SHARED_ROUTER] = "model.layers.{L}.mlp.shared_expert_gate"},
        .keys = {LLAMA_KEYS, QWEN_EXPERT_KEYS,
                 [WF_KEY_SHARED_FFN] = {"shared_expert_intermediate_size"},
                 [WF_KEY_QKV_BIAS] = {"qkv_bias"}, [WF_KEY_WINDOW] = {"sliding_window"},
                 [WF_KEY_USE_WINDOW] = {"use_sliding_window"},
                 [WF_KEY_FIRST_WINDOW] = {"max_window_layers"}},
        .types_by_layer = true,
        .absent = {LLAMA_ABSENT, [WF_KEY_N_KV_HEADS] = 16, [WF_KEY_WINDOW] = 4096,
                   [WF_KEY_FIRST_WINDOW] = 28, [WF_KEY_N_EXPERTS] = 60, [WF_KEY_N_CHOICES] = 4,
                   [WF_KEY_EXPERT_FFN] = 1408, [WF_KEY_SHARED_FFN] = 5632,
                   [WF_KEY_EXPERT_STEP] = 1},
        .unread = {"attention_bias", "mlp_bias"},
        .ignored = {".rotary_emb.inv_freq"},
    },
    {
        .name = "qwen3_moe",
        .model_types = {"qwen3_moe"},
        .norm = WF_NORM_RMS,
        .gated = true,
        .curve = WF_CURVE_SILU,
        .activation_names = {SILU_NAMES},
        .names = {LLAMA_NAMES, QWEN_EXPERT_NAMES,
                  [WF_ROLE_Q_NORM] = "model.layers.{L}.self_attn.q_norm",
                  [WF_ROLE_K_NORM] = "model.layers.{L}.self_attn.k_norm"},
        .keys = {LLAMA_KEYS, QWEN_EXPERT_KEYS, [WF_KEY_ATTN_BIAS] = {"attention_bias"},
                 [WF_KEY_WINDOW] = {"sliding_window"},
                 [WF_KEY_USE_WINDOW] = {"use_sliding_window"}},
        .absent = {LLAMA_ABSENT, [WF_KEY_N_KV_HEADS] = 4, [WF_KEY_N_EXPERTS] = 128,
                   [WF_KEY_N_CHOICES] = 8, [WF_KEY_EXPERT_FFN] = 768, [WF_KEY_EXPERT_STEP] = 1},
        .unread = {"mlp_bias", "max_window_layers"},
        .ignored = {".rotary_emb.inv_freq"},
    },
    {
        .name = "gpt_oss",
        .model_types = {"gpt_oss"},
        .norm = WF_NORM_RMS,
        .bias_qkv = true,
        .bias_o = true,
        .gated = true,
        .curve = WF_CURVE_SILU,
        .activation_names = {SILU_NAMES},
        .bias_router = true,
        .bias_experts = true,
        .clamped_gate = true,
        .says_rope = true,
        .renormalise = true, // the softmax of the chosen ones
        .names = {LLAMA_NAMES, [WF_ROLE_SINKS] = "model.layers.{L}.self_attn.sinks=",
                  [WF_ROLE_ROUTER] = "model.layers.{L}.mlp.router",
                  [WF_ROLE_EXPERT_GATE_UP] = "model.layers.{L}.mlp.experts.gate_up_proj=",
                  [WF_ROLE_EXPERT_DOWN] = "model.layers.{L}.mlp.experts.down_proj="},
        .keys = {LLAMA_KEYS, [WF_KEY_ATTN_BIAS] = {"attention_bias"},
                 [WF_KEY_WINDOW] = {"sliding_window"}, [WF_KEY_N_EXPERTS] = {"num_local_experts"},
                 [WF_KEY_N_CHOICES] = {"num_experts_per_tok", "experts_per_token"},
                 [WF_KEY_GATE_ALPHA] = {"swiglu_alpha"}, [WF_KEY_GATE_LIMIT] = {"swiglu_limit"}},
        .types_by_layer = true,
        .absent = {[WF_KEY_NORM_EPS] = 1e-5,
                   [WF_KEY_ROPE_THETA] = 150000,
                   [WF_KEY_ROTARY_PCT] = 1,
                   [WF_KEY_N_KV_HEADS] = 8,
                   [WF_KEY_HEAD_DIM] = 64,
                   [WF_KEY_WINDOW] = 128,
                   [WF_KEY_N_EXPERTS] = 128,
                   [WF_KEY_N_CHOICES] = 4,
                   [WF_KEY_GATE_ALPHA] = 1.702,
                   [WF_KEY_GATE_LIMIT] = 7},
    },
    {
        .name = "glm4_moe",
        .model_types = {"glm4_moe"},
        .norm = WF_NORM_RMS,
        .gated = true,
        .curve = WF_CURVE_SILU,
        .activation_names = {SILU_NAMES},
        .sigmoid_router = true,
        .renormalise = true,
        .names = {LLAMA_NAMES, QWEN_EXPERT_NAMES,
                  [WF_ROLE_Q_NORM] = "model.layers.{L}.self_attn.q_norm",
                  [WF_ROLE_K_NORM] = "model.layers.{L}.self_attn.k_norm",
                  [WF_ROLE_CHOICE_BIAS] = "model.layers.{L}.mlp.gate.e_score_correction_bias=",
                  [WF_ROLE_SHARED_GATE] = "model.layers.{L}.mlp.shared_experts.gate_proj",
                  [WF_ROLE_SHARED_UP] = "model.layers.{L}.mlp.shared_experts.up_proj",
                  [WF_ROLE_SHARED_DOWN] = "model.layers.{L}.mlp.shared_experts.down_proj"},
        .keys = {LLAMA_KEYS, [WF_KEY_QKV_BIAS] = {"attention_bias"},
                 [WF_KEY_ROTARY_PCT] = {"partial_rotary_factor"},
                 [WF_KEY_N_EXPERTS] = {"n_routed_experts", "num_local_experts"},
                 [WF_KEY_N_CHOICES] = {"num_experts_per_tok"},
                 [WF_KEY_EXPERT_FFN] = {"moe_intermediate_size"},
                 [WF_KEY_NORM_TOPK] = {"norm_topk_prob"},
                 [WF_KEY_FIRST_EXPERTS] = {"first_k_dense_replace"},
                 [WF_KEY_N_SHARED] = {"n_shared_experts"},
                 [WF_KEY_ROUTED_SCALE] = {"routed_scaling_factor"},
                 [WF_KEY_ROUTER_GROUPS] = {"n_group"}, [WF_KEY_BEST_GROUPS] = {"topk_group"},
                 [WF_KEY_HEAD_NORM] = {"use_qk_norm"},
                 [WF_KEY_NEXT_LAYERS] = {"num_nextn_predict_layers"}},
        .absent = {[WF_KEY_NORM_EPS] = 1e-5,
                   [WF_KEY_ROPE_THETA] = 10000,
                   [WF_KEY_ROTARY_PCT] = 0.5,
                   [WF_KEY_N_KV_HEADS] = 8,
                   [WF_KEY_N_EXPERTS] = 128,
                   [WF_KEY_N_CHOICES] = 8,
                   [WF_KEY_EXPERT_FFN] = 1408,
                   [WF_KEY_FIRST_EXPERTS] = 1,
                   [WF_KEY_N_SHARED] = 1,
                   [WF_KEY_ROUTED_SCALE] = 1,
                   [WF_KEY_ROUTER_GROUPS] = 1,
                   [WF_KEY_BEST_GROUPS] = 1,
                   [WF_KEY_NEXT_LAYERS] = 1},
        .ignored = {".rotary_emb.inv_freq"},
    },
    {
        .name = "gemma",
        .model_types = {"gemma"},
        .norm = WF_NORM_RMS,
        .norm_plus_1 = true,
        .embed_by_width = true,
        .tied = true,
        .gated = true,
        .curve = WF_CURVE_GELU_TANH,
        .activation_names = {{"gelu", WF_CURVE_GELU_TANH}, GELU_TANH_NAMES},
        .names = {LLAMA_NAMES},
        .keys = {LLAMA_KEYS, [WF_KEY_ATTN_BIAS] = {"attention_bias"}},
        .absent = {LLAMA_ABSENT, [WF_KEY_N_KV_HEADS] = 16, [WF_KEY_HEAD_DIM] = 256},
        .unread = {"hidden_activation"},
        .ignored = {".rotary_emb.inv_freq"},
    },
    {
        .name = "gemma2",
        .model_types = {"gemma2"},
        .norm = WF_NORM_RMS,
        .norm_plus_1 = true,
        .embed_by_width = true,
        .tied = true,
        .gated = true,
        .curve = WF_CURVE_GELU_TANH,
        .activation_names = {GELU_TANH_NAMES},
        .names = {LLAMA_MATRICES, GEMMA_NORMS},
        .keys = {GEMMA_KEYS},
        .types_by_layer = true,
        .absent = {LLAMA_ABSENT, [WF_KEY_N_KV_HEADS] = 4, [WF_KEY_HEAD_DIM] = 256,
                   [WF_KEY_ATTN_SCALAR] = 256, [WF_KEY_WINDOW] = 4096, [WF_KEY_WINDOW_TURN] = 2,
                   [WF_KEY_ATTN_CAP] = 50, [WF_KEY_LOGIT_CAP] = 30},
        .unread = {"hidden_act", "sliding_window_size"},
        .ignored = {".rotary_emb.inv_freq"},
    },
    {
        .name = "gemma3_text",
        .model_types = {"gemma3_text"},
        .norm = WF_NORM_RMS,
        .norm_plus_1 = true,
        .embed_by_width = true,
        .tied = true,
        .gated = true,
        .curve = WF_CURVE_GELU_TANH,
        .activation_names = {GELU_TANH_NAMES},
        .names = {LLAMA_MATRICES, GEMMA_NORMS,
                  [WF_ROLE_Q_NORM] = "model.layers.{L}.self_attn.q_norm",
                  [WF_ROLE_K_NORM] = "model.layers.{L}.self_attn.k_norm"},
        .keys = {GEMMA_KEYS,
                 [WF_KEY_WINDOW_TURN] = {"sliding_window_pattern", "_sliding_window_pattern"},
                 [WF_KEY_LOCAL_THETA] = {"rope_local_base_freq"}},
        .types_by_layer = true,
        .absent = {[WF_KEY_NORM_EPS] = 1e-6,
                   [WF_KEY_ROTARY_PCT] = 1,
                   [WF_KEY_N_KV_HEADS] = 4,
                   [WF_KEY_HEAD_DIM] = 256,
                   [WF_KEY_ROPE_THETA] = 1000000,
                   [WF_KEY_LOCAL_THETA] = 10000,
                   [WF_KEY_ATTN_SCALAR] = 256,
                   [WF_KEY_WINDOW] = 4096,
                   [WF_KEY_WINDOW_TURN] = 6},
        .unread = {"hidden_act"},
        .ignored = {".rotary_emb.inv_freq"},
    },
    {
        .name = "olmo3",
        .model_types = {"olmo3"},
        .norm = WF_NORM_RMS,
        .head_norm = WF_HEAD_NORM_WIDE,
        .gated = true,
        .curve = WF_CURVE_SILU,
        .activation_names = {SILU_NAMES},
        .names = {LLAMA_MATRICES,
                  [WF_ROLE_ATTN_AFTER] = "model.layers.{L}.post_attention_layernorm",
                  [WF_ROLE_MLP_AFTER] = "model.layers.{L}.post_feedforward_layernorm",
                  [WF_ROLE_Q_NORM] = "model.layers.{L}.self_attn.q_norm",
                  [WF_ROLE_K_NORM] = "model.layers.{L}.self_attn.k_norm"},
        .keys = {LLAMA_KEYS, [WF_KEY_ATTN_BIAS] = {"attention_bias"},
                 [WF_KEY_WINDOW] = {"sliding_window"}},
        .types_by_layer = true,
        .absent = {[WF_KEY_NORM_EPS] = 1e-5,
                   [WF_KEY_ROTARY_PCT] = 1,
                   [WF_KEY_ROPE_THETA] = 500000,
                   [WF_KEY_LOCAL_THETA] = 500000,
                   [WF_KEY_WINDOW] = 4096,
                   [WF_KEY_WINDOW_TURN] = 4},
        .ignored = {".rotary_emb.inv_freq"},
    },
    {
        .name = "cohere2",
        .model_types = {"cohere2"},
        .norm = WF_NORM_LAYER,
        .norm_no_bias = true,
        .interleaved_rotary = true,
        .parallel_residual = true,
        .full_not_rotated = true,
        .tied = true,
        .gated = true,
        .curve = WF_CURVE_SILU,
        .activation_names = {SILU_NAMES},
        .names = {LLAMA_MATRICES, [WF_ROLE_ATTN_NORM] = "model.layers.{L}.input_layernorm"},
        .keys = {LLAMA_SIZES, [WF_KEY_NORM_EPS] = {"layer_norm_eps"},
                 [WF_KEY_ACTIVATION] = {"hidden_act"}, [WF_KEY_ATTN_BIAS] = {"attention_bias"},
                 [WF_KEY_WINDOW] = {"sliding_window"},
                 [WF_KEY_WINDOW_TURN] = {"sliding_window_pattern"},
                 [WF_KEY_LOGIT_SCALE] = {"logit_scale"}},
        .types_by_layer = true,
        .absent = {[WF_KEY_NORM_EPS] = 1e-5,
                   [WF_KEY_ROTARY_PCT] = 1,
                   [WF_KEY_ROPE_THETA] = 10000,
                   [WF_KEY_WINDOW] = 4096,
                   [WF_KEY_WINDOW_TURN] = 4,
                   [WF_KEY_LOGIT_SCALE] = 0.0625},
        .unread = {"use_embedding_sharing", "use_gated_activation", "use_parallel_block",
                   "use_parallel_embedding", "rotary_pct", "layer_switch",
                   "order_of_interleaved_layers", "position_embedding_type", "use_qk_norm"},
        .ignored = {".rotary_emb.inv_freq"},
    },
    {
        .name = "olmo2",
        .model_types = {"olmo2"},
        .norm = WF_NORM_RMS,
        .head_norm = WF_HEAD_NORM_WIDE,
        .gated = true,
        .curve = WF_CURVE_SILU,
        .activation_names = {SILU_NAMES},
        .names = {LLAMA_MATRICES,
                  [WF_ROLE_ATTN_AFTER] = "model.layers.{L}.post_attention_layernorm",
                  [WF_ROLE_MLP_AFTER] = "model.layers.{L}.post_feedforward_layernorm",
                  [WF_ROLE_Q_NORM] = "model.layers.{L}.self_attn.q_norm",
                  [WF_ROLE_K_NORM] = "model.layers.{L}.self_attn.k_norm"},
        .keys = {LLAMA_KEYS, [WF_KEY_ATTN_BIAS] = {"attention_bias"}},
        .absent = {[WF_KEY_ROPE_THETA] = 10000, [WF_KEY_ROTARY_PCT] = 1, [WF_KEY_NORM_EPS] = 1e-5},
        .ignored = {".rotary_emb.inv_freq"},
    },
    {
        .name = "granite",
        .model_types = {"granite"},
        .norm = WF_NORM_RMS,
        .gated = true,
        .curve = WF_CURVE_SILU,
        .activation_names = {SILU_NAMES},
        .names = {LLAMA_NAMES},
        .keys = {LLAMA_KEYS, [WF_KEY_ATTN_BIAS] = {"attention_bias"},
                 [WF_KEY_MLP_BIAS] = {"mlp_bias"}, [WF_KEY_ATTN_SCALE] = {"attention_multiplier"},
                 [WF_KEY_EMBED_SCALE] = {"embedding_multiplier"},
                 [WF_KEY_RESIDUAL_SCALE] = {"residual_multiplier"},
                 [WF_KEY_LOGIT_DIVISOR] = {"logits_scaling"}},
        .absent = {LLAMA_ABSENT, [WF_KEY_ATTN_SCALE] = 1},
        .ignored = {".rotary_emb.inv_freq"},
    },
    {
        .name = "smollm3",
        .model_types = {"smollm3"},
        .norm = WF_NORM_RMS,
        .tied = true,
        .gated = true,
        .curve = WF_CURVE_SILU,
        .activation_names = {SILU_NAMES},
        .names = {LLAMA_NAMES},
        .keys = {LLAMA_KEYS, [WF_KEY_ATTN_BIAS] = {"attention_bias"},
                 [WF_KEY_MLP_BIAS] = {"mlp_bias"}, [WF_KEY_ROPE_LAYERS] = {"no_rope_layers"},
                 [WF_KEY_NOPE_EVERY] = {"no_rope_layer_interval"}},
        .absent = {[WF_KEY_NORM_EPS] = 1e-6,
                   [WF_KEY_ROTARY_PCT] = 1,
                   [WF_KEY_ROPE_THETA] = 2e6,
                   [WF_KEY_N_KV_HEADS] = 4,
                   [WF_KEY_NOPE_EVERY] = 4},
        .types_by_layer = true,
        .unread = {"max_window_layers"},
        .ignored = {".rotary_emb.inv_freq"},
    },
    {
        .name = "glm4",
        .model_types = {"glm4"},
        .norm = WF_NORM_RMS,
        .bias_qkv = true,
        .interleaved_rotary = true,
        .gated = true,
        .curve = WF_CURVE_SILU,
        .activation_names = {SILU_NAMES},
        .names = {[WF_ROLE_EMBED] = "model.embed_tokens",
                  [WF_ROLE_FINAL_NORM] = "model.norm",
                  [WF_ROLE_HEAD] = "lm_head",
                  [WF_ROLE_Q] = "model.layers.{L}.self_attn.q_proj",
                  [WF_ROLE_K] = "model.layers.{L}.self_attn.k_proj",
                  [WF_ROLE_V] = "model.layers.{L}.self_attn.v_proj",
                  [WF_ROLE_O] = "model.layers.{L}.self_attn.o_proj",
                  [WF_ROLE_ATTN_NORM] = "model.layers.{L}.input_layernorm",
                  [WF_ROLE_ATTN_AFTER] = "model.layers.{L}.post_self_attn_layernorm",
                  [WF_ROLE_MLP_NORM] = "model.layers.{L}.post_attention_layernorm",
                  [WF_ROLE_MLP_AFTER] = "model.layers.{L}.post_mlp_layernorm",
                  [WF_ROLE_GATE_UP] = "model.layers.{L}.mlp.gate_up_proj",
                  [WF_ROLE_DOWN] = "model.layers.{L}.mlp.down_proj"},
        .keys = {LLAMA_KEYS, [WF_KEY_QKV_BIAS] = {"attention_bias"},
                 [WF_KEY_ROTARY_PCT] = {"partial_rotary_factor"}},
        .absent = {[WF_KEY_NORM_EPS] = 1.5625e-7,
                   [WF_KEY_ROPE_THETA] = 10000,
                   [WF_KEY_ROTARY_PCT] = 0.5,
                   [WF_KEY_N_KV_HEADS] = 2,
                   [WF_KEY_HEAD_DIM] = 128},
        .ignored = {".rotary_emb.inv_freq"},
    },
    {
        .name = "cohere",
        .model_types = {"cohere"},
        .norm = WF_NORM_LAYER,
        .norm_no_bias = true,
        .head_norm = WF_HEAD_NORM_OWN,
        .interleaved_rotary = true,
        .parallel_residual = true,
        .tied = true,
        .gated = true,
        .curve = WF_CURVE_SILU,
        .activation_names = {SILU_NAMES},
        .names = {LLAMA_MATRICES, [WF_ROLE_ATTN_NORM] = "model.layers.{L}.input_layernorm",
                  [WF_ROLE_Q_NORM] = "model.layers.{L}.self_attn.q_norm",
                  [WF_ROLE_K_NORM] = "model.layers.{L}.self_attn.k_norm"},
        .keys = {LLAMA_SIZES, [WF_KEY_NORM_EPS] = {"layer_norm_eps"},
                 [WF_KEY_ACTIVATION] = {"hidden_act"}, [WF_KEY_ATTN_BIAS] = {"attention_bias"},
                 [WF_KEY_HEAD_NORM] = {"use_qk_norm"}, [WF_KEY_LOGIT_SCALE] = {"logit_scale"}},
        .absent = {[WF_KEY_ROTARY_PCT] = 1,
                   [WF_KEY_NORM_EPS] = 1e-5,
                   [WF_KEY_ROPE_THETA] = 500000,
                   [WF_KEY_LOGIT_SCALE] = 0.0625},
        .ignored = {".rotary_emb.inv_freq"},
    },
    {
        .name = "phi3",
        .model_types = {"phi3"},
        .norm = WF_NORM_RMS,
        .gated = true,
        .curve = WF_CURVE_SILU,
        .activation_names = {SILU_NAMES},
        .names = {[WF_ROLE_EMBED] = "model.embed_tokens",
                  [WF_ROLE_FINAL_NORM] = "model.norm",
                  [WF_ROLE_HEAD] = "lm_head",
                  [WF_ROLE_ATTN_NORM] = "model.layers.{L}.input_layernorm",
                  [WF_ROLE_QKV] = "model.layers.{L}.self_attn.qkv_proj",
                  [WF_ROLE_O] = "model.layers.{L}.self_attn.o_proj",
                  [WF_ROLE_MLP_NORM] = "model.layers.{L}.post_attention_layernorm",
                  [WF_ROLE_GATE_UP] = "model.layers.{L}.mlp.gate_up_proj",
                  [WF_ROLE_DOWN] = "model.layers.{L}.mlp.down_proj"},
        .keys = {LLAMA_KEYS, [WF_KEY_ROTARY_PCT] = {"partial_rotary_factor"},
                 [WF_KEY_WINDOW] = {"sliding_window"},
                 [WF_KEY_FIRST_CONTEXT] = {"original_max_position_embeddings"}},
        .absent = {[WF_KEY_ROPE_THETA] = 10000,
                   [WF_KEY_ROTARY_PCT] = 1,
                   [WF_KEY_NORM_EPS] = 1e-5,
                   [WF_KEY_FIRST_CONTEXT] = 4096},
        .unread = {"attention_bias", "mlp_bias", "lm_head_bias", "full_attn_mod",
                   "interpolate_factor"},
        .ignored = {".rotary_emb.inv_freq"},
    },
    {
        .name = "gptj",
        .model_types = {"gptj"},
        .norm = WF_NORM_LAYER,
        .bias_mlp = true,
        .bias_head = true,
        .interleaved_rotary = true,
        .parallel_residual = true,
        .curve = WF_CURVE_GELU_TANH,
        .activation_names = {GELU_TANH_NAMES, {"gelu", WF_CURVE_GELU_EXACT}},
        .ffn_is_4_hidden = true,
        .names = {[WF_ROLE_EMBED] = "transformer.wte",
                  [WF_ROLE_ATTN_NORM] = "transformer.h.{L}.ln_1",
                  [WF_ROLE_Q] = "transformer.h.{L}.attn.q_proj",
                  [WF_ROLE_K] = "transformer.h.{L}.attn.k_proj",
                  [WF_ROLE_V] = "transformer.h.{L}.attn.v_proj",
                  [WF_ROLE_O] = "transformer.h.{L}.attn.out_proj",
                  [WF_ROLE_UP] = "transformer.h.{L}.mlp.fc_in",
                  [WF_ROLE_DOWN] = "transformer.h.{L}.mlp.fc_out",
                  [WF_ROLE_FINAL_NORM] = "transformer.ln_f",
                  [WF_ROLE_HEAD] = "lm_head"},
        .keys = {[WF_KEY_N_LAYERS] = {"n_layer", "num_hidden_layers"},
                 [WF_KEY_HIDDEN] = {"n_embd", "hidden_size"},
                 [WF_KEY_N_HEADS] = {"n_head", "num_attention_heads"},
                 [WF_KEY_FFN] = {"n_inner"},
                 [WF_KEY_VOCAB] = {"vocab_size"},
                 [WF_KEY_MAX_CONTEXT] = {"n_positions", "max_position_embeddings"},
                 [WF_KEY_NORM_EPS] = {"layer_norm_epsilon"},
                 [WF_KEY_ACTIVATION] = {"activation_function"},
                 [WF_KEY_ROTARY_DIM] = {"rotary_dim"}},
        .absent = {[WF_KEY_NORM_EPS] = 1e-5, [WF_KEY_ROPE_THETA] = 10000, [WF_KEY_ROTARY_DIM] = 64},
        .ignored = {".attn.bias", ".attn.masked_bias", ".attn.embed_positions"},
    },
    {
        .name = "gpt_neox",
        .model_types = {"gpt_neox"},
        .norm = WF_NORM_LAYER,
        .bias_qkv = true,
        .bias_o = true,
        .bias_mlp = true,
        .parallel_residual = true,
        .curve = WF_CURVE_GELU_EXACT,
        .activation_names = {{"gelu", WF_CURVE_GELU_EXACT}, GELU_TANH_NAMES},
        .qkv_order = WF_QKV_PER_GROUP,
        .names = {[WF_ROLE_EMBED] = "gpt_neox.embed_in",
                  [WF_ROLE_ATTN_NORM] = "gpt_neox.layers.{L}.input_layernorm",
                  [WF_ROLE_QKV] = "gpt_neox.layers.{L}.attention.query_key_value",
                  [WF_ROLE_O] = "gpt_neox.layers.{L}.attention.dense",
                  [WF_ROLE_MLP_NORM] = "gpt_neox.layers.{L}.post_attention_layernorm",
                  [WF_ROLE_UP] = "gpt_neox.layers.{L}.mlp.dense_h_to_4h",
                  [WF_ROLE_DOWN] = "gpt_neox.layers.{L}.mlp.dense_4h_to_h",
                  [WF_ROLE_FINAL_NORM] = "gpt_neox.final_layer_norm",
                  [WF_ROLE_HEAD] = "embed_out"},
        .keys = {[WF_KEY_N_LAYERS] = {"num_hidden_layers"},
                 [WF_KEY_HIDDEN] = {"hidden_size"},
                 [WF_KEY_N_HEADS] = {"num_attention_heads"},
                 [WF_KEY_FFN] = {"intermediate_size"},
                 [WF_KEY_VOCAB] = {"vocab_size"},
                 [WF_KEY_MAX_CONTEXT] = {"max_position_embeddings"},
                 [WF_KEY_NORM_EPS] = {"layer_norm_eps"},
                 [WF_KEY_ACTIVATION] = {"hidden_act"},
                 [WF_KEY_ROPE_THETA] = {"rotary_emb_base"},
                 [WF_KEY_ROTARY_PCT] = {"rotary_pct"},
                 [WF_KEY_ATTN_BIAS] = {"attention_bias"},
                 [WF_KEY_PARALLEL] = {"use_parallel_residual"}},
        .absent = {[WF_KEY_NORM_EPS] = 1e-5,
                   [WF_KEY_ROPE_THETA] = 10000,
                   [WF_KEY_ROTARY_PCT] = 0.25},
        .unread = {"rope_theta", "partial_rotary_factor"},
        .ignored = {".attention.bias", ".attention.masked_bias", ".rotary_emb.inv_freq"},
    },
};

enum { N_FAMILIES = sizeof families / sizeof families[0] };

bool wf_family_packs_experts(const wf_family *family)
{
    const char *name = family->names[WF_ROLE_EXPERT_GATE_UP];
    return name && !strstr(name, "{E}");
}

size_t wf_family_count(void)
{
    return N_FAMILIES;
}

const wf_family *wf_family_at(size_t i)
{
    return &families[i];
}

// Equal but for capitals and what joins the words: "GPT-NeoX" and "gpt_neox".
static bool written_otherwise(const char *a, const char *b)
{
    for (;; a++, b++) {
        a += strspn(a, "-_. ");
        b += strspn(b, "-_. ");
        if (tolower((unsigned char)*a) != tolower((unsigned char)*b)) return false;
        if (!*a) return true;
    }
}

wf_status wf_family_find(const char *place, const char *model_type, const wf_family **out)
{
    char known[512] = "";
    const char *meant = NULL;
    for (size_t i = 0; i < N_FAMILIES; i++) {
        for (const char *const *type = families[i].model_types; *type; type++) {
            if (strcmp(*type, model_type) == 0) {
                *out = &families[i];
                return WF_OK;
            }
            size_t at = strlen(known);
            snprintf(known + at, sizeof known - at, "%s%s", at ? ", " : "", *type);
            if (written_otherwise(*type, model_type)) meant = *type;
        }
    }
    return wf_fail(WF_DATA, "%s: model_type: '%.64s' is not a family this engine knows%s%s%s (%s)",
                   place, model_type, meant ? ", did you mean '" : "", meant ? meant : "",
                   meant ? "'?" : "", known);
}

const char *wf_family_tensor_name(const wf_family *family, wf_role role, int i_layer, int i_expert,
                                  const char *suffix, char *text, size_t text_bytes)
{
    const char *pattern = family->names[role];
    size_t at = 0;
    assert(pattern);
    const char *end = pattern + strlen(pattern);
    if (end[-1] == '=') {
        end--;
        if (suffix[0] == '.') suffix = strcmp(suffix, ".bias") == 0 ? "_bias" : "";
    }
    for (const char *c = pattern; c < end && at < text_bytes;) {
        bool hole = c[0] == '{' && (c[1] == 'L' || c[1] == 'E') && c[2] == '}';
        int n = hole ? snprintf(text + at, text_bytes - at, "%d", c[1] == 'L' ? i_layer : i_expert)
                     : snprintf(text + at, text_bytes - at, "%c", *c);
        at += (size_t)n;
        c += hole ? 3 : 1;
    }
    if (at < text_bytes) snprintf(text + at, text_bytes - at, "%s", suffix);
    return text;
}
