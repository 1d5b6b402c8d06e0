"""Writes a request shard (format weft-requests 1.0), by the rules of Weft's own writer.

    with ShardWriter("x.h5", vocab_size=32000) as shard:
        shard.append(Request(...))
    shard.uid

The file is x.h5.<random>.part while it is written and takes its name, without replacing anything
unless asked to, when the block ends without an exception. `pieces`, where set, are what stop strings
are looked for in (pieces.py). `notes` are further datasets of bytes, by
name, which no reader of requests asks for and the shard's uid does not cover. Columns are held for
one chunk (65,536 values) each, so memory does not grow with the input. Optional columns appear when
the first row uses them.
"""

import datetime
import itertools
import os
from dataclasses import dataclass, field

import h5py
import numpy as np
import xxhash

from weft_text import __version__
from weft_text.atomic_file import part_name, sync_folder
from weft_text.errors import EXIT_IO, EXIT_USAGE, LineError, TextError
from weft_text.sampling import SAMPLING, missing_value

CHUNK = 65536
U64, I64, U32, I32, U8, F32 = (np.dtype(t) for t in ("<u8", "<i8", "<u4", "<i4", "u1", "<f4"))
SAMPLING_NOTE = ("sampling parameter {} of vLLM's SamplingParams; NaN, the least signed or the "
                 "greatest unsigned value: the job decides")

# name: (dtype, units, description), in the order in which the shard's uid takes them
COLUMNS = {
    "/requests/id": (U64, "1", "the caller's id, unique within the shard"),
    "/requests/arrival_ns": (I64, "ns", "arrival since the stream's origin, non-decreasing"),
    "/requests/max_new_tokens": (U32, "tokens", "bound on generated tokens"),
    "/requests/prompt_offset": (
        U64, "tokens", "row i's prompt is /prompts/tokens[offset[i]:offset[i+1]]"),
    "/prompts/tokens": (I32, "token id", "all prompts, concatenated"),
    "/requests/stop_offset": (
        U64, "tokens", "row i ends at stop_token_ids[offset[i]:offset[i+1]]"),
    "/requests/stop_token_ids": (I32, "token id", "token ids that end a row, concatenated"),
    "/requests/stop_string_offset": (
        U64, "bytes", "row i's stop strings are stop_string[offset[i]:offset[i+1]]"),
    "/requests/stop_string": (
        U8, "UTF-8", "texts that end a row, each of them ended by a zero byte, concatenated"),
    "/requests/logit_bias_id_offset": (
        U64, "tokens", "row i biases logit_bias_id[offset[i]:offset[i+1]]"),
    "/requests/logit_bias_id": (
        I32, "token id", "tokens whose logits are biased, ascending in each row, concatenated"),
    "/requests/logit_bias_offset": (
        U64, "tokens", "row i's biases are logit_bias[offset[i]:offset[i+1]]"),
    "/requests/logit_bias": (
        F32, "1", "what is added to the logits of logit_bias_id, concatenated"),
    "/requests/allowed_offset": (
        U64, "tokens", "row i may draw allowed_token_ids[offset[i]:offset[i+1]]"),
    "/requests/allowed_token_ids": (
        I32, "token id",
        "the only tokens that a row may draw, ascending in each row, concatenated"),
    "/requests/bad_words_offset": (
        U64, "tokens", "row i's bad words are bad_words_token_ids[offset[i]:offset[i+1]]"),
    "/requests/bad_words_token_ids": (
        I32, "token id", "words that a row may not say, each of them ended by -1, concatenated"),
    "/requests/segment_offset": (
        U64, "segments", "row i's further segments begin at segment[offset[i]:offset[i+1]]"),
    "/requests/segment": (
        I32, "tokens", "where further segments of prompts begin, in tokens of the prompt, "
                       "concatenated"),
    "/requests/meta_offset": (U64, "bytes", "row i's note is meta[offset[i]:offset[i+1]]"),
    "/requests/meta": (U8, "bytes", "UTF-8 passed through to the result, concatenated"),
}
COLUMNS.update({f"/requests/{name}": (dtype, "1", SAMPLING_NOTE.format(name))
                for name, (dtype, _, _) in SAMPLING.items()})
# A row's place in a session, and what rows of none hold: all of these or none are there.
PLACE = {"/requests/session": 0, "/requests/turn": 0, "/requests/think_ns": -1}
COLUMNS.update({
    "/requests/session": (U64, "1", "the session that the request is a turn of, 0: none"),
    "/requests/turn": (U32, "1", "its place among the session's turns, from 0"),
    "/requests/think_ns": (
        I64, "ns", "from the end of the turn before to this one's arrival, -1: not known"),
    "/tokenizer/piece_offset": (
        U64, "bytes", "token i adds piece[offset[i]:offset[i+1]] to a text"),
    "/tokenizer/piece": (U8, "bytes", "what the tokens add to a text, concatenated"),
})
REQUIRED = list(COLUMNS)[:5]


@dataclass
class Request:
    id: int
    prompt: list
    max_new_tokens: int
    arrival_ns: int = 0
    sampling: dict = field(default_factory=dict)
    stop_token_ids: list = field(default_factory=list)
    stop: list = field(default_factory=list)  # texts
    logit_bias: dict = field(default_factory=dict)  # token id: bias
    allowed_token_ids: list = field(default_factory=list)
    bad_words: list = field(default_factory=list)  # lists of token ids
    second: int = 0  # of a pair of texts: where the second begins in the prompt
    meta: bytes = b""
    session: str = ""  # "": of none
    think_ns: int = -1


def fixed_text(text):
    """Text as a fixed-length attribute: ASCII, or UTF-8 where it must be."""
    data = text.encode("utf-8") or b"\0"
    kind = "ascii" if data.isascii() else "utf-8"
    return np.array(data, dtype=h5py.string_dtype(kind, len(data)))


class Column:
    """One dataset, made by its first chunk or when it is closed, so that small files stay small."""

    def __init__(self, file, name):
        self.file, self.name = file, name
        self.dtype, self.units, self.description = COLUMNS[name]
        self.held, self.count = [], 0
        self.dataset = None
        self.hash = xxhash.xxh3_128()

    def append(self, values):
        self.held.extend(values)
        self.count += len(values)
        while len(self.held) >= CHUNK:
            self.write(self.held[:CHUNK])
            del self.held[:CHUNK]

    def write(self, values):
        values = np.array(values, dtype=self.dtype)
        self.hash.update(values.tobytes())
        if self.dataset is None:
            self.dataset = self.file.create_dataset(
                self.name, shape=(0,), maxshape=(None,), dtype=self.dtype,
                chunks=(max(1, len(values)),), shuffle=True, compression="gzip",
                compression_opts=1, fletcher32=True)
            self.dataset.attrs["units"] = fixed_text(self.units)
            self.dataset.attrs["description"] = fixed_text(self.description)
        if len(values):
            start = self.dataset.shape[0]
            self.dataset.resize((start + len(values),))
            self.dataset[start:] = values

    def close(self):
        if self.dataset is None or self.held:
            self.write(self.held)
            self.held = []


class ShardWriter:
    def __init__(self, path, vocab_size, replace=False, **attributes):
        if not replace and os.path.exists(path):
            raise TextError(f"{path}: exists already; remove it or pass --replace", EXIT_USAGE)
        self.path, self.replace, self.attributes = path, replace, attributes
        self.vocab_size = vocab_size
        self.part, self.notes, self.n_turns = part_name(path), {}, {}
        self.pieces = None  # {token id: bytes}, where stop strings are to be looked for
        self.columns, self.n_rows, self.last_arrival_ns, self.uid = {}, 0, 0, None
        try:
            self.file = h5py.File(self.part, "x", libver=("v110", "v110"))
        except OSError as error:
            raise TextError(f"{path}: cannot be written: {error}", EXIT_IO) from error

    def __enter__(self):
        for name in REQUIRED:
            self.column(name)
        self.column("/requests/prompt_offset").append([0])
        return self

    def column(self, name):
        if name not in self.columns:
            self.columns[name] = Column(self.file, name)
        return self.columns[name]

    def late_column(self, name, value, n_before):
        """A column that the rows so far did not need: `value` stands for each of them."""
        if name not in self.columns:
            column = self.column(name)
            for start in range(0, n_before, CHUNK):
                column.append([value] * min(CHUNK, n_before - start))
        return self.columns[name]

    def append(self, row):
        if row.arrival_ns < self.last_arrival_ns:
            raise LineError(f"arrives at {row.arrival_ns} ns, before {self.last_arrival_ns} ns of "
                            "the line before it; sort the lines by arrival")
        self.column("/requests/id").append([row.id])
        self.column("/requests/arrival_ns").append([row.arrival_ns])
        self.column("/requests/max_new_tokens").append([row.max_new_tokens])
        self.append_ragged("/requests/prompt_offset", "/prompts/tokens", row.prompt)
        self.append_optional("/requests/stop_offset", "/requests/stop_token_ids",
                             row.stop_token_ids)
        self.append_optional("/requests/stop_string_offset", "/requests/stop_string",
                             b"".join(text.encode("utf-8") + b"\0" for text in row.stop))
        self.append_wishes(row)
        self.append_optional("/requests/segment_offset", "/requests/segment",
                             [row.second] if row.second else [])
        self.append_optional("/requests/meta_offset", "/requests/meta", row.meta)
        self.append_sampling(row.sampling)
        self.append_place(row)
        self.last_arrival_ns = row.arrival_ns
        self.n_rows += 1

    def append_ragged(self, offset, name, values):
        self.column(name).append(values)
        self.column(offset).append([self.column(name).count])

    def append_optional(self, offset, name, values):
        if len(values) == 0 and offset not in self.columns:
            return
        self.late_column(offset, 0, self.n_rows + 1)
        self.append_ragged(offset, name, values)

    def append_wishes(self, row):
        biases = sorted(row.logit_bias.items())
        self.append_optional("/requests/logit_bias_id_offset", "/requests/logit_bias_id",
                             [token for token, _ in biases])
        self.append_optional("/requests/logit_bias_offset", "/requests/logit_bias",
                             [bias for _, bias in biases])
        self.append_optional("/requests/allowed_offset", "/requests/allowed_token_ids",
                             sorted(set(row.allowed_token_ids)))
        self.append_optional("/requests/bad_words_offset", "/requests/bad_words_token_ids",
                             [token for word in row.bad_words for token in (*word, -1)])

    def append_sampling(self, sampling):
        for name, (dtype, _, _) in SAMPLING.items():
            path = f"/requests/{name}"
            if name not in sampling and path not in self.columns:
                continue
            column = self.late_column(path, missing_value(dtype), self.n_rows)
            column.append([sampling.get(name, missing_value(dtype))])

    def append_place(self, row):
        """Turns of a session count in the order of their arrival."""
        if not row.session and "/requests/session" not in self.columns:
            return
        session = row.session and (xxhash.xxh64_intdigest(row.session.encode("utf-8")) or 1)
        turn = self.n_turns.get(session, 0) if session else 0
        if session:
            self.n_turns[session] = turn + 1
        own = (session or 0, turn, row.think_ns if session else -1)
        for (name, none), value in zip(PLACE.items(), own):
            self.late_column(name, none, self.n_rows).append([value])

    def append_pieces(self):
        """Of every token of the vocabulary, which may be longer than the tokenizer's."""
        pieces = [self.pieces.get(i, b"") for i in range(self.vocab_size)]
        ends = itertools.accumulate(map(len, pieces), initial=0)
        self.column("/tokenizer/piece_offset").append(list(ends))
        self.column("/tokenizer/piece").append(b"".join(pieces))

    def shard_uid(self):
        """XXH3-128 over "<name>=<XXH3-128 of the column>" lines, in the table's order."""
        lines = [f"{name}={self.columns[name].hash.hexdigest()}\n"
                 for name in COLUMNS if name in self.columns]
        return xxhash.xxh3_128_hexdigest("".join(lines).encode("ascii"))

    def finish(self):
        if self.pieces is not None:
            self.append_pieces()
        for column in self.columns.values():
            column.close()
        self.uid = self.shard_uid()
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        texts = {"format": "weft-requests", "format_version": "1.0.0", "software": "weft-text",
                 "software_version": __version__, "created": now, "shard_uid": self.uid}
        for name, value in {**texts, **self.attributes}.items():
            self.file.attrs[name] = fixed_text(value) if isinstance(value, str) else value
        self.file.attrs["vocab_size"] = np.int64(self.vocab_size)
        for name, data in self.notes.items():
            self.file.create_dataset(name, data=np.frombuffer(data, dtype="u1"))
        self.file.close()
        self.publish()

    def publish(self):
        with open(self.part, "rb+") as part:
            os.fsync(part.fileno())
        if self.replace:
            os.replace(self.part, self.path)
        else:
            try:
                os.link(self.part, self.path)
            except FileExistsError as error:
                raise TextError(f"{self.path}: was made by someone else meanwhile; remove it or "
                                "choose another name", EXIT_USAGE) from error
            os.unlink(self.part)
        sync_folder(self.path)

    def abandon(self):
        self.file.close()
        if os.path.exists(self.part):
            os.unlink(self.part)

    def __exit__(self, kind, error, trace):
        try:
            if kind is None:
                self.finish()
        except OSError as failure:
            raise TextError(f"{self.path}: cannot be written: {failure}", EXIT_IO) from failure
        finally:
            self.abandon()
        return False
