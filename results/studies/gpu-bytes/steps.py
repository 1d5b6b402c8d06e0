#!/usr/bin/env python3
"""Steps and the 256-request job of an 8B model in bf16, with FP8 weights, and with FP8 activations too.

usage: results/studies/gpu-bytes/steps.py BUILD OUT      -> OUT/steps.csv, on a GPU
"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "gpu-models"))
from gpu_jobs import Shape, Study, peers_job  # noqa: E402

WAYS = {
    "bf16": {},
    "fp8 weights": {"model__weights_format": "fp8"},
    "fp8 weights and activations": {"model__weights_format": "fp8",
                                    "model__activations_format": "fp8"},
}


def in_way(name, flags):
    def run(study):
        shape = Shape("llama-3-8b")
        keys = dict(engine__max_rows=256, engine__kv_memory="40GiB", engine__step_tokens=8192, **flags)
        for rows in (1, 64, 128, 256):
            r = study.run(shape, [(0, 448, 129)] * rows, **keys)
            study.row(name, shape.name, f"{rows} rows at context 512",
                      (r.finish.max() - r.first.max()) / 128 * 1e3, "ms")
        study.row(name, shape.name, "256 requests, until the last token",
                  study.run(shape, peers_job(), **keys).total_s, "s")
    run.__name__ = name
    return run


study = Study(sys.argv[1], sys.argv[2])
study.parts([in_way(name, flags) for name, flags in WAYS.items()], "steps.csv")
