#!/usr/bin/env python3
"""Timed arrivals over groups: in turn, by a key, to the group with least to do; and what is refused.

usage: test_split.py WEFT [MPIRUN]
"""
import json
import os
import subprocess
import sys
import tempfile

import h5py
import numpy as np

WEFT = os.path.abspath(sys.argv[1])
MPIRUN = sys.argv[2:]
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
MODEL = os.path.join(ROOT, "tests", "golden", "llama-mini")
ENV = dict(os.environ, WEFT_PROGRESS="off", OMP_NUM_THREADS="1", OMPI_ALLOW_RUN_AS_ROOT="1",
           OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMPI_MCA_rmaps_base_oversubscribe="1")
N, GROUPS = 200, 3


def weft(*args, code=0, launcher=()):
    done = subprocess.run([*launcher, WEFT, *args], capture_output=True, text=True, env=ENV)
    assert done.returncode == code, (args, done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


def simulate(folder, *settings):
    options = [x for s in settings for x in ("-s", s)]
    weft("simulate", "job.yaml", "--machine", "h200", "-g", str(GROUPS), "-o", folder, *options)
    weft("check", folder, "--complete")
    return requests(folder)


def requests(folder):
    """Columns by name, in the order of arrival."""
    with h5py.File(os.path.join(folder, "results.h5")) as f:
        r = {c: f["requests"][c][:].astype("i8") for c in (
            "row", "group", "arrival_ns", "submitted_ns", "finish_ns", "prompt_len", "session", "turn")}
        r["tokens"] = r["prompt_len"] + np.diff(f["requests"]["output_offset"][:].astype("i8"))
    order = np.lexsort((r["row"], r["arrival_ns"]))
    return {c: v[order] for c, v in r.items()}


os.chdir(tempfile.mkdtemp(prefix="weft-split-"))
rng = np.random.default_rng(3)
at = np.cumsum(rng.exponential(4e-4, N))
with open("rows.jsonl", "w", encoding="utf-8") as f:
    for i in range(N):
        prompt = rng.integers(2, 60, int(np.clip(rng.lognormal(3, 1), 1, 200))).tolist()
        f.write(json.dumps({"prompt_token_ids": prompt, "max_new_tokens": int(rng.integers(1, 80)),
                            "ignore_eos": True, "arrival_s": round(float(at[i]), 7),
                            "session": int(i % 40 // 2) + 1, "think_s": 1e-4,
                            **({"meta": {"tenant": f"t{i % 7}"}} if i % 10 else {})}) + "\n")
weft("pack", "rows.jsonl", "-o", "rows.h5", "--model", MODEL)
with open("job.yaml", "w", encoding="utf-8") as f:
    f.write(f"job: split\nmodel: {{path: {MODEL}}}\nrequests: [rows.h5]\narrivals: {{mode: replay}}\n"
            "parallel: {tensor: 1, threads: 1, backend: cpu}\n"
            "engine: {max_rows: 16, step_tokens: 64, page_tokens: 16, kv_memory: 16MiB}\n")

# In turn, which is what is meant where nothing is said.
r = simulate("turn")
assert (r["group"] == np.arange(N) % GROUPS).all()
assert (simulate("said", "arrivals.split=round_robin")["group"] == r["group"]).all()

# By a key: one group for each value, in turn without one.
r = simulate("tenant", "arrivals.split=key", "arrivals.split_key=tenant")
for tenant in range(7):
    mine = (r["row"] % 7 == tenant) & (r["row"] % 10 != 0)
    assert len(set(r["group"][mine])) == 1, tenant
without = r["row"] % 10 == 0
assert (r["group"][without] == r["row"][without] % GROUPS).all()
assert len(set(r["group"])) == GROUPS
r = simulate("session", "arrivals.split=key")
assert all(len(set(r["group"][r["session"] == s])) == 1 for s in set(r["session"]))

# To the group with least to do when it arrives, of several the first; the same every time.
r = simulate("least", "arrivals.split=least_tokens")
assert (r["submitted_ns"] == r["arrival_ns"]).all()
for i in range(N):
    busy = r["finish_ns"][:i] > r["arrival_ns"][i]
    load = [r["tokens"][:i][busy & (r["group"][:i] == g)].sum() for g in range(GROUPS)]
    assert r["group"][i] == np.argmin(load), (i, load)
again = simulate("again", "arrivals.split=least_tokens")
assert all((again[c] == r[c]).all() for c in r)
assert not (r["group"] == np.arange(N) % GROUPS).all()

# Of sessions the first turn decides, and the others are load where they are.
r = simulate("sessions", "arrivals.split=least_tokens", "arrivals.mode=sessions")
for s in set(r["session"]):
    assert len(set(r["group"][r["session"] == s])) == 1, s
first = np.flatnonzero(r["turn"] == 0)
for i in first:
    before = (r["arrival_ns"] < r["arrival_ns"][i]) | (
        (r["arrival_ns"] == r["arrival_ns"][i]) & (np.arange(N) < i))
    busy = before & (r["finish_ns"] > r["arrival_ns"][i])
    load = [r["tokens"][busy & (r["group"] == g)].sum() for g in range(GROUPS)]
    assert r["group"][i] == np.argmin(load), (i, load)

# Really, two groups of one world.
if MPIRUN:
    for split in ("least_tokens", "key"):
        weft("run", "job.yaml", "-o", f"real-{split}", "-s", f"arrivals.split={split}",
             launcher=[*MPIRUN, "-n", "2"])
        weft("check", f"real-{split}", "--complete")
        assert set(requests(f"real-{split}")["group"]) == {0, 1}

# What is refused, and what is not used.
said = weft("plan", "job.yaml", "-s", "arrivals.split=least_tokens", "-s", "arrivals.mode=sessions",
            "-s", "arrivals.sessions=offline", "-s", "arrivals.concurrency=4", code=78)
assert "least_tokens decides as sessions arrive" in said, said
said = weft("plan", "job.yaml", "-s", "arrivals.split=key", "-s", "parallel.layout=groups", code=78)
assert "no common clock" in said, said
said = weft("plan", "job.yaml", "-s", "arrivals.split=key", "-s", "arrivals.mode=offline")
assert "arrivals.split is not used by arrivals.mode offline" in said, said
print("ok")
