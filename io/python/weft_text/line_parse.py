"""One row of input to one request: of JSON lines, of a table, or an OpenAI batch line.

    {"prompt": "text", "max_tokens": 64, "temperature": 0.7, "custom_id": "a", "meta": {...}}
    {"prompt_token_ids": [1, 2, 3]}
    {"messages": [{"role": "user", "content": "text"}]}
    {"query": "text", "document": "text"}, {"text": "text", "text_pair": "text"}: to be scored
    {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {...}}

A key that would change the answer and is not supported makes the row bad, never silently ignored,
and so does one that is nearly the name of a known one. Any other key is the caller's own: it comes
back beside the answer (answers.py). What the answer needs again (custom_id, url, model) travels in the request's meta, a JSON object: the line's own `meta` with these keys added.
"""

import difflib
import functools
import json
from dataclasses import dataclass, field

from weft_text.chat_template import check_messages
from weft_text.errors import LineError
from weft_text.sampling import INT32_MAX, SAMPLING, check_value
from weft_text.shard_write import Request

MAX_NEW_KEYS = ("max_new_tokens", "max_tokens", "max_completion_tokens")
PROMPT_KEYS = ("prompt", "prompt_token_ids", "messages")
# Of rows to be scored, beside the names that the job gives: one text, or a pair of them.
FIRST_KEYS, SECOND_KEYS = ("text", "query"), ("text_pair", "document")
WISH_KEYS = ("logit_bias", "allowed_token_ids", "bad_words", "bad_words_token_ids")
SHARED_KEYS = {*MAX_NEW_KEYS, *SAMPLING, *WISH_KEYS, "stop", "stop_token_ids"}
PLACE_KEYS = {"session", "think_s"}
NUMBER_KEYS = {*MAX_NEW_KEYS, *SAMPLING, "id", "arrival_s", "arrival_ns", "think_s",
               "second_segment"}
STRUCTURE_KEYS = {"messages", "prompt_token_ids", "stop", "stop_token_ids", "meta", *WISH_KEYS}
PLAIN_KEYS = {*PROMPT_KEYS, *SHARED_KEYS, *PLACE_KEYS, "second_segment", "id", "custom_id", "arrival_s",
              "arrival_ns", "meta"}
META_KEYS = ("custom_id", "stop", "url", "model")

CHAT_URL, COMPLETIONS_URL = "/v1/chat/completions", "/v1/completions"
OPENAI_KEYS = {"custom_id", "method", "url", "body"}
BODY_KEYS = {*SHARED_KEYS, "model", "messages", "prompt", "top_logprobs", "prompt_token_ids"}
# These describe the caller or the service, not the answer.
BODY_IGNORED = {"user", "metadata", "store", "service_tier", "safety_identifier",
                "prompt_cache_key", "stream_options"}
# These ask for nothing when they hold these values.
BODY_NEUTRAL = {"stream": (False, None), "echo": (False, None), "best_of": (1, None),
                "tools": (None, []), "tool_choice": (None, "none", "auto"), "suffix": (None, ""),
                "response_format": (None, {"type": "text"}),
                "functions": (None, []), "parallel_tool_calls": (None, True, False)}

# Of a plain row, besides those: they would change the answer in other engines.
ROW_REFUSED = ("images", "multi_modal_data", "guided_json", "guided_regex", "guided_choice",
               "structured_outputs", "lora_request")

# io/shard/request.h
MOST_BIASES, MOST_ALLOWED, MOST_BAD_WORDS, MOST_STOP_BYTES = 1024, 65536, 4096, 4096

MAX_ARRIVAL_S = 9e9
NEAR_NAME = 0.85  # of difflib: one letter off in a name of six


@dataclass
class Parsed:
    """A request whose prompt may still be text."""

    request: Request  # its bad words may still be text
    text: str = None  # to be encoded into request.prompt
    pair: str = None  # with this one behind it
    add_special: bool = True
    has_id: bool = False
    custom_id: str = None
    bad_words: list = field(default_factory=list)  # texts, to be encoded into request.bad_words


class LineParser:
    """chat: a ChatTemplate, made when the first line needs it (make_chat)."""

    def __init__(self, file_format, max_new_tokens, vocab_size, make_chat, wrap_prompts,
                 prompt_key="prompt", pairs=False, pair_key="", before=""):
        self.format, self.max_new_tokens = file_format, max_new_tokens
        self.vocab_size, self.make_chat = vocab_size, make_chat
        self.wrap_prompts, self.chat, self.prompt_key = wrap_prompts, None, prompt_key
        self.before = before
        self.first_keys = (prompt_key, *FIRST_KEYS) if pairs else (prompt_key,)
        self.pair_key = pair_key
        self.second_keys = (pair_key,) if pair_key else SECOND_KEYS if pairs else ()

    def parse(self, line):
        """`line`: the row's values by name."""
        openai = "body" in line if self.format == "auto" else self.format == "openai"
        return self.parse_openai(line) if openai else self.parse_plain(line)

    def parse_plain(self, line):
        line = self.with_prompt(without_null(line))
        check_own_keys(line)
        meta = line_meta(line)
        custom_id = line.get("custom_id")
        if isinstance(line.get("id"), str):
            custom_id = line.pop("id") if custom_id is None else custom_id
        if custom_id is not None:
            meta["custom_id"] = check_text("custom_id", custom_id)
        parsed = self.parse_body(line, meta)
        parsed.custom_id = custom_id
        if "id" in line:
            parsed.request.id = check_integer("id", line["id"], 0, 2**64 - 1)
            parsed.has_id = True
        parsed.request.arrival_ns = arrival_ns(line)
        parsed.request.session, parsed.request.think_ns = place(line)
        return parsed

    def with_prompt(self, line):
        """The row with its prompt under the name `prompt`."""
        key = next((k for k in self.first_keys if k in line), "prompt")
        return line if key == "prompt" else {**line, "prompt": line[key]}

    def parse_openai(self, line):
        check_keys(line, OPENAI_KEYS)
        for key in ("custom_id", "url"):
            check_text(key, line.get(key))
        body, url = line.get("body"), line["url"]
        if line.get("method", "POST") != "POST":
            raise LineError(f"'method' is {line['method']!r}, only POST is supported")
        if url not in (CHAT_URL, COMPLETIONS_URL):
            raise LineError(f"'url' is {url!r}; {CHAT_URL} and {COMPLETIONS_URL} are supported")
        if not isinstance(body, dict):
            raise LineError("'body' is not an object")
        body = openai_body(body, url)
        meta = {"custom_id": line["custom_id"], "url": url}
        if "model" in body:
            meta["model"] = check_text("model", body["model"])
        parsed = self.parse_body(body, meta)
        parsed.custom_id = line["custom_id"]
        return parsed

    def parse_body(self, line, meta):
        """What both kinds of line share."""
        stop = check_stops(texts_of(line, "stop"))
        parsed = Parsed(Request(
            id=0, prompt=[], max_new_tokens=self.max_new(line),
            sampling={k: check_value(k, line[k]) for k in SAMPLING if k in line},
            stop_token_ids=check_ids("stop_token_ids", line.get("stop_token_ids", []),
                                     self.vocab_size),
            stop=stop,
            logit_bias=check_bias(line.get("logit_bias", {}), self.vocab_size),
            allowed_token_ids=check_allowed(line, self.vocab_size),
            bad_words=check_words_ids(line.get("bad_words_token_ids", []), self.vocab_size),
            meta=json.dumps(meta, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
            if meta else b""))
        parsed.bad_words = texts_of(line, "bad_words")
        self.take_prompt(line, parsed)
        return parsed

    def take_prompt(self, line, parsed):
        if "prompt_token_ids" in line:  # they win over the text they came from
            ids = line["prompt_token_ids"]
            parsed.request.prompt = check_ids("prompt_token_ids", ids, self.vocab_size)
            if not ids:
                raise LineError("'prompt_token_ids' is empty")
            if "second_segment" in line:
                parsed.request.second = check_integer("second_segment", line["second_segment"], 1,
                                                      len(ids) - 1)
            return
        if "second_segment" in line:
            raise LineError("'second_segment' is of 'prompt_token_ids'")
        if ("prompt" in line) == ("messages" in line):
            raise LineError("has both 'prompt' and 'messages'" if "prompt" in line else
                            f"has no prompt: give '{self.prompt_key}', 'prompt_token_ids' or "
                            "'messages'")
        if "messages" in line:
            parsed.text, parsed.add_special = self.render(check_messages(line["messages"])), False
        elif self.wrap_prompts:
            message = {"role": "user", "content": check_text("prompt", line["prompt"])}
            parsed.text, parsed.add_special = self.render([message]), False
        else:
            parsed.text = self.before + check_text("prompt", line["prompt"])
        check_text("prompt", parsed.text)
        second = next((k for k in self.second_keys if k in line), None)
        if not second and self.pair_key:
            raise LineError(f"has no '{self.pair_key}', which is to be the second text (text.pair)")
        if not second and self.second_keys and "query" in line:
            raise LineError("has 'query' and nothing to go with it: give "
                            + " or ".join(f"'{k}'" for k in reversed(self.second_keys)))
        if second and not parsed.add_special:
            raise LineError(f"has '{second}': a chat template takes no pair of texts")
        parsed.pair = second and check_text(second, line[second])

    def render(self, messages):
        self.chat = self.chat or self.make_chat()
        return self.chat.render(messages)

    def max_new(self, line):
        given = [k for k in MAX_NEW_KEYS if k in line]
        if len(given) > 1:
            raise LineError(f"gives both '{given[0]}' and '{given[1]}'")
        if not given:
            return self.max_new_tokens
        return check_integer(given[0], line[given[0]], 1, INT32_MAX)


def load_object(text):
    def refuse(name):
        raise LineError(f"{name} is no JSON number")

    try:
        line = json.loads(text, parse_constant=refuse)
    except RecursionError:
        raise LineError("the line is nested too deep") from None
    except ValueError as error:
        raise LineError(f"the line is not JSON: {error}") from None
    if not isinstance(line, dict):
        raise LineError("the line is not a JSON object")
    return line


def without_null(line):
    return {k: v for k, v in line.items() if v is not None}


def check_keys(line, known, place=""):
    for key in line:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise LineError(f"{place}unknown key '{key}'{hint}")


@functools.lru_cache(4096)  # rows of one file have the same keys
def nearest_key(key):
    near = difflib.get_close_matches(key, PLAIN_KEYS, 1, NEAR_NAME)
    return near[0] if near else None


def near_key(key, line):
    """The known key that `key` was probably meant to be; none where the row has that one too."""
    near = nearest_key(key)
    if not near or near in line:
        return None
    if near in PROMPT_KEYS and any(k in line for k in PROMPT_KEYS):
        return None
    return near


def check_own_keys(line):
    """Other keys than ours are the caller's, unless they ask for something or are slips."""
    for key in line:
        if key in PLAIN_KEYS:
            continue
        if key in ROW_REFUSED or line[key] not in BODY_NEUTRAL.get(key, (line[key],)):
            raise LineError(f"'{key}' is not supported")
        near = near_key(key, line)
        if near:
            raise LineError(f"unknown key '{key}'; did you mean '{near}'?")


def check_text(name, value):
    if value is None:
        raise LineError(f"'{name}' is missing")
    if not isinstance(value, str):
        raise LineError(f"'{name}' is {json.dumps(value):.40}, text is expected")
    if not value:
        raise LineError(f"'{name}' is empty")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise LineError(f"'{name}' holds half of a surrogate pair, which is no text") from None
    return value


def check_integer(name, value, least, most):
    if isinstance(value, bool) or not isinstance(value, int):
        raise LineError(f"'{name}' is {value!r}, an integer is expected")
    if not least <= value <= most:
        raise LineError(f"'{name}' is {value}, outside {least} to {most}")
    return value


def check_ids(name, ids, vocab_size):
    if not isinstance(ids, list):
        raise LineError(f"'{name}' is not a list of token ids")
    for i, token in enumerate(ids):
        if isinstance(token, bool) or not isinstance(token, int):
            raise LineError(f"{name}[{i}] is {token!r}, a token id is expected")
        if not 0 <= token < vocab_size:
            raise LineError(f"{name}[{i}] is {token}, outside the vocabulary of {vocab_size}")
    return ids


def check_bias(biases, vocab_size):
    """{"token id": bias}; a bias beyond -100 to 100 counts as that, as in vLLM."""
    if not isinstance(biases, dict):
        raise LineError("'logit_bias' is no object of token ids and biases")
    checked = {}
    for token, bias in biases.items():
        if not (isinstance(token, str) and token.isascii() and token.isdigit()):
            raise LineError(f"'logit_bias' has the key {token!r}, a token id is expected")
        if isinstance(bias, bool) or not isinstance(bias, (int, float)):
            raise LineError(f"'logit_bias' of token {token} is {bias!r}, a number is expected")
        check_ids("logit_bias", [int(token)], vocab_size)
        if int(token) in checked:
            raise LineError(f"'logit_bias' has token {int(token)} twice")
        checked[int(token)] = min(100.0, max(-100.0, float(bias)))
    return check_most("logit_bias", checked, MOST_BIASES)


def check_allowed(line, vocab_size):
    ids = check_ids("allowed_token_ids", line.get("allowed_token_ids", []), vocab_size)
    if "allowed_token_ids" in line and not ids:
        raise LineError("'allowed_token_ids' allows no token; leave it out for all")
    return check_most("allowed_token_ids", ids, MOST_ALLOWED)


def check_words_ids(words, vocab_size):
    if not isinstance(words, list):
        raise LineError("'bad_words_token_ids' is no list of lists of token ids")
    for word in words:
        if not check_ids("bad_words_token_ids", word, vocab_size):
            raise LineError("'bad_words_token_ids' has a word without tokens")
    return list(words)


def check_most(name, values, most):
    if len(values) > most:
        raise LineError(f"'{name}' has {len(values)} entries, at most {most} are possible")
    return values


def line_meta(line):
    meta = line.get("meta", {})
    if not isinstance(meta, dict):
        return {"meta": meta}
    for key in META_KEYS:
        if key in meta:
            raise LineError(f"'meta' uses '{key}', which is kept for the line's own")
    return dict(meta)


def texts_of(line, name):
    texts = line.get(name, [])
    texts = [texts] if isinstance(texts, str) else texts
    if not isinstance(texts, list):
        raise LineError(f"'{name}' is neither text nor a list of texts")
    return [check_text(name, s) for s in texts]


def check_stops(texts):
    if any("\0" in text for text in texts):
        raise LineError("'stop' holds a zero byte, which ends a string")
    n_bytes = sum(len(text.encode("utf-8")) + 1 for text in texts)
    if n_bytes > MOST_STOP_BYTES:
        raise LineError(f"'stop' has {n_bytes} bytes with an end for each string, at most "
                        f"{MOST_STOP_BYTES} are possible")
    return texts


def arrival_ns(line):
    if "arrival_ns" in line and "arrival_s" in line:
        raise LineError("gives both 'arrival_ns' and 'arrival_s'")
    if "arrival_ns" in line:
        return check_integer("arrival_ns", line["arrival_ns"], 0, int(MAX_ARRIVAL_S * 1e9))
    value = line.get("arrival_s", 0)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise LineError(f"'arrival_s' is {value!r}, seconds are expected")
    if not 0 <= value <= MAX_ARRIVAL_S:
        raise LineError(f"'arrival_s' is {value!r}, outside 0 to {MAX_ARRIVAL_S:g}")
    return round(value * 1e9)


def place(line):
    """The session that the row is a turn of ("": none), and its think time (-1: not known)."""
    session, think_s = line.get("session", ""), line.get("think_s", -1e-9)
    if isinstance(session, bool) or not isinstance(session, (str, int)):
        raise LineError(f"'session' is {session!r}, a name or a number is expected")
    if isinstance(think_s, bool) or not isinstance(think_s, (int, float)):
        raise LineError(f"'think_s' is {think_s!r}, seconds are expected")
    if "think_s" in line and not 0 <= think_s <= MAX_ARRIVAL_S:
        raise LineError(f"'think_s' is {think_s!r}, outside 0 to {MAX_ARRIVAL_S:g}")
    return str(session), round(think_s * 1e9)


def openai_body(body, url):
    """The body in the words of a plain line."""
    body = {k: v for k, v in body.items() if k not in BODY_IGNORED}
    for key, neutral in BODY_NEUTRAL.items():
        if key in body and body.pop(key) not in neutral:
            raise LineError(f"body: '{key}' is not supported")
    check_keys(body, BODY_KEYS, "body: ")
    body = without_null(body)
    if url == CHAT_URL:
        if "prompt" in body:
            raise LineError(f"body: 'prompt' belongs to {COMPLETIONS_URL}")
        wanted = body.pop("logprobs", False)
        top = body.pop("top_logprobs", 0)
        if not isinstance(wanted, bool):
            raise LineError(f"body: 'logprobs' is {wanted!r}, true or false is expected")
        if wanted:
            body["logprobs"] = top
    else:
        if "messages" in body or "top_logprobs" in body:
            raise LineError(f"body: 'messages' and 'top_logprobs' belong to {CHAT_URL}")
        if isinstance(body.get("prompt"), list):
            body["prompt_token_ids"] = body.pop("prompt")
    return body
