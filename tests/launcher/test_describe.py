#!/usr/bin/env python3
"""Holds every figure of `weft import --describe --json` against numpy's of the same log.

usage: test_describe.py WEFT FOLDER_OF_LOGS [LOG...]      skips (77) without numpy
"""
import datetime
import hashlib
import json
import subprocess
import sys

try:
    import numpy as np
except ImportError:
    print("skipped: no numpy")
    sys.exit(77)

WEFT, FOLDER = sys.argv[1:3]
LOGS = sys.argv[3:] or [FOLDER + "/azure-50.csv", FOLDER + "/mooncake-slice.jsonl"]


def read_csv(text):
    """Seconds from the first row, input and output lengths, no blocks."""
    rows = [line.split(",") for line in text.split("\r\n")[1:]]
    stamps = [stamp.split(".") for stamp, _, _ in rows]
    ns = np.array([
        int(datetime.datetime.fromisoformat(whole + "+00:00").timestamp()) * 10**9 + int(part) * 100
        for whole, part in stamps
    ])
    return ns, [int(r[1]) for r in rows], [int(r[2]) for r in rows], None


def read_jsonl(text):
    rows = [json.loads(line) for line in text.splitlines()]
    ns = np.array([r["timestamp"] * 10**6 for r in rows])
    blocks = [r["hash_ids"] for r in rows]
    return ns, [r["input_length"] for r in rows], [r["output_length"] for r in rows], blocks


def near(what, got, want):
    assert abs(got - want) <= 1e-9 * max(1, abs(want)), (what, got, want)


def same_distribution(what, got, values):
    near(what, got["mean"], np.mean(values))
    near(what, got["max"], np.max(values))
    for q in (50, 90, 99):
        near(what, got[f"p{q}"], np.percentile(values, q))


def repeated_share(blocks, n_prompt):
    seen, repeated = set(), 0
    for ids, n in zip(blocks, n_prompt):
        for i, block in enumerate(ids):
            repeated += min(512, n - 512 * i) if block in seen else 0
            seen.add(block)
    return repeated / sum(n_prompt)


for log in LOGS:
    raw = open(log, "rb").read()
    got = json.loads(subprocess.check_output([WEFT, "import", "--describe", "--json", log]))
    ns, n_prompt, n_new, blocks = (read_csv if log.endswith("csv") else read_jsonl)(raw.decode())
    ns = np.sort(ns) - ns.min()
    gaps = np.diff(ns) / 1e9
    assert got["sha256"] == hashlib.sha256(raw).hexdigest()
    assert got["rows"] == len(n_prompt)
    near("span", got["span_s"], ns[-1] / 1e9)
    near("rate", got["rate"]["mean_per_s"], len(ns) / (ns[-1] / 1e9))
    assert got["rate"]["peak_in_1s"] == np.bincount(ns // 10**9).max()
    assert got["rate"]["bins"] == np.histogram(ns, bins=60, range=(0, ns[-1]))[0].tolist()
    near("CV", got["inter_arrival_cv"], gaps.std() / gaps.mean())
    same_distribution("gaps", got["inter_arrival_s"], gaps)
    same_distribution("input", got["input_tokens"], n_prompt)
    same_distribution("output", got["output_tokens"], n_new)
    assert got["total_input_tokens"] == sum(n_prompt)
    assert got["total_output_tokens"] == sum(n_new)
    near("grid", got["grid_s"], np.gcd.reduce(ns) / 1e9)
    if blocks is None:
        assert got["repeated_block_share"] is None
    else:
        near("shared", got["repeated_block_share"], repeated_share(blocks, n_prompt))
    print(log, "ok")
