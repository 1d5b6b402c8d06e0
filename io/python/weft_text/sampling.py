"""Sampling parameters by vLLM's names, as a request shard stores them.

The table is that of io/shard/request.h: name, type, least and most. A row that does not give a
parameter holds the column's missing value, so that the job's own setting stands: NaN, the least
signed or the greatest unsigned number.
"""

import math

import numpy as np

from weft_text.errors import LineError

INT32_MAX, INT64_MAX = 2**31 - 1, 2**63 - 1

# name: (dtype, least, most), in the order of the shard's columns
SAMPLING = {
    "temperature": (np.dtype("<f4"), 0.0, 100.0),
    "top_p": (np.dtype("<f4"), 1e-6, 1.0),
    "top_k": (np.dtype("<i4"), -1, INT32_MAX),
    "min_p": (np.dtype("<f4"), 0.0, 1.0),
    "repetition_penalty": (np.dtype("<f4"), 1e-3, 1e3),
    "presence_penalty": (np.dtype("<f4"), -100.0, 100.0),
    "frequency_penalty": (np.dtype("<f4"), -100.0, 100.0),
    "min_tokens": (np.dtype("<u4"), 0, INT32_MAX),
    "seed": (np.dtype("<i8"), -1, INT64_MAX),
    "ignore_eos": (np.dtype("u1"), 0, 1),
    "n": (np.dtype("<u4"), 1, 1024),
    "logprobs": (np.dtype("<i4"), -1, 20),
    "best_of": (np.dtype("<u4"), 0, 1024),
    "beam_width": (np.dtype("<u4"), 0, 64),
    "length_penalty": (np.dtype("<f4"), -100.0, 100.0),
    "early_stopping": (np.dtype("<u4"), 0, 2),
    "include_stop_str_in_output": (np.dtype("u1"), 0, 1),
    "prompt_logprobs": (np.dtype("<i4"), -1, 20),
}


def missing_value(dtype):
    if dtype.kind == "f":
        return np.nan
    limits = np.iinfo(dtype)
    return limits.min if dtype.kind == "i" else limits.max


def check_value(name, value):
    """The value as it will be stored; LineError when it is not one of the parameter's."""
    dtype, least, most = SAMPLING[name]
    if dtype.itemsize == 1:
        if not isinstance(value, bool):
            raise LineError(f"'{name}' is {value!r}, true or false is expected")
        return int(value)
    if name == "early_stopping":
        if isinstance(value, bool) or value == "never":
            return 2 if value == "never" else int(value)
        raise LineError(f"'{name}' is {value!r}, true, false or \"never\" is expected")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise LineError(f"'{name}' is {value!r}, a number is expected")
    if dtype.kind != "f":
        if isinstance(value, float) and not value.is_integer():
            raise LineError(f"'{name}' is {value!r}, an integer is expected")
        value = int(value)
    if not math.isfinite(value) or not least <= value <= most:
        raise LineError(f"'{name}' is {value!r}, outside {least} to {most}")
    return value
