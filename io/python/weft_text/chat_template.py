"""Chat messages to prompt text, by the template that the model's folder carries.

The template is chat_template.jinja, or `chat_template` in tokenizer_config.json. It is run as
`transformers` runs it: Jinja in a sandbox, with trim_blocks and lstrip_blocks, raise_exception,
strftime_now, tojson, and the special tokens of tokenizer_config.json by name.
"""

import datetime
import json
import os

from weft_text.errors import EXIT_NO_INPUT, EXIT_USAGE, LineError, TextError
from weft_text.text_codec import read_json

SPECIAL_TOKENS = ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token")


def find_template(folder, config):
    path = os.path.join(folder, "chat_template.jinja")
    if os.path.isfile(path):
        with open(path, encoding="utf-8") as file:
            return file.read()
    template = config.get("chat_template")
    if isinstance(template, list):  # several, by name
        named = {t.get("name"): t.get("template") for t in template}
        template = named.get("default")
    if not isinstance(template, str):
        raise TextError(f"{folder}: has no chat template (chat_template.jinja, or chat_template in "
                        "tokenizer_config.json); use plain prompts", EXIT_NO_INPUT)
    return template


def special_tokens(config):
    found = {}
    for name in SPECIAL_TOKENS:
        value = config.get(name)
        value = value.get("content") if isinstance(value, dict) else value
        if isinstance(value, str):
            found[name] = value
    return found


def jinja_environment():
    try:
        from jinja2.ext import loopcontrols
        from jinja2.sandbox import ImmutableSandboxedEnvironment
    except ImportError as error:
        raise TextError("chat templates need jinja2: pip install 'weft-text[chat]'",
                        EXIT_USAGE) from error

    def raise_exception(message):
        raise LineError(f"the chat template refuses: {message}")

    def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                          sort_keys=sort_keys)

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                                extensions=[loopcontrols])
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = lambda f: datetime.datetime.now().strftime(f)
    return environment


class ChatTemplate:
    def __init__(self, codec):
        if codec.folder is None:
            raise TextError("the byte vocabulary has no chat template; use plain prompts",
                            EXIT_USAGE)
        config = read_json(os.path.join(codec.folder, "tokenizer_config.json")) or {}
        self.tokens = special_tokens(config)
        environment, source = jinja_environment(), find_template(codec.folder, config)
        from jinja2 import TemplateError

        try:
            self.template = environment.from_string(source)
        except TemplateError as error:
            raise TextError(f"{codec.folder}: its chat template is no Jinja: {error}") from error

    def render(self, messages):
        from jinja2 import TemplateError

        try:
            return self.template.render(messages=messages, add_generation_prompt=True, tools=None,
                                        documents=None, **self.tokens)
        except (TemplateError, TypeError, KeyError, ValueError) as error:
            raise LineError(f"the chat template fails on these messages: {error}") from error


def check_messages(messages):
    """Messages as plain text; parts of a list are joined, anything but text is refused."""
    if not isinstance(messages, list) or not messages:
        raise LineError("'messages' is not a list of messages")
    checked = []
    for i, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise LineError(f"messages[{i}] is not an object with a 'role'")
        checked.append({**message, "content": message_text(i, message.get("content"))})
    return checked


def message_text(i, content):
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, list) and all(
        isinstance(p, dict) and p.get("type") == "text" and isinstance(p.get("text"), str)
        for p in content
    ):
        return "".join(part["text"] for part in content)
    raise LineError(f"messages[{i}]: only text content is supported")
