"""What the GPU studies share: runs of the real program on random weights, and what limits them.

A run is held against two numbers that do not depend on the program:

    arrival bound   last arrival + what one request takes alone: no engine can end sooner
    floor           sum over the steps that were run of max(weights / BW, 2 P tokens / F)
                    + every token's context read once / BW

with the copy bandwidth BW and the GEMM rate F measured on the same device in the same study
(bench_gpu_kernels). Needs numpy and h5py.
"""
import csv
import glob
import json
import os
import subprocess
import time
from datetime import date

import h5py
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
MODELS = os.path.join(HERE, "..", "models")
RUN_LIMIT_S = 120


def peers_job():
    """256 requests as peers' benchmarks draw them: log-normal prompts, uniform outputs."""
    rng = np.random.default_rng(7)
    prompts = np.clip(np.rint(rng.lognormal(np.log(200), 0.8, 256)), 8, 1024).astype(int)
    return [(0, int(p), int(n)) for p, n in zip(prompts, rng.integers(16, 513, 256))]


class Shape:
    """A model's sizes, from its config.json alone; per rank where `tensor` ranks share it."""

    def __init__(self, name, tensor=1):
        self.name, self.tensor = name, tensor
        self.path = os.path.join(MODELS, name)
        with open(os.path.join(self.path, "config.json"), encoding="ascii") as f:
            c = json.load(f)
        get = lambda *keys: next((c[k] for k in keys if c.get(k) is not None), None)
        hidden, self.layers = get("hidden_size", "n_embd"), get("num_hidden_layers", "n_layer")
        heads = get("num_attention_heads", "n_head")
        kv_heads, head_dim = get("num_key_value_heads") or heads, hidden // heads
        ffn = get("intermediate_size", "n_inner") or 4 * hidden
        gated = c["model_type"] == "llama"
        self.vocab, self.hidden = c["vocab_size"], hidden
        layer = 2 * hidden * hidden + 2 * hidden * kv_heads * head_dim + (3 if gated else 2) * hidden * ffn
        self.step_params = (self.layers * layer + self.vocab * hidden) / tensor
        self.kv_bytes = 4 * self.layers * kv_heads * head_dim / tensor


class Study:
    """Where the program is, where results go, and the rows of the study's table."""

    def __init__(self, build, out):
        self.build, self.out = os.path.abspath(build), os.path.abspath(out)
        self.rows, self.begin, self.table = [], time.time(), None
        os.makedirs(self.out, exist_ok=True)
        self.copy_rate = self.flop_rate = None
        said = subprocess.run(self.tool("weft", "--version"), check=True, capture_output=True,
                              text=True).stdout
        self.commit, self.device = said.split("(", 1)[1].split(")", 1)[0], ""

    def tool(self, *parts):
        for folder in ("", "tests/gpu"):
            path = os.path.join(self.build, folder, parts[0])
            if os.path.exists(path):
                return [path, *parts[1:]]
        raise SystemExit(f"{parts[0]}: not in {self.build}")

    def sums_s(self, shape, result):
        """Sums over the group of all steps that were run, as ../all-reduce recorded them."""
        with open(os.path.join(HERE, "..", "all-reduce", "all-reduce.csv"), encoding="ascii") as f:
            table = [(int(r["bytes"]), float(r["auto_us"])) for r in csv.DictReader(f)
                     if int(r["gpus"]) == shape.tensor]
        rows = result.n_decode + result.n_prompt_tokens
        return float(np.interp(2 * shape.hidden * rows, *zip(*sorted(table))).sum()
                     * 2 * shape.layers / 1e6)

    def limits(self):
        text = subprocess.run(self.tool("bench_gpu_kernels", "limits"), check=True,
                              capture_output=True, text=True).stdout
        self.device = text.split("\n", 1)[0].lstrip("# ").split(",")[0]
        for row in csv.DictReader(text.split("\n")[1:]):
            rate = float(row["rate"]) * 1e12
            if row["op"] == "limit" and row["unit"] == "TB/s":
                self.copy_rate = rate
            elif row["op"] == "limit":
                self.flop_rate = rate
        self.row("limit", "", "copy bandwidth, read + write", self.copy_rate / 1e12, "TB/s")
        self.row("limit", "", "GEMM 8192 cubed, bf16", self.flop_rate / 1e12, "TFLOP/s")

    def row(self, part, model, case, value, unit, bound="", note=""):
        """One line of the table; `bound` is the least value possible, of the same unit."""
        ratio = f"{bound / value:.3f}" if isinstance(bound, float) and value else ""
        line = [part, model, case, f"{value:.4g}", unit,
                f"{bound:.4g}" if isinstance(bound, float) else bound, ratio, note]
        self.rows.append(line)
        print(*line, sep=",", flush=True)
        if self.table:
            self.write(self.table)

    def parts(self, functions, name):
        """Runs the parts; one that fails leaves its reason, one that is cut off its rows so far."""
        self.table = name
        for function in functions:
            try:
                function(self)
            except (RuntimeError, subprocess.CalledProcessError) as failure:
                print(f"# {function.__name__} failed: {failure}", flush=True)
        print(f"# {len(self.rows)} rows in {time.time() - self.begin:.0f} s", flush=True)

    def write(self, name):
        with open(os.path.join(self.out, name), "w", newline="", encoding="ascii") as f:
            table = csv.writer(f, lineterminator="\n")
            table.writerow(["commit", "date", "device", "part", "model", "case", "value", "unit",
                            "bound", "bound_share", "note"])
            today = date.today().isoformat()
            table.writerows([self.commit, today, self.device, *row] for row in self.rows)

    def shard(self, name, requests, vocab):
        """A request shard of (arrival s, prompt tokens, output tokens); prompts are drawn at random."""
        log, path = os.path.join(self.out, name + ".log.csv"), os.path.join(self.out, name + ".h5")
        with open(log, "w", encoding="ascii") as f:
            f.write("arrival_s,input_tokens,output_tokens\n")
            f.writelines(f"{a:.4f},{p},{n}\n" for a, p, n in requests)
        subprocess.run(self.tool("weft", "import", "csv", log, "-o", path, "--vocab", str(vocab),
                                 "--seed", "7", "--replace"), check=True, stdout=subprocess.DEVNULL)
        return path

    def run(self, shape, requests, ranks=1, flags=(), **settings):
        """One job of `weft run`; timed where any request arrives after 0. Returns a Result."""
        timed = any(r[0] > 0 for r in requests)
        longest = max(p + n for _, p, n in requests)
        values = {"engine.max_rows": max(8, len(requests)), "engine.max_context": longest + 64,
                  "engine.kv_memory": 0.85, "parallel.tensor": shape.tensor,
                  "parallel.backend": "cuda", "arrivals.mode": "replay" if timed else "offline"}
        values.update({k.replace("__", "."): v for k, v in settings.items()})
        out, job = os.path.join(self.out, "job"), os.path.join(self.out, "job.yaml")
        with open(job, "w", encoding="ascii") as f:
            f.write(f"job: study\nmodel: {{path: {shape.path}, weights: random}}\n"
                    f"requests: [{self.shard('requests', requests, shape.vocab)}]\n"
                    "sampling: {ignore_eos: true}\n")
        sets = [x for k, v in values.items() for x in ("--set", f"{k}={v}")]
        limit = ["timeout", "-k", "5", str(RUN_LIMIT_S)]
        mpi = ["mpirun", "-n", str(ranks), "--bind-to", "none"] if ranks > 1 else []
        env = dict(os.environ, WEFT_PROGRESS="off")
        begin = time.time()
        done = subprocess.run([*limit, *mpi, *self.tool("weft", "run", job, "--out", out, "--fresh",
                                                        *flags, *sets)],
                              env=env, capture_output=True, text=True)
        if done.returncode != 0:
            print(done.stderr[-2000:])
            raise RuntimeError(f"weft run: exit code {done.returncode}")
        with open(os.path.join(self.out, "last.log"), "w", encoding="utf-8") as f:
            f.write(done.stderr)
        return Result(os.path.join(out, "results.h5"), shape, self, time.time() - begin)


class Result:
    """A finished job's figures."""

    def __init__(self, path, shape, study, wall_s):
        self.wall_s = wall_s
        with h5py.File(path, "r") as f:
            self.arrival = f["requests/arrival_ns"][:] / 1e9
            self.first = f["requests/first_token_ns"][:] / 1e9
            self.finish = f["requests/finish_ns"][:] / 1e9
            self.n_prompt = f["requests/prompt_len"][:].astype(np.int64)
            self.n_out = np.diff(f["requests/output_offset"][:]).astype(np.int64)
            self.failed = int((f["requests/status"][:] != f["requests/status"][0]).sum())
            s = f["steps"]
            self.n_decode, self.n_prompt_tokens = s["n_decode"][:], s["n_prompt_tokens"][:]
            self.start, self.rows_moved = s["start_ns"][:] / 1e9, s["rows_moved"][:]
            self.bytes_moved, self.discarded = s["bytes_moved"][:], s["n_discarded"][:]
            self.group, self.plan_us = s["group"][:], s["plan_ns"][:] / 1e3
            self.kv_pages = s["kv_pages"][:]
            self.row_group, self.token_s = f["requests/group"][:], f["tokens/time_ns"][:] / 1e9
            zero_unix_s = f["runs/start_unix_ns"][:].min() / 1e9
        sealed = max(map(os.path.getmtime, glob.glob(os.path.join(os.path.dirname(path), "segments",
                                                                  "*", "*.h5"))))
        # Before the first step; from the last token until the last segment was whole on disk.
        self.begin_s, self.seal_s = self.start.min(), sealed - zero_unix_s - self.finish.max()
        self.total_s = float(self.finish.max() - self.arrival.min())
        self.tokens = int(self.n_out.sum())
        self.floor_s = self._floor(shape, study)

    def _floor(self, shape, study):
        """Of the busiest group: groups run side by side. Not a number without Study.limits()."""
        if study.copy_rate is None:
            return float("nan")
        weights_s = 2 * shape.step_params / study.copy_rate
        n = self.n_decode + self.n_prompt_tokens
        steps_s = np.maximum(weights_s, 2 * shape.step_params * n / study.flop_rate)
        groups = np.unique(self.group)
        context = ((self.n_out - 1) * self.n_prompt + self.n_out * (self.n_out - 1) // 2).sum()
        kv_s = context * shape.kv_bytes / study.copy_rate / len(groups)
        return float(max(steps_s[self.group == g].sum() for g in groups) + kv_s)

    def by_group(self):
        """What each group had and when it ended, in words."""
        each = []
        for g in np.unique(self.group):
            rows, steps = self.row_group == g, self.group == g
            each.append(f"{rows.sum()} rows {self.n_out[rows].sum()} tokens {steps.sum()} steps "
                        f"{self.start[steps].min():.3f} to {self.finish[rows].max():.3f} s")
        return "; ".join(each)

    def step_ms(self, rows):
        """Median time from one step's start to the next, both of `rows` decode rows alone."""
        same = (self.n_decode[:-1] == rows) & (self.n_prompt_tokens[:-1] == 0) & \
               (self.n_decode[1:] == rows) & (self.n_prompt_tokens[1:] == 0)
        gaps = np.diff(self.start)[same]
        return float(np.median(gaps) * 1e3) if len(gaps) else float("nan")

    def context(self, steps, page_tokens=64):
        """Mean tokens of KV that the chosen steps read: pages in use, the last one half full."""
        held = self.kv_pages[steps] * page_tokens - self.n_decode[steps] * page_tokens / 2
        return held.mean() if steps.any() else float("nan")
