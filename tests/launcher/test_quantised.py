"""Quantised checkpoints as the tools publish them: the program must read what numpy reads.

usage: test_quantised.py WEFT

The demo model is quantised here in every layout that is read, by packers of their own, beside a
float32 twin of the values that the numbers stand for. Unpacked (model.weights_format: plain) it must
answer with the twin's very tokens and log-probabilities; computed in its own format with nearly the
same ones. Then checkpoints that must be refused, each by name.
"""
import copy
import json
import os
import subprocess
import sys
import tempfile

import h5py
import numpy as np

SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
MODEL = os.path.join(SOURCE, "jobs", "demo", "model")
LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
TYPES = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16, "I32": np.int32, "I8": np.int8,
         "F8_E4M3": np.uint8, "I64": np.int64}
AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)


def read_tensors(path):
    with open(path, "rb") as f:
        n = int.from_bytes(f.read(8), "little")
        head, data = json.loads(f.read(n)), f.read()
    out = {}
    for name, t in head.items():
        if name == "__metadata__":
            continue
        begin, end = t["data_offsets"]
        raw = np.frombuffer(data[begin:end], TYPES[t["dtype"]]).reshape(t["shape"])
        out[name] = (raw.astype(np.uint32) << 16).view(np.float32) if t["dtype"] == "BF16" else raw
    return out


def write_folder(folder, tensors, config):
    """tensors: name -> (type, array)."""
    os.makedirs(folder)
    head, blobs, at = {}, [], 0
    for name, (kind, array) in tensors.items():
        blob = np.ascontiguousarray(array.astype(TYPES[kind], copy=False)).tobytes()
        head[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(folder, "model.safetensors"), "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text + b"".join(blobs))
    with open(os.path.join(folder, "config.json"), "w", encoding="ascii") as f:
        json.dump(config, f)


# ---- numbers ------------------------------------------------------------------------------------

def e4m3_values():
    code = np.arange(127)
    e, m = code >> 3, code & 7
    return np.where(e == 0, m * 2.0**-9, (1 + m / 8) * 2.0 ** (e - 7)).astype(np.float32)


E4M3 = e4m3_values()


def to_e4m3(x):
    middles = (E4M3[1:] + E4M3[:-1]) / 2
    code = np.searchsorted(middles, np.abs(x)).astype(np.uint8)
    return code | (np.signbit(x).astype(np.uint8) << 7)


def of_e4m3(code):
    return np.where(code & 128, -E4M3[code & 127], E4M3[code & 127]).astype(np.float32)


def in_groups(w, group):
    return w.reshape(w.shape[0], -1, group or w.shape[1])


def integers(w, bits, group, symmetric):
    """Unsigned codes, scales and zero points [rows, groups] of w."""
    g, top = in_groups(w, group), 2**bits - 1
    if symmetric:
        scale = np.maximum(np.abs(g).max(-1) / (top / 2), 1e-8)
        zero = np.full(scale.shape, 2 ** (bits - 1))
    else:
        low, high = np.minimum(g.min(-1), 0), np.maximum(g.max(-1), 0)
        scale = np.maximum((high - low) / top, 1e-8)
        zero = np.clip(np.rint(-low / scale), 0, top).astype(int)
    scale = scale.astype(np.float16).astype(np.float32)
    code = np.clip(np.rint(g / scale[..., None]) + zero[..., None], 0, top).astype(np.uint32)
    value = (code.astype(np.float32) - zero[..., None].astype(np.float32)) * scale[..., None]
    return code.reshape(w.shape), scale, zero.astype(np.uint32), value.reshape(w.shape)


def pack(codes, bits, order=None):
    """Words of neighbouring codes of the last axis, the first in the low bits."""
    each = 32 // bits
    pad = -codes.shape[-1] % each
    codes = np.pad(codes, [(0, 0)] * (codes.ndim - 1) + [(0, pad)])
    codes = codes.reshape(*codes.shape[:-1], -1, each)
    words = np.zeros(codes.shape[:-1], np.uint32)
    for i in range(each):
        words |= codes[..., order[i] if order else i] << np.uint32(bits * i)
    return words.view(np.int32)


# ---- layouts: name, w -> tensors, values --------------------------------------------------------

def ct_fp8(name, w, channel):
    top = np.abs(w).max(1, keepdims=True) if channel else np.abs(w).max().reshape(1)
    scale = (top / 448).astype(np.float32)
    code = to_e4m3(w / scale)
    return {name + ".weight": ("F8_E4M3", code), name + ".weight_scale": ("F32", scale),
            name + ".input_scale": ("F32", np.ones(1, np.float32))}, of_e4m3(code) * scale


def ct_int8(name, w):
    code, scale, _, value = integers(w, 8, 0, True)
    return {name + ".weight": ("I8", (code.astype(int) - 128).astype(np.int8)),
            name + ".weight_scale": ("F32", scale)}, value


def ct_packed(name, w, bits, group, symmetric):
    code, scale, zero, value = integers(w, bits, group, symmetric)
    out = {name + ".weight_packed": ("I32", pack(code, bits)),
           name + ".weight_scale": ("F16", scale.astype(np.float16)),
           name + ".weight_shape": ("I64", np.array(w.shape))}
    if not symmetric:
        out[name + ".weight_zero_point"] = ("I32", pack(zero.T, bits).T)
    return out, value


def fp8_blocks(name, w, rows, cols):
    scale = np.zeros((-(-w.shape[0] // rows), -(-w.shape[1] // cols)), np.float32)
    whole = np.zeros(w.shape, np.float32)
    for i in range(scale.shape[0]):
        for j in range(scale.shape[1]):
            at = np.s_[i * rows:(i + 1) * rows, j * cols:(j + 1) * cols]
            scale[i, j] = np.abs(w[at]).max() / 448
            whole[at] = scale[i, j]
    code = to_e4m3(w / whole)
    return {name + ".weight": ("F8_E4M3", code),
            name + ".weight_scale_inv": ("F32", scale)}, of_e4m3(code) * whole


def gptq(name, w, bits, group, symmetric):
    code, scale, zero, value = integers(w, bits, group, symmetric)
    if not symmetric:  # stored less 1: a zero point of 0 has none
        zero = np.maximum(zero, 1)
        g = in_groups(code, group).astype(np.float32)
        value = ((g - zero[..., None].astype(np.float32)) * scale[..., None]).reshape(w.shape)
    return {name + ".qweight": ("I32", pack(code, bits).T),
            name + ".qzeros": ("I32", pack((zero - 1).T, bits)),
            name + ".scales": ("F16", scale.T.astype(np.float16)),
            name + ".g_idx": ("I32", np.arange(w.shape[1]) // group)}, value


def awq(name, w, group):
    code, scale, zero, value = integers(w, 4, group, False)
    return {name + ".qweight": ("I32", pack(code.T, 4, AWQ_ORDER)),
            name + ".qzeros": ("I32", pack(zero.T, 4, AWQ_ORDER)),
            name + ".scales": ("F16", scale.T.astype(np.float16))}, value


def compressed(form, bits, kind, strategy, symmetric=True, group=None, acts=None):
    return {"quant_method": "compressed-tensors", "format": form, "ignore": ["re:.*lm_head"],
            "quantization_status": "compressed", "kv_cache_scheme": None,
            "config_groups": {"group_0": {
                "targets": ["Linear"], "input_activations": acts, "output_activations": None,
                "weights": {"num_bits": bits, "type": kind, "symmetric": symmetric,
                            "strategy": strategy, "group_size": group, "dynamic": False,
                            "observer": "minmax"}}}}


def mixed():
    """Layers of three formats, one of them with a matrix left out."""
    groups = {}
    for i, (form, bits, kind, group, target) in enumerate((
            ("float-quantized", 8, "float", None, "Linear"),
            ("pack-quantized", 4, "int", 64, "re:model[.]layers[.](1|2)[.].*"),
            ("pack-quantized", 8, "int", None, "model.layers.3.mlp.down_proj"))):
        one = compressed(form, bits, kind, "group" if group else "channel", group=group)
        groups[f"group_{i}"] = {**one["config_groups"]["group_0"], "format": form,
                                "targets": [target]}
    return {"quant_method": "compressed-tensors", "format": "mixed-precision",
            "quantization_status": "compressed", "config_groups": groups,
            "ignore": ["lm_head", "model.layers.2.self_attn.v_proj"]}


def mixed_make(name, w):
    if name == "model.layers.2.self_attn.v_proj":
        return {name + ".weight": ("F32", w)}, w
    if name.startswith(("model.layers.1.", "model.layers.2.")):
        return ct_packed(name, w, 4, 64, True)
    if name == "model.layers.3.mlp.down_proj":
        return ct_packed(name, w, 8, 0, True)
    return ct_fp8(name, w, True)


ACTS = {"num_bits": 8, "type": "float", "strategy": "tensor", "dynamic": False}
GPTQ = {"quant_method": "gptq", "group_size": 64, "desc_act": False, "damp_percent": 0.01}
LAYOUTS = {
    "fp8-tensor": (compressed("float-quantized", 8, "float", "tensor", acts=ACTS),
                   lambda n, w: ct_fp8(n, w, False)),
    "fp8-channel": (compressed("float-quantized", 8, "float", "channel"),
                    lambda n, w: ct_fp8(n, w, True)),
    "int8-channel": (compressed("int-quantized", 8, "int", "channel"), ct_int8),
    "packed-int8": (compressed("pack-quantized", 8, "int", "channel"),
                    lambda n, w: ct_packed(n, w, 8, 0, True)),
    "packed-int4": (compressed("pack-quantized", 4, "int", "group", group=64),
                    lambda n, w: ct_packed(n, w, 4, 64, True)),
    "packed-zeros": (compressed("pack-quantized", 4, "int", "group", False, 32),
                     lambda n, w: ct_packed(n, w, 4, 32, False)),
    "fp8-blocks": ({"quant_method": "fp8", "activation_scheme": "dynamic",
                    "weight_block_size": [128, 64]}, lambda n, w: fp8_blocks(n, w, 128, 64)),
    "gptq": ({**GPTQ, "bits": 4, "sym": True}, lambda n, w: gptq(n, w, 4, 64, True)),
    "gptq-zeros": ({**GPTQ, "bits": 4, "sym": False}, lambda n, w: gptq(n, w, 4, 64, False)),
    "gptq-8": ({**GPTQ, "bits": 8, "sym": True}, lambda n, w: gptq(n, w, 8, 64, True)),
    "awq": ({"quant_method": "awq", "bits": 4, "group_size": 64, "zero_point": True,
             "version": "gemm"}, lambda n, w: awq(n, w, 64)),
    "mixed": (mixed(), mixed_make),
}


def quantise(layout):
    """Tensors as published, and the twin's."""
    _, make = LAYOUTS[layout]
    packed, twin = {}, {}
    for name, w in read_tensors(os.path.join(MODEL, "model.safetensors")).items():
        twin[name] = packed[name] = ("F32", w)
        if name.endswith(tuple(f"{part}.weight" for part in LINEAR)):
            del packed[name]
            made, value = make(name[:-len(".weight")], w)
            packed.update(made)
            twin[name] = ("F32", value)
    return packed, twin


def config_of(layout):
    with open(os.path.join(MODEL, "config.json"), encoding="ascii") as f:
        config = json.load(f)
    config["torch_dtype"] = "float32"
    if layout:
        config["quantization_config"] = copy.deepcopy(LAYOUTS[layout][0])
    return config


# ---- runs ---------------------------------------------------------------------------------------

def run(weft, model, shard, out, *settings):
    with open(out + ".yaml", "w", encoding="ascii") as f:
        f.write(f"model: {{path: {model}}}\nrequests: [{shard}]\nparallel: {{backend: cpu}}\n"
                "engine: {kv_memory: 64MiB, max_context: 1024}\nsampling: {logprobs: 5}\n")
    command = [weft, "run", out + ".yaml", "--out", out]
    for s in settings:
        command += ["--set", s]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        return done.returncode, done.stdout + done.stderr
    with h5py.File(os.path.join(out, "results.h5")) as f:
        return 0, (f["tokens/id"][:], f["tokens/top_logprob"][:], done.stdout + done.stderr)


def check_layout(weft, folder, shard, layout):
    packed, twin = quantise(layout)
    at = os.path.join(folder, layout)
    write_folder(at + "-packed", packed, config_of(layout))
    write_folder(at + "-twin", twin, config_of(None))
    rc, want = run(weft, at + "-twin", shard, at + "-want")
    assert rc == 0, want
    rc, plain = run(weft, at + "-packed", shard, at + "-plain", "model.weights_format=plain")
    assert rc == 0, plain
    assert (plain[0] == want[0]).all() and np.array_equal(plain[1], want[1]), f"{layout}: not the twin"
    rc, own = run(weft, at + "-packed", shard, at + "-own")
    assert rc == 0, own
    same = (own[0] == want[0])
    assert same.mean() > 0.97, f"{layout}: {same.mean()} of the tokens"
    worst = np.abs(own[1] - want[1])[same].max()
    assert worst < 5e-3, f"{layout}: log-probabilities differ by {worst}"
    print(f"{layout:14} {len(want[0])} tokens, log-probabilities within {worst:.1e}")


def refusals(weft, folder, shard):
    """What is changed, and a word of the message."""
    scale, first = ".weight_scale", "model.layers.1.mlp.up_proj"

    def with_tensor(end, change):
        def do(tensors, config):
            del config
            kind, array = tensors[first + end]
            tensors[first + end] = (kind, change(array.copy()))
        return do

    def put(value):
        def change(array):
            array.flat[3] = value
            return array
        return change

    def with_key(**keys):
        return lambda tensors, config: config["quantization_config"].update(keys)

    cases = [
        ("fp8-channel", lambda t, c: t.pop(first + scale), "weight_scale"),
        ("fp8-channel", with_tensor(scale, put(0.0)), "the scale of row 3 is 0"),
        ("fp8-channel", with_tensor(scale, put(np.nan)), "the scale of row 3 is"),
        ("fp8-channel", with_tensor(scale, lambda a: a[:-1]), "is not a scale of each group"),
        ("fp8-channel", with_tensor(".weight", put(0x7f)), "NaN in row 0"),
        ("fp8-channel", with_key(format="marlin-24"), "format"),
        ("fp8-channel", with_key(ignore=["re:(?i).*x"]), "not understood"),
        ("mixed", with_key(format="float-quantized", config_groups={}), "0 groups"),
        ("mixed", with_key(ignore=[]), "v_proj"),
        ("gptq", with_tensor(".g_idx", lambda a: a[::-1]), "groups follow activations"),
        ("gptq", with_tensor(".qzeros", put(0)), "symmetric"),
        ("gptq", with_key(bits=3), "only 4 and 8 bits"),
        ("gptq", with_key(new_trick=True), "new_trick"),
        ("awq", with_key(version="gemv"), "version"),
        ("awq", with_key(quant_method="hqq"), "'hqq'"),
    ]
    for i, (layout, change, word) in enumerate(cases):
        tensors, config = quantise(layout)[0], config_of(layout)
        change(tensors, config)
        at = os.path.join(folder, f"bad-{i}")
        write_folder(at, tensors, config)
        rc, said = run(weft, at, shard, at + "-out")
        assert rc != 0 and word in said, f"{layout}, {word}: exit {rc}: {said}"
    rc, said = run(weft, os.path.join(folder, "gptq-packed"), shard, os.path.join(folder, "other"),
                   "model.weights_format=fp8")
    assert rc != 0 and "weights are int4" in said, said
    print(f"{len(cases) + 1} refused")


def formats(weft, folder, shard):
    """Quantised as it is loaded: near the float model."""
    rc, want = run(weft, MODEL, shard, os.path.join(folder, "float"))
    assert rc == 0, want
    for name, least in (("fp8", 0.98), ("int8", 0.98), ("int4", 0.9), ("mxfp4", 0.9)):
        rc, got = run(weft, MODEL, shard, os.path.join(folder, "load-" + name),
                      f"model.weights_format={name}")
        assert rc == 0, got
        same = (got[0] == want[0]).mean()
        print(f"{name:14} {same:.3f} of the float model's tokens")
        assert same >= least, f"{name}: {same}"


def main():
    weft = os.path.abspath(sys.argv[1])
    os.environ.update(WEFT_LOG="info", WEFT_PROGRESS="off", OMP_NUM_THREADS="2")
    with tempfile.TemporaryDirectory() as folder:
        lines, shard = os.path.join(folder, "x.jsonl"), os.path.join(folder, "x.h5")
        made = subprocess.run([sys.executable, "jobs/demo/make_prompts.py", "--per-task", "3"],
                              cwd=SOURCE, check=True, capture_output=True, text=True).stdout
        with open(lines, "w", encoding="ascii") as f:
            f.write(made)
        subprocess.run([weft, "pack", lines, "-o", shard, "--model", MODEL], check=True,
                       capture_output=True)
        for layout in LAYOUTS:
            check_layout(weft, folder, shard, layout)
        refusals(weft, folder, shard)
        formats(weft, folder, shard)


if __name__ == "__main__":
    main()
