#!/usr/bin/env python3
"""Makes the fixtures of heads: small random models, token ids, and the scores of `transformers`.

    make_heads.py [--out FOLDER] [--only NAME ...]

Each is a model folder with one more file, scores.json: labels, and cases[] of ids, of `second`, the
index at which a second segment begins (0: there is none), and of the scores that the activation of
its task makes of the logits: that of transformers' text-classification pipeline (classify) or of
sentence-transformers' CrossEncoder (score, rerank). Models with a head for masks have masks.json:
mask, its token, and cases[] of ids and, for each mask, the TOP likeliest tokens with the logarithms
of their probabilities. Computed on the CPU in float32 with eager attention. Written with torch 2.11
and transformers 5.24.
"""

import argparse
import json
import os
import shutil

import torch
import transformers
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForMaskedLM, AutoModelForSequenceClassification

from make_encoders import (ALBERT, BERT, DISTILBERT, ELECTRA, ELECTRA_SMALL, MODERNBERT, MPNET,
                           QWEN3, ROBERTA)
from make_fixtures import draw_weights, write_json

LENGTHS = (1, 2, 7, 33, 64, 100)


def head(config, cls, labels, **more):
    names = {str(i): name for i, name in enumerate(labels)}
    return {**config, "architectures": [cls + "ForSequenceClassification"], "id2label": names,
            "label2id": {name: int(i) for i, name in names.items()}, **more}


IDENTITY = {"activation_fn": "torch.nn.modules.linear.Identity", "version": "5.1.0"}
LEVELS = ("negative", "neutral", "positive")

# name: task, config, what makes scores of logits, whether it knows second segments
FIXTURES = {
    "bert-classify": ("classify", head(BERT, "Bert", LEVELS), "softmax", True),
    "albert-classify": ("classify", head(ALBERT, "Albert", LEVELS), "softmax", True),
    "roberta-labels": ("classify", head(ROBERTA, "Roberta", ("joy", "anger", "fear", "hope"),
                                        problem_type="multi_label_classification"),
                       "sigmoid", False),
    "xlmr-rerank": ("rerank", head({**ROBERTA, "model_type": "xlm-roberta"}, "XLMRoberta",
                                   ("LABEL_0",)), "sigmoid", False),
    "distilbert-classify": ("classify", head(DISTILBERT, "DistilBert", ("NEGATIVE", "POSITIVE")),
                            "softmax", False),
    "electra-score": ("score", head(ELECTRA, "Electra", ("LABEL_0",),
                                    sentence_transformers=IDENTITY), "none", True),
    "mpnet-regression": ("classify", head(MPNET, "MPNet", ("grade",), problem_type="regression"),
                         "none", False),
    "modernbert-classify": ("classify", head(MODERNBERT, "ModernBert", LEVELS,
                                             classifier_pooling="mean", classifier_bias=True,
                                             classifier_activation="gelu"), "softmax", False),
    "qwen3-rerank": ("rerank", head({**QWEN3, "pad_token_id": 0}, "Qwen3", ("LABEL_0",)), "sigmoid",
                     False),
}
# name: config; [MASK] is token MASK, which the first folder's tokenizer.json says
MASK, TOP = 4, 5
MASKED = {"bert-mask": BERT, "roberta-mask": {**ROBERTA, "mask_token_id": MASK},
          "distilbert-mask": {**DISTILBERT, "mask_token_id": MASK},
          "electra-mask": {**ELECTRA, "mask_token_id": MASK},
          "electra-small-mask": {**ELECTRA_SMALL, "mask_token_id": MASK},
          "albert-mask": {**ALBERT, "mask_token_id": MASK},
          "mpnet-mask": {**MPNET, "mask_token_id": MASK},
          "modernbert-mask": {**MODERNBERT, "mask_token_id": MASK, "classifier_activation": "gelu"}}
ACTIVATIONS = {"softmax": lambda x: x.softmax(0), "sigmoid": torch.sigmoid, "none": lambda x: x}


@torch.no_grad()
def scores(model, ids, second, activation):
    more = {}
    if second:
        more["token_type_ids"] = torch.tensor([[int(i >= second) for i in range(len(ids))]])
    logits = model(torch.tensor([ids]), **more).logits[0]
    return [float(f"{x:.9g}") for x in ACTIVATIONS[activation](logits).tolist()]


def seconds(n, knows):
    """Where the second segment of a row of n tokens begins, in turn: none, the middle, the last."""
    return {0, n // 2, n - 1} if knows and n > 2 else {0}


@torch.no_grad()
def likeliest(model, ids):
    logits = model(torch.tensor([ids])).logits[0]
    top = logits[[i for i, id in enumerate(ids) if id == MASK]].log_softmax(-1).topk(TOP)
    return [{"ids": own, "logprobs": [float(f"{x:.9g}") for x in values]}
            for own, values in zip(top.indices.tolist(), top.values.tolist())]


def make_masked(name, out):
    config = MASKED[name]
    folder = os.path.join(out, name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    write_json(os.path.join(folder, "config.json"), config)
    empty = AutoModelForMaskedLM.from_config(AutoConfig.from_pretrained(folder))
    empty.save_pretrained(os.path.join(folder, "x"))  # which of tied tensors are kept
    with safe_open(os.path.join(folder, "x", "model.safetensors"), "pt") as file:
        kept = set(file.keys())
    shutil.rmtree(os.path.join(folder, "x"))
    state = draw_weights(empty, torch.float32, 7)
    save_file({n: state[n] for n in kept}, os.path.join(folder, "model.safetensors"),
              metadata={"format": "pt"})
    model = AutoModelForMaskedLM.from_pretrained(folder, dtype=torch.float32,
                                                 attn_implementation="eager").eval()
    if "mask_token_id" not in config:
        write_json(os.path.join(folder, "tokenizer.json"),
                   {"added_tokens": [{"id": 3, "content": "[CLS]"}, {"id": MASK, "content": "[MASK]"}]})
    generator = torch.Generator().manual_seed(11)
    lines = []
    for n in LENGTHS:
        ids = torch.randint(5, config["vocab_size"], (n,), generator=generator).tolist()
        for at in {n // 2, n - 1, *range(0, n, 30)}:
            ids[at] = MASK
        lines.append("    " + json.dumps({"ids": ids, "masks": likeliest(model, ids)}))
    top = {"model": name, "transformers": transformers.__version__,
           "torch": torch.__version__.split("+")[0], "mask": MASK}
    with open(os.path.join(folder, "masks.json"), "w", encoding="ascii") as file:
        file.write(json.dumps(top)[:-1] + ', "cases": [\n' + ",\n".join(lines) + "\n]}\n")
    print(name, sorted(n for n in kept if "layer" not in n), flush=True)


def make(name, out):
    if name in MASKED:
        make_masked(name, out)
        return
    task, config, activation, knows = FIXTURES[name]
    folder = os.path.join(out, name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    write_json(os.path.join(folder, "config.json"), config)
    kind = AutoModelForSequenceClassification
    empty = kind.from_config(AutoConfig.from_pretrained(folder))
    save_file(draw_weights(empty, torch.float32, 7), os.path.join(folder, "model.safetensors"),
              metadata={"format": "pt"})
    model = kind.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    generator = torch.Generator().manual_seed(11)
    lines = []
    for n in LENGTHS:
        ids = torch.randint(3, config["vocab_size"], (n,), generator=generator).tolist()
        for second in sorted(seconds(n, knows)):
            case = {"ids": ids, "second": second,
                    "scores": scores(model, ids, second, activation)}
            lines.append("    " + json.dumps(case))
    top = {"model": name, "transformers": transformers.__version__,
           "torch": torch.__version__.split("+")[0], "task": task,
           "labels": list(config["id2label"].values())}
    with open(os.path.join(folder, "scores.json"), "w", encoding="ascii") as file:
        file.write(json.dumps(top)[:-1] + ', "cases": [\n' + ",\n".join(lines) + "\n]}\n")
    print(name, lines[-1][-120:], flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default=os.path.dirname(os.path.abspath(__file__)))
    parser.add_argument("--only", nargs="*", default=[*FIXTURES, *MASKED])
    args = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    for name in args.only:
        make(name, args.out)


if __name__ == "__main__":
    main()
