"""What weft quantize writes, loaded by transformers with compressed-tensors: the logits of a float
model whose weights are the values that numpy reads.

usage: test_quantize_others.py WEFT

Runs in the interpreter that WEFT_GOLDEN_PYTHON names, else in this one; skipped where torch,
transformers or compressed-tensors is missing there.
"""
import os
import subprocess
import sys
import tempfile

OTHER = os.environ.get("WEFT_GOLDEN_PYTHON")
if OTHER and os.environ.get("WEFT_GOLDEN_INSIDE") != "1":
    os.environ["WEFT_GOLDEN_INSIDE"] = "1"
    os.execv(OTHER, [OTHER, *sys.argv])

try:
    import compressed_tensors
    import h5py
    import numpy as np
    import torch
    import transformers
except ImportError as missing:
    print(f"skipped: {missing}; WEFT_GOLDEN_PYTHON names an interpreter that has torch, "
          "transformers, compressed-tensors and h5py")
    sys.exit(77)

from test_quantised import MODEL
from test_quantize import FORMATS, dequantised, quantise

del h5py


def logits_of(model, prompts):
    with torch.no_grad():
        return [model(torch.tensor([p])).logits[0].float().numpy() for p in prompts]


def check(weft, folder, name, prompts, *options):
    at = os.path.join(folder, name + "".join(options))
    done = quantise(weft, "--model", MODEL, "--weights", name, "-o", at, *options)
    assert done.returncode == 0, done.stderr
    load = transformers.AutoModelForCausalLM.from_pretrained
    want = load(MODEL, dtype=torch.float32)
    state = {k: torch.tensor(np.ascontiguousarray(v)) for k, v in dequantised(at).items()}
    missing, unexpected = want.load_state_dict(state, strict=False)
    assert not unexpected and all("lm_head" in m for m in missing), (missing, unexpected)
    got = load(at, dtype=torch.float32)
    kinds = {type(getattr(m, "quantization_scheme", None)).__name__ for m in got.modules()}
    assert "QuantizationScheme" in kinds, kinds
    worst = 0.0
    for a, b in zip(logits_of(got, prompts), logits_of(want, prompts)):
        worst = max(worst, np.abs(a - b).max())
    print(f"{name:8} {' '.join(options):22} logits within {worst:.1e}")
    # rounding activations moves the logits, and little
    assert worst < (1.5 if options else 2e-3), f"{name}: {worst}"


def main():
    weft = os.path.abspath(sys.argv[1])
    print(f"transformers {transformers.__version__}, compressed-tensors "
          f"{compressed_tensors.__version__}")
    prompts = [[256, *text.encode()] for text in ("add:603+78=681", "sort:tcceuyvp=ccep", "count:5=")]
    with tempfile.TemporaryDirectory() as folder:
        for name in FORMATS:
            check(weft, folder, name, prompts)
        for name in ("fp8", "int8"):
            check(weft, folder, name, prompts, "--activations=dynamic")


main()
