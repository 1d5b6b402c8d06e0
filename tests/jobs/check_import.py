"""Compares imported shards with the logs they came from, read independently of the importer.

check_import.py azure LOG SHARD
check_import.py mooncake LOG SHARD"""
import datetime
import hashlib
import json
import sys

import h5py
import numpy as np

kind, log, shard = sys.argv[1:]
f = h5py.File(shard)
arrival = f["requests/arrival_ns"][:]
n_prompt = np.diff(f["requests/prompt_offset"][:].astype(np.int64))
n_new = f["requests/max_new_tokens"][:]
tokens = f["prompts/tokens"][:]
start = f["requests/prompt_offset"][:]
raw = open(log, "rb").read()

assert f.attrs["source_sha256"].decode() == hashlib.sha256(raw).hexdigest()
assert (f["requests/ignore_eos"][:] == 1).all()
assert tokens.min() >= 0 and tokens.max() < f.attrs["vocab_size"]

if kind == "azure":
    rows = [line.split(",") for line in raw.decode().split("\r\n")[1:]]
    times = []
    for stamp, _, _ in rows:
        whole, part = stamp.split(".")
        seconds = int(datetime.datetime.fromisoformat(whole + "+00:00").timestamp())
        times.append(seconds * 10**9 + int(part) * 100)
    assert arrival.tolist() == [t - times[0] for t in times]
    assert n_prompt.tolist() == [int(r[1]) for r in rows]
    assert n_new.tolist() == [int(r[2]) for r in rows]
    # Seeded tokens are spread over the vocabulary: chi-square of 256 bins, 255 degrees of freedom.
    count = np.bincount(tokens, minlength=256)
    expect = len(tokens) / 256
    assert 175 < ((count - expect) ** 2 / expect).sum() < 350
else:
    rows = [json.loads(line) for line in raw.decode().splitlines()]
    first = min(r["timestamp"] for r in rows)
    assert arrival.tolist() == [(r["timestamp"] - first) * 10**6 for r in rows]
    assert n_prompt.tolist() == [r["input_length"] for r in rows]
    assert n_new.tolist() == [r["output_length"] for r in rows]
    blocks, n_shared = {}, 0
    for i, r in enumerate(rows):
        prompt = tokens[start[i]:start[i + 1]]
        for k, block in enumerate(r["hash_ids"]):
            part = prompt[512 * k:512 * (k + 1)]
            if block in blocks:
                n = min(len(part), len(blocks[block]))
                assert (blocks[block][:n] == part[:n]).all(), (i, k)
                n_shared += 1
            elif len(part) == 512:
                blocks[block] = part
    assert n_shared >= 10, n_shared
    assert len({b.tobytes() for b in blocks.values()}) == len(blocks)
