"""weft top on a pseudo terminal and on a pipe, while a job of the demo model runs.

usage: test_top.py WEFT
"""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, words, columns, lines):
        self.leader, follower = pty.openpty()
        self.resize(columns, lines)
        self.before = termios.tcgetattr(follower)
        self.follower, self.seen = follower, b""
        self.child = subprocess.Popen(words, stdin=follower, stdout=follower, stderr=follower,
                                      start_new_session=True, preexec_fn=self.own_terminal,
                                      env={**os.environ, "LC_ALL": "C.UTF-8"})

    def own_terminal(self):
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def resize(self, columns, lines):
        size = struct.pack("HHHH", lines, columns, 0, 0)
        fcntl.ioctl(self.leader, termios.TIOCSWINSZ, size)

    def cpu_s(self):
        with open(f"/proc/{self.child.pid}/stat", encoding="ascii") as file:
            words = file.read().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def read(self, seconds=0.0, until=None):
        """What has come since the last read."""
        got, end = b"", time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 or not got:
            if select.select([self.leader], [], [], max(0.0, left))[0]:
                got += os.read(self.leader, 65536)
            elif left <= 0:
                break
            if until and until in got:
                break
        self.seen += got
        return got

    def ends(self, code=0):
        self.read(20.0, until=LEAVE)
        assert self.child.wait(10) == code, (self.child.returncode, self.seen[-2000:])
        assert self.seen.count(ENTER) == self.seen.count(LEAVE)
        assert self.seen.rstrip().endswith(LEAVE)
        assert termios.tcgetattr(self.follower) == self.before, "the terminal is not as it was"
        os.close(self.leader)
        os.close(self.follower)


def columns(frame):
    """Of each line of the last whole frame."""
    text = frame.decode("utf-8", "replace").split("\x1b[H")[-1]
    return [len(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).rstrip("\r"))
            for line in text.split("\n")]


def grows(frames):
    """Whether the bar of some request grew from one frame to the next."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", frames.decode("utf-8", "replace"))
    seen = {}
    for row, n in re.findall(r"(0:\d+\.0) .* \d+ \+ (\d+) of", text):
        seen.setdefault(row, set()).add(int(n))
    return any(len(counts) > 1 for counts in seen.values())


def make_job(weft, folder):
    words = [weft, "import", "constant", "--rate", "20", "-n", "60", "--input-tokens", "20",
             "--output-tokens", "3900", "-o", "p.h5", "--model", f"{SOURCE}/jobs/demo/model"]
    subprocess.run(words, cwd=folder, check=True, capture_output=True)
    with open(os.path.join(folder, "job.yaml"), "w", encoding="utf-8") as file:
        file.write(f"model: {{path: {SOURCE}/jobs/demo/model}}\nrequests: [p.h5]\n"
                   "sampling: {ignore_eos: true}\narrivals: {mode: replay}\n"
                   "parallel: {backend: cpu}\noutput: {drain: 0s}\n"
                   "engine: {kv_memory: 64MiB, max_rows: 8, max_context: 4096}\n")
    return subprocess.Popen([weft, "run", "job.yaml", "--out", "out"], cwd=folder,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                            env={**os.environ, "WEFT_PROGRESS": "off"})


def wait_for_rows(folder):
    path = os.path.join(folder, "out", "status", "rank-0.json")
    for _ in range(400):
        try:
            with open(path, encoding="utf-8") as file:
                if '"in_flight": 8' in file.read():
                    return
        except FileNotFoundError:
            pass
        time.sleep(0.1)
    raise AssertionError("the job has not begun")


def wait_until_stopped(pid):
    for _ in range(400):
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            if file.read().rsplit(")", 1)[1].split()[0] == "T":
                return
        time.sleep(0.05)
    raise AssertionError("Ctrl-Z did not stop it")


# What was asked for is waited for: how soon it comes is the machine's affair.
def on_a_terminal(weft, out):
    top = Terminal([weft, "top", out], 100, 24)
    first = top.read(30.0, until=b"of 3900")
    first += top.read(0.3)
    assert ENTER in first and b"in the batch" in first, first
    before_s, began = top.cpu_s(), time.monotonic()
    later = top.read(3.5)
    share = (top.cpu_s() - before_s) / (time.monotonic() - began)
    assert share < 0.1, f"{share:.1%} of a core"  # it sleeps; results/studies/tools has the figure
    for _ in range(20):
        if not grows(first + later):
            later += top.read(1.5)
    assert grows(first + later)
    for width, height in ((40, 8), (17, 3), (150, 50)):
        top.resize(width, height)
        frame = top.read(0.6)
        for _ in range(20):
            if max(columns(frame)) > width or len(columns(frame)) > height:
                frame = top.read(0.6)
        assert max(columns(frame)) <= width and len(columns(frame)) <= height, columns(frame)
    os.write(top.leader, b"\x1a")  # Ctrl-Z
    top.read(20.0, until=LEAVE)
    wait_until_stopped(top.child.pid)
    os.kill(top.child.pid, signal.SIGCONT)
    assert ENTER in top.read(20.0, until=b"quits")
    os.write(top.leader, b"q")
    top.ends()
    for leave in (lambda t: os.write(t.leader, b"\x03"),
                  lambda t: os.kill(t.child.pid, signal.SIGTERM)):
        top = Terminal([weft, "top", out], 80, 24)
        top.read(20.0, until=b"quits")
        leave(top)
        top.ends()


def main(weft):
    weft = os.path.abspath(weft)
    with tempfile.TemporaryDirectory() as folder:
        job = make_job(weft, folder)
        out = os.path.join(folder, "out")
        try:
            wait_for_rows(folder)
            on_a_terminal(weft, out)
        finally:
            job.terminate()
            job.wait(60)
        done = subprocess.run([weft, "top", out], capture_output=True, text=True)
        assert done.returncode == 0 and done.stdout.count("\n") == 1, done
        assert "/60 requests" in done.stdout and "drained" in done.stdout, done
        done = subprocess.run([weft, "top", out, "--interval", "1ms"], capture_output=True, text=True)
        assert done.returncode == 64 and "--interval" in done.stderr
        done = subprocess.run([weft, "top", "nowhere"], capture_output=True, text=True)
        assert done.returncode == 66, done


if __name__ == "__main__":
    main(sys.argv[1])
