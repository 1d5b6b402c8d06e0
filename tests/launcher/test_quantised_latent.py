"""DeepSeek's FP8 checkpoints: blocks with a scale each under latent attention and experts.

usage: test_quantised_latent.py WEFT

A random model of DeepSeek-V3's kind is quantised as that is published, every matrix of layers but the
router in blocks of 128 x 128, some of which are cut off by a matrix's end, beside a float32 twin of the
values that the numbers stand for: unpacked it must answer with the twin's very tokens and
log-probabilities, computed as it is stored with nearly the same ones; alone and split over two ranks.
"""
import json
import os
import subprocess
import sys
import tempfile

import h5py
import numpy as np
from test_quantised import SOURCE, fp8_blocks, read_tensors, write_folder

GOLDEN = os.path.join(SOURCE, "tests", "golden", "deepseek-v3-mini")
BLOCK = 128
# The golden model's sizes and what they become here: rows of whole blocks.
WIDER = {48: 256, 80: 256, 36: 128, 28: 128, 44: 136, 208: 256, 176: 192, 96: 128, 16: 128}
SIZES = {"hidden_size": 256, "intermediate_size": 256, "kv_lora_rank": 128, "q_lora_rank": 128,
         "moe_intermediate_size": 128, "qk_nope_head_dim": 16, "v_head_dim": 16}


def draw():
    """Tensors of the golden model's names, wider and random."""
    rng = np.random.default_rng(5)
    out = {}
    for name, w in read_tensors(os.path.join(GOLDEN, "model.safetensors")).items():
        kept = w.shape[:1] if ".mlp.gate." in name or w.shape[0] == 261 else ()
        shape = kept + tuple(WIDER[n] for n in w.shape[len(kept):])
        value = rng.standard_normal(shape).astype(np.float32)
        out[name] = 1 + 0.1 * value if "norm" in name else value / np.sqrt(np.float32(shape[-1]))
    return out


def quantise():
    packed, twin = {}, {}
    for name, w in draw().items():
        packed[name] = twin[name] = ("F32", w)
        if name.endswith("_proj.weight") or name.endswith("_proj_with_mqa.weight"):
            del packed[name]
            made, value = fp8_blocks(name[:-len(".weight")], w, BLOCK, BLOCK)
            packed.update(made)
            twin[name] = ("F32", value)
    return packed, twin


def config_of(quantised):
    with open(os.path.join(GOLDEN, "config.json"), encoding="ascii") as f:
        config = {**json.load(f), **SIZES, "torch_dtype": "float32"}
    if quantised:
        config["quantization_config"] = {"activation_scheme": "dynamic", "fmt": "e4m3",
                                         "quant_method": "fp8",
                                         "weight_block_size": [BLOCK, BLOCK]}
    return config


def run(weft, model, shard, out, *settings, ranks=1):
    with open(out + ".yaml", "w", encoding="ascii") as f:
        f.write(f"model: {{path: {model}}}\nrequests: [{shard}]\n"
                f"parallel: {{backend: cpu, tensor: {ranks}}}\nengine: {{kv_memory: 16MiB}}\n"
                "sampling: {logprobs: 5, ignore_eos: true}\n")
    start = ["mpirun", "--oversubscribe", "-n", str(ranks)] if ranks > 1 else []
    done = subprocess.run([*start, weft, "run", out + ".yaml", "--out", out,
                           *[w for s in settings for w in ("--set", s)]],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    with h5py.File(os.path.join(out, "results.h5")) as f:
        return f["tokens/id"][:], f["tokens/top_logprob"][:]


def check(weft, folder, shard):
    at = os.path.join(folder, "deepseek")
    packed, twin = quantise()
    write_folder(at, packed, config_of(True))
    write_folder(at + "-twin", twin, config_of(False))
    want = run(weft, at + "-twin", shard, at + "-want")
    plain = run(weft, at, shard, at + "-plain", "model.weights_format=plain")
    assert (plain[0] == want[0]).all() and np.array_equal(plain[1], want[1]), "not the twin"
    for ranks in (1, 2):
        own = run(weft, at, shard, f"{at}-own{ranks}", ranks=ranks)
        same = own[0] == want[0]
        worst = np.abs(own[1] - want[1])[same].max()
        print(f"{ranks} rank(s): {same.mean():.3f} of the tokens, within {worst:.1e}")
        assert same.mean() > 0.97 and worst < 5e-3


def main():
    weft = os.path.abspath(sys.argv[1])
    os.environ.update(WEFT_PROGRESS="off", OMP_NUM_THREADS="1", OMPI_ALLOW_RUN_AS_ROOT="1",
                      OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    with tempfile.TemporaryDirectory() as folder:
        lines, shard = os.path.join(folder, "x.jsonl"), os.path.join(folder, "x.h5")
        with open(lines, "w", encoding="ascii") as f:
            for i in range(8):
                ids = [3 + (11 * i + 7 * k) % 240 for k in range(2 + 9 * i)]
                f.write(json.dumps({"prompt_token_ids": ids, "max_new_tokens": 12}) + "\n")
        subprocess.run([weft, "pack", lines, "-o", shard, "--vocab", "260"], check=True,
                       capture_output=True)
        check(weft, folder, shard)


if __name__ == "__main__":
    main()
