#!/usr/bin/env python3
"""best_of: the n best of more samples, by their log-probabilities, are those a job with all of them has;
and the texts of a beam search.

usage: test_best_of.py WEFT
"""
import json
import os
import subprocess
import sys
import tempfile

import h5py
import numpy as np

WEFT = sys.argv[1]
MODEL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../jobs/demo/model")
os.environ["WEFT_PROGRESS"] = "off"
os.chdir(tempfile.mkdtemp())


def weft(*words, code=0):
    done = subprocess.run([WEFT, *words], capture_output=True, text=True)
    assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


def run(out, *settings, shard="a.h5", code=0):
    weft("run", "job.yaml", "--out", out, "-s", f"requests=[{shard}]",
         *[w for s in settings for w in ("-s", s)], code=code)
    weft("check", out, *(["--complete"] if code == 0 else []))
    weft("merge", out, "-o", out + ".h5")
    return h5py.File(out + ".h5")


def tokens(f):
    """Tokens of every result by (row, sample), and the sums of their log-probabilities."""
    at = f["requests/output_offset"][:].astype(int)
    keys = list(zip(f["requests/row"][:].tolist(), f["requests/sample"][:].tolist()))
    ids = {k: f["tokens/id"][at[i]:at[i + 1]].tolist() for i, k in enumerate(keys)}
    if "tokens/logprob" not in f:
        return ids, None
    logprob = f["tokens/logprob"][:].astype(np.float64)
    return ids, {k: logprob[at[i]:at[i + 1]].sum() for i, k in enumerate(keys)}


def pack(name, **extra):
    with open("rows.jsonl", "w") as out:
        for i in range(6):
            row = {"id": i, "prompt": f"{'qz#x7k'[:2 + i % 4]}", "max_new_tokens": 12}
            out.write(json.dumps(row | extra) + "\n")
    weft("pack", "rows.jsonl", "--bytes", "--model", MODEL, "-o", name)


def same_best(f, ids, sums, n, of):
    got, _ = tokens(f)
    score = f["requests/score"][:]
    assert len(got) == 6 * n
    for row in range(6):
        best = sorted(range(of), key=lambda s: (-np.float32(sums[row, s]), s))[:n]
        for i, s in enumerate(best):
            assert got[row, i] == ids[row, s], (row, i, s)
            at = list(zip(f["requests/row"], f["requests/sample"])).index((row, i))
            assert abs(score[at] - sums[row, s]) < 1e-4


pack("a.h5")
with open("job.yaml", "w") as out:
    out.write(f"model: {{path: {MODEL}}}\nparallel: {{threads: 1}}\n"
              "engine: {max_rows: 16, step_tokens: 128, kv_memory: 64MiB}\n"
              "sampling: {temperature: 2}\n")
all_ids, sums = tokens(run("all", "sampling.n=5", "sampling.logprobs=0"))
assert len({tuple(all_ids[0, s]) for s in range(5)}) > 1

# By the job, without log-probabilities in the results; and gone on with: nothing is left to do.
f = run("best", "sampling.n=2", "sampling.best_of=5")
assert "tokens/logprob" not in f
same_best(f, all_ids, sums, 2, 5)
assert "score" in weft("show", "best", "--row", "3")
# What was drawn and not kept is told with each row's first result.
drawn, kept = sum(len(t) for t in all_ids.values()), sum(len(t) for t in tokens(f)[0].values())
dropped, sample = f["requests/n_dropped"][:], f["requests/sample"][:]
assert dropped.sum() == drawn - kept > 0 and (dropped[sample > 0] == 0).all()
assert f", {drawn - kept} of samples not kept" in weft("report", "best")
assert json.loads(weft("report", "--json", "best"))["dropped_tokens"] == drawn - kept
assert "score" in weft("export", "best", "-o", "best.csv") + open("best.csv").read()
weft("run", "job.yaml", "--out", "best", "-s", "requests=[a.h5]", "-s", "sampling.n=2", "-s",
     "sampling.best_of=5")
weft("run", "job.yaml", "--out", "best", "-s", "requests=[a.h5]", "-s", "sampling.n=2", "-s",
     "sampling.best_of=4", code=78)

# By the rows, which keep their log-probabilities.
pack("b.h5", best_of=5, logprobs=0)
f = run("rows", shard="b.h5")
assert not np.isnan(f["tokens/logprob"][:]).any()
got, own = tokens(f)
assert all(np.isclose(own[k], s, atol=1e-4) for k, s in
           zip(zip(f["requests/row"], f["requests/sample"]), f["requests/score"]))

# What cannot be.
assert "below sampling.n" in weft("plan", "job.yaml", "-s", "requests=[a.h5]", "-s", "sampling.n=3",
                                 "-s", "sampling.best_of=2", code=78)
pack("c.h5", best_of=2, n=3)
f = run("fewer", shard="c.h5", code=3)
assert (f["requests/status"][:] == 1).all() and len(f["requests/row"]) == 18
pack("d.h5", best_of=2, temperature=0.0)
assert "all samples are the same" in weft("plan", "job.yaml", "-s", "requests=[d.h5]", code=3)

# Beam search, by the rows' own columns and by the job: best first, and with greedy rows beside it.
pack("e.h5", beam_width=4, n=3, early_stopping="never", length_penalty=0.5, temperature=0.0, logprobs=0)
f = run("beams", "parallel.tensor=1", shard="e.h5")
ids, sums = tokens(f)
score = {k: s for k, s in zip(ids, f["requests/score"][:].tolist())}
assert len(ids) == 18
for (row, i), value in score.items():
    assert abs(value - sums[row, i] / len(ids[row, i]) ** 0.5) < 1e-3
    assert i == 0 or value <= score[row, i - 1]
    assert i == 0 or ids[row, i] != ids[row, i - 1]
same, _ = tokens(run("beams-job", "sampling.temperature=0", "sampling.beam_width=4", "sampling.n=3",
                     "sampling.early_stopping=never", "sampling.length_penalty=0.5"))
assert same == ids
weft("run", "job.yaml", "--out", "beams", "-s", "requests=[e.h5]", "-s", "parallel.tensor=1")
# Four beams of 12 tokens behind prompts of 2 to 5: 16 rows hold four such requests.
said = weft("plan", "job.yaml", "-s", "requests=[e.h5]")
assert "  beams     4.0 rows of the batch a request, and KV of 51 tokens at its end" in said, said
assert "  at once   4 per group" in said, said
assert "not with temperature" in weft("plan", "job.yaml", "-s", "requests=[a.h5]", "-s",
                                      "sampling.beam_width=4", code=3)
assert "every beam needs a row" in weft("plan", "job.yaml", "-s", "requests=[a.h5]", "-s",
                                        "sampling.beam_width=20", code=78)
print("ok")
