#!/usr/bin/env python3
"""Several GPUs of one host: replicas of 8B, and steps of 70B split over 2 and 4.

usage: results/studies/gpu-models/groups.py BUILD OUT [PART ...]      writes OUT/gpu-groups.csv

Parts: replicas (4 GPUs), tp2, tp4. Each replica gets a job of its own size (weak scaling). A run of
70B lets rows join in three waves, so that one load shows the steps of 1, 32 and 128 rows.
"""
import sys

import numpy as np

from gpu_jobs import Shape, Study


def replicas(study):
    shape, rates = Shape("llama-3-8b"), {}
    rng = np.random.default_rng(7)
    lengths = [(0, int(p), int(n)) for p, n in zip(rng.integers(100, 400, 1024),
                                                    rng.integers(64, 321, 1024))]
    for n in (1, 2, 4):
        r = study.run(shape, lengths[:256 * n], ranks=n, engine__max_rows=256,
                      engine__step_tokens=8192)
        rates[n] = r.tokens / r.total_s
        study.row("replicas", shape.name, f"{n} replicas, {256 * n} requests", rates[n], "tok/s",
                  note=f"{rates[n] / rates[1]:.3f} times one; {r.total_s:.2f} s, floor "
                       f"{r.floor_s:.2f} s; command {r.wall_s:.1f} s")


def waves(study, ranks):
    shape = Shape("llama-3-70b", ranks)
    requests = [(0, 448, 420)] + [(1.0, 448, 300)] * 31 + [(3.0, 448, 96)] * 96
    r = study.run(shape, requests, ranks=ranks, engine__max_rows=128, engine__step_tokens=4096)
    for rows in (1, 32, 128):
        at = (r.n_decode == rows) & (r.n_prompt_tokens == 0)
        context = float(r.context(at))
        weights = max(2 * shape.step_params / study.copy_rate,
                      2 * shape.step_params * rows / study.flop_rate)
        floor = (weights + context * shape.kv_bytes / study.copy_rate) * 1e3
        study.row(f"TP{ranks}", shape.name, f"{rows} rows, median step", r.step_ms(rows), "ms", floor,
                  f"mean context {context / rows:.0f}; {at.sum()} steps; the bound has no "
                  "communication in it")


def tp2(study):
    waves(study, 2)


def tp4(study):
    waves(study, 4)


PARTS = {f.__name__: f for f in (replicas, tp2, tp4)}


def main():
    if len(sys.argv) < 3 or any(p not in PARTS for p in sys.argv[3:]):
        raise SystemExit(__doc__)
    study = Study(sys.argv[1], sys.argv[2])
    study.limits()
    study.parts([PARTS[part] for part in sys.argv[3:] or PARTS], "gpu-groups.csv")


main()
