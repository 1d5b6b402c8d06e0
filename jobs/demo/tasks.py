"""The demo model's four tasks: their prompts, their answers, and which prompts are held out.

    add:37+58=    ->  95                 0..999 + 0..999
    rev:stream=   ->  maerts             3..10 lowercase letters, drawn at random
    sort:stream=  ->  aemrst             the same letters in alphabetical order
    count:7=      ->  1 2 3 4 5 6 7      3..20

A prompt is ASCII; its tokens are BOS and then its bytes; the answer's bytes and EOS follow.
A prompt is held out of training when sha256(prompt) mod 10 is 0. `count` has 18 prompts in all, too
few to hold any out: it trains and tests on all of them, and every report says so.
"""

import hashlib

BOS, EOS, PAD = 256, 257, 258
VOCAB_SIZE = 260
TASKS = ("add", "rev", "sort", "count")
COUNT_MIN, COUNT_MAX = 3, 20
LETTERS_MIN, LETTERS_MAX = 3, 10
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def prompt_answer(prompt):
    """The right answer to a prompt, worked out from the prompt alone."""
    task, argument = prompt.rstrip("=").split(":", 1)
    if task == "add":
        left, right = argument.split("+")
        return str(int(left) + int(right))
    if task == "rev":
        return argument[::-1]
    if task == "sort":
        return "".join(sorted(argument))
    if task == "count":
        return " ".join(str(i) for i in range(1, int(argument) + 1))
    raise ValueError(f"unknown task in prompt {prompt!r}")


def prompt_is_held_out(prompt):
    return int(hashlib.sha256(prompt.encode("ascii")).hexdigest(), 16) % 10 == 0


def prompt_tokens(prompt):
    return [BOS, *prompt.encode("ascii")]


def prompt_draw(task, rng):
    """One random prompt of a task, from either side of the split."""
    if task == "add":
        return f"add:{rng.randrange(1000)}+{rng.randrange(1000)}="
    if task == "count":
        return f"count:{rng.randint(COUNT_MIN, COUNT_MAX)}="
    n_letters = rng.randint(LETTERS_MIN, LETTERS_MAX)
    return f"{task}:{''.join(rng.choice(LETTERS) for _ in range(n_letters))}="


def test_prompts(task, n_prompts, rng):
    """n distinct held-out prompts; for `count`, which holds none out, its 18 prompts in turn."""
    if task == "count":
        every = [f"count:{i}=" for i in range(COUNT_MIN, COUNT_MAX + 1)]
        rng.shuffle(every)
        return [every[i % len(every)] for i in range(n_prompts)]
    chosen = {}
    while len(chosen) < n_prompts:
        prompt = prompt_draw(task, rng)
        if prompt_is_held_out(prompt):
            chosen[prompt] = True
    return list(chosen)
