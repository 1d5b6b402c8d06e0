"""A file that takes its name only when it is whole: written beside it, synced, then renamed.

    with atomic_file("answers.jsonl", replace=True) as file: ...

The name while it is written cannot be foreseen and is never an existing file or link.
"""

import contextlib
import os
import secrets
import sys

from weft_text.errors import EXIT_IO, EXIT_USAGE, TextError


# Half a surrogate pair, which JSON can spell and UTF-8 cannot, is written as JSON spells it.
HALF_PAIRS = "backslashreplace"


def open_text(descriptor):
    return open(descriptor, "w", encoding="utf-8", errors=HALF_PAIRS, newline="")


def part_name(path):
    return f"{path}.{secrets.token_hex(8)}.part"


def sync_folder(path):
    folder = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextlib.contextmanager
def atomic_file(path, replace, binary=False):
    """Standard output for '-'; else the file, which is there when all went well and not before."""
    if path == "-":
        sys.stdout.reconfigure(encoding="utf-8", errors=HALF_PAIRS)
        yield sys.stdout.buffer if binary else sys.stdout
        sys.stdout.flush()
        return
    if not replace and os.path.lexists(path):
        raise TextError(f"{path}: exists already; remove it or pass --replace", EXIT_USAGE)
    part = part_name(path)
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
        with open(descriptor, "wb") if binary else open_text(descriptor) as file:
            yield file
            file.flush()
            os.fsync(descriptor)
        os.replace(part, path)
        sync_folder(path)
    except OSError as error:
        raise TextError(f"{path}: cannot be written: {error.strerror}", EXIT_IO) from error
    finally:
        if os.path.lexists(part):
            os.unlink(part)
