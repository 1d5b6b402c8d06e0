"""Rows of a prompts file, a few at a time: JSON lines, CSV, TSV or Parquet, as its name ends.

    source = open_source("prompts.csv")
    for row in source.rows(): row.number, row.line, row.fields or row.problem

A row counts from 0 and is what the answers follow; its line is what a person looks for. Blank lines
are no rows. A row that cannot be read has a problem instead of fields, and the others go on. Cells
of CSV are text; those of the keys that Weft knows are turned into what they say.
"""

import csv
import hashlib
import json
import os
from dataclasses import dataclass

from weft_text.errors import EXIT_NO_INPUT, EXIT_USAGE, LineError, TextError
from weft_text.line_parse import NUMBER_KEYS, STRUCTURE_KEYS, load_object

MAX_LINE_BYTES = 64 << 20
BATCH_ROWS = 1024
TOO_LONG = f"is longer than {MAX_LINE_BYTES >> 20} MiB"
BOM = b"\xef\xbb\xbf"


@dataclass
class SourceRow:
    number: int
    line: int
    fields: dict = None
    problem: str = None
    text: str = ""  # the row as it stands in the file, where there is such a thing


class JsonLines:
    kind, columns = "jsonl", None

    def __init__(self, path):
        self.path = path

    def rows(self):
        number = 0
        with open(self.path, "rb") as file:
            for line, data in numbered_lines(file):
                if data is None or data.strip():
                    yield self.row(number, line, data)
                    number += 1

    def row(self, number, line, data):
        if data is None:
            return SourceRow(number, line, problem=TOO_LONG)
        data = data.removeprefix(BOM) if line == 1 else data
        row = SourceRow(number, line, text=data.decode("utf-8", "replace"))
        try:
            row.fields = load_object(data.decode("utf-8"))
        except UnicodeDecodeError as error:
            row.problem = f"is not UTF-8 (byte {error.start + 1})"
        except LineError as error:
            row.problem = str(error)
        return row


def numbered_lines(file):
    """(number, bytes) from 1; a line over 64 MiB comes as None."""
    number = 0
    while data := file.readline(MAX_LINE_BYTES):
        number += 1
        too_long = len(data) == MAX_LINE_BYTES and not data.endswith(b"\n")
        while too_long and data and not data.endswith(b"\n"):
            data = file.readline(MAX_LINE_BYTES)
        yield number, None if too_long else data


class Table:
    """CSV or TSV with a header line."""

    def __init__(self, path, kind="csv", delimiter=","):
        self.path, self.kind, self.delimiter = path, kind, delimiter
        with self.open() as file:
            header = next(self.reader(file), None)
        if not header:
            raise TextError(f"{path}: has no header line that names its columns")
        self.columns = [(name, "text") for name in header]
        for i, name in enumerate(header):
            if not name or name in header[:i]:
                raise TextError(f"{path}:1: column {i + 1} "
                                + (f"is named '{name}' as well" if name else "has no name"))

    def open(self):
        return open(self.path, encoding="utf-8-sig", errors="surrogateescape", newline="")

    def reader(self, file):
        csv.field_size_limit(MAX_LINE_BYTES)
        return csv.reader(file, delimiter=self.delimiter, strict=True)

    def rows(self):
        with self.open() as file:
            reader = self.reader(file)
            next(reader)
            number = 0
            while True:
                line = reader.line_num + 1
                try:
                    cells = next(reader, None)
                except csv.Error as error:
                    yield SourceRow(number, line, problem=f"is not CSV: {error}")
                    number += 1
                    continue
                if cells is None:
                    return
                if cells:
                    yield self.row(number, line, cells)
                    number += 1

    def row(self, number, line, cells):
        if len(cells) != len(self.columns):
            return SourceRow(number, line, problem=f"has {len(cells)} cells, the header names "
                                                   f"{len(self.columns)}")
        for cell, (name, _) in zip(cells, self.columns):
            if not cell.isascii() and any("\udc80" <= c <= "\udcff" for c in cell):
                return SourceRow(number, line, problem=f"column '{name}' is not UTF-8")
        return SourceRow(number, line, dict(zip((n for n, _ in self.columns), cells)))


class Parquet:
    """Values as pyarrow gives them; a null is a key that the row does not have."""

    kind = "parquet"

    def __init__(self, path):
        self.path = path
        parquet = import_parquet(path)
        try:
            self.file = parquet.ParquetFile(path)
        except Exception as error:  # pyarrow raises several kinds of its own
            raise TextError(f"{path}: is not a usable Parquet file: {error}") from error
        self.schema = self.file.schema_arrow
        self.columns = [(field.name, field.type) for field in self.schema]

    def rows(self):
        number = 0
        for batch in self.file.iter_batches(batch_size=BATCH_ROWS):
            for fields in without_nanoseconds(batch).to_pylist():
                yield SourceRow(number, number + 1, {k: v for k, v in fields.items()
                                                     if v is not None})
                number += 1


def import_parquet(path):
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise TextError(f"{path}: Parquet needs pyarrow: pip install 'weft-text[parquet]'",
                        EXIT_USAGE) from error
    return parquet


def without_nanoseconds(batch):
    """Python's times end at microseconds."""
    import pyarrow

    columns = []
    for column in batch.columns:
        if pyarrow.types.is_timestamp(column.type) and column.type.unit == "ns":
            column = column.cast(pyarrow.timestamp("us", column.type.tz), safe=False)
        columns.append(column)
    return pyarrow.RecordBatch.from_arrays(columns, names=batch.schema.names)


SOURCES = {
    ".jsonl": JsonLines,
    ".ndjson": JsonLines,
    ".csv": Table,
    ".tsv": lambda path: Table(path, "tsv", "\t"),
    ".parquet": Parquet,
}


def suffix_of(path):
    return os.path.splitext(path)[1].lower()


def open_source(path):
    """By the name's ending; a file of another name holds JSON lines."""
    if not os.path.isfile(path):
        raise TextError(f"{path}: cannot be read: there is no such file", EXIT_NO_INPUT)
    try:
        return SOURCES.get(suffix_of(path), JsonLines)(path)
    except OSError as error:
        raise TextError(f"{path}: cannot be read: {error.strerror}", EXIT_NO_INPUT) from error


def file_sha256(path):
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while data := file.read(1 << 20):
                digest.update(data)
    except OSError as error:
        raise TextError(f"{path}: cannot be read: {error.strerror}", EXIT_NO_INPUT) from error
    return digest.hexdigest()


def whole_numbers(fields):
    """Numbers as they were meant: a column with gaps holds 16.0 for 16, and NaN for nothing."""
    values = dict(fields)
    for key in NUMBER_KEYS & fields.keys():
        value = fields[key]
        if isinstance(value, float) and value != value:
            del values[key]
        elif isinstance(value, float) and value.is_integer():
            values[key] = int(value)
    return values


def cells_to_values(fields):
    """The cells of a CSV row that Weft itself reads, as numbers and lists; empty ones are left out.

    A cell that is not what its column should hold stays text, and is complained about as such.
    """
    values = {}
    for key, cell in fields.items():
        if cell == "" and key in (NUMBER_KEYS | STRUCTURE_KEYS):
            continue
        looks_like_json = key in NUMBER_KEYS or (key in STRUCTURE_KEYS and cell[:1] in "[{")
        values[key] = json_or_text(cell) if looks_like_json else cell
    return values


def json_or_text(cell):
    lowered = cell.strip().lower()
    try:
        return json.loads(lowered if lowered in ("true", "false") else cell)
    except ValueError:
        return cell
