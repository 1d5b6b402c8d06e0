#!/usr/bin/env python3
"""Makes the fixtures of encoders: small random models, token ids, and the vectors of `transformers`.

    make_encoders.py [--out FOLDER] [--only NAME ...]

Each is a model folder as sentence-transformers lays it out (modules.json, 1_Pooling), with one more
file, vectors.json: cases[] of ids and the vector that pooling (and a length of 1, where modules.json
says so) makes of the last hidden states, computed on the CPU in float32 with eager attention.
Written with torch 2.11 and transformers 5.17.
"""

import argparse
import json
import os
import shutil

import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModel

from make_fixtures import draw_weights, write_json

LENGTHS = (1, 2, 7, 33, 64, 100)
BERT = {"model_type": "bert", "architectures": ["BertModel"], "hidden_act": "gelu",
        "hidden_size": 48, "intermediate_size": 80, "layer_norm_eps": 1e-12,
        "max_position_embeddings": 128, "num_attention_heads": 4, "num_hidden_layers": 2,
        "pad_token_id": 0, "position_embedding_type": "absolute", "type_vocab_size": 2,
        "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1, "vocab_size": 150}
ROBERTA = {**BERT, "model_type": "roberta", "architectures": ["RobertaModel"], "pad_token_id": 1,
           "max_position_embeddings": 130, "type_vocab_size": 1, "layer_norm_eps": 1e-5}
DISTILBERT = {"model_type": "distilbert", "architectures": ["DistilBertModel"],
              "activation": "gelu", "dim": 64, "hidden_dim": 96, "n_heads": 2, "n_layers": 2,
              "max_position_embeddings": 128, "pad_token_id": 0, "sinusoidal_pos_embds": False,
              "dropout": 0.1, "attention_dropout": 0.1, "tie_weights_": True, "vocab_size": 150}
ELECTRA = {**BERT, "model_type": "electra", "architectures": ["ElectraModel"],
           "embedding_size": 48}
# Embeddings narrower than the model, as the small ELECTRA has; all layers one.
ELECTRA_SMALL = {**ELECTRA, "embedding_size": 20}
ALBERT = {**BERT, "model_type": "albert", "architectures": ["AlbertModel"], "embedding_size": 20,
          "hidden_act": "gelu_new", "num_hidden_layers": 3, "num_hidden_groups": 1,
          "inner_group_num": 1, "classifier_dropout_prob": 0.1, "gap_size": 0,
          "net_structure_type": 0, "num_memory_blocks": 0, "down_scale_factor": 1}
MPNET = {**{k: v for k, v in BERT.items() if k not in ("type_vocab_size",
                                                       "position_embedding_type")},
         "model_type": "mpnet", "architectures": ["MPNetModel"], "pad_token_id": 1,
         "max_position_embeddings": 302, "relative_attention_num_buckets": 32}
QWEN3 = {"model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"], "attention_bias": False,
         "bos_token_id": 1, "eos_token_id": 2, "head_dim": 16, "hidden_act": "silu",
         "hidden_size": 48, "intermediate_size": 96, "max_position_embeddings": 256,
         "num_attention_heads": 4, "num_hidden_layers": 2, "num_key_value_heads": 2,
         "rms_norm_eps": 1e-6, "rope_theta": 1e6, "tie_word_embeddings": True,
         "use_sliding_window": False, "vocab_size": 150}

MODERNBERT = {"model_type": "modernbert", "architectures": ["ModernBertModel"],
              "attention_bias": False, "global_attn_every_n_layers": 3,
              "global_rope_theta": 160000.0, "hidden_activation": "gelu", "hidden_size": 48,
              "intermediate_size": 64, "local_attention": 20, "local_rope_theta": 10000.0,
              "max_position_embeddings": 256, "mlp_bias": False, "norm_bias": False,
              "norm_eps": 1e-5, "num_attention_heads": 3, "num_hidden_layers": 5,
              "pad_token_id": 0, "bos_token_id": 1, "cls_token_id": 1, "eos_token_id": 2,
              "sep_token_id": 2, "vocab_size": 150}

# name: config, pooling, normalise, names with the model's prefix, lengths of rows
FIXTURES = {
    "bert-mini": (BERT, "mean", True, "", LENGTHS),
    "bert-cls": ({**BERT, "hidden_size": 64, "num_attention_heads": 2}, "cls", False, "bert.",
                 LENGTHS),
    "roberta-mini": (ROBERTA, "mean", False, "roberta.", LENGTHS),
    "distilbert-mini": (DISTILBERT, "max", False, "", LENGTHS),
    "electra-mini": (ELECTRA, "mean", True, "electra.", LENGTHS),
    "electra-small": (ELECTRA_SMALL, "mean", False, "electra.", LENGTHS),
    "albert-mini": (ALBERT, "mean", True, "albert.", LENGTHS),
    "mpnet-mini": (MPNET, "mean", True, "", LENGTHS + (200, 300)),
    "modernbert-mini": (MODERNBERT, "mean", True, "model.", LENGTHS),
    "qwen3-embedding": (QWEN3, "lasttoken", True, "", LENGTHS),
}

POOL = {"cls": lambda x: x[0], "mean": lambda x: x.mean(0), "max": lambda x: x.max(0).values,
        "lasttoken": lambda x: x[-1]}
FLAGS = {"cls": "pooling_mode_cls_token", "mean": "pooling_mode_mean_tokens",
         "max": "pooling_mode_max_tokens", "lasttoken": "pooling_mode_lasttoken"}


def write_modules(folder, pooling, normalise, width):
    kind = "sentence_transformers.models."
    modules = [{"idx": 0, "name": "0", "path": "", "type": kind + "Transformer"},
               {"idx": 1, "name": "1", "path": "1_Pooling", "type": kind + "Pooling"}]
    if normalise:
        modules.append({"idx": 2, "name": "2", "path": "2_Normalize", "type": kind + "Normalize"})
    write_json(os.path.join(folder, "modules.json"), modules)
    os.makedirs(os.path.join(folder, "1_Pooling"))
    config = {flag: name == pooling for name, flag in FLAGS.items()}
    config.update(word_embedding_dimension=width, include_prompt=True,
                  pooling_mode_mean_sqrt_len_tokens=False, pooling_mode_weightedmean_tokens=False)
    write_json(os.path.join(folder, "1_Pooling", "config.json"), config)


@torch.no_grad()
def vector(model, ids, pooling, normalise):
    states = model(torch.tensor([ids])).last_hidden_state[0]
    pooled = POOL[pooling](states)
    pooled = torch.nn.functional.normalize(pooled, dim=0) if normalise else pooled
    return [float(f"{x:.9g}") for x in pooled.tolist()]


def make(name, out):
    config, pooling, normalise, prefix, lengths = FIXTURES[name]
    folder = os.path.join(out, name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    write_json(os.path.join(folder, "config.json"), config)
    empty = AutoModel.from_config(AutoConfig.from_pretrained(folder))
    state = {n: t for n, t in draw_weights(empty, torch.float32, 7).items()
             if not n.startswith("pooler.")}
    save_file({prefix + n: t for n, t in state.items()},
              os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    model = AutoModel.from_pretrained(folder, dtype=torch.float32,
                                      attn_implementation="eager").eval()
    write_modules(folder, pooling, normalise, model.config.hidden_size)
    generator = torch.Generator().manual_seed(11)
    lines = []
    for n in lengths:
        ids = torch.randint(3, config["vocab_size"], (n,), generator=generator).tolist()
        case = {"ids": ids, "vector": vector(model, ids, pooling, normalise)}
        lines.append("    " + json.dumps(case))
    head = {"model": name, "transformers": transformers.__version__,
            "torch": torch.__version__.split("+")[0]}
    with open(os.path.join(folder, "vectors.json"), "w", encoding="ascii") as file:
        file.write(json.dumps(head)[:-1] + ', "cases": [\n' + ",\n".join(lines) + "\n]}\n")
    print(name, sum(os.path.getsize(os.path.join(folder, f)) for f in os.listdir(folder)
                    if os.path.isfile(os.path.join(folder, f))), "bytes", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default=os.path.dirname(os.path.abspath(__file__)))
    parser.add_argument("--only", nargs="*", default=list(FIXTURES))
    args = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    for name in args.only:
        make(name, args.out)


if __name__ == "__main__":
    main()
