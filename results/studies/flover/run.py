#!/usr/bin/env python3
"""Flover's published workloads (arXiv 2305.13484) on today's GPUs, every way of fusing and reordering.

usage: results/studies/flover/run.py BUILD OUT [PART ...]       writes OUT/flover.csv

One GPU: w1 w2 w3 w4 w5 w6 w7 instances (all of them: about five minutes of an H200). Several: w8-2 and
33b (2 ranks), w8-4 and 65b (4 ranks). Prompts are 8 random tokens, weights are
random, all by `weft run` of the folder BUILD. `bound` is the larger of the arrival bound and the
trace-driven floor (gpu-models/gpu_jobs.py); a time next to the arrival bound says nothing about the
engine.
"""
import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "gpu-models"))
from gpu_jobs import Shape, Study  # noqa: E402

PROMPT, TOKENS = 8, 504  # 512 with the prompt
REORDER = ("index", "copy", "off")


def even(n, gap_s, tokens=TOKENS):
    return [(i * gap_s, PROMPT, tokens) for i in range(n)]


def poisson(n, mean_s):
    rng = np.random.default_rng(n)
    at = np.concatenate([[0.0], np.cumsum(rng.exponential(mean_s, n - 1))])
    return [(float(a), PROMPT, TOKENS) for a in at]


def uniform(n, gap_s, least, most):
    rng = np.random.default_rng(most)
    return [(i * gap_s, PROMPT, int(t)) for i, t in enumerate(rng.integers(least, most + 1, n))]


def alone_s(study, shape, tokens):
    return tokens * 2 * shape.step_params / study.copy_rate


def one(study, part, shape, case, requests, ranks=1, **settings):
    ways = {k.replace("__", "."): v for k, v in settings.items()}
    r = study.run(shape, requests, ranks=ranks, **ways)
    arrivals = max(a + alone_s(study, shape, n) for a, _, n in requests)
    bound = max(arrivals, r.floor_s)
    sums = f"sums {study.sums_s(shape, r):.2f} s; " if ranks > 1 else ""
    study.row(part, shape.name, case, r.total_s, "s", bound,
              f"arrivals {arrivals:.2f} s; floor {r.floor_s:.2f} s; {sums}{r.tokens / r.total_s:.0f} tok/s; "
              f"{len(r.start)} steps; mean rows {r.n_decode.mean():.1f}; rows moved "
              f"{r.rows_moved.sum()}; MB moved {r.bytes_moved.sum() / 1e6:.1f}; rows discarded "
              f"{r.discarded.sum()}; command {r.wall_s:.1f} s")
    return r


def w1(study):
    for model, sizes in (("gpt-j-6b", (1, 8, 32)), ("llama-2-13b", (1, 32))):
        for n in sizes:
            one(study, "W1", Shape(model), f"{n} requests, 504 tokens, all at once", even(n, 0))
    one(study, "W1", Shape("gpt-j-6b"), "16 requests, 504 tokens, 500 ms apart", even(16, 0.5))


def w2(study):
    for ms in (20, 200, 500):
        one(study, "W2", Shape("gpt-j-6b"), f"32 requests, Poisson, mean gap {ms} ms",
            poisson(32, ms / 1e3))


def w3(study):
    for way in REORDER:
        one(study, "W3", Shape("llama-2-13b"), f"32 requests, 1 to 1024 tokens, reorder {way}",
            uniform(32, 0, 1, 1024), engine__reorder=way)


def w4(study):
    for n, gap in ((64, 0), (32, 0), (32, 0.1), (32, 0.5)):
        one(study, "W4", Shape("llama-3-8b"), f"{n} requests, 504 tokens, {gap * 1e3:.0f} ms apart",
            even(n, gap))


def w5(study):
    """Gaps and windows a fifth of the published ones, since a request takes a third of the time."""
    shape, requests = Shape("gpt-j-6b"), even(32, 0.1)
    fused = one(study, "W5", shape, "32 requests, 504 tokens, 100 ms apart, fused", requests)
    for ms in (3200, 1600, 800):
        r = one(study, "W5", shape, f"the same in windows of {ms} ms", requests, engine__fusion="window",
                engine__window=f"{ms}ms")
        study.row("W5", shape.name, f"windows of {ms} ms: done when the fused run ends",
                  (r.token_s <= fused.total_s).mean() * 100, "percent of tokens")


def w6(study):
    for n in (1, 2, 4):
        one(study, "W6", Shape("gpt-j-6b"), f"8 requests of {n} samples, 504 tokens, 500 ms apart",
            even(8, 0.5), sampling__n=n, engine__max_rows=8 * n)


def w7(study):
    shape = Shape("gpt-j-6b")
    for most in (256, 768):
        for way in REORDER:
            one(study, "W7", shape, f"32 requests, 128 to {most} tokens, 20 ms apart, reorder {way}",
                uniform(32, 0.02, 128, most), engine__reorder=way)
    for way in ("index", "off"):
        one(study, "W7", shape, f"128 requests, 128 to 768 tokens, 5 ms apart, reorder {way}",
            uniform(128, 0.005, 128, 768), engine__reorder=way)
    for fusion, sets in (("static", {}), ("window", {"engine__window": "300ms"})):
        one(study, "W7", shape, f"32 requests, 128 to 768 tokens, 20 ms apart, fusion {fusion}",
            uniform(32, 0.02, 128, 768), engine__fusion=fusion, **sets)


def instances(study):
    """Concurrent instances cost as much per token however many wait: a few tokens show it."""
    shape = Shape("gpt-j-6b")
    r = one(study, "W1", shape, "8 requests, 128 tokens, fusion instances (8)", even(8, 0, 128),
            engine__fusion="instances", engine__instances=8)
    each = r.total_s / (8 * 128)
    study.row("W1", shape.name, "32 requests, 504 tokens, instances, extrapolated", each * 32 * TOKENS,
              "s", note=f"{each * 1e3:.3f} ms per token times 16,128 tokens")


def w8(study, shape, ranks, sizes):
    for n, ways in sizes:
        for way in ways:
            one(study, f"W8 TP{ranks}", shape, f"{n} requests, 128 to 1000 tokens, 20 ms apart, "
                f"reorder {way}", uniform(n, 0.02, 128, 1000), ranks=ranks, engine__reorder=way)


def w8_2(study):
    w8(study, Shape("llama-3-8b", 2), 2, ((16, REORDER), (48, ("index", "off"))))


def w8_4(study):
    w8(study, Shape("llama-2-13b", 4), 4, ((16, REORDER), (48, ("index", "off"))))


def big(study, model, ranks):
    for n in (1, 32):
        one(study, "W1", Shape(model, ranks), f"{n} requests, 504 tokens, all at once, TP{ranks}",
            even(n, 0), ranks=ranks)


def big_33b(study):
    big(study, "llama-33b", 2)


def big_65b(study):
    big(study, "llama-65b", 4)


PARTS = {"w1": w1, "w2": w2, "w3": w3, "w4": w4, "w5": w5, "w6": w6, "w7": w7, "instances": instances,
         "w8-2": w8_2, "w8-4": w8_4, "33b": big_33b, "65b": big_65b}
ONE_GPU = ("w7", "w1", "instances", "w4", "w3", "w2", "w5", "w6")


def main():
    if len(sys.argv) < 3 or any(p not in PARTS for p in sys.argv[3:]):
        raise SystemExit(__doc__)
    study = Study(sys.argv[1], sys.argv[2])
    study.limits()
    study.parts([PARTS[part] for part in sys.argv[3:] or ONE_GPU], "flover.csv")


main()
