"""Every column of results, or of a request shard, as arrays: what becomes a pandas frame at once.

    result_columns("out/first")["ttft..."]        rows in the order of the input
    request_columns("streams/x.h5")["arrival_ns"]

What a file holds is found by its layout, not by a list of names: /requests/NAME with a value per
row, and what NAME_offset cuts into a part per row. Names are those of `weft export`. A part is a
numpy array, or text.
"""

import h5py
import numpy as np

from weft_text.errors import EXIT_NO_INPUT, TextError
from weft_text.results_files import result_files
from weft_text.results_order import sorted_keys
from weft_text.results_read import (FINISH_WORDS, STATUS_DONE, as_text, as_typed, check_format,
                                    check_sizes, complaints, error_names)

# Groups that a cut cuts whole, and datasets that are not called as it is.
CUT_GROUPS = {"output_offset": "tokens", "prompt_offset": "prompts"}
CUT_DATASETS = {"stop_offset": "requests/stop_token_ids",
                "allowed_offset": "requests/allowed_token_ids",
                "bad_words_offset": "requests/bad_words_token_ids"}
PARTS = {"meta", "error", "stop_string", "logit_bias_id", "logit_bias",
         *(name.split("/")[1] for name in CUT_DATASETS.values())}
NAMES = {"tokens/id": "token_ids", "tokens/time_ns": "token_time_ns", "tokens/logprob": "logprobs",
         "tokens/top_id": "top_ids", "tokens/top_logprob": "top_logprobs",
         "prompts/tokens": "prompt_token_ids", "prompts/logprob": "prompt_logprobs",
         "prompts/top_id": "prompt_top_ids", "prompts/top_logprob": "prompt_top_logprobs"}
AS_TEXT = ("requests/meta", "requests/error", "requests/stop_string")


def file_columns(path, file):
    """{name: [rows]}: arrays, or lists of parts."""
    requests = file["requests"]
    n_rows = requests["id"].shape[0]
    columns, cuts = {}, []
    for name, dataset in requests.items():
        if dataset.shape == (n_rows,) and name not in PARTS:
            columns[name] = dataset[:]
        elif name.endswith("_offset") and dataset.shape == (n_rows + 1,):
            cuts.append(name)
        elif dataset.ndim == 2 and dataset.shape[0] == n_rows:
            columns[name] = list(dataset[:])
    for cut in cuts:
        columns.update(parts_of(path, file, cut))
    return columns


def parts_of(path, file, cut):
    ends = file["requests"][cut][:].astype(np.int64)
    if np.any(np.diff(ends) < 0) or (len(ends) and ends[0] != 0):
        raise TextError(f"{path}:/requests/{cut}: decreases, or does not begin at 0")
    if cut in CUT_GROUPS:
        group = CUT_GROUPS[cut]
        names = [f"{group}/{name}" for name in file[group]] if group in file else []
    else:
        name = CUT_DATASETS.get(cut, f"requests/{cut.removesuffix('_offset')}")
        names = [name] if name in file else []
    for name in names:
        if file[name].shape[0] != ends[-1]:
            raise TextError(f"{path}:/requests/{cut}: does not end where /{name} ends")
        yield NAMES.get(name, name.split("/")[1]), split(file[name][:], ends, name in AS_TEXT)


def split(values, ends, is_text):
    values = as_typed(values)
    parts = [values[a:b] for a, b in zip(ends[:-1], ends[1:])]
    if is_text:
        return [part.tobytes().decode("utf-8", "replace") if len(part) else None for part in parts]
    return parts


def with_words(path, file, columns):
    """Codes as the words that the program says."""
    uids, paths = ([as_text(v) for v in file[f"shards/{k}"][:]] for k in ("uid", "path"))
    if len(columns["shard"]) and columns["shard"].max() >= len(uids):
        raise TextError(f"{path}: shard {columns['shard'].max()} is not in /shards")
    codes = error_names(file["requests/error_code"])
    said = {"shard_uid": [uids[i] for i in columns["shard"]],
            "shard_path": [paths[i] for i in columns["shard"]], **columns}
    said["status"] = ["done" if s == STATUS_DONE else "failed" for s in columns["status"]]
    said["finish_reason"] = [FINISH_WORDS.get(int(f), "error") for f in columns["finish_reason"]]
    said["error_code"] = [codes.get(int(c), str(c)) if c else None for c in columns["error_code"]]
    return said


def read_file(path):
    with complaints(path), h5py.File(path, "r") as file:
        check_format(path, file)
        check_sizes(path, file, file["requests/row"].shape[0])
        return with_words(path, file, file_columns(path, file))


def in_order(column, order):
    if isinstance(column, np.ndarray):
        return column[order]
    return [column[i] for i in order]


def joined(parts, name, sizes):
    """One column of several files; None where a file has none."""
    columns = [part.get(name) for part in parts]
    if all(isinstance(column, np.ndarray) for column in columns):
        return np.concatenate(columns)
    return [value for column, n in zip(columns, sizes)
            for value in ([None] * n if column is None else list(column))]


def result_columns(place):
    files = result_files(place)
    keys = sorted_keys(files)
    parts = [read_file(file.path) for file in files]
    sizes = [len(part["row"]) for part in parts]
    order = np.concatenate([[0], np.cumsum(sizes)])[keys["file"]] + keys["place"].astype(np.int64)
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: in_order(joined(parts, name, sizes), order) for name in names}


def request_columns(path):
    try:
        with h5py.File(path, "r") as file:
            return file_columns(path, file)
    except (OSError, KeyError) as error:
        raise TextError(f"{path}: is no request shard: {error}", EXIT_NO_INPUT) from error
