#!/usr/bin/env python3
"""The same request shards through Weft and through vLLM, in turns on one device; one table.

usage: results/studies/peers/run.py BUILD OUT [--ways bf16,deterministic,fp8] [--parts step,job,saturated]
                                    [--python PYTHON] [--rows 1,8,32,64,128,256]  -> OUT/peers.csv

Both have the 8B shape with random weights, greedy tokens, the same prompts and numbers of tokens,
each half of the device's memory, and stay out of each other's way: a piece of work is done by one,
then by the other, as often as said, and medians are compared. What is measured:

    step        rows of one length at context 512, (all of 129 tokens - all of 1 token) / 128
    job         256 requests of mixed lengths, all there at the start: until the last token
    saturated   512 requests of 467 tokens in and 256 out

Weft's times are its results' own; vLLM's are read round LLM.generate(). Loading and warming up are
in neither. A way that vLLM cannot run is said and left out. PYTHON is one that has vLLM (this one's
own when not given). The two ways beside bf16: `deterministic` is engine.deterministic against
VLLM_BATCH_INVARIANT=1; in `fp8` both quantise the weights as they load them: Weft keeps activations in
bf16 (model.weights_format), vLLM rounds them too.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "gpu-models"))
from gpu_jobs import Shape, Study, peers_job  # noqa: E402

PROMPT, DRAWN, MEMORY = 448, 129, 0.45


class Vllm:
    """A vLLM process that waits for shards. `failed` says why there is none."""

    def __init__(self, python, shape, way):
        env = dict(os.environ, HF_HUB_OFFLINE="1", VLLM_NO_USAGE_STATS="1", DO_NOT_TRACK="1")
        if way == "deterministic":
            env["VLLM_BATCH_INVARIANT"] = "1"
        flags = ["fp8"] if way == "fp8" else []
        with open(f"vllm-{way}.log", "wb") as log:
            self.process = subprocess.Popen(
                [python, os.path.join(HERE, "vllm_shard.py"), shape.path, str(MEMORY), "1", "8192",
                 *flags], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                text=True)
        self.hello = self._answer(f"vllm-{way}.log")

    def _answer(self, log="its log"):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"vLLM ended with {self.process.wait()}; see {log}")
        return json.loads(line)

    def seconds(self, shard, tokens):
        print(shard, file=self.process.stdin, flush=True)
        answer = self._answer()
        if answer["tokens"] != tokens:
            raise RuntimeError(f"vLLM drew {answer['tokens']} tokens, not {tokens}")
        return answer["seconds"]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Turns:
    """Work done by both, in turns."""

    def __init__(self, study, peer, shape, way):
        self.study, self.peer, self.shape, self.way = study, peer, shape, way
        self.flags = {"deterministic": {"engine__deterministic": "true"},
                      "fp8": {"model__weights_format": "fp8"}}.get(way, {})

    def theirs(self, requests):
        """vLLM's seconds."""
        shard = self.study.shard("requests", requests, self.shape.vocab)
        return self.peer.seconds(shard, sum(n for _, _, n in requests))

    def once(self, requests):
        """(Weft's Result, vLLM's seconds) of the same shard."""
        ours = self.study.run(self.shape, requests, engine__max_rows=256, engine__kv_memory="40GiB",
                              engine__step_tokens=8192, **self.flags)
        return ours, self.theirs(requests)

    def rows(self, case, unit, pairs):
        """Medians of (Weft's, vLLM's) values, and how many times as fast Weft is."""
        ours, theirs = (statistics.median(p[i] for p in pairs) for i in (0, 1))
        spread = "; ".join(f"{a:.4g} / {b:.4g}" for a, b in pairs)
        times = theirs / ours if unit in ("s", "ms") else ours / theirs
        self.study.row(self.way, self.shape.name, case + ", Weft", ours, unit, note=spread)
        self.study.row(self.way, self.shape.name, case + ", vLLM", theirs, unit)
        self.study.row(self.way, self.shape.name, case + ", Weft is faster", times, "times")


def step(turns, rows, n):
    for count in rows:
        pairs = []
        for _ in range(n):
            first = turns.theirs([(0, PROMPT, 1)] * count)
            r, whole = turns.once([(0, PROMPT, DRAWN)] * count)
            ours = (r.finish.max() - r.first.max()) / (DRAWN - 1)
            pairs.append((ours * 1e3, (whole - first) / (DRAWN - 1) * 1e3))
        turns.rows(f"{count} rows at context 512", "ms", pairs)


def job(turns, _, n):
    pairs = [(r.total_s, t) for r, t in (turns.once(peers_job()) for _ in range(n))]
    turns.rows("256 requests, until the last token", "s", pairs)


def saturated(turns, _, n):
    done = [turns.once([(0, 467, 256)] * 512) for _ in range(n)]
    turns.rows("512 requests of 467 in and 256 out", "tok/s",
               [(r.tokens / r.total_s, r.tokens / t) for r, t in done])


PARTS = {"step": step, "job": job, "saturated": saturated}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("build")
    parser.add_argument("out")
    parser.add_argument("--ways", default="bf16,deterministic,fp8")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--rows", default="1,8,32,64,128,256")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--repeat", type=int, default=2)
    o = parser.parse_args()
    study = Study(o.build, o.out)
    study.limits()
    shape = Shape("llama-3-8b")

    def in_way(way):
        def run(study):
            peer = Vllm(o.python, shape, way)
            study.row(way, shape.name, "vLLM " + peer.hello["version"] + ", until it was ready",
                      peer.hello["start_s"], "s")
            turns = Turns(study, peer, shape, way)
            turns.once(peers_job()[:64])  # warms both up
            for part in o.parts.split(","):
                PARTS[part](turns, [int(n) for n in o.rows.split(",")], o.repeat)
            peer.close()
        run.__name__ = way
        return run

    study.parts([in_way(way) for way in o.ways.split(",")], "peers.csv")


main()
