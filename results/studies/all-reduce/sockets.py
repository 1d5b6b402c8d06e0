#!/usr/bin/env python3
"""Groups of GPUs as if they were on hosts of their own: NCCL over sockets, and the tokens of one GPU.

usage: results/studies/all-reduce/sockets.py BUILD OUT       writes OUT/sockets.csv; 4 GPUs, a minute

The demo job's 500 requests run on one GPU, then in two
groups of 2 at once and in one of 4, with peer access and shared memory switched off for NCCL and
without the own sums. Counted are requests whose tokens are those of one GPU, and tokens up to the
first that is not. With engine.deterministic they must all be.
"""
import csv
import os
import subprocess
import sys
from datetime import date

import h5py
import numpy as np

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
MODEL = os.path.join(SOURCE, "jobs/demo/model")
WAYS = [("one GPU", 1, 1), ("one GPU again", 1, 1), ("2 groups of 2, sockets", 2, 2),
        ("one group of 4, sockets", 4, 1)]


def streams(weft, out):
    log, prompts = os.path.join(out, "log.h5"), os.path.join(out, "prompts")
    quiet = dict(check=True, stdout=subprocess.DEVNULL)
    subprocess.run([weft, "import", "azure", os.path.join(SOURCE, "jobs/demo/azure-conv-100.csv"), "-o",
                    log, "--model", MODEL, "--seed", "1", "--replace"], **quiet)
    subprocess.run([sys.executable, os.path.join(SOURCE, "jobs/demo/make_prompts.py"), "--per-task", "100",
                    "--span", "42", "-o", prompts + ".jsonl"], **quiet)
    subprocess.run([weft, "pack", prompts + ".jsonl", "-o", prompts + ".h5", "--model", MODEL, "--replace"],
                   **quiet)
    return f"{log}, {prompts}.h5"


def run(weft, out, shards, tensor, replicas, deterministic):
    """Tokens of each request, by (shard, row); and the job's duration."""
    job, results = os.path.join(out, "job.yaml"), os.path.join(out, "job")
    ranks = tensor * replicas
    with open(job, "w", encoding="ascii") as f:
        f.write(f"job: sockets\nmodel: {{path: {MODEL}}}\nrequests: [{shards}]\n"
                f"parallel: {{tensor: {tensor}, replicas: {replicas}, backend: cuda}}\n"
                f"engine: {{max_rows: 64, step_tokens: 256, kv_memory: 512MiB, "
                f"deterministic: {'true' if deterministic else 'false'}"
                f"{', all_reduce: nccl' if tensor > 1 else ''}}}\n")
    env = dict(os.environ, WEFT_PROGRESS="off", WEFT_LOG="info")
    if tensor > 1:
        env.update(NCCL_P2P_DISABLE="1", NCCL_SHM_DISABLE="1", NCCL_DEBUG="INFO",
                   NCCL_DEBUG_FILE=os.path.join(out, "nccl.%p"))
    command = [weft, "run", job, "--out", results, "--fresh"]
    done = subprocess.run((["mpirun", "-n", str(ranks), "--bind-to", "none"] if ranks > 1 else []) + command,
                          env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"weft run: exit code {done.returncode}\n{done.stderr[-3000:]}")
    with h5py.File(os.path.join(results, "results.h5"), "r") as f:
        r, at, ids = f["requests"], f["requests/output_offset"][:], f["tokens/id"][:]
        keys = zip(r["shard"][:], r["row"][:])
        tokens = {tuple(map(int, k)): ids[at[i]:at[i + 1]] for i, k in enumerate(keys)}
        return tokens, (r["finish_ns"][:].max() - r["arrival_ns"][:].min()) / 1e9


def by_sockets(out):
    """How many of NCCL's connections say that they go over sockets, and how many do not."""
    lines = [line for name in os.listdir(out) if name.startswith("nccl.")
             for line in open(os.path.join(out, name), encoding="utf-8", errors="replace")
             if " via " in line]
    return sum("NET/Socket" in line for line in lines), len(lines)


def compare(want, got):
    same = sum(np.array_equal(want[k], got[k]) for k in want)
    agree = 0
    for k, tokens in want.items():
        n = min(len(tokens), len(got[k]))
        differ = np.nonzero(tokens[:n] != got[k][:n])[0]
        agree += int(differ[0]) if len(differ) else n
    return same, agree, sum(map(len, want.values()))


def main():
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    weft, out = os.path.abspath(os.path.join(sys.argv[1], "weft")), os.path.abspath(sys.argv[2])
    os.makedirs(out, exist_ok=True)
    said = subprocess.run([weft, "--version"], check=True, capture_output=True, text=True).stdout
    head = [said.split("(", 1)[1].split(")", 1)[0], date.today().isoformat()]
    shards, failed = streams(weft, out), False
    with open(os.path.join(out, "sockets.csv"), "w", newline="", encoding="ascii") as f:
        table = csv.writer(f)
        table.writerow(["commit", "date", "deterministic", "way", "requests", "same_requests", "tokens",
                        "tokens_before_a_difference", "seconds", "links_by_sockets", "links"])
        for deterministic in (False, True):
            want = None
            for name, tensor, replicas in WAYS:
                for old in [n for n in os.listdir(out) if n.startswith("nccl.")]:
                    os.unlink(os.path.join(out, old))
                got, seconds = run(weft, out, shards, tensor, replicas, deterministic)
                want = want or got
                same, agree, total = compare(want, got)
                links, all_links = by_sockets(out)
                failed |= (deterministic and same != len(want)) or links != all_links
                row = [deterministic, name, len(want), same, total, agree, f"{seconds:.2f}", links, all_links]
                table.writerow(head + row)
                print(*row, sep=",", flush=True)
    raise SystemExit(1 if failed else 0)


main()
