#!/usr/bin/env python3
"""Several GPUs of one host: replicas of 8B, and steps of 70B split over 2 and 4.

usage: results/studies/gpu-models/groups.py BUILD OUT [PART ...]      writes OUT/gpu-groups.csv

Parts: replicas (4 GPUs), alone (what a replica does with its GPU and no other replica; one GPU), tp2,
tp4, profile-2 (70B over 2 GPUs, operation by operation, OUT/profile-tp2.csv), profile-4 (13B over 4, 16
rows, OUT/profile-tp4.csv). Each replica gets a job of its own size (weak scaling): the same lengths
again, with prompts of their own. A run of 70B lets rows join in three waves, so that one load shows the
steps of 1, 32 and 128 rows; its sums over the group are measured beside it (bench_all_reduce).
"""
import csv
import os
import shutil
import subprocess
import sys

import numpy as np

from gpu_jobs import Shape, Study

EACH = 256  # requests per replica


def scaled_job(n):
    rng = np.random.default_rng(7)
    lengths = zip(rng.integers(100, 400, EACH), rng.integers(64, 321, EACH))
    return [(0, int(prompt), int(output)) for prompt, output in lengths] * n


def of_replicas(study, n):
    shape = Shape("llama-3-8b")
    r = study.run(shape, scaled_job(n), ranks=n, engine__max_rows=EACH, engine__step_tokens=8192)
    return shape, r, r.tokens / r.total_s


def replicas(study):
    one = None
    for n in (1, 2, 4):
        shape, r, rate = of_replicas(study, n)
        one = one or rate
        study.row("replicas", shape.name, f"{n} replicas, {EACH * n} requests", rate, "tok/s",
                  note=f"{rate / one:.3f} times one; {r.total_s:.3f} s, floor {r.floor_s:.3f} s; "
                       f"command {r.wall_s:.1f} s; {r.by_group()}")


def alone(study):
    shape, r, rate = of_replicas(study, 1)
    study.row("alone", shape.name, f"GPU {os.environ.get('CUDA_VISIBLE_DEVICES', '0')} by itself, "
              f"{EACH} requests", rate, "tok/s", note=f"{r.total_s:.3f} s; {r.by_group()}")


def sums_us(study, ranks):
    """Microseconds of one sum of [rows, 8192] in bf16, by bytes."""
    text = subprocess.run(study.tool("bench_all_reduce", str(ranks)), check=True, capture_output=True,
                          text=True).stdout
    return {int(row["bytes"]): float(row["auto_us"]) for row in csv.DictReader(text.splitlines())}


def waves(study, ranks):
    shape, us = Shape("llama-3-70b", ranks), sums_us(study, ranks)
    requests = [(0, 448, 420)] + [(1.0, 448, 300)] * 31 + [(3.0, 448, 96)] * 96
    r = study.run(shape, requests, ranks=ranks, engine__max_rows=128, engine__step_tokens=4096)
    for rows in (1, 32, 128):
        at = (r.n_decode == rows) & (r.n_prompt_tokens == 0)
        context = float(r.context(at))
        weights = max(2 * shape.step_params / study.copy_rate,
                      2 * shape.step_params * rows / study.flop_rate)
        floor = (weights + context * shape.kv_bytes / study.copy_rate) * 1e3
        sums = 2 * shape.layers * us[2 * shape.hidden * rows] / 1e3
        study.row(f"TP{ranks}", shape.name, f"{rows} rows, median step", r.step_ms(rows), "ms",
                  floor + sums, f"reading and products {floor:.2f} ms and {2 * shape.layers} sums "
                  f"{sums:.2f} ms; mean context {context / rows:.0f}; {at.sum()} steps")


def tp2(study):
    waves(study, 2)


def tp4(study):
    waves(study, 4)


def profile_of(study, model, ranks, rows):
    study.run(Shape(model, ranks), [(0, 448, 48)] * rows, ranks=ranks, flags=["--profile"])
    shutil.copy(os.path.join(study.out, "job", "profile.csv"),
                os.path.join(study.out, f"profile-tp{ranks}.csv"))


def profile_2(study):
    profile_of(study, "llama-3-70b", 2, 64)


def profile_4(study):
    profile_of(study, "llama-2-13b", 4, 16)


PARTS = {f.__name__.replace("_", "-"): f for f in (replicas, alone, tp4, tp2, profile_2, profile_4)}


def main():
    if len(sys.argv) < 3 or any(p not in PARTS for p in sys.argv[3:]):
        raise SystemExit(__doc__)
    study = Study(sys.argv[1], sys.argv[2])
    study.limits()
    study.parts([PARTS[part] for part in sys.argv[3:] or PARTS], "gpu-groups.csv")


main()
