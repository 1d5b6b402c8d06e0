#!/usr/bin/env python3
"""A job in simulated time is the job: the same steps, rows and tokens as when it really runs, the
same results every time, alone and in groups; and what is refused.

usage: test_simulate.py WEFT
"""
import csv
import json
import os
import subprocess
import sys
import tempfile

import h5py

WEFT = os.path.abspath(sys.argv[1])
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
MODEL = os.path.join(ROOT, "tests", "golden", "llama-mini")


def weft(*args, code=0):
    done = subprocess.run([WEFT, *args], capture_output=True, text=True,
                          env=dict(os.environ, WEFT_PROGRESS="off", OMP_NUM_THREADS="1"))
    assert done.returncode == code, (args, done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


def job(name, **keys):
    lines = [f"job: {name}", f"model: {{path: {MODEL}}}", "requests: [rows.h5]",
             "engine: {max_rows: 8, step_tokens: 64, page_tokens: 16, kv_memory: 16MiB}"]
    lines += [f"{k}: {v}" for k, v in keys.items()]
    with open(f"{name}.yaml", "w", encoding="utf-8") as f:
        f.write("\n".join(lines) + "\n")
    return f"{name}.yaml"


def steps(folder):
    """What each step held; times are the device's own."""
    with h5py.File(os.path.join(folder, "results.h5")) as f:
        return [tuple(int(f["steps"][c][i]) for c in ("n_decode", "n_prompt_tokens"))
                for i in range(len(f["steps"]["n_decode"]))]


def rows_once(folder, n):
    with h5py.File(os.path.join(folder, "results.h5")) as f:
        assert sorted(f["requests"]["row"][:]) == list(range(n))
        return {int(g) for g in f["requests"]["group"][:]}


def same(a, b):
    said = weft("diff", a, b)
    assert "TTFT" not in said or all(
        "+0.000" in line.split("%")[-1] for line in said.splitlines() if line[:4] in ("TTFT", "TPOT")), said
    return said


os.chdir(tempfile.mkdtemp(prefix="weft-simulate-"))
weft("import", "poisson", "--rate", "400", "-n", "60", "--input-tokens", "uniform:4:40",
     "--output-tokens", "uniform:2:20", "-m", MODEL, "-o", "rows.h5")
offline = job("offline", parallel="{tensor: 1, threads: 1, backend: cpu}")
weft("run", offline, "--profile", "-o", "real")
costs = "real/profile.csv"
with open(costs, encoding="utf-8") as f:
    assert {"device", "limit", "gemm", "between"} <= {r["operation"] for r in csv.DictReader(f)}

# The same work, in no more steps: a real run's also begin before all that is leased has been read.
said = weft("simulate", offline, "--costs", costs, "-o", "one")
assert "(simulated)" in said and "60 done" in said, said
one, real = steps("one"), steps("real")
assert len(one) <= len(real) and [sum(c) for c in zip(*one)] == [sum(c) for c in zip(*real)]
assert rows_once("one", 60) == {0}
weft("check", "one")

# Groups take leases in the order of simulated time: the same results every time.
for folder in ("three", "again"):
    weft("simulate", offline, "--costs", costs, "-g", "3", "-o", folder)
assert rows_once("three", 60) == {0, 1, 2}
same("three", "again")
with h5py.File("three/results.h5") as three, h5py.File("one/results.h5") as one:
    ends = [f["requests"]["finish_ns"][:].max() for f in (three, one)]
assert ends[0] < 0.6 * ends[1], ends  # three share the work

# A replay takes what arrives at its time to the nanosecond.
replay = job("replay", arrivals="{mode: replay}")
weft("simulate", replay, "--machine", "h200", "-g", "2", "-o", "replayed")
rows_once("replayed", 60)
with h5py.File("replayed/results.h5") as f:
    assert (f["requests"]["submitted_ns"][:] == f["requests"]["arrival_ns"][:]).all()
    assert (f["requests"]["first_token_ns"][:] > f["requests"]["arrival_ns"][:]).all()

# A report says what was in flight, and does not report nothing.
said = weft("simulate", offline, "--costs", costs, "-s", "arrivals.concurrency=4", "-o", "four")
assert "offline: 4 in flight at a time" in said, said
with h5py.File("four/results.h5") as f:  # what is only read ahead has not arrived
    assert f["steps/n_waiting"][:].max() <= 4, f["steps/n_waiting"][:]
assert "nothing is left to report" in weft("report", "one", "--warmup", "5h", code=64)

# Beside a real run its tokens say nothing, and diff says so.
assert "b is simulated" in weft("diff", "real", "one", code=1)
assert json.loads(weft("diff", "real", "one", "--json", code=1))["simulated_b"]
assert "is simulated" not in weft("diff", "three", "again")

# Two devices to a group need links, and are faster for them.
pair = job("pair", parallel="{tensor: 2}")
said = weft("simulate", pair, "--costs", costs, "-o", "pair", code=78)
assert "links" in said and "simulating" not in said, said
weft("simulate", pair, "--costs", costs, "--machine", "h200", "-o", "pair")
rows_once("pair", 60)

# What is refused.
assert "folder of their own" in weft("simulate", offline, "--costs", costs, code=64)
assert "--costs or --machine" in weft("simulate", offline, "-o", "x", code=64)
assert "profile.csv" in weft("simulate", offline, "--costs", "rows.h5", "-o", "x", code=78)
assert "simulating" not in weft("simulate", offline, "--costs", costs, "-o", "real", code=78)
weft("run", offline, "-o", "one", code=78)
print("ok")
