"""What memory is planned, and what happens when there is less.

usage: test_memory.py WEFT

`weft plan` for devices that are not here; then the real program under an address space limit: KV
memory given as a share shrinks until it fits, KV memory given in bytes fails with the number.
"""
import os
import re
import resource
import subprocess
import sys
import tempfile

SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
MODELS = os.path.join(SOURCE, "results", "studies", "models")
GIB = 1 << 30


def available():
    with open("/proc/meminfo", encoding="ascii") as f:
        return 1024 * int(re.search(r"^MemAvailable: +(\d+)", f.read(), re.M).group(1))


def main():
    weft = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        log, shard = os.path.join(folder, "r.csv"), os.path.join(folder, "r.h5")
        job = os.path.join(folder, "job.yaml")
        with open(log, "w", encoding="ascii") as f:
            f.write("arrival_s,input_tokens,output_tokens\n" + "0,8,16\n" * 4)
        subprocess.run([weft, "import", "csv", log, "-o", shard, "--vocab", "256"], check=True,
                       stdout=subprocess.DEVNULL)
        with open(job, "w", encoding="ascii") as f:
            f.write(f"job: memory\nmodel: {{path: {SOURCE}/jobs/demo/model}}\nrequests: [{shard}]\n"
                    f"parallel: {{backend: cpu}}\nsampling: {{ignore_eos: true}}\n"
                    f"output: {{dir: {folder}/out}}\n")

        def run(*args, limit=None):
            def shrink():
                resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
            env = dict(os.environ, WEFT_PROGRESS="off", OMP_NUM_THREADS="1")
            done = subprocess.run([weft, *args], capture_output=True, text=True, env=env,
                                  check=False, preexec_fn=shrink if limit else None)
            return done.returncode, done.stdout + done.stderr

        def plan(model, tensor, memory):
            return run("plan", job, "--set", f"model.path={MODELS}/{model}",
                       "--set", "model.weights=random", "--set",
                       f"parallel.tensor={tensor}", "--device-memory", memory)

        code, said = plan("llama-3-70b", 1, "141GB")
        assert code == 78 and "a rank needs" in said and "weights 131.4" in said, (code, said)
        code, said = plan("llama-3-70b", 2, "141GB")
        assert code == 0, said
        pages = int(re.search(r"KV .*: (\d+) pages", said).group(1))
        assert 5000 < pages < 6450 and "communicators" in said, said
        code, said = plan("llama-3-8b", 1, "80GB")
        assert code == 0 and "captured steps" in said and "communicators" not in said, said

        share = 1.2 * GIB / available()
        code, said = run("run", job, "--set", f"engine.kv_memory={share:.6f}", limit=900_000_000)
        assert code == 0 and "4 done, 0 failed" in said, said
        assert re.search(r"cannot be had.*going on with 0\.\d+ GiB of KV memory instead of 1\.", said)
        code, said = run("run", job, "--fresh", "--set", "engine.kv_memory=2GiB", limit=900_000_000)
        assert code not in (0, 75) and "2147483648 bytes cannot be had" in said, (code, said)
        assert "going on" not in said, said
    return 0


sys.exit(main())
