#!/usr/bin/env python3
"""Prints how many demo prompts were answered right, per task, from a results file.

    accuracy.py out/demo/results.h5 [--show 2] [--min-accuracy 0.99] [--json]

Rows whose meta is the demo's (make_prompts.py) are judged: right means that the tokens are exactly
the expected answer's bytes and EOS. Other rows are left alone. A failed row is a wrong answer.
Exit 1 when a task is under --min-accuracy or there is no demo row, 65 when the file is no results
file, 66 when it cannot be read. Needs h5py.
"""

import argparse
import json
import sys

import h5py

import tasks

STATUS_DONE = 0


def read_rows(file):
    """Yields (row, meta, status, tokens, error) of every demo row."""
    requests = file["requests"]
    meta_at, meta = requests["meta_offset"][:], requests["meta"][:].tobytes()
    error_at, error = requests["error_offset"][:], requests["error"][:].tobytes()
    tokens_at, tokens = requests["output_offset"][:], file["tokens/id"][:]
    status = requests["status"][:]
    for i in range(len(status)):
        note = demo_meta(meta[meta_at[i] : meta_at[i + 1]])
        if note:
            reason = error[error_at[i] : error_at[i + 1]].decode("utf-8", "replace")
            yield i, note, int(status[i]), tokens[tokens_at[i] : tokens_at[i + 1]].tolist(), reason


def demo_meta(text):
    """The demo's meta, or None for a row that is not of the demo."""
    try:
        note = json.loads(text)
    except ValueError:
        return None
    return note if isinstance(note, dict) and {"task", "prompt", "expect"} <= note.keys() else None


def judge(note, status, tokens):
    return status == STATUS_DONE and tokens == [*note["expect"].encode("ascii"), tasks.EOS]


def tokens_to_text(tokens):
    """The answer as a person reads it; what is no byte shows as <id>, an absent EOS as such."""
    ended = bool(tokens) and tokens[-1] == tasks.EOS
    shown = "".join(chr(t) if 32 <= t < 127 else f"<{t}>" for t in (tokens[:-1] if ended else tokens))
    return shown if ended else shown + " (no end)"


def collect(file):
    report = {}
    for row, note, status, tokens, error in read_rows(file):
        task = report.setdefault(note["task"], {"right": 0, "total": 0, "examples": [], "wrong": []})
        right = judge(note, status, tokens)
        answer = tokens_to_text(tokens) if status == STATUS_DONE else f"failed: {error}"
        shown = {"row": row, "prompt": note["prompt"], "answer": answer, "expect": note["expect"]}
        task["total"] += 1
        task["right"] += right
        task["examples" if right else "wrong"].append(shown)
    return report


def print_report(report, n_show):
    for name, task in sorted(report.items()):
        share = 100.0 * task["right"] / task["total"]
        print(f"  {name:6} {task['right']:>6} of {task['total']:<6} right  {share:6.2f} %")
    print()
    for name, task in sorted(report.items()):
        for shown in task["examples"][:n_show]:
            print(f"  {shown['prompt']:<18} -> {shown['answer']}")
        for shown in task["wrong"][:n_show]:
            print(f"  {shown['prompt']:<18} -> {shown['answer']}   WRONG, expected "
                  f"{shown['expect']} (row {shown['row']})")
    if "count" in report:
        print("\n  add, rev and sort prompts were held out of training; count has only 18, all seen.")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", help="results.h5, or one segment")
    parser.add_argument("--show", type=int, default=2, help="prompts to print per task")
    parser.add_argument("--min-accuracy", type=float, default=0.0, help="share, 0 to 1, of each task")
    parser.add_argument("--json", action="store_true", help="print the counts as JSON")
    args = parser.parse_args()
    try:
        with h5py.File(args.results, "r") as file:
            report = collect(file)
    except OSError as error:
        print(f"{args.results}: cannot be read: {error}", file=sys.stderr)
        return 66
    except (KeyError, ValueError) as error:
        print(f"{args.results}: is no weft-results file: {error}", file=sys.stderr)
        return 65
    if args.json:
        counts = {k: {"right": v["right"], "total": v["total"]} for k, v in report.items()}
        print(json.dumps(counts, sort_keys=True))
    else:
        print_report(report, args.show)
    if not report:
        print(f"{args.results}: holds no demo prompt", file=sys.stderr)
        return 1
    worst = min(task["right"] / task["total"] for task in report.values())
    return 0 if worst >= args.min_accuracy else 1


if __name__ == "__main__":
    raise SystemExit(main())
