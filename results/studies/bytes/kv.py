"""What KV memory in fewer bits costs the demo model's answers.

usage: kv.py WEFT OUT [--per-task N]

Runs the demo's held-out prompts (and the 18 of `count`) greedily on the CPU with KV in f32, bf16,
fp8 and int8, everything else alike. Writes OUT/kv.csv, a row per format:

  right, total     answers that are right, of all tasks
  kl               of the next token's distribution against f32 KV's, nats per token: over tokens
                   before which both wrote the same, from the 20 most probable of each and the rest
  perplexity       of f32 KV's answers in this format's eyes, over the same tokens
  same             answers whose every token is f32 KV's
  token_bytes      of a token's KV in all layers, as the plan has it
"""
import argparse
import csv
import json
import os
import subprocess
import sys

import h5py
import numpy as np

SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
DEMO = os.path.join(SOURCE, "jobs", "demo")
FORMATS = ("f32", "bf16", "fp8", "int8")
TOP = 20


def call(*words):
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def run(weft, out, kv):
    folder = os.path.join(out, kv)
    job = os.path.join(out, "job.yaml")
    with open(job, "w", encoding="utf-8") as file:
        file.write(f"model: {{path: {DEMO}/model}}\nrequests: [{out}/prompts.h5]\n"
                   "engine: {kv_memory: 256MiB, max_rows: 64}\nparallel: {backend: cpu}\n"
                   f"sampling: {{temperature: 0, logprobs: {TOP}}}\n")
    call(weft, "run", job, "--out", folder, "--set", f"model.kv_dtype={kv}", "--fresh")
    return os.path.join(folder, "results.h5")


def answers(path):
    """{row: (tokens, log-probabilities, top ids, top log-probabilities)}"""
    with h5py.File(path, "r") as file:
        ends = file["requests/output_offset"][:].astype(int)
        rows = file["requests/row"][:]
        columns = [file["tokens/" + name][:]
                   for name in ("id", "logprob", "top_id", "top_logprob")]
    return {int(row): [c[ends[i]:ends[i + 1]] for c in columns] for i, row in enumerate(rows)}


def divergence(p_ids, p_logs, q_ids, q_logs):
    """KL of q from p, over p's most probable tokens that q lists too, and all others as one."""
    q_of = dict(zip(q_ids.tolist(), q_logs.tolist()))
    shared = [(p, q_of[i]) for i, p in zip(p_ids.tolist(), p_logs.tolist()) if i in q_of]
    p, q = np.array(shared).T
    rest_p, rest_q = (max(1.0 - np.exp(x).sum(), 1e-12) for x in (p, q))
    return float((np.exp(p) * (p - q)).sum() + rest_p * np.log(rest_p / rest_q))


def compare(base, other):
    kl, logs, same = [], [], 0
    for row, (ids, _, p_ids, p_logs) in base.items():
        tokens, logprobs, q_ids, q_logs = other[row]
        same += tokens.tolist() == ids.tolist()
        for i, token in enumerate(ids):
            if tokens[:i].tolist() != ids[:i].tolist() or i >= len(tokens):
                break
            kl.append(divergence(p_ids[i], p_logs[i], q_ids[i], q_logs[i]))
            listed = dict(zip(q_ids[i].tolist(), q_logs[i].tolist()))
            logs.append(listed.get(int(token), min(listed.values())))
    return {"tokens": len(kl), "kl": f"{np.mean(kl):.3e}",
            "perplexity": f"{np.exp(-np.mean(logs)):.6f}", "same": same}


def token_bytes(kv):
    with open(os.path.join(DEMO, "model", "config.json"), encoding="utf-8") as file:
        c = json.load(file)
    dim = c.get("head_dim") or c["hidden_size"] // c["num_attention_heads"]
    bits = {"f32": 4 * dim, "bf16": 2 * dim, "fp8": dim + 4, "int8": dim + 4}
    return 2 * c["num_hidden_layers"] * c["num_key_value_heads"] * bits[kv]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("weft")
    parser.add_argument("out")
    parser.add_argument("--per-task", type=int, default=300)
    args = parser.parse_args()
    weft, out = os.path.abspath(args.weft), os.path.abspath(args.out)
    os.makedirs(out, exist_ok=True)
    prompts = os.path.join(out, "prompts")
    call(sys.executable, os.path.join(DEMO, "make_prompts.py"), "--per-task", str(args.per_task),
         "--span", "0", "-o", prompts + ".jsonl")
    call(weft, "pack", prompts + ".jsonl", "-o", prompts + ".h5", "--model",
         os.path.join(DEMO, "model"))
    found, rows = {}, []
    for kv in FORMATS:
        path = run(weft, out, kv)
        found[kv] = answers(path)
        counts = json.loads(call(sys.executable, os.path.join(DEMO, "accuracy.py"), path, "--json"))
        rows.append({"kv": kv, "right": sum(c["right"] for c in counts.values()),
                     "total": sum(c["total"] for c in counts.values()),
                     **compare(found["f32"], found[kv]), "token_bytes": token_bytes(kv)})
        print(rows[-1], {k: c["right"] / c["total"] for k, c in sorted(counts.items())}, flush=True)
    with open(os.path.join(out, "kv.csv"), "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
