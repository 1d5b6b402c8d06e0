"""Attention of torch on contiguous K and V, for the table beside ours: cuDNN's and torch's flash.

CSV like bench_gpu_kernels; the limits are measured the same way. Needs a GPU and torch.
"""
import time

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

HEADS, KV_HEADS, DIM, DEVICE, DTYPE = 32, 8, 128, "cuda", torch.bfloat16


def median_seconds(call, n_calls, n_replays=9):
    """One call's time, from replays of a captured run of n_calls."""
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        for i in range(3):
            call(i)
    side.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for i in range(n_calls):
            call(i)
    times = []
    time.sleep(0.3)  # as bench_gpu_kernels does
    for _ in range(n_replays + 2):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        graph.replay()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end) * 1e-3 / n_calls)
    return sorted(times[2:])[n_replays // 2]


def row(name, backend, batch, n_q, n_kv):
    layer = batch * n_kv * KV_HEADS * DIM * 4
    n_layers = 1 if n_q > 1 else int(1.5e9 / layer) + 1
    q = torch.randn(batch, HEADS, n_q, DIM, device=DEVICE, dtype=DTYPE)
    kv = [(torch.randn(batch, KV_HEADS, n_kv, DIM, device=DEVICE, dtype=DTYPE),
           torch.randn(batch, KV_HEADS, n_kv, DIM, device=DEVICE, dtype=DTYPE))
          for _ in range(n_layers)]

    def call(i):
        with sdpa_kernel(backend):
            return F.scaled_dot_product_attention(q, *kv[i % n_layers], is_causal=n_q > 1,
                                                  enable_gqa=True)

    t = median_seconds(call, 10 if n_q > 1 else max(20, 2 * n_layers))
    if n_q > 1:
        amount, unit, what = batch * n_q * (n_q + 1) / 2 * 4 * HEADS * DIM, "TFLOP/s", "prefill"
    else:
        amount, unit, what = layer, "TB/s", "decode"
    print(f"{name} {what},{batch} x {n_kv},{batch * n_q},{t * 1e6:.2f},{amount / t * 1e-12:.3f},{unit}",
          flush=True)


def main():
    print(f"# torch {torch.__version__}, cuDNN {torch.backends.cudnn.version()}")
    print("op,shape,rows,median_us,rate,unit")
    src = torch.empty(1 << 30, device=DEVICE, dtype=torch.uint8)
    dst = torch.empty_like(src)
    t = median_seconds(lambda i: dst.copy_(src), 3)
    print(f"copy,1 GiB,0,{t * 1e6:.2f},{2 * src.numel() / t * 1e-12:.3f},TB/s")
    for name, backend in (("cudnn", SDPBackend.CUDNN_ATTENTION), ("flash", SDPBackend.FLASH_ATTENTION)):
        for batch, context in ((1, 512), (1, 8192), (32, 4096), (64, 512), (64, 128), (256, 512)):
            row(name, backend, batch, 1, context)
        for n in (512, 2048, 4096, 8192):
            row(name, backend, 8192 // n, n, n)


if __name__ == "__main__":
    main()
