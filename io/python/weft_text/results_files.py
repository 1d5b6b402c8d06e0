"""Which files hold the results of a place.

A place is a file, an output folder, its segments folder, or the folder of a job array, whose parts
a0, a1 ... come one after the other.

Of a folder, results.h5 counts when the newest run left nothing to do, otherwise the sealed segments
that count, by the rule of io/results/runfile.h: those that the newest run's file lists, and those
of the newest run that are of their group's newest epoch or listed by that epoch's file.
"""

import json
import os
import re
from typing import NamedTuple

from weft_text.errors import EXIT_NO_INPUT, TextError

SEGMENT = re.compile(r"g(\d+)/r(\d+)-e(\d+)-(\d+)\.h5")


class ResultFile(NamedTuple):
    path: str
    void_failed: bool = False  # its failed rows do not count: a later run has done them again


def result_files(path):
    if os.path.isfile(path):
        return [ResultFile(path)]
    if not os.path.isdir(path):
        raise TextError(f"{path}: is missing", EXIT_NO_INPUT)
    path = os.path.normpath(path)
    only_segments = os.path.basename(path) == "segments"
    folder = os.path.dirname(path) if only_segments else path
    run = newest_run(folder)
    parts = array_parts(folder) if run is None and not only_segments else []
    if parts:
        return [file for part in parts for file in result_files(part)]
    merged = os.path.join(folder, "results.h5")
    complete = run is None or os.path.isfile(os.path.join(folder, "runs", f"{run}.done.json"))
    if not only_segments and complete and os.path.isfile(merged):
        return [ResultFile(merged)]
    files = counting_segments(folder, run)
    if not files:
        raise TextError(f"{path}: holds no results yet", EXIT_NO_INPUT)
    return files


def array_parts(folder):
    """The output folders of a job array, in the order of its tasks; none: it is no array."""
    tasks = sorted(int(name[1:]) for name in os.listdir(folder) if re.fullmatch(r"a\d+", name))
    return [os.path.join(folder, f"a{task}") for task in tasks]


def newest_run(folder):
    try:
        names = os.listdir(os.path.join(folder, "runs"))
    except FileNotFoundError:
        return None
    runs = [int(n[:-5]) for n in names if re.fullmatch(r"\d+\.json", n)]
    return max(runs) if runs else None


def listed_segments(folder, name):
    """{path: void_failed}"""
    path = os.path.join(folder, "runs", name)
    try:
        with open(path, encoding="utf-8") as file:
            return {s["path"]: bool(s.get("void_failed")) for s in json.load(file)["segments"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TextError(f"{path}: is no run file: {error}") from error


def shards_of_job(folder):
    """The uids that the newest run works on; None where no run says so.

    What was forced out of a job has results still.
    """
    run = newest_run(folder)
    if run is None:
        return None
    path = os.path.join(folder, "runs", f"{run}.json")
    try:
        with open(path, encoding="utf-8") as file:
            return set(json.load(file)["identity"]["shards"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def newest_epochs(folder, run):
    epochs = {}
    for name in os.listdir(os.path.join(folder, "runs")):
        match = re.fullmatch(rf"{run}-g(\d+)-e(\d+)\.json", name)
        if match:
            group, epoch = int(match[1]), int(match[2])
            epochs[group] = max(epoch, epochs.get(group, 0))
    return epochs


def counting_segments(folder, run):
    found = all_segments(folder)
    if run is None:  # a bare folder of segments: all of it was asked for
        return [ResultFile(os.path.join(folder, path)) for path in sorted(found)]
    listed = listed_segments(folder, f"{run}.json")
    epochs = newest_epochs(folder, run)
    for group, epoch in epochs.items():
        for path, void in listed_segments(folder, f"{run}-g{group}-e{epoch}.json").items():
            listed[path] = void or listed.get(path, False)
    counts = [path for path, (group, of_run, epoch, _) in found.items()
              if path in listed or (of_run == run and epoch == epochs.get(group, 0))]
    for path in listed.keys() - set(counts):
        raise TextError(f"{folder}/{path}: is missing, though the run's files list it")
    return [ResultFile(os.path.join(folder, path), listed.get(path, False))
            for path in sorted(counts)]


def all_segments(folder):
    found = {}
    root = os.path.join(folder, "segments")
    groups = sorted(os.listdir(root)) if os.path.isdir(root) else []
    for group in groups:
        for name in os.listdir(os.path.join(root, group)):
            match = SEGMENT.fullmatch(f"{group}/{name}")
            if match:
                found[f"segments/{group}/{name}"] = tuple(int(v) for v in match.groups())
    return found
