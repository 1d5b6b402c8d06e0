#!/usr/bin/env python3
"""Two builds, one question: do they draw the same tokens with the same bits of log-probability?

usage: tests/same_bits.py OLD_WEFT NEW_WEFT [cpu | ref | cuda]

For changes that must change nothing. Every golden model and the demo's, alone and in groups of 2,
in chunks, with pages running out, with every reorder; greedy rows, sampled rows, rows with
penalties. Compares tokens, statuses and, bit for bit, log-probabilities; on a GPU with
engine.deterministic, since without it two runs of one build differ. Models that OLD does not know
are said and left out, and so is a way that neither build can run. Rows without penalties carry
log-probabilities: what those of penalised rows mean is an option.
"""
import glob
import json
import os
import random
import subprocess
import sys
import tempfile

import h5py

SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))

# name, ranks, settings
WAYS = [
    ("alone", 1, []),
    ("group of 2", 2, ["parallel.tensor=2"]),
    ("chunks", 1, ["engine.step_tokens=16", "engine.max_rows=6"]),
    ("pages run out", 1, ["engine.kv_memory={pages}"]),
    ("reorder copy", 1, ["engine.reorder=copy", "engine.slot_tokens=128", "engine.max_rows=6"]),
    ("reorder off", 1, ["engine.reorder=off", "engine.max_rows=6"]),
    ("bf16", 1, ["model.dtype=bf16"]),
]
PENALTIES = {"repetition_penalty": 1.2, "presence_penalty": 0.3, "frequency_penalty": 0.2}


def rows(vocab, penalties):
    draw = random.Random(7)
    for i in range(20):
        n = draw.randint(1, 60)
        row = {"id": i, "prompt_token_ids": [draw.randrange(vocab) for _ in range(n)],
               "max_new_tokens": draw.randint(1, 30), "ignore_eos": True}
        if i % 3 == 1:
            row.update(temperature=0.8, top_p=0.9, top_k=40)
        if penalties:
            row.update(PENALTIES)
        yield row


def results(path):
    with h5py.File(path) as f:
        order = sorted(range(len(f["requests/row"])), key=lambda i: f["requests/row"][i])
        offset, columns = f["requests/output_offset"][:], {}
        for name in ("id", "logprob"):
            if name in f["tokens"]:
                columns[name] = f["tokens"][name][:]
        return [(int(f["requests/status"][i]),
                 *(c[offset[i]:offset[i + 1]].tobytes() for c in columns.values()))
                for i in order]


def run(weft, backend, folder, model, shard, way, logprobs):
    name, ranks, settings = way
    out, job = os.path.join(folder, "out"), os.path.join(folder, "job.yaml")
    with open(job, "w", encoding="ascii") as f:
        f.write(f"job: bits\nseed: 3\nmodel: {{path: {model}}}\nrequests: [{shard}]\n"
                "engine: {max_rows: 12, step_tokens: 256, kv_memory: 16MiB, max_context: 128, "
                f"deterministic: {'true' if backend == 'cuda' else 'false'}}}\n"
                f"parallel: {{backend: {backend}}}\n")
    command = ["mpirun", "-n", str(ranks)] if ranks > 1 else []
    command += [weft, "run", job, "--out", out, "--fresh"]
    for s in [*settings, *(["sampling.logprobs=0"] if logprobs else [])]:
        command += ["--set", s]
    done = subprocess.run(command, cwd=SOURCE, capture_output=True, text=True)
    if done.returncode != 0:
        return f"exit {done.returncode}: {done.stderr.strip().splitlines()[-1:]}"
    return results(os.path.join(out, "results.h5"))


def page_budget(weft, model, config):
    """KV memory for some four rows of 128 tokens: fewer than run at once."""
    heads = config.get("num_key_value_heads") or config.get("num_attention_heads") or config["n_head"]
    layers = config.get("num_hidden_layers") or config["n_layer"]
    hidden, n = (config.get("hidden_size") or config["n_embd"],
                 config.get("num_attention_heads") or config["n_head"])
    head_dim = config.get("head_dim") or hidden // n
    return f"{2 * layers * heads * head_dim * 4 * 128 * 4}B"


def models():
    for path in sorted(glob.glob(os.path.join(SOURCE, "tests/golden/*/config.json"))):
        yield os.path.dirname(path)
    yield os.path.join(SOURCE, "jobs/demo/model")


def main():
    old, new = map(os.path.abspath, sys.argv[1:3])
    backend = (*sys.argv[3:], "cpu")[0]
    os.environ.update(WEFT_LOG="error", WEFT_PROGRESS="off", OMPI_MCA_mpi_yield_when_idle="1",
                      OMPI_MCA_rmaps_base_oversubscribe="1", OMPI_ALLOW_RUN_AS_ROOT="1",
                      OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    n_same = n_differ = 0
    with tempfile.TemporaryDirectory() as folder:
        for model in models():
            with open(os.path.join(model, "config.json"), encoding="utf-8") as f:
                config = json.load(f)
            pages = page_budget(old, model, config)
            for penalties in (False, True):
                lines, shard = os.path.join(folder, "x.jsonl"), os.path.join(folder, "x.h5")
                with open(lines, "w", encoding="ascii") as f:
                    f.writelines(json.dumps(r) + "\n" for r in rows(config["vocab_size"], penalties))
                packed = subprocess.run([old, "pack", lines, "-o", shard, "--model", model, "--replace"],
                                        capture_output=True, text=True)
                if packed.returncode != 0:
                    print(f"{os.path.basename(model)}: left out, the old build does not read it")
                    break
                for name, ranks, settings in WAYS:
                    way = (name, ranks, [s.format(pages=pages) for s in settings])
                    a, b = (run(w, backend, folder, model, shard, way, not penalties)
                            for w in (old, new))
                    what = f"{os.path.basename(model)}, {name}{', penalties' if penalties else ''}"
                    if isinstance(a, str) and isinstance(b, str):
                        print(f"{what}: neither runs it ({a})")
                    elif isinstance(a, str):
                        print(f"{what}: left out, the old build does not run it ({a})")
                    elif a == b:
                        n_same += 1
                    else:
                        n_differ += 1
                        print(f"{what}: DIFFERS ({a if isinstance(a, str) else 'old ran'}, "
                              f"{b if isinstance(b, str) else 'new ran'})")
    print(f"{n_same} the same, {n_differ} differ")
    return n_differ > 0 or n_same == 0


sys.exit(main())
