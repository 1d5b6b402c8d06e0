"""Rows of a prompts file into a request shard, tokenized many at a time, in their order.

    done = encode_source(open_source("prompts.jsonl"), "x.h5", settings, told, keep_bad=True)

A bad row is told once, as `prompts.jsonl:12: what is wrong`, and the others go on. With keep_bad
the shard also holds, under /source, which rows were bad and why, and the names of the columns:
what answers.py needs to put every row of the file beside its answer.
"""

import itertools
import json
import sys
import time
from dataclasses import dataclass

from weft_text import __version__
from weft_text.chat_template import ChatTemplate
from weft_text.column_kinds import ColumnKinds
from weft_text.errors import LineError, TextError
from weft_text.line_parse import (FIRST_KEYS, MOST_BAD_WORDS, PROMPT_KEYS, LineParser, check_most,
                                  near_key)
from weft_text.seen_ids import SeenIds
from weft_text.sharegpt_read import with_lengths
from weft_text.shard_write import ShardWriter
from weft_text.source_read import cells_to_values, whole_numbers
from weft_text.text_codec import open_codec

BATCH_ROWS, BATCH_CHARS = 512, 4 << 20
SHOWN_ERRORS = 20
SAY_EVERY_S = 10


@dataclass
class Settings:
    """How rows become requests."""

    tokenizer: str
    max_new_tokens: int = 256
    chat: bool = False  # plain prompts are a user's message
    prompt_key: str = "prompt"
    file_format: str = "auto"
    vocab_size: int = 0  # 0: the tokenizer's
    n_rows: int = 0  # takes so many; 0: all
    skip_bad: bool = False  # bad rows are told and left out
    most_new: int = 0  # of ShareGPT: longer answers count as so many tokens; 0: as they are
    pieces: bool = False  # for a job's stop strings; rows that have their own bring them anyway
    pairs: bool = False  # rows are to be scored: a text, or two (line_parse.FIRST_KEYS, SECOND_KEYS)
    pair_key: str = ""  # another name of the second
    before: str = ""  # stands before every text that is no chat


@dataclass
class Encoded:
    n_rows: int = 0
    n_tokens: int = 0
    n_bad: int = 0
    uid: str = ""


class BadRows:
    """Bad rows: shown on standard error, the first of them, and kept as `keep` says."""

    def __init__(self, source):
        self.source, self.count, self.kept, self.file = source, 0, [], None

    def add(self, row, error):
        self.count += 1
        if self.count <= SHOWN_ERRORS:
            print(f"{self.source}:{row.line}: {error}", file=sys.stderr)
        elif self.count == SHOWN_ERRORS + 1:
            print(f"{self.source}: more bad rows follow", file=sys.stderr)
        if self.file:
            text = row.text or json.dumps(row.fields, ensure_ascii=False, default=str)
            record = {"line": row.line, "error": str(error), "input": text}
            self.file.write(json.dumps(record, ensure_ascii=False) + "\n")
        else:
            self.kept.append([row.number, row.line, str(error)])


class Encoder:
    """Collects rows, tokenizes them together, and appends them in their order."""

    def __init__(self, codec, parser, shard, bad):
        self.codec, self.parser, self.shard, self.bad = codec, parser, shard, bad
        self.held, self.n_chars, self.ids_given = [], 0, None
        self.custom_ids, self.ids = SeenIds(), SeenIds()
        self.said_s = time.monotonic()

    def add(self, row, fields):
        """fields: the row's values, or None when it has a problem."""
        parsed = problem = None
        try:
            if fields is None:
                raise LineError(row.problem)
            parsed = self.parser.parse(fields)
        except LineError as error:
            problem = error
        self.held.append((row, parsed, problem))
        self.n_chars += len(parsed.text or "") if parsed else 0
        if len(self.held) >= BATCH_ROWS or self.n_chars >= BATCH_CHARS:
            self.flush()

    def flush(self):
        for add_special in (True, False):
            texts = [p for _, p, _ in self.held if p and p.text is not None and p.pair is None
                     and p.add_special == add_special]
            for parsed, ids in zip(texts, self.codec.encode([p.text for p in texts], add_special)):
                parsed.request.prompt = ids
        self.encode_pairs()
        self.encode_bad_words()
        for row, parsed, problem in self.held:
            try:
                if problem:
                    raise problem
                self.append(row, parsed)
            except LineError as error:
                self.bad.add(row, error)
        self.held, self.n_chars = [], 0
        self.say()

    def encode_pairs(self):
        pairs = [p for _, p, _ in self.held if p and p.pair is not None]
        joined = self.codec.encode_pairs([(p.text, p.pair) for p in pairs]) if pairs else []
        for parsed, (ids, second) in zip(pairs, joined):
            parsed.request.prompt, parsed.request.second = ids, second

    def encode_bad_words(self):
        """As vLLM: a word as it stands and, where that is as long and begins otherwise, after a
        space."""
        texts = sorted({word.lstrip() for _, p, _ in self.held if p for word in p.bad_words})
        plain = dict(zip(texts, self.codec.encode(texts, False)))
        spaced = dict(zip(texts, self.codec.encode([" " + text for text in texts], False)))
        for _, parsed, _ in self.held:
            for word in parsed.bad_words if parsed else ():
                ids, after = plain[word.lstrip()], spaced[word.lstrip()]
                parsed.request.bad_words.append(ids)
                if ids and len(after) == len(ids) and after[0] != ids[0]:
                    parsed.request.bad_words.append(after)

    def append(self, row, parsed):
        request = parsed.request
        if not all(request.bad_words):
            raise LineError("'bad_words' has a word without tokens")
        if request.stop:
            self.need_pieces()
        check_most("bad_words", [t for word in request.bad_words for t in (*word, -1)],
                   MOST_BAD_WORDS)
        if not request.prompt:
            raise LineError("the prompt has no tokens")
        self.check_id(parsed)
        self.check_unique(row, parsed)
        if not parsed.has_id:
            request.id = self.shard.n_rows
        self.shard.append(request)

    def need_pieces(self):
        """Of the first row that ends at texts."""
        if self.shard.pieces is None:
            try:
                self.shard.pieces = self.codec.pieces()
            except TextError as error:
                raise LineError(f"'stop': {error}") from None

    def check_id(self, parsed):
        if self.ids_given is None:
            self.ids_given = parsed.has_id
        if parsed.has_id != self.ids_given:
            raise LineError("give an integer 'id' on all lines or on none")

    def check_unique(self, row, parsed):
        for name, value, seen in (("custom_id", parsed.custom_id, self.custom_ids),
                                  ("id", parsed.request.id if parsed.has_id else None, self.ids)):
            earlier = seen.add(value, row.line) if value is not None else None
            if earlier:
                raise LineError(f"'{name}' is {value!r}, as on line {earlier} already")

    def say(self):
        if time.monotonic() - self.said_s >= SAY_EVERY_S:
            print(f"{self.bad.source}: {self.shard.n_rows} rows encoded so far", file=sys.stderr)
            self.said_s = time.monotonic()


def check_columns(source, settings):
    """Of a table: that its header has a prompt and no slip; said once, not on every row."""
    names = [name for name, _ in source.columns]
    prompt_key = settings.prompt_key
    wanted = {prompt_key, *PROMPT_KEYS, "body", *(FIRST_KEYS if settings.pairs else ())}
    if not wanted & set(names):
        raise TextError(f"{source.path}: has no column '{prompt_key}', only {', '.join(names)}; "
                        "name the one that holds the prompts (text.prompt, --prompt)")
    for name in names:
        near = near_key(name, names)
        if near and name != prompt_key and name not in PROMPT_KEYS:
            raise TextError(f"{source.path}: unknown column '{name}'; did you mean '{near}'?")


def rows_of(source, codec, settings):
    rows = source.rows()
    if settings.n_rows:
        rows = itertools.islice(rows, settings.n_rows)
    return with_lengths(rows, codec, settings.most_new) if source.kind == "sharegpt" else rows


def encode_rows(source, encoder, kinds, settings):
    is_text, is_table = source.kind in ("csv", "tsv"), source.columns is not None
    if is_table:
        check_columns(source, settings)
    for row in rows_of(source, encoder.codec, settings):
        fields = row.fields
        if fields is not None:
            kinds.add(fields)
            fields = cells_to_values(fields) if is_text else fields
            fields = whole_numbers(fields) if is_table else fields
        encoder.add(row, fields)
    encoder.flush()


def pieces_or_complain(codec):
    try:
        return codec.pieces()
    except TextError as error:
        raise TextError(f"{codec.name}: {error}") from None


def encode_source(source, output, settings, replace=False, keep_bad=False, rejects=None,
                  **attributes):
    """Writes the shard; returns Encoded. With neither keep_bad nor rejects one bad row is an error.

    rejects: an open file for the bad rows.
    """
    codec = open_codec(settings.tokenizer)
    vocab_size = settings.vocab_size or codec.vocab_size
    parser = LineParser(settings.file_format, settings.max_new_tokens, vocab_size,
                        lambda: ChatTemplate(codec), settings.chat, settings.prompt_key,
                        settings.pairs, settings.pair_key, settings.before)
    if settings.chat:
        parser.chat = ChatTemplate(codec)  # says at once what is missing
    bad, kinds = BadRows(source.path), ColumnKinds()
    bad.file = rejects
    with ShardWriter(output, vocab_size, replace, source=source.path,
                     generator=f"weft-text {__version__}", **attributes) as shard:
        if settings.pieces:
            shard.pieces = pieces_or_complain(codec)
        encode_rows(source, Encoder(codec, parser, shard, bad), kinds, settings)
        if shard.n_rows == 0:
            raise TextError(f"{source.path}: has no usable row; nothing was written")
        if bad.count and not keep_bad and not rejects and not settings.skip_bad:
            raise TextError(f"{source.path}: {bad.count} bad rows; nothing was written "
                            "(--rejects FILE sets them aside and goes on, --skip-bad leaves them "
                            "out)")
        if keep_bad:
            shard.notes["/source/bad_rows"] = as_json(bad.kept)
            shard.notes["/source/columns"] = as_json(kinds.listed())
    return Encoded(shard.n_rows, shard.columns["/prompts/tokens"].count, bad.count, shard.uid)


def as_json(value):
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
