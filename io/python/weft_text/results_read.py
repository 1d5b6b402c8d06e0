"""Reads the rows of results files (format weft-results 1.x) in file order, a few at a time."""

import contextlib
import json
import os
import re
from dataclasses import dataclass

import h5py
import numpy as np

from weft_text.errors import EXIT_DATA, EXIT_NO_INPUT, TextError

BLOCK_ROWS, BLOCK_TOKENS = 2048, 1 << 21
STATUS_DONE = 0
FINISH_WORDS = {0: "none", 1: "stop", 2: "length", 3: "context", 4: "error", 5: "vector",
                6: "scores", 7: "masks"}
TASK = re.compile(r"^task: *([\w-]+)", re.MULTILINE)
ROW_COLUMNS = ("shard", "row", "sample", "id", "status", "finish_reason", "error_code",
               "arrival_ns", "first_token_ns", "finish_ns", "prompt_len", "run")
RAGGED = {"output_offset": "tokens/id", "meta_offset": "requests/meta",
          "error_offset": "requests/error"}


@dataclass
class Row:
    uid: str  # of its shard
    values: dict  # ROW_COLUMNS by name
    tokens: list
    meta: bytes
    error: str
    logprobs: list = None
    top_ids: list = None
    top_logprobs: list = None
    prompt_logprobs: list = None
    prompt_top_ids: list = None
    prompt_top_logprobs: list = None
    stop_string: str = ""  # that ended it
    stop_kept: bool = False  # its text keeps what ended it
    vector: np.ndarray = None  # float32, of a job that makes vectors; of a failed row NaN
    scores: np.ndarray = None  # likewise, of a job that scores rows for labels
    labels: list = None  # their names
    task: str = "generate"
    created: int = 0  # Unix seconds
    error_name: str = ""  # of error_code, "req_context"

    def __getattr__(self, name):
        try:
            return self.values[name]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def done(self):
        return self.status == STATUS_DONE

    @property
    def numbers(self):
        return self.vector if self.scores is None else self.scores

    @property
    def finish(self):
        return FINISH_WORDS.get(self.finish_reason, "error")


def read_files(files):
    """Yields the rows that count of ResultFiles; a key that comes twice is an error."""
    seen = {}
    for file in files:
        for row in read_file(file.path):
            if file.void_failed and not row.done:
                continue
            key = seen.setdefault((row.uid, row.sample), bytearray())
            byte, bit = row.row >> 3, 1 << (row.row & 7)
            if byte >= len(key):
                key.extend(bytes(byte + 1024 - len(key)))
            if key[byte] & bit:
                raise TextError(f"{file.path}: row {row.row} (sample {row.sample}) of shard "
                                f"{row.uid} comes twice")
            key[byte] |= bit
            yield row


# --- one file ---


@contextlib.contextmanager
def complaints(path):
    """What is wrong with a results file, as one line."""
    try:
        yield
    except OSError as error:
        code = EXIT_NO_INPUT if not os.access(path, os.R_OK) else EXIT_DATA
        raise TextError(f"{path}: cannot be read: {error}", code) from error
    except KeyError as error:
        raise TextError(f"{path}: lacks what a results file has: {error}") from error


def read_file(path):
    with complaints(path), h5py.File(path, "r") as file:
        yield from file_rows(path, file)


def columns_of(files, wanted):
    """Which of the wanted columns, such as "tokens/logprob", some of the results files have."""
    found = set()
    for file in files:
        with complaints(file.path), h5py.File(file.path, "r") as h5:
            found.update(column for column in wanted if column in h5)
    return found


def task_of(path):
    """The task of the job file that the results keep."""
    with complaints(path), h5py.File(path, "r") as file:
        return file_task(file)


def file_task(file):
    found = TASK.search(as_text(file.attrs.get("job", "")))
    return found[1] if found else "generate"


def label_names(path, file, n):
    try:
        names = json.loads(as_text(file.attrs["labels"]))
    except ValueError as error:
        raise TextError(f"{path}:/@labels: is no JSON: {error}") from error
    if not isinstance(names, list) or len(names) != n:
        raise TextError(f"{path}:/@labels: are not the names of the {n} labels of its scores")
    return [str(name) for name in names]


def check_format(path, file):
    name, version = (as_text(file.attrs.get(k, "")) for k in ("format", "format_version"))
    if name != "weft-results":
        raise TextError(f"{path}: is not a results file (format is '{name}')")
    if version.split(".")[0] != "1":
        raise TextError(f"{path}: format version is '{version}', this program reads 1.x")


def as_text(value):
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def file_rows(path, file):
    check_format(path, file)
    requests = file["requests"]
    n_rows = requests["row"].shape[0]
    check_sizes(path, file, n_rows)
    uids = [as_text(uid) for uid in file["shards/uid"][:]]
    starts = run_starts(file)
    at = 0
    while at < n_rows:
        n = min(BLOCK_ROWS, n_rows - at)
        ends = requests["output_offset"][at : at + n + 1]
        n = max(1, int(np.searchsorted(ends, ends[0] + BLOCK_TOKENS, "right")) - 1) if n else 0
        n = min(n, len(ends) - 1)
        yield from block_rows(path, file, at, n, uids, starts)
        at += n


def check_sizes(path, file, n_rows):
    for name in ROW_COLUMNS:
        if file["requests"][name].shape != (n_rows,):
            raise TextError(f"{path}:/requests/{name}: has another number of rows than 'row'")
    for name, values in RAGGED.items():
        if file["requests"][name].shape != (n_rows + 1,):
            raise TextError(f"{path}:/requests/{name}: has not one value more than there are rows")
        if file["requests"][name][-1] != file[values].shape[0]:
            raise TextError(f"{path}:/requests/{name}: does not end where /{values} ends")


def error_names(codes):
    """{102: "req_context"}, as the file itself says."""
    pairs = (pair.split() for pair in as_text(codes.attrs.get("enum", "")).split(", "))
    return {int(pair[0]): pair[1].lower() for pair in pairs if len(pair) == 2
            and pair[0].isdigit()}


def run_starts(file):
    """(run, group) is not told apart: all groups of a run start together."""
    if "runs/run" not in file or "runs/start_unix_ns" not in file:
        return {}
    return dict(zip(file["runs/run"][:].tolist(), file["runs/start_unix_ns"][:].tolist()))


def cut(path, file, name, at, n):
    """Where each of the rows' parts begins and ends in a ragged column, and where all do."""
    offset = file["requests"][name][at : at + n + 1].astype(np.int64)
    if np.any(np.diff(offset) < 0) or offset[0] < 0:
        raise TextError(f"{path}:/requests/{name}: decreases between rows {at} and {at + n}")
    first, last = int(offset[0]), int(offset[-1])
    return (offset - first).tolist(), slice(first, last)


def as_typed(values):
    """Floats of 32 bits as the doubles that print as short: -0.8, not -0.800000011920929."""
    return values.astype("U").astype(np.float64) if values.dtype == np.float32 else values


def stops_of(path, file, at, n):
    """The stop strings that ended rows, and whether their texts keep what ended them."""
    requests = file["requests"]
    ended, kept = [""] * n, [False] * n
    if "stop_string" in requests:
        ends, texts = cut(path, file, "stop_string_offset", at, n)
        data = requests["stop_string"][texts].tobytes()
        ended = [data[a:b].decode("utf-8", "replace") for a, b in zip(ends, ends[1:])]
    if "stop_kept" in requests:
        kept = (requests["stop_kept"][at : at + n] != 0).tolist()
    return ended, kept


def prompt_columns(path, file, at, n):
    """What is known of prompt tokens: where rows cut it, and it."""
    if "requests/prompt_offset" not in file:
        return [0] * (n + 1), {}
    prompt_at, prompts = cut(path, file, "prompt_offset", at, n)
    return prompt_at, {field: as_typed(file[name][prompts]) for field, name in
                       (("prompt_logprobs", "prompts/logprob"),
                        ("prompt_top_ids", "prompts/top_id"),
                        ("prompt_top_logprobs", "prompts/top_logprob")) if name in file}


def block_rows(path, file, at, n, uids, starts):
    columns = {name: file["requests"][name][at : at + n].tolist() for name in ROW_COLUMNS}
    token_at, tokens = cut(path, file, "output_offset", at, n)
    meta_at, meta = cut(path, file, "meta_offset", at, n)
    error_at, error = cut(path, file, "error_offset", at, n)
    ids = file["tokens/id"][tokens].tolist()
    names = error_names(file["requests/error_code"])
    notes, reasons = file["requests/meta"][meta].tobytes(), file["requests/error"][error].tobytes()
    extra = {field: as_typed(file[name][tokens]) for field, name in
             (("logprobs", "tokens/logprob"), ("top_ids", "tokens/top_id"),
              ("top_logprobs", "tokens/top_logprob")) if name in file}
    prompt_at, of_prompts = prompt_columns(path, file, at, n)
    wide = {field: file[f"requests/{field}"][at : at + n] for field in ("vector", "scores")
            if f"requests/{field}" in file}
    task = file_task(file)
    labels = label_names(path, file, wide["scores"].shape[1]) if "scores" in wide else None
    ended, kept = stops_of(path, file, at, n)
    for i in range(n):
        values = {name: column[i] for name, column in columns.items()}
        if values["shard"] >= len(uids):
            raise TextError(f"{path}: row {at + i}: shard {values['shard']} is not in /shards")
        own = slice(token_at[i], token_at[i + 1])
        place = slice(prompt_at[i], prompt_at[i + 1])
        start = starts.get(values["run"], 0)
        yield Row(uids[values["shard"]], values, ids[own], notes[meta_at[i] : meta_at[i + 1]],
                  reasons[error_at[i] : error_at[i + 1]].decode("utf-8", "replace"),
                  error_name=names.get(values["error_code"], str(values["error_code"])),
                  created=(start + max(0, values["finish_ns"])) // 10**9 if start else 0,
                  stop_string=ended[i], stop_kept=kept[i], labels=labels, task=task,
                  **{field: rows[i] for field, rows in wide.items()},
                  **{field: column[own].tolist() for field, column in extra.items()},
                  **{field: column[place].tolist() for field, column in of_prompts.items()})
