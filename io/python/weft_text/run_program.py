"""generate(): the command weft generate from Python."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping

from weft_text.errors import (EXIT_FAILED_ROWS, EXIT_NO_INPUT, EXIT_USAGE, ArgumentError,
                              TextError)
from weft_text.records import Records, read_results
from weft_text.source_read import SOURCES, suffix_of
from weft_text.table_write import to_json

LOG_LINE = re.compile(r"\d\d:\d\d:\d\d (warn )?")


def find_program(program):
    """The program given, what WEFT names, weft beside this Python, or weft on PATH."""
    beside = os.path.join(os.path.dirname(sys.executable), "weft")
    for path in (program, os.environ.get("WEFT"), beside, shutil.which("weft")):
        if path and os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    raise TextError("weft: the program is not found on PATH; name it with program= or WEFT",
                    EXIT_NO_INPUT)


def as_line(i, prompt):
    if isinstance(prompt, str):
        return {"prompt": prompt}
    if isinstance(prompt, list):
        return {"messages": prompt}
    if isinstance(prompt, Mapping):
        return dict(prompt)
    raise ArgumentError(f"prompts[{i}] is {prompt!r}: give a text, a list of messages or a "
                        "dictionary", EXIT_USAGE)


def named_file(prompts):
    path = os.fspath(prompts)
    if suffix_of(path) not in SOURCES:
        raise ArgumentError(f"prompts={path!r} names no prompts file ({', '.join(SOURCES)}); a "
                            "prompt alone is a list of one: prompts=[...]", EXIT_USAGE)
    if not os.path.isfile(path):
        raise ArgumentError(f"prompts={path!r}: there is no such file", EXIT_NO_INPUT)
    return path


def as_file(prompts, folder):
    """A prompts file as it is; anything else is written as JSON lines."""
    if isinstance(prompts, (str, os.PathLike)):
        return named_file(prompts)
    if isinstance(prompts, Mapping) or not isinstance(prompts, Iterable):
        raise ArgumentError(f"prompts is {prompts!r}: give a list of them, or a prompts file",
                            EXIT_USAGE)
    path = os.path.join(folder, "prompts.jsonl")
    with open(path, "w", encoding="utf-8") as file:
        for i, prompt in enumerate(prompts):
            file.write(to_json(as_line(i, prompt)) + "\n")
        if file.tell() == 0:
            raise ArgumentError("prompts is empty: nothing is asked", EXIT_USAGE)
    return path


def as_listed(text, path):
    """Words about lines of the file that a list was written to, as words about the list."""
    text = re.sub(re.escape(path) + r":(\d+):",
                  lambda found: f"prompts[{int(found[1]) - 1}]:", text)
    return text.replace(path, "prompts")


def listed(answers, path):
    """Answers of a list: what is wrong with one names its place there, not a file's."""
    for answer in answers:
        error = answer.get("error")
        if isinstance(error, dict) and isinstance(error.get("message"), str):
            error["message"] = as_listed(error["message"], path)
        yield answer


def arguments_check(model, job):
    if (model is None) == (job is None):
        raise ArgumentError("generate: give either model= or job=", EXIT_USAGE)
    if model is not None and not os.path.isdir(model):
        raise ArgumentError(f"model={model!r}: no such folder", EXIT_NO_INPUT)


def key_value(key, value):
    """--set of a setting: its value as JSON, which is how the job file would have it."""
    return ["--set", f"{key}={value if isinstance(value, str) else json.dumps(value)}"]


def settings_of(max_new_tokens, chat, settings):
    words = ["--chat"] if chat else []
    words += ["--max-tokens", str(max_new_tokens)] if max_new_tokens else []
    for key, value in (settings or {}).items():
        words += key_value(key, value)
    return words


def generate(model=None, prompts=(), *, job=None, out=None, max_new_tokens=None, chat=False,
             settings=None, program=None, times=False, log=None):
    """Runs the prompts to their end and returns Records of the answers, in the prompts' order.

    model: a model's folder; or job: a job file, which says more. prompts: a prompts file, or an
    iterable of texts, message lists and dictionaries as lines of one. out: the output folder, kept
    and resumed; without it nothing stays on disk. settings: keys of the job file,
    {"sampling.temperature": 0.7}. log: a file for what the program says; by default it is shown
    when it fails. TextError with the program's own words where it does; ValueError, a TextError as
    well, for arguments that cannot be meant.
    """
    arguments_check(model, job)
    with tempfile.TemporaryDirectory(prefix="weft-") as folder:
        place = out or os.path.join(folder, "out")
        if out:
            os.makedirs(out, exist_ok=True)
        path = as_file(prompts, out or folder)
        command = [find_program(program), "generate", *(["--model", model] if model else [job]),
                   path, "-o", os.path.join(folder, "answers.jsonl"),
                   "--out", place, *settings_of(max_new_tokens, chat, settings)]
        if isinstance(prompts, (str, os.PathLike)):
            run(command, log)
            answers = read_results(place, times=times)
        else:
            run(command, log, lambda text: as_listed(text, path))
            found = read_results(place, times=times)
            answers = Records(lambda: listed(found, path))
        return answers if out else held(answers)


def held(answers):
    """Answers whose files go away."""
    kept = list(answers)
    return Records(lambda: iter(kept))


def run(command, log, words=str):
    """words: turns what the program said when it failed into what is raised."""
    environment = {"WEFT_PROGRESS": "off", "WEFT_TEXT": own_companion(), **os.environ}
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=log or subprocess.PIPE,
                          text=log is None, env={k: v for k, v in environment.items() if v})
    if done.returncode in (0, EXIT_FAILED_ROWS):
        return
    said = [line[found.end():].strip() if found else line
            for line in (done.stderr or "").splitlines()
            for found in [LOG_LINE.match(line)] if not found or found[1]]
    raise TextError(words("\n".join(said)) or f"weft generate ended with {done.returncode}",
                    done.returncode)


def own_companion():
    """weft-text of this Python, so that the program uses the same."""
    path = os.path.join(os.path.dirname(sys.executable), "weft-text")
    return path if os.path.isfile(path) else ""
