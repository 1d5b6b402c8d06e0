#!/usr/bin/env python3
"""Trains the demo model and writes it as a Hugging Face folder; or checks such a folder.

    train.py --out model                     train, save, print the accuracy per task
    train.py --check model                   load with `transformers`, decode held-out prompts greedily
    train.py --out /tmp/m --steps 20 --batch 64 --pool 20000 --device cpu      a try on a CPU

Needs torch, numpy and safetensors, and transformers for --check. The data is made here from the
tasks in tasks.py; nothing is downloaded. The model is a Llama of 1.8 M parameters over bytes, small
enough to keep in a repository. Weights are f32 while training and rounded to bf16 when saved; the
accuracies printed at the end are those of the rounded weights.
"""

import argparse
import json
import math
import multiprocessing
import os
import random
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import tasks

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": tasks.BOS,
    "eos_token_id": tasks.EOS,
    "pad_token_id": tasks.PAD,
    "head_dim": 32,
    "hidden_act": "silu",
    "hidden_size": 192,
    "initializer_range": 0.02,
    "intermediate_size": 512,
    "max_position_embeddings": 16384,
    "mlp_bias": False,
    "num_attention_heads": 8,
    "num_hidden_layers": 4,
    "num_key_value_heads": 4,
    "rms_norm_eps": 1e-5,
    "rope_scaling": None,
    "rope_theta": 10000.0,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "use_cache": True,
    "vocab_size": tasks.VOCAB_SIZE,
}

# Longest text after BOS: "sort:" + 10 letters + "=" + 10 letters + EOS. `count` runs to 59.
SHORT_LEN, COUNT_LEN = 27, 60
SHORT_MIX = {"add": 0.35, "rev": 0.30, "sort": 0.35}


class RMSNorm(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x):
        x32 = x.float()
        scale = torch.rsqrt(x32.square().mean(-1, keepdim=True) + CONFIG["rms_norm_eps"])
        return self.weight * (x32 * scale).to(x.dtype)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        hidden, self.head_dim = CONFIG["hidden_size"], CONFIG["head_dim"]
        self.n_heads, self.n_kv = CONFIG["num_attention_heads"], CONFIG["num_key_value_heads"]
        self.q_proj = nn.Linear(hidden, self.n_heads * self.head_dim, bias=False)
        self.k_proj = nn.Linear(hidden, self.n_kv * self.head_dim, bias=False)
        self.v_proj = nn.Linear(hidden, self.n_kv * self.head_dim, bias=False)
        self.o_proj = nn.Linear(self.n_heads * self.head_dim, hidden, bias=False)

    def forward(self, x, cos, sin):
        batch, length, _ = x.shape
        q = self.q_proj(x).view(batch, length, self.n_heads, self.head_dim).transpose(1, 2)
        k = self.k_proj(x).view(batch, length, self.n_kv, self.head_dim).transpose(1, 2)
        v = self.v_proj(x).view(batch, length, self.n_kv, self.head_dim).transpose(1, 2)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        group = self.n_heads // self.n_kv
        k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o_proj(out.transpose(1, 2).reshape(batch, length, -1))


def rotate(x, cos, sin):
    """Rotary positions on the two halves of each head, as Llama checkpoints expect."""
    low, high = x.chunk(2, -1)
    return torch.cat((low * cos - high * sin, high * cos + low * sin), -1).to(x.dtype)


class MLP(nn.Module):
    def __init__(self):
        super().__init__()
        hidden, inner = CONFIG["hidden_size"], CONFIG["intermediate_size"]
        self.gate_proj = nn.Linear(hidden, inner, bias=False)
        self.up_proj = nn.Linear(hidden, inner, bias=False)
        self.down_proj = nn.Linear(inner, hidden, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.input_layernorm = RMSNorm(CONFIG["hidden_size"])
        self.self_attn = Attention()
        self.post_attention_layernorm = RMSNorm(CONFIG["hidden_size"])
        self.mlp = MLP()

    def forward(self, x, cos, sin):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        return x + self.mlp(self.post_attention_layernorm(x))


class Trunk(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed_tokens = nn.Embedding(CONFIG["vocab_size"], CONFIG["hidden_size"])
        self.layers = nn.ModuleList(Layer() for _ in range(CONFIG["num_hidden_layers"]))
        self.norm = RMSNorm(CONFIG["hidden_size"])


class DemoModel(nn.Module):
    """Names its parameters as LlamaForCausalLM does, so that its state is the checkpoint."""

    def __init__(self):
        super().__init__()
        self.model = Trunk()
        half = CONFIG["head_dim"] // 2
        steps = torch.arange(half, dtype=torch.float32) / half
        angle = torch.arange(64).float()[:, None] * CONFIG["rope_theta"] ** -steps[None, :]
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)
        residual = 0.02 / math.sqrt(2 * CONFIG["num_hidden_layers"])
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                last = name.endswith(("o_proj.weight", "down_proj.weight"))
                nn.init.normal_(weight, std=residual if last else 0.04)

    def forward(self, tokens):
        x = self.model.embed_tokens(tokens)
        cos, sin = self.cos[: tokens.shape[1]], self.sin[: tokens.shape[1]]
        for layer in self.model.layers:
            x = layer(x, cos, sin)
        return F.linear(self.model.norm(x), self.model.embed_tokens.weight)


# --- data -------------------------------------------------------------------------------------
# A pool holds whole sequences, one byte per position: ASCII, 1 for EOS, 0 for padding.


def pool_row(prompt, width):
    return (prompt + tasks.prompt_answer(prompt) + "\x01").encode("ascii").ljust(width, b"\0")


def letters_pool(job):
    """Random words of one task, training side only; longer words, the harder ones, come oftener."""
    task, seed, n_rows = job
    rng, rows = random.Random(seed), []
    while len(rows) < n_rows:
        shortest = rng.choice((tasks.LETTERS_MIN, tasks.LETTERS_MAX - 2))
        n_letters = rng.randint(shortest, tasks.LETTERS_MAX)
        prompt = f"{task}:{''.join(rng.choices(tasks.LETTERS, k=n_letters))}="
        if not tasks.prompt_is_held_out(prompt):
            rows.append(pool_row(prompt, SHORT_LEN))
    return b"".join(rows)


def add_pool(job):
    """All training sums with this left operand, and a few of the rare ones with short operands."""
    left, seed, n_short = job
    rng = random.Random(seed)
    prompts = [f"add:{left}+{right}=" for right in range(1000)]
    for _ in range(n_short):
        a, b = (rng.randrange(10 ** rng.randint(1, 3)) for _ in range(2))
        prompts.append(f"add:{a}+{b}=")
    return b"".join(pool_row(p, SHORT_LEN) for p in prompts if not tasks.prompt_is_held_out(p))


def pool_to_tensor(blob, width, device):
    rows = torch.from_numpy(np.frombuffer(blob, np.uint8).reshape(-1, width).astype(np.int16))
    rows[rows == 0] = tasks.PAD
    rows[rows == 1] = tasks.EOS
    bos = torch.full((len(rows), 1), tasks.BOS, dtype=torch.int16)
    return torch.cat((bos, rows), 1).to(device)


def make_pools(args):
    n_part = 64
    with multiprocessing.Pool(min(16, os.cpu_count() or 1)) as workers:
        blobs = {"add": workers.map(add_pool, [(i, args.seed + i, 300) for i in range(1000)], 20)}
        for i_task, task in enumerate(("rev", "sort")):
            seeds = [args.seed + 10_000 * (i_task + 1) + i for i in range(n_part)]
            jobs = [(task, seed, max(1, args.pool // n_part)) for seed in seeds]
            blobs[task] = workers.map(letters_pool, jobs)
    pools = {k: pool_to_tensor(b"".join(v), SHORT_LEN, args.device) for k, v in blobs.items()}
    counts = [f"count:{i}=" for i in range(tasks.COUNT_MIN, tasks.COUNT_MAX + 1)]
    blob = b"".join(pool_row(p, COUNT_LEN) for p in counts)
    pools["count"] = pool_to_tensor(blob, COUNT_LEN, args.device)
    return pools


def draw_batch(pools, n_rows, generator):
    parts = []
    for task, share in SHORT_MIX.items():
        n_task = max(1, round(n_rows * share))
        index = torch.randint(len(pools[task]), (n_task,), device=pools[task].device,
                              generator=generator)
        parts.append(pools[task][index])
    return torch.cat(parts).long()


def answer_targets(rows):
    """Inputs and targets of one batch: a target counts from the first byte after '=' to EOS."""
    inputs, targets = rows[:, :-1], rows[:, 1:]
    answering = (inputs == ord("=")).cumsum(1) > 0
    return inputs, torch.where(answering & (targets != tasks.PAD), targets, -100)


# --- training ---------------------------------------------------------------------------------


def batch_loss(model, rows, device):
    inputs, targets = answer_targets(rows)
    with torch.autocast(device, dtype=torch.bfloat16):
        logits = model(inputs)
    return F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), ignore_index=-100)


def learning_rate(step, args):
    warm = min(500, args.steps // 10 + 1)
    if step < warm:
        return args.lr * (step + 1) / warm
    return args.lr * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, args.steps - warm)))


def make_optimizer(model, args):
    matrices = [p for p in model.parameters() if p.dim() == 2]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": 0.05}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=args.lr, betas=(0.9, 0.98), fused=args.device == "cuda")


def train(args):
    torch.manual_seed(args.seed)
    torch.set_float32_matmul_precision("high")
    start = time.monotonic()
    pools = make_pools(args)
    sizes = {task: len(rows) for task, rows in pools.items()}
    print(f"data in {time.monotonic() - start:.1f} s: {sizes}", flush=True)
    model = DemoModel().to(args.device)
    print(f"{sum(p.numel() for p in model.parameters())} parameters on {args.device}", flush=True)
    step_model = torch.compile(model, dynamic=False) if args.compile else model
    optimizer = make_optimizer(model, args)
    generator = torch.Generator(args.device).manual_seed(args.seed)
    start = time.monotonic()
    for step in range(args.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, args)
        loss = batch_loss(step_model, draw_batch(pools, args.batch, generator), args.device)
        loss.backward()
        if step % 4 == 0:
            (0.2 * batch_loss(step_model, pools["count"].long(), args.device)).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if (step + 1) % args.report == 0 or step + 1 == args.steps:
            elapsed = time.monotonic() - start
            shown = evaluate(round_to_bf16(model), args, 1000, torch.float32)
            print(f"step {step + 1} loss {loss.item():.5f} {elapsed:.0f} s {shown}", flush=True)
            save(model, args.out)
    print(f"trained in {time.monotonic() - start:.0f} s", flush=True)
    for dtype in (torch.float32, torch.bfloat16):
        for n_prompts in (1000, 20000):
            shown = evaluate(round_to_bf16(model), args, n_prompts, dtype)
            print(f"{dtype} activations, {n_prompts} prompts a task: {shown}", flush=True)


def round_to_bf16(model):
    rounded = DemoModel().to(next(model.parameters()).device)
    rounded.load_state_dict({k: v.bfloat16().float() for k, v in model.state_dict().items()})
    return rounded


@torch.no_grad()
def evaluate(model, args, n_prompts, dtype):
    """Share of prompts answered exactly. Feeding the right answer and asking that every next-token
    argmax be right is the same test as decoding greedily: up to the first error both see the same.
    The margin is the smallest lead of a chosen logit over the next best."""
    torch.set_float32_matmul_precision("highest")
    model = model.to(dtype).eval()
    shown = {}
    for task in tasks.TASKS:
        n_task = 18 if task == "count" else n_prompts
        prompts = tasks.test_prompts(task, n_task, random.Random(f"test {task}"))
        width = COUNT_LEN if task == "count" else SHORT_LEN
        blob = b"".join(pool_row(p, width) for p in prompts)
        inputs, targets = answer_targets(pool_to_tensor(blob, width, args.device).long())
        n_right, margin = 0, float("inf")
        for i in range(0, len(inputs), 2000):
            top, want = model(inputs[i : i + 2000]).float().topk(2), targets[i : i + 2000]
            n_right += ((top.indices[..., 0] == want) | (want == -100)).all(1).sum().item()
            gap = (top.values[..., 0] - top.values[..., 1])[want != -100]
            margin = min(margin, gap.min().item())
        shown[task] = f"{n_right}/{n_task} (margin {margin:.2f})"
    torch.set_float32_matmul_precision("high")
    return " ".join(f"{task} {right}" for task, right in shown.items())


def save(model, folder):
    from safetensors.torch import save_file

    os.makedirs(folder, exist_ok=True)
    state = {k: v.detach().bfloat16().cpu().contiguous() for k, v in model.state_dict().items()}
    save_file(state, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    generation = {"bos_token_id": tasks.BOS, "eos_token_id": tasks.EOS,
                  "pad_token_id": tasks.PAD, "do_sample": False}
    for name, content in (("config.json", CONFIG), ("generation_config.json", generation)):
        with open(os.path.join(folder, name), "w", encoding="ascii") as out:
            out.write(json.dumps(content, indent=2, sort_keys=True) + "\n")


# --- check ------------------------------------------------------------------------------------


@torch.no_grad()
def check(args):
    """Decodes held-out prompts with `transformers`, from the folder as saved, one task at a time."""
    from transformers import AutoModelForCausalLM

    worst = 1.0
    for dtype in (torch.float32, torch.bfloat16):
        model = AutoModelForCausalLM.from_pretrained(args.check, dtype=dtype).to(args.device).eval()
        for task in tasks.TASKS:
            n_task = 18 if task == "count" else args.prompts
            prompts = tasks.test_prompts(task, n_task, random.Random(f"test {task}"))
            n_right = sum(generate_group(model, group, args.device) for group in by_length(prompts))
            worst = min(worst, n_right / n_task)
            print(f"transformers, {dtype}: {task} {n_right}/{n_task}", flush=True)
    return 0 if worst >= args.min_accuracy else 1


def by_length(prompts):
    """Groups of equal length need no padding."""
    groups = {}
    for prompt in prompts:
        groups.setdefault(len(prompt), []).append(prompt)
    return groups.values()


def generate_group(model, prompts, device):
    tokens = torch.tensor([tasks.prompt_tokens(p) for p in prompts], device=device)
    out = model.generate(tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=64,
                         do_sample=False)
    n_right = 0
    for prompt, row in zip(prompts, out[:, tokens.shape[1] :].tolist()):
        answer = row[: row.index(tasks.EOS)] if tasks.EOS in row else row
        n_right += answer == list(tasks.prompt_answer(prompt).encode("ascii"))
    return n_right


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default=os.path.join(os.path.dirname(__file__), "model"))
    parser.add_argument("--check", metavar="FOLDER", help="decode with transformers and leave")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--steps", type=int, default=20000)
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pool", type=int, default=3_000_000, help="words kept per letter task")
    parser.add_argument("--report", type=int, default=2000, help="steps between evaluations")
    parser.add_argument("--prompts", type=int, default=1000, help="prompts a task in --check")
    parser.add_argument("--min-accuracy", type=float, default=0.99)
    parser.add_argument("--compile", action="store_true", help="use torch.compile")
    args = parser.parse_args()
    if args.check:
        return check(args)
    train(args)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
