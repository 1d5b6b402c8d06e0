"""weft quantize: what it writes is read by numpy, by weft run and, where they are installed, by
transformers with compressed-tensors; what it cannot do is refused in one line.

usage: test_quantize.py WEFT
"""
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np

from test_quantised import MODEL, SOURCE, of_e4m3, read_tensors, run, write_folder

sys.path.insert(0, os.path.join(SOURCE, "jobs", "demo"))
import tasks

FORMATS = {"fp8": 0.98, "int8": 0.98, "int4-32": 0.9, "int4": 0.9}


def quantise(weft, *words):
    return subprocess.run([weft, "quantize", *words], capture_output=True, text=True)


def unpack(words, bits, n_cols):
    each = 32 // bits
    w = words.view(np.uint32)
    codes = np.stack([(w >> np.uint32(bits * i)) & np.uint32(2**bits - 1) for i in range(each)], -1)
    return codes.reshape(w.shape[0], -1)[:, :n_cols].astype(np.int32) - 2 ** (bits - 1)


def dequantised(path):
    """Tensors of a folder as float32, the quantised ones as the values that they stand for."""
    stored, out = read_tensors(os.path.join(path, "model.safetensors")), {}
    for name, w in stored.items():
        module = name.rsplit(".", 1)[0]
        scale = stored.get(module + ".weight_scale")
        if name.endswith(".weight_packed"):
            rows, cols = stored[module + ".weight_shape"]
            bits = 32 * w.shape[1] // cols
            assert w.shape[0] == rows
            numbers = unpack(w, bits, cols).astype(np.float32)
        elif name.endswith(".weight") and scale is not None:
            numbers = of_e4m3(w) if w.dtype == np.uint8 else w.astype(np.float32)
        elif name.endswith((".weight_scale", ".weight_shape")):
            continue
        else:
            out[name] = w
            continue
        groups = numbers.reshape(numbers.shape[0], scale.shape[1], -1) * scale[..., None]
        out[module + ".weight"] = groups.reshape(numbers.shape)
    return out


def check_format(weft, folder, shard, name, least, want, *options):
    """Unpacked, the tokens and log-probabilities of the values; computed as it is, nearly those."""
    at = os.path.join(folder, name + "".join(options))
    done = quantise(weft, "--model", MODEL, "--weights", name, "-o", at, *options)
    assert done.returncode == 0, done.stderr
    with open(os.path.join(at, "config.json"), encoding="ascii") as f:
        config = json.load(f)
    del config["quantization_config"]
    config["torch_dtype"] = "float32"
    values = dequantised(at)
    original = read_tensors(os.path.join(MODEL, "model.safetensors"))
    assert values.keys() == original.keys()
    worst = max(np.abs(values[k] - original[k]).max() / np.abs(original[k]).max() for k in original)
    write_folder(at + "-twin", {k: ("F32", v) for k, v in values.items()}, config)
    rc, twin = run(weft, at + "-twin", shard, at + "-1")
    assert rc == 0, twin
    f32 = "model.dtype=f32"
    rc, plain = run(weft, at, shard, at + "-2", "model.weights_format=plain", f32)
    assert rc == 0, plain
    assert (plain[0] == twin[0]).all() and np.array_equal(plain[1], twin[1]), f"{name}: not the twin"
    rc, own = run(weft, at, shard, at + "-3")
    assert rc == 0, own
    same = (own[0] == want[0]).mean()
    print(f"{name:8} {' '.join(options):22} numbers within {worst:.1%} of the greatest, {same:.3f} "
          "of the float model's tokens")
    assert same >= least, f"{name}: {same}"
    return at


def check_refused(weft, folder, quantised):
    new = os.path.join(folder, "refused")
    broken = os.path.join(folder, "broken")
    tensors = {k: ("F32", v) for k, v in read_tensors(os.path.join(MODEL, "model.safetensors")).items()}
    bad = tensors["model.layers.2.mlp.up_proj.weight"][1].copy()
    bad[5, 7] = np.nan
    tensors["model.layers.2.mlp.up_proj.weight"] = ("F32", bad)
    with open(os.path.join(MODEL, "config.json"), encoding="ascii") as f:
        write_folder(broken, tensors, json.load(f))
    cases = [
        (["--model", MODEL, "--weights", "int3", "-o", new], 64, "int3"),
        (["--model", MODEL, "--weights", "int8"], 64, "--output"),
        (["--weights", "int8", "-o", new], 64, "--model DIR"),
        (["--model", MODEL, "-o", new], 64, "--weights"),
        (["--model", MODEL, "--weights", "int8", "--activations", "static", "-o", new], 64, "static"),
        (["--model", os.path.join(folder, "none"), "--weights", "int8", "-o", new], 66, "none"),
        (["--model", quantised, "--weights", "int8", "-o", new], 65, "quantised already"),
        (["--model", MODEL, "--weights", "int8", "-o", quantised], 78, "is there already"),
        (["--model", broken, "--weights", "int8", "-o", new], 65, "up_proj.weight: a value in row 5"),
        # what the broken one left is of another model
        (["--model", MODEL, "--weights", "int8", "-o", new], 78, "--fresh"),
    ]
    for words, rc, part in cases:
        done = quantise(weft, *words)
        assert done.returncode == rc and part in done.stderr, (words, done.returncode, done.stderr)
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
        assert not os.path.exists(new), words
    done = quantise(weft, "--model", MODEL, "--weights", "int8", "-o", new, "--fresh")
    assert done.returncode == 0 and os.path.exists(new), done.stderr
    print(f"{len(cases)} refused")


def check_interrupted(weft, folder):
    """Killed at any moment: nothing under the name, and the same command makes it."""
    out = os.path.join(folder, "killed")
    command = [weft, "quantize", "--model", MODEL, "--weights", "int8", "-o", out]
    for after in (0.0, 0.02, 0.05, 0.1):
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(after)
        child.send_signal(signal.SIGKILL)
        child.wait()
        if os.path.exists(out):
            break
    if not os.path.exists(out):
        subprocess.run(command, check=True, capture_output=True)
    left = [name for name in os.listdir(folder) if name.startswith("killed")]
    assert left == ["killed"] and not [n for n in os.listdir(out) if n.endswith(".part")], left
    dequantised(out)


def make_shard(weft, folder, name, prompts, *options):
    lines, shard = os.path.join(folder, name + ".jsonl"), os.path.join(folder, name + ".h5")
    with open(lines, "w", encoding="ascii") as f:
        for i, ids in enumerate(prompts):
            f.write(json.dumps({"id": i, "prompt_token_ids": ids, "max_new_tokens": 1}) + "\n")
    subprocess.run([weft, "pack", lines, "-o", shard, *options], check=True, capture_output=True)
    return shard


def texts(n, seed):
    """The four tasks with their answers, as the model was trained on them."""
    rng, out = random.Random(seed), []
    for task in tasks.TASKS:
        for prompt in tasks.test_prompts(task, n, rng):
            out.append(tasks.prompt_tokens(prompt) + list(tasks.prompt_answer(prompt).encode()))
    rng.shuffle(out)
    return out


def check_calibrated(weft, folder, shard, want):
    """Chosen layer by layer: within the budget, no worse than one format for all of those bytes."""
    from_texts = make_shard(weft, folder, "texts", texts(12, 3), "--model", MODEL)
    at = os.path.join(folder, "chosen")
    words = ["--model", MODEL, "--calibrate", from_texts, "--tokens", "256", "--backend", "cpu"]
    child = subprocess.Popen([weft, "quantize", *words, "--budget", "0.8", "-o", at],
                             stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    journal = os.path.join(at + ".work", "measured")
    while child.poll() is None:
        if os.path.exists(journal) and len(open(journal, encoding="ascii").readlines()) > 4:
            child.terminate()
            break
        time.sleep(0.01)
    said = child.communicate()[1]
    assert child.returncode == 75 and not os.path.exists(at), (child.returncode, said)
    os.environ["WEFT_LOG"] = "info"
    done = quantise(weft, *words, "--budget", "0.8", "-o", at)
    os.environ["WEFT_LOG"] = "warn"
    assert done.returncode == 0, done.stderr
    assert "made by an earlier start" in done.stderr, done.stderr
    assert not os.path.exists(at + ".work")
    with open(os.path.join(at, "quantize.json"), encoding="ascii") as f:
        report = json.load(f)
    rows = {row["name"]: row for row in report["spendings"]}
    print(done.stdout)
    assert len(set(report["layers"])) > 1, report["layers"]
    assert rows["full"]["kl"] == 0 and rows["chosen"]["bytes"] <= report["budget_bytes"]
    assert rows["int8"]["kl"] < rows["fp8"]["kl"] < rows["int4"]["kl"]
    # held-out texts: better than 4 bits everywhere
    assert rows["int8"]["kl"] <= rows["chosen"]["kl"] < rows["int4-32"]["kl"]
    with open(os.path.join(at, "config.json"), encoding="ascii") as f:
        config = json.load(f)
    assert len(config["quantization_config"]["config_groups"]) > 1
    corrected = report["corrected"] == "yes"
    assert config["mlp_bias"] == corrected and config["attention_bias"] == corrected
    assert ("model.layers.0.mlp.down_proj.bias" in dequantised(at)) == corrected
    rc, got = run(weft, at, shard, at + "-run")
    assert rc == 0, got
    assert (got[0] == want[0]).mean() >= 0.95
    new = os.path.join(folder, "uncalibrated")
    short = make_shard(weft, folder, "short", texts(1, 1), "--model", MODEL)
    foreign = make_shard(weft, folder, "foreign", [[256, 9, 31999]] * 300, "--vocab", "32000")
    cases = [
        (["--model", MODEL, "-c", short], 65, "too short to calibrate with"),
        (["--model", MODEL, "-c", foreign], 65, "another vocabulary"),
        (["--model", MODEL, "-c", os.path.join(folder, "none.h5")], 66, "none.h5"),
        ([*words, "--budget", "0.3"], 78, "the smallest formats take"),
        ([*words, "--budget", "lots"], 64, "lots: is no budget"),
        ([*words, "--weights", "int8"], 64, "--weights"),
        (["--model", MODEL, "--weights", "int8", "--budget", "int8"], 64, "--calibrate SHARD"),
    ]
    for extra, rc, part in cases:
        done = quantise(weft, *extra, "-o", new)
        assert done.returncode == rc and part in done.stderr, (extra, done.returncode, done.stderr)
        assert not os.path.exists(new)
    print(f"{len(cases)} refused")


def main():
    weft = os.path.abspath(sys.argv[1])
    os.environ.update(WEFT_LOG="warn", WEFT_PROGRESS="off", OMP_NUM_THREADS="2")
    with tempfile.TemporaryDirectory() as folder:
        lines, shard = os.path.join(folder, "x.jsonl"), os.path.join(folder, "x.h5")
        made = subprocess.run([sys.executable, "jobs/demo/make_prompts.py", "--per-task", "3"],
                              cwd=SOURCE, check=True, capture_output=True, text=True).stdout
        with open(lines, "w", encoding="ascii") as f:
            f.write(made)
        subprocess.run([weft, "pack", lines, "-o", shard, "--model", MODEL], check=True,
                       capture_output=True)
        rc, want = run(weft, MODEL, shard, os.path.join(folder, "float"))
        assert rc == 0, want
        for name, least in FORMATS.items():
            at = check_format(weft, folder, shard, name, least, want)
        check_format(weft, folder, shard, "fp8", 0.98, want, "--activations=dynamic")
        check_format(weft, folder, shard, "int8", 0.98, want, "--activations=dynamic")
        check_refused(weft, folder, at)
        check_interrupted(weft, folder)
        check_calibrated(weft, folder, shard, want)


if __name__ == "__main__":
    main()
