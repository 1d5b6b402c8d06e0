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


def draw(results, folder):
    picture = os.path.join(folder, "run.svg")
    run(*PLOT, "run", results, picture)
    return words(picture)


def check_run(weft, folder):
    log, shard, out = (os.path.join(folder, name) for name in ("x.csv", "x.h5", "out"))
    with open(log, "w", encoding="ascii") as f:
        f.write("arrival_s,input_tokens,output_tokens\n")
        f.writelines(f"{0.05 * i},{20 + i},{8 + i}\n" for i in range(30))
    run(weft, "import", "csv", log, "-o", shard, "--vocab", "256", "--seed", "1")
    job = os.path.join(folder, "job.yaml")
    with open(job, "w", encoding="ascii") as f:
        f.write(f"job: drawn\nmodel: {{path: {SOURCE}/jobs/demo/model}}\nrequests: [{shard}]\n"
                "arrivals: {mode: replay, speed: 0.5}\n"
                "engine: {kv_memory: 64MiB, max_context: 256}\nparallel: {backend: cpu}\n")
    # Two runs of one job: the second one does what the first one left.
    left = subprocess.run([weft, "run", job, "--out", out], capture_output=True, check=False,
                          env={**os.environ, "WEFT_FAULT": "term@request=15"})
    assert left.returncode == 75, left
    run(weft, "run", job, "--out", out)
    said = draw(os.path.join(out, "results.h5"), folder)
    for part in ("drawn: model, 1 group of 1 on ", "replay at 0.5 times the log's speed",
                 "30 requests, ", " of 2 runs: ", "TTFT ", "E2E ", "TPOT ", "arrived",
                 "rows decoded in a step", "run 1, ", "ms from arrival to first token",
                 "run time, s"):
        assert any(part in w for w in said), (part, said)
    run(weft, "run", job, "--out", out + ".offline", "--set", "arrivals.mode=offline")
    said = draw(out + ".offline", folder)  # the folder does
    assert "ms per step" in said and "arrived" not in said, said
    assert not any("TTFT" in w for w in said), said  # nothing had a time to arrive at


def refused(what, *arguments, modules=None):
    """One line that says it."""
    env = {**os.environ, "PYTHONPATH": modules} if modules else None
    done = subprocess.run([*PLOT, *arguments], capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done
    assert what in done.stderr, (what, done.stderr)


def check_no_module(folder):
    for name in ("matplotlib", "h5py"):
        modules = os.path.join(folder, "without-" + name)
        os.mkdir(modules)
        with open(os.path.join(modules, name + ".py"), "w", encoding="ascii") as f:
            f.write(f"raise ModuleNotFoundError('no {name}', name='{name}')\n")
        if name == "matplotlib" or importlib.util.find_spec("matplotlib"):
            refused(f"plot.py: {name} is not installed", "run", "x.h5", modules=modules)


def check_refusals(folder):
    refused("nowhere.h5: there is no such file", "run", "nowhere.h5")
    refused("results.h5: there is no such file: while a job runs, weft merge ", "run", folder)
    refused("test_plot.py: no results of weft: ", "run", os.path.abspath(__file__))
    refused("x.h5: no results of weft: ", "run", os.path.join(folder, "x.h5"))  # a shard


def check_pauses():
    """While no step runs no row is decoded, however many steps there are."""
    spec = importlib.util.spec_from_file_location("plot", PLOT[1])
    plot = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(plot)
    numpy, edges = plot.np, plot.np.linspace(0, 10, 121)
    for n in (2, 4000):
        start = numpy.append(numpy.linspace(0, 1, n // 2), numpy.linspace(9, 10, n // 2))
        took, rows = numpy.full(n, 0.01), numpy.full(n, 7)
        figure, axis = plot.plt.subplots()
        plot.draw_group(axis, start, took, rows, edges, "")
        if axis.lines:
            x, y = axis.lines[0].get_data()
            at_5 = y[numpy.searchsorted(x, 5, side="right") - 1]
        else:
            at_5 = axis.patches[0].get_data().values[60]
        assert at_5 == 0 or abs(at_5) < 1e-9, (n, at_5)
        plot.plt.close(figure)


def check_studies(folder):
    shutil.copytree(os.path.join(SOURCE, "results", "studies"), os.path.join(folder, "studies"))
    run(*PLOT, "studies", os.path.join(folder, "studies"))
    assert "1.00" in words(os.path.join(folder, "studies", "gpu-models", "replicas.svg"))
    assert "8B, context 512" in words(os.path.join(folder, "studies", "gpu-models", "steps.svg"))
    assert any("W7" in w for w in words(os.path.join(folder, "studies", "flover", "share.svg")))


def main():
    with tempfile.TemporaryDirectory() as folder:
        check_no_module(folder)
    if importlib.util.find_spec("matplotlib") is None:
        print("skipped: python3-matplotlib is not installed")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        check_run(sys.argv[1], folder)
        check_refusals(folder)
        check_pauses()
        check_studies(folder)
    return 0


sys.exit(main())
