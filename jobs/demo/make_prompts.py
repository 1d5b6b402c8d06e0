#!/usr/bin/env python3
"""Writes demo prompts, held out of the model's training, as JSONL for `weft pack`.

    make_prompts.py --per-task 100 --span 20 > prompts.jsonl

One line per request, in order of arrival: id, prompt, prompt_token_ids (BOS and the bytes),
max_new_tokens, arrival_s, and meta with the task, the prompt and the right answer, which
accuracy.py reads back from the results. Arrival times are drawn uniformly over the span. The same
seed gives the same file. `count` has only 18 prompts, none of them held out (see tasks.py).
"""

import argparse
import json
import random
import sys

import tasks


def make_lines(per_task, span, seed, max_new_tokens):
    rng = random.Random(seed)
    prompts = [(task, p) for task in tasks.TASKS for p in tasks.test_prompts(task, per_task, rng)]
    rng.shuffle(prompts)
    arrivals = sorted(rng.uniform(0.0, span) for _ in prompts)
    for i, ((task, prompt), arrival) in enumerate(zip(prompts, arrivals)):
        yield {
            "id": i,
            "prompt": prompt,
            "prompt_token_ids": tasks.prompt_tokens(prompt),
            "max_new_tokens": max_new_tokens,
            "arrival_s": round(arrival, 6),
            "meta": {"task": task, "prompt": prompt, "expect": tasks.prompt_answer(prompt)},
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--per-task", type=int, default=100, help="prompts of each task")
    parser.add_argument("--span", type=float, default=20.0, help="seconds over which they arrive")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--max-new-tokens", type=int, default=64)
    parser.add_argument("-o", "--out", help="file to write; standard output without it")
    args = parser.parse_args()
    out = open(args.out, "w", encoding="ascii") if args.out else sys.stdout
    with out:
        for line in make_lines(args.per_task, args.span, args.seed, args.max_new_tokens):
            out.write(json.dumps(line) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
