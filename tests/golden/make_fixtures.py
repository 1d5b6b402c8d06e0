#!/usr/bin/env python3
"""Makes the reference fixtures: small random models and what Hugging Face `transformers` says of them.

    make_fixtures.py [--out FOLDER] [--only NAME ...]

Each fixture is a model folder (config.json, safetensors) with one more file, fixture.json:

    model, transformers, torch, seed     where it came from
    n_cases, min_gap                     min_gap: smallest top1 - top2 logit over all greedy steps
    cases[]: prompt          token ids
             greedy          the tokens that greedy decoding appends; EOS does not end them
             gap             the smallest gap in this case
             logits          only in the first three cases: the next-token logits after the prompt

Everything is computed on the CPU in float32 with eager attention, from the stored weights upcast to
float32, the whole sequence again at every step: the plainest way there is. Random weights are
large (std about 0.3) and the seed is the first whose greedy steps are all clear of ties, so that an
engine that sums in another order still decodes the same tokens. Written with torch 2.11 and
transformers 5.17; another version may draw other weights, the stored ones stay valid.
"""

import argparse
import json
import os
import shutil

import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

from fixture_models import (
    BLOOM, COHERE, COHERE2, DEEPSEEK_V2, DEEPSEEK_V3, FALCON, FALCON_NEW, FALCON_RW, GEMMA, GEMMA2, GEMMA3, GEMMA3_PARTS, GLM4, GLM4_MOE, GPT2, GPTJ, GPT_OSS, GRANITE, MISTRAL, MIXTRAL,
    NEOX, OLMO2, OLMO3, OPT, PHI3, QWEN2, SMOLLM3,
    QWEN2_MOE, QWEN2_VL, QWEN3, QWEN3_MOE, QWEN3_VL, ROPE_LLAMA3, llama, llama_rope_parameters)

PROMPT_LENGTHS = (1, 7, 33, 64, 90)
# Longer than the context that its rotation was stretched from.
LONG_PROMPTS = {"phi3-long": (33, 41, 50, 64, 90)}
N_GREEDY = (24, 48, 32, 24, 24)
N_LOGITS = 3
MIN_GAP = 0.01

# name: config, stored dtype, safetensors files
FIXTURES = {
    "llama-mini": (llama(), torch.float32, 1),
    "llama-gqa": (
        llama(num_attention_heads=8, vocab_size=320, intermediate_size=96,
              tie_word_embeddings=False, torch_dtype="bfloat16"),
        torch.bfloat16, 2,
    ),
    # Fewer key/value heads than ranks of a group.
    "llama-few-kv": (
        llama(num_attention_heads=8, num_key_value_heads=2, vocab_size=260), torch.float32, 1),
    "llama-rope3": (
        llama(hidden_size=48, num_attention_heads=8, head_dim=16, intermediate_size=80,
              vocab_size=260, rope_scaling=ROPE_LLAMA3),
        torch.float32, 1,
    ),
    "llama-f16": (
        llama(num_attention_heads=8, num_key_value_heads=4, head_dim=8, vocab_size=260,
              torch_dtype="float16"),
        torch.float16, 1,
    ),
    "llama-rope-parameters": (llama_rope_parameters(), torch.bfloat16, 1),
    # Heads of a size that no vector divides (OpenLLaMA 3B has it).
    "llama-head100": (
        llama(hidden_size=32, head_dim=100, vocab_size=260, torch_dtype="bfloat16"),
        torch.bfloat16, 1),
    # Says that the head is the embedding table, and holds a head: transformers uses it.
    "llama-two-heads": (
        llama(num_attention_heads=8, vocab_size=260, torch_dtype="bfloat16"), torch.bfloat16, 1),
    "qwen2-mini": (QWEN2, torch.bfloat16, 1),
    "qwen3-mini": (QWEN3, torch.bfloat16, 1),
    "mistral-mini": (MISTRAL, torch.bfloat16, 1),
    # Prompts and outputs longer than the window, which divides neither pages nor tiles.
    "mistral-window": (
        {**MISTRAL, "hidden_size": 48, "head_dim": 12, "intermediate_size": 80, "sliding_window": 21},
        torch.bfloat16, 1),
    "qwen2-window": (
        {**QWEN2, "hidden_size": 48, "num_attention_heads": 4, "num_hidden_layers": 3,
         "intermediate_size": 80, "use_sliding_window": True, "sliding_window": 40,
         "max_window_layers": 1},
        torch.bfloat16, 1),
    "olmo2-mini": (OLMO2, torch.bfloat16, 1),
    "granite-mini": (GRANITE, torch.bfloat16, 1),
    "smollm3-mini": (SMOLLM3, torch.bfloat16, 1),
    "glm4-mini": (GLM4, torch.bfloat16, 1),
    "cohere-mini": (COHERE, torch.bfloat16, 1),
    "phi3-long": (PHI3, torch.bfloat16, 1),
    "gemma-mini": (GEMMA, torch.bfloat16, 1),
    "gemma2-mini": (GEMMA2, torch.bfloat16, 1),
    "gemma3-mini": (GEMMA3, torch.bfloat16, 1),
    "olmo3-mini": (OLMO3, torch.bfloat16, 1),
    "cohere2-mini": (COHERE2, torch.bfloat16, 1),
    "gptj-mini": (GPTJ, torch.float16, 1),
    "neox-mini": (NEOX, torch.bfloat16, 1),
    "gpt2-mini": (GPT2, torch.bfloat16, 1),
    "opt-mini": (OPT, torch.bfloat16, 1),
    "bloom-mini": (BLOOM, torch.bfloat16, 1),
    "falcon-mini": (FALCON, torch.bfloat16, 1),
    "falcon-new": (FALCON_NEW, torch.bfloat16, 1),
    "falcon-rw": (FALCON_RW, torch.bfloat16, 1),
    "mixtral-mini": (MIXTRAL, torch.bfloat16, 1),
    "qwen3-moe-mini": (QWEN3_MOE, torch.bfloat16, 1),
    "qwen2-moe-mini": (QWEN2_MOE, torch.bfloat16, 1),
    "gpt-oss-mini": (GPT_OSS, torch.bfloat16, 1),
    "glm4-moe-mini": (GLM4_MOE, torch.bfloat16, 1),
    "deepseek-v2-mini": (DEEPSEEK_V2, torch.bfloat16, 1),
    "deepseek-v3-mini": (DEEPSEEK_V3, torch.bfloat16, 1),
    # Of several parts, each named in another way.
    "gemma3-parts": (GEMMA3_PARTS, torch.bfloat16, 1),
    "qwen25-vl-parts": (QWEN2_VL, torch.bfloat16, 1),
    "qwen3-vl-parts": (QWEN3_VL, torch.bfloat16, 1),
}

# A head of their own in the weights, although the configuration ties it.
UNTIED = {"llama-two-heads"}

# Eager Falcon adds ALiBi's slopes twice, to the mask and to the scores.
ATTENTION = {"falcon-rw": "sdpa"}

# Published checkpoints of a family may name a tensor otherwise than the library's present classes.
HUB_NAMES = {"neox-mini": {"lm_head.weight": "embed_out.weight"},
             "gpt2-mini": {"transformer.": ""}, "bloom-mini": {"transformer.": ""},
             "gemma3-parts": {"model.language_model.": "language_model.model.",
                              "model.vision_tower.": "vision_tower.vision_model.",
                              "model.multi_modal_projector.": "multi_modal_projector."},
             "qwen25-vl-parts": {"model.language_model.": "model.", "model.visual.": "visual."}}

# Checkpoints have a tensor for each expert, the library's present classes one for all: the block's
# name, and those of an expert's gate, up and down.
EXPERT_NAMES = {
    "deepseek_v2": (".mlp.", ".mlp.", ("gate_proj", "up_proj", "down_proj")),
    "deepseek_v3": (".mlp.", ".mlp.", ("gate_proj", "up_proj", "down_proj")),
    "glm4_moe": (".mlp.", ".mlp.", ("gate_proj", "up_proj", "down_proj")),
    "mixtral": (".mlp.", ".block_sparse_moe.", ("w1", "w3", "w2")),
    "qwen2_moe": (".mlp.", ".mlp.", ("gate_proj", "up_proj", "down_proj")),
    "qwen3_moe": (".mlp.", ".mlp.", ("gate_proj", "up_proj", "down_proj")),
}


def unpack_experts(state, model_type):
    """The tensors as they are published."""
    if model_type not in EXPERT_NAMES:
        return state
    block, published, (gate, up, down) = EXPERT_NAMES[model_type]
    out = {}
    for name, value in state.items():
        parts = {"gate_up_proj": (gate, up), "down_proj": (down,)}.get(name.split(".")[-1])
        if value.dim() == 3 and parts:
            stem = name[: name.rindex(".")].replace(block, published)
            for e in range(value.shape[0]):
                for part, half in zip(parts, value[e].chunk(len(parts))):
                    out[f"{stem}.{e}.{part}.weight"] = half.contiguous()
        else:
            inside = ".mlp.gate." in name or ".mlp.experts." in name
            out[name.replace(block, published) if inside else name] = value
    return out


def to_mxfp4(rows):
    """Codes and scales of rows of numbers, 32 of which share a scale: the nearest there is."""
    values = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6])
    blocks = rows.float().reshape(*rows.shape[:-1], -1, 32)
    exponent = torch.floor(torch.log2(blocks.abs().amax(-1).clamp(min=1e-30))) - 2
    scaled = blocks / torch.exp2(exponent)[..., None]
    codes = (scaled.abs()[..., None] - values).abs().argmin(-1) + 8 * (scaled < 0)
    return ((codes[..., 0::2] + 16 * codes[..., 1::2]).to(torch.uint8),
            (exponent + 127).to(torch.uint8))


def pack_experts(state):
    """gpt-oss as it is published, and what `transformers` unpacks of it: two states."""
    packed, unpacked = {}, {}
    for name, value in state.items():
        if value.dim() < 3:
            packed[name] = unpacked[name] = value
            continue
        blocks, scales = to_mxfp4(value.transpose(1, 2))
        packed[name + "_blocks"], packed[name + "_scales"] = blocks, scales
        unpacked[name] = convert_moe_packed_tensors(blocks, scales).to(value.dtype).contiguous()
    return packed, unpacked


MXFP4 = {"quant_method": "mxfp4",
         "modules_to_not_convert": ["model.layers.*.self_attn", "model.layers.*.mlp.router",
                                    "model.embed_tokens", "lm_head"]}


def class_of(config):
    """Folders of several parts are loaded whole."""
    return AutoModelForImageTextToText if "vision_config" in config else AutoModelForCausalLM


def draw_weights(model, dtype, seed, untied=False):
    """Random weights for every parameter: norms about 1, biases small, matrices wide."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    # Gemma scales its embeddings up, and its head is the same table.
    embed = 0.2 if model.config.model_type.startswith("gemma") else 0.5
    for name, weight in model.named_parameters(remove_duplicate=not untied):
        noise = torch.randn(weight.shape, generator=generator)
        if weight.dim() >= 2 and not name.endswith("bias"):
            wide = "embed" in name or "wte" in name
            value = noise * (embed if wide else 0.3)
        elif name.endswith("bias") or name.endswith("sinks"):
            value = noise * 0.3
        else:
            value = 1 + noise * 0.2
        state[name] = value.to(dtype).contiguous()
    for name, buffer in model.named_buffers():
        if name.endswith("e_score_correction_bias"):
            noise = torch.randn(buffer.shape, generator=generator)
            state[name] = (noise * 0.2).to(dtype).contiguous()
    return state


def write_json(path, content):
    with open(path, "w", encoding="ascii") as out:
        out.write(json.dumps(content, indent=2, sort_keys=True) + "\n")


def write_weights(folder, state, n_files):
    if n_files == 1:
        save_file(state, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
        return
    names = sorted(state)
    weight_map = {}
    for i in range(n_files):
        part = names[i * len(names) // n_files : (i + 1) * len(names) // n_files]
        file = f"model-{i + 1:05d}-of-{n_files:05d}.safetensors"
        save_file({n: state[n] for n in part}, os.path.join(folder, file), metadata={"format": "pt"})
        weight_map.update({n: file for n in part})
    total = sum(t.numel() * t.element_size() for t in state.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    write_json(os.path.join(folder, "model.safetensors.index.json"), index)


@torch.no_grad()
def decode(model, prompt, n_tokens):
    """Greedy tokens, the logits after the prompt, and the smallest gap to the second best."""
    tokens, first, gap = list(prompt), None, float("inf")
    for _ in range(n_tokens):
        logits = model(torch.tensor([tokens]), use_cache=False).logits[0, -1]
        assert logits.dtype == torch.float32
        first = logits if first is None else first
        top = logits.topk(2)
        gap = min(gap, (top.values[0] - top.values[1]).item())
        if gap < MIN_GAP:
            break
        tokens.append(top.indices[0].item())
    return tokens[len(prompt) :], first, gap


def make_cases(model, vocab_size, seed, lengths):
    generator = torch.Generator().manual_seed(1000 + seed)
    cases, distinct = [], set()
    for i, (length, n_tokens) in enumerate(zip(lengths, N_GREEDY)):
        prompt = torch.randint(3, vocab_size, (length,), generator=generator).tolist()
        greedy, logits, gap = decode(model, prompt, n_tokens)
        if gap < MIN_GAP:
            return None
        distinct.update(greedy)
        case = {"prompt": prompt, "greedy": greedy, "gap": round(gap, 6)}
        if i < N_LOGITS:
            case["logits"] = [float(f"{x:.9g}") for x in logits.tolist()]
        cases.append(case)
    return cases if len(distinct) >= 20 else None


def write_fixture(folder, head, cases):
    """One line for each list, so that a change reads as a diff."""
    lines = [f'  "{key}": {json.dumps(value)},' for key, value in head.items()]
    lines.append('  "cases": [')
    for i, case in enumerate(cases):
        rows = [f'      "{key}": {json.dumps(value)}' for key, value in case.items()]
        comma = "," if i + 1 < len(cases) else ""
        lines.append("    {\n" + ",\n".join(rows) + "\n    }" + comma)
    lines.append("  ]")
    with open(os.path.join(folder, "fixture.json"), "w", encoding="ascii") as out:
        out.write("{\n" + "\n".join(lines) + "\n}\n")


def make(name, out):
    config, dtype, n_files = FIXTURES[name]
    folder = os.path.join(out, name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    write_json(os.path.join(folder, "config.json"), config)
    empty = class_of(config).from_config(AutoConfig.from_pretrained(folder))
    for seed in range(1, 200):
        for file in os.listdir(folder):
            if file != "config.json":
                os.remove(os.path.join(folder, file))
        state = draw_weights(empty, dtype, seed, name in UNTIED)
        if config["model_type"] == "gpt_oss":
            state = pack_experts(state)[1]
        write_weights(folder, unpack_experts(state, config["model_type"]), n_files)
        model = class_of(config).from_pretrained(
            folder, dtype=torch.float32, attn_implementation=ATTENTION.get(name, "eager")).eval()
        cases = make_cases(model, config.get("text_config", config)["vocab_size"], seed,
                           LONG_PROMPTS.get(name, PROMPT_LENGTHS))
        if cases:
            break
    else:
        raise SystemExit(f"{name}: no seed under 200 keeps every step {MIN_GAP} from a tie")
    if name in HUB_NAMES:
        state = draw_weights(empty, dtype, seed)
        names = HUB_NAMES[name]
        for ours, theirs in names.items():
            state = {n.replace(ours, theirs, 1): t for n, t in state.items()}
        write_weights(folder, state, n_files)
    if config["model_type"] == "gpt_oss":
        write_weights(folder, pack_experts(draw_weights(empty, dtype, seed))[0], n_files)
        write_json(os.path.join(folder, "config.json"), {**config, "quantization_config": MXFP4})
    head = {"model": name, "transformers": transformers.__version__,
            "torch": torch.__version__.split("+")[0], "seed": seed, "n_cases": len(cases),
            "min_gap": min(case["gap"] for case in cases)}
    write_fixture(folder, head, cases)
    n_bytes = sum(os.path.getsize(os.path.join(folder, f)) for f in os.listdir(folder))
    spread = max(cases[1]["logits"]) - min(cases[1]["logits"])
    print(f"{name}: seed {seed}, min gap {head['min_gap']}, logits span {spread:.1f}, "
          f"{n_bytes} bytes; case 1: {cases[1]['greedy'][:12]}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default=os.path.dirname(os.path.abspath(__file__)))
    parser.add_argument("--only", nargs="*", default=list(FIXTURES))
    args = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    for name in args.only:
        make(name, args.out)


if __name__ == "__main__":
    main()
