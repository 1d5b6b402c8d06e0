"""Every figure of the report, recomputed with numpy from the results file of a real run.

usage: test_report_figures.py WEFT       skips where there is no h5py
"""
import csv
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile

SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
N = 90
LIMITS = {"ttft": 40.0, "tpot": 3.0, "e2el": 120.0}
TENANTS = ["alpha", "<b>&\"é", ""]  # "": a note that does not say

# vllm bench serve --save-result --save-detailed, vLLM 0.26; tokenizer and label included.
VLLM_KEYS = ["date", "endpoint_type", "backend", "label", "model_id", "tokenizer_id", "num_prompts",
             "request_rate", "burstiness", "max_concurrency", "duration", "completed", "failed",
             "total_input_tokens", "total_output_tokens", "request_throughput", "request_goodput",
             "output_throughput", "total_token_throughput",
             *(f"{s}_{t}_ms" for t in ("ttft", "tpot", "itl", "e2el")
               for s in ("mean", "median", "std", "p99")),
             "input_lens", "output_lens", "ttfts", "itls", "start_times", "generated_texts",
             "errors", "max_output_tokens_per_s", "max_concurrent_requests", "rtfx"]


def make_run(weft, folder):
    """Requests of three tenants, some of one token, some that fail: token 9999 is none."""
    lines, shard, out = (os.path.join(folder, name) for name in ("x.jsonl", "x.h5", "out"))
    with open(lines, "w", encoding="utf-8") as f:
        for i in range(N):
            tenant = TENANTS[i % 3]
            f.write(json.dumps({"prompt_token_ids": [9999 if i % 13 == 5 else 65 + i % 20] * (3 + i),
                                "max_new_tokens": 1 + i % 17, "arrival_s": 0.004 * i,
                                "meta": {"tenant": tenant} if tenant else {"other": 1}}) + "\n")
    subprocess.run([weft, "pack", lines, "-o", shard, "--vocab", "10000"], check=True)
    job = os.path.join(folder, "job.yaml")
    with open(job, "w", encoding="utf-8") as f:
        f.write(f"job: figures\nmodel: {{path: {SOURCE}/jobs/demo/model}}\nrequests: [{shard}]\n"
                "arrivals: {mode: replay, speed: 1}\nsampling: {ignore_eos: true}\n"
                "engine: {kv_memory: 64MiB, max_context: 256}\nparallel: {backend: cpu}\n")
    done = subprocess.run([weft, "run", job, "--out", out], capture_output=True, text=True)
    assert done.returncode == 3, (done.returncode, done.stdout, done.stderr)
    return out


class Rows:
    """What the file holds, in ms."""

    def __init__(self, path):
        import h5py
        import numpy
        self.np = numpy
        with h5py.File(path, "r") as f:
            self.column = {k: f["requests"][k][:] for k in f["requests"]}
            self.token_ms = f["tokens/time_ns"][:] / 1e6
            self.start_ns = f["runs/clock_start_ns"][:].min()
            self.step = {k: f["steps"][k][:] for k in f["steps"]}
        meta, at = self.column["meta"].tobytes(), self.column["meta_offset"]
        notes = [json.loads(meta[a:b] or b"{}") for a, b in zip(at, at[1:])]
        self.tenant = [note.get("tenant", "") for note in notes]
        self.duration_s = (self.column["finish_ns"].max() - self.start_ns) / 1e9

    def values(self, only=None):
        """Figures by name, of all rows or of a tenant's."""
        np, c = self.np, self.column
        mine = np.array([only is None or t == only for t in self.tenant])
        done = mine & (c["status"] == 0)
        n_tokens = np.diff(c["output_offset"].astype(np.int64))
        gaps = np.concatenate([np.diff(self.token_ms[a:b]) for a, b, d in
                               zip(c["output_offset"], c["output_offset"][1:], done) if d])
        ttft = (c["first_token_ns"] - c["arrival_ns"])[done] / 1e6
        e2el = (c["finish_ns"] - c["arrival_ns"])[done] / 1e6
        n = n_tokens[done]
        tpot = np.where(n > 1, (e2el - ttft) / np.maximum(n - 1, 1), 0)
        good = (ttft <= LIMITS["ttft"]) & (tpot <= LIMITS["tpot"]) & (e2el <= LIMITS["e2el"])
        figures = {"completed": done.sum(), "failed": (mine & ~done).sum(),
                   "total_input_tokens": c["prompt_len"][done].sum(), "total_output_tokens": n.sum(),
                   "duration": self.duration_s, "request_goodput": good.sum() / self.duration_s}
        figures["request_throughput"] = figures["completed"] / self.duration_s
        figures["output_throughput"] = n.sum() / self.duration_s
        figures["total_token_throughput"] = (
            figures["output_throughput"] + figures["total_input_tokens"] / self.duration_s)
        queue = (c["admitted_ns"] - c["arrival_ns"])[done] / 1e6
        for name, v in (("ttft", ttft), ("tpot", tpot[n > 1]), ("itl", gaps), ("e2el", e2el),
                        ("queue", queue)):
            figures |= {f"mean_{name}_ms": v.mean(), f"median_{name}_ms": np.median(v),
                        f"std_{name}_ms": v.std(), f"min_{name}_ms": v.min(),
                        f"max_{name}_ms": v.max(), f"n_{name}": len(v)}
            figures |= {f"p{q}_{name}_ms": np.percentile(v, q) for q in (50, 90, 95, 99)}
        return figures

    def of_steps(self):
        s = self.step
        return {"n": len(s["n_decode"]), "mean_decode_rows": s["n_decode"].mean(),
                "mean_prompt_tokens": s["n_prompt_tokens"].mean(),
                "max_rows": (s["n_decode"] + s["n_prefill"]).max(),
                "max_kv_pages": s["kv_pages"].max(),
                "mean_waiting": self.np.average(s["n_waiting"], weights=s["duration_ns"]),
                "max_waiting": s["n_waiting"].max(), "busy_s": s["duration_ns"].sum() / 1e9}


def check_intervals(said, rows, n_blocks, t):
    """Student's t over the values of blocks of time, as numpy has them."""
    np, c = rows.np, rows.column
    done = c["status"] == 0
    n_tokens = np.diff(c["output_offset"].astype(np.int64))
    end_ns, start_ns = c["finish_ns"].max(), rows.start_ns
    at = (c["finish_ns"] - start_ns) / float(end_ns - start_ns) * n_blocks
    block = np.clip(at.astype(int), 0, n_blocks - 1)
    block_s = (end_ns - start_ns) / 1e9 / n_blocks
    values = {k: [] for k in said if isinstance(said[k], dict)}
    for b in range(n_blocks):
        of = done & (block == b)
        values["request_throughput"].append(of.sum() / block_s)
        values["output_throughput"].append(n_tokens[of].sum() / block_s)
        values["total_token_throughput"].append((n_tokens + c["prompt_len"])[of].sum() / block_s)
        ttft = (c["first_token_ns"] - c["arrival_ns"])[of] / 1e6
        e2el = (c["finish_ns"] - c["arrival_ns"])[of] / 1e6
        several = n_tokens[of] > 1
        tpot = (e2el - ttft)[several] / (n_tokens[of][several] - 1)
        for name, v in (("ttft", ttft), ("tpot", tpot), ("e2el", e2el)):
            if len(v):
                values[f"mean_{name}_ms"].append(v.mean())
                values[f"p50_{name}_ms"].append(np.median(v))
                values[f"p99_{name}_ms"].append(np.percentile(v, 99))
    assert said["blocks"] == n_blocks and abs(said["block"] - block_s) < 1e-9 and len(values) == 12
    for name, v in values.items():
        assert said[name]["blocks"] == len(v), (name, said[name], len(v))
        half = t * np.std(v, ddof=1) / len(v) ** 0.5 if len(v) == n_blocks else None
        agree(said[name], {"mean": np.mean(v)})
        if half is not None:
            agree(said[name], {"low": np.mean(v) - half, "high": np.mean(v) + half})


def agree(said, expected):
    for name, value in expected.items():
        assert abs(said[name] - value) <= 1e-6 * max(1, abs(value)), (name, said[name], value)


def report(weft, out, *options):
    limits = ",".join(f"{k}:{v:g}" for k, v in LIMITS.items())
    return subprocess.run([weft, "report", out, "--goodput", limits, *options], check=True,
                          capture_output=True, text=True).stdout


def check_vllm(said, rows):
    """The keys in vLLM's order, and what a script computes from the lists is what is said."""
    np = rows.np
    assert list(said) == VLLM_KEYS, set(said) ^ set(VLLM_KEYS)
    agree(said, {k: v for k, v in rows.values().items() if k in VLLM_KEYS})
    assert said["num_prompts"] == N and said["request_rate"] > 0 and said["burstiness"] is None
    assert all(len(said[k]) == N for k in ("input_lens", "output_lens", "ttfts", "itls",
                                           "start_times", "generated_texts", "errors"))
    ok = np.array([not e for e in said["errors"]])
    assert ok.sum() == said["completed"] and (~ok).sum() == said["failed"] > 0
    ttfts = np.array(said["ttfts"])[ok] * 1e3
    agree(said, {"mean_ttft_ms": ttfts.mean(), "p99_ttft_ms": np.percentile(ttfts, 99)})
    check_peaks(said, np, ok)
    gaps = np.array([g for gs in said["itls"] for g in gs]) * 1e3
    agree(said, {"std_itl_ms": gaps.std(), "total_output_tokens": sum(said["output_lens"])})


def check_peaks(said, np, ok):
    """The busiest second, as vllm/benchmarks/serve.py finds it from the lists."""
    first = min(np.array(said["start_times"])[ok])
    tokens, requests = {}, {}
    for start, ttft, gaps, fine in zip(said["start_times"], said["ttfts"], said["itls"], ok):
        times = start - first + ttft + np.cumsum([0.0, *gaps])
        for second in times.astype(int) if fine else []:
            tokens[second] = tokens.get(second, 0) + 1
        for second in range(int(start - first), int(times[-1]) + 1) if fine else []:
            requests[second] = requests.get(second, 0) + 1
    assert abs(said["max_output_tokens_per_s"] - max(tokens.values())) <= 1, tokens  # by rounding
    assert said["max_concurrent_requests"] == max(requests.values()), requests


def check_damage(weft, out):
    """A time that none can be is said with its place, and nothing is computed from it."""
    import h5py
    for name in ("requests/finish_ns", "tokens/time_ns", "steps/duration_ns"):
        damaged = os.path.join(out, "damaged.h5")
        shutil.copy(os.path.join(out, "results.h5"), damaged)
        with h5py.File(damaged, "r+") as f:
            f[name][3] = -2**63
        done = subprocess.run([weft, "report", damaged], capture_output=True, text=True)
        assert done.returncode == 65 and f"/{name}:3: -92233" in done.stderr, done


def main(weft):
    try:
        import h5py  # noqa: F401
    except ImportError:
        print("skipped: no h5py (python3-h5py)")
        raise SystemExit(77) from None
    with tempfile.TemporaryDirectory() as folder:
        out = make_run(weft, folder)
        rows = Rows(os.path.join(out, "results.h5"))
        said = json.loads(report(weft, out, "--json", "--by", "tenant"))
        agree(said, rows.values())
        agree(said["steps"], rows.of_steps())
        check_intervals(said["intervals"], rows, 10, 2.2622)
        four = json.loads(report(weft, out, "--json", "--blocks", "4"))["intervals"]
        check_intervals(four, rows, 4, 3.1824)
        assert "intervals" not in json.loads(report(weft, out, "--json", "--blocks", "0"))
        assert "95% interval (4 blocks of " in report(weft, out, "--blocks", "4")
        assert said["by"] == "tenant" and [p["value"] for p in said["parts"]] == sorted(TENANTS)
        for part in said["parts"]:
            agree(part, rows.values(part["value"]))
        assert abs(sum(p["output_throughput"] for p in said["parts"])
                   - said["output_throughput"]) < 1e-6
        table = list(csv.DictReader(io.StringIO(report(weft, out, "--csv", "--by", "tenant"))))
        assert [line["tenant"] for line in table] == sorted(TENANTS)
        assert "<b>&\"é" in report(weft, out, "--by", "tenant")
        check_damage(weft, out)
        check_vllm(json.loads(report(weft, out, "--vllm-json")), rows)
        for wrong, why in ((["--goodput", "itl:3"], "ttft:MS, tpot:MS or e2el:MS"),
                           (["--goodput", "ttft:x"], "--goodput"), (["--by", "nobody"], "no request"), (["--blocks", "1"], "two at least"),
                           (["--json", "--vllm-json"], "one of them")):
            done = subprocess.run([weft, "report", out, *wrong], capture_output=True, text=True)
            assert done.returncode == 64 and why in done.stderr, (wrong, done)


if __name__ == "__main__":
    main(sys.argv[1])
