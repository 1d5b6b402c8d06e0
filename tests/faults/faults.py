#!/usr/bin/python3
"""Injects faults into the real program, one row of the table after the other.

    faults.py WEFT SHIM [--device SHIM] [--all] [--only WORD] [--list]

SHIM is the library made of failing_io.c; --device names that of failing_device.c, takes the rows of
gpu_table.py and computes on GPUs. Every row of the table is one story: a job starts in a new folder,
the fault strikes it, and then

  1. its exit code and its last words are those the row promises;
  2. `weft check` finds every row that is there once, and tells how many are missing;
  3. the same command, without the fault, completes the job;
  4. `weft check --complete` agrees, and the tokens are those of an undisturbed run, bit by bit.

Rows that fail the Nth system call do so for N = 1, 2, ... until the job gets through; without --all
a few N of the whole range are tried, and rows marked `hand` are left out unless --only names them.
"""
import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import h5py
import numpy

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fault_table  # noqa: E402
import gpu_table  # noqa: E402

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MODEL = os.path.join(SOURCE, "jobs/demo/model")
PER_TASK = 15  # of four tasks
SPAN_S = 3  # over which they arrive, where a row replays
SAMPLED = 6  # how many N of a whole range are tried without --all
LIMIT_S = 60  # no story may take longer: a hang is a failure
MPI = {
    "OMPI_MCA_mpi_yield_when_idle": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "OMPI_MCA_btl_base_warn_component_unused": "0",
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
}
JOB = """\
job: fault
model: {{path: {model}}}
requests: [{folder}/prompts.h5]
parallel: {{tensor: {tensor}, backend: {backend}, threads: 1, {parallel}}}
engine: {{max_rows: 16, step_tokens: 64, kv_memory: 32MiB, {engine}}}
arrivals: {{mode: {arrivals}}}
output: {{dir: {out}, seal_every: 100ms, {output}}}
"""


class Wrong(Exception):
    pass


class Bench:
    """A folder with prompts, what an undisturbed run makes of them, and the ways to run a job."""

    def __init__(self, weft, shim, device_shim, folder):
        self.weft, self.shim, self.device_shim, self.folder = weft, shim, device_shim, folder
        self.out = os.path.join(folder, "out")
        self.job = os.path.join(folder, "job.yaml")
        self.prompts = os.path.join(folder, "prompts.h5")
        self.mark = os.path.join(folder, "struck")
        self.table = gpu_table if device_shim else fault_table
        self.engine = "deterministic: true" if device_shim else ""
        self.ranks = 1
        self.make_prompts()
        self.n_rows = 4 * PER_TASK
        self.write_job({})
        self.must(self.run(), {0}, "an undisturbed run")
        self.tokens = self.read_tokens()

    def make_prompts(self, seed=1, change=None):
        lines = os.path.join(self.folder, "prompts.jsonl")
        subprocess.run(
            ["/usr/bin/python3", os.path.join(SOURCE, "jobs/demo/make_prompts.py"), "--per-task",
             str(PER_TASK), "--span", str(SPAN_S), "--seed", str(seed), "-o", lines], check=True)
        if change:
            rows = [json.loads(line) for line in open(lines)]
            with open(lines, "w") as f:
                f.writelines(json.dumps(change(i, r)) + "\n" for i, r in enumerate(rows))
        subprocess.run([self.weft, "pack", lines, "-o", self.prompts, "--model", MODEL],
                       check=True, stdout=subprocess.DEVNULL)

    def write_job(self, row):
        self.ranks = row.get("ranks", 1)
        with open(self.job, "w") as f:
            f.write(JOB.format(model=MODEL, folder=self.folder, out=self.out,
                               tensor=row.get("tensor", 1),
                               backend="cuda" if self.device_shim else "cpu",
                               engine=row.get("engine", self.engine),
                               parallel=row.get("parallel", "replicas: auto"),
                               arrivals=row.get("arrivals", "offline"),
                               output=row.get("output", "token_times: true")))

    def environment(self, extra):
        env = dict(os.environ, WEFT_PROGRESS="off", WEFT_LOG="info", **MPI)
        for name in ("WEFT_FAULT", "FAILING_IO", "FAILING_CLOCK", "FAILING_SPACE", "FAILING_DEVICE",
                     "LD_PRELOAD"):
            env.pop(name, None)
        env.update(extra)
        if "FAILING_DEVICE" in env:
            env.update(FAILING_DEVICE_MARK=self.mark, LD_PRELOAD=self.device_shim)
        elif any(name.startswith("FAILING_") for name in env):
            env.update(FAILING_IO_MARK=self.mark, LD_PRELOAD=self.shim)
            env.setdefault("FAILING_IO_UNDER", self.out)
        return env

    def command(self, arguments=()):
        command = [self.weft, "run", self.job, *arguments]
        return ["mpirun", "-n", str(self.ranks), *command] if self.ranks > 1 else command

    def command_by_rank(self, env_of_rank):
        """As above, where ranks have an environment of their own."""
        words = ["mpirun"]
        for rank in range(self.ranks):
            env = [f"{k}={v}" for k, v in env_of_rank.get(rank, {}).items()]
            words += [":"] * (rank > 0) + ["-n", "1", "env", *env, self.weft, "run", self.job]
        return words

    def start(self, extra=None, arguments=(), env_of_rank=None):
        command = self.command_by_rank(env_of_rank) if env_of_rank else self.command(arguments)
        return subprocess.Popen(command, env=self.environment(extra or {}), text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def end(self, process, limit_s=LIMIT_S):
        try:
            said, _ = process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            process.kill()
            said, _ = process.communicate()
            raise Wrong(f"hangs; it said:\n{said}")
        return process.returncode, said

    def run(self, extra=None, arguments=(), env_of_rank=None):
        return self.end(self.start(extra, arguments, env_of_rank))

    def check(self, *arguments):
        done = subprocess.run([self.weft, "check", *arguments, self.out], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=LIMIT_S)
        return done.returncode, done.stdout

    def tool(self, name, *arguments):
        """Another command on the job's folder: exit code and words."""
        done = subprocess.run([self.weft, name, self.out, *arguments], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=LIMIT_S)
        return done.returncode, done.stdout

    def first_row(self):
        """A row that is sealed."""
        segments = os.path.join(self.out, "segments/g0")
        name = sorted(n for n in os.listdir(segments) if n.endswith(".h5"))[0]
        with h5py.File(os.path.join(segments, name), "r") as f:
            return str(f["requests/row"][0])

    @staticmethod
    def rows_of(path):
        with h5py.File(path, "r") as f:
            return len(f["requests/row"])

    def ranks_running(self):
        """Process ids of this job's ranks, by rank."""
        found = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                line = open(f"/proc/{pid}/cmdline").read().split("\0")
                env = open(f"/proc/{pid}/environ").read().split("\0")
                parent = int(open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[1])
                of_parent = open(f"/proc/{parent}/cmdline").read().split("\0")
            except OSError:
                continue
            if line[:3] != [self.weft, "run", self.job] or of_parent[:1] == [self.weft]:
                continue  # another program, or a rank's reader
            rank = [e.split("=")[1] for e in env if e.startswith("OMPI_COMM_WORLD_RANK=")]
            found[int(rank[0]) if rank else 0] = int(pid)
        return found

    def read_tokens(self):
        with h5py.File(os.path.join(self.out, "results.h5"), "r") as f:
            keys = numpy.stack([f["requests/row"][:], f["requests/sample"][:].astype("u8")])
            return keys, f["requests/output_offset"][:], f["tokens/id"][:]

    @staticmethod
    def must(ended, codes, what):
        code, said = ended
        if code not in codes:
            raise Wrong(f"{what} ended with {code}, not {sorted(codes)}; it said:\n{said}")
        return said

    # ---- one story ----

    def begin(self, row):
        subprocess.run(["chmod", "-R", "u+w", self.out], stderr=subprocess.DEVNULL)
        shutil.rmtree(self.out, ignore_errors=True)
        if os.path.exists(self.mark):
            os.unlink(self.mark)
        if os.path.exists(self.prompts + ".was"):
            os.rename(self.prompts + ".was", self.prompts)
        self.write_job(row)

    def look(self):
        """What is there is right, and what is missing is counted."""
        code, said = self.check()
        if code == 66:
            return 0  # nothing sealed yet
        rows = re.search(r"checked (\d+) rows?", said)
        if code != 0 or not rows:
            raise Wrong(f"weft check says ({code}):\n{said}")
        n, missing = int(rows.group(1)), re.search(r"(\d+) rows? (?:is|are) missing", said)
        if n + (int(missing.group(1)) if missing else 0) not in (n, self.n_rows):
            raise Wrong(f"weft check counts wrongly:\n{said}")
        return n

    def complete(self, row):
        self.must(self.run(row.get("again_env")), {0}, "the run after the fault")
        said = self.must(self.check("--complete"), {0}, "weft check --complete")
        if f"checked {self.n_rows} rows (0 failed)" not in said:
            raise Wrong(f"weft check says:\n{said}")
        if row.get("same_tokens", True):
            for was, now in zip(self.tokens, self.read_tokens()):
                if not numpy.array_equal(was, now):
                    raise Wrong("the tokens are not those of an undisturbed run")

    def judge(self, row, ended):
        code, said = ended
        if code not in row["exits"]:
            raise Wrong(f"ended with {code}, not {sorted(row['exits'])[:5]}; it said:\n{said}")
        if code == 74 and not (self.out in said and re.search("run(ning)? again|sealed", said)):
            raise Wrong(f"names no path or no remedy; it said:\n{said}")
        for words in row.get("says", []):
            if not re.search(words, said):
                raise Wrong(f"does not say /{words}/; it said:\n{said}")

    def fill_in(self, env, n=None):
        words = {"%N": str(n), "%F": self.folder, "%D": os.path.dirname(self.shim),
                 "%L": os.environ.get("LD_LIBRARY_PATH", "")}
        return {k: re.sub("%[NFDL]", lambda m: words[m[0]], v) for k, v in env.items()}

    def story(self, row, n=None):
        """Returns how many rows were kept, and whether the fault struck."""
        self.begin(row)
        extra = self.fill_in(row.get("env", {}), n)
        of_rank = {r: self.fill_in(env) for r, env in row.get("env_of_rank", {}).items()}
        if "act" in row:
            ended = getattr(self.table, row["act"])(self, extra, row)
        else:
            ended = self.run(extra, row.get("arguments", ()), of_rank)
        struck = os.path.exists(self.mark)
        if row.get("struck") and not struck:
            raise Wrong(f"the fault did not strike; it said:\n{ended[1]}")
        if n is None or struck:
            self.judge(row, ended)
        elif ended[0] != 0:
            raise Wrong(f"failed although nothing struck:\n{ended[1]}")
        if row.get("restore"):
            getattr(self.table, row["restore"])(self)
        kept = self.look()
        if kept < row.get("keeps", 0):
            raise Wrong(f"kept {kept} rows, at least {row['keeps']} were promised")
        self.complete(row)
        return kept, struck


def numbers(bench, row, all_of_them):
    """The N of a row: all until nothing strikes, or a few of that range."""
    if all_of_them:
        n = 1
        while True:
            yield n
            if not os.path.exists(bench.mark):
                return
            n += 1
    bench.begin(row)  # how many such calls there are: count to a number that never comes
    env = bench.fill_in(row["env"], 10**9)
    env["FAILING_IO_COUNT"] = bench.mark + ".count"
    bench.must(bench.run(env), {0}, "counting")
    with open(bench.mark + ".count") as f:
        last = int(f.read())
    for i in range(SAMPLED):
        yield 1 + i * (last - 1) // (SAMPLED - 1)


def tell(row, bench, options):
    started, kept, n_struck = time.monotonic(), [], 0
    for n in numbers(bench, row, options.all) if row.get("each_n") else [None]:
        try:
            k, struck = bench.story(row, n)
        except (Wrong, AssertionError) as e:
            print(f"FAILED  {row['name']}{'' if n is None else f', N = {n}'}: {e}")
            return False
        kept.append(k)
        n_struck += struck
    times = f", {n_struck} times" if row.get("each_n") else ""
    print(f"ok  {row['name']}{times}: kept {min(kept)} to {max(kept)} of {bench.n_rows} rows "
          f"({time.monotonic() - started:.1f} s)", flush=True)
    return True


def can_be_told(row, options):
    """Rows about GPUs need some, or the module that would open them."""
    n, module = gpu_table.count_devices(), os.path.join(os.path.dirname(options.weft), "libweft_cuda.so")
    lacks = (f"needs {row['needs']} GPUs, {n} seen" if row.get("needs", 0) > n else
             "this build has no CUDA" if row.get("cuda") and not os.path.exists(module) else None)
    if lacks:
        print(f"skipped  {row['name']}: {lacks}")
    return not lacks


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("weft")
    p.add_argument("shim")
    p.add_argument("--device", help="the library made of failing_device.c: faults of GPUs")
    p.add_argument("--all", action="store_true", help="every N, not a few of each range")
    p.add_argument("--only", default="", help="rows whose name holds this word")
    p.add_argument("--list", action="store_true")
    options = p.parse_args()
    table = gpu_table if options.device else fault_table
    rows = [r for r in table.ROWS
            if options.only in r["name"] and (options.all or options.only or not r.get("hand"))]
    if options.list:
        print("\n".join(r["name"] for r in rows))
        return 0
    rows = [r for r in rows if can_be_told(r, options)]
    if not rows:
        return 77
    with tempfile.TemporaryDirectory(prefix="weft-faults-") as folder:
        bench = Bench(os.path.abspath(options.weft), os.path.abspath(options.shim),
                      options.device and os.path.abspath(options.device), folder)
        failed = sum(not tell(row, bench, options) for row in rows)
    print(f"{len(rows) - failed} of {len(rows)} rows hold")
    return 1 if failed else 0


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main())
