"""The prompts files of a job as request shards in its output folder, made once.

    prepare([("prompts.jsonl", "out/x/text/prompts-1a2b3c4d.h5")], settings, fixed=False)

A shard remembers the SHA-256 of what it was made from and how (`encoding`). One that still fits is
left alone, so that a resumed job encodes nothing. One that does not is made again, unless the job
has begun (`fixed`): its results belong to the prompts of then. A shard appears whole or not at all,
whenever this is killed.
"""

import json
import os
import sys
import time
from dataclasses import asdict, dataclass

import h5py

from weft_text.encode import encode_source
from weft_text.errors import EXIT_MISMATCH, TextError, counted
from weft_text.results_read import as_text
from weft_text.source_read import file_sha256, open_source
from weft_text.text_codec import codec_identity

ENCODING = 1  # raise it when the same rows would give other requests
STALE_PART_S = 3600


@dataclass
class Prepared:
    """What a shard says of its source."""

    shard: str
    source: str  # as it was named
    source_path: str  # absolute
    sha256: str
    encoding: str
    tokenizer: str
    uid: str
    bad_rows: list  # [number, line, why], by number
    columns: list  # of JSON lines; None: too many for a table


def read_prepared(path):
    """None when there is no shard of that name, or one that was not made from a text."""
    try:
        with h5py.File(path, "r") as file:
            texts = {k: as_text(file.attrs.get(k, "")) for k in
                     ("source", "source_path", "source_sha256", "encoding", "tokenizer",
                      "shard_uid")}
            if "source/bad_rows" not in file:
                return None
            notes = [json.loads(file[f"source/{name}"][:].tobytes())
                     for name in ("bad_rows", "columns")]
            return Prepared(path, *texts.values(), *notes)
    except FileNotFoundError:
        return None
    except (OSError, KeyError, ValueError) as error:
        raise TextError(f"{path}: is damaged: {error}; remove it to have it made again") from error


def encoding_of(settings):
    how = asdict(settings)
    del how["tokenizer"]
    for key in ("pieces", "pairs", "pair_key", "before"):  # younger than shards that are gone on with
        if not how[key]:
            del how[key]
    return json.dumps({"version": ENCODING, "tokenizer": codec_identity(settings.tokenizer), **how},
                      sort_keys=True)


def difference(prepared, sha256, encoding):
    if prepared.sha256 != sha256:
        return "its content has changed"
    was, now = json.loads(prepared.encoding), json.loads(encoding)
    keys = sorted(k for k in was.keys() | now.keys() if was.get(k) != now.get(k))
    if keys:
        return "; ".join(f"{k} was {was.get(k)!r} and is {now.get(k)!r}" for k in keys)
    return None


def prepare(pairs, settings, fixed=False):
    """Returns how many rows of all files are bad."""
    encoding = encoding_of(settings)
    return sum(prepare_one(source, shard, settings, encoding, fixed) for source, shard in pairs)


def prepare_one(source, shard, settings, encoding, fixed):
    sha256 = file_sha256(source)
    prepared = read_prepared(shard)
    changed = difference(prepared, sha256, encoding) if prepared else None
    if prepared and not changed:
        n_bad = len(prepared.bad_rows)
        say_done(source, "encoded already", n_bad)
        return n_bad
    if changed and fixed:
        raise TextError(f"{source}: was encoded for a job that has begun, and since then "
                        f"{changed}; name another folder with --out DIR, or start over with "
                        "--fresh", EXIT_MISMATCH)
    os.makedirs(os.path.dirname(shard) or ".", exist_ok=True)
    remove_stale_parts(shard)
    done = encode_source(open_source(source), shard, settings, replace=True, keep_bad=True,
                         source_path=os.path.abspath(source), source_sha256=sha256,
                         encoding=encoding, tokenizer=settings.tokenizer)
    if file_sha256(source) != sha256:
        os.unlink(shard)
        raise TextError(f"{source}: was changed while it was read; run again")
    say_done(source, f"{counted(done.n_rows, 'request')}, "
             f"{counted(done.n_tokens, 'prompt token')}", done.n_bad)
    return done.n_bad


def say_done(source, what, n_bad):
    bad = f", {counted(n_bad, 'bad row')} that will fail" if n_bad else ""
    print(f"{source}: {what}{bad}", file=sys.stderr)


def remove_stale_parts(shard):
    """What a killed encoder left; one that lives writes more often than hourly."""
    folder, name = os.path.split(shard)
    for entry in os.scandir(folder or "."):
        is_part = entry.name.startswith(name + ".") and entry.name.endswith(".part")
        if is_part and time.time() - entry.stat(follow_symlinks=False).st_mtime > STALE_PART_S:
            os.unlink(entry.path)


def find_prepared(folder):
    """The shards that were made from texts for the job of an output folder, by uid."""
    found = {}
    place = os.path.join(folder, "text")
    for name in sorted(os.listdir(place)) if os.path.isdir(place) else ():
        prepared = read_prepared(os.path.join(place, name)) if name.endswith(".h5") else None
        if prepared and (prepared.uid not in found or os.path.exists(prepared.source_path)):
            found[prepared.uid] = prepared
    return found
