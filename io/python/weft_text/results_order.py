"""Rows of sealed segments in the order of the input, while a job is not merged yet.

    for row in ordered_rows(files): ...      by shard, row, sample, as a merged file has them

Segments hold rows as they ended. An index of all keys is sorted, 24 bytes a row; then the rows are
read, a block of the order at a time, from each file in the short ranges in which they lie.
"""

import contextlib

import h5py
import numpy as np

from weft_text.errors import TextError
from weft_text.results_read import (STATUS_DONE, as_text, block_rows, check_format, check_sizes,
                                    complaints, run_starts)

BLOCK_ROWS = 2048
RANGE_GAP = 64  # rows between two wanted ones that are read along
MOST_OPEN = 64


class OpenFiles:
    """The files of a block of rows: opened when they are needed, a few at a time."""

    def __init__(self, paths):
        self.paths, self.open = paths, {}

    def get(self, i):
        if i not in self.open:
            if len(self.open) >= MOST_OPEN:
                self.close()
            file = h5py.File(self.paths[i], "r")
            self.open[i] = (file, shard_uids(file), run_starts(file))
        return self.open[i]

    def close(self):
        for file, _, _ in self.open.values():
            file.close()
        self.open = {}


def shard_uids(file):
    return [as_text(uid) for uid in file["shards/uid"][:]]


def read_keys(result_file, i_file, uids):
    """(shard, row, sample, file, place) of each row; shards by number in `uids`, which grows."""
    path = result_file.path
    with complaints(path), h5py.File(path, "r") as file:
        check_format(path, file)
        n = file["requests/row"].shape[0]
        check_sizes(path, file, n)
        places = np.array([uids.setdefault(uid, len(uids)) for uid in shard_uids(file)] or [0])
        shard = file["requests/shard"][:].astype("u4")
        if n and shard.max() >= len(places):
            raise TextError(f"{path}: shard {shard.max()} is not in /shards")
        keys = np.empty(n, dtype=[("shard", "u4"), ("row", "u8"), ("sample", "u2"), ("file", "u4"),
                                  ("place", "u8")])
        keys["shard"], keys["row"] = places[shard], file["requests/row"][:]
        keys["sample"], keys["file"] = file["requests/sample"][:], i_file
        keys["place"] = np.arange(n)
        return keys[file["requests/status"][:] == STATUS_DONE] if result_file.void_failed else keys


def sorted_keys(files):
    uids = {}
    keys = [read_keys(file, i, uids) for i, file in enumerate(files)]
    keys = np.sort(np.concatenate(keys), order=["shard", "row", "sample"])
    same = np.ones(max(0, len(keys) - 1), dtype=bool)
    for name in ("shard", "row", "sample"):
        same &= keys[name][1:] == keys[name][:-1]
    if same.any():
        key = keys[1:][same][0]
        raise TextError(f"{files[key['file']].path}: row {key['row']} (sample {key['sample']}) of "
                        f"shard {list(uids)[key['shard']]} comes twice")
    return keys


def ranges(places):
    """Sorted places as (first, after the last) with small gaps read along."""
    cuts = np.flatnonzero(np.diff(places) > RANGE_GAP) + 1
    for part in np.split(places, cuts):
        yield int(part[0]), int(part[-1]) + 1


def read_block(files, block):
    """The block's rows by (file, place)."""
    found = {}
    for i in np.unique(block["file"]):
        places = np.sort(block["place"][block["file"] == i]).astype(np.int64)
        path = files.paths[i]
        with complaints(path):
            file, uids, starts = files.get(int(i))
            for first, end in ranges(places):
                rows = block_rows(path, file, first, end - first, uids, starts)
                found.update(((int(i), first + k), row) for k, row in enumerate(rows))
    return found


def ordered_rows(result_files):
    keys = sorted_keys(result_files)
    with contextlib.closing(OpenFiles([file.path for file in result_files])) as files:
        for at in range(0, len(keys), BLOCK_ROWS):
            block = keys[at : at + BLOCK_ROWS]
            found = read_block(files, block)
            for key in block:
                yield found[int(key["file"]), int(key["place"])]
