"""Changes a results file as somebody would who knows HDF5: change_segment.py FILE "PYTHON"."""
import ctypes
import sys

import h5py
import numpy as np

library = ctypes.CDLL("libxxhash.so.0")
library.XXH64.restype = ctypes.c_uint64
library.XXH64.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64]


def xxh64(data):
    return f"{library.XXH64(data, len(data), 0):016x}"


def datasets(f):
    found = []
    f.visititems(lambda name, item: found.append(item) if isinstance(item, h5py.Dataset) else None)
    return found


def redo(f):
    """Makes the file's digests right again."""
    lines = []
    for d in datasets(f):
        digest = xxh64(np.ascontiguousarray(d[...]).tobytes())
        d.attrs["xxh64"] = np.bytes_(digest)
        lines.append(f"{d.name} {digest}\n".encode())
    f.attrs["digest"] = np.bytes_(xxh64(b"".join(sorted(lines))))


def forget(f):
    """As a version before digests wrote it."""
    for d in datasets(f):
        del d.attrs["xxh64"]
    del f.attrs["digest"]


with h5py.File(sys.argv[1], "r+", libver=("v110", "v110")) as f:
    exec(sys.argv[2])
