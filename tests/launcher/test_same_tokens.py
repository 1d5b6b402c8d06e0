"""The whole program, from shard to results, in every way of running: the tokens must be the same.

usage: test_same_tokens.py WEFT [cpu | cuda]

Runs demo prompts and long prompts of a real arrival log (some sampled, greedy the others) with
tensor-parallel groups of 1, 2 and 4, every reorder and every fusion, and compares all tokens. On
GPUs with engine.deterministic, and as many ranks as there are devices; skips where there is none.
"""
import glob
import json
import os
import subprocess
import sys
import tempfile

import h5py

SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))

# name, ranks, settings; words that begin with -- are options
WAYS = [
    ("tensor 1", 1, []),
    ("tensor 2", 2, ["parallel.tensor=2"]),
    ("tensor 4", 4, ["parallel.tensor=4"]),
    ("2 replicas", 2, []),
    ("2 replicas of tensor 2", 4, ["parallel.tensor=2"]),
    ("reorder copy", 1, ["engine.reorder=copy", "engine.slot_tokens=1024", "engine.max_rows=8"]),
    ("reorder off", 1, ["engine.reorder=off"]),
    ("fusion window", 1, ["engine.fusion=window", "engine.window=100ms"]),
    ("fusion instances", 1, ["engine.fusion=instances", "engine.instances=4"]),
    ("fusion static", 1, ["engine.fusion=static", "engine.max_rows=8"]),
    ("small chunks", 1, ["engine.step_tokens=32", "engine.max_rows=8"]),
    ("few pages", 1, ["engine.kv_memory=3MiB"]),
    ("no prefix cache", 1, ["engine.prefix_cache=off"]),
    ("prefix cache, tensor 2", 2, ["parallel.tensor=2", "engine.prefix_cache=on"]),
    ("order prefix", 1, ["engine.order=prefix", "engine.max_rows=8"]),
    ("three in flight", 1, ["arrivals.concurrency=3"]),
    ("timed", 2, ["arrivals.mode=poisson", "arrivals.rate=100"]),
    ("one thread", 1, ["parallel.threads=1"]),
    ("profiled tensor 2", 2, ["parallel.tensor=2", "--profile"]),
]


# Prompt tokens that are not computed: the 8 have 320 in common with one before them.
SHARES = {"tensor 1": 8 * 320, "prefix cache, tensor 2": 8 * 320, "no prefix cache": 0}


# Of every ninth row. Tokens of the demo model are bytes, 257 ends an answer.
WISHES = [
    {"allowed_token_ids": [*range(ord("0"), ord("5")), 257], "max_new_tokens": 12},
    {"bad_words_token_ids": [[ord(digit)] for digit in "13579"]},
    {"bad_words_token_ids": [[ord(a), ord(b)] for a in "0123456789" for b in "02468"]},
    {"logit_bias": {"257": -100, str(ord("7")): 2.5}, "max_new_tokens": 20},
    {"logit_bias": {str(ord("7")): 100}, "bad_words_token_ids": [[ord("7")] * 3],
     "ignore_eos": True, "max_new_tokens": 20},
]


def granted(rows):
    """Whether the answers, by row, are what WISHES leaves."""
    allowed, odd, even, unended, sevens = (rows[1 + 9 * i] for i in range(5))
    return (set(allowed) <= set(WISHES[0]["allowed_token_ids"]) and allowed
            and not set(odd) & set(b"13579")
            and not any([a, b] in WISHES[2]["bad_words_token_ids"] for a, b in zip(even, even[1:]))
            and len(unended) == 20 and 257 not in unended
            and sevens.count(ord("7")) == 14 and b"777" not in bytes(t % 256 for t in sevens))


# Of every ninth row from the fifth on: texts that end it; the last one over tokens that are none.
STOPS = [{"stop": ["tt", "xy"]}, {"stop": "3", "min_tokens": 2}, {"stop": ["never"]},
         {"stop": ["zz", "js"]}, {"stop": ["uqr", "gg"], "ignore_eos": True, "max_new_tokens": 30}]


def stopped(rows):
    """Whether the answers, by row, end where STOPS has it, and some do end so."""
    n_ended = 0
    for i, stops in enumerate(STOPS):
        said = bytes(t for t in rows[4 + 9 * i] if t < 256).decode("latin-1")
        least = stops.get("min_tokens", 0)
        strings = [stops["stop"]] if isinstance(stops["stop"], str) else stops["stop"]
        n_ended += any(said.endswith(s) for s in strings)
        if any(s in said[least:-1] for s in strings):
            return False
    return n_ended >= 3


def n_devices():
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    there = len(glob.glob("/dev/nvidia[0-9]*"))
    return there if visible is None else min(there, len([v for v in visible.split(",") if v]))


def prompts(path):
    """80 demo prompts, 6 of a few hundred random bytes and 8 that begin as the longest of these does;
    every third one is sampled."""
    made = subprocess.run(
        [sys.executable, "jobs/demo/make_prompts.py", "--per-task", "20", "--span", "1"],
        cwd=SOURCE, check=True, capture_output=True, text=True).stdout
    rows = [json.loads(line) for line in made.splitlines()]
    state = 1
    for i in range(6):
        ids = []
        for _ in range(150 + 120 * i):
            state = (state * 1103515245 + 12345) % 2**31
            ids.append(state // 65536 % 256)
        rows.append({"id": 1000 + i, "prompt_token_ids": ids, "max_new_tokens": 40,
                     "ignore_eos": True, "arrival_s": 1.0})
    for i in range(8):
        rows.append({"id": 2000 + i, "prompt_token_ids": ids[:320] + [i + 1] * (10 + 9 * i),
                     "max_new_tokens": 20, "ignore_eos": True, "arrival_s": 1.0})
    for row in rows[::3]:
        row.update(temperature=1.0, top_p=0.9)
    for row, wishes in zip(rows[1::9], WISHES):
        row.update(wishes)
    for row, stops in zip(rows[4::9], STOPS):
        row.update(stops)
    with open(path, "w", encoding="ascii") as out:
        out.writelines(json.dumps(row) + "\n" for row in rows)


def tokens(path):
    with h5py.File(path) as f:
        assert (f["requests/status"][:] == 0).all(), "a request failed"
        offset, ids = f["requests/output_offset"][:], f["tokens/id"][:]
        keys = zip(f["requests/shard"][:], f["requests/row"][:])
        return {tuple(map(int, k)): ids[offset[i]:offset[i + 1]].tolist()
                for i, k in enumerate(keys)}


def cached(out):
    with h5py.File(os.path.join(out, "results.h5")) as f:
        column = f.get("requests/n_cached")
        return 0 if column is None else int(column[:].sum())


def run(weft, backend, folder, shard, name, ranks, settings):
    out = os.path.join(folder, name.replace(" ", "-"))
    job = os.path.join(folder, "job.yaml")
    with open(job, "w", encoding="ascii") as f:
        f.write(f"job: same\nseed: 5\nmodel: {{path: jobs/demo/model}}\nrequests: [{shard}]\n"
                "engine: {max_rows: 24, step_tokens: 256, kv_memory: 64MiB, max_context: 1024, "
                f"deterministic: {'true' if backend == 'cuda' else 'false'}}}\n"
                f"parallel: {{backend: {backend}}}\n")
    command = ["mpirun", "-n", str(ranks)] if ranks > 1 else []
    command += [weft, "run", job, "--out", out]
    for s in settings:
        command += [s] if s.startswith("--") else ["--set", s]
    done = subprocess.run(command, cwd=SOURCE, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{name}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    subprocess.run([weft, "check", out], check=True, capture_output=True)
    if name in SHARES and cached(out) != SHARES[name]:
        sys.exit(f"{name}: {cached(out)} prompt tokens were not computed, expected {SHARES[name]}")
    return tokens(os.path.join(out, "results.h5"))


def main():
    weft, backend = os.path.abspath(sys.argv[1]), (*sys.argv[2:], "cpu")[0]
    most_ranks = n_devices() if backend == "cuda" else 4
    if most_ranks < 1:
        print("skipped: no GPU on this machine")
        return 77
    os.environ.update(WEFT_LOG="warn", WEFT_PROGRESS="off", OMPI_MCA_mpi_yield_when_idle="1",
                      OMPI_MCA_rmaps_base_oversubscribe="1", OMPI_ALLOW_RUN_AS_ROOT="1",
                      OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        lines, shard = os.path.join(folder, "x.jsonl"), os.path.join(folder, "x.h5")
        prompts(lines)
        subprocess.run([weft, "pack", lines, "-o", shard, "--bytes", "--model", "jobs/demo/model"],
                       cwd=SOURCE, check=True, capture_output=True)
        want = None
        for way in WAYS:
            if way[1] > most_ranks:
                print(f"{way[0]:24} not run, has {way[1]} ranks")
                continue
            got = run(weft, backend, folder, shard, *way)
            want = want or got
            differ = [k for k in want if got.get(k) != want[k]]
            ok = not differ and len(got) == len(want)
            if not granted([got[0, i] for i in range(len(got))]):
                sys.exit(f"{way[0]}: an answer is not what its row wishes")
            if not stopped([got[0, i] for i in range(len(got))]):
                sys.exit(f"{way[0]}: an answer does not end at its row's stop string")
            failed += not ok
            print(f"{way[0]:24} {'same' if ok else 'DIFFERS in ' + str(len(differ))}"
                  f" ({len(got)} requests, {sum(map(len, got.values()))} tokens)")
    return failed


sys.exit(main())
