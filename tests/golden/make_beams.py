#!/usr/bin/env python3
"""Asks `transformers` what beam search finds, for models of this folder: beams.json.

    make_beams.py [--out FILE]

cases[]: model, prompt, and the search: num_beams, n (num_return_sequences), max_new, length_penalty,
early_stopping, eos (token ids that end a text); texts[]: tokens without what pads them, and score.
On the CPU in float32, as in make_fixtures.py. Only cases are kept whose choices are clear: with
every log-probability moved by a little, the same texts come in the same order.
"""

import argparse
import json
import os

import torch
from transformers import AutoModelForCausalLM
from transformers.generation.logits_process import LogitsProcessor, LogitsProcessorList

HERE = os.path.dirname(os.path.abspath(__file__))
MODELS = ("llama-mini", "qwen2-mini", "mixtral-mini")
NOISE = 5e-5

# num_beams, n, max_new, length_penalty, early_stopping, how many tokens end a text, prompt
SEARCHES = [
    (2, 2, 12, 1.0, False, 0, 5),
    (4, 4, 24, 1.0, False, 2, 17),
    (4, 2, 24, 1.0, True, 2, 33),
    (3, 3, 20, 0.0, "never", 3, 9),
    (4, 3, 20, 2.0, "never", 2, 16),
    (5, 5, 16, -0.7, False, 1, 40),
    (8, 8, 10, 1.3, True, 4, 21),
    (2, 1, 1, 1.0, False, 1, 7),
]


class Move(LogitsProcessor):
    def __init__(self, seed):
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self, input_ids, scores):
        return scores + NOISE * torch.randn(scores.shape, generator=self.generator)


@torch.no_grad()
def search(model, case, processors):
    prompt = torch.tensor([case["prompt"]])
    eos = case["eos"] or None
    model.generation_config.eos_token_id = eos
    out = model.generate(
        prompt, attention_mask=torch.ones_like(prompt), num_beams=case["num_beams"],
        num_return_sequences=case["n"], max_new_tokens=case["max_new"], do_sample=False,
        length_penalty=case["length_penalty"], early_stopping=case["early_stopping"],
        eos_token_id=eos, pad_token_id=0, logits_processor=LogitsProcessorList(processors),
        output_scores=True, return_dict_in_generate=True)
    texts = []
    for row, score in zip(out.sequences.tolist(), out.sequences_scores.tolist()):
        tokens = row[len(case["prompt"]):]
        ends = [i for i, t in enumerate(tokens) if t in case["eos"]]
        texts.append({"tokens": tokens[:ends[0] + 1] if ends else tokens[:case["max_new"]],
                      "score": float(f"{score:.9g}")})
    return texts


def make_case(model, i, what, seed):
    num_beams, n, max_new, penalty, early, n_eos, n_prompt = what
    generator = torch.Generator().manual_seed(seed)
    vocab = model.config.vocab_size
    prompt = torch.randint(3, vocab, (n_prompt,), generator=generator).tolist()
    case = {"prompt": prompt, "num_beams": num_beams, "n": n, "max_new": max_new,
            "length_penalty": penalty, "early_stopping": early, "eos": []}
    # What a search without ends finds: its tokens end texts in the middle.
    free = search(model, case, [])
    inside = sorted({t["tokens"][len(t["tokens"]) * (k + 1) // (len(free) + 1)] for k, t in enumerate(free)})
    case["eos"] = inside[:n_eos]
    while len(case["eos"]) < n_eos:
        case["eos"].append(int(torch.randint(3, vocab, (1,), generator=generator)))
    case["texts"] = search(model, case, [])
    for k in range(2):
        moved = search(model, case, [Move(100 + k)])
        if [t["tokens"] for t in moved] != [t["tokens"] for t in case["texts"]]:
            return None
    return case


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default=os.path.join(HERE, "beams.json"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    cases = []
    for name in MODELS:
        model = AutoModelForCausalLM.from_pretrained(
            os.path.join(HERE, name), dtype=torch.float32, attn_implementation="eager").eval()
        for i, what in enumerate(SEARCHES):
            for seed in range(60):
                case = make_case(model, i, what, 1000 * i + seed)
                if case:
                    break
            else:
                raise SystemExit(f"{name}, search {i}: no clear case")
            cases.append({"model": name, **case})
            print(name, i, seed, [len(t["tokens"]) for t in case["texts"]], flush=True)
        with open(args.out, "w", encoding="ascii") as out:
            rows = ",\n".join("    " + json.dumps(c) for c in cases)
            out.write('{"cases": [\n' + rows + "\n]}\n")


if __name__ == "__main__":
    main()
