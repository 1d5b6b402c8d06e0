#!/usr/bin/env python3
"""Types half a command line and a TAB into real shells, with the completion that weft prints.

usage: test_completion.py WEFT bash|zsh|fish      skips (77) where that shell is not installed

In bash and zsh `weft` is a function that prints its words, so that a row says what was typed (tabs
included) and what arrived. fish says itself what it would offer.
"""
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time

# What is typed behind "weft ", and the words that arrive.
ROWS = [
    ("ru\t", ["run"]),
    ("run --fresh-\t", ["run", "--fresh-if-finished"]),
    ("run --set engine.reo\tco\t", ["run", "--set", "engine.reorder=copy"]),
    ("run -s parallel.back\tcp\t jo\t", ["run", "-s", "parallel.backend=cpu", "job.yaml"]),
    ("run --set=engine.deter\ttr\t", ["run", "--set=engine.deterministic=true"]),
    ("run --out fol\t", ["run", "--out", "folder"]),
    ("run --set output.dir=fol\t", ["run", "--set", "output.dir=folder"]),
    ("import moo\t lo\t", ["import", "mooncake", "log.csv"]),
    ("plan --device-m\t 1\t", ["plan", "--device-memory", "1"]),
    ("status fol\t", ["status", "folder"]),
    ("help exit\t", ["help", "exit-codes"]),
    ("help compl\t", ["help", "completion"]),
    ("--vers\t", ["--version"]),
]

# What is typed, and one of what fish offers.
OFFERS = [
    ("weft ru", "run"),
    ("weft run --fresh-", "--fresh-if-finished"),
    ("weft run --set engine.reo", "engine.reorder=copy"),
    ("weft run --set engine.max_r", "engine.max_rows="),
    ("weft run jo", "job.yaml"),
    ("weft run --out fol", "folder/"),
    ("weft import moo", "mooncake"),
    ("weft help exit", "exit-codes"),
    ("weft --vers", "--version"),
]

START = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
}
PREPARE = {
    "bash": "bind 'set bell-style none'; bind 'set enable-bracketed-paste off'; . ./_weft",
    "zsh": "unsetopt beep list_beep; fpath=($PWD $fpath); autoload -Uz compinit; compinit -u -D",
}


class Shell:
    """An interactive shell on a terminal of its own."""

    def __init__(self, name):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.environ.update(PS1="$ ", TERM="dumb", LC_ALL="C.UTF-8")
            os.execvp(START[name][0], START[name])
        self.type(PREPARE[name])
        self.type("weft() { printf '<%s>' \"$@\"; echo ' do''ne'; }")

    def type(self, text):
        os.write(self.terminal, text.encode() + b"\n")

    def words_of(self, typed):
        """What `weft` was called with, without the slash behind folders, which zsh takes back."""
        self.type("weft " + typed)
        seen, end = "", time.monotonic() + 20
        while time.monotonic() < end:
            seen += self.read(0.5)
            found = re.search(r"((?:<[^>]*>)+) done", seen)
            if found:
                return [word.rstrip("/") for word in re.findall(r"<([^>]*)>", found.group(1))], seen
        return None, seen

    def read(self, seconds):
        if not select.select([self.terminal], [], [], seconds)[0]:
            return ""
        return os.read(self.terminal, 65536).decode(errors="replace")


def check_typed(name):
    shell = Shell(name)
    wrong = 0
    for typed, expected in ROWS:
        words, seen = shell.words_of(typed)
        if words != expected:
            wrong += 1
            print(f"{name}: weft {typed!r}: {words}, expected {expected}\n{seen!r}")
    return wrong


def check_fish():
    wrong = 0
    for typed, expected in OFFERS:
        done = subprocess.run(["fish", "--no-config", "-c", f"source ./_weft; complete -C '{typed}'"],
                              stdout=subprocess.PIPE, text=True)
        offers = [line.split("\t")[0] for line in done.stdout.splitlines()]
        if expected not in offers:
            wrong += 1
            print(f"fish: {typed!r}: {offers}, expected {expected}")
    return wrong


def main():
    weft, name = os.path.abspath(sys.argv[1]), sys.argv[2]
    if not shutil.which(name):
        print(f"skipped: {name} is not installed")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.mkdir("folder")
        for file in ("job.yaml", "job.txt", "log.csv"):
            open(file, "w").close()
        with open("_weft", "wb") as script:
            script.write(subprocess.check_output([weft, "help", "completion", name]))
        wrong = check_fish() if name == "fish" else check_typed(name)
        os.chdir("/")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
