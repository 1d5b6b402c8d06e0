"""The configurations of the fixtures that make_fixtures.py makes."""

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "attention_bias": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_act": "silu",
    "hidden_size": 64,
    "initializer_range": 0.02,
    "intermediate_size": 64,
    "max_position_embeddings": 512,
    "mlp_bias": False,
    "model_type": "llama",
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 4,
    "rms_norm_eps": 1e-5,
    "rope_scaling": None,
    "rope_theta": 10000.0,
    "tie_word_embeddings": True,
    "torch_dtype": "float32",
    "use_cache": True,
    "vocab_size": 261,
}

ROPE_LLAMA3 = {
    "factor": 8.0,
    "high_freq_factor": 4.0,
    "low_freq_factor": 1.0,
    "original_max_position_embeddings": 32,
    "rope_type": "llama3",
}


def llama(**changes):
    return {**LLAMA, **changes}


def llama_rope_parameters():
    """The configuration style of transformers 5: `dtype` and one `rope_parameters` table."""
    config = llama(hidden_size=48, intermediate_size=96, head_dim=16, num_attention_heads=8,
                   vocab_size=264, tie_word_embeddings=False, eos_token_id=[2, 5])
    for key in ("torch_dtype", "rope_theta", "rope_scaling"):
        del config[key]
    config["dtype"] = "bfloat16"
    config["rope_parameters"] = {"rope_theta": 50000.0, "rope_type": "default"}
    return config


GPTJ = {
    "activation_function": "gelu_new",
    "architectures": ["GPTJForCausalLM"],
    "attn_pdrop": 0.0,
    "bos_token_id": 1,
    "embd_pdrop": 0.0,
    "eos_token_id": 2,
    "layer_norm_epsilon": 1e-5,
    "model_type": "gptj",
    "n_embd": 32,
    "n_head": 4,
    "n_inner": None,
    "n_layer": 2,
    "n_positions": 512,
    "resid_pdrop": 0.0,
    "rotary_dim": 4,
    "tie_word_embeddings": False,
    "torch_dtype": "float16",
    "use_cache": True,
    "vocab_size": 260,
}

NEOX = {
    "architectures": ["GPTNeoXForCausalLM"],
    "attention_bias": True,
    "attention_dropout": 0.0,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "hidden_act": "gelu",
    "hidden_dropout": 0.0,
    "hidden_size": 32,
    "intermediate_size": 128,
    "layer_norm_eps": 1e-5,
    "max_position_embeddings": 512,
    "model_type": "gpt_neox",
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "rotary_emb_base": 10000,
    "rotary_pct": 0.5,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "use_cache": True,
    "use_parallel_residual": True,
    "vocab_size": 260,
}

QWEN2 = {
    "architectures": ["Qwen2ForCausalLM"],
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_act": "silu",
    "hidden_size": 64,
    "intermediate_size": 64,
    "max_position_embeddings": 512,
    "model_type": "qwen2",
    "num_attention_heads": 8,
    "num_hidden_layers": 2,
    "num_key_value_heads": 4,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "use_cache": True,
    "use_sliding_window": False,
    "vocab_size": 260,
}

# Heads wider than hidden_size / num_attention_heads, as all published ones have.
QWEN3 = {
    "architectures": ["Qwen3ForCausalLM"],
    "attention_bias": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "head_dim": 16,
    "hidden_act": "silu",
    "hidden_size": 64,
    "intermediate_size": 96,
    "max_position_embeddings": 512,
    "max_window_layers": 2,
    "model_type": "qwen3",
    "num_attention_heads": 8,
    "num_hidden_layers": 2,
    "num_key_value_heads": 4,
    "rms_norm_eps": 1e-6,
    "rope_scaling": None,
    "rope_theta": 1000000.0,
    "sliding_window": None,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "use_cache": True,
    "use_sliding_window": False,
    "vocab_size": 260,
}

# Its window is shorter than its positions and longer than every case.
MISTRAL = {
    "architectures": ["MistralForCausalLM"],
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_act": "silu",
    "hidden_size": 64,
    "intermediate_size": 96,
    "max_position_embeddings": 512,
    "model_type": "mistral",
    "num_attention_heads": 8,
    "num_hidden_layers": 2,
    "num_key_value_heads": 4,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "sliding_window": 128,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "use_cache": True,
    "vocab_size": 260,
}

# More experts than a token of a short prompt touches, sizes that only 2 and 4 ranks share.
MIXTRAL = {
    "architectures": ["MixtralForCausalLM"],
    "attention_dropout": 0.0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_act": "silu",
    "hidden_size": 32,
    "initializer_range": 0.02,
    "intermediate_size": 32,
    "max_position_embeddings": 512,
    "model_type": "mixtral",
    "num_attention_heads": 4,
    "num_experts_per_tok": 2,
    "num_hidden_layers": 2,
    "num_key_value_heads": 4,
    "num_local_experts": 8,
    "output_router_logits": False,
    "rms_norm_eps": 1e-5,
    "rope_theta": 1000000.0,
    "router_aux_loss_coef": 0.02,
    "sliding_window": None,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "use_cache": True,
    "vocab_size": 260,
}

# Layers with experts and one without.
QWEN3_MOE = {
    "architectures": ["Qwen3MoeForCausalLM"],
    "attention_bias": False,
    "bos_token_id": 1,
    "decoder_sparse_step": 1,
    "eos_token_id": 2,
    "head_dim": 16,
    "hidden_act": "silu",
    "hidden_size": 32,
    "intermediate_size": 64,
    "max_position_embeddings": 512,
    "max_window_layers": 3,
    "mlp_only_layers": [1],
    "model_type": "qwen3_moe",
    "moe_intermediate_size": 16,
    "norm_topk_prob": True,
    "num_attention_heads": 4,
    "num_experts": 16,
    "num_experts_per_tok": 4,
    "num_hidden_layers": 3,
    "num_key_value_heads": 4,
    "output_router_logits": False,
    "rms_norm_eps": 1e-6,
    "rope_scaling": None,
    "rope_theta": 1000000.0,
    "router_aux_loss_coef": 0.001,
    "sliding_window": None,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "use_cache": True,
    "use_sliding_window": False,
    "vocab_size": 260,
}

# An expert for all, with a gate of its own; weights that do not add up to 1; an odd count.
QWEN2_MOE = {
    "architectures": ["Qwen2MoeForCausalLM"],
    "bos_token_id": 1,
    "decoder_sparse_step": 2,
    "eos_token_id": 2,
    "hidden_act": "silu",
    "hidden_size": 32,
    "intermediate_size": 48,
    "max_position_embeddings": 512,
    "model_type": "qwen2_moe",
    "moe_intermediate_size": 24,
    "norm_topk_prob": False,
    "num_attention_heads": 4,
    "num_experts": 12,
    "num_experts_per_tok": 3,
    "num_hidden_layers": 2,
    "num_key_value_heads": 4,
    "output_router_logits": False,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0,
    "router_aux_loss_coef": 0.001,
    "shared_expert_intermediate_size": 64,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "use_cache": True,
    "use_sliding_window": False,
    "vocab_size": 260,
}

# Layers with a window, shorter than some prompts, and without; sinks; experts in MXFP4.
GPT_OSS = {
    "architectures": ["GptOssForCausalLM"],
    "attention_bias": True,
    "attention_dropout": 0.0,
    "eos_token_id": 2,
    "experts_per_token": 2,
    "head_dim": 16,
    "hidden_act": "silu",
    "hidden_size": 64,
    "initial_context_length": 64,
    "initializer_range": 0.02,
    "intermediate_size": 64,
    "layer_types": ["sliding_attention", "full_attention"],
    "max_position_embeddings": 512,
    "model_type": "gpt_oss",
    "num_attention_heads": 4,
    "num_experts_per_tok": 2,
    "num_hidden_layers": 2,
    "num_key_value_heads": 4,
    "num_local_experts": 6,
    "output_router_logits": False,
    "rms_norm_eps": 1e-5,
    "rope_scaling": {"beta_fast": 32.0, "beta_slow": 1.0, "factor": 8.0,
                     "original_max_position_embeddings": 64, "rope_type": "yarn",
                     "truncate": False},
    "rope_theta": 150000,
    "router_aux_loss_coef": 0.9,
    "sliding_window": 24,
    "swiglu_limit": 7.0,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "use_cache": True,
    "vocab_size": 260,
}

# Sigmoids with a bias and groups, an expert for all, a dense layer before.
GLM4_MOE = {
    "architectures": ["Glm4MoeForCausalLM"],
    "attention_bias": True,
    "attention_dropout": 0.0,
    "eos_token_id": [2, 5],
    "first_k_dense_replace": 1,
    "head_dim": 16,
    "hidden_act": "silu",
    "hidden_size": 32,
    "initializer_range": 0.02,
    "intermediate_size": 64,
    "max_position_embeddings": 512,
    "model_type": "glm4_moe",
    "moe_intermediate_size": 16,
    "n_group": 4,
    "n_routed_experts": 16,
    "n_shared_experts": 2,
    "norm_topk_prob": True,
    "num_attention_heads": 4,
    "num_experts_per_tok": 3,
    "num_hidden_layers": 3,
    "num_key_value_heads": 4,
    "num_nextn_predict_layers": 1,
    "partial_rotary_factor": 0.5,
    "rms_norm_eps": 1e-5,
    "rope_scaling": None,
    "rope_theta": 1000000,
    "routed_scaling_factor": 2.5,
    "tie_word_embeddings": False,
    "topk_group": 2,
    "torch_dtype": "bfloat16",
    "use_cache": True,
    "use_qk_norm": True,
    "vocab_size": 260,
}

# Caps low enough to bend scores and logits, a scale that is not that of its heads.
GEMMA2 = {
    "architectures": ["Gemma2ForCausalLM"],
    "attention_bias": False,
    "attn_logit_softcapping": 5.0,
    "bos_token_id": 2,
    "cache_implementation": "hybrid",
    "eos_token_id": 1,
    "final_logit_softcapping": 20.0,
    "head_dim": 16,
    "hidden_act": "gelu_pytorch_tanh",
    "hidden_activation": "gelu_pytorch_tanh",
    "hidden_size": 48,
    "intermediate_size": 80,
    "max_position_embeddings": 512,
    "model_type": "gemma2",
    "num_attention_heads": 4,
    "num_hidden_layers": 4,
    "num_key_value_heads": 4,
    "pad_token_id": 0,
    "query_pre_attn_scalar": 24,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "sliding_window": 18,
    "torch_dtype": "bfloat16",
    "use_cache": True,
    "vocab_size": 260,
}

GEMMA = {
    **{k: v for k, v in GEMMA2.items()
       if "softcapping" not in k and k not in ("query_pre_attn_scalar", "sliding_window",
                                               "cache_implementation", "hidden_activation")},
    "architectures": ["GemmaForCausalLM"],
    "hidden_act": "gelu",
    "model_type": "gemma",
    "num_hidden_layers": 2,
}

GEMMA3 = {
    **{k: v for k, v in GEMMA2.items() if "softcapping" not in k and k != "hidden_act"},
    "architectures": ["Gemma3ForCausalLM"],
    "model_type": "gemma3_text",
    "num_attention_heads": 8,
    "rope_local_base_freq": 10000.0,
    "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
    "rope_theta": 1000000.0,
    "sliding_window_pattern": 3,
}

# Full layers stretch their rotation, sliding ones do not.
OLMO3 = {
    "architectures": ["Olmo3ForCausalLM"],
    "attention_bias": False,
    "bos_token_id": None,
    "eos_token_id": 2,
    "hidden_act": "silu",
    "hidden_size": 64,
    "intermediate_size": 80,
    "max_position_embeddings": 512,
    "model_type": "olmo3",
    "num_attention_heads": 8,
    "num_hidden_layers": 4,
    "num_key_value_heads": 4,
    "rms_norm_eps": 1e-6,
    "rope_scaling": {"attention_factor": 1.2079441541679836, "beta_fast": 32.0, "beta_slow": 1.0,
                     "factor": 8.0, "original_max_position_embeddings": 64, "rope_type": "yarn"},
    "rope_theta": 500000.0,
    "sliding_window": 20,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "use_cache": True,
    "vocab_size": 260,
}

# Sliding layers are rotated, full ones are not.
COHERE2 = {
    "architectures": ["Cohere2ForCausalLM"],
    "attention_bias": False,
    "bos_token_id": 5,
    "eos_token_id": 6,
    "head_dim": 8,
    "hidden_act": "silu",
    "hidden_size": 64,
    "intermediate_size": 80,
    "layer_norm_eps": 1e-5,
    "logit_scale": 0.25,
    "max_position_embeddings": 512,
    "model_type": "cohere2",
    "num_attention_heads": 8,
    "num_hidden_layers": 4,
    "num_key_value_heads": 4,
    "pad_token_id": 0,
    "rope_theta": 50000.0,
    "sliding_window": 23,
    "sliding_window_pattern": 4,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "use_cache": True,
    "vocab_size": 260,
}


def odd(model_type, name, **more):
    """What the rest have alike; sizes that no vector divides."""
    return {
        "architectures": [name],
        "bos_token_id": 1,
        "eos_token_id": 2,
        "hidden_act": "silu",
        "hidden_size": 48,
        "intermediate_size": 80,
        "max_position_embeddings": 512,
        "model_type": model_type,
        "num_attention_heads": 8,
        "num_hidden_layers": 2,
        "num_key_value_heads": 4,
        "pad_token_id": 0,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "vocab_size": 261,
        **more,
    }


OLMO2 = odd("olmo2", "Olmo2ForCausalLM", attention_bias=False, hidden_size=64)

GRANITE = odd("granite", "GraniteForCausalLM", attention_bias=True, mlp_bias=True, hidden_size=64,
              attention_multiplier=0.3, embedding_multiplier=1.7, residual_multiplier=0.6,
              logits_scaling=1.25, tie_word_embeddings=True)

# Of every three layers the last is not rotated.
SMOLLM3 = odd("smollm3", "SmolLM3ForCausalLM", attention_bias=False, mlp_bias=False, hidden_size=64,
              num_hidden_layers=4, no_rope_layer_interval=3, no_rope_layers=[1, 1, 0, 1],
              tie_word_embeddings=True, use_sliding_window=False, rope_theta=2000000.0)

GLM4 = odd("glm4", "Glm4ForCausalLM", attention_bias=True, head_dim=12, partial_rotary_factor=0.5)

COHERE = odd("cohere", "CohereForCausalLM", attention_bias=True, hidden_size=64, logit_scale=0.25,
             layer_norm_eps=1e-5, tie_word_embeddings=True, use_qk_norm=True)
del COHERE["rms_norm_eps"]

# Every prompt is longer than the first context, and shorter than the whole: long factors.
PHI3 = odd("phi3", "Phi3ForCausalLM", hidden_size=128, partial_rotary_factor=0.75, original_max_position_embeddings=32, sliding_window=None,
           rope_scaling={"type": "longrope", "short_factor": [1.0, 1.1, 1.2, 1.5, 1.9, 2.5],
                         "long_factor": [1.0, 2.3, 4.0, 7.5, 11.0, 16.0]})


def older(model_type, name, **sizes):
    return {"architectures": [name], "bos_token_id": 1, "eos_token_id": 2, "model_type": model_type,
            "torch_dtype": "bfloat16", "use_cache": True, "vocab_size": 261, **sizes}


# Matrices stored the other way about, an FFN that is not 4 times the width.
GPT2 = older("gpt2", "GPT2LMHeadModel", activation_function="gelu_new", attn_pdrop=0.1,
             embd_pdrop=0.1, layer_norm_epsilon=1e-5, n_ctx=160, n_embd=56, n_head=4, n_inner=88,
             n_layer=2, n_positions=160, resid_pdrop=0.1, summary_type="cls_index")

OPT = older("opt", "OPTForCausalLM", activation_dropout=0.0, activation_function="relu",
            attention_dropout=0.0, do_layer_norm_before=True, dropout=0.1, ffn_dim=84,
            hidden_size=56, init_std=0.02, layerdrop=0.0, max_position_embeddings=144,
            num_attention_heads=4, num_hidden_layers=2, pad_token_id=1, prefix="</s>",
            word_embed_proj_dim=56)

# Heads that are no power of two, whose slopes are of two kinds.
BLOOM = older("bloom", "BloomForCausalLM", apply_residual_connection_post_layernorm=False,
              attention_dropout=0.0, attention_softmax_in_fp32=True, bias_dropout_fusion=True,
              hidden_dropout=0.0, hidden_size=72, initializer_range=0.02, layer_norm_epsilon=1e-5,
              masked_softmax_fusion=True, n_head=12, n_layer=2, pretraining_tp=2, seq_length=512,
              slow_but_exact=False)


def falcon(**more):
    return older("falcon", "FalconForCausalLM", alibi=False,
                 apply_residual_connection_post_layernorm=False, attention_dropout=0.0, bias=False,
                 hidden_dropout=0.0, hidden_size=48, initializer_range=0.02,
                 layer_norm_epsilon=1e-5, multi_query=True, new_decoder_architecture=False,
                 num_attention_heads=6, num_hidden_layers=2, parallel_attn=True, **more)


# One KV head, one norm for both branches.
FALCON = falcon()

# KV heads in groups, a norm for each branch.
FALCON_NEW = {**falcon(num_kv_heads=4), "num_attention_heads": 8, "new_decoder_architecture": True,
              "hidden_size": 64}

# ALiBi, one block after the other. Slopes of 8 heads are powers of two, which transformers' bf16
# holds.
FALCON_RW = {**falcon(), "alibi": True, "bias": True, "multi_query": False, "parallel_attn": False,
             "num_attention_heads": 8}
# Queries from the input, groups that do not count, no part of a size that a vector divides.
DEEPSEEK_V2 = odd(
    "deepseek_v2", "DeepseekV2ForCausalLM", num_hidden_layers=3, num_key_value_heads=8,
    attention_bias=False, first_k_dense_replace=1, kv_lora_rank=20, moe_intermediate_size=16,
    moe_layer_freq=1, n_group=4, n_routed_experts=12, n_shared_experts=2, norm_topk_prob=False,
    num_experts_per_tok=3, q_lora_rank=None, qk_nope_head_dim=12, qk_rope_head_dim=6,
    routed_scaling_factor=1.5, scoring_func="softmax", topk_group=2, topk_method="greedy",
    v_head_dim=10, rope_scaling=None)

# Queries from a latent, sigmoids with a bias and groups, positions stretched beyond the first
# context of 32, by which scores are scaled too.
DEEPSEEK_V3 = odd(
    "deepseek_v3", "DeepseekV3ForCausalLM", num_hidden_layers=3, num_key_value_heads=8,
    attention_bias=True, first_k_dense_replace=1, kv_lora_rank=36, moe_intermediate_size=16,
    moe_layer_freq=1, n_group=4, n_routed_experts=16, n_shared_experts=1, norm_topk_prob=True,
    num_experts_per_tok=3, num_nextn_predict_layers=1, q_lora_rank=28, qk_nope_head_dim=14,
    qk_rope_head_dim=8, routed_scaling_factor=2.5, scoring_func="sigmoid", topk_group=2,
    topk_method="noaux_tc", v_head_dim=12, max_position_embeddings=512,
    rope_scaling={"beta_fast": 32, "beta_slow": 1, "factor": 16, "mscale": 1.0,
                  "mscale_all_dim": 0.7, "original_max_position_embeddings": 32, "type": "yarn"})


def vision(model_type, **more):
    """The least of a vision tower: it is there to be left where it lies."""
    return {"model_type": model_type, "hidden_size": 16, "intermediate_size": 16, "patch_size": 14,
            "num_attention_heads": 2, "num_hidden_layers": 1, "image_size": 28, **more}


# Folders of several parts; the text part says little, as published.
GEMMA3_PARTS = {
    "architectures": ["Gemma3ForConditionalGeneration"],
    "boi_token_index": 255,
    "eoi_token_index": 256,
    "eos_token_id": [1, 106],
    "image_token_index": 257,
    "initializer_range": 0.02,
    "mm_tokens_per_image": 1,
    "model_type": "gemma3",
    "text_config": {
        "head_dim": 16, "hidden_size": 64, "intermediate_size": 80, "model_type": "gemma3_text",
        "num_hidden_layers": 3, "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
        "query_pre_attn_scalar": 24, "sliding_window": 20, "sliding_window_pattern": 3,
        "vocab_size": 260},
    "torch_dtype": "bfloat16",
    "vision_config": vision("siglip_vision_model", vision_use_head=False),
}

# The text part's keys at the root, positions in three directions.
QWEN2_VL = {
    **{k: v for k, v in QWEN2.items() if k != "use_cache"},
    "architectures": ["Qwen2_5_VLForConditionalGeneration"],
    "image_token_id": 250,
    "max_window_layers": 28,
    "model_type": "qwen2_5_vl",
    "rope_scaling": {"mrope_section": [1, 1, 2], "type": "mrope"},
    "sliding_window": 32768,
    "video_token_id": 251,
    "vision_config": {"depth": 1, "fullatt_block_indexes": [0], "hidden_act": "silu",
                      "hidden_size": 16, "intermediate_size": 16, "model_type": "qwen2_5_vl",
                      "num_heads": 2, "out_hidden_size": 64, "patch_size": 14,
                      "spatial_merge_size": 2, "temporal_patch_size": 2, "window_size": 112},
    "vision_end_token_id": 253,
    "vision_start_token_id": 252,
    "vision_token_id": 254,
}

QWEN3_VL = {
    "architectures": ["Qwen3VLForConditionalGeneration"],
    "image_token_id": 250,
    "model_type": "qwen3_vl",
    "text_config": {
        **{k: v for k, v in QWEN3.items() if "window" not in k and k not in
           ("architectures", "tie_word_embeddings", "torch_dtype", "use_cache")},
        "dtype": "bfloat16",
        "model_type": "qwen3_vl_text",
        "rope_scaling": {"mrope_interleaved": True, "mrope_section": [4, 2, 2],
                         "rope_type": "default"}},
    "tie_word_embeddings": False,
    "video_token_id": 251,
    "vision_config": {"deepstack_visual_indexes": [0], "depth": 1, "hidden_act": "gelu_pytorch_tanh",
                      "hidden_size": 16, "in_channels": 3, "intermediate_size": 16,
                      "model_type": "qwen3_vl", "num_heads": 2, "num_position_embeddings": 16,
                      "out_hidden_size": 64, "patch_size": 14, "spatial_merge_size": 2,
                      "temporal_patch_size": 2},
    "vision_end_token_id": 253,
    "vision_start_token_id": 252,
}
