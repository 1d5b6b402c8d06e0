#!/usr/bin/env python3
"""Fused steps against the baselines of the field, by the same kernels, on Flover's W7 shape.

usage: results/studies/fusion/run.py [ROUNDS]        writes fusion.csv beside itself

W7: 32 requests, a prompt of 8 tokens each, output lengths uniform from 128 to a maximum, arriving
two decode steps apart. The gap is scaled to the demo model on this machine: it is twice the measured
step of one row. Every way of running is run once in each round, in turn; the ratio is the median of
the rounds' ratios of run durations, first arrival to last token, against temporal fusion.
"""
import csv
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
from datetime import date

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "..", "..", ".."))
WEFT = os.path.join(ROOT, "build", "weft")
MAXIMA = (256, 384, 512, 768)
WAYS = {  # name: settings; windows are in steps of one row
    "temporal, index": [],
    "temporal, copy": ["engine.reorder=copy"],
    "temporal, off": ["engine.reorder=off"],
    "window of 200 steps": ["engine.fusion=window"],
    "8 instances": ["engine.fusion=instances", "engine.instances=8"],
    "static": ["engine.fusion=static"],
}


def weft(*args):
    env = dict(os.environ, WEFT_LOG="error", WEFT_PROGRESS="off")
    return subprocess.run([WEFT, *args], cwd=ROOT, env=env, check=True, capture_output=True,
                          text=True).stdout


def make_shard(folder, most):
    rng = random.Random(most)
    log, shard = os.path.join(folder, f"{most}.csv"), os.path.join(folder, f"{most}.h5")
    with open(log, "w", encoding="ascii") as f:
        f.write("arrival_s,input_tokens,output_tokens\n")
        f.writelines(f"{i},8,{rng.randint(128, most)}\n" for i in range(32))
    weft("import", "csv", log, "-o", shard, "--vocab", "256", "--seed", "7", "--replace")
    return shard


def run(folder, shard, settings):
    job, out = os.path.join(folder, "job.yaml"), os.path.join(folder, "out")
    with open(job, "w", encoding="ascii") as f:
        f.write("job: fusion\nmodel: {path: jobs/demo/model}\nparallel: {backend: cpu}\n"
                f"requests: [{shard}]\n"
                "engine: {max_rows: 32, step_tokens: 256, max_context: 1024, kv_memory: 256MiB}\n")
    sets = [x for s in settings for x in ("--set", s)]
    weft("run", job, "--out", out, "--fresh", *sets)
    return json.loads(weft("report", out, "--json"))


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True,
                            text=True).stdout.strip()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        alone = run(folder, make_shard(folder, 256), ["engine.max_rows=1"])
        step_s = alone["median_itl_ms"] / 1e3
        rate = 1 / (2 * step_s)
        for most in MAXIMA:
            shard, took = make_shard(folder, most), {w: [] for w in WAYS}
            for _ in range(rounds):
                for way, settings in WAYS.items():
                    figures = run(folder, shard, [
                        "arrivals.mode=constant", f"arrivals.rate={rate:.3f}",
                        f"engine.window={200 * step_s * 1e3:.3f}ms", *settings])
                    took[way].append(figures["duration"])
            for way in WAYS:
                ratios = [a / b for a, b in zip(took[way], took["temporal, index"])]
                rows.append([commit, date.today().isoformat(), platform.machine(), os.cpu_count(),
                             most, f"{2 * step_s * 1e3:.3f}", way, rounds,
                             f"{statistics.median(took[way]):.4f}", f"{min(took[way]):.4f}",
                             f"{statistics.median(ratios):.2f}"])
                print(*rows[-1], sep=",", flush=True)
    with open(os.path.join(HERE, "fusion.csv"), "w", newline="", encoding="ascii") as f:
        out = csv.writer(f)
        out.writerow(["commit", "date", "machine", "cores", "max_tokens", "gap_ms", "way", "rounds",
                      "duration_s_median", "duration_s_min", "times_temporal_index"])
        out.writerows(rows)


main()
