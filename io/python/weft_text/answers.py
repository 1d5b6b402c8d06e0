"""Answers beside the rows they answer, in the order of the input.

    for answer in answers(rows, prepared): answer.source, answer.results, answer.bad

rows: results in the order of a merged file; prepared: prepare.find_prepared(folder). The rows of a
prompts file and the results of its shard run side by side, so nothing is held but one row:

    prompts.jsonl   0      1 (bad)   2      3 ...
    its shard       0                1      2 ...
    results         0.0 0.1          1.0    2.0 ...   row.sample

A bad row has no results but its reason. Rows of other shards have no source.
"""

import itertools
import os
from dataclasses import dataclass, field

from weft_text.errors import TextError
from weft_text.source_read import SourceRow, file_sha256, open_source


@dataclass
class Answer:
    source: SourceRow = None  # None: its shard was not made from a text
    results: list = field(default_factory=list)  # a Row for each sample
    bad: str = None  # why there are none, with file and line
    place: str = None  # of the row: file and line


def answers(rows, prepared):
    for uid, of_shard in itertools.groupby(rows, key=lambda row: row.uid):
        by_row = ((number, list(samples)) for number, samples
                  in itertools.groupby(of_shard, key=lambda row: row.row))
        if uid in prepared:
            yield from beside_source(prepared[uid], by_row)
        else:
            yield from (Answer(results=samples) for _, samples in by_row)


def open_unchanged(prepared):
    """The file that a shard was made from."""
    advice = "put it back, or decode with --no-columns, without its rows"
    path = prepared.source_path
    if not os.path.isfile(path):
        raise TextError(f"{path}: is not there any more; {advice}")
    if file_sha256(path) != prepared.sha256:
        raise TextError(f"{path}: has changed since it was encoded; {advice}")
    return open_source(path)


def beside_source(prepared, by_row):
    bad = {number: why for number, _, why in prepared.bad_rows}
    at, samples = next(by_row, (None, []))
    i_row = 0  # of the shard
    for source in open_unchanged(prepared).rows():
        place = f"{prepared.source}:{source.line}"
        if source.number in bad:
            yield Answer(source, bad=f"{place}: {bad[source.number]}", place=place)
            continue
        if at == i_row:  # else it has no result yet
            yield Answer(source, samples, place=place)
            at, samples = next(by_row, (None, []))
        i_row += 1
