"""Makes malformed request shards from a good one of 40 rows: malformed_shards.py GOOD FOLDER.

Prints for each: file, row that must fail (-1: the whole shard is refused), status, part of the message."""
import os
import shutil
import sys

import h5py
import numpy as np

from h5_header import lookup3, make_endless

good, folder = sys.argv[1], sys.argv[2]
REQ = "requests/"


def case(name, row, status, message, change):
    path = os.path.join(folder, name + ".h5")
    shutil.copy(good, path)
    if change.__code__.co_argcount == 2:
        with h5py.File(path, "r+", libver="v110") as f:
            change(f, path)
    else:
        change(path)
    print(name + ".h5", row, status, message, sep="\t")


def replace(f, name, data, **how):
    del f[name]
    f.create_dataset(name, data=data, **how)


def edit(name, index, value):
    def change(f, path):
        f[name][index] = value
    return change


def bad(name, message, change):
    case(name, -1, "SHARD", message, change)


def row(name, i, status, message, change):
    case(name, i, status, message, change)


def delete(name):
    def change(f, path):
        del f[name]
    return change


def retype(name, dtype):
    def change(f, path):
        replace(f, name, f[name][:].astype(dtype))
    return change


def drop_last(name):
    def change(f, path):
        replace(f, name, f[name][:-1])
    return change


# --- structure ---
for name in ["id", "arrival_ns", "prompt_offset", "max_new_tokens"]:
    bad("missing_" + name, f"/requests/{name}: is missing", delete(REQ + name))
bad("missing_tokens", "/prompts/tokens: is missing", delete("prompts/tokens"))
bad("missing_group", "/requests: is missing", delete("requests"))
bad("missing_stop_half", "is missing, though its other half is there", delete(REQ + "stop_offset"))
bad("float_id", "/requests/id: type is 64-bit float, expected little-endian u64",
    retype(REQ + "id", "<f8"))
bad("signed_offset", "/requests/prompt_offset: type is signed 64-bit integer, expected little-endian u64",
    retype(REQ + "prompt_offset", "<i8"))
bad("narrow_arrival", "type is signed 32-bit integer, expected little-endian i64",
    retype(REQ + "arrival_ns", "<i4"))
bad("big_endian", "/requests/arrival_ns: type is big-endian signed 64-bit integer",
    retype(REQ + "arrival_ns", ">i8"))
bad("string_tokens", "/prompts/tokens: type is",
    lambda f, p: replace(f, "prompts/tokens", np.array([b"a"] * 9)))
bad("rank_two", "/requests/id: has 2 dimensions, expected 1",
    lambda f, p: replace(f, REQ + "id", f[REQ + "id"][:].reshape(20, 2)))
bad("scalar", "/requests/id: has 0 dimensions, expected 1",
    lambda f, p: replace(f, REQ + "id", np.uint64(3)))
bad("short_arrival", "/requests/arrival_ns: has 39 rows, expected 40", drop_last(REQ + "arrival_ns"))
bad("short_offset", "/requests/prompt_offset: has 40 rows, expected 41", drop_last(REQ + "prompt_offset"))
bad("short_sampling", "/requests/temperature: has 39 rows, expected 40", drop_last(REQ + "temperature"))
bad("group_for_dataset", "/requests/id: is not a dataset",
    lambda f, p: (f.__delitem__(REQ + "id"), f.create_group(REQ + "id")))
bad("missing_pieces", "piece: is missing, though its other half is there",
    delete("tokenizer/piece"))
bad("few_piece_offsets", "piece_offset: has 256 offsets, expected 257",
    drop_last("tokenizer/piece_offset"))
row("endless_stop", 38, "REQ_SAMPLING", "the last string is not ended by a zero byte",
    edit(REQ + "stop_string", -1, 65))
row("stop_is_no_text", 38, "REQ_SAMPLING", "a string is no UTF-8 text", edit(REQ + "stop_string", -2, 0xe2))


# --- reaching outside the file, or not believable ---
def external_link(f, path):
    del f[REQ + "id"]
    f[REQ + "id"] = h5py.ExternalLink(good, REQ + "id")


def external_group(f, path):
    del f["prompts"]
    f["prompts"] = h5py.ExternalLink(good, "prompts")


def soft_link(f, path):
    f.move(REQ + "id", "elsewhere")
    f[REQ + "id"] = h5py.SoftLink("/elsewhere")


def external_storage(f, path):
    del f[REQ + "id"]
    f.create_dataset(REQ + "id", shape=(40,), dtype="<u8", external=[("/etc/passwd", 0, 320)])


def virtual(f, path):
    del f[REQ + "id"]
    layout = h5py.VirtualLayout(shape=(40,), dtype="<u8")
    layout[:] = h5py.VirtualSource(good, REQ + "id", shape=(40,))
    f.create_virtual_dataset(REQ + "id", layout)


bad("external_link", "/requests/id: is an external link", external_link)
bad("external_group", "/prompts: is an external link", external_group)
bad("soft_link", "/requests/id: is a soft link", soft_link)
bad("external_storage", "/requests/id: uses external storage", external_storage)
bad("virtual", "/requests/id: is a virtual dataset", virtual)
bad("filter_lzf", "/requests/id: uses filter 32000",
    lambda f, p: replace(f, REQ + "id", f[REQ + "id"][:], chunks=(40,), compression="lzf"))
bad("filter_scaleoffset", "/requests/id: uses filter 6",
    lambda f, p: replace(f, REQ + "id", f[REQ + "id"][:], chunks=(40,), scaleoffset=0))
bad("huge_chunk", "/requests/id: has chunks of",
    lambda f, p: (f.__delitem__(REQ + "id"),
                  f.create_dataset(REQ + "id", shape=(40,), dtype="<u8", chunks=(1 << 28,), maxshape=(None,))))
bad("unwritten_chunks", "claims 1048576 chunks in a file of",
    lambda f, p: (f.__delitem__("prompts/tokens"),
                  f.create_dataset("prompts/tokens", shape=(1 << 40,), dtype="<i4", chunks=(1 << 20,),
                                   compression="gzip")))
bad("unwritten_contiguous", "claims 320 bytes of data from 0 stored bytes",
    lambda f, p: (f.__delitem__(REQ + "id"), f.create_dataset(REQ + "id", shape=(40,), dtype="<u8")))


def bomb(f, path):
    """A chunk that says 256 KiB and unpacks to 512 MiB."""
    import zlib
    packer = zlib.compressobj(9)
    data = b"".join([packer.compress(b"\0" * (1 << 24)) for _ in range(32)] + [packer.flush()])
    del f["prompts/tokens"]
    d = f.create_dataset("prompts/tokens", shape=(65536,), dtype="<i4", chunks=(65536,),
                         compression="gzip")
    d.id.write_direct_chunk((0,), data)


bad("deflate_bomb", "/prompts/tokens: holds a chunk of", bomb)


# --- attributes, superblock, bytes ---
bad("no_format", "/@format: attribute is missing", lambda f, p: f.attrs.__delitem__("format"))
bad("other_format", "/@format: is 'weft-results'", lambda f, p: f.attrs.__setitem__("format", "weft-results"))
bad("newer_major", "/@format_version: is '2.0.0'", lambda f, p: f.attrs.__setitem__("format_version", "2.0.0"))
bad("number_format", "/@format: is not text", lambda f, p: f.attrs.__setitem__("format", 3))
bad("no_uid", "/@shard_uid: attribute is missing", lambda f, p: f.attrs.__delitem__("shard_uid"))
bad("bad_uid", "/@shard_uid: is not 32 hexadecimal digits",
    lambda f, p: f.attrs.__setitem__("shard_uid", "xyz"))
bad("vocab_zero", "/@vocab_size: is 0", lambda f, p: f.attrs.__setitem__("vocab_size", 0))


def truncate(path):
    os.truncate(path, os.path.getsize(path) - 3000)


def not_hdf5(path):
    with open(path, "wb") as f:
        f.write(b"id,arrival\n1,2\n")


def flip_in(name, chunk):
    def change(path):
        with h5py.File(path, "r") as f:
            at = f[name].id.get_chunk_info(chunk).byte_offset
        with open(path, "r+b") as f:
            f.seek(at + 9)
            byte = f.read(1)
            f.seek(at + 9)
            f.write(bytes([byte[0] ^ 0x10]))
    return change


def old_superblock(path):
    with h5py.File(path, "w", libver=("earliest", "v108")) as f:
        f.create_group("requests")


def still_open(path):
    """As a writer that was killed leaves it: the superblock keeps its mark."""
    with open(path, "r+b") as f:
        f.seek(11)
        flags = f.read(1)[0]
        f.seek(0)
        block = bytearray(f.read(44))
    block[11] = flags | 1
    block += lookup3(bytes(block)).to_bytes(4, "little")
    with open(path, "r+b") as f:
        f.write(block)


bad("truncated", "truncated", truncate)
bad("not_hdf5", "is not an HDF5 file", not_hdf5)
bad("no_bytes", "is not an HDF5 file", lambda path: os.truncate(path, 0))
bad("old_superblock", "superblock version", old_superblock)
bad("still_open", "was not closed by its writer", still_open)
bad("endless_chunks", "/requests/arrival_ns: claims 439804651111 chunks in a file of",
    lambda path: make_endless(path, REQ + "arrival_ns"))
bad("checksum_id", "/requests/id:0: rows to 39 cannot be read: data error detected by Fletcher32", flip_in(REQ + "id", 0))
bad("checksum_arrival", "/requests/arrival_ns:0: rows to", flip_in(REQ + "arrival_ns", 0))

# --- rows ---
row("negative_arrival", 7, "REQ_ARRIVAL", "/requests/arrival_ns:7: arrival lies before",
    edit(REQ + "arrival_ns", 7, -5))
row("unsorted_arrival", 7, "REQ_ARRIVAL", "/requests/arrival_ns:7: arrival is out of order",
    edit(REQ + "arrival_ns", 7, 3))
row("spike_arrival", 7, "REQ_ARRIVAL", "/requests/arrival_ns:7: arrival is out of order",
    edit(REQ + "arrival_ns", 7, 10**15))
row("clock_arrival", 39, "REQ_ARRIVAL", "not from 1970", edit(REQ + "arrival_ns", 39, 1_700_000_000 * 10**9))
row("huge_arrival", 7, "REQ_ARRIVAL", "more than ten years", edit(REQ + "arrival_ns", 7, 2**63 - 1))
row("duplicate_id", 9, "REQ_DUPLICATE", "/requests/id:9: id 1002 repeats", edit(REQ + "id", 9, 1002))
row("token_beyond", 4, "REQ_TOKEN", "outside the vocabulary of 256",
    lambda f, p: f["prompts/tokens"].__setitem__(int(f[REQ + "prompt_offset"][4]), 256))
row("zero_new", 4, "REQ_LENGTH", "/requests:4: max_new_tokens is 0", edit(REQ + "max_new_tokens", 4, 0))
row("nan_top", 5, "REQ_SAMPLING", "temperature is inf", edit(REQ + "temperature", 5, np.inf))
row("bool_two", 5, "REQ_SAMPLING", "/requests/ignore_eos:5: is neither 0 nor 1", edit(REQ + "ignore_eos", 5, 2))
row("offset_near_2_63", 11, "REQ_SHARD", "/requests/prompt_offset:11: offsets here",
    edit(REQ + "prompt_offset", 12, 2**63 - 1))
row("offset_max", 12, "REQ_SHARD", "/requests/prompt_offset:12: offsets here",
    edit(REQ + "prompt_offset", 12, 2**64 - 1))
row("last_offset_beyond", 39, "REQ_SHARD", "/requests/prompt_offset:39: offsets here",
    edit(REQ + "prompt_offset", 40, 2**40))
row("offset_decreases", 20, "REQ_SHARD", "/requests/prompt_offset:20: offsets here",
    edit(REQ + "prompt_offset", 21, 1))
row("empty_prompt", 0, "REQ_EMPTY", "/requests:0: prompt has no tokens",
    lambda f, p: f[REQ + "prompt_offset"].__setitem__(1, 0))
row("stop_offset", 6, "REQ_SHARD", "/requests/stop_offset:6: offsets here", edit(REQ + "stop_offset", 7, 2**62))
row("meta_offset", 8, "REQ_SHARD", "/requests/meta_offset:8: offsets here", edit(REQ + "meta_offset", 9, 2**62))
