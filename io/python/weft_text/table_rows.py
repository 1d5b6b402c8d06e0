"""Rows that weft export hands on, as JSON lines on standard input, to a Parquet file.

    weft-text table -o rows.parquet --columns shard_uid:text,row:u64,token_ids:i32[]

The columns are said by the program that makes the rows, which knows them all: a name, what it holds
(text, or a number of so many bits), [] for a list of these and [][] for a list of lists. The last
line is null: without it the rows have ended early, and nothing is written.
"""

import json

from weft_text.errors import EXIT_DATA, EXIT_USAGE, TextError
from weft_text.source_read import import_parquet, suffix_of
from weft_text.table_write import line_writer

ROW_BYTES = 64 << 20


def arrow_types():
    import_parquet("the output")
    import pyarrow

    return {"text": pyarrow.string(), "u8": pyarrow.uint8(), "u16": pyarrow.uint16(),
            "u32": pyarrow.uint32(), "u64": pyarrow.uint64(), "i32": pyarrow.int32(),
            "i64": pyarrow.int64(), "f32": pyarrow.float32(), "f64": pyarrow.float64()}


def column_types(words):
    """[(name, pyarrow type)]"""
    import pyarrow

    types, columns = arrow_types(), []
    for word in words.split(","):
        name, _, kind = word.partition(":")
        depth = kind.count("[]")
        of = types.get(kind.removesuffix("[]" * depth))
        if not name or of is None:
            raise TextError(f"--columns: '{word}' is no NAME:KIND", EXIT_USAGE)
        for _ in range(depth):
            of = pyarrow.list_(of)
        columns.append((name, of))
    return columns


def rows_of(stream):
    """Each line's object; the rows must end by null."""
    for line in stream:
        row = json.loads(line)
        if row is None:
            return
        yield row
    raise TextError("the rows end early", EXIT_DATA)


def table_write(stream, output, columns, replace):
    """How many rows were written."""
    if suffix_of(output) != ".parquet":
        raise TextError(f"{output}: name it .parquet", EXIT_USAGE)
    n_rows = 0
    with line_writer(output, "parquet", column_types(columns), replace) as write:
        for row in rows_of(stream):
            write(row)
            n_rows += 1
    return n_rows
