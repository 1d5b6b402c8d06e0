"""Runs request shards through an installed vLLM, one a line of standard input.

A line is the path of a shard; the answer is one JSON line: seconds from the call to the last token,
output tokens. A shard's rows are handed over at once, as token ids, each with its own number of
tokens to draw; ends of text are ignored, and nothing is turned back into text. Standard output is
for answers alone: what vLLM prints goes to standard error.

usage: vllm_shard.py MODEL MEMORY_SHARE TENSOR CONTEXT [QUANTIZATION]
"""
import json
import os
import sys
import time

answers = os.fdopen(os.dup(1), "w", encoding="ascii")
os.dup2(2, 1)

import h5py  # noqa: E402
from vllm import LLM, SamplingParams  # noqa: E402
import vllm  # noqa: E402

# Sizes whose graphs are captured: fewer than vLLM's own 51, which only start slower.
CAPTURED = [1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 160, 192, 224, 256]


def answer(**values):
    print(json.dumps(values), file=answers, flush=True)


def read(path):
    with h5py.File(path) as f:
        begin, ids = f["requests/prompt_offset"][:], f["prompts/tokens"][:]
        longest = f["requests/max_new_tokens"][:]
    prompts = [{"prompt_token_ids": ids[a:b].tolist()} for a, b in zip(begin[:-1], begin[1:])]
    return prompts, [SamplingParams(temperature=0.0, max_tokens=int(n), ignore_eos=True,
                                    detokenize=False) for n in longest]


def main():
    model, memory, tensor, context = sys.argv[1:5]
    begin = time.time()
    llm = LLM(model=model, load_format="dummy", dtype="bfloat16", skip_tokenizer_init=True,
              enable_prefix_caching=False, gpu_memory_utilization=float(memory),
              tensor_parallel_size=int(tensor), max_model_len=int(context), max_num_seqs=256,
              quantization=sys.argv[5] if len(sys.argv) > 5 else None,
              compilation_config={"cudagraph_capture_sizes": CAPTURED})
    answer(version=vllm.__version__, start_s=time.time() - begin)
    for line in sys.stdin:
        prompts, params = read(line.strip())
        begin = time.perf_counter()
        outputs = llm.generate(prompts, params, use_tqdm=False)
        answer(seconds=time.perf_counter() - begin,
               tokens=sum(len(o.outputs[0].token_ids) for o in outputs))


main()
