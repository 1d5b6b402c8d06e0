#!/usr/bin/env python3
"""Whole models on one GPU: steps by rows and context, and jobs, beside what limits them.

usage: results/studies/gpu-models/run.py BUILD OUT [PART ...]      writes OUT/gpu-models.csv

Parts: job, saturated, steps, shapes, sampling, deterministic (all of them: about two minutes of an
H200). Weights are random, requests as given below; every figure comes from `weft run` or
bench_gpu_step of the folder BUILD.
"""
import os
import subprocess
import sys

import numpy as np

from gpu_jobs import Shape, Study

STEPS = {"llama-3-8b": ["1@512", "8@512", "32@512", "64@512", "128@512", "256@512", "1@2048",
                        "32@2048", "64@2048"],
         "llama-2-13b": ["1@512", "32@512", "128@512"],
         "gpt-j-6b": ["1@512", "32@512", "128@512"]}


def floor_ms(study, shape, rows, context):
    weights = max(2 * shape.step_params / study.copy_rate,
                  2 * shape.step_params * rows / study.flop_rate)
    return (weights + rows * context * shape.kv_bytes / study.copy_rate) * 1e3


def steps_of(study, model):
    shape = Shape(model)
    env = dict(os.environ, WEFT_COPY_TBS=f"{study.copy_rate / 1e12:.3f}")
    text = subprocess.run(study.tool("bench_gpu_step", shape.path, *STEPS[model]), env=env,
                          check=True, capture_output=True, text=True).stdout
    for line in text.splitlines():
        if not line.startswith("step,"):
            continue
        _, rows, context, _, median, *_ = line.split(",")
        study.row("steps", model, f"{rows} rows at context {context}, median step", float(median),
                  "ms", floor_ms(study, shape, int(rows), int(context)))


def steps(study):
    steps_of(study, "llama-3-8b")


def shapes(study):
    steps_of(study, "llama-2-13b")
    steps_of(study, "gpt-j-6b")


def peers_job():
    rng = np.random.default_rng(7)
    prompts = np.clip(np.rint(rng.lognormal(np.log(200), 0.8, 256)), 8, 1024).astype(int)
    return [(0, int(p), int(n)) for p, n in zip(prompts, rng.integers(16, 513, 256))]


def one_job(study, part, case, requests, **settings):
    shape = Shape("llama-3-8b")
    r = study.run(shape, requests, **settings)
    study.row(part, shape.name, case + ", from arrival to last token", r.total_s, "s", r.floor_s)
    study.row(part, shape.name, case + ", output rate", r.tokens / r.total_s, "tok/s",
              note=f"{r.n_prompt.sum()} prompt and {r.tokens} output tokens; {len(r.start)} steps; "
                   f"the whole command {r.wall_s:.1f} s")
    return r


def job(study):
    one_job(study, "job", "256 requests of the peers", peers_job(), engine__step_tokens=8192)


def saturated(study):
    requests = [(0, 467, 256)] * 512
    one_job(study, "saturated", "512 requests of 467 in, 256 out", requests, engine__max_rows=256,
            engine__step_tokens=8192)


def deterministic(study):
    requests = [(0, 200 + i, 128) for i in range(64)]
    for word in ("false", "true"):
        r = study.run(Shape("llama-3-8b"), requests, engine__deterministic=word)
        study.row("deterministic", "llama-3-8b", f"engine.deterministic {word}: 64 rows, median step",
                  r.step_ms(64), "ms")


def sampling(study):
    requests = [(0, 32, 64)] * 256
    for words, sets in (("greedy", {}),
                        ("top_p 0.9", {"sampling__temperature": 1, "sampling__top_p": 0.9}),
                        ("top_k 50, top_p 0.9", {"sampling__temperature": 1, "sampling__top_k": 50,
                                                 "sampling__top_p": 0.9})):
        r = study.run(Shape("llama-3-8b"), requests, **sets)
        study.row("sampling", "llama-3-8b", f"{words}: 256 rows, median step", r.step_ms(256), "ms")


PARTS = {f.__name__: f for f in (job, saturated, steps, shapes, sampling, deterministic)}


def main():
    if len(sys.argv) < 3 or any(p not in PARTS for p in sys.argv[3:]):
        raise SystemExit(__doc__)
    study = Study(sys.argv[1], sys.argv[2])
    study.limits()
    study.parts([PARTS[part] for part in sys.argv[3:] or PARTS], "gpu-models.csv")


main()
