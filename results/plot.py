#!/usr/bin/env python3
"""Pictures of a run, and of the studies kept in this repository.

usage: results/plot.py run RESULTS.h5 [OUT.svg]     rows, rates and waiting times over a run's time
       results/plot.py studies [FOLDER]             the pictures of results/studies (or of FOLDER)

The ending of OUT says the format (svg, png, pdf). Needs matplotlib, numpy and h5py
(python3-matplotlib, python3-h5py).
"""
import csv
import os
import re
import sys

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
COLOURS = ["#1f4e79", "#c8553d", "#4d8b55", "#8a6fb0", "#b58900", "#5b7f95"]
GREY = "#8c8c8c"
plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "weft", "font.size": 9,
                     "font.family": "sans-serif", "axes.spines.top": False, "axes.spines.right": False,
                     "axes.prop_cycle": plt.cycler(color=COLOURS), "axes.titlesize": 9,
                     "axes.titlelocation": "left", "legend.frameon": False, "figure.dpi": 120})


def save(figure, path):
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None} if path.endswith(".svg") else None)
    plt.close(figure)
    print(path)


# ---- a run --------------------------------------------------------------------------------------


def rate(at_s, amount, edges):
    return np.histogram(at_s, bins=edges, weights=amount)[0] / np.diff(edges)


def plot_run(path, out):
    import h5py  # the studies' pictures do without
    with h5py.File(path, "r") as f:
        arrival, first = f["requests/arrival_ns"][:] / 1e9, f["requests/first_token_ns"][:]
        token_s = f["tokens/time_ns"][:] / 1e9 if "tokens/time_ns" in f else np.empty(0)
        steps = {k: f["steps"][k][:] for k in ("group", "start_ns", "n_decode", "n_waiting",
                                               "n_prompt_tokens")} if "steps" in f else None
    if steps is None or not len(token_s):
        raise SystemExit(f"{path}: holds no steps or no token times (output.steps, "
                         "output.token_times)")
    start = steps["start_ns"] / 1e9
    edges = np.linspace(0, max(token_s.max(), start.max()), 121)
    figure, (rows, rates, waits) = plt.subplots(3, 1, figsize=(7, 6), sharex=True)
    for g in np.unique(steps["group"]):
        mine = steps["group"] == g
        rows.step(start[mine], steps["n_decode"][mine], where="post", lw=0.9, label=f"group {g}")
    if 1 < len(np.unique(steps["group"])) <= 8:
        rows.legend(ncols=4, fontsize=8)
    rows.set(title="rows decoded in a step", ylim=(0, None))
    rates.stairs(rate(token_s, np.ones_like(token_s), edges), edges, label="generated")
    rates.stairs(rate(start, steps["n_prompt_tokens"], edges), edges, label="of prompts")
    rates.legend(ncols=2, fontsize=8)
    rates.set(title="tokens per second", ylim=(0, None))
    begun = first >= 0
    waits.plot(first[begun] / 1e9, first[begun] / 1e9 - arrival[begun], ".", ms=3)
    waits.set(title="first tokens: seconds since the request arrived", xlabel="run time, s",
              ylim=(0, None))
    save(figure, out)


# ---- studies ------------------------------------------------------------------------------------


def table(folder, study, name):
    path = os.path.join(folder, study, name)
    if not os.path.exists(path):
        return []
    with open(path, newline="", encoding="ascii") as f:
        return list(csv.DictReader(f))


def steps_of(rows, model, context):
    found = {}
    for r in rows:
        case = re.match(r"(\d+) rows at context (\d+)", r["case"])
        if r["part"] == "steps" and r["model"] == model and case and int(case[2]) == context:
            found[int(case[1])] = (float(r["value"]), float(r["bound"]))
    return sorted((n, *v) for n, v in found.items())


def plot_steps(folder):
    """A step's time by rows, beside what the device cannot beat."""
    rows = table(folder, "gpu-models", "gpu-models.csv")
    figure, axis = plt.subplots(figsize=(6, 3.6))
    lines = (("llama-3-8b", 512, "8B, context 512"), ("llama-3-8b", 2048, "8B, context 2048"),
             ("llama-2-13b", 512, "13B, context 512"), ("gpt-j-6b", 512, "GPT-J, context 512"))
    for (model, context, words), colour in zip(lines, COLOURS):
        points = steps_of(rows, model, context)
        if not points:
            continue
        n, measured, bound = zip(*points)
        axis.plot(n, measured, "o-", ms=3, color=colour, label=words)
        axis.plot(n, bound, ":", lw=1.2, color=colour)
    axis.plot([], [], ":", color=GREY, label="bound")
    axis.set(xscale="log", yscale="log", xlabel="rows in the step", title="ms per decode step, one H200")
    axis.set_xticks([1, 8, 32, 64, 128, 256], labels=["1", "8", "32", "64", "128", "256"])
    axis.set_yticks([3, 5, 10, 20], labels=["3", "5", "10", "20"])
    axis.minorticks_off()
    axis.legend(fontsize=8)
    save(figure, os.path.join(folder, "gpu-models", "steps.svg"))


def plot_replicas(folder):
    """Throughput by replicas, beside as many times one."""
    rate_of = {}
    for r in table(folder, "gpu-models", "gpu-groups.csv"):
        case = re.match(r"(\d+) replicas", r["case"])
        if r["part"] == "replicas" and case:
            rate_of[int(case[1])] = float(r["value"]) / 1e3
    if 1 not in rate_of:
        return
    n = sorted(rate_of)
    figure, axis = plt.subplots(figsize=(4, 3))
    axis.plot([0, n[-1]], [0, n[-1] * rate_of[1]], ":", color=GREY, label="as many times one")
    axis.plot(n, [rate_of[k] for k in n], "o-", ms=4, label="measured")
    for k in n:
        axis.annotate(f"{rate_of[k] / rate_of[1]:.2f}", (k, rate_of[k]), (6, -10),
                      textcoords="offset points", fontsize=8)
    axis.set(xlabel="replicas, one H200 each", title="8B, thousand output tokens per second",
             xlim=(0, None), ylim=(0, None), xticks=n)
    axis.legend(fontsize=8)
    save(figure, os.path.join(folder, "gpu-models", "replicas.svg"))


def plot_flover(folder):
    """Every workload's time in parts of its bound, so that they can stand side by side."""
    bars = [(f"{r['part']} {r['model']}: {r['case']}", float(r["bound_share"]))
            for r in table(folder, "flover", "flover.csv") if r["bound_share"] and r["unit"] == "s"]
    if not bars:
        return
    figure, axis = plt.subplots(figsize=(7, 0.6 + 0.19 * len(bars)))
    words, share = zip(*sorted(bars, key=lambda bar: bar[0].split(":")[0])[::-1])
    axis.barh(range(len(bars)), share, height=0.7)
    axis.axvline(1, color=GREY, lw=0.8, ls=":")
    axis.set(xlabel="share of the bound", xlim=(0, 1.02),
             ylim=(-0.7, len(bars) - 0.3))
    axis.set_yticks(range(len(bars)), labels=words, fontsize=6.5)
    save(figure, os.path.join(folder, "flover", "share.svg"))


def main():
    match sys.argv[1:]:
        case ["run", path]:
            plot_run(path, "run.svg")
        case ["run", path, out]:
            plot_run(path, out)
        case ["studies"] | ["studies", _]:
            folder = sys.argv[2] if len(sys.argv) > 2 else os.path.join(HERE, "studies")
            for plot in (plot_steps, plot_replicas, plot_flover):
                plot(folder)
        case _:
            raise SystemExit(__doc__)


main()
