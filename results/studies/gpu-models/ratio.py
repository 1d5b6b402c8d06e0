#!/usr/bin/env python3
"""Two builds in turns on one device: is NEW as fast as OLD?

usage: results/studies/gpu-models/ratio.py OLD NEW OUT [ROUNDS]      writes OUT/ratio.csv

Steps of 1, 8, 64 and 256 rows at context 512 (bench_gpu_step) and the peers' job of 256 requests
(`weft run`), 8B shape, random weights. Each round asks OLD, then NEW; a ratio is OLD's median over
NEW's: above 1, NEW is faster.
"""
import os
import statistics
import subprocess
import sys

from gpu_jobs import Shape, Study, peers_job

ROWS, CONTEXT = (1, 8, 64, 256), 512


def steps_ms(study, shape):
    """{rows: median ms}"""
    text = subprocess.run(study.tool("bench_gpu_step", shape.path,
                                     *(f"{n}@{CONTEXT}" for n in ROWS)),
                          check=True, capture_output=True, text=True).stdout
    lines = [line.split(",") for line in text.splitlines() if line.startswith("step,")]
    return {int(rows): float(median) for _, rows, _, _, median, *_ in lines}


def own_choices(out, name):
    """Each build keeps the kernels it has measured to itself: the other's file is none to it."""
    os.environ["WEFT_CUDA_CACHE"] = os.path.abspath(os.path.join(out, name, "choices"))
    os.makedirs(os.environ["WEFT_CUDA_CACHE"], exist_ok=True)


def main():
    if len(sys.argv) < 4:
        raise SystemExit(__doc__)
    out, rounds = sys.argv[3], int((*sys.argv[4:], 3)[0])
    shape = Shape("llama-3-8b")
    studies = [Study(build, os.path.join(out, name))
               for name, build in (("old", sys.argv[1]), ("new", sys.argv[2]))]
    cases = {**{n: f"{n} rows at context {CONTEXT}, median step" for n in ROWS},
             "job": "256 requests of the peers, from arrival to last token"}
    seen = [{case: [] for case in cases} for _ in studies]
    for _ in range(rounds):
        for name, study, values in zip(("old", "new"), studies, seen):
            own_choices(out, name)
            for rows, ms in steps_ms(study, shape).items():
                values[rows].append(ms)
            values["job"].append(study.run(shape, peers_job(), engine__step_tokens=8192).total_s)
    table = Study(sys.argv[2], out)
    for case, words in cases.items():
        old, new = (statistics.median(values[case]) for values in seen)
        unit = "s" if case == "job" else "ms"
        spread = "; ".join(f"{a:.4g} / {b:.4g}" for a, b in zip(*(v[case] for v in seen)))
        table.row("ratio", shape.name, f"{words}, {studies[0].commit}", old, unit)
        table.row("ratio", shape.name, f"{words}, {studies[1].commit}", new, unit, note=spread)
        table.row("ratio", shape.name, words + ", old over new", old / new, "times")
    table.write("ratio.csv")


main()
