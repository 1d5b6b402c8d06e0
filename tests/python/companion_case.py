"""What tests of the installed weft-text share: a folder, files of lines, echoing results."""

import json
import os
import subprocess
import tempfile
import unittest

ECHO = os.environ["WEFT_SHARD_ECHO"]
SOURCE = os.environ["WEFT_SOURCE"]
WEFT = os.environ["WEFT_PROGRAM"]
DEMO_MODEL = os.path.join(SOURCE, "jobs", "demo", "model")


def weft_text(*args):
    return subprocess.run(["weft-text", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True)


class Companion(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def write_lines(self, name, lines):
        with open(self.path(name), "w", encoding="utf-8") as file:
            for line in lines:
                text = line if isinstance(line, str) else json.dumps(line, ensure_ascii=False)
                file.write(text + "\n")
        return self.path(name)

    def read_lines(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def encode(self, lines, tokenizer, *options, code=0):
        done = weft_text("encode", self.write_lines("in.jsonl", lines), "-o", self.path("x.h5"),
                         "--tokenizer", tokenizer, "--replace", *options)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stderr

    def echo(self, n_vocab, end_token):
        done = subprocess.run([ECHO, self.path("x.h5"), self.path("out"), str(n_vocab),
                               str(end_token)], stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)

    def decode(self, tokenizer, *options, results="out"):
        done = weft_text("decode", self.path(results), "-o", self.path("out.jsonl"),
                         "--tokenizer", tokenizer, "--replace", *options)
        self.assertEqual(done.returncode, 0, done.stderr)
        return self.read_lines("out.jsonl")

    def round_trip(self, lines, tokenizer, n_vocab, end_token, *options):
        self.encode(lines, tokenizer, *options)
        self.echo(n_vocab, end_token)
        return self.decode(tokenizer)
