"""Makes damaged copies of a good results file: usage malformed_results.py GOOD FOLDER.

Each copy is FOLDER/<what>@<place>.h5, where <place> is what the reader's complaint must contain,
with ':' for '/'.
"""
import os
import shutil
import sys

import h5py
import numpy as np

from h5_header import make_endless

good, folder = sys.argv[1:3]
os.makedirs(folder)
filters = dict(chunks=True, shuffle=True, compression=1, fletcher32=True)


def copy(what, place):
    path = os.path.join(folder, f"{what}@{place.replace('/', ':')}.h5")
    shutil.copy(good, path)
    return path


def edit(what, place, change):
    path = copy(what, place)
    with h5py.File(path, "r+", libver=("v110", "v110")) as f:
        change(f)


def replace(f, name, values, **more):
    attrs = dict(f[name].attrs)
    del f[name]
    d = f.create_dataset(name, data=values, **{**filters, **more})
    for k, v in attrs.items():
        d.attrs[k] = v


required = ["requests/shard", "requests/row", "requests/sample", "requests/status",
            "requests/finish_ns", "requests/output_offset", "requests/error", "requests/meta",
            "tokens/id", "shards/uid", "shards/rows", "runs/run", "runs/hosts", "steps/run"]
for name in required:
    edit("missing-" + name.replace("/", "-"), "/" + name, lambda f: f.__delitem__(name))

edit("wide-row", "/requests/row",
     lambda f: replace(f, "requests/row", f["requests/row"][:].astype("u4")))
edit("signed-id", "/requests/id",
     lambda f: replace(f, "requests/id", f["requests/id"][:].astype("i8")))
edit("big-endian", "/requests/finish_ns",
     lambda f: replace(f, "requests/finish_ns", f["requests/finish_ns"][:].astype(">i8")))
edit("rank-2", "/tokens/id", lambda f: replace(f, "tokens/id", f["tokens/id"][:][:, None]))
edit("short-column", "/requests/preempted",
     lambda f: replace(f, "requests/preempted", f["requests/preempted"][:-1]))
edit("short-times", "/tokens/time_ns",
     lambda f: replace(f, "tokens/time_ns", f["tokens/time_ns"][:-1]))
edit("short-offsets", "/requests/output_offset",
     lambda f: replace(f, "requests/output_offset", f["requests/output_offset"][:-1]))
edit("empty-offsets", "/requests/error_offset",
     lambda f: replace(f, "requests/error_offset", np.zeros(0, "u8"), chunks=(1,), maxshape=(None,)))


def swap(f, name, at):
    values = f[name][:]
    values[at], values[at + 1] = values[at + 1] + 1, values[at]
    f[name][:] = values


edit("falling-offsets", "/requests/output_offset",
     lambda f: swap(f, "requests/output_offset", 100))


def put(f, name, at, value):
    f[name][at] = value


edit("offset-beyond", "/requests/output_offset",
     lambda f: put(f, "requests/output_offset", 50, 2**63))
edit("offset-start", "/requests/output_offset", lambda f: put(f, "requests/output_offset", 0, 1))
edit("offset-end", "/requests/meta_offset", lambda f: put(f, "requests/meta_offset", -1, 5))
edit("shard-beyond", "/requests/shard", lambda f: put(f, "requests/shard", 7, 2))


def external(f):
    del f["tokens/id"]
    f["tokens/id"] = h5py.ExternalLink("/etc/passwd", "/tokens/id")


def soft(f):
    del f["tokens/id"]
    f["tokens/id"] = h5py.SoftLink("/requests/prompt_len")


def virtual(f):
    n = len(f["tokens/id"])
    del f["tokens/id"]
    layout = h5py.VirtualLayout(shape=(n,), dtype="i4")
    layout[:] = h5py.VirtualSource("missing.h5", "x", shape=(n,))
    f.create_virtual_dataset("tokens/id", layout)


edit("external-link", "/tokens/id", external)
edit("soft-link", "/tokens/id", soft)
edit("virtual", "/tokens/id", virtual)
edit("unknown-filter", "/tokens/id",
     lambda f: replace(f, "tokens/id", f["tokens/id"][:], compression="lzf"))
edit("other-format", "format", lambda f: f.attrs.__setitem__("format", np.bytes_("weft-requests")))
edit("newer-format", "version",
     lambda f: f.attrs.__setitem__("format_version", np.bytes_("2.0.0")))
edit("no-job", "job", lambda f: f.attrs.__delitem__("job"))

make_endless(copy("endless-chunks", "/requests/finish_ns"), "requests/finish_ns")
with open(good, "rb") as f:
    whole = f.read()
for part in (1, 2, 3):
    with open(copy(f"cut-{part}", "bad"), "wb") as f:
        f.write(whole[:len(whole) * part // 4])
with open(copy("empty", "bad"), "wb") as f:
    pass
with open(copy("text", "bad"), "wb") as f:
    f.write(b"not HDF5 at all\n")

# One byte inside the stored tokens: fletcher32 must notice.
with h5py.File(good, "r") as f:
    offset = f["tokens/id"].id.get_chunk_info(0).byte_offset
with open(copy("flipped-byte", "/tokens/id"), "r+b") as f:
    f.seek(offset + 5)
    byte = f.read(1)
    f.seek(offset + 5)
    f.write(bytes([byte[0] ^ 1]))
