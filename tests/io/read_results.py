"""Reads a results file as a user would: usage read_results.py FILE N_ROWS."""
import sys

import h5py
import numpy as np
import pandas as pd

path, n = sys.argv[1], int(sys.argv[2])
f = h5py.File(path, "r")
t = pd.DataFrame({k: v[:] for k, v in f["requests"].items() if len(v) == n and v.ndim == 1})

assert f.attrs["format"].decode() == "weft-results", f.attrs["format"]
assert f.attrs["format_version"].decode().startswith("1.")
assert len(t) == n and (t.row == np.arange(n)).all()
assert ((t.status == 1) == (t.row % 7 == 6)).all()
assert (t.submitted_ns[t.status == 0] > t.arrival_ns[t.status == 0]).all()

offset = f["requests/output_offset"][:]
assert offset[0] == 0 and offset[-1] == len(f["tokens/id"]) == len(f["tokens/time_ns"])
lengths = np.where(t.status == 0, 1 + t.row % 39, 0)
assert (np.diff(offset.astype(np.int64)) == lengths).all()
row = 8
assert (f["tokens/id"][offset[row]:offset[row + 1]] == (row * 31 + np.arange(1 + row % 39)) % 256).all()
at, end = f["requests/error_offset"][6:8]
assert bytes(f["requests/error"][at:end]).decode() == "row 6: token 999 is outside"
assert f["requests/status"].attrs["enum"].decode() == "0 done, 1 failed"
assert [u.decode() for u in f["shards/uid"][:]] == ["uid-a", "uid-b"]
assert f["runs/hosts"][0].decode() == "nodeä1"


def described(name, item):
    if isinstance(item, h5py.Dataset):
        assert item.attrs["units"] and item.attrs["description"], name
        assert item.fletcher32 or item.dtype.kind == "S" or item.size == 0, name


f.visititems(described)
