#!/usr/bin/env python3
"""ByteTransformer's table on this machine: a forward pass of BERT-base over 16 rows, ours against
PyTorch's ways, in turns in one run.

    run.py BUILD OUT.csv [--backend cuda] [--dtypes f16 bf16] [--max 64 128 256 512 1024]
                         [--rounds 3] [--repeats 30]

Rows have uniform lengths from 0.2 of the maximum to it, 0.6 on average (arXiv 2210.03052, 5). Ways
of PyTorch: padded, with scaled_dot_product_attention and a mask; the same with layers through torch.compile;
nested (jagged) tensors, whose attention knows each row's length. Random weights; each way's
attention alone as well. Every way is warmed up, then all are timed in turns, for so many rounds; a
line holds the median of these. Without torch only ours is measured.
"""

import argparse
import copy
import csv
import os
import statistics
import subprocess
import sys
import tempfile
import time

HIDDEN, HEADS, LAYERS, FFN, ROWS = 768, 12, 12, 3072, 16

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    torch = None


def lengths_of(longest):
    """Uniform from 0.2 to 1 of the longest, which is among them, in a fixed mixed order."""
    rows = [round(longest * (0.2 + 0.8 * i / (ROWS - 1))) for i in range(ROWS)]
    return [rows[i * 7 % ROWS] for i in range(ROWS)]


def ours(build, backend, dtype, path, repeats):
    done = subprocess.run([os.path.join(build, "tests/gpu/bench_encode"), backend, dtype, path,
                           str(repeats)], check=True, capture_output=True, text=True)
    return dict(line.split(",", 1) for line in done.stdout.splitlines())


class Layer(torch.nn.Module if torch else object):
    def __init__(self):
        super().__init__()
        self.qkv = torch.nn.Linear(HIDDEN, 3 * HIDDEN)
        self.out = torch.nn.Linear(HIDDEN, HIDDEN)
        self.up, self.down = torch.nn.Linear(HIDDEN, FFN), torch.nn.Linear(FFN, HIDDEN)
        self.norm1 = torch.nn.LayerNorm(HIDDEN, eps=1e-12)
        self.norm2 = torch.nn.LayerNorm(HIDDEN, eps=1e-12)

    def attend(self, x, mask):
        q, k, v = (part.unflatten(-1, [HEADS, HIDDEN // HEADS]).transpose(1, 2)
                   for part in self.qkv(x).chunk(3, -1))
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(-2)

    def forward(self, x, mask=None):
        x = self.norm1(x + self.out(self.attend(x, mask)))
        return self.norm2(x + self.down(F.gelu(self.up(x))))


class Bert(torch.nn.Module if torch else object):
    def __init__(self):
        super().__init__()
        self.words = torch.nn.Embedding(30522, HIDDEN)
        self.places = torch.nn.Embedding(4096, HIDDEN)
        self.norm = torch.nn.LayerNorm(HIDDEN, eps=1e-12)
        self.layers = torch.nn.ModuleList(Layer() for _ in range(LAYERS))

    def forward(self, ids, places, mask=None):
        x = self.norm(self.words(ids) + self.places(places))
        for layer in self.layers:
            x = layer(x, mask)
        return x


def torch_ways(dtype, lengths, device):
    """{name: a function of nothing}: forward passes, and one layer's attention."""
    kinds = {"f16": torch.float16, "bf16": torch.bfloat16, "f32": torch.float32}
    model = Bert().to(device=device, dtype=kinds[dtype]).eval()
    longest = max(lengths)
    ids = torch.randint(0, 30000, (ROWS, longest), device=device)
    places = torch.arange(longest, device=device).expand(ROWS, longest)
    mask = (places < torch.tensor(lengths, device=device)[:, None])[:, None, None, :]
    rows = [torch.randint(0, 30000, (n,), device=device) for n in lengths]
    jagged = torch.nested.nested_tensor(rows, layout=torch.jagged)
    offsets = jagged.offsets()  # the same for all that are of these rows
    jagged_places = torch.nested.nested_tensor_from_jagged(
        torch.cat([torch.arange(n, device=device) for n in lengths]), offsets=offsets)
    torch._dynamo.reset()
    compiled = copy.deepcopy(model)
    for layer in compiled.layers:  # alike: compiled once
        layer.compile(dynamic=False)
    shape = (ROWS, HEADS, longest, HIDDEN // HEADS)
    q, k, v = (torch.randn(shape, device=device, dtype=kinds[dtype]) for _ in range(3))
    parts = [torch.nested.nested_tensor_from_jagged(
        torch.randn(sum(lengths), HEADS, HIDDEN // HEADS, device=device, dtype=kinds[dtype]),
        offsets=offsets).transpose(1, 2) for _ in range(3)]
    forward = {"torch padded": lambda: model(ids, places, mask),
               "torch compile": lambda: compiled(ids, places, mask),
               "torch nested": lambda: model(jagged, jagged_places)}
    attention = {"torch padded": lambda: F.scaled_dot_product_attention(q, k, v, attn_mask=mask),
                 "torch nested": lambda: F.scaled_dot_product_attention(*parts)}
    return forward, attention


def usable(ways):
    """Those that run here, warmed up."""
    found = {}
    for name, run in ways.items():
        try:
            for _ in range(5):
                run()
            found[name] = run
        except Exception as error:  # a way that this version has not is a way less
            print(f"{name}: {type(error).__name__}: {str(error)[:200]}", file=sys.stderr)
    return found


def time_ms(run, device, repeats):
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    wait()
    began = time.perf_counter()
    for _ in range(repeats):
        run()
    wait()
    return (time.perf_counter() - began) * 1e3 / repeats


def measure(args, dtype, longest):
    """{(what, way): [ms]}, and our description of the device."""
    lengths, device = lengths_of(longest), "cuda" if args.backend == "cuda" else "cpu"
    found, told = {}, {}
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(map(str, lengths)))
        file.flush()
        forward, attention = torch_ways(dtype, lengths, device) if torch else ({}, {})
        forward, attention = usable(forward), usable(attention)
        for _ in range(args.rounds):
            told = ours(args.build, args.backend, dtype, file.name, args.repeats)
            found.setdefault(("forward", "weft"), []).append(float(told["packed_ms"]))
            found.setdefault(("forward", "weft padded"), []).append(float(told["padded_ms"]))
            found.setdefault(("attention", "weft"), []).append(float(told["attention_ms"]))
            for what, ways in (("forward", forward), ("attention", attention)):
                for name, run in ways.items():
                    found.setdefault((what, name), []).append(time_ms(run, device, args.repeats))
    return found, told


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build")
    parser.add_argument("out")
    parser.add_argument("--backend", default="cuda")
    parser.add_argument("--dtypes", nargs="*", default=["f16", "bf16"])
    parser.add_argument("--max", nargs="*", type=int, default=[64, 128, 256, 512, 1024])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=30)
    args = parser.parse_args()
    with open(args.out, "w", newline="", encoding="ascii") as file:
        out = csv.writer(file)
        out.writerow(["device", "dtype", "max_length", "tokens", "what", "way", "ms", "min_ms",
                      "runs"])
        for dtype in args.dtypes:
            for longest in args.max:
                with torch.inference_mode() if torch else open(os.devnull):
                    found, told = measure(args, dtype, longest)
                for (what, way), ms in found.items():
                    out.writerow([told["device"].replace(",", ";"), dtype, longest, told["tokens"],
                                  what, way, f"{statistics.median(ms):.4f}", f"{min(ms):.4f}",
                                  len(ms)])
                    file.flush()
                    print(dtype, longest, what, way, f"{statistics.median(ms):.4f} ms", flush=True)


if __name__ == "__main__":
    main()
