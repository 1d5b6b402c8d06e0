#!/usr/bin/env python3
"""Writes the demo's tasks with their answers, as the model was trained on them, as JSONL for
`weft pack`: texts to calibrate with.

    texts.py --per-task 200 > texts.jsonl
"""
import argparse
import json
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "jobs",
                                "demo"))
import tasks


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--per-task", type=int, default=200, help="texts of each task")
    parser.add_argument("--seed", type=int, default=11)
    args = parser.parse_args()
    rng, texts = random.Random(args.seed), []
    for task in tasks.TASKS:
        for prompt in tasks.test_prompts(task, args.per_task, rng):
            answer = list(tasks.prompt_answer(prompt).encode("ascii"))
            texts.append(tasks.prompt_tokens(prompt) + answer + [tasks.EOS])
    rng.shuffle(texts)
    for i, ids in enumerate(texts):
        print(json.dumps({"id": i, "prompt_token_ids": ids, "max_new_tokens": 1}))


if __name__ == "__main__":
    main()
