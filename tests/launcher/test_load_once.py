"""Two ranks of one node that load one model: storage delivers each byte once.

usage: test_load_once.py WEFT

A 42 MB checkpoint is put out of the page cache; then a group of 2 and 2 replicas load it, and what
each rank had from storage (its log says) adds up to the file's size, not to twice that. Skips where
files do not leave the page cache (tmpfs) or the system does not tell who read what.
"""
import json
import os
import re
import struct
import subprocess
import sys
import tempfile

CONFIG = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
          "hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 4,
          "num_attention_heads": 8, "num_key_value_heads": 8, "rms_norm_eps": 1e-5,
          "rope_theta": 10000.0, "max_position_embeddings": 128, "vocab_size": 4096,
          "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2,
          "torch_dtype": "bfloat16"}


def tensors():
    hidden, ffn, vocab = CONFIG["hidden_size"], CONFIG["intermediate_size"], CONFIG["vocab_size"]
    yield "model.embed_tokens.weight", [vocab, hidden]
    for i in range(CONFIG["num_hidden_layers"]):
        layer = f"model.layers.{i}."
        yield layer + "input_layernorm.weight", [hidden]
        for name in "qkvo":
            yield f"{layer}self_attn.{name}_proj.weight", [hidden, hidden]
        yield layer + "post_attention_layernorm.weight", [hidden]
        yield layer + "mlp.gate_proj.weight", [ffn, hidden]
        yield layer + "mlp.up_proj.weight", [ffn, hidden]
        yield layer + "mlp.down_proj.weight", [hidden, ffn]
    yield "model.norm.weight", [hidden]
    yield "lm_head.weight", [vocab, hidden]


def make_model(folder):
    header, at = {}, 0
    for name, shape in tensors():
        n = 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + n]}
        at += n
    text = json.dumps(header).encode()
    path = os.path.join(folder, "model.safetensors")
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"\x3c" * at)  # bf16 0.0115
        f.flush()
        os.fsync(f.fileno())
    with open(os.path.join(folder, "config.json"), "w", encoding="ascii") as f:
        json.dump(CONFIG, f)
    return path, at


def read_bytes():
    with open("/proc/self/io", encoding="ascii") as f:
        return int(re.search(r"^read_bytes: (\d+)", f.read(), re.M).group(1))


def forget(path):
    """Puts a file out of the page cache."""
    with open(path, "rb") as f:
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def forgets(path):
    forget(path)
    before = read_bytes()
    with open(path, "rb") as f:
        while f.read(1 << 20):
            pass
    return read_bytes() - before > os.path.getsize(path) * 0.9


def load(weft, folder, tensor):
    job = os.path.join(folder, "job.yaml")
    with open(job, "w", encoding="ascii") as f:
        f.write(f"job: once\nmodel: {{path: {folder}}}\nrequests: [{folder}/one.h5]\n"
                f"parallel: {{tensor: {tensor}, backend: cpu}}\nengine: {{kv_memory: 16MiB}}\n")
    env = dict(os.environ, WEFT_LOG="debug", WEFT_PROGRESS="off")
    done = subprocess.run(["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", "2", weft, "run",
                           job, "--out", os.path.join(folder, f"out-{tensor}")], env=env,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = re.findall(r"([\d.]+) MB read and placed.*?([\d.]+) MB of it from storage", done.stderr)
    assert len(found) == 2, done.stderr
    return sum(float(r) for r, _ in found), sum(float(s) for _, s in found)


def main():
    weft = sys.argv[1]
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/var/tmp")) as folder:
        path, size = make_model(folder)
        log = os.path.join(folder, "one.csv")
        with open(log, "w", encoding="ascii") as f:
            f.write("arrival_s,input_tokens,output_tokens\n0,4,2\n0,4,2\n")
        subprocess.run([weft, "import", "csv", log, "-o", os.path.join(folder, "one.h5"), "--vocab",
                        "4096"], check=True, stdout=subprocess.DEVNULL)
        if not os.path.exists("/proc/self/io") or not forgets(path):
            print(f"skipped: {folder}: files do not leave the page cache here, or nobody counts")
            return 77
        for tensor in (1, 2):
            forget(path)
            read, stored = load(weft, folder, tensor)
            print(f"tensor {tensor}: {size / 1e6:.1f} MB of weights; both ranks read {read:.1f} MB, "
                  f"{stored:.1f} MB of it from storage")
            assert read > 1.15 * size / 1e6, "both ranks read"
            assert 0.9 < stored / (size / 1e6) < 1.1, "each byte once"
    return 0


sys.exit(main())
