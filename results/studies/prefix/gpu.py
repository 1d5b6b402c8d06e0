#!/usr/bin/env python3
"""A prompt that many requests begin with, on one GPU: time with and without the prefix cache.

usage: results/studies/prefix/gpu.py BUILD OUT [REQUESTS [COMMON [OWN [NEW]]]]
       writes OUT/prefix-gpu.csv; by default 1000 requests of 2048 + 64 tokens that generate 8

8B in bf16 with random weights. COMMON is a multiple of 512: requests are lines of a Mooncake log, whose
hash_ids become prompts that share their blocks. `bound` is the floor of ../gpu-models/gpu_jobs.py over
the steps that were run. The ideal saves as large a part of the time without as it saves of the tokens
that steps compute; `bound_share` of the last row is the saving measured over that one.
"""
import json
import os
import subprocess
import sys

import h5py

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "gpu-models"))
from gpu_jobs import Shape, Study  # noqa: E402

BLOCK = 512


class Alike(Study):
    """Requests whose prompts begin with the same `common` tokens."""

    common = 0

    def shard(self, name, requests, vocab):
        log, path = os.path.join(self.out, name + ".jsonl"), os.path.join(self.out, name + ".h5")
        shared, fresh = list(range(self.common // BLOCK)), self.common // BLOCK
        with open(log, "w", encoding="ascii") as f:
            for _, prompt, new in requests:
                n_own = -(-prompt // BLOCK) - len(shared)
                ids = shared + list(range(fresh, fresh + n_own))
                fresh += n_own
                f.write(json.dumps({"timestamp": 0, "input_length": prompt, "output_length": new,
                                    "hash_ids": ids}) + "\n")
        subprocess.run(self.tool("weft", "import", "mooncake", log, "-o", path, "--vocab", str(vocab),
                                 "--seed", "7", "--replace"), check=True, stdout=subprocess.DEVNULL)
        return path


def cached_tokens(study):
    with h5py.File(os.path.join(study.out, "job", "results.h5"), "r") as f:
        return int(f["requests/n_cached"][:].sum()) if "requests/n_cached" in f else 0


def main():
    build, out = sys.argv[1:3]
    numbers = [int(x) for x in sys.argv[3:7]]
    n, common, own, new = numbers + [1000, 2048, 64, 8][len(numbers):]
    if common % BLOCK:
        raise SystemExit(f"COMMON {common} is no multiple of {BLOCK}")
    study, shape, taken = Alike(build, out), Shape("llama-3-8b"), {}
    study.common, study.table = common, "prefix-gpu.csv"
    study.limits()
    for cache in ("off", "on"):
        r = study.run(shape, [(0, common + own, new)] * n, engine__prefix_cache=cache,
                      engine__max_rows=256, engine__step_tokens=4096)
        tokens = int(r.n_prompt_tokens.sum() + r.n_decode.sum())
        taken[cache] = (r.total_s, tokens)
        study.row("prefix", shape.name, f"{n} requests of {common} + {own} tokens, cache {cache}",
                  r.total_s, "s", r.floor_s,
                  f"{r.n_prompt_tokens.sum()} prompt tokens computed, {cached_tokens(study)} cached; "
                  f"{len(r.start)} steps")
    (off_s, off_tokens), (on_s, on_tokens) = taken["off"], taken["on"]
    ideal = off_s * (1 - on_tokens / off_tokens)
    study.rows.append(["prefix", shape.name, "saved", f"{off_s - on_s:.4g}", "s", f"{ideal:.4g}",
                       f"{(off_s - on_s) / ideal:.3f}", "share of the ideal saving"])
    study.write(study.table)
    print(*study.rows[-1], sep=",", flush=True)


if __name__ == "__main__":
    main()
