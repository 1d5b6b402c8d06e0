"""Attention of ours on scattered pages and of torch's cuDNN on contiguous K and V, in turns.

    python3 tests/gpu/peer_attention.py build/tests/gpu/bench_gpu_kernels [rounds] > peer-attention.csv

One protocol for both: the same shapes and numbers (normal, deviation 0.05, scores scaled by 8); calls
that rotate past the L2 are captured; 0.3 s of rest, 0.01 s of warming up; each of 9 samples takes the
time of one replay from that of three back to back, seen from the host; the median is the case's. Each
round measures every case of ours, which a child process answers, and then the peer's. Last come the
medians over the rounds and their ratios; `skewed` is held against our own 32 x 4096, which has as many
tokens. Needs a GPU and torch.
"""
import subprocess
import sys
import time

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

HEADS, KV_HEADS, DIM, SCALE, DEVIATION = 32, 8, 128, 8.0, 0.05
REST, WARM, SAMPLES = 0.3, 0.01, 9
DECODE = ((32, 4096), (64, 512), (64, 128), (256, 512))
PREFILL = (512, 2048, 4096, 8192)


def span(graph, n):
    """Seconds from the first launch of n replays to their end, as the host sees it."""
    end = torch.cuda.Event()
    begin = time.perf_counter_ns()
    for _ in range(n):
        graph.replay()
    end.record()
    end.synchronize()
    return (time.perf_counter_ns() - begin) * 1e-9


def seconds(call, n_calls):
    """One call's time; as time_calls of bench_gpu_kernels."""
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        call(0)
    side.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for i in range(n_calls):
            call(i)
    torch.cuda.synchronize()
    time.sleep(REST)
    warm = 0.0
    while warm < WARM:
        warm += span(graph, 1)
    samples = []
    for _ in range(SAMPLES):
        one = span(graph, 1)
        samples.append((span(graph, 3) - one) / (2 * n_calls))
    return sorted(samples)[SAMPLES // 2]


def numbers(*shape):
    return torch.empty(*shape, device="cuda", dtype=torch.bfloat16).normal_(0.0, DEVIATION)


def of_cudnn(batch, n_q, n_kv):
    """Microseconds of `batch` sequences with n_kv tokens, the last n_q of them new."""
    n_layers = 1 if n_q > 1 else int(1.5e9 / (batch * n_kv * KV_HEADS * DIM * 4)) + 1
    q = numbers(batch, HEADS, n_q, DIM)
    kv = [(numbers(batch, KV_HEADS, n_kv, DIM), numbers(batch, KV_HEADS, n_kv, DIM))
          for _ in range(n_layers)]

    def call(i):
        with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
            return F.scaled_dot_product_attention(q, *kv[i % n_layers], is_causal=n_q > 1,
                                                  scale=SCALE, enable_gqa=True)

    return seconds(call, 10 if n_q > 1 else max(20, 2 * n_layers)) * 1e6


class Ours:
    def __init__(self, bench):
        self.child = subprocess.Popen([bench, "asked"], stdin=subprocess.PIPE, text=True,
                                      stdout=subprocess.PIPE)
        while not self.child.stdout.readline().startswith("limit,gemm"):
            if self.child.poll() is not None:
                sys.exit("peer_attention: the benchmark of ours has ended")

    def ask(self, case):
        """Microseconds."""
        print(case, file=self.child.stdin, flush=True)
        return float(self.child.stdout.readline().split(",")[3])


def median(values):
    return sorted(values)[len(values) // 2]


def main():
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    cases = [(f"decode {b} {n}", (b, 1, n)) for b, n in DECODE]
    cases += [("skewed", None)] + [(f"prefill {n}", (8192 // n, n, n)) for n in PREFILL]
    of = {(case, who): [] for case, _ in cases for who in ("ours", "cudnn")}
    print(f"# {torch.cuda.get_device_name()}, torch {torch.__version__}, "
          f"cuDNN {torch.backends.cudnn.version()}")
    print("case,round,ours_us,peer_us,peer_over_ours")
    ours = Ours(sys.argv[1])
    for i in range(rounds):
        for case, shape in cases:
            of[case, "ours"].append(ours.ask(case))
            of[case, "cudnn"].append(of_cudnn(*shape) if shape else of["decode 32 4096", "ours"][i])
            mine, peer = of[case, "ours"][i], of[case, "cudnn"][i]
            print(f"{case},{i + 1},{mine:.2f},{peer:.2f},{peer / mine:.3f}", flush=True)
    for case, _ in cases:
        mine, peer = median(of[case, "ours"]), median(of[case, "cudnn"])
        print(f"{case},median,{mine:.2f},{peer:.2f},{peer / mine:.3f}")


if __name__ == "__main__":
    main()
