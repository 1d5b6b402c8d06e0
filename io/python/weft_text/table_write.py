"""Lines of answers to a file, as its name ends: JSON lines, CSV, TSV or Parquet, one row at a time.

    with line_writer("x.csv", columns, replace=False) as write: write({"text": "..."})

columns: [(name, kind)] with the kinds of column_kinds or a pyarrow type; JSON lines need none. What
a cell cannot hold, lists and objects, becomes JSON text.
"""

import base64
import contextlib
import csv
import json
import math

from weft_text.atomic_file import HALF_PAIRS, atomic_file
from weft_text.errors import EXIT_USAGE, TextError
from weft_text.source_read import import_parquet, suffix_of

ROW_GROUP = 4096
FORMATS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "tsv",
           ".parquet": "parquet"}


def format_of(path):
    """What a file's name says is to be written; JSON lines on standard output."""
    if path == "-":
        return "jsonl"
    if suffix_of(path) not in FORMATS:
        raise TextError(f"{path}: cannot tell what to write: name it {', '.join(FORMATS)}, or say "
                        "it with --format", EXIT_USAGE)
    return FORMATS[suffix_of(path)]


def is_table(name):
    return name in ("csv", "tsv", "parquet")


def plain_value(value):
    """What Parquet has and JSON has not: times by ISO 8601, bytes by base 64, decimals as text."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


ENCODER = json.JSONEncoder(ensure_ascii=False, default=plain_value, allow_nan=False)


def to_json(value):
    try:
        return ENCODER.encode(value)
    except ValueError:  # NaN and the infinities are no JSON
        return ENCODER.encode(finite(value))


def finite(value):
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: finite(v) for k, v in value.items()}
    return [finite(v) for v in value] if isinstance(value, list) else value


def whole_text(value):
    """Text that Arrow takes: half a surrogate pair as JSON spells it."""
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-8", HALF_PAIRS).decode("utf-8")
    return value


def cell(value):
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if type(value) is int:
        return str(value)
    text = to_json(value)
    return json.loads(text) if text.startswith('"') else text


@contextlib.contextmanager
def line_writer(path, file_format, columns, replace):
    """Yields a function that writes one line, a dictionary."""
    writers = {"jsonl": json_lines, "text": text_lines, "csv": csv_lines, "tsv": csv_lines,
               "parquet": parquet_rows}
    if is_table(file_format) and columns is None:
        raise TextError(f"{path}: the input has too many different keys for a table; write .jsonl",
                        EXIT_USAGE)
    if file_format == "parquet" and path == "-":
        raise TextError("Parquet cannot go to standard output; name a file", EXIT_USAGE)
    with atomic_file(path, replace, binary=file_format == "parquet") as file:
        with writers[file_format](file, columns, file_format) as write:
            yield write


@contextlib.contextmanager
def json_lines(file, columns, file_format):
    yield lambda line: file.write(to_json(line) + "\n")


@contextlib.contextmanager
def text_lines(file, columns, file_format):
    """The texts alone, or what there is in their place, for people."""
    yield lambda line: file.write(spoken(line) + "\n")


def spoken(line):
    if "masks" in line:
        return " | ".join(", ".join(f"{one['token']} {one['score']:.3g}" for one in mask)
                          for mask in line["masks"])
    if "label" in line:
        return f"{line['label']} {line['score']:.4g}"
    if "vector" in line:
        return to_json(line["vector"])
    return line.get("text", f"failed: {reason(line)}")


def reason(line):
    error = line.get("error")
    return error.get("message") if isinstance(error, dict) else error


def as_cells(line):
    """A failed row's reason as one cell."""
    return {**line, "error": reason(line)} if isinstance(line.get("error"), dict) else line


@contextlib.contextmanager
def csv_lines(file, columns, file_format):
    names = [name for name, _ in columns]
    writer = csv.writer(file, delimiter="\t" if file_format == "tsv" else ",", lineterminator="\n")
    writer.writerow(names)

    def write(line):
        cells = as_cells(line)
        writer.writerow([cell(cells.get(name)) for name in names])

    yield write


@contextlib.contextmanager
def parquet_rows(file, columns, file_format):
    import pyarrow

    parquet = import_parquet("the output")
    kinds = {"text": pyarrow.string(), "json": pyarrow.string(), "integer": pyarrow.int64(),
             "number": pyarrow.float64(), "boolean": pyarrow.bool_()}
    schema = pyarrow.schema([(name, kinds.get(kind, kind) if isinstance(kind, str) else kind)
                             for name, kind in columns])
    as_text = {name for name, kind in columns if kind == "json"}
    held = []
    with parquet.ParquetWriter(file, schema) as writer:
        def flush():
            arrays = [pyarrow.array([line.get(f.name) for line in held], type=f.type)
                      for f in schema]
            writer.write_batch(pyarrow.record_batch(arrays, schema=schema))
            held.clear()

        def write(line):
            cells = as_cells(line)
            held.append({k: whole_text(cell(v) if k in as_text and v is not None else v)
                         for k, v in cells.items()})
            if len(held) >= ROW_GROUP:
                flush()

        yield write
        if held:
            flush()
