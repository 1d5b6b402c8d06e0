"""The faults, one row each. What is done with a row stands in faults.py.

name       what happens
ranks      MPI ranks (1: without mpirun); tensor: ranks per group
env        environment of the run that is struck: WEFT_FAULT (io/base/fault.h), FAILING_IO
           (failing_io.c); %N is the number of the call that fails, %F the bench's folder
each_n     the story is told for N = 1, 2, ... until nothing strikes
act        a function below that runs the job itself and returns (exit code, what it said)
arrivals   replay: the job lasts 3 s; else as fast as it can
arguments  of weft run
exits      exit codes that are right
says       patterns that its words must match
keeps      rows that must have been kept at least
restore    a function below that undoes what was done to the folder
"""
import os
import signal
import time

ROWS = []


def row(name, **columns):
    ROWS.append(dict(name=name, **columns))


# ---- told to leave, in every phase -------------------------------------------------------------

for phase, point, says in [
    ("before MPI", "start=1", "before its first step"),
    ("while weights are read", "load=3", "before its first step"),
    ("before the engine", "engine=1", "before its first step"),
    ("in the first prefill", "step=1", "requests are done and sealed"),
    ("in decode", "step=20", "requests are done and sealed"),
    ("while a segment is sealed", "seal=1", "drained|not merged"),
    ("in the merge", "merge=1", "not merged"),
]:
    for name in ("usr1", "term", "int"):
        row(f"{name} {phase}", env={"WEFT_FAULT": f"{name}@{point}"}, exits={75}, says=[says])
row("usr1 twice, while weights are read", exits={75}, says=["before its first step"],
    env={"WEFT_FAULT": "usr1@load=3; usr1@load=4"})
row("usr1 twice in decode: leaves now", exits={75}, says=["are left to the next run"],
    env={"WEFT_FAULT": "usr1@step=20; usr1@step=21"})
row("term, then int in decode: leaves now", exits={75}, says=["are left to the next run"],
    env={"WEFT_FAULT": "term@step=20; int@step=22"})
row("usr1 in decode, then while sealing", exits={75}, says=["are done and sealed"],
    env={"WEFT_FAULT": "usr1@step=20; usr1@seal=1"})
row("--max-time", exits={75}, arguments=["--max-time", "0.1s"], says=["time limit|before its first"])
row("usr1 to one follower of four ranks", ranks=4, tensor=2, exits={75}, says=["stop file: SIGUSR1"],
    env={"WEFT_FAULT": "usr1@step=3,rank=1"}, arrivals="replay")
row("usr1 to one of four ranks while it loads", ranks=4, tensor=2, exits={75},
    env={"WEFT_FAULT": "usr1@load=3,rank=2"}, says=["before its first step"])


def signal_mpirun(bench, extra, row):
    process = bench.start(extra)
    wait_for_steps(bench, process)
    process.send_signal(row["signal"])
    return bench.end(process)


def wait_for_steps(bench, process):
    """Until the first segment is being written: the step loop runs."""
    folder = os.path.join(bench.out, "segments")
    while process.poll() is None and not os.path.isdir(folder):
        time.sleep(0.005)


row("usr1 to mpirun", ranks=4, tensor=2, act="signal_mpirun", signal=signal.SIGUSR1,
    arrivals="replay", exits={75}, says=["drains"])
row("term to mpirun, which ends its ranks itself", ranks=4, tensor=2, act="signal_mpirun",
    arrivals="replay", signal=signal.SIGTERM, exits={1, 75, 143})
