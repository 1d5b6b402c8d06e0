"""A Llama (and Qwen2) forward pass in plain numpy, float64: the slowest and simplest there is.

It shares no code with the C reference or with `transformers`, so where all three agree the stored
fixtures and the demo model mean what they say. Weights: {name: array} as read_folder() gives them.
"""

import json
import os

import numpy as np

DTYPES = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2")}


def read_safetensors(path):
    with open(path, "rb") as file:
        data = file.read()
    n_header = int.from_bytes(data[:8], "little")
    weights = {}
    for name, info in json.loads(data[8 : 8 + n_header]).items():
        if name == "__metadata__":
            continue
        begin, end = (8 + n_header + at for at in info["data_offsets"])
        values = np.frombuffer(data[begin:end], DTYPES[info["dtype"]])
        if info["dtype"] == "BF16":
            values = (values.astype(np.uint32) << 16).view(np.float32)
        weights[name] = values.reshape(info["shape"]).astype(np.float64)
    return weights


def read_folder(folder):
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    weights = {}
    for name in sorted(os.listdir(folder)):
        if name.endswith(".safetensors"):
            weights.update(read_safetensors(os.path.join(folder, name)))
    return config, weights


def rope_frequencies(config, head_dim):
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    theta = rope.get("rope_theta", config.get("rope_theta", 10000.0))
    frequency = theta ** -(np.arange(0, head_dim, 2) / head_dim)
    if rope.get("rope_type", "default") == "default":
        return frequency
    assert rope["rope_type"] == "llama3"
    low, high, factor = rope["low_freq_factor"], rope["high_freq_factor"], rope["factor"]
    turns = rope["original_max_position_embeddings"] * frequency / (2 * np.pi)
    smooth = np.clip((turns - low) / (high - low), 0.0, 1.0)
    return (1 - smooth) * frequency / factor + smooth * frequency


def rotate(x, frequency):
    """x[heads][tokens][head_dim], positions from 0; the halves of a head rotate against each other."""
    angle = np.arange(x.shape[1])[:, None] * frequency
    low, high = np.split(x, 2, axis=-1)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.concatenate([low * cos - high * sin, high * cos + low * sin], -1)


def rms_norm(x, weight, epsilon):
    return x / np.sqrt(np.mean(x * x, -1, keepdims=True) + epsilon) * weight


def attention(q, k, v):
    n_tokens = q.shape[1]
    scores = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])
    scores[:, np.triu(np.ones((n_tokens, n_tokens), bool), 1)] = -np.inf
    scores = np.exp(scores - scores.max(-1, keepdims=True))
    return scores / scores.sum(-1, keepdims=True) @ v


def forward(config, weights, tokens):
    """Logits [tokens][vocabulary] of one sequence."""
    n_heads, n_kv = config["num_attention_heads"], config["num_key_value_heads"]
    head_dim = config.get("head_dim") or config["hidden_size"] // n_heads
    frequency, epsilon = rope_frequencies(config, head_dim), config["rms_norm_eps"]

    def project(x, name, n):
        y = x @ weights[name + "_proj.weight"].T + weights.get(name + "_proj.bias", 0.0)
        y = y.reshape(len(tokens), n, head_dim)
        norm = weights.get(name + "_norm.weight")  # of each head: Qwen3
        return (y if norm is None else rms_norm(y, norm, epsilon)).transpose(1, 0, 2)

    x = weights["model.embed_tokens.weight"][tokens]
    for i in range(config["num_hidden_layers"]):
        layer = f"model.layers.{i}."
        h = rms_norm(x, weights[layer + "input_layernorm.weight"], epsilon)
        q = rotate(project(h, layer + "self_attn.q", n_heads), frequency)
        k = rotate(project(h, layer + "self_attn.k", n_kv), frequency)
        v = project(h, layer + "self_attn.v", n_kv)
        group = n_heads // n_kv
        mixed = attention(q, k.repeat(group, 0), v.repeat(group, 0))
        mixed = mixed.transpose(1, 0, 2).reshape(len(tokens), -1)
        x = x + mixed @ weights[layer + "self_attn.o_proj.weight"].T
        h = rms_norm(x, weights[layer + "post_attention_layernorm.weight"], epsilon)
        gate = h @ weights[layer + "mlp.gate_proj.weight"].T
        up = h @ weights[layer + "mlp.up_proj.weight"].T
        x = x + (gate / (1 + np.exp(-gate)) * up) @ weights[layer + "mlp.down_proj.weight"].T
    x = rms_norm(x, weights["model.norm.weight"], epsilon)
    head = weights.get("lm_head.weight", weights["model.embed_tokens.weight"])
    return x @ head.T
