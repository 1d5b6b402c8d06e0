#!/usr/bin/python3
"""What a fault costs: rows and tokens done again, time to leave, time from restart to a new token.

    run.py WEFT [--repeat 5] [--out restart.csv]

A job of 400 small questions to the demo model (jobs/demo) is struck at a known step (WEFT_FAULT) and
started again. What had been finished at that step is known from an undisturbed run: with one group
the steps are the same every time. The restart's first token is the earliest of its run's rows.
"""
import argparse
import csv
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import h5py
import numpy

SOURCE = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../.."))
MODEL = os.path.join(SOURCE, "jobs/demo/model")
ENVIRONMENT = dict(os.environ, WEFT_PROGRESS="off", WEFT_LOG="warn", OMPI_ALLOW_RUN_AS_ROOT="1",
                   OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMPI_MCA_mpi_yield_when_idle="1",
                   OMPI_MCA_rmaps_base_oversubscribe="1")
STEPS = (60, 150, 240)
# name, ranks, seal_every, fault at step N, exit code is that of a drain
KINDS = [
    ("SIGKILL, seal_every 100ms", 1, "100ms", "kill@step={n}", False),
    ("SIGKILL, seal_every 300ms", 1, "300ms", "kill@step={n}", False),
    ("SIGKILL, seal_every 300s", 1, "300s", "kill@step={n}", False),
    ("SIGKILL of 1 of 2 ranks, seal_every 100ms", 2, "100ms", "kill@step={n},rank=1", False),
    ("SIGUSR1", 1, "300s", "usr1@step={n}", True),
    ("SIGUSR1, 2 ranks", 2, "300s", "usr1@step={n}", True),
    ("SIGUSR1 twice", 1, "300s", "usr1@step={n}; usr1@step={m}", True),
    ("SIGTERM", 1, "300s", "term@step={n}", True),
]


class Job:
    def __init__(self, weft, folder):
        self.weft, self.folder, self.out = weft, folder, os.path.join(folder, "out")
        self.path = os.path.join(folder, "job.yaml")
        lines, self.prompts = os.path.join(folder, "p.jsonl"), os.path.join(folder, "p.h5")
        subprocess.run(["/usr/bin/python3", f"{SOURCE}/jobs/demo/make_prompts.py", "--per-task",
                        "100", "-o", lines], check=True)
        subprocess.run([weft, "pack", lines, "-o", self.prompts, "--model", MODEL], check=True,
                       stdout=subprocess.DEVNULL)

    def write(self, ranks, seal_every):
        with open(self.path, "w") as f:
            f.write(f"job: restart\nmodel: {{path: {MODEL}}}\nrequests: [{self.prompts}]\n"
                    f"parallel: {{tensor: {ranks}, replicas: 1, backend: cpu, threads: 1}}\n"
                    "engine: {max_rows: 16, step_tokens: 64, kv_memory: 32MiB}\n"
                    f"output: {{dir: {self.out}, seal_every: {seal_every}}}\n")

    def run(self, ranks, fault=None):
        """Exit code, and the wall clock at the start and the end."""
        env = dict(ENVIRONMENT, WEFT_FAULT=fault) if fault else ENVIRONMENT
        command = [self.weft, "run", self.path]
        if ranks > 1:
            command = ["mpirun", "-n", str(ranks), *command]
        began = time.time_ns()
        code = subprocess.run(command, env=env, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode
        return code, began, time.time_ns()

    def rows(self):
        with h5py.File(os.path.join(self.out, "results.h5"), "r") as f:
            return {"run": f["requests/run"][:], "finish": f["requests/finish_ns"][:],
                    "first": f["requests/first_token_ns"][:], "time": f["tokens/time_ns"][:],
                    "offset": f["requests/output_offset"][:], "step": f["steps/start_ns"][:],
                    "start": dict(zip(f["runs/run"][:], f["runs/start_unix_ns"][:]))}


def strike(job, kind, n, before):
    """One fault at step n and the restart after it."""
    name, ranks, _, fault, drains = kind
    shutil.rmtree(job.out, ignore_errors=True)
    code, _, struck_end = job.run(ranks, fault.format(n=n, m=n + 1))
    if code == 0 or drains != (code == 75):
        raise SystemExit(f"{name}, step {n}: the run ended with {code}")
    code, began, _ = job.run(ranks)
    if code != 0:
        raise SystemExit(f"{name}, step {n}: the restart ended with {code}")
    r = job.rows()
    at = before["step"][n - 1]
    kept = r["run"] == 0
    lengths = numpy.diff(r["offset"])
    new = r["first"][~kept].min() + r["start"][r["run"].max()]
    return {"rows_finished": int((before["finish"] <= at).sum()), "rows_kept": int(kept.sum()),
            "tokens_generated": int((before["time"] <= at).sum()),
            "tokens_kept": int(lengths[kept].sum()), "restart_to_token_s": (new - began) / 1e9}


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("weft")
    p.add_argument("--repeat", type=int, default=5)
    p.add_argument("--out", default=os.path.join(os.path.dirname(__file__), "restart.csv"))
    options = p.parse_args()
    commit = subprocess.run(["git", "-C", SOURCE, "rev-parse", "--short", "HEAD"],
                            stdout=subprocess.PIPE, text=True).stdout.strip()
    table = []
    with tempfile.TemporaryDirectory(prefix="weft-restart-") as folder:
        job = Job(os.path.abspath(options.weft), folder)
        for kind in KINDS:
            job.write(kind[1], kind[2])
            shutil.rmtree(job.out, ignore_errors=True)
            if job.run(kind[1])[0] != 0:
                raise SystemExit(f"{kind[0]}: the undisturbed run failed")
            before = job.rows()
            for n in STEPS:
                found = [strike(job, kind, n, before) for _ in range(options.repeat)]
                lost = [max(0, f["rows_finished"] - f["rows_kept"]) for f in found]
                again = [max(0, f["tokens_generated"] - f["tokens_kept"]) for f in found]
                seconds = [f["restart_to_token_s"] for f in found]
                table.append({
                    "commit": commit, "date": time.strftime("%Y-%m-%d"), "fault": kind[0],
                    "ranks": kind[1], "step": n, "rows_finished": found[0]["rows_finished"],
                    "rows_kept_median": statistics.median(f["rows_kept"] for f in found),
                    "finished_rows_lost_median": statistics.median(lost),
                    "finished_rows_lost_max": max(lost),
                    "tokens_generated": found[0]["tokens_generated"],
                    "tokens_again_median": statistics.median(again),
                    "restart_to_token_s_median": round(statistics.median(seconds), 3),
                    "restart_to_token_s_min": round(min(seconds), 3),
                    "restart_to_token_s_max": round(max(seconds), 3), "runs": options.repeat})
                print(table[-1], flush=True)
    with open(options.out, "w", newline="") as f:
        w = csv.DictWriter(f, table[0].keys(), lineterminator="\n")
        w.writeheader()
        w.writerows(table)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main())
