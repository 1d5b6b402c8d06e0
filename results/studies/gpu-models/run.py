#!/usr/bin/env python3
"""Whole models on one GPU: steps by rows and context, and jobs, beside what limits them.

usage: results/studies/gpu-models/run.py BUILD OUT [PART ...]      writes OUT/gpu-models.csv

Parts: job, saturated, steps, steps-2048, shapes, sampling, deterministic, f16 (all of them: about
three minutes of an H200). Weights are random, requests as given below; every figure comes from
`weft run` or bench_gpu_step of the folder BUILD.
"""
import os
import subprocess
import sys

from gpu_jobs import Shape, Study, peers_job

ROWS = (1, 8, 32, 64, 128, 256)


def floor_ms(study, shape, rows, context):
    weights = max(2 * shape.step_params / study.copy_rate,
                  2 * shape.step_params * rows / study.flop_rate)
    return (weights + rows * context * shape.kv_bytes / study.copy_rate) * 1e3


def steps_of(study, model, context, rows):
    shape = Shape(model)
    env = dict(os.environ, WEFT_COPY_TBS=f"{study.copy_rate / 1e12:.3f}")
    text = subprocess.run(study.tool("bench_gpu_step", shape.path,
                                     *(f"{n}@{context}" for n in rows)),
                          env=env, check=True, capture_output=True, text=True).stdout
    for line in text.splitlines():
        if not line.startswith("step,"):
            continue
        _, rows, context, _, median, *_ = line.split(",")
        study.row("steps", model, f"{rows} rows at context {context}, median step", float(median),
                  "ms", floor_ms(study, shape, int(rows), int(context)))


def steps(study):
    steps_of(study, "llama-3-8b", 512, ROWS)


def steps_2048(study):
    steps_of(study, "llama-3-8b", 2048, ROWS)


def shapes(study):
    for model in ("llama-2-13b", "gpt-j-6b"):
        steps_of(study, model, 512, (1, 32, 128))


def one_job(study, part, case, requests, **settings):
    shape = Shape("llama-3-8b")
    r = study.run(shape, requests, **settings)
    study.row(part, shape.name, case + ", from arrival to last token", r.total_s, "s", r.floor_s)
    study.row(part, shape.name, case + ", output rate", r.tokens / r.total_s, "tok/s",
              note=f"{r.n_prompt.sum()} prompt and {r.tokens} output tokens; {len(r.start)} steps; "
                   f"the whole command {r.wall_s:.1f} s")
    return r


def job(study):
    r = one_job(study, "job", "256 requests of the peers", peers_job(), engine__step_tokens=8192)
    shard = r.n_prompt.sum() * 4 / 1e6
    study.row("job", "llama-3-8b", "reading, until the first step", r.begin_s * 1e3, "ms",
              note=f"{r.begin_s / r.total_s:.2%} of the run; {shard:.2f} MB of prompts")
    study.row("job", "llama-3-8b", "sealing, after the last token", r.seal_s * 1e3, "ms",
              note=f"{r.seal_s / r.total_s:.2%} of the run; with every token's time")


def saturated(study):
    requests = [(0, 467, 256)] * 512
    one_job(study, "saturated", "512 requests of 467 in, 256 out", requests, engine__max_rows=256,
            engine__step_tokens=8192)


def at_work(study, part, words, **settings):
    """One row, 64 rows and the peers' job, of one back end's settings."""
    shape = Shape("llama-3-8b")
    for rows, tokens in ((1, 192), (64, 128)):
        r = study.run(shape, [(0, 512 - tokens // 2, tokens)] * rows, **settings)
        study.row(part, shape.name, f"{words}: {rows} rows, median step", r.step_ms(rows), "ms",
                  floor_ms(study, shape, rows, 512))
    one_job(study, part, f"{words}: 256 requests of the peers", peers_job(), engine__step_tokens=8192,
            **settings)


def deterministic(study):
    for word in ("false", "true"):
        at_work(study, "deterministic", f"engine.deterministic {word}", engine__deterministic=word)


def f16(study):
    at_work(study, "f16", "fp16", model__dtype="f16")


def sampling(study):
    requests = [(0, 32, 64)] * 256
    for words, sets in (("greedy", {}),
                        ("top_p 0.9", {"sampling__temperature": 1, "sampling__top_p": 0.9}),
                        ("top_k 50, top_p 0.9", {"sampling__temperature": 1, "sampling__top_k": 50,
                                                 "sampling__top_p": 0.9})):
        r = study.run(Shape("llama-3-8b"), requests, **sets)
        study.row("sampling", "llama-3-8b", f"{words}: 256 rows, median step", r.step_ms(256), "ms")


PARTS = {f.__name__.replace("_", "-"): f for f in (job, saturated, steps, steps_2048, shapes, sampling,
                                                   deterministic, f16)}


def main():
    if len(sys.argv) < 3 or any(p not in PARTS for p in sys.argv[3:]):
        raise SystemExit(__doc__)
    study = Study(sys.argv[1], sys.argv[2])
    study.limits()
    study.parts([PARTS[part] for part in sys.argv[3:] or PARTS], "gpu-models.csv")


main()
