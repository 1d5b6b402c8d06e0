"""Weft in Python: prompts in, answers out, thin over the program and its files.

    import weft_text as weft

    for answer in weft.generate(model="models/m", prompts=["Hello", {"prompt": "Hi", "n": 2}]):
        print(answer["prompt"], answer["text"])
    weft.read_results("out/first").to_pandas()     # of a job, whoever ran it
    weft.read_results("out/first", every=True).to_pandas()      # times, logprobs: every column
    weft.read_requests("prompts.csv")               # rows of a prompts file, or of a request shard

generate() runs `weft generate` and reads what that wrote; nothing is computed in this process.
"""

__version__ = "0.1.0"

_LAZY = {"generate": "weft_text.run_program", "read_results": "weft_text.records",
         "read_requests": "weft_text.records", "Records": "weft_text.records",
         "TextError": "weft_text.errors"}
__all__ = [*_LAZY, "__version__"]


def __getattr__(name):
    """Imported when they are asked for: the command needs none of it."""
    import importlib

    if name not in _LAZY:
        raise AttributeError(f"module 'weft_text' has no attribute '{name}'")
    return getattr(importlib.import_module(_LAZY[name]), name)
