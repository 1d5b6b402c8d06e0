// Families with latent attention. One row each; the columns are explained in family.h.
#include "engine/family_rows.h"

// DeepSeek-V2's and V3's attention and experts.
#define DEEPSEEK_NAMES                                                                             \
    [WF_ROLE_EMBED] = "model.embed_tokens", [WF_ROLE_FINAL_NORM] = "model.norm",                   \
    [WF_ROLE_HEAD] = "lm_head", [WF_ROLE_ATTN_NORM] = "model.layers.{L}.input_layernorm",          \
    [WF_ROLE_MLP_NORM] = "model.layers.{L}.post_attention_layernorm",                              \
    [WF_ROLE_LATENT_Q] = "model.layers.{L}.self_attn.q_proj",                                      \
    [WF_ROLE_LATENT_Q_A] = "model.layers.{L}.self_attn.q_a_proj",                                  \
    [WF_ROLE_LATENT_Q_NORM] = "model.layers.{L}.self_attn.q_a_layernorm",                          \
    [WF_ROLE_LATENT_Q_B] = "model.layers.{L}.self_attn.q_b_proj",                                  \
    [WF_ROLE_LATENT_KV_A] = "model.layers.{L}.self_attn.kv_a_proj_with_mqa",                       \
    [WF_ROLE_LATENT_KV_NORM] = "model.layers.{L}.self_attn.kv_a_layernorm",                        \
    [WF_ROLE_LATENT_K] = "model.layers.{L}.self_attn.kv_b_proj",                                   \
    [WF_ROLE_LATENT_V] = "model.layers.{L}.self_attn.kv_b_proj",                                   \
    [WF_ROLE_LATENT_O] = "model.layers.{L}.self_attn.o_proj",                                      \
    [WF_ROLE_GATE] = "model.layers.{L}.mlp.gate_proj",                                             \
    [WF_ROLE_UP] = "model.layers.{L}.mlp.up_proj",                                                 \
    [WF_ROLE_DOWN] = "model.layers.{L}.mlp.down_proj",                                             \
    QWEN_EXPERT_NAMES, [WF_ROLE_SHARED_GATE] = "model.layers.{L}.mlp.shared_experts.gate_proj",    \
    [WF_ROLE_SHARED_UP] = "model.layers.{L}.mlp.shared_experts.up_proj",                           \
    [WF_ROLE_SHARED_DOWN] = "model.layers.{L}.mlp.shared_experts.down_proj"
#define DEEPSEEK_KEYS                                                                              \
    LLAMA_KEYS, [WF_KEY_ATTN_BIAS] = {"attention_bias"}, [WF_KEY_Q_RANK] = {"q_lora_rank"},        \
                [WF_KEY_KV_RANK] = {"kv_lora_rank"}, [WF_KEY_NOPE_DIM] = {"qk_nope_head_dim"},     \
                [WF_KEY_ROTARY_DIM] = {"qk_rope_head_dim"}, [WF_KEY_V_DIM] = {"v_head_dim"},       \
                [WF_KEY_QK_DIM] = {"qk_head_dim"}, [WF_KEY_N_CHOICES] = {"num_experts_per_tok"},   \
                [WF_KEY_EXPERT_FFN] = {"moe_intermediate_size"},                                   \
                [WF_KEY_FIRST_EXPERTS] = {"first_k_dense_replace"},                                \
                [WF_KEY_N_SHARED] = {"n_shared_experts"},                                          \
                [WF_KEY_ROUTED_SCALE] = {"routed_scaling_factor"},                                 \
                [WF_KEY_ROUTER_GROUPS] = {"n_group"}, [WF_KEY_BEST_GROUPS] = {"topk_group"},       \
                [WF_KEY_TOPK_METHOD] = {"topk_method"}, [WF_KEY_SCORING] = {"scoring_func"}
#define DEEPSEEK_ABSENT                                                                            \
    LLAMA_ABSENT, [WF_KEY_Q_RANK] = 1536, [WF_KEY_KV_RANK] = 512, [WF_KEY_NOPE_DIM] = 128,         \
                  [WF_KEY_ROTARY_DIM] = 64, [WF_KEY_V_DIM] = 128

const wf_family wf_family_latent[] = {
    {
        .name = "deepseek_v2",
        .model_types = {"deepseek_v2"},
        .norm = WF_NORM_RMS,
        .interleaved_rotary = true,
        .gated = true,
        .curve = WF_CURVE_SILU,
        .activation_names = {SILU_NAMES},
        .limits_groups = true,
        .names = {DEEPSEEK_NAMES},
        .keys = {DEEPSEEK_KEYS, [WF_KEY_N_EXPERTS] = {"n_routed_experts", "num_experts"}},
        .absent = {DEEPSEEK_ABSENT, [WF_KEY_N_EXPERTS] = 64, [WF_KEY_EXPERT_FFN] = 1407,
                   [WF_KEY_N_SHARED] = 2, [WF_KEY_ROUTED_SCALE] = 1},
        .unread = {"norm_topk_prob"},
        .own_code = {"configuration_deepseek", "modeling_deepseek"},
        .ignored = {".rotary_emb.inv_freq"},
    },
    {
        .name = "deepseek_v3",
        .model_types = {"deepseek_v3", "kimi_k2"},
        .norm = WF_NORM_RMS,
        .interleaved_rotary = true,
        .gated = true,
        .curve = WF_CURVE_SILU,
        .activation_names = {SILU_NAMES},
        .sigmoid_router = true,
        .renormalise = true,
        .names = {DEEPSEEK_NAMES,
                  [WF_ROLE_CHOICE_BIAS] = "model.layers.{L}.mlp.gate.e_score_correction_bias="},
        .keys = {DEEPSEEK_KEYS, [WF_KEY_N_EXPERTS] = {"n_routed_experts", "num_local_experts"},
                 [WF_KEY_INTERLEAVED] = {"rope_interleave"},
                 [WF_KEY_NORM_TOPK] = {"norm_topk_prob"},
                 [WF_KEY_NEXT_LAYERS] = {"num_nextn_predict_layers", "num_mtp_layers"}},
        .absent = {DEEPSEEK_ABSENT, [WF_KEY_N_KV_HEADS] = 128, [WF_KEY_N_EXPERTS] = 256,
                   [WF_KEY_N_CHOICES] = 8, [WF_KEY_EXPERT_FFN] = 2048, [WF_KEY_FIRST_EXPERTS] = 3,
                   [WF_KEY_N_SHARED] = 1, [WF_KEY_ROUTED_SCALE] = 2.5, [WF_KEY_ROUTER_GROUPS] = 8,
                   [WF_KEY_BEST_GROUPS] = 4, [WF_KEY_NEXT_LAYERS] = 1},
        .own_code = {"configuration_deepseek", "modeling_deepseek"},
        .ignored = {".rotary_emb.inv_freq"},
    },
};

const size_t wf_family_latent_count = sizeof wf_family_latent / sizeof *wf_family_latent;
