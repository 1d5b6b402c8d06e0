#!/usr/bin/env python3
"""Makes configs.json: small configurations, and what Hugging Face `transformers` makes of them.

    make_configs.py [--out FILE]

Every row is a config.json that says little, much, or two things at once. transformers loads a model
of it with random weights and is asked what it will compute with: rotary frequencies, windows, heads,
the tokens that end a text. tests/engine/test_model_arch.c holds wf_arch_read against the answers.
Rows with `refused` are those that Weft refuses by name; transformers may read them. Rows with
neither are only to be read at all. Written with
torch 2.15 and transformers 5.24.
"""

import argparse
import json
import os
import tempfile

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from published import PUBLISHED

SIZES = {"hidden_size": 64, "intermediate_size": 96, "max_position_embeddings": 8192,
         "num_attention_heads": 8, "num_hidden_layers": 3, "vocab_size": 64}
LINEAR = {"rope_type": "linear", "factor": 2.0}
YARN = {"rope_type": "yarn", "factor": 4.0}
LONG = {"rope_type": "longrope", "factor": 16.0, "short_factor": [1.0, 1.1, 1.2, 1.3],
        "long_factor": [1.0, 2.5, 8.0, 30.5]}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}


def llama(**more):
    return {"model_type": "llama", **SIZES, **more}


def mistral(**more):
    return {"model_type": "mistral", **SIZES, **more}


def qwen2(**more):
    return {"model_type": "qwen2", **SIZES, "num_attention_heads": 32, **more}


def qwen3(**more):
    return {"model_type": "qwen3", **SIZES, "num_attention_heads": 32, **more}


def sliding(model_type, **more):
    """Families that have a window in some layers and none in others."""
    return {"model_type": model_type, **SIZES, "eos_token_id": 1, **more}


def neox(**more):
    return {"model_type": "gpt_neox", **SIZES, **more}


def gptj(**more):
    return {"model_type": "gptj", "n_embd": 128, "n_head": 2, "n_layer": 2, "n_positions": 256,
            "vocab_size": 64, **more}


def parts(model_type, text_type, text=None, **more):
    """A folder of several parts."""
    return {"model_type": model_type, "text_config": {"model_type": text_type, **SIZES, **(text or {})},
            **more}


SLIDING = ("gemma2", "gemma3_text", "olmo3", "cohere2")
PLAIN = ("olmo2", "granite", "smollm3", "glm4", "cohere", "phi3")

# name: config, generation_config or None
ASKED = {
    "llama says least": (llama(), None),
    "llama grouped heads": (llama(num_key_value_heads=2, head_dim=16), None),
    "llama nulls": (llama(num_key_value_heads=None, head_dim=None, rope_scaling=None), None),
    "llama window is another's": (llama(sliding_window=None, use_sliding_window=False), None),
    "theta at the root": (llama(rope_theta=5e5), None),
    "theta in rope_scaling": (llama(rope_scaling={**LINEAR, "rope_theta": 2e4}), None),
    "theta in rope_scaling and at the root": (
        llama(rope_theta=5e5, rope_scaling={**LINEAR, "rope_theta": 2e4}), None),
    "theta in rope_parameters and at the root": (
        llama(rope_theta=5e5, rope_parameters={"rope_type": "default", "rope_theta": 2e4}), None),
    "theta at the root beside rope_parameters": (llama(rope_theta=5e5, rope_parameters=LINEAR), None),
    "rope_scaling before rope_parameters": (
        llama(rope_scaling=LINEAR, rope_parameters={"rope_type": "default", "rope_theta": 2e4}), None),
    "an empty rope_scaling": (llama(rope_scaling={}, rope_parameters={**LINEAR, "rope_theta": 3e4}),
                              None),
    "the old word for the type": (llama(rope_scaling={"type": "linear", "factor": 4.0}), None),
    "llama3": (llama(rope_scaling={**LLAMA3, "original_max_position_embeddings": 256}), None),
    "llama3 without its first context": (llama(rope_scaling=LLAMA3), None),
    "yarn": (llama(rope_scaling={**YARN, "original_max_position_embeddings": 2048}), None),
    "yarn says least": (llama(rope_scaling=YARN), None),
    "yarn by the old word, with all it may say": (
        qwen2(num_key_value_heads=8, head_dim=16, rope_scaling={
            "type": "yarn", "factor": 32.0, "beta_fast": 16, "beta_slow": 2, "mscale": 1.2,
            "mscale_all_dim": 0.7, "original_max_position_embeddings": 512}), None),
    "yarn with its attention factor, not truncated": (
        llama(head_dim=64, rope_theta=150000.0, rope_parameters={
            **YARN, "factor": 32.0, "truncate": False, "attention_factor": 1.5,
            "original_max_position_embeddings": 1024}), None),
    "dynamic": (llama(rope_scaling={"type": "dynamic", "factor": 3.0}), None),
    "longrope": (llama(rope_scaling=LONG), None),
    "longrope beyond its first context": (
        llama(rope_scaling={**LONG, "original_max_position_embeddings": 1024}), None),
    "pretraining_tp": (llama(pretraining_tp=2, attention_dropout=0.5), None),
    "mistral says least": (mistral(), None),
    "mistral without a window": (mistral(sliding_window=None), None),
    "mistral with a window": (mistral(sliding_window=100), None),
    "qwen2 says least": (qwen2(), None),
    "qwen2 with a window not in use": (qwen2(sliding_window=100), None),
    "qwen2 with a window switched off": (qwen2(sliding_window=100, use_sliding_window=False), None),
    "qwen2 with a window for no layer": (qwen2(sliding_window=100, use_sliding_window=True), None),
    "qwen2 with a window for some layers": (
        qwen2(sliding_window=100, use_sliding_window=True, max_window_layers=2), None),
    "qwen2 without its window": (qwen2(use_sliding_window=True, max_window_layers=1), None),
    "qwen2 with a window of null": (
        qwen2(use_sliding_window=True, sliding_window=None, max_window_layers=1), None),
    "qwen2 by type": (
        qwen2(use_sliding_window=True, sliding_window=50, max_window_layers=0,
              layer_types=["full_attention", "sliding_attention", "full_attention"]), None),
    "qwen2 all full by type": (
        qwen2(use_sliding_window=True, sliding_window=50, max_window_layers=0,
              layer_types=["full_attention"] * 3), None),
    "qwen3 says least": (qwen3(), None),
    "qwen3 with heads of its own": (
        qwen3(head_dim=16, num_key_value_heads=4, attention_bias=True, rope_theta=1e6), None),
    "qwen3 with a window for some layers": (
        qwen3(sliding_window=100, use_sliding_window=True, max_window_layers=2), None),
    "gemma says least": (sliding("gemma", num_key_value_heads=2), None),
    "gemma2 says least": (sliding("gemma2"), None),
    "gemma2 with a window, no caps": (
        sliding("gemma2", sliding_window=100, attn_logit_softcapping=None,
                final_logit_softcapping=None, query_pre_attn_scalar=144, head_dim=16), None),
    "gemma3 says least": (sliding("gemma3_text", num_hidden_layers=6), None),
    "gemma3 by numbers": (
        sliding("gemma3_text", num_hidden_layers=7, sliding_window=512, rope_theta=2e6,
                rope_local_base_freq=3e4, sliding_window_pattern=3, head_dim=16,
                rope_scaling=LINEAR), None),
    "gemma3 by type": (
        sliding("gemma3_text", sliding_window=64, head_dim=16,
                layer_types=["full_attention", "sliding_attention", "full_attention"],
                rope_parameters={"full_attention": {"rope_theta": 5e5, **LINEAR},
                                 "sliding_attention": {"rope_theta": 2e4, "rope_type": "default"}}),
        None),
    "olmo3 says least": (sliding("olmo3", num_hidden_layers=8), None),
    "olmo3 stretched": (
        sliding("olmo3", rope_theta=1e6, num_hidden_layers=8, sliding_window=128,
                rope_scaling={**YARN, "original_max_position_embeddings": 2048}), None),
    "cohere2 says least": (sliding("cohere2", num_hidden_layers=8), None),
    "cohere2 by numbers": (
        sliding("cohere2", num_hidden_layers=5, sliding_window=77, sliding_window_pattern=2,
                rotary_pct=1.0, use_qk_norm=False, position_embedding_type="rope_gptj"), None),
    "olmo2 says least": (sliding("olmo2"), None),
    "granite says least": (sliding("granite"), None),
    "smollm3 says least": (sliding("smollm3", pad_token_id=0, num_hidden_layers=5), None),
    "smollm3 by an interval": (
        sliding("smollm3", pad_token_id=0, num_hidden_layers=5, no_rope_layer_interval=2), None),
    "glm4 says least": (sliding("glm4", pad_token_id=0), None),
    "cohere says least": (sliding("cohere"), None),
    "phi3 says least": (sliding("phi3", pad_token_id=0), None),
    "phi3 with a window": (sliding("phi3", pad_token_id=0, sliding_window=100), None),
    "gptj says least": (gptj(), None),
    "gptj with a rotary_dim": (gptj(rotary_dim=16, n_inner=96), None),
    "gptj by its other names": (
        {"model_type": "gptj", "hidden_size": 128, "num_attention_heads": 2, "num_hidden_layers": 2,
         "max_position_embeddings": 256, "vocab_size": 64, "rotary": True,
         "scale_attn_weights": True}, None),
    "neox says least": (neox(), None),
    "neox with its own words": (neox(rotary_emb_base=20000, rotary_pct=0.5), None),
    "neox with others' words": (neox(rope_theta=20000, partial_rotary_factor=0.5), None),
    "neox with rope_parameters": (
        neox(rope_parameters={"rope_theta": 30000.0, "partial_rotary_factor": 0.5}), None),
    "neox with some rope_parameters": (neox(rope_parameters=LINEAR, rotary_pct=0.5), None),
    "neox stretched, with others' words": (
        neox(rope_scaling=LINEAR, partial_rotary_factor=1.0, rope_theta=20000), None),
    "neox without parallel branches": (neox(use_parallel_residual=False, attention_bias=False), None),
    "eos of the configuration": (llama(eos_token_id=[5, 7]), None),
    "no eos": (llama(eos_token_id=None), None),
    "eos of generation": (llama(eos_token_id=[5, 7]), {"eos_token_id": 9}),
    "eos of generation alone": (llama(eos_token_id=None), {"eos_token_id": [9, 11]}),
    "generation without eos": (llama(eos_token_id=5), {"do_sample": False}),
    "generation with no eos": (llama(), {"eos_token_id": None, "temperature": 0.5}),
    "the family's eos": (qwen2(num_key_value_heads=8), None),
}

# name: config, what is said
REFUSED = {
    "attention to what comes": (llama(is_causal=False), "is_causal: only true is known here"),
    "code of its own": (llama(auto_map={"AutoModelForCausalLM": "modeling_x.X"}),
                        "auto_map: the model comes with code of its own"),
    "an unknown key": (llama(attention_multiplier=0.5),
                       "attention_multiplier: is not known here for llama models"),
    "an unknown switch": (llama(use_qk_norm=True), "use_qk_norm: is not known here"),
    "encoder and decoder": (llama(is_encoder_decoder=True), "is_encoder_decoder: only false"),
    "an unknown rotary type": (llama(rope_scaling={"rope_type": "ntk", "factor": 2.0}),
                               "rope_scaling.rope_type: 'ntk' is not a rotary type known here"),
    "part of a head": (llama(partial_rotary_factor=0.5), "llama models rotate whole heads"),
    "part of a head, stretched": (llama(partial_rotary_factor=0.5, rope_scaling=LINEAR),
                                  "partial_rotary_factor: llama models rotate whole heads"),
    "an unknown rotary parameter": (llama(rope_scaling={**LINEAR, "attention_factor": 2.0}),
                                    "rope_scaling.attention_factor: is no rotary parameter known"),
    "gptj stretched": (gptj(rope_scaling=LINEAR, rope_theta=1e4), "rope_scaling: is not known here"),
    "gptj without a rotary_dim": (gptj(rotary_dim=None), "0 rotary dimensions"),
    "gptj with another's rotary_dim": (gptj(n_head=4), "64 rotary dimensions"),
    "two names, two values": (gptj(hidden_size=64), "hidden_size: says 64, and n_embd"),
    "llama with a window": (llama(sliding_window=100), "sliding_window: is not known here"),
    "mistral by type": (mistral(layer_types=["full_attention"] * 3),
                        "layer_types: 0 of 3 layers slide; all layers of a mistral model are alike"),
    "too few types": (qwen2(layer_types=["full_attention"]), "layer_types: 1 types for 3 layers"),
    "sliding without a window": (qwen2(layer_types=["sliding_attention"] * 3),
                                 "layer_types: has sliding layers, but the model has no window"),
    "null for a number": (llama(rms_norm_eps=None), "rms_norm_eps: expected a number"),
    "another router": (
        {"model_type": "deepseek_v3", **SIZES, "n_group": 4, "num_key_value_heads": 8, "topk_method": "greedy"},
        "topk_method: 'greedy' is not what deepseek_v3 models have here (noaux_tc)"),
    "a latent row too long": (
        {"model_type": "deepseek_v2", **SIZES, "num_experts_per_tok": 2, "kv_lora_rank": 1024},
        "latent rows of 1024 + 64 numbers"),
    "a whole that is not known": (
        {"model_type": "paligemma", "text_config": {"model_type": "gemma", **SIZES}},
        "model_type: 'paligemma' is not a family this engine knows"),
    "a text part that is not known": (
        parts("mistral3", "ministral3"),
        "config.json: text_config: model_type: 'ministral3' is not a family this engine knows"),
    "an unknown key of the whole": (
        parts("llava", "llama", cross_layers=[1]),
        "cross_layers: is not known here for llava folders and may change tokens"),
    "an unknown key of the text part": (
        parts("gemma3", "gemma3_text", text={"use_magic": True}),
        "text_config.use_magic: is not known here for gemma3_text models"),
    "a whole that says another size": (
        parts("llava", "llama", vocab_size=65), "vocab_size: is not known here for llava folders"),
    "no text part": ({"model_type": "llava"}, "text_config: "),
    "positions in three directions, of text alone": (
        llama(rope_scaling={"type": "mrope", "mrope_section": [1, 1, 2]}),
        "rope_scaling.type: 'mrope' is not a rotary type known here"),
    "hqq": (llama(quantization_config={"quant_method": "hqq", "bits": 4}),
             "quantization_config: 'hqq': checkpoints quantised so are not read"),
}


def rotary_of(model):
    """Inverse frequencies of each pair of dimensions that is rotated; GPT-J's follow from their number."""
    config = model.config
    if config.model_type == "gptj":
        return [10000.0 ** (-2 * i / config.rotary_dim) for i in range(config.rotary_dim // 2)]
    rope = model.base_model.rotary_emb
    if isinstance(rope.rope_type, dict):
        return rope.full_attention_inv_freq.tolist()
    if rope.rope_type in ("dynamic", "longrope"):
        return ROPE_INIT_FUNCTIONS[rope.rope_type](config, None, seq_len=context_of(config))[0].tolist()
    return rope.inv_freq.tolist()


def context_of(config):
    """What Weft lets a job have: how far the frequencies are made to reach, where that is more."""
    context, rope = config.max_position_embeddings, getattr(config, "rope_parameters", None) or {}
    rope = rope.get("full_attention", rope)
    if rope.get("rope_type") == "yarn":
        return max(context, int(rope["factor"] * rope["original_max_position_embeddings"]))
    return int(rope["factor"] * context) if rope.get("rope_type") == "dynamic" else context


def scale_of(rope):
    return getattr(rope, "full_attention_attention_scaling", getattr(rope, "attention_scaling", 1.0))


def windows_of(model):
    config = model.config
    if config.model_type in ("mistral", "phi3"):
        return [config.sliding_window] * config.num_hidden_layers
    if config.model_type in ("qwen2", "qwen3"):
        return [layer.self_attn.sliding_window for layer in model.model.layers]
    if config.model_type in SLIDING:
        return [config.sliding_window if kind == "sliding_attention" else None
                for kind in config.layer_types]
    return [None] * config.num_hidden_layers


def sliding_facts(model):
    """How scores and logits are scaled and bent; a second kind of rotation."""
    config, rope = model.config, model.base_model.rotary_emb
    facts = {"attn_scale": model.base_model.layers[0].self_attn.scaling,
             "attn_cap": getattr(config, "attn_logit_softcapping", None) or 0.0,
             "logit_cap": getattr(config, "final_logit_softcapping", None) or 0.0}
    if isinstance(rope.rope_type, dict):
        facts["local_freq"] = rope.sliding_attention_inv_freq.tolist()
    return facts


def facts_of(folder):
    config = AutoConfig.from_pretrained(folder)
    AutoModelForCausalLM.from_config(config).save_pretrained(os.path.join(folder, "saved"))
    os.replace(os.path.join(folder, "saved", "model.safetensors"),
               os.path.join(folder, "model.safetensors"))
    model = AutoModelForCausalLM.from_pretrained(folder)
    config, eos = model.config, model.generation_config.eos_token_id
    heads = config.num_attention_heads
    context = context_of(config)
    return {
        "n_heads": heads,
        "n_kv_heads": getattr(config, "num_key_value_heads", heads),
        "head_dim": getattr(config, "head_dim", None) or config.hidden_size // heads,
        "norm_eps": next(getattr(config, k) for k in
                         ("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon")
                         if hasattr(config, k)),
        "context": context,
        "windows": [w if w and w < context else 0 for w in windows_of(model)],
        "inv_freq": rotary_of(model),
        "rotary_scale": scale_of(getattr(model.base_model, "rotary_emb", None)),
        "eos": [] if eos is None else eos if isinstance(eos, list) else [eos],
        **(sliding_facts(model) if config.model_type in SLIDING + PLAIN else {}),
        **({"rotated": config.no_rope_layers} if config.model_type == "smollm3" else {}),
    }


def ask(name):
    config, generation = ASKED[name]
    with tempfile.TemporaryDirectory() as folder:
        for file, content in (("config.json", config), ("generation_config.json", generation)):
            if content is not None:
                with open(os.path.join(folder, file), "w", encoding="ascii") as out:
                    json.dump(content, out)
        return {"name": name, "config": json.dumps(config),
                "generation": generation and json.dumps(generation), "facts": facts_of(folder)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    here = os.path.dirname(os.path.abspath(__file__))
    parser.add_argument("--out", default=os.path.join(here, "configs.json"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    rows = [ask(name) for name in ASKED]
    rows += [{"name": name, "config": json.dumps(config), "refused": says}
             for name, (config, says) in REFUSED.items()]
    rows += [{"name": name, "config": json.dumps(config)} for name, config in PUBLISHED.items()]
    head = {"transformers": transformers.__version__, "torch": torch.__version__.split("+")[0]}
    lines = [f'  "{key}": {json.dumps(value)},' for key, value in head.items()]
    body = ",\n".join("    " + json.dumps(row) for row in rows)
    with open(args.out, "w", encoding="ascii") as out:
        out.write("{\n" + "\n".join(lines) + '\n  "rows": [\n' + body + "\n  ]\n}\n")
    print(f"{args.out}: {len(rows)} rows")


if __name__ == "__main__":
    main()
