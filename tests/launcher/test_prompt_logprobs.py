#!/usr/bin/env python3
"""prompt_logprobs: for each row that asks, what generating the same tokens says; in a group, merged, as
JSON, and in a job that is gone on with.

usage: test_prompt_logprobs.py WEFT
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
os.environ.update(WEFT_PROGRESS="off", OMP_NUM_THREADS="1", OMPI_ALLOW_RUN_AS_ROOT="1",
                  OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
os.chdir(tempfile.mkdtemp())
N = 12


def weft(*words, code=0, ranks=1):
    start = ["mpirun", "--oversubscribe", "-n", str(ranks)] if ranks > 1 else []
    done = subprocess.run([*start, WEFT, *words], capture_output=True, text=True)
    assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


def run(out, shard, *settings, ranks=1):
    weft("run", "job.yaml", "--out", out, "-s", f"requests=[{shard}]",
         *[w for s in settings for w in ("-s", s)], ranks=ranks)
    weft("check", out, "--complete")
    weft("merge", out, "-o", out + ".h5")
    return h5py.File(out + ".h5")


def rows_of(f, cut, *names):
    at = f[f"requests/{cut}"][:].astype(int)
    columns = [f[name][:] for name in names]
    return {row: [c[at[i]:at[i + 1]] for c in columns]
            for i, row in enumerate(f["requests/row"][:].tolist())}


def pack(name, rows):
    with open("rows.jsonl", "w") as out:
        out.writelines(json.dumps(row) + "\n" for row in rows)
    weft("pack", "rows.jsonl", "--model", MODEL, "-o", name)


with open("job.yaml", "w") as out:
    out.write(f"model: {{path: {MODEL}, dtype: f32}}\nrequests: [a.h5]\nsampling: {{ignore_eos: true}}\n"
              "engine: {max_rows: 4, step_tokens: 16}\n")

# What the model writes after prompts of several lengths, and thinks of it.
prompts = [[5 + (7 * i + k) % 90 for k in range(1 + 3 * i)] for i in range(6)]
pack("a.h5", [{"prompt_token_ids": p, "max_new_tokens": N} for p in prompts])
written = rows_of(run("written", "a.h5", "sampling.logprobs=2"), "output_offset", "tokens/id",
                  "tokens/logprob", "tokens/top_id", "tokens/top_logprob")

# The same texts as prompts: all rows by the job file, then some by their own column.
texts = [p + written[i][0].tolist() for i, p in enumerate(prompts)]
pack("b.h5", [{"prompt_token_ids": t, "max_new_tokens": 2} for t in texts])
alone = run("alone", "b.h5", "sampling.prompt_logprobs=2")
scores = rows_of(alone, "prompt_offset", "prompts/logprob", "prompts/top_id", "prompts/top_logprob")
for i, text in enumerate(texts):
    logprob, top_id, top_logprob = scores[i]
    assert len(logprob) == len(text) and np.isnan(logprob[0]) and (top_id[0] == -1).all()
    n = len(prompts[i])
    assert np.array_equal(logprob[n:], written[i][1]), i
    assert np.array_equal(top_id[n:], written[i][2]) and np.array_equal(top_logprob[n:], written[i][3])

pack("c.h5", [{"prompt_token_ids": t, "max_new_tokens": 2,
               **({"prompt_logprobs": i % 3} if i % 2 else {})} for i, t in enumerate(texts)])
mixed = run("mixed", "c.h5", "engine.step_tokens=200", "engine.max_rows=64")
own = rows_of(mixed, "prompt_offset", "prompts/logprob", "prompts/top_id")
for i, (logprob, top_id) in own.items():
    assert len(logprob) == (len(texts[i]) if i % 2 else 0)
    if i % 2:
        assert np.array_equal(logprob[1:], scores[i][0][1:]), i
        assert np.array_equal(top_id[:, :i % 3], scores[i][1][:, :i % 3])
        assert (top_id[:, i % 3:] == -1).all()
row = json.loads(weft("show", "alone", "--row", "1", "--json"))
assert row["prompt_logprobs"][0] is None and len(row["prompt_top_ids"][3]) == 2

# Two ranks split the sums: the same but for rounding.
pair = rows_of(run("pair", "b.h5", "sampling.prompt_logprobs=2", "parallel.tensor=2", ranks=2),
               "prompt_offset", "prompts/logprob")
for i in scores:
    assert np.allclose(pair[i][0][1:], scores[i][0][1:], atol=1e-3), i

# A folder of before is gone on with, and refused where the answers would be others.
weft("run", "job.yaml", "--out", "alone", "-s", "requests=[b.h5]", "-s", "sampling.prompt_logprobs=2")
said = weft("run", "job.yaml", "--out", "alone", "-s", "requests=[b.h5]", code=78)
assert "sampling.prompt_logprobs" in said, said
weft("run", "job.yaml", "--out", "beams", "-s", "requests=[b.h5]", "-s",
     "sampling.prompt_logprobs=0", "-s", "sampling.beam_width=2", code=3)
said = weft("show", "beams", "--row", "1")
assert "prompt_logprobs: not with beam_width 2" in said, said
print("prompt_logprobs: ok")
