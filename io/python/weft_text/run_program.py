"""generate(): the command weft generate from Python."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

from weft_text.errors import EXIT_FAILED_ROWS, EXIT_NO_INPUT, EXIT_USAGE, TextError
from weft_text.records import Records, read_results
from weft_text.table_write import to_json

LOG_LINE = re.compile(r"\d\d:\d\d:\d\d ")


def find_program(program):
    """The program given, what WEFT names, weft beside this Python, or weft on PATH."""
    beside = os.path.join(os.path.dirname(sys.executable), "weft")
    for path in (program, os.environ.get("WEFT"), beside, shutil.which("weft")):
        if path and os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    raise TextError("weft: the program is not found on PATH; name it with program= or WEFT",
                    EXIT_NO_INPUT)


def as_line(prompt):
    if isinstance(prompt, str):
        return {"prompt": prompt}
    return {"messages": prompt} if isinstance(prompt, list) else dict(prompt)


def as_file(prompts, folder):
    """A prompts file as it is; anything else is written as JSON lines."""
    if isinstance(prompts, (str, os.PathLike)):
        return os.fspath(prompts)
    path = os.path.join(folder, "prompts.jsonl")
    with open(path, "w", encoding="utf-8") as file:
        for prompt in prompts:
            file.write(to_json(as_line(prompt)) + "\n")
    return path


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
    when it fails. TextError with the program's own words where it does.
    """
    if (model is None) == (job is None):
        raise TextError("generate: give either model= or job=", EXIT_USAGE)
    with tempfile.TemporaryDirectory(prefix="weft-") as folder:
        place = out or os.path.join(folder, "out")
        if out:
            os.makedirs(out, exist_ok=True)
        command = [find_program(program), "generate", *(["--model", model] if model else [job]),
                   as_file(prompts, out or folder), "-o", os.path.join(folder, "answers.jsonl"),
                   "--out", place, *settings_of(max_new_tokens, chat, settings)]
        run(command, log)
        answers = read_results(place, times=times)
        return answers if out else held(answers)


def held(answers):
    """Answers whose files go away."""
    kept = list(answers)
    return Records(lambda: iter(kept))


def run(command, log):
    environment = {"WEFT_PROGRESS": "off", "WEFT_TEXT": own_companion(), **os.environ}
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=log or subprocess.PIPE,
                          text=log is None, env={k: v for k, v in environment.items() if v})
    if done.returncode in (0, EXIT_FAILED_ROWS):
        return
    said = [line for line in (done.stderr or "").splitlines() if not LOG_LINE.match(line)]
    raise TextError("\n".join(said) or f"weft generate ended with {done.returncode}",
                    done.returncode)


def own_companion():
    """weft-text of this Python, so that the program uses the same."""
    path = os.path.join(os.path.dirname(sys.executable), "weft-text")
    return path if os.path.isfile(path) else ""
