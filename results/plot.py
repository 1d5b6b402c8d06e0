#!/usr/bin/env python3
"""Pictures of a run, and of the studies kept in this repository.

usage: plot.py run OUTPUT|RESULTS.h5 [OUT.svg]      rows, rates and times over a run, or its runs
       plot.py studies [FOLDER]                     the pictures of results/studies (or of FOLDER)

OUTPUT is a job's output folder. The ending of OUT says the format (svg, png, pdf). Needs matplotlib,
numpy and h5py (python3-matplotlib, python3-h5py).
"""
import csv
import os
import re
import sys


def missing(error):
    return SystemExit(f"plot.py: {error.name} is not installed for {sys.executable}: "
                      "apt install python3-matplotlib python3-h5py, or pip install matplotlib h5py")


try:
    import matplotlib
    import numpy as np
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
except ModuleNotFoundError as error:
    raise missing(error) from None

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


MOST_STEPS = 1500  # of a group, drawn one by one


def text_of(value):
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def job_value(job, section, key):
    """A value of the resolved job file, which lists every key on a line of its own."""
    found = re.search(rf"^{section}:\n(?:  .*\n)*?  {key}: (.*)$", job, re.M)
    return found[1].strip("\"'") if found else ""


def arrivals_words(job):
    mode = job_value(job, "arrivals", "mode")
    if mode == "offline":
        return "offline"
    if mode == "replay":
        return f"replay at {float(job_value(job, 'arrivals', 'speed') or 1):g} times the log's speed"
    return f"{mode} arrivals, {float(job_value(job, 'arrivals', 'rate') or 0):g} requests/s"


class Run:
    """A results file's rows, tokens and steps on one time line: its runs, one after the other."""

    def __init__(self, file):
        self.job = text_of(file.attrs["job"])
        rows = {k: file["requests"][k][:] for k in ("run", "status", "arrival_ns", "first_token_ns",
                                                    "finish_ns", "output_offset")}
        self.done = rows["status"] == 0
        self.n_tokens = np.diff(rows["output_offset"].astype(np.int64))
        self.run = rows["run"]
        self.timed = bool(file["runs/timed"][:].any())
        self.groups = len(np.unique(file["runs/group"][:]))
        self.devices = sorted({text_of(d) for d in file["runs/devices"][:]})
        steps = file["steps"] if "steps" in file else None
        self.step = {k: steps[k][:] for k in steps} if steps is not None else None
        token_ns = file["tokens/time_ns"][:] if "tokens/time_ns" in file else np.empty(0)
        if self.step is None or not len(token_ns):
            raise SystemExit(f"{file.filename}: holds no steps or no token times (output.steps, "
                             "output.token_times)")
        self.place_runs(file, rows)
        self.arrival = self.at(self.run, rows["arrival_ns"])
        self.first = self.at(self.run, rows["first_token_ns"])
        self.finish = self.at(self.run, rows["finish_ns"])
        self.token = self.at(np.repeat(self.run, self.n_tokens), token_ns)
        self.start = self.at(self.step["run"], self.step["start_ns"])
        self.took = self.step["duration_ns"] / 1e9

    def place_runs(self, file, rows):
        """Where each run's time begins: every run has a clock of its own, and the pause between two
        is not drawn to scale."""
        runs = {k: file["runs"][k][:] for k in ("run", "start_unix_ns", "clock_start_ns")}
        self.shift, self.begin, self.unix, end = {}, {}, {}, 0.0
        for r in sorted(np.unique(runs["run"])):
            mine = runs["run"] == r
            zero = runs["clock_start_ns"][mine].min() / 1e9
            last = max(rows["finish_ns"][rows["run"] == r].max(initial=0),
                       self.step["start_ns"][self.step["run"] == r].max(initial=0)) / 1e9
            self.begin[r], self.shift[r] = end, end - zero
            self.unix[r] = runs["start_unix_ns"][mine].min() / 1e9 + zero
            end += max(last - zero, 0)
        self.length = end

    def at(self, run, ns):
        """Seconds on the time line; what did not happen is nowhere."""
        shift = np.zeros(max(self.shift) + 1)
        shift[list(self.shift)] = list(self.shift.values())
        return np.where(ns >= 0, ns / 1e9 + shift[run], np.nan)

    def title(self):
        name = re.search(r"^job: (.*)$", self.job, re.M)
        model = job_value(self.job, "model", "path").rstrip("/")
        tensor = job_value(self.job, "parallel", "tensor") or "1"
        groups = f"{self.groups} group{'s' * (self.groups != 1)} of {tensor}"
        return (f"{name[1] if name else 'results'}: {os.path.basename(model) or 'a model'}, "
                f"{groups} on {'; '.join(self.devices)}, {arrivals_words(self.job)}")

    def latencies(self):
        """In ms, of all runs drawn; where nothing had a time of its own, of steps and tokens."""
        seen = self.done & np.isfinite(self.first)
        first, finish = self.first[seen], self.finish[seen]
        more = self.n_tokens[seen] > 1
        figures = {"TTFT": first - self.arrival[seen], "E2E": finish - self.arrival[seen]}
        if not self.timed:
            figures = {"step": self.took}
        figures["TPOT"] = (finish - first)[more] / (self.n_tokens[seen][more] - 1)
        return "ms, p50 / p90 / p99: " + ", ".join(
            f"{name} {percentiles(v * 1e3)}" for name, v in figures.items() if len(v))

    def figures(self):
        tokens, done = int(self.n_tokens[self.done].sum()), int(self.done.sum())
        spent = max(self.length, 1e-9)
        return (f"{done:,} requests, {tokens:,} tokens in {spent:,.1f} s"
                f"{f' of {len(self.begin)} runs' * (len(self.begin) > 1)}: "
                f"{done / spent:,.1f} requests/s, {tokens / spent:,.0f} tokens/s")


def rate(at_s, amount, edges):
    seen = np.isfinite(at_s)
    return np.histogram(at_s[seen], bins=edges, weights=amount[seen])[0] / np.diff(edges)


def spread(start, took, amount, edges):
    """What steps bring, spread over their time, per second."""
    order, last = np.argsort(start), np.argsort(start + took)
    pace = amount / np.maximum(took, 1e-9)

    def ramps(at, pace):  # sum of pace * (t - at) over those begun, at each edge
        n = np.searchsorted(at, edges)
        paces, places = (np.append(0, np.cumsum(v)) for v in (pace, pace * at))
        return paces[n] * edges - places[n]

    total = ramps(start[order], pace[order]) - ramps((start + took)[last], pace[last])
    return np.diff(total) / np.diff(edges)


def draw_group(axis, start, took, rows, edges, label):
    """Rows of a group's steps, none while no step runs; many steps are averaged over their time."""
    if len(start) > MOST_STEPS:
        axis.stairs(spread(start, took, rows * took, edges), edges, lw=0.9, label=label)
        return
    x, y, pause = [], [], (edges[-1] - edges[0]) / 400
    order = np.argsort(start)
    for i, then in zip(order, np.append(start[order][1:], np.inf)):
        end = start[i] + took[i]
        idle = then - end > pause
        x += [start[i], end, end] if idle else [start[i]]
        y += [rows[i], rows[i], 0] if idle else [rows[i]]
    axis.step(x, y, where="post", lw=0.9, label=label)


def short(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def percentiles(values):
    return " / ".join(short(np.percentile(values, q)) for q in (50, 90, 99))


def put_legend(axis):
    axis.legend(ncols=4, fontsize=8, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.1)


def draw_rows(axis, run, edges):
    groups = np.unique(run.step["group"])
    for g in groups:
        mine = run.step["group"] == g
        draw_group(axis, run.start[mine], run.took[mine], run.step["n_decode"][mine], edges,
                   f"group {g}")
    if 1 < len(groups) <= 4:
        put_legend(axis)
    many = np.bincount(run.step["group"]).max() > MOST_STEPS
    axis.set(title="rows decoded in a step" + (", mean over time" if many else ""), ylim=(0, None))


def draw_rates(axis, run, edges):
    axis.stairs(rate(run.token, np.ones_like(run.token), edges), edges, label="generated")
    axis.stairs(spread(run.start, run.took, run.step["n_prompt_tokens"], edges), edges,
                label="of prompts")
    put_legend(axis)
    axis.set(title="tokens per second", ylim=(0, None))


def draw_requests(axis, run, edges):
    if run.timed:
        axis.stairs(rate(run.arrival, np.ones_like(run.arrival), edges), edges, label="arrived")
    axis.stairs(rate(run.finish, np.ones_like(run.finish), edges), edges, label="finished",
                color=COLOURS[2])
    put_legend(axis)
    axis.set(title="requests per second", ylim=(0, None))


def draw_times(axis, run):
    """Waiting means something where requests have arrived; else how long steps take."""
    begun = np.isfinite(run.first)
    if run.timed and begun.any():
        waited = (run.first - run.arrival)[begun] * 1e3
        axis.plot(run.first[begun], waited, ".", ms=3)
        axis.set(title="ms from arrival to first token")
    else:
        prompt = run.step["n_prompt_tokens"] > 0
        for which, words in ((~prompt, "decode"), (prompt, "with prompts")):
            axis.plot(run.start[which], run.took[which] * 1e3, ".", ms=2, label=words)
        put_legend(axis)
        axis.set(title="ms per step")
    axis.set(xlabel="run time, s", ylim=(0, None))


def mark_runs(axes, run):
    """A line where a run ended and another took over, with the time between them."""
    order = sorted(run.begin)
    for before, r in zip(order, order[1:]):
        last = run.unix[before] + run.begin[r] - run.begin[before]
        for axis in axes:
            axis.axvline(run.begin[r], color=GREY, lw=0.8, ls=":")
        axes[0].annotate(f"run {r}, {max(run.unix[r] - last, 0):,.0f} s later", (run.begin[r], 1),
                         (3, -8), xycoords=("data", "axes fraction"), textcoords="offset points",
                         fontsize=7, color=GREY)


def read_run(path):
    """Of a results file, or of the output folder that holds it."""
    try:
        import h5py  # the studies' pictures do without
    except ModuleNotFoundError as error:
        raise missing(error) from None
    file = os.path.join(path, "results.h5") if os.path.isdir(path) else path
    if not os.path.exists(file):
        hint = f": while a job runs, weft merge {path} -o FILE.h5" if file != path else ""
        raise SystemExit(f"plot.py: {file}: there is no such file{hint}")
    try:
        with h5py.File(file, "r") as f:
            return Run(f)
    except (OSError, KeyError) as error:
        raise SystemExit(f"plot.py: {file}: no results of weft: {error.args[-1]}") from None


def plot_run(path, out):
    run = read_run(path)
    edges = np.linspace(0, max(run.length, 1e-3), 121)
    figure, axes = plt.subplots(4, 1, figsize=(7, 8), sharex=True)
    draw_requests(axes[0], run, edges)
    draw_rows(axes[1], run, edges)
    draw_rates(axes[2], run, edges)
    draw_times(axes[3], run)
    mark_runs(axes, run)
    figure.suptitle("\n".join((run.title(), run.figures(), run.latencies())), x=0.01, ha="left",
                    fontsize=9)
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


if __name__ == "__main__":
    main()
