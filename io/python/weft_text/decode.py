"""Results to a file of answers: rows of the input with their answers, or the results alone.

    done = decode_results("out/x", "answers.csv", DecodeSettings(tokenizer="models/m"))

Where a shard was made from a prompts file by prepare.py, an answer is the file's row with the keys
of ANSWER_COLUMNS added; a column of the input that has one of these names becomes input_<name>. Bad
rows are there as failed ones; of a job that runs, rows without a result yet are left out. Else it
is a line as line_write.py makes it.
"""

import os
from dataclasses import dataclass, replace

from weft_text.answers import answers, open_unchanged
from weft_text.column_kinds import joined_columns
from weft_text.errors import EXIT_USAGE, TextError
from weft_text.line_write import (FILL_MASK, check_tokens, is_openai, load_meta, openai_bad_line, openai_line,
                                  plain_answer, plain_line)
from weft_text.prepare import find_prepared
from weft_text.ranks import prompt_key_of, ranks
from weft_text.results_files import array_parts, newest_run, result_files, shards_of_job
from weft_text.results_order import ordered_rows
from weft_text.results_read import columns_of, read_files, task_of
from weft_text.table_write import format_of, is_table, line_writer
from weft_text.text_codec import open_codec
from weft_text.vectors import write_vectors

# Columns of results that not every file has, and that bring answers columns of their own.
OPTIONAL = ("requests/scores", "requests/vector", "requests/stop_string", "tokens/logprob",
            "prompts/logprob")
ANSWER_COLUMNS = [("sample", "integer"), ("status", "text"), ("text", "text"),
                  ("finish_reason", "text"), ("error", "text"), ("prompt_tokens", "integer"),
                  ("completion_tokens", "integer")]
TIME_COLUMNS = [("ttft_s", "number"), ("e2e_s", "number")]
TOKEN_COLUMNS = [("token_ids", "json")]
LOGPROB_COLUMNS = [("token_logprobs", "json")]
PROMPT_COLUMNS = [("prompt_logprobs", "json")]
VECTOR_COLUMNS = [("vector", "json")]
SCORE_COLUMNS = [("label", "text"), ("score", "number"), ("scores", "json")]
RANK_COLUMNS = [("rank", "integer")]
STOP_COLUMNS = [("stop_reason", "text")]
MASK_COLUMNS = [("masks", "json")]
ALONE_COLUMNS = [("id", "integer"), ("shard_uid", "text"), ("row", "integer"),
                 ("custom_id", "text"), ("meta", "json")]
ANSWER_NAMES = {name for name, _ in
                ANSWER_COLUMNS + TIME_COLUMNS + TOKEN_COLUMNS + LOGPROB_COLUMNS + PROMPT_COLUMNS
                + VECTOR_COLUMNS + STOP_COLUMNS}


@dataclass
class DecodeSettings:
    tokenizer: str = None  # None: the one that the prompts were encoded with
    file_format: str = "auto"  # by the name; jsonl, openai, csv, tsv, parquet, text
    token_ids: bool = False
    times: bool = False  # beside input rows; lines without them always have times
    columns: bool = True  # the input's
    replace: bool = False
    dtype: str = "f32"  # of an .npy
    taken: frozenset = frozenset(ANSWER_NAMES)  # names that a column of the input cannot keep


@dataclass
class Decoded:
    n_lines: int = 0
    n_failed: int = 0


class Results:
    """What a place holds: its files and, where every row has its place, the texts behind them."""

    def __init__(self, place, columns=True):
        self.place, self.files = place, result_files(place)
        self.merged = not any(is_segment(file.path) for file in self.files)
        self.prepared, folders = {}, output_folders(place)
        for folder in folders if columns else ():
            self.prepared.update(find_prepared(folder))
        of_job = [shards_of_job(folder) for folder in folders] if os.path.isdir(place) else [None]
        self.there = columns_of(self.files, OPTIONAL)
        self.scored = "requests/scores" in self.there
        tasks = {task_of(file.path) for file in self.files}
        self.ranked, self.filled = self.scored and tasks == {"rerank"}, tasks == {FILL_MASK}
        self.uids = None if None in of_job else set().union(*of_job)
        if self.uids is not None:  # the folder may hold what was encoded for another job
            self.prepared = {uid: p for uid, p in self.prepared.items() if uid in self.uids}

    def codec(self, tokenizer):
        names = {p.tokenizer for p in self.prepared.values()}
        if not tokenizer and len(names) != 1:
            raise TextError(f"{self.place}: does not say with which tokenizer it was encoded; "
                            "give it with --tokenizer", EXIT_USAGE)
        return open_codec(tokenizer or names.pop())

    def answers(self, codec):
        read = read_files if self.merged else ordered_rows
        rows = (check_tokens(codec, row, self.place) for row in read(self.files)
                if self.uids is None or row.uid in self.uids)
        return answers(rows, self.prepared)

    def score_columns(self):
        return ((SCORE_COLUMNS if self.scored else []) + (RANK_COLUMNS if self.ranked else [])
                + (MASK_COLUMNS if self.filled else []))

    def settled(self, settings):
        """The settings, with the names that answers of this place take."""
        names = {name for name, _ in self.score_columns()}
        return replace(settings, taken=frozenset(ANSWER_NAMES | names))

    def lines(self, codec, settings, is_openai):
        """Yields (line, failed rows in it) of all answers."""
        ranked = (ranks(self.answers(codec), prompt_key_of(self.prepared)) if self.ranked else {})
        for number, answer in enumerate(self.answers(codec)):
            for line, failed in lines(codec, answer, settings, is_openai(answer)):
                yield ({**line, "rank": ranked[number]} if number in ranked else line), failed

    def columns(self, settings):
        """Of a table: those of the input, then the answer's."""
        sources = [source_columns(p, settings) for p in self.prepared.values()]
        alone = [] if sources else [ALONE_COLUMNS[:4]]
        columns = joined_columns(alone + sources)
        if columns is None:
            return None
        more = ANSWER_COLUMNS + (TIME_COLUMNS if settings.times or not sources else [])
        more = more + (STOP_COLUMNS if "requests/stop_string" in self.there else [])
        more = more + (TOKEN_COLUMNS if settings.token_ids else [])
        logprobs = not self.filled and "tokens/logprob" in self.there
        more = more + (LOGPROB_COLUMNS if logprobs else [])
        scored = "prompts/logprob" in self.there
        more = more + (PROMPT_COLUMNS if scored else [])
        more = more + (VECTOR_COLUMNS if "requests/vector" in self.there else [])
        more = more + self.score_columns()
        return columns + more + ([] if sources else ALONE_COLUMNS[4:])


def is_segment(path):
    """segments/g0/r0-e0-00000.h5: its rows are in the order in which they ended."""
    return os.path.basename(os.path.dirname(os.path.dirname(os.path.abspath(path)))) == "segments"


def output_folders(place):
    """The output folder that a folder, a results file or segments belong to; an array's parts."""
    folder = os.path.abspath(place if os.path.isdir(place) else os.path.dirname(place) or ".")
    while os.path.basename(folder) == "segments" or is_segment(os.path.join(folder, "x")):
        folder = os.path.dirname(folder)
    parts = array_parts(folder) if newest_run(folder) is None else []
    return parts or [folder]


def source_columns(prepared, settings):
    columns = open_unchanged(prepared).columns or prepared.columns
    return columns and [(renamed(name, settings), kind) for name, kind in columns]


def renamed(name, settings):
    return f"input_{name}" if name in settings.taken else name


def answer_lines(codec, answer, settings):
    """Yields (line, number of failed rows in it) of one row of the input."""
    fields = answer.source.fields or {"line": answer.source.line}
    own = {renamed(name, settings): value for name, value in fields.items()}
    spoken = settings.file_format == "text"  # prompts of a command line: their file is nobody's
    place = f"prompt {answer.source.number + 1}" if spoken else answer.place
    if answer.bad:
        yield {**own, "sample": 0, "status": "failed",
               "error": {"code": "bad_row", "message": answer.bad}}, 1
    for row in answer.results:
        said = plain_answer(codec, row, settings.token_ids, settings.times, place)
        yield {**own, **said}, int(not row.done)


def openai_lines(codec, answer):
    if answer.bad:
        yield openai_bad_line(answer.source, answer.bad), 1
    else:
        failed = sum(not row.done for row in answer.results)
        yield openai_line(codec, answer.results, answer.place), failed


def lines(codec, answer, settings, openai):
    """Yields (line, failed rows in it) of one request: for OpenAI one, else one a sample."""
    if openai:
        yield from openai_lines(codec, answer)
    elif answer.source is not None:
        yield from answer_lines(codec, answer, settings)
    else:
        for row in answer.results:
            yield plain_line(codec, row, settings.token_ids), int(not row.done)


def openai_test(file_format):
    """Of format auto, requests that came as OpenAI lines are answered so."""
    if file_format == "openai":
        return lambda answer: True
    if file_format != "auto":
        return lambda answer: False
    return lambda answer: (is_openai(load_meta(answer.results[0].meta)) if answer.results
                           else "body" in (answer.source.fields or ()))


def decode_results(place, output, settings):
    results = Results(place, settings.columns)
    settings = results.settled(settings)
    if output.endswith(".npy"):
        return Decoded(*write_vectors(results, output, settings.replace, settings.dtype))
    codec = results.codec(settings.tokenizer)
    named = settings.file_format not in ("auto", "openai")
    file_format = settings.file_format if named else format_of(output)
    if settings.file_format == "openai" and is_table(file_format):
        raise TextError(f"{output}: OpenAI batch results are JSON lines; name it .jsonl",
                        EXIT_USAGE)
    style = "jsonl" if named or is_table(file_format) else settings.file_format
    is_openai_answer = openai_test(style)
    columns = results.columns(settings) if is_table(file_format) else None
    done = Decoded()
    with line_writer(output, file_format, columns, settings.replace) as write:
        for line, failed in results.lines(codec, settings, is_openai_answer):
            write(line)
            done.n_lines += 1
            done.n_failed += failed
    return done
