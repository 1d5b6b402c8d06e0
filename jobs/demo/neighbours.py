#!/usr/bin/env python3
"""Finds each demo prompt's nearest neighbour by its vector, from the results of a job that embeds.

    neighbours.py out/demo-embed/results.h5 [--show 2] [--min-right 0.99]

The neighbour is the other prompt whose vector has the greatest cosine; it is right when it asks for
the same task. Rows without the demo's meta (make_prompts.py) are left alone, a failed row has no
right neighbour. Exit 1 when fewer than --min-right are right or there is no demo row, 65 when the
file holds no vectors, 66 when it cannot be read. Needs h5py.
"""

import argparse
import sys

import h5py
import numpy as np

from accuracy import STATUS_DONE, demo_meta


def read_rows(file):
    """The metas and vectors of demo rows; a failed row's vector is 0."""
    requests = file["requests"]
    at, meta = requests["meta_offset"][:], requests["meta"][:].tobytes()
    notes = [demo_meta(meta[at[i] : at[i + 1]]) for i in range(len(at) - 1)]
    kept = [i for i, note in enumerate(notes) if note]
    vectors = requests["vector"][:][kept].astype(np.float64)
    vectors[requests["status"][:][kept] != STATUS_DONE] = 0
    return [notes[i] for i in kept], vectors


def nearest(vectors):
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(lengths > 0, lengths, 1)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -2)
    return cosine.argmax(1), cosine.max(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results")
    parser.add_argument("--show", type=int, default=2, help="pairs to print")
    parser.add_argument("--min-right", type=float, default=0.0)
    args = parser.parse_args()
    try:
        with h5py.File(args.results, "r") as file:
            notes, vectors = read_rows(file)
    except OSError as error:
        print(f"neighbours.py: {args.results}: {error}", file=sys.stderr)
        return 66
    except KeyError as error:
        print(f"neighbours.py: {args.results}: holds no vectors: {error}", file=sys.stderr)
        return 65
    if len(notes) < 2:
        print(f"neighbours.py: {args.results}: has no two demo rows", file=sys.stderr)
        return 1
    near, cosine = nearest(vectors)
    right = [cosine[i] > 0 and notes[i]["task"] == notes[k]["task"] for i, k in enumerate(near)]
    for i in range(min(args.show, len(notes))):
        print(f"{notes[i]['prompt']:<18} nearest: {notes[near[i]]['prompt']:<18} {cosine[i]:.3f}")
    print(f"{sum(right)} of {len(right)} prompts lie nearest to one of their own task")
    return int(sum(right) < args.min_right * len(right))


if __name__ == "__main__":
    raise SystemExit(main())
