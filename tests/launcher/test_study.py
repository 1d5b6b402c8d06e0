"""weft study with the demo's model: a grid is run, resumed, told in a table and a page; the search.

usage: test_study.py WEFT
"""
import csv
import io
import os
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
STUDY = """
study: s
job: job.yaml
prepare: [[import, constant, --rate, 1, -n, 24, --input-tokens, 20, --output-tokens, 12, -o, p.h5,
           --model, MODEL]]
set: {engine.kv_memory: 32MiB}
grid: {engine.max_rows: [2, 8], arrivals.rate: [100, 400]}
rising: arrivals.rate
scale: engine.max_rows
"""


class Studies:
    def __init__(self, weft, folder):
        self.weft, self.folder = os.path.abspath(weft), folder
        self.env = {**os.environ, "WEFT_PROGRESS": "off"}
        self.write("job.yaml", f"model: {{path: {SOURCE}/jobs/demo/model}}\nrequests: [p.h5]\n"
                               "arrivals: {mode: poisson, rate: 5, lag_tolerance: 1h}\n"
                               "sampling: {ignore_eos: true}\nparallel: {backend: cpu}\n")

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text.replace("MODEL", f"{SOURCE}/jobs/demo/model"))
        return name

    def run(self, *words, code=0):
        done = subprocess.run([self.weft, *words], cwd=self.folder, capture_output=True, text=True,
                              env=self.env)
        assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
        return done

    def table(self, out):
        with open(self.path(f"{out}/study.csv"), encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))


def runs_of(studies, out):
    return sorted(n for n in os.listdir(studies.path(f"{out}/points")) if not n.endswith(".log"))


def check_h5(path, table):
    """The columns of study.csv, numbers as numbers."""
    try:
        import h5py
    except ImportError:
        print("study.h5 is not looked at: no h5py (python3-h5py)")
        return
    with h5py.File(path, "r") as file:
        assert set(file["table"]) == set(table[0]), set(file["table"]) ^ set(table[0])
        for name, column in file["table"].items():
            for said, row in zip(column[:], table):
                if column.dtype.kind == "f":
                    assert said == float(row[name]) if row[name] else said != said, (name, said)
                else:
                    assert said.decode() == row[name], (name, said, row[name])
        assert file["table/output_throughput"].dtype.kind == "f"


def a_grid(studies):
    studies.write("study.yaml", STUDY)
    plan = studies.run("study", "study.yaml", "--dry-run").stdout
    assert plan.count(" run job.yaml --out out/s/points/") == 4 and "max_rows=8" in plan, plan
    assert not os.path.exists(studies.path("out"))
    said = studies.run("study", "study.yaml").stdout
    names = ["max_rows-2_rate-100", "max_rows-2_rate-400", "max_rows-8_rate-100",
             "max_rows-8_rate-400"]
    assert runs_of(studies, "out/s") == names and all(name in said for name in names), said
    table = studies.table("out/s")
    assert [(r["engine.max_rows"], r["arrivals.rate"]) for r in table] == \
        [("2", "100"), ("2", "400"), ("8", "100"), ("8", "400")]
    for row, name in zip(table, names):  # what the report of each says, and one run each
        own = next(csv.DictReader(io.StringIO(
            studies.run("report", f"out/s/points/{name}", "--csv").stdout)))
        assert all(row[key] == value for key, value in own.items()), (row, own)
        assert row["completed"] == "24" and row["complete"] == "1"
        assert os.listdir(studies.path(f"out/s/points/{name}/runs")).count("0.done.json") == 1
    most = {n: max(float(r["output_throughput"]) for r in table if r["engine.max_rows"] == n)
            for n in "28"}
    for row in table:
        n = row["engine.max_rows"]
        assert abs(float(row["efficiency"]) - most[n] / most["2"] / (float(n) / 2)) < 1e-3
    page = open(studies.path("out/s/study.html"), encoding="utf-8").read()
    titles = [e.text for e in xml.etree.ElementTree.fromstring(page).iter()
              if e.tag.endswith("}b")]
    assert "Efficiency by scale" in titles and "p99 of TTFT by load" in titles, titles
    assert "http" not in page.replace("http://www.w3.org/1999/xhtml", "")

    check_h5(studies.path("out/s/study.h5"), table)
    before = {n: os.stat(studies.path(f"out/s/points/{n}/results.h5")).st_ino for n in names}
    studies.run("study", "study.yaml", "--collect")
    for command in ("report", "status", "diff out/s"):
        said = studies.run(*command.split(), "out/s", code=66).stderr
        assert "is the folder of a study" in said and "out/s/points/* are the runs" in said, said
    assert before == {n: os.stat(studies.path(f"out/s/points/{n}/results.h5")).st_ino
                      for n in names}
    assert studies.table("out/s") == table


def told_to_leave(studies):
    """SIGTERM ends the run that goes on and the study; the same command finishes both."""
    studies.write("slow.yaml", STUDY.replace("[100, 400]", "[5, 300]").replace("study: s", "study: t"))
    child = subprocess.Popen([studies.weft, "study", "slow.yaml"], cwd=studies.folder,
                             env=studies.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for _ in range(300):
        if os.path.exists(studies.path("out/t/points/max_rows-2_rate-5/status/rank-0.json")):
            break
        time.sleep(0.05)
    time.sleep(0.5)
    child.send_signal(signal.SIGTERM)
    _, said = child.communicate(timeout=60)
    assert child.returncode == 75, (child.returncode, said)
    assert len(studies.table("out/t")) == 1
    studies.run("study", "slow.yaml")
    table = studies.table("out/t")
    assert len(table) == 4 and all(row["completed"] == "24" for row in table), table


def saturation_and_search(studies):
    """No first token comes within a microsecond; every one within a minute."""
    tight, loose = ["--goodput", "ttft:0.001"], ["--goodput", "ttft:60000"]
    studies.run("study", "study.yaml", "--out", "out/u", *tight)
    table = studies.table("out/u")
    assert [row["complete"] for row in table] == ["1", "0", "1", "0"], table
    assert "beyond saturation" in table[1]["said"] and float(table[0]["good_share"]) == 0
    search = ["study", "study.yaml", "--out", "out/u", "--find-goodput", "--ratio", "2"]
    said = studies.run(*search, *tight).stdout
    assert said.count("no arrivals.rate meets ttft:0.001: the least, 100, does not") == 2, said
    said = studies.run(*search, *loose).stdout
    assert "engine.max_rows 8, even the highest arrivals.rate 400 meets ttft:60000" in said, said
    assert "even the highest" in open(studies.path("out/u/study.html"), encoding="utf-8").read()


def loads(low, high, ratio):
    """As the search has them: three digits, the last is the highest."""
    found, load = [], low
    while load < high:
        value = float(f"{load:.3g}")
        if value < high and (not found or value > found[-1]):
            found.append(value)
        load *= ratio
    return found + [high]


def the_search_agrees_with_a_sweep(studies):
    """In simulated time, where a run is always the same: every load run, and the search."""
    rates = [f"{load:.10g}" for load in loads(100, 3000, 1.25)]
    study = STUDY.replace("study: s", "study: sim").replace("[2, 8]", "[1, 2]")
    study += "simulate: --machine h200\nshare: 0.9\n"
    studies.write("sweep.yaml", study.replace("[100, 400]", f"[{', '.join(rates)}]")
                  .replace("rising: arrivals.rate\n", ""))
    studies.write("search.yaml", study.replace("[100, 400]", "[100, 3000]"))
    limits = ["--goodput", "ttft:1"]
    studies.run("study", "sweep.yaml", "--out", "out/sweep", *limits)
    said = studies.run("study", "search.yaml", "--out", "out/search", "--find-goodput", "--ratio",
                       "1.25", *limits).stdout
    # the first 3 ms are in no figure of a study that says so
    studies.write("warm.yaml", study.replace("[100, 400]", "[1000]") + "warmup: 3ms\n")
    studies.run("study", "warm.yaml", "--out", "out/warm", *limits)
    for row in studies.table("out/warm"):
        place = f"out/warm/points/max_rows-{row['engine.max_rows']}_rate-1000"
        own = csv.DictReader(io.StringIO(studies.run("report", place, "--csv", "--warmup", "3ms",
                                                     *limits).stdout))
        assert float(next(own)["p50_ttft_ms"]) == float(row["p50_ttft_ms"])
        whole = csv.DictReader(io.StringIO(studies.run("report", place, "--csv").stdout))
        assert float(next(whole)["p50_ttft_ms"]) != float(row["p50_ttft_ms"])
    n_probes = said.count("requests/s")
    assert n_probes < len(rates), (n_probes, len(rates))
    for rows in ("1", "2"):
        good = [float(r["good_share"]) >= 0.9 for r in studies.table("out/sweep")
                if r["engine.max_rows"] == rows]
        n_good = good.index(False)
        assert len(good) == len(rates) and 0 < n_good and not any(good[n_good:]), good
        assert f"engine.max_rows {rows}, the highest arrivals.rate {rates[n_good - 1]} meets" in said, \
            (said, rates[n_good - 1])


def failures(studies):
    studies.write("bad.yaml", STUDY.replace("[2, 8]", "[0, 8]").replace("[100, 400]", "[400]"))
    done = studies.run("study", "bad.yaml", "--out", "out/bad", code=3)
    assert "1 run of the study is not complete" in done.stderr
    table = studies.table("out/bad")
    assert "engine.max_rows: 0 is outside" in table[0]["said"]
    assert "exit code 78" in table[0]["said"] and table[1]["completed"] == "24", table
    for text, words, code, why in (("job: j\nx: 1\n", [], 78, "wrong.yaml:2:1: x: no key of a study"),
                                   (STUDY, ["--find-goodput"], 64, "which limits?"),
                                   (STUDY, ["--goodput", "itl:1"], 64, "ttft:MS"),
                                   (STUDY, ["--submit", "--collect"], 64, "one of them"),
                                   (STUDY, ["--max-running", "2"], 64, "is for --submit"),
                                   (STUDY.replace("rising", "scale").replace("scale: engine", "# "),
                                    ["--find-goodput", "-g", "ttft:1"], 64, "rising")):
        studies.write("wrong.yaml", text)
        done = studies.run("study", "wrong.yaml", *words, code=code)
        assert why in done.stderr, (words, done.stderr)
    assert studies.run("study", "none.yaml", code=66).stderr.count("none.yaml") == 1


def main(weft):
    with tempfile.TemporaryDirectory() as folder:
        studies = Studies(weft, folder)
        a_grid(studies)
        told_to_leave(studies)
        saturation_and_search(studies)
        the_search_agrees_with_a_sweep(studies)
        failures(studies)


if __name__ == "__main__":
    main(sys.argv[1])
