"""Conversations of ShareGPT's form as rows: a question, and the answer that was given to it.

    [{"id": "a", "conversations": [{"from": "human", "value": "..."}, {"from": "gpt", "value": "..."},
                                   ...]}, ...]              or one such object a line

Of each conversation the first question that has an answer is taken, as serving benchmarks do. The
file is read a piece at a time: it may be larger than memory.
"""

import json

from weft_text.errors import LineError, TextError
from weft_text.source_read import BOM, MAX_LINE_BYTES, SourceRow

PIECE_BYTES = 1 << 20
ASKS = {"human", "user"}
ANSWERS = {"gpt", "chatgpt", "assistant", "model", "bing", "bard"}
BATCH_ROWS = 256


class ShareGpt:
    kind, columns = "sharegpt", None

    def __init__(self, path):
        self.path = path

    def rows(self):
        for number, (line, value) in enumerate(objects(self.path)):
            row = SourceRow(number, line)
            try:
                row.fields = question_of(value)
            except LineError as error:
                row.problem = str(error)
                row.text = json.dumps(value, ensure_ascii=False)
            yield row


def objects(path):
    """(line, value) of each object of a list, or of each line."""
    decoder, text, line = json.JSONDecoder(), "", 1
    with open(path, "rb") as file:
        incoming = pieces(path, file)
        while True:
            stripped = text.lstrip(" \t\r\n,[")
            line += text[: len(text) - len(stripped)].count("\n")
            text = stripped
            if not text or text[0] == "]":
                more = next(incoming, None)
                if more is None:
                    return
                text += more
                if text.startswith("]"):
                    text = text[1:]
                continue
            try:
                value, end = decoder.raw_decode(text)
            except ValueError as error:
                more = next(incoming, None)
                if more is None:
                    raise TextError(f"{path}:{line}: is no JSON: {error.args[0]}") from error
                if len(text) > MAX_LINE_BYTES:
                    raise TextError(f"{path}:{line}: is no JSON, or an object of more than "
                                    f"{MAX_LINE_BYTES >> 20} MiB") from error
                text += more
                continue
            yield line, value
            line += text[:end].count("\n")
            text = text[end:]


def pieces(path, file):
    import codecs

    decode = codecs.getincrementaldecoder("utf-8")()
    first = True
    while data := file.read(PIECE_BYTES):
        data = data.removeprefix(BOM) if first else data
        first = False
        try:
            yield decode.decode(data)
        except UnicodeDecodeError as error:
            raise TextError(f"{path}: is not UTF-8: {error.reason}") from error


def turns_of(value):
    turns = value.get("conversations") if isinstance(value, dict) else None
    if not isinstance(turns, list):
        raise LineError("has no list of 'conversations'")
    for turn in turns:
        if not isinstance(turn, dict) or not isinstance(turn.get("value"), str):
            raise LineError("has a turn without text")
    return turns


def question_of(value):
    turns = turns_of(value)
    for question, answer in zip(turns, turns[1:]):
        if question.get("from") in ASKS and answer.get("from") in ANSWERS \
                and question["value"].strip() and answer["value"].strip():
            return {"prompt": question["value"], "answer": answer["value"],
                    "conversation": str(value.get("id", ""))}
    raise LineError("has no question with an answer")


def with_lengths(rows, codec, most=0):
    """The rows with as many tokens to generate as the answer has, at most `most` (0: all)."""
    held = []
    for row in rows:
        held.append(row)
        if len(held) == BATCH_ROWS:
            yield from measured(held, codec, most)
            held = []
    yield from measured(held, codec, most)


def measured(rows, codec, most):
    answered = [row for row in rows if row.fields]
    lengths = codec.encode([row.fields["answer"] for row in answered], False)
    for row, ids in zip(answered, lengths):
        n = max(1, len(ids))
        row.fields = {"prompt": row.fields["prompt"], "max_tokens": min(n, most) if most else n,
                      "ignore_eos": True, "meta": {"conversation": row.fields["conversation"]}}
    return rows
