#!/usr/bin/env python3
"""A device's costs, and jobs that really run there beside the same jobs simulated; one table.

usage: results/studies/simulate/run.py BUILD OUT [--model DIR] [--azure LOG] [--rate 12] [--speed 3]

    OUT/profile.csv    costs, from a profile of the stream of waves.py
    OUT/simulate.csv   of each job: measured, simulated, and the ratio of the two

The jobs are none that the costs were fitted to: mixed lengths all at once, Poisson arrivals, and a
slice of an Azure log (the conversations of 2023; the demo's 100 rows when not given).
"""
import argparse
import csv
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
FIGURES = ["duration", "p50_ttft_ms", "p99_ttft_ms", "p50_tpot_ms", "p99_tpot_ms", "p50_itl_ms",
           "p50_e2el_ms", "p99_e2el_ms"]
LENGTHS = ["--input-tokens", "lognormal:700:0.7", "--output-tokens", "lognormal:120:0.7",
           "--max-prompt", "4000", "--max-new", "600"]


class Study:
    def __init__(self, o):
        self.o = o
        os.makedirs(o.out, exist_ok=True)

    def path(self, name):
        return os.path.join(self.o.out, name)

    def weft(self, *args):
        return subprocess.run([os.path.join(self.o.build, "weft"), *args], stdout=subprocess.PIPE,
                              text=True, check=True, env=dict(os.environ, WEFT_PROGRESS="off")).stdout

    def stream(self, name, *how):
        self.weft("import", *how, "-m", self.o.model, "-f", "-o", self.path(name + ".h5"))

    def job(self, name, mode, speed):
        keys = {"job": name, "seed": 1, "requests": [self.path(name + ".h5")],
                "model": {"path": self.o.model, "weights": "random", "dtype": "bf16"},
                "arrivals": {"mode": mode, "speed": speed},
                "engine": {"max_rows": 256, "step_tokens": 8192}}
        with open(self.path(name + ".yaml"), "w", encoding="utf-8") as f:
            json.dump(keys, f)  # JSON is YAML
        return self.path(name + ".yaml")

    def figures(self, folder):
        r = json.loads(self.weft("report", folder, "--json"))
        return [r[f] for f in FIGURES] + [r["steps"]["n"]]

    def fit(self):
        log = self.path("waves.csv")
        with open(log, "w", encoding="utf-8") as f:
            subprocess.run([sys.executable, os.path.join(HERE, "waves.py")], stdout=f, check=True)
        self.stream("waves", "vidur", log)
        job = self.job("waves", "replay", 1)
        self.weft("run", job, "--profile", "--fresh", "-o", self.path("fit"))
        os.replace(os.path.join(self.path("fit"), "profile.csv"), self.path("profile.csv"))

    def both(self, name, mode, speed=1):
        job, real, simulated = self.job(name, mode, speed), self.path("real"), self.path("simulated")
        self.weft("run", job, "--fresh", "-o", real)
        self.weft("simulate", job, "--costs", self.path("profile.csv"), "--fresh", "-o", simulated)
        pairs = zip(FIGURES + ["steps"], self.figures(real), self.figures(simulated))
        return [(name, f, f"{a:.4g}", f"{b:.4g}", f"{b / a:.3f}") for f, a, b in pairs]


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    p.add_argument("build")
    p.add_argument("out")
    p.add_argument("--model", default=os.path.join(HERE, "..", "models", "llama-3-8b"))
    p.add_argument("--azure", default=os.path.join(HERE, "../../../jobs/demo/azure-conv-100.csv"))
    p.add_argument("--rate", default="12")
    p.add_argument("--speed", type=float, default=3)
    s = Study(p.parse_args())
    s.fit()
    s.stream("offline", "poisson", "--rate", "30", "-n", "400", *LENGTHS, "-s", "3")
    s.stream("poisson", "poisson", "--rate", s.o.rate, "-n", "300", *LENGTHS, "-s", "2")
    s.stream("azure", "azure", s.o.azure, "-n", "500")
    rows = s.both("offline", "offline") + s.both("poisson", "replay")
    rows += s.both("azure", "replay", s.o.speed)
    with open(s.path("simulate.csv"), "w", newline="", encoding="utf-8") as f:
        table = csv.writer(f, lineterminator="\n")
        table.writerow(["job", "figure", "measured", "simulated", "ratio"])
        table.writerows(rows)
    for row in rows:
        print("{:8} {:14} {:>10} {:>10} {:>7}".format(*row))


main()
