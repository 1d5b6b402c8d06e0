"""Requests and answers as dictionaries, one at a time or as a pandas frame.

    answers = read_results("out/first")      # a folder, an array's folder, results.h5, segments
    requests = read_requests("p.parquet")    # a prompts file, or a request shard *.h5

Both may be iterated again and again: each time the files are read anew. With every=True they hold
every column of the files, read at once: the way to a frame of a large job.
"""

import os

import h5py

from weft_text.decode import DecodeSettings, Results
from weft_text.every_column import request_columns, result_columns
from weft_text.errors import EXIT_NO_INPUT, EXIT_USAGE, TextError
from weft_text.sampling import SAMPLING, missing_value
from weft_text.source_read import open_source

BLOCK_ROWS = 2048


class Records:
    """An iterable of dictionaries."""

    def __init__(self, make):
        self._make = make  # returns an iterator

    def __iter__(self):
        return self._make()

    def to_pandas(self):
        return import_pandas().DataFrame.from_records(list(self))


class Columns(Records):
    """Every column of files that are read at once."""

    def __init__(self, read):
        super().__init__(self._rows)
        self._read = read  # returns {name: [rows]}

    def _rows(self):
        columns = {name: column.tolist() if hasattr(column, "tolist") else column
                   for name, column in self._read().items()}
        for values in zip(*columns.values()):
            yield dict(zip(columns, values))

    def to_pandas(self):
        return import_pandas().DataFrame(self._read())


def import_pandas():
    try:
        import pandas
    except ImportError as error:
        raise TextError("to_pandas() needs pandas: pip install 'weft-text[pandas]'",
                        EXIT_USAGE) from error
    return pandas


def read_results(place, tokenizer=None, times=True, token_ids=False, columns=True, every=False):
    """The answers of a job, as weft-text decode writes them to JSON lines, but never OpenAI's.

    tokenizer: needed where the prompts were not encoded by weft run. columns: the prompts file's.
    every: instead, all columns of the results, as weft export writes them, without text.
    """
    if every:
        return Columns(lambda: result_columns(place))
    results = Results(place, columns)
    codec = results.codec(tokenizer)
    settings = results.settled(DecodeSettings(times=times, token_ids=token_ids))

    def make():
        for line, _ in results.lines(codec, settings, lambda answer: False):
            yield line

    return Records(make)


def read_requests(path, every=False):
    """The rows of a prompts file; of a shard what it holds of each, tokens as prompt_token_ids.

    every: of a shard, all its columns, also those that hold what rows leave open.
    """
    if os.path.splitext(path)[1] == ".h5":
        if not os.path.isfile(path):
            raise TextError(f"{path}: is missing", EXIT_NO_INPUT)
        if every:
            return Columns(lambda: request_columns(path))
        return Records(lambda: shard_rows(path))
    source = open_source(path)
    return Records(lambda: source_rows(source))


def source_rows(source):
    for row in source.rows():
        if row.fields is None:
            raise TextError(f"{source.path}:{row.line}: {row.problem}")
        yield row.fields


def shard_rows(path):
    with h5py.File(path, "r") as file:
        requests = file["requests"]
        n_rows = requests["id"].shape[0]
        for at in range(0, n_rows, BLOCK_ROWS):
            yield from shard_block(file, requests, at, min(BLOCK_ROWS, n_rows - at))


def shard_block(file, requests, at, n):
    plain = {name: requests[name][at : at + n].tolist()
             for name in ("id", "arrival_ns", "max_new_tokens")}
    given = {name: requests[name][at : at + n] for name in SAMPLING if name in requests}
    offset = requests["prompt_offset"][at : at + n + 1].astype("i8")
    tokens = file["prompts/tokens"][offset[0] : offset[-1]].tolist()
    for i in range(n):
        row = {name: column[i] for name, column in plain.items()}
        row["prompt_token_ids"] = tokens[offset[i] - offset[0] : offset[i + 1] - offset[0]]
        for name, column in given.items():
            if column[i] == column[i] and column[i] != missing_value(SAMPLING[name][0]):
                row[name] = column[i].item()
        yield row
