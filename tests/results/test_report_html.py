"""The page of `weft report --html`: well-formed, alone, escaped, and its numbers are numpy's.

usage: test_report_html.py WEFT       skips where there is no h5py
"""
import base64
import html
import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET

sys.path.insert(0, os.path.dirname(__file__))
from test_report_figures import Rows, make_run  # noqa: E402

XHTML = "{http://www.w3.org/1999/xhtml}"
PICTURES = ["Time to first token (TTFT)", "Time per output token (TPOT)", "Inter-token latency (ITL)",
            "End-to-end latency (E2E)", "Requests per second", "Requests at a time",
            "Tokens per second", "KV pages in use", "Time of a step", "Requests in flight"]


def page_of(weft, folder, *arguments):
    path = os.path.join(folder, "report.html")
    subprocess.run([weft, "report", *arguments, "--html", path], check=True, capture_output=True)
    with open(path, encoding="utf-8") as f:
        text = f.read()
    return text, ET.fromstring(text)


def words(element):
    return " ".join("".join(element.itertext()).split())


def tables(root):
    """Each table as {first cell: other cells}."""
    return [{words(row[0]): [words(cell) for cell in row[1:]] for row in table.iter(XHTML + "tr")}
            for table in root.iter(XHTML + "table")]


def time_ms(text):
    value, unit = text.split()
    return float(value) * {"µs": 1e-3, "ms": 1, "s": 1e3}[unit]


def close(said, value):
    assert abs(said - value) <= 0.006 * abs(value), (said, value)


def check_alone(text):
    """Nothing is fetched, and one script runs."""
    assert text.count("<script>") == 1 and not re.search(r"fetch\(|XMLHttp|eval\(|import\(", text)
    assert not re.search(r"<script [^>]*src|<link|<img|@import|url\(|\bsrc=|\bhref=", text), "not alone"
    assert re.findall(r"https?://[^\"]*", text) == ["http://www.w3.org/1999/xhtml"]
    assert "prefers-color-scheme:dark" in text and "@media print" in text and "max-width:720px" in text


def check_flights(text, rows):
    """The data of the zoomable picture: every request, each time within a unit."""
    found = re.search(r'data-unit="(\d+)" data-length="\d+" data-every="1".*?<script '
                      r'type="text/plain">([^<]*)</script>', text, re.S)
    unit, data, numbers = int(found[1]), base64.b64decode(found[2]), [0]
    shift = 0
    for byte in data:
        numbers[-1] |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            numbers.append(0)
            shift = 0
    flights = [numbers[i:i + 4] for i in range(0, len(numbers) - 1, 4)]
    columns = [rows.column[k] for k in ("arrival_ns", "admitted_ns", "first_token_ns", "finish_ns",
                                        "status")]
    own = sorted(zip(*(c.tolist() for c in columns)))
    assert len(flights) == len(own)
    for (delta, *parts), (*times, status) in zip(flights, own):
        assert delta % 2 == (status != 0)
        for said, a, b in zip(parts, times, times[1:]):
            assert said == 0 if a < 0 or b < 0 else abs((said - 1) * unit - (b - a)) < 2 * unit


def check_numbers(root, rows):
    figures, found = rows.values(), tables(root)
    limits, latency = found[0], found[1]
    for name, key in (("TTFT", "ttft"), ("TPOT", "tpot"), ("ITL", "itl"), ("E2E", "e2el")):
        for said, which in zip(latency[name], ("mean", "p50", "p90", "p95", "p99", "max")):
            close(time_ms(said), figures[f"{which}_{key}_ms"])
    assert limits["E2E"][-1] == ("kept" if figures["p99_e2el_ms"] <= 120 else "exceeded")
    tenants = next(t for t in found if "tenant" in t)
    assert set(tenants) == {"tenant", "-", "alpha", "<b>&\"é"}, tenants
    assert int(tenants["alpha"][0]) == rows.values("alpha")["completed"]
    steps = next(t for t in found if "steps" in t)
    assert sum(int(v[0]) for k, v in steps.items() if k != "steps") <= rows.of_steps()["n"]
    verdict = next(words(p) for p in root.iter(XHTML + "p") if p.get("class") == "verdict")
    share = 100 * figures["request_goodput"] * rows.duration_s / figures["completed"]
    assert verdict.startswith(f"{share:.1f}% of {figures['completed']} requests"), verdict


def check_pictures(root, completed):
    titles = [f.find(f"{XHTML}figcaption/{XHTML}b").text for f in root.iter(XHTML + "figure")]
    assert [t for t in PICTURES if t not in titles] == [], titles
    bars = [p.get("d").count("M") for p in root.iter(XHTML + "path") if p.get("class") == "bar c1"]
    assert bars == [completed], (bars, completed)
    for path in root.iter(XHTML + "path"):  # nothing outside, nothing that is no number
        assert re.fullmatch(r"[MLHVZ\d. ]*", path.get("d")), path.get("d")[:80]


def main(weft):
    try:
        import h5py  # noqa: F401
    except ImportError:
        print("skipped: no h5py (python3-h5py)")
        raise SystemExit(77) from None
    with tempfile.TemporaryDirectory(prefix="a&b<c>'") as folder:
        out = make_run(weft, folder)
        rows = Rows(os.path.join(out, "results.h5"))
        text, root = page_of(weft, folder, out, "--by", "tenant", "--goodput",
                             "ttft:40,tpot:3,e2el:120")
        check_alone(text)
        check_numbers(root, rows)
        check_flights(text, rows)
        check_pictures(root, rows.values()["completed"])
        assert html.escape(os.path.basename(folder), quote=False).split("'")[0] in text
        assert "ignore_eos: true" in text and "weft run job.yaml" in text
        text, root = page_of(weft, folder, out, os.path.join(out, "results.h5"))
        check_alone(text)
        compared = next(t for t in tables(root) if "completed requests" in t)
        assert compared["p99_ttft ms"][0] == compared["p99_ttft ms"][1], compared["p99_ttft ms"]
        assert compared["p99_ttft ms"][2].startswith("1.00 ± ")  # how far it may be off
        done = subprocess.run([weft, "report", out, out], capture_output=True, text=True)
        assert done.returncode == 64 and "--html" in done.stderr, done


if __name__ == "__main__":
    main(sys.argv[1])
