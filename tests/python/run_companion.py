#!/usr/bin/env python3
"""Makes a wheel of io/python, installs it into a virtual environment and runs test_companion_*.py.

The environment is kept in the build folder and used again while the package's requirements stay the
same; the package itself is installed anew each time. Exit 77 (skipped) when it cannot be made
because no package index can be reached.
"""

import argparse
import glob
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import venv

SKIP = 77


def say_skip(why):
    print(f"skipped: {why}", flush=True)
    return SKIP


def pip(python, *args):
    return subprocess.run([python, "-m", "pip", "--disable-pip-version-check", *args],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def make_environment(folder, package):
    """The environment's python with the package's requirements installed, or None and why."""
    python = os.path.join(folder, "bin", "python")
    with open(os.path.join(package, "pyproject.toml"), "rb") as file:
        wanted = hashlib.sha256(file.read()).hexdigest()
    mark = os.path.join(folder, "installed")
    if os.path.isfile(mark) and open(mark, encoding="ascii").read() == wanted:
        return python, None
    venv.create(folder, with_pip=True, clear=True)
    done = pip(python, "install", "-q", "setuptools>=61", "wheel", f"{package}[all]")
    if done.returncode != 0:
        return None, done.stdout
    with open(mark, "w", encoding="ascii") as file:
        file.write(wanted)
    return python, None


def index_unreachable(output):
    signs = ("Could not find a version", "No matching distribution", "Max retries", "timed out",
             "Temporary failure", "Connection")
    return any(sign in output for sign in signs)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--echo", required=True, help="the shard_echo program")
    parser.add_argument("--weft", required=True, help="the program")
    parser.add_argument("--source", required=True, help="the repository")
    parser.add_argument("--env", required=True, help="folder for the virtual environment")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:  # pip builds in the source's folder
        package = os.path.join(folder, "weft-text")
        shutil.copytree(os.path.join(args.source, "io", "python"), package)
        try:
            python, why = make_environment(args.env, package)
        except subprocess.CalledProcessError as error:
            return say_skip(f"python3 -m venv does not work here (python3-venv): {error}")
        if python is None:
            print(why)
            return say_skip("pip reaches no package index") if index_unreachable(why) else 1
        wheels = os.path.join(folder, "wheels")
        done = pip(python, "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", wheels, package)
        if done.returncode == 0:
            done = pip(python, "install", "-q", "--no-deps", "--force-reinstall",
                       *glob.glob(os.path.join(wheels, "weft_text-*.whl")))
        if done.returncode != 0:
            print(done.stdout)
            return 1
    tests = os.path.dirname(os.path.abspath(__file__))
    environment = {**os.environ, "WEFT_SHARD_ECHO": args.echo, "WEFT_SOURCE": args.source,
                   "WEFT_PROGRAM": args.weft,
                   "PATH": os.path.join(args.env, "bin") + os.pathsep + os.environ["PATH"]}
    environment.pop("PYTHONPATH", None)
    return subprocess.run([python, "-m", "unittest", "discover", "-v", "-s", tests,
                           "-p", "test_companion_*.py"], env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
