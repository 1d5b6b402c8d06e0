"""Ranks of a job with `task: rerank`: the place of each row among those of its query.

    by_number = ranks(results.answers(codec), results.prepared)    # {number of the answer: 1, 2 ...}

The rows of one query have the same first text, wherever they stand in the input's files; the
greatest score is first, of equal ones the row that came first. Rows that failed, and those whose
texts are not at hand (token ids, other people's shards), have no rank. A number and a score are held
for each row.
"""

import hashlib
import json

from weft_text.line_parse import FIRST_KEYS


def ranks(answers, prompt_key):
    of_query = {}
    for number, answer in enumerate(answers):
        query = query_of(answer, prompt_key)
        done = [row for row in answer.results if row.done and row.scores is not None]
        if query is None or not done:
            continue
        of_query.setdefault(query, []).append((-float(done[0].scores[0]), number))
    return {number: place for rows in of_query.values()
            for place, (_, number) in enumerate(sorted(rows), 1)}


def query_of(answer, prompt_key):
    """What tells the rows of one query: a hash of the first text."""
    fields = (answer.source.fields if answer.source else None) or {}
    text = next((fields[key] for key in (prompt_key, *FIRST_KEYS) if key in fields), None)
    if text is None:
        return None
    return hashlib.blake2b(json.dumps(text).encode("utf-8", "surrogatepass"),
                           digest_size=16).digest()


def prompt_key_of(prepared):
    """The column of the first texts that the job named."""
    keys = {json.loads(p.encoding).get("prompt_key", "prompt") for p in prepared.values()}
    return keys.pop() if keys else "prompt"
