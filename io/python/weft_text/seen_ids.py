"""Which line an id came on first, in 32 bytes of memory for each.

    seen = SeenIds(); earlier = seen.add("a", 12)    # None, or the line that had it

A table of open addressing over 64-bit hashes: a dictionary of the ids themselves would take ten
times as much for millions of rows. Two of ten million different ids share a hash once in 400,000
files.
"""

from array import array

import xxhash


class SeenIds:
    def __init__(self, n_slots=1024):
        self.hashes, self.lines = array("Q", bytes(8 * n_slots)), array("Q", bytes(8 * n_slots))
        self.n = 0

    def slot(self, key):
        mask = len(self.hashes) - 1
        at = key & mask
        while self.lines[at] and self.hashes[at] != key:
            at = (at + 1) & mask
        return at

    def add(self, name, line):
        """`line` counts from 1."""
        key = xxhash.xxh3_64_intdigest(str(name).encode("utf-8", "surrogatepass"))
        at = self.slot(key)
        if self.lines[at]:
            return self.lines[at]
        self.hashes[at], self.lines[at] = key, line
        self.n += 1
        if 2 * self.n > len(self.hashes):
            self.grow()
        return None

    def grow(self):
        bigger = SeenIds(2 * len(self.hashes))
        for key, line in zip(self.hashes, self.lines):
            if line:
                at = bigger.slot(key)
                bigger.hashes[at], bigger.lines[at] = key, line
        self.hashes, self.lines = bigger.hashes, bigger.lines
