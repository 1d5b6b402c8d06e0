#!/usr/bin/env python3
"""A slice of Mooncake's synthetic trace on the demo model, with and without the prefix cache.

usage: results/studies/prefix/run.py BUILD LOG OUT [FIRST [ROWS [MOST_PROMPT [SPEED]]]]
       LOG is FAST25-release/traces/synthetic_trace.jsonl; writes OUT/prefix.csv
       by default 40 rows from the 3940th on, where many prompts go on from others, cut to 4096 tokens,
       at a tenth of the log's speed

hash_ids of the log become prompts that share their blocks of 512 tokens. The two jobs differ in
engine.prefix_cache alone; all tokens must be the same. Needs numpy and h5py.
"""
import csv
import json
import os
import platform
import subprocess
import sys
from datetime import date

import h5py

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", ".."))


def main():
    build, log, out = sys.argv[1:4]
    first, rows, most, speed = sys.argv[4:8] + ["3940", "40", "4096", "0.1"][len(sys.argv) - 4:]
    weft, shard = os.path.join(os.path.abspath(build), "weft"), os.path.join(out, "mooncake.h5")
    env = dict(os.environ, WEFT_LOG="error", WEFT_PROGRESS="off")
    os.makedirs(out, exist_ok=True)

    def run(*args):
        return subprocess.run([weft, *args], env=env, check=True, capture_output=True,
                              text=True).stdout

    run("import", "mooncake", log, "-o", shard, "--first", first, "--rows", rows, "--max-prompt", most, "--max-new", "16",
        "--model", os.path.join(ROOT, "jobs/demo/model"), "--seed", "7", "--replace")
    job, found, tokens = os.path.join(out, "job.yaml"), [], []
    with open(job, "w", encoding="ascii") as f:
        f.write(f"job: prefix\nmodel: {{path: {ROOT}/jobs/demo/model}}\nrequests: [{shard}]\n"
                f"arrivals: {{mode: replay, speed: {speed}}}\nparallel: {{backend: cpu}}\n"
                f"sampling: {{ignore_eos: true}}\n"
                f"engine: {{max_rows: 32, step_tokens: 512, kv_memory: 256MiB}}\n")
    for cache in ("off", "on", "on", "off"):
        folder = os.path.join(out, cache)
        run("run", job, "--out", folder, "--fresh", "--set", f"engine.prefix_cache={cache}")
        run("check", folder)
        said = json.loads(run("report", folder, "--json"))
        with h5py.File(os.path.join(folder, "results.h5"), "r") as f:
            tokens.append(f["tokens/id"][:])
            computed = int(f["steps/n_prompt_tokens"][:].sum())
        figures = {k: v for part in said.values() if isinstance(part, dict) for k, v in part.items()}
        figures.update({k: v for k, v in said.items() if not isinstance(v, (dict, list))})
        found.append([cache, rows, figures["total_input_tokens"], computed, figures["cached_tokens"],
                      *(f"{figures[k]:.1f}" for k in ("mean_ttft_ms", "p50_ttft_ms", "p99_ttft_ms"))])
    same = len(tokens[0]) == len(tokens[1]) and bool((tokens[0] == tokens[1]).all())
    with open(os.path.join(out, "prefix.csv"), "w", newline="", encoding="ascii") as f:
        table = csv.writer(f, lineterminator="\n")
        table.writerow(["date", "machine", "cache", "requests", "prompt_tokens", "computed", "cached",
                        "mean_ttft_ms", "p50_ttft_ms", "p99_ttft_ms", "tokens_equal"])
        table.writerows([date.today().isoformat(), platform.machine(), *r, same] for r in found)
    with open(os.path.join(out, "prefix.csv"), encoding="ascii") as f:
        print(f.read(), end="")
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
