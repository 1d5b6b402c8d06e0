"""Results to output lines: plain JSONL, or OpenAI batch results for OpenAI batch input.

The text is the generated tokens without the one that ended them, or cut at the stop string that
did, as vLLM has it. In OpenAI lines the samples of a row become `choices`; that needs them side by side, as a merged file
has them (of unmerged segments each sample is a line of its own).
"""

import json
import math
import re

from weft_text.errors import TextError
from weft_text.line_parse import CHAT_URL, META_KEYS
from weft_text.results_read import as_typed

NO_META = {}
FILL_MASK = "fill-mask"
SHARD_PLACE = re.compile(r"^.*?\.h5:/requests:\d+: ")


def load_meta(data):
    """The meta as an object; what is not one, from another writer, passes through whole."""
    if not data:
        return NO_META
    try:
        meta = json.loads(data)
    except ValueError:
        return {"meta": data.decode("utf-8", "replace")}
    return meta if isinstance(meta, dict) else {"meta": meta}


def row_text(codec, row, meta):
    """(text, finish reason)"""
    if row.stop_string:
        return text_before_stop(codec, row), "stop"
    ended = row.finish == "stop" and row.tokens and not row.stop_kept
    text = codec.decode(row.tokens[:-1] if ended else row.tokens)
    stops = meta.get("stop", [])  # of shards that leave them to us
    stops = [stops] if isinstance(stops, str) else stops
    found = [text.find(s) for s in stops if isinstance(s, str) and s and s in text]
    return (text[: min(found)], "stop") if found else (text, row.finish)


def text_before_stop(codec, row):
    """The string is complete with the last token, and was not before it."""
    text, stop = codec.decode(row.tokens), row.stop_string
    known = len(codec.decode(row.tokens[:-1]).rstrip("\ufffd"))  # but for half a letter
    at = text.find(stop, max(0, known - len(stop) + 1))
    if at < 0:  # a decoder takes spaces away from the text's beginning
        stop = stop.lstrip(" ")
        at = 0 if stop and text.startswith(stop) else len(text)
    return text[: at + len(stop)] if row.stop_kept else text[:at]


# --- plain ---


def error_of(row, place=None):
    """Why a row failed; `place`: of the input, instead of that in its shard."""
    message = SHARD_PLACE.sub("", row.error)
    return {"code": row.error_name, "message": f"{place}: {message}" if place else row.error}


def plain_answer(codec, row, with_ids, with_times, place=None):
    """What an answer says beside the row of the input that it answers."""
    line = {"sample": row.sample, "status": "done" if row.done else "failed"}
    if row.done and row.vector is not None:
        line["vector"] = as_typed(row.vector).tolist()
    elif row.done and row.scores is not None:
        line.update(labelled(row))
    elif row.done and row.task == FILL_MASK:
        line.update(text=codec.decode(row.tokens), masks=filled(codec, row))
    elif row.done:
        text, finish = row_text(codec, row, load_meta(row.meta))
        line.update(text=text, finish_reason=finish)
        if row.stop_string:
            line["stop_reason"] = row.stop_string
    else:
        line["error"] = error_of(row, place)
    if row.done or row.prompt_len:  # else nobody read it
        line["prompt_tokens"] = row.prompt_len
    line["completion_tokens"] = len(row.tokens)
    if with_times and row.done and row.first_token_ns >= 0:
        line["ttft_s"] = (row.first_token_ns - row.arrival_ns) / 1e9
        line["e2e_s"] = (row.finish_ns - row.arrival_ns) / 1e9
    if with_ids:
        line["token_ids"] = row.tokens
    if row.task != FILL_MASK and row.logprobs is not None and not all(math.isnan(p) for p in row.logprobs):
        line["token_logprobs"] = [number(p) for p in row.logprobs]
    if row.prompt_logprobs:
        line["prompt_logprobs"] = prompt_logprobs(row)
    return line


def filled(codec, row):
    """For each mask the likeliest tokens, the best first."""
    return [[{"token": codec.token_text(token), "token_id": token,
              "score": float(f"{math.exp(logprob):.6g}")} for token, logprob in zip(ids, logprobs)]
            for ids, logprobs in zip(row.top_ids, row.top_logprobs)]


def labelled(row):
    """The greatest score with its label, and all of them."""
    scores = [number(x) for x in as_typed(row.scores).tolist()]
    best = max(range(len(scores)), key=lambda i: -math.inf if scores[i] is None else scores[i])
    return {"label": row.labels[best], "score": scores[best],
            "scores": dict(zip(row.labels, scores))}


def prompt_logprobs(row):
    """Of each prompt token its own and those of the most probable ones, null for the first."""
    places = []
    for i, own in enumerate(row.prompt_logprobs):
        place = {"logprob": number(own)}
        if row.prompt_top_ids is not None:
            pairs = zip(row.prompt_top_ids[i], row.prompt_top_logprobs[i])
            place["top"] = {str(int(token)): number(p) for token, p in pairs if token >= 0}
        places.append(place if i > 0 else None)
    return places


def plain_line(codec, row, with_ids):
    """An answer that stands alone."""
    meta = load_meta(row.meta)
    line = {"id": row.id, "shard_uid": row.uid, "row": row.row}
    answer = plain_answer(codec, row, with_ids, with_times=True)
    line["sample"] = answer.pop("sample")
    if "custom_id" in meta:
        line["custom_id"] = meta["custom_id"]
    line.update(answer)
    own = {k: v for k, v in meta.items() if k not in META_KEYS}
    if own:
        line["meta"] = own["meta"] if set(own) == {"meta"} else own
    return line


def number(value):
    return None if math.isnan(value) else value


# --- OpenAI batch ---


def openai_line(codec, rows, place=None):
    """One line for all samples of a row."""
    first = rows[0]
    meta = load_meta(first.meta)
    name = f"{first.uid[:8]}-{first.row}" + (f"-{first.sample}" if first.sample else "")
    line = {"id": f"batch_req_{name}", "custom_id": meta.get("custom_id"),
            "response": None, "error": None}
    failed = next((row for row in rows if not row.done), None)
    if failed:
        line["error"] = error_of(failed, place)
    else:
        line["response"] = {"status_code": 200, "request_id": f"req_{name}",
                            "body": openai_body(codec, rows, meta, name)}
    return line


def openai_body(codec, rows, meta, name):
    chat = meta.get("url") == CHAT_URL
    n_out = sum(len(row.tokens) for row in rows)
    return {
        "id": ("chatcmpl-" if chat else "cmpl-") + name,
        "object": "chat.completion" if chat else "text_completion",
        "created": rows[0].created,
        "model": meta.get("model", ""),
        "choices": [openai_choice(codec, row, meta, chat) for row in rows],
        "usage": {"prompt_tokens": rows[0].prompt_len, "completion_tokens": n_out,
                  "total_tokens": rows[0].prompt_len + n_out},
    }


def openai_choice(codec, row, meta, chat):
    text, finish = row_text(codec, row, meta)
    choice = {"index": row.sample, "finish_reason": "stop" if finish == "stop" else "length",
              "logprobs": None}
    if row.stop_string:
        choice["stop_reason"] = row.stop_string
    if chat:
        choice["message"] = {"role": "assistant", "content": text}
    else:
        choice["text"] = text
    if row.logprobs and not math.isnan(row.logprobs[0]):
        entries = [logprob_entry(codec, row, i) for i in range(len(row.tokens))]
        choice["logprobs"] = {"content": entries} if chat else completion_logprobs(entries)
    return choice


def logprob_entry(codec, row, i):
    entry = token_entry(codec, row.tokens[i], row.logprobs[i])
    entry["top_logprobs"] = []
    if row.top_ids is not None:
        pairs = zip(row.top_ids[i], row.top_logprobs[i])
        entry["top_logprobs"] = [token_entry(codec, t, p) for t, p in pairs if t >= 0]
    return entry


def token_entry(codec, token, logprob):
    text = codec.token_text(token)
    return {"token": text, "logprob": number(logprob), "bytes": list(text.encode("utf-8"))}


def completion_logprobs(entries):
    return {"tokens": [e["token"] for e in entries],
            "token_logprobs": [e["logprob"] for e in entries],
            "top_logprobs": [{t["token"]: t["logprob"] for t in e["top_logprobs"]}
                             for e in entries]}


def is_openai(meta):
    """Requests that came as OpenAI lines are known by their url."""
    return "url" in meta


def openai_bad_line(source, why):
    fields = source.fields or {}
    return {"id": f"batch_req_line-{source.line}", "custom_id": fields.get("custom_id"),
            "response": None, "error": {"code": "bad_row", "message": why}}


def check_tokens(codec, row, place):
    """Ids beyond the vocabulary mean that another tokenizer made the prompts."""
    if row.tokens and max(row.tokens) >= codec.vocab_size:
        raise TextError(f"{place}: row {row.row}: token {max(row.tokens)} is outside "
                        f"{codec.name}'s vocabulary of {codec.vocab_size}; is it the tokenizer of "
                        "this model?")
    return row
