"""weft export on a real run: each form holds what the results file holds, in the input's order.

usage: test_export.py WEFT       skips where there is no h5py
"""
import csv
import json
import math
import os
import shutil
import sys

from demo_jobs import demo_jobs, prompts

WORDS = {"status": {0: "done", 1: "failed"},
         "finish_reason": {0: "none", 1: "stop", 2: "length", 3: "context", 4: "error"}}
LISTS = {"token_ids": "tokens/id", "token_time_ns": "tokens/time_ns", "logprobs": "tokens/logprob",
         "top_ids": "tokens/top_id", "top_logprobs": "tokens/top_logprob"}
STRANGE = "a,\"b\"\n\u00e9\u2028"


def same(said, stored):
    if isinstance(said, list):
        return len(said) == len(stored) and all(map(same, said, stored))
    if said is None:
        return math.isnan(stored)
    return said == stored or (isinstance(said, float) and abs(said - stored) < 1e-6 * abs(said))


def check_row(said, key, stored):
    assert (said["shard_uid"], said["row"], said["sample"]) == key, (said, key)
    for name, value in stored.items():
        if name in WORDS:
            assert said[name] == WORDS[name][value]
        elif not name.startswith("tokens/") and name in said:
            assert same(said[name], value), (name, said[name], value)
    n_lists = 0
    for name, column in LISTS.items():
        if column in stored and name in said:
            n_lists += 1
            assert same(said[name], stored[column].tolist()), (name, said[name], stored[column])
    assert n_lists == len(LISTS) or stored["status"] != 0, said


def check_rows(jobs, stored):
    jobs.weft_run("export", "out", "-o", "rows.jsonl")
    with open(jobs.path("rows.jsonl"), encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    order = sorted(stored, key=lambda key: (stored[key]["shard"], key[1], key[2]))
    assert len(lines) == len(order)
    for line, key in zip(lines, order):
        check_row(line, key, stored[key])
    assert json.loads(lines[0]["meta"])["note"] == STRANGE
    assert sum("9999" in (line["error"] or "") for line in lines) == 1

    jobs.weft_run("export", "out", "-o", "rows.csv")
    for name in ("rows.jsonl", "rows.csv"):
        check_resume(jobs, name)
    with open(jobs.path("rows.csv"), encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == len(lines)
    for cells, line in zip(table, lines):
        for name, cell in cells.items():
            want = line.get(name)
            if isinstance(want, (list, int)):
                assert json.loads(cell) == want, (name, cell, want)
            else:
                assert cell == (want or ""), (name, cell, want)
        assert set(line) <= set(cells), set(line) - set(cells)


def check_resume(jobs, name):
    """Cut off anywhere, the same command ends with the same bytes; what is no beginning is refused."""
    with open(jobs.path(name), "rb") as file:
        whole = file.read()
    ends = [i + 1 for i in range(len(whole)) if whole[i:i + 1] == b"\n"]
    for cut in (0, ends[0], ends[0] + 1, ends[1], ends[len(ends) // 2] - 1, len(whole) - 3, len(whole)):
        with open(jobs.path("again-" + name), "wb") as file:
            file.write(whole[:cut])
        jobs.weft_run("export", "out", "-o", "again-" + name, "--resume")
        with open(jobs.path("again-" + name), "rb") as file:
            assert file.read() == whole, (name, cut)
    for there in (whole[:40], whole[:ends[0]].replace(b"s", b"t") + whole[:7], whole + whole[:ends[0]]):
        with open(jobs.path("other-" + name), "wb") as file:
            file.write(there)
        jobs.weft_run("export", "out", "-o", "other-" + name, "--resume", code=78)
        with open(jobs.path("other-" + name), "rb") as file:
            assert file.read() == there, name


# --- the timeline, by the rules of the Trace Event Format ---


def check_nesting(events):
    """Asynchronous events of one id open and close like brackets, at times that do not go back."""
    tracks = {}
    for event in events:
        if event["ph"] in "be":
            tracks.setdefault((event["cat"], event["id"]), []).append(event)
    for track in tracks.values():
        open_names, last = [], -1.0
        for event in track:
            assert event["ts"] >= last or event["ph"] == "b", event
            if event["ph"] == "b":
                open_names.append(event["name"])
            else:
                assert open_names.pop() == event["name"], track
                last = event["ts"]
        assert not open_names, track
    return tracks


def check_events(trace):
    names = {}
    for event in trace["traceEvents"]:
        assert isinstance(event["ts"], (int, float)) and event["ph"] in "XbeCM", event
        assert isinstance(event["pid"], int) and isinstance(event["tid"], int)
        if event["ph"] == "X":
            assert event["dur"] >= 0
        if event["ph"] == "C":
            assert all(isinstance(v, int) and v >= 0 for v in event["args"].values()), event
        if event["ph"] == "M":
            names[event["pid"], event["name"]] = event["args"]["name"]
    assert {e["pid"] for e in trace["traceEvents"]} == {pid for pid, _ in names}
    return check_nesting(trace["traceEvents"])


def check_trace(jobs, stored):
    import h5py
    import numpy
    jobs.weft_run("export", "out", "-o", "trace.json", "--format", "perfetto")
    with open(jobs.path("trace.json"), encoding="utf-8") as file:
        trace = json.load(file)
    tracks = check_events(trace)
    assert len(tracks) == len(stored) and trace["otherData"]["one_request_of"] == 1
    with h5py.File(jobs.path("out/results.h5"), "r") as file:
        steps = {k: v[:] for k, v in file["steps"].items()}
    drawn = [e for e in trace["traceEvents"] if e["ph"] == "X"]
    assert len(drawn) == len(steps["start_ns"])
    drawn.sort(key=lambda e: e["ts"])
    order = numpy.argsort(steps["start_ns"])
    for event, i in zip(drawn, order):
        assert abs(event["ts"] - steps["start_ns"][i] / 1e3) < 0.01
        assert abs(event["dur"] - steps["duration_ns"][i] / 1e3) < 0.01
        assert event["args"]["decode_rows"] == steps["n_decode"][i]
    waits = max(e["args"]["requests"] for e in trace["traceEvents"]
                if e["ph"] == "C" and e["name"] == "waiting")
    assert waits == steps["n_waiting"].max()

    said = jobs.weft_run("export", "out", "-f", "perfetto", "-o", "-", "--max-events", "100")
    few = json.loads(said)
    assert len(check_events(few)) < len(stored) / 3 and len(few["traceEvents"]) <= 115
    assert few["otherData"]["one_request_of"] > 1 < few["otherData"]["one_step_of"]


def check_refusals(jobs):
    for words, code, why in ((["out"], 64, "--output"), (["out", "-o", "x.txt"], 64, "--format"),
                             (["out", "-o", "rows.csv"], 64, "--replace"),
                             (["out", "-o", "y", "-f", "xml"], 64, "jsonl, csv"),
                             (["nowhere", "-o", "y.csv"], 66, "nowhere"),
                             (["out", "-o", "no/y.csv"], 74, "no: cannot open")):
        jobs.weft_run("export", *words, code=code)
        assert why in jobs.said, (words, jobs.said)
    jobs.weft_run("export", "out", "-o", "rows.csv", "--replace")
    # a results file that is cut short leaves nothing behind, and what was there is as it was
    shutil.copy(jobs.path("out/results.h5"), jobs.path("cut.h5"))
    os.truncate(jobs.path("cut.h5"), os.path.getsize(jobs.path("cut.h5")) // 2)
    before = os.stat(jobs.path("rows.csv")).st_ino
    jobs.weft_run("export", "cut.h5", "-o", "rows.csv", "--replace", code=65)
    assert os.stat(jobs.path("rows.csv")).st_ino == before
    assert not [name for name in os.listdir(jobs.folder) if name.endswith(".part")]


def main(weft):
    with demo_jobs(weft) as jobs:
        jobs.pack("x", prompts(40, meta={"note": STRANGE})
                  + [{"prompt_token_ids": [9999], "max_new_tokens": 4}])
        jobs.pack("y", prompts(7, first=50, n=2, temperature=1.0))
        jobs.run("out", "x", "y", code=3, sampling__logprobs=3, engine__max_rows=4)
        stored = jobs.rows("out/results.h5")
        check_rows(jobs, stored)
        check_trace(jobs, stored)
        jobs.weft_run("export", "out", "-o", "bench.vllm.json")
        with open(jobs.path("bench.vllm.json"), encoding="utf-8") as file:
            assert json.load(file) == json.loads(jobs.weft_run("report", "out", "--vllm-json"))
        os.remove(jobs.path("out/results.h5"))  # segments, in the order in which rows ended
        whole = open(jobs.path("rows.jsonl"), encoding="utf-8").read()
        assert jobs.weft_run("export", "out", "-f", "jsonl", "-o", "-") == whole
        jobs.weft_run("merge", "out")
        check_refusals(jobs)


if __name__ == "__main__":
    main(sys.argv[1])
