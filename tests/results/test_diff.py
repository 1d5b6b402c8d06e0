"""weft diff on real runs: every row it tells, and every sum, recomputed from the results files.

usage: test_diff.py WEFT       skips where there is no h5py
"""
import json
import os
import shutil
import sys

from demo_jobs import demo_jobs, prompts

DRAWN = {"sampling__temperature": 1.2, "sampling__logprobs": 5, "sampling__ignore_eos": "true"}


def first_difference(a, b):
    n = min(len(a), len(b))
    return next((i for i in range(n) if a[i] != b[i]), n)


def expected(a, b):
    """{key: what of it differs} and the equal tokens of each key that both have."""
    kinds, equal = {}, {}
    for key in a.keys() | b.keys():
        if key not in a or key not in b:
            kinds[key] = "only in a" if key in a else "only in b"
            continue
        x, y = a[key]["tokens/id"].tolist(), b[key]["tokens/id"].tolist()
        equal[key] = first_difference(x, y)
        if a[key]["status"] != b[key]["status"]:
            kinds[key] = "status"
        elif x != y:
            kinds[key] = "tokens"
        elif a[key]["finish_reason"] != b[key]["finish_reason"]:
            kinds[key] = "finish"
    return kinds, equal


def gap(mine, at, other):
    """By how much the own token was more likely than the other side's; None: not among the top."""
    if at >= len(mine["tokens/id"]):
        return None
    for k, token in enumerate(mine["tokens/top_id"][at]):
        if token == other:
            return float(mine["tokens/logprob"][at]) - float(mine["tokens/top_logprob"][at][k])
    return None


def check_rows(said, a, b):
    kinds, _ = expected(a, b)
    uid_rows = {(key[1], key[2]): key for key in kinds}
    assert len(said["rows"]) == len(kinds), (said, kinds)
    assert said["rows"] == sorted(said["rows"], key=lambda r: (r["row"], r["sample"]))
    n_gaps = 0
    for row in said["rows"]:
        key = uid_rows[row["row"], row["sample"]]
        assert row["differs"] == kinds[key]
        if kinds[key] != "tokens":
            continue
        at = row["equal_tokens"]
        x, y = a[key]["tokens/id"].tolist(), b[key]["tokens/id"].tolist()
        assert at == first_difference(x, y)
        assert at >= len(x) or row["a"]["token_id"] == x[at]
        for mine, other, side in ((a[key], y, "a"), (b[key], x, "b")):
            want = gap(mine, at, other[at]) if at < len(other) else None
            n_gaps += want is not None
            assert (want is None) == ("gap" not in row[side]), (row, want)
            assert want is None or abs(row[side]["gap"] - want) < 1e-6
    assert n_gaps > 0


def check_sums(said, a, b):
    import numpy
    kinds, equal = expected(a, b)
    both = sorted(a.keys() & b.keys())
    assert said["in_both"] == len(both) and said["equal_tokens"] == sum(equal.values())
    assert said["differ_in_tokens"] == sum(k == "tokens" for k in kinds.values())
    apart = numpy.concatenate([numpy.abs(a[k]["tokens/logprob"][:equal[k]].astype(float)
                                         - b[k]["tokens/logprob"][:equal[k]]) for k in both])
    assert abs(said["max_logprob_difference"] - apart.max()) < 1e-9
    assert abs(said["mean_logprob_difference"] - apart.mean()) < 1e-9
    done = [k for k in both if a[k]["status"] == 0 == b[k]["status"]]
    times = {"ttft": lambda r: r["first_token_ns"] - r["arrival_ns"],
             "e2el": lambda r: r["finish_ns"] - r["arrival_ns"]}
    for name, of in times.items():
        by = numpy.array([of(b[k]) - of(a[k]) for k in done]) / 1e6
        assert said[name]["n"] == len(done)
        assert abs(said[name]["p90_difference_ms"] - numpy.percentile(by, 90)) < 1e-6
        assert abs(said[name]["max_difference_ms"] - by.max()) < 1e-6


def main(weft):
    with demo_jobs(weft) as jobs:
        jobs.pack("x", prompts(60) + [{"prompt_token_ids": [9999], "max_new_tokens": 4}])
        jobs.pack("y", prompts(9, first=70))
        jobs.run("a", "x", code=3, **DRAWN, seed=1)
        jobs.run("same", "x", code=3, **DRAWN, seed=1, engine__max_rows=3)
        jobs.run("b", "x", code=3, **DRAWN, seed=2)
        jobs.run("more", "y", "x", code=3, **DRAWN, seed=1)

        text = jobs.weft_run("diff", "a", "same")  # batches of 3 rows: the same tokens
        assert "differ        0" in text and "61 in both" in text and "TTFT" in text, text
        assert jobs.weft_run("diff", "a", "b", "--quiet", code=1) == "" and jobs.said == ""

        a, b = jobs.rows("a/results.h5"), jobs.rows("b/results.h5")
        said = json.loads(jobs.weft_run("diff", "a", "b", "--json", "--max", "1000", code=1))
        check_rows(said, a, b)
        check_sums(said, a, b)
        few = jobs.weft_run("diff", "a", "b", "--max", "2", code=1)
        assert few.count(" of x.h5") == 2 and "nat" in few, few
        every = json.loads(jobs.weft_run("diff", "a", "b", "--json", "--tie", "1.0", code=1))
        assert every["ties"] > 0 < every["differ_in_tokens"] and every["ties"] + every["differ_in_tokens"] == \
            said["differ_in_tokens"]

        # unmerged segments, in the order in which rows ended, are the same rows
        shutil.copytree(jobs.path("a"), jobs.path("parts"))
        os.remove(jobs.path("parts/results.h5"))
        jobs.weft_run("diff", "a", "parts")
        jobs.weft_run("diff", "a/results.h5", "parts")

        # other shards, in another order of shards
        told = jobs.weft_run("diff", "a", "more", code=1)
        assert "9 only in b" in told and "only in b: " in told, told
        jobs.weft_run("diff", "a", "more", "--common")
        jobs.weft_run("diff", "more", "a", "--common")
        shutil.copytree(jobs.path("a"), jobs.path("array/a0"))  # a job array of one task
        jobs.weft_run("diff", "array", "a")

        for words, code, why in ((["a", "nowhere"], 66, "nowhere"), (["a"], 64, ""),
                                 (["a", "b", "--tie", "x"], 64, "--tie"),
                                 (["a", "job.yaml"], 65, "job.yaml")):
            jobs.weft_run("diff", *words, code=code)
            assert why in jobs.said, jobs.said


if __name__ == "__main__":
    main(sys.argv[1])
