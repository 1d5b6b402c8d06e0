"""Small jobs of the demo model, and their results by numpy: what the tests of the tools run on."""
import contextlib
import json
import os
import subprocess
import sys
import tempfile

SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))


class Jobs:
    """A folder of streams and outputs; everything runs in it."""

    def __init__(self, weft, folder):
        self.weft, self.folder = os.path.abspath(weft), folder

    def path(self, name):
        return os.path.join(self.folder, name)

    def weft_run(self, *words, code=0, env=None):
        """Standard output; standard error stays in self.said."""
        done = subprocess.run([self.weft, *words], cwd=self.folder, capture_output=True,
                              env={**os.environ, **(env or {})})
        self.said = done.stderr.decode("utf-8", "replace")
        out = done.stdout.decode("utf-8", "replace")
        assert done.returncode == code, (words, done.returncode, out[:2000], self.said)
        return out

    def pack(self, name, rows):
        with open(self.path(name + ".jsonl"), "w", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
        self.weft_run("pack", name + ".jsonl", "-o", name + ".h5", "--vocab", "10000")

    def run(self, out, *streams, code=0, **settings):
        """settings: dots of a key as double underscores."""
        words = [f"{key.replace('__', '.')}={value}" for key, value in settings.items()]
        job = self.path("job.yaml")
        with open(job, "w", encoding="utf-8") as file:
            file.write(f"model: {{path: {SOURCE}/jobs/demo/model}}\n"
                       f"requests: [{', '.join(s + '.h5' for s in streams)}]\n"
                       "engine: {kv_memory: 64MiB, max_context: 256}\nparallel: {backend: cpu}\n")
        sets = [word for pair in words for word in ("--set", pair)]
        return self.weft_run("run", job, "--out", out, *sets, code=code)

    def rows(self, path):
        """{(uid, row, sample): {column: value}} of a results file, by h5py."""
        import h5py
        with h5py.File(self.path(path), "r") as file:
            uids = [uid.decode() for uid in file["shards/uid"][:]]
            n = len(file["requests/row"])
            plain = {k: v[:] for k, v in file["requests"].items() if v.shape == (n,)}
            ends = file["requests/output_offset"][:].astype(int)
            tokens = {k: v[:] for k, v in file["tokens"].items()}
            found = {}
            for i in range(n):
                row = {k: v[i].item() for k, v in plain.items()}
                row.update((f"tokens/{k}", v[ends[i]:ends[i + 1]]) for k, v in tokens.items())
                found[uids[row["shard"]], row["row"], row["sample"]] = row
            return found


@contextlib.contextmanager
def demo_jobs(weft):
    try:
        import h5py  # noqa: F401
    except ImportError:
        print("skipped: no h5py (python3-h5py)")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        yield Jobs(weft, folder)


def prompts(n_rows, first=0, **more):
    """Questions that the demo model can answer."""
    return [{"prompt_token_ids": list(f"add:{100 + i}+{7 * i % 100}=".encode()),
             "max_new_tokens": 2 + i % 11, **more} for i in range(first, first + n_rows)]
