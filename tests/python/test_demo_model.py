"""The demo model as stored: its size and shape, and that it answers held-out prompts, in plain numpy."""

import os
import random
import sys
import unittest

import numpy as np
from llama_numpy import forward, read_folder

DEMO = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", "jobs", "demo"))
sys.path.insert(0, DEMO)

import tasks  # noqa: E402


class DemoModel(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = os.path.join(DEMO, "model")
        cls.config, cls.weights = read_folder(cls.folder)

    def test_fits_and_divides(self):
        size = sum(os.path.getsize(os.path.join(self.folder, f)) for f in os.listdir(self.folder))
        self.assertLessEqual(size, 4 << 20)
        self.assertGreaterEqual(self.config["max_position_embeddings"], 8192)
        self.assertEqual(self.config["vocab_size"], tasks.VOCAB_SIZE)
        for key in ("num_attention_heads", "num_key_value_heads", "intermediate_size",
                    "vocab_size"):
            self.assertEqual(self.config[key] % 4, 0, key)

    def test_answers_held_out_prompts(self):
        for task in tasks.TASKS:
            prompts = tasks.test_prompts(task, 40 if task != "count" else 18, random.Random(3))
            wrong = [p for p in prompts if not self.answers(p)]
            self.assertEqual(wrong, [], task)

    def answers(self, prompt):
        tokens = tasks.prompt_tokens(prompt)
        answer = [*tasks.prompt_answer(prompt).encode("ascii"), tasks.EOS]
        logits = forward(self.config, self.weights, np.array(tokens + answer[:-1]))
        return logits[len(tokens) - 1 :].argmax(-1).tolist() == answer


if __name__ == "__main__":
    unittest.main()
