#!/usr/bin/env python3
"""Sessions: a turn arrives when the one before it has ended and its think time is over; drained and
gone on with; over groups; and what is refused.

usage: test_sessions.py WEFT
"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

import h5py
import numpy as np

WEFT = os.path.abspath(sys.argv[1])
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
MODEL = os.path.join(ROOT, "tests", "golden", "llama-mini")
ENV = dict(os.environ, WEFT_PROGRESS="off", OMP_NUM_THREADS="1")
N_SESSIONS, BAD = 9, 4  # of session BAD the second turn fails


def weft(*args, code=0):
    done = subprocess.run([WEFT, *args], capture_output=True, text=True, env=ENV)
    assert done.returncode == code, (args, done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


def job(name, arrivals, requests="rows.h5"):
    with open(f"{name}.yaml", "w", encoding="utf-8") as f:
        f.write(f"job: {name}\nmodel: {{path: {MODEL}}}\nrequests: [{requests}]\n"
                "parallel: {tensor: 1, threads: 1, backend: cpu}\n"
                "engine: {max_rows: 8, step_tokens: 64, page_tokens: 16, kv_memory: 16MiB}\n"
                f"arrivals: {arrivals}\n")
    return f"{name}.yaml"


def think(s, k):
    return 0.05 * k + 0.01 * s


def write_rows(path, thinks=True):
    """Session s has 1 + s % 4 turns; their logged times do not matter but for the first."""
    lines = []
    for s in range(N_SESSIONS):
        for k in range(1 + s % 4):
            prompt = [2 + (s + i) % 50 for i in range(10 + 12 * k)]
            if s == BAD + 1 and k == 1:
                prompt = [1] * 100000  # beyond the context
            line = {"prompt_token_ids": prompt, "max_new_tokens": 3 + k, "ignore_eos": True,
                    "arrival_s": round(0.1 * s + 0.02 * k, 3), "session": f"s{s}",
                    "meta": f"{s} {k}"}
            if thinks or k == 0:
                line["think_s"] = think(s, k)
            lines.append(line)
    lines.sort(key=lambda line: line["arrival_s"])
    with open("rows.jsonl", "w", encoding="utf-8") as f:
        f.writelines(json.dumps(line) + "\n" for line in lines)
    weft("pack", "rows.jsonl", "-o", path, "--model", MODEL)
    return len(lines)


def sessions(folder):
    """Of each session its turns as (arrival, submitted, finish, group, status, run), in order."""
    with h5py.File(os.path.join(folder, "results.h5")) as f:
        r = f["requests"]
        names = ("session", "turn", "arrival_ns", "submitted_ns", "finish_ns", "group", "status", "run")
        rows = list(zip(*(r[c][:].tolist() for c in names)))
        meta, at = bytes(r["meta"][:]), r["meta_offset"][:]
        notes = [tuple(map(int, meta[at[i]:at[i + 1]].split())) for i in range(len(rows))]
    of = {}
    for row, (s, k) in sorted(zip(rows, notes), key=lambda x: x[1]):
        assert row[1] == k, (row, k)
        of.setdefault(s, []).append(row[2:])
    assert len({row[0] for row in rows}) == len(of)
    return of


def follows(turns, s, slack_ns=0):
    """Each arrives at the end of the one before it and its think time; a failed one ends at once."""
    for k in range(1, len(turns)):
        end = turns[k - 1][2] if turns[k - 1][4] == 0 else turns[k - 1][0]
        gap = turns[k][0] - end - round(think(s, k) * 1e9)
        assert -1 <= gap <= slack_ns + 1, (s, k, gap)


os.chdir(tempfile.mkdtemp(prefix="weft-sessions-"))
n = write_rows("rows.h5")
replay = job("replay", "{mode: sessions}")

# In simulated time, to the nanosecond; a session's turns are one group's, whatever their number.
for groups in (1, 3):
    weft("simulate", replay, "--machine", "h200", "-g", str(groups), "-o", f"sim{groups}", code=3)
    of = sessions(f"sim{groups}")
    assert sum(map(len, of.values())) == n
    for s, turns in of.items():
        assert turns[0][0] == s * 100_000_000, turns
        assert len({t[3] for t in turns}) == 1
        assert all(t[1] == t[0] for t in turns if t[4] == 0)
        follows(turns, s)
    assert len({t[3] for turns in of.values() for t in turns}) == groups
assert [t[4] for t in of[BAD + 1]] == [0, 1], of[BAD + 1]  # a failed turn fails alone
weft("check", "sim3")
weft("simulate", replay, "--machine", "h200", "-g", "3", "-o", "again", code=3)
assert sessions("again") == of

# Sessions at a rate, think times drawn; n sessions at a time.
drawn = job("drawn", "{mode: sessions, sessions: poisson, rate: 20, think: exponential, think_time: 100ms}")
for folder, more in (("drawn1", []), ("drawn2", ["-g", "2"])):
    weft("simulate", drawn, "--machine", "h200", "-o", folder, *more, code=3)
one, two = sessions("drawn1"), sessions("drawn2")
thinks = [t[k][0] - t[k - 1][2] for t in one.values() for k in range(1, len(t)) if t[k - 1][4] == 0]
assert len(set(thinks)) == len(thinks) and 2e7 < np.mean(thinks) < 4e8, thinks
for s, turns in one.items():  # whoever runs it
    assert turns[0][0] == two[s][0][0]
    assert [turns[k][0] - turns[k - 1][2] for k in range(1, len(turns)) if turns[k - 1][4] == 0] == \
        [two[s][k][0] - two[s][k - 1][2] for k in range(1, len(turns)) if turns[k - 1][4] == 0]
users = job("users", "{mode: sessions, sessions: offline, concurrency: 2}")
weft("simulate", users, "--machine", "h200", "-o", "users", code=3)
spans = [(t[0][0], max(x[2] for x in t)) for t in sessions("users").values()]
for begin, _ in spans:
    assert sum(a <= begin < b for a, b in spans) <= 2, spans

# Really: left in the middle and gone on with.
SLOWLY = ["-o", "real", "-s", "arrivals.speed=0.2", "-s", "output.drain=0s"]
run = subprocess.Popen([WEFT, "run", replay, *SLOWLY], env=ENV, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True)
until = time.monotonic() + 60
while time.monotonic() < until and run.poll() is None:
    status = json.loads(subprocess.run([WEFT, "status", "real", "--json"], env=ENV, text=True,
                                       capture_output=True).stdout or "{}")
    if status.get("requests_done", 0) >= 4:
        break
    time.sleep(0.02)
run.send_signal(signal.SIGTERM)
said = run.communicate(timeout=60)[0]
assert run.returncode in (75, 3), said
drained = run.returncode == 75
if drained:
    weft("run", replay, *SLOWLY, code=3)
weft("check", "real", "--complete")
of = sessions("real")
assert sum(map(len, of.values())) == n
for s, turns in of.items():
    for first in range(len(turns)):  # turns of one run follow each other; a slow machine is late
        part = [t for t in turns if t[5] == turns[first][5]]
        if part == turns:
            follows(turns, s, 0)
    runs = [t[5] for t in turns]
    assert runs == sorted(runs)
    if len(set(runs)) == 2:  # the first left over counts its think time from the clock's start
        k = runs.index(1)
        begun = min(t[0][0] for t in of.values() if t[0][5] == 1) if any(
            t[0][5] == 1 for t in of.values()) else (N_SESSIONS - 1) * 500_000_000
        assert abs(turns[k][0] - begun - round(think(s, k) * 1e9)) <= 1, (s, k, turns, begun)

# What a report says of them.
figures = json.loads(weft("report", "sim3", "--json"))
with h5py.File("sim3/results.h5") as f:
    r = {c: f["requests"][c][:] for c in ("session", "arrival_ns", "finish_ns")}
spans = [(r["finish_ns"][r["session"] == s].max() - r["arrival_ns"][r["session"] == s].min()) / 1e6
         for s in np.unique(r["session"])]
counts = [int((r["session"] == s).sum()) for s in np.unique(r["session"])]
assert figures["sessions"] == N_SESSIONS
assert np.isclose(figures["mean_session_turns"], np.mean(counts))
for q in (50, 90, 99):
    assert np.isclose(figures[f"p{q}_session_duration_ms"], np.percentile(spans, q)), (q, spans)
    name = "median_session_turns" if q == 50 else f"p{q}_session_turns"
    assert np.isclose(figures[name], np.percentile(counts, q))
assert "turns on average" in weft("report", "sim3")

# A prefix that a session's turns share is computed once, by its group.
with h5py.File("real/results.h5") as f:
    r = f["requests"]
    assert (r["n_cached"][:][(r["turn"][:] > 0) & (r["status"][:] == 0)] > 0).any()

# What a log says of sessions is described.
with open("log.csv", "w", encoding="utf-8") as f:
    f.write("arrival_s,input_tokens,output_tokens,who,took\n")
    f.writelines(f"{i},9,2,{i % 7 % 4},0.25\n" for i in range(40))
seen = json.loads(weft("import", "csv", "log.csv", "--describe", "--json", "--map", "who=session",
                       "--map", "took=busy_s", "--from", "3s"))
turns, gaps, last = {}, [], {}
for i in range(3, 40):
    who = i % 7 % 4
    turns[who] = turns.get(who, 0) + 1
    if who in last:
        gaps.append(i - last[who] - 0.25)
    last[who] = i
assert (seen["sessions"], seen["turns"], seen["known_think_times"]) == (4, 37, 33), seen
for key, values in (("turns_per_session", list(turns.values())), ("think_s", gaps)):
    assert np.isclose(seen[key]["mean"], np.mean(values)), (key, seen[key], values)
    assert np.isclose(seen[key]["p90"], np.percentile(values, 90)), (key, seen[key])

# What is refused, by the plan too.
write_rows("silent.h5", thinks=False)
with open("plain.jsonl", "w", encoding="utf-8") as f:
    f.write('{"prompt_token_ids": [1, 2], "max_new_tokens": 2}\n' * 1)
weft("pack", "plain.jsonl", "-o", "plain.h5", "--model", MODEL)
for name, arrivals, requests, words in (
        ("silent", "{mode: sessions}", "silent.h5", "say no think time"),
        ("plain", "{mode: sessions}", "plain.h5", "which session it is a turn of"),
        ("rate", "{mode: sessions, sessions: poisson}", "rows.h5", "arrivals.rate"),
        ("mean", "{mode: sessions, think: fixed}", "rows.h5", "arrivals.think_time")):
    path = job(name, arrivals, requests)
    assert words in weft("plan", path, code=78), name
    assert words in weft("run", path, "-o", "no", code=78), name
# Tasks of an array do not wait for each other: a session may not have turns in two of them.
for i, who in enumerate(("a", "b", "a", "c")):
    with open(f"part{i}.jsonl", "w", encoding="utf-8") as f:
        f.write(json.dumps({"prompt_token_ids": [1, 2 + i], "max_new_tokens": 2, "session": who,
                            "arrival_s": 0.1 * i, "think_s": 0.1}) + "\n")
    weft("pack", f"part{i}.jsonl", "-o", f"part{i}.h5", "--model", MODEL)
path = job("parts", "{mode: sessions}", "part0.h5, part1.h5, part2.h5, part3.h5")
said = weft("submit", path, "--array", "4", "--dry-run", code=78)
assert "part0.h5 (part 0 of 4) and in part2.h5 (part 2)" in said and "--shard-rows" in said, said
assert "--array=0-1" in weft("submit", path, "--array", "2", "--dry-run")
assert "--array=0-3" in weft("submit", path, "--array", "4", "--dry-run", "-s", "arrivals.mode=replay")
path = job("groups", "{mode: sessions}")
assert "no common clock" in weft("plan", path, "-s", "parallel.layout=groups", code=78)
path = job("given", "{mode: sessions, think_time: 10ms}", "silent.h5")
weft("simulate", path, "--machine", "h200", "-o", "given", code=3)
print("ok", "drained" if drained else "was too fast to be drained")
