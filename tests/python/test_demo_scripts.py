"""make_prompts.py and accuracy.py: prompts are held out and reproducible, answers are judged."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

import h5py
import numpy as np

DEMO = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", "jobs", "demo"))
sys.path.insert(0, DEMO)

import tasks  # noqa: E402


def run(script, *args):
    return subprocess.run([sys.executable, os.path.join(DEMO, script), *args],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


class Tasks(unittest.TestCase):
    def test_answers(self):
        for prompt, answer in (("add:37+58=", "95"), ("add:0+0=", "0"), ("add:999+999=", "1998"),
                               ("rev:stream=", "maerts"), ("sort:stream=", "aemrst"),
                               ("count:7=", "1 2 3 4 5 6 7")):
            self.assertEqual(tasks.prompt_answer(prompt), answer)


class MakePrompts(unittest.TestCase):
    def test_lines(self):
        done = run("make_prompts.py", "--per-task", "30", "--span", "5")
        self.assertEqual(done.stdout, run("make_prompts.py", "--per-task", "30", "--span",
                                          "5").stdout)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([line["id"] for line in lines], list(range(120)))
        arrivals = [line["arrival_s"] for line in lines]
        self.assertEqual(arrivals, sorted(arrivals))
        self.assertTrue(0 <= arrivals[0] < arrivals[-1] <= 5)
        for line in lines:
            prompt, meta = line["prompt"], line["meta"]
            self.assertEqual(line["prompt_token_ids"], [256, *prompt.encode()])
            self.assertEqual(meta["expect"], tasks.prompt_answer(prompt))
            if meta["task"] != "count":
                self.assertTrue(tasks.prompt_is_held_out(prompt), prompt)
        self.assertNotEqual(done.stdout, run("make_prompts.py", "--per-task", "30", "--span", "5",
                                             "--seed", "8").stdout)


class Accuracy(unittest.TestCase):
    ROWS = [  # prompt, answer, status
        ("add:1+2=", b"3\xff", 0), ("add:1+3=", b"5\xff", 0), ("add:2+2=", b"4", 0),
        ("add:2+3=", b"", 1), ("rev:abc=", b"cba\xff", 0), (None, b"noise", 0),
    ]

    def write(self, path):
        """0xff stands for EOS."""
        metas, outputs, errors = [], [], []
        for prompt, answer, status in self.ROWS:
            note = {"task": prompt.split(":")[0], "prompt": prompt,
                    "expect": tasks.prompt_answer(prompt)} if prompt else None
            metas.append(json.dumps(note).encode() if note else b"")
            outputs.append([tasks.EOS if b == 255 else b for b in answer])
            errors.append(b"no room" if status else b"")
        with h5py.File(path, "w") as file:
            for name, parts, dtype, values in (("meta", metas, "u1", "requests/meta"),
                                               ("error", errors, "u1", "requests/error"),
                                               ("output", outputs, "<i4", "tokens/id")):
                offsets = np.cumsum([0] + [len(p) for p in parts]).astype("<u8")
                file[f"requests/{name}_offset"] = offsets
                file[values] = np.array([v for p in parts for v in p], dtype)
            file["requests/status"] = np.array([s for _, _, s in self.ROWS], "u1")

    def test_report(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "results.h5")
            self.write(path)
            done = run("accuracy.py", path, "--json")
            self.assertEqual(json.loads(done.stdout), {"add": {"right": 1, "total": 4},
                                                       "rev": {"right": 1, "total": 1}})
            self.assertEqual(done.returncode, 0)
            self.assertEqual(run("accuracy.py", path, "--min-accuracy", "0.25").returncode, 0)
            self.assertEqual(run("accuracy.py", path, "--min-accuracy", "0.26").returncode, 1)
            text = run("accuracy.py", path, "--show", "9").stdout
            for part in ("1 of 4", "rev:abc=", "-> cba\n", "4 (no end)   WRONG, expected 4",
                         "failed: no room"):
                self.assertIn(part, text)
            self.assertEqual(run("accuracy.py", os.path.join(folder, "none")).returncode, 66)
            with h5py.File(os.path.join(folder, "empty.h5"), "w"):
                pass
            self.assertEqual(run("accuracy.py", os.path.join(folder, "empty.h5")).returncode, 65)


class Neighbours(unittest.TestCase):
    ROWS = [  # prompt, vector, status
        ("add:1+2=", (1, 0), 0), ("add:3+4=", (2, 0.1), 0), ("rev:ab=", (0, 1), 0),
        ("sort:ba=", (0.1, 1), 0), ("rev:cd=", (float("nan"),) * 2, 1), (None, (1, 0), 0),
    ]

    def write(self, path, rows):
        metas = [json.dumps({"task": prompt.split(":")[0], "prompt": prompt, "expect": ""}).encode()
                 if prompt else b"" for prompt, _, _ in rows]
        with h5py.File(path, "w") as file:
            file["requests/meta_offset"] = np.cumsum([0] + [len(m) for m in metas]).astype("<u8")
            file["requests/meta"] = np.frombuffer(b"".join(metas), "u1")
            file["requests/vector"] = np.array([v for _, v, _ in rows], "<f4")
            file["requests/status"] = np.array([s for _, _, s in rows], "u1")

    def test_report(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "results.h5")
            self.write(path, self.ROWS)
            done = run("neighbours.py", path, "--show", "1")
            self.assertRegex(done.stdout, r"^add:1\+2= +nearest: add:3\+4= +0\.999\n")
            self.assertIn("2 of 5 prompts", done.stdout)
            self.assertEqual(run("neighbours.py", path, "--min-right", "0.4").returncode, 0)
            self.assertEqual(run("neighbours.py", path, "--min-right", "0.41").returncode, 1)
            self.write(path, self.ROWS[5:])
            self.assertEqual(run("neighbours.py", path).returncode, 1)
            self.assertEqual(run("neighbours.py", os.path.join(folder, "none")).returncode, 66)
            with h5py.File(path, "w"):
                pass
            self.assertEqual(run("neighbours.py", path).returncode, 65)


if __name__ == "__main__":
    unittest.main()
