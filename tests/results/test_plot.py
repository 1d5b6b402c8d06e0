"""Pictures of a real run and of the recorded studies: they are made, and show the figures.

usage: test_plot.py WEFT       skips where there is no matplotlib
"""
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile

SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
PLOT = [sys.executable, os.path.join(SOURCE, "results", "plot.py")]


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")


def words(path):
    """What the picture says: letters stay letters in it."""
    with open(path, encoding="utf-8") as f:
        return re.findall(r"<text[^>]*>([^<]*)</text>", f.read())


def check_run(weft, folder):
    log, shard, out = (os.path.join(folder, name) for name in ("x.csv", "x.h5", "out"))
    with open(log, "w", encoding="ascii") as f:
        f.write("arrival_s,input_tokens,output_tokens\n")
        f.writelines(f"{0.01 * i},{20 + i},{8 + i}\n" for i in range(12))
    run(weft, "import", "csv", log, "-o", shard, "--vocab", "256", "--seed", "1")
    job = os.path.join(folder, "job.yaml")
    with open(job, "w", encoding="ascii") as f:
        f.write(f"model: {{path: {SOURCE}/jobs/demo/model}}\nrequests: [{shard}]\n"
                "arrivals: {mode: replay}\nengine: {kv_memory: 64MiB, max_context: 256}\n"
                "parallel: {backend: cpu}\n")
    run(weft, "run", job, "--out", out)
    picture = os.path.join(folder, "run.svg")
    run(*PLOT, "run", os.path.join(out, "results.h5"), picture)
    said = words(picture)
    assert "rows decoded in a step" in said and "run time, s" in said, said


def check_studies(folder):
    shutil.copytree(os.path.join(SOURCE, "results", "studies"), os.path.join(folder, "studies"))
    run(*PLOT, "studies", os.path.join(folder, "studies"))
    assert "1.00" in words(os.path.join(folder, "studies", "gpu-models", "replicas.svg"))
    assert "8B, context 512" in words(os.path.join(folder, "studies", "gpu-models", "steps.svg"))
    assert any("W7" in w for w in words(os.path.join(folder, "studies", "flover", "share.svg")))


def main():
    if importlib.util.find_spec("matplotlib") is None:
        print("skipped: python3-matplotlib is not installed")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        check_run(sys.argv[1], folder)
        check_studies(folder)
    return 0


sys.exit(main())
