"""A request shard is plain columns: h5py and pandas read it in a line."""
import sys

import h5py
import numpy as np
import pandas as pd

path = sys.argv[1]
rows = pd.DataFrame({k: v[:] for k, v in h5py.File(path)["requests"].items() if len(v) == 500})

assert len(rows) == 500, len(rows)
assert (rows["id"] == np.arange(1000, 1500)).all()
assert (rows["arrival_ns"] == np.arange(500) * 1_000_000).all()
assert rows["temperature"].isna().sum() == 400
file = h5py.File(path)
offset = file["requests/prompt_offset"][:]
tokens = file["prompts/tokens"]
assert (np.diff(offset) == 1 + 7 * np.arange(500) % 600).all()
assert (tokens[offset[9]:offset[10]] == (9 * 31 + np.arange(64) * 7) % 256).all()
assert file.attrs["format"] == b"weft-requests", file.attrs["format"]
assert file.attrs["format_version"] == b"1.0.0"
assert len(file.attrs["shard_uid"]) == 32 and file.attrs["vocab_size"] == 256


def check(name, item):
    if isinstance(item, h5py.Dataset):
        assert item.attrs["units"] and item.attrs["description"], name
        assert item.compression == "gzip" and item.shuffle and item.fletcher32, name


file.visititems(check)
