#!/usr/bin/env python3
"""How fast a checkpoint gets onto the device, beside what dd reads of the same files.

usage: results/studies/gpu-models/load.py BUILD OUT [LAYERS]      writes OUT/load.csv

Makes a checkpoint of Llama-3-8B's shape with LAYERS layers (default 6: 4.7 GB, in OUT, removed at
the end), in one file per two layers. Warm: from the page cache; cold: after putting it out of it.
"""
import json
import os
import struct
import subprocess
import sys
import time

import numpy as np

from gpu_jobs import Shape, Study

HIDDEN, FFN, VOCAB, KV = 4096, 14336, 128256, 1024


def layer_tensors(i):
    p = f"model.layers.{i}."
    return {p + "input_layernorm.weight": [HIDDEN], p + "post_attention_layernorm.weight": [HIDDEN],
            p + "self_attn.q_proj.weight": [HIDDEN, HIDDEN],
            p + "self_attn.k_proj.weight": [KV, HIDDEN], p + "self_attn.v_proj.weight": [KV, HIDDEN],
            p + "self_attn.o_proj.weight": [HIDDEN, HIDDEN],
            p + "mlp.gate_proj.weight": [FFN, HIDDEN], p + "mlp.up_proj.weight": [FFN, HIDDEN],
            p + "mlp.down_proj.weight": [HIDDEN, FFN]}


def write_file(path, tensors, noise):
    header, at = {}, 0
    for name, shape in tensors.items():
        n = 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + n]}
        at += n
    text = json.dumps(header).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for left in range(at, 0, -len(noise)):
            f.write(noise[:min(left, len(noise))])
        f.flush()
        os.fsync(f.fileno())
    return list(header)


def make(folder, n_layers):
    """Returns the paths of the files."""
    os.makedirs(folder, exist_ok=True)
    bits = np.random.default_rng(1).normal(0, 0.02, 1 << 25).astype(np.float32).view(np.uint32) >> 16
    noise = bits.astype(np.uint16).tobytes()
    files = [{"model.embed_tokens.weight": [VOCAB, HIDDEN]},
             {"lm_head.weight": [VOCAB, HIDDEN], "model.norm.weight": [HIDDEN]}]
    for i in range(0, n_layers, 2):
        files.append({n: s for k in range(i, min(i + 2, n_layers)) for n, s in layer_tensors(k).items()})
    weight_map, paths = {}, []
    for i, tensors in enumerate(files):
        name = f"model-{i + 1:05d}-of-{len(files):05d}.safetensors"
        paths.append(os.path.join(folder, name))
        weight_map.update({n: name for n in write_file(paths[-1], tensors, noise)})
    with open(os.path.join(folder, "model.safetensors.index.json"), "w", encoding="ascii") as f:
        json.dump({"metadata": {"total_size": 0}, "weight_map": weight_map}, f)
    with open(os.path.join(Shape("llama-3-8b").path, "config.json"), encoding="ascii") as f:
        config = json.load(f)
    config["num_hidden_layers"] = n_layers
    with open(os.path.join(folder, "config.json"), "w", encoding="ascii") as f:
        json.dump(config, f)
    return paths


def forget(paths):
    for path in paths:
        with open(path, "rb") as f:
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def dd_rate(paths):
    begin = time.time()
    for path in paths:
        subprocess.run(["dd", f"if={path}", "of=/dev/null", "bs=16M", "status=none"], check=True)
    return sum(os.path.getsize(p) for p in paths) / (time.time() - begin) / 1e9


def loads(study, folder, *threads):
    text = subprocess.run(study.tool("bench_gpu_load", "cuda", folder, *map(str, threads)), check=True,
                          capture_output=True, text=True).stdout
    return [line.split(",") for line in text.splitlines() if line.startswith("load,")]


def main():
    study = Study(sys.argv[1], sys.argv[2])
    folder = os.path.join(study.out, "checkpoint")
    paths = make(folder, int(sys.argv[3]) if len(sys.argv) > 3 else 6)
    name = f"{sum(os.path.getsize(p) for p in paths) / 1e9:.1f} GB"
    loads(study, folder, 4)  # the page cache holds it all from here
    warm = max(dd_rate(paths) for _ in range(2))
    study.row("load", name, "dd, 16 MiB blocks, warm", warm, "GB/s")
    for _, threads, _, _, rate, storage in loads(study, folder, 1, 2, 4, 8, 4):
        study.row("load", name, f"{threads} threads, warm", float(rate), "GB/s",
                  note=f"{float(rate) / warm:.2f} of dd; {storage} MB from storage")
    forget(paths)
    cold = dd_rate(paths)
    study.row("load", name, "dd, 16 MiB blocks, cold", cold, "GB/s")
    forget(paths)
    for _, threads, _, _, rate, storage in loads(study, folder, 4):
        study.row("load", name, f"{threads} threads, cold", float(rate), "GB/s",
                  note=f"{float(rate) / cold:.2f} of dd; {storage} MB from storage")
    study.write("load.csv")
    for path in paths:
        os.remove(path)


main()
