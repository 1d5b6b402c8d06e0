"""The stored fixtures, which `transformers` made, against plain numpy: logits and greedy tokens."""

import json
import os
import unittest

import numpy as np
from llama_numpy import forward, read_folder

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden")
FOLDERS = ("llama-mini", "llama-gqa", "llama-rope3", "llama-f16", "llama-rope-parameters",
           "qwen2-mini", "qwen3-mini", "mistral-mini")


class Golden(unittest.TestCase):
    def test_fixtures(self):
        for name in FOLDERS:
            with self.subTest(name):
                self.check(os.path.join(GOLDEN, name))

    def check(self, folder):
        config, weights = read_folder(folder)
        with open(os.path.join(folder, "fixture.json"), encoding="ascii") as file:
            fixture = json.load(file)
        self.assertEqual(len(fixture["cases"]), fixture["n_cases"])
        n_logits = 0
        for case in fixture["cases"]:
            prompt, greedy = case["prompt"], case["greedy"]
            # One pass over prompt and answer: each answer token must be the best after what is
            # before it, by the gap that the fixture states.
            logits = forward(config, weights, prompt + greedy[:-1])[len(prompt) - 1 :]
            self.assertEqual(logits.argmax(-1).tolist(), greedy)
            best = np.sort(logits, -1)[:, -2:]
            self.assertAlmostEqual((best[:, 1] - best[:, 0]).min(), case["gap"], delta=1e-3)
            if "logits" in case:
                n_logits += 1
                self.assertLess(np.abs(logits[0] - case["logits"]).max(), 1e-4)
        self.assertGreaterEqual(n_logits, 3)


if __name__ == "__main__":
    unittest.main()
