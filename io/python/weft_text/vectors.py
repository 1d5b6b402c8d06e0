"""Vectors, or scores for labels, to one numpy file: a row for each row of the input.

    n_rows, n_failed = write_vectors(Results("out/x"), "vectors.npy", replace=False)

Rows that failed, and rows of a prompts file that could not be read, are NaN, so that the matrix has
the order and the number of the input's rows. With dtype "f16" numbers are rounded to 16 bits.
Written a block at a time; the header, which says how
many there are, at the end.
"""

import numpy as np

from weft_text.answers import answers
from weft_text.atomic_file import atomic_file
from weft_text.errors import EXIT_USAGE, TextError
from weft_text.results_order import ordered_rows
from weft_text.results_read import read_files

BLOCK_ROWS = 4096
HEADER_BYTES = 128
DTYPES = {"f32": "<f4", "f16": "<f2"}


def header(n_rows, width, dtype):
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': ({n_rows}, {width}), }}"
    size = HEADER_BYTES - 10
    return b"\x93NUMPY\x01\x00" + size.to_bytes(2, "little") + text.ljust(size - 1).encode() + b"\n"


def vectors(results):
    """The vector of each row in the input's order; None where it has none."""
    read = read_files if results.merged else ordered_rows
    rows = (row for row in read(results.files) if results.uids is None or row.uid in results.uids)
    for answer in answers(rows, results.prepared):
        if answer.bad:
            yield None
        for row in answer.results:
            if row.done and row.numbers is None:
                raise TextError(f"{results.place}: holds no vectors or scores: they come of jobs "
                                "with task: embed, classify, score or rerank", EXIT_USAGE)
            yield row.numbers if row.done else None


def write_block(file, block, width, dtype):
    rows = np.full((len(block), width), np.nan, dtype=dtype)
    for i, vector in enumerate(block):
        if vector is not None:
            rows[i] = vector
    file.write(rows.tobytes())


def write_vectors(results, output, replace, dtype="f32"):
    n_rows = n_failed = width = 0
    dtype = DTYPES[dtype]
    held = []
    with atomic_file(output, replace, binary=True) as file:
        file.write(header(0, 0, dtype))
        for vector in vectors(results):
            held.append(vector)
            width = width or (len(vector) if vector is not None else 0)
            n_rows, n_failed = n_rows + 1, n_failed + (vector is None)
            if width and len(held) >= BLOCK_ROWS:
                write_block(file, held, width, dtype)
                held = []
        write_block(file, held, width, dtype)
        file.seek(0)
        file.write(header(n_rows, width, dtype))
    return n_rows, n_failed
