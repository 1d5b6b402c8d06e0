"""The faults, one row each. What is done with a row stands in faults.py.

name       what happens
ranks      MPI ranks (1: without mpirun); tensor: ranks per group
env        environment of the run that is struck: WEFT_FAULT (io/base/fault.h), FAILING_IO
           (failing_io.c); %N is the number of the call that fails, %F the bench's folder, %D that of
           the built libraries, %L the LD_LIBRARY_PATH
each_n     the story is told for N = 1, 2, ... until nothing strikes
act        a function below that runs the job itself and returns (exit code, what it said)
parallel, output   more keys of the job file
arrivals   replay: the job lasts 3 s; else as fast as it can
arguments  of weft run
exits      exit codes that are right
says       patterns that its words must match
keeps      rows that must have been kept at least
hand       only with --all
cuda       only where the CUDA back end is built
restore    a function below that undoes what was done to the folder
"""
import os
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "io"))
from h5_header import make_endless  # noqa: E402

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
        row(f"{name} {phase}", env={"WEFT_FAULT": f"{name}@{point}"}, exits={75}, says=[says],
            hand=name == "int" or (name == "term" and point not in ("load=3", "step=20")))
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
    arrivals="replay", exits={75}, says=["drains|before its first step"])
row("term to mpirun, which ends its ranks itself", ranks=4, tensor=2, act="signal_mpirun",
    arrivals="replay", signal=signal.SIGTERM, exits={1, 75, 143})


# ---- files that fail ---------------------------------------------------------------------------
# A status file that cannot be written harms nobody, so the job may get through (0); whatever else
# fails ends it with 74, path and remedy. A full disk or quota stays full.

for what in ("ENOSPC+", "EDQUOT+", "EIO", "ESTALE", "EINTR"):
    row(f"{what} at the Nth call", each_n=True, env={"FAILING_IO": f"all:{what}:%N"}, exits={0, 74},
        hand=what in ("EDQUOT+", "ESTALE"))
row("the Nth write is short", each_n=True, env={"FAILING_IO": "write:short:%N"}, exits={0})
row("killed before the Nth call of a seal", each_n=True, exits={-signal.SIGKILL},
    env={"FAILING_IO": "all:kill:%N", "FAILING_IO_UNDER": "%F/out/segments"})
row("killed before the Nth call of the start", each_n=True, exits={-signal.SIGKILL},
    env={"FAILING_IO": "all:kill:%N", "FAILING_IO_UNDER": "%F/out/runs"})
row("killed before the Nth call of the merge", each_n=True, exits={-signal.SIGKILL},
    env={"FAILING_IO": "all:kill:%N", "FAILING_IO_UNDER": "%F/out/results.h5"})


def go_on(bench, extra, row):
    """The fault strikes a run that goes on with what an earlier one left."""
    bench.must(bench.run({"WEFT_FAULT": "usr1@step=20"}), {75}, "the first run")
    return bench.run(extra)


row("ESTALE at the Nth look at a folder", each_n=True, exits={0},
    env={"FAILING_IO": "look:ESTALE:%N"})
row("ESTALE at the Nth look of a run that goes on", each_n=True, act="go_on", exits={0}, keeps=60,
    env={"FAILING_IO": "look:ESTALE:%N"})
row("a write that takes 2 s", env={"FAILING_IO": "write:stall=2000:30"}, exits={0})
row("no file locking", env={"FAILING_IO": "flock:ENOSYS+:1"}, exits={0})
row("a read-only folder", env={"FAILING_IO": "all:EROFS+:1"}, exits={74}, says=["Read-only file system"])
row("a folder of somebody else", env={"FAILING_IO": "all:EACCES+:1"}, exits={74},
    says=["Permission denied"])

# A disk of that many bytes. The writer of these jobs keeps 256 KiB back; below that it does not
# begin. What has finished before the disk is full is kept, all of it.
row("a disk of 250,000 bytes is too small", env={"FAILING_SPACE": "250000"}, exits={74},
    output="seal_bytes: 64KiB", says=["reserve: no room for 262144 bytes"])
for size in (280_000, 310_000, 350_000, 390_000):
    row(f"a disk of {size:,} bytes fills up", env={"FAILING_SPACE": str(size)}, exits={74}, keeps=1,
        output="seal_bytes: 64KiB", says=["all finished requests are sealed|results.h5.[0-9a-f]+.part"])

# ---- clocks -------------------------------------------------------------------------------------

row("the wall clock jumps an hour ahead", env={"FAILING_CLOCK": "150:3600"}, exits={0})
row("the wall clock jumps a day back", env={"FAILING_CLOCK": "150:-86400"}, exits={0})
row("the wall clock jumps back in a replay", env={"FAILING_CLOCK": "1000:-86400"}, exits={0},
    arrivals="replay")

# ---- a machine without a GPU, or with an old driver; more of these in gpu_table.py ---------------

CUDA = ["--set", "parallel.backend=cuda"]
row("backend cuda and no GPU", cuda=True, env={"CUDA_VISIBLE_DEVICES": ""}, arguments=CUDA, exits={70},
    says=["no CUDA driver|no GPU is visible", "--gpus-per-node", "parallel.backend: cpu"])
row("backend cuda and an old driver", cuda=True, env={"LD_LIBRARY_PATH": "%D/old-driver:%L"},
    arguments=CUDA, exits={70}, says=["its driver is for CUDA 11.4, this build needs CUDA"])



def ask_doctor(bench, extra, row):
    """A driver that is there and too old: the doctor calls it bad, a job says it goes without."""
    done = subprocess.run([bench.weft, "doctor", "--out", bench.folder], env=bench.environment(extra),
                          text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 71 or "its driver is for CUDA 11.4" not in done.stdout:
        raise AssertionError(f"the doctor says ({done.returncode}):\n{done.stdout}")
    return bench.run(extra, row["arguments"])


row("backend auto and an old driver", cuda=True, act="ask_doctor", exits={0},
    env={"LD_LIBRARY_PATH": "%D/old-driver:%L"}, arguments=["--set", "parallel.backend=auto"],
    says=["warn .*computes on the CPU: .*its driver is for CUDA 11.4"])

# ---- lost and stalled ranks ---------------------------------------------------------------------

ANY_FAILURE = set(range(1, 256))  # whatever mpirun makes of a dead rank

for point, rank, hand in [
    ("load=3", 0, False), ("load=3", 1, True), ("load=3", 2, True),
    ("step=1", 0, True), ("step=1", 1, False), ("step=1", 2, True),
    ("step=10", 0, True), ("step=10", 1, True), ("step=10", 3, False),
    ("seal=1", 0, True), ("seal=1", 2, False),
]:
    row(f"rank {rank} of 4 killed at {point}", ranks=4, tensor=2, exits=ANY_FAILURE, hand=hand,
        arrivals="replay, speed: 3", env={"WEFT_FAULT": f"kill@{point},rank={rank}"})
row("a rank aborts on a request", ranks=2, tensor=2, exits=ANY_FAILURE,
    env={"WEFT_FAULT": "abort@request=30"})


def see_stall(bench, extra, row):
    """A stopped rank is named; then somebody ends the job."""
    process = bench.start(extra)
    said = ""
    for line in process.stdout:
        said += line
        if "stall" in line or "stands still" in line:
            break
    ranks = bench.ranks_running()
    process.kill()
    for pid in ranks.values():
        os.kill(pid, signal.SIGKILL)
    process.communicate()
    return process.returncode, said


for rank, hand in ((1, False), (2, True)):
    row(f"rank {rank} of 4 is stopped (SIGSTOP)", ranks=4, tensor=2, act="see_stall",
        env={"WEFT_FAULT": f"stop@step=10,rank={rank}"}, parallel="heartbeat: 5s", hand=hand, arrivals="replay, speed: 3",
        exits={-signal.SIGKILL}, says=[f"rank {rank} "])


# ---- what people do -----------------------------------------------------------------------------


def edit_input(bench, extra, row):
    """The shard is made anew between two runs."""
    bench.must(bench.run(extra), {75}, "the first run")
    os.rename(bench.prompts, bench.prompts + ".was")
    bench.make_prompts(seed=2)
    return bench.run()


def put_input_back(bench):
    os.rename(bench.prompts + ".was", bench.prompts)


def start_twice(bench, extra, row):
    """A second job starts on the folder of the first, which does not notice."""
    first = bench.start()
    wait_for_steps(bench, first)
    second = bench.run()
    bench.must(bench.end(first), {0}, "the first job")
    return second


row("the input is edited between two runs", act="edit_input", restore="put_input_back",
    env={"WEFT_FAULT": "usr1@step=20"}, exits={78}, says=["made by another job", "has changed: it is not the shard"])
row("two jobs on one folder", act="start_twice", arrivals="replay, speed: 0.3",
    exits={78}, says=["is in use by process"])


PLANTED = ["results.h5.part", "profile.csv", "events.jsonl", "leases/r0/flight.g0.e0",
           "leases/r0/flight.g1.e0", "segments/g0/r0-e0-00000.h5.part", "segments/g0/reserve",
           "segments/g1/reserve", "runs/0-g0-e0.sealed.jsonl", "runs/0.json.part", "owner.json.part"]


def plant_links(bench, extra, row):
    """Somebody who may write to the folder planted links to a file of the one who runs."""
    victim = os.path.join(bench.folder, "victim")
    held = b"mine, and not to be touched\n" * 40000
    for name in row["planted"]:
        with open(victim, "wb") as f:
            f.write(held)
        shutil.rmtree(bench.out, ignore_errors=True)
        place = os.path.join(bench.out, name)
        os.makedirs(os.path.dirname(place))
        row["plant"](victim, place)
        ended = bench.run(extra, row["arguments"])
        with open(victim, "rb") as f:
            if f.read() != held or os.stat(victim).st_size != len(held):
                raise AssertionError(f"{name}: was followed; {ended[1]}")
        if ended[0] == 74:
            says((0, ended[1]), place, "remove it")
            os.unlink(place)
        elif ended[0] != 0:
            raise AssertionError(f"{name}: ended with {ended[0]}; {ended[1]}")
    return bench.run()


def plant_folders(bench, extra, row):
    """Links of another user where the job's own folders go."""
    victim = os.path.join(bench.folder, "victims")
    for name in ("runs", "segments", "leases", "status", "void"):
        shutil.rmtree(bench.out, ignore_errors=True)
        shutil.rmtree(victim, ignore_errors=True)
        os.makedirs(bench.out)
        os.makedirs(victim)
        place = os.path.join(bench.out, name)
        os.symlink(victim, place)
        if os.geteuid() != 0:
            continue  # nobody else's link can be made
        os.lchown(place, 12345, 12345)
        ended = bench.run(extra)
        says((0 if ended[0] == 74 else ended[0], ended[1]), "symbolic link of another user", place)
        if os.listdir(victim):
            raise AssertionError(f"{name}: was followed: {os.listdir(victim)}")
    shutil.rmtree(bench.out)
    return bench.run()


row("links are planted for the job's folders", act="plant_folders", exits={0})


def open_to_all(bench, extra, row):
    os.makedirs(bench.out)
    os.chmod(bench.out, 0o777)
    return bench.run(extra)


row("a folder that everybody may write", act="open_to_all", exits={0},
    says=["may be written by everybody"])
GROUPS = ["--profile", "--set", "parallel.layout=groups", "--set", "parallel.replicas=2"]
row("symbolic links are planted in the folder", act="plant_links", arguments=["--profile"],
    planted=[n for n in PLANTED if "leases" not in n and "g1" not in n], plant=os.symlink, exits={0})
row("second names are planted in the folder", act="plant_links", arguments=["--profile"], hand=True,
    planted=[n for n in PLANTED if "leases" not in n and "g1" not in n], plant=os.link, exits={0})
row("links are planted in the folder of two groups", act="plant_links", arguments=GROUPS,
    planted=[n for n in PLANTED if "g1" in n or "leases" in n or "events" in n], plant=os.symlink,
    exits={0})


def read_for_ever(bench, extra, row):
    """Commands over a file whose reading does not end: they come back and name it."""
    bench.must(bench.run(), {0}, "the run")
    env = bench.environment({"WEFT_FAULT": "stop@read=5", "WEFT_READ_LIMIT": "500ms"})
    for words in (["check"], ["report"], ["merge"], ["why"], ["show", "--row", "0"]):
        done = subprocess.run([bench.weft, words[0], bench.out, *words[1:]], env=env, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        if done.returncode != 65 or "is damaged: reading it does not end" not in done.stdout:
            raise AssertionError(f"weft {words} ended with {done.returncode}: {done.stdout}")
    return bench.run()


row("a file whose reading does not end", act="read_for_ever", exits={0})


def damage_a_segment(bench, extra, row):
    """A sealed segment that HDF5 would read for ever: the run that goes on does its rows again."""
    bench.must(bench.run({"WEFT_FAULT": "usr1@step=30"}), {75}, "the first run")
    folder = os.path.join(bench.out, "segments/g0")
    sealed = sorted(n for n in os.listdir(folder) if n.endswith(".h5"))
    make_endless(os.path.join(folder, sealed[0]), "requests/row")
    return bench.run()


row("a segment claims chunks without end", act="damage_a_segment", exits={0},
    says=["does not count: .*requests/row: claims \\d+ chunks in a file of"])


def retry_failed(bench, extra, row):
    """Some requests do not fit the memory, and are done again with more; the first try is drained."""
    os.rename(bench.prompts, bench.prompts + ".was")
    bench.make_prompts(change=lambda i, line: dict(line, max_new_tokens=600) if i % 10 == 3 else line)
    small = ["--set", "engine.kv_memory=1MiB"]
    bench.must(bench.run(arguments=small), {3}, "the run with little memory")
    says(bench.check(), "checked 60 rows (6 failed)", "complete: yes")
    bench.must(bench.run({"WEFT_FAULT": "usr1@load=3"}, ["--retry-failed"]), {75}, "the drained retry")
    says(bench.check(), "checked 54 rows (0 failed)", "complete: no", "missing: 6 results")
    bench.must(bench.run(arguments=small), {3}, "the run that makes them fail again")
    says(bench.check(), "checked 60 rows (6 failed)", "complete: yes")
    ended = bench.run(arguments=["--retry-failed"])
    says(bench.check(), "checked 60 rows (0 failed)", "complete: yes")
    says(bench.tool("report"), "60 done, 0 failed")
    return ended


def says(ended, *words):
    """Both the exit code and the words are right."""
    code, said = ended
    if code != 0 or any(w not in said for w in words):
        raise AssertionError(f"expected {words}, was told ({code}):\n{said}")


row("failed requests are done again", act="retry_failed", exits={0},
    says=["60 done, 0 failed"])


def look_while_it_runs(bench, extra, row):
    """What is sealed so far is read, reported and exported while the job runs."""
    process = bench.start()
    while process.poll() is None and not bench.check()[1].endswith(": ok\n"):
        time.sleep(0.1)
    part = os.path.join(bench.folder, "part.h5")
    says(bench.tool("report"), " done, 0 failed")
    says(bench.tool("show", "--json", "--row", bench.first_row()), '"status":"done"')
    says(bench.tool("merge", "--output", part), "part.h5: ")
    n = bench.rows_of(part)
    code, refused = bench.tool("merge")
    if code != 78 or "--output" not in refused or not 0 < n < bench.n_rows:
        raise AssertionError(f"{n} rows exported; merging in place while it runs ({code}): {refused}")
    return bench.end(process)


row("partial results are read while the job runs", act="look_while_it_runs", exits={0},
    arrivals="replay, speed: 0.7")
