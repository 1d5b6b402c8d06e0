"""Faults of GPUs, one row each; columns as in fault_table.py, and

needs        GPUs without which the row is left out, aloud
env_of_rank  environment of single ranks
engine       more keys of the job file
struck       the fault leaves its mark, or the row has shown nothing

`deterministic` is on and the model's groups of 1 and 2 give the same bits, so the tokens after every
fault are held against those of the undisturbed run on one GPU.
"""
import ctypes
import os
import re
import socket
import subprocess
import sys

ROWS = []
HOST = re.escape(socket.gethostname())
GIB = 2**30


def row(name, **columns):
    ROWS.append(dict(dict(name=name, needs=1), **columns))


def count_devices():
    """Devices of this machine that a job started here would see."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([d for d in visible.split(",") if d])
    return len([d for d in os.listdir("/dev") if re.fullmatch(r"nvidia\d+", d)])


# ---- what the ranks see -------------------------------------------------------------------------

row("no GPU is visible", env={"CUDA_VISIBLE_DEVICES": ""}, exits={70},
    says=[f"{HOST}: no .*CUDA_VISIBLE_DEVICES", "--gpus-per-node", "parallel.backend: cpu"])
row("a driver too old", env={"LD_LIBRARY_PATH": "%D/old-driver:%L"}, exits={70},
    says=[f"{HOST}: its driver is for CUDA 11.4, this build needs CUDA", "update the driver"])
row("one of two ranks sees no GPU", ranks=2, env_of_rank={1: {"CUDA_VISIBLE_DEVICES": ""}},
    exits={70}, says=[rf"r(ank )?1 .*{HOST}: no GPU is visible", "--gpus-per-node"])
row("two ranks, one GPU", ranks=2, env={"CUDA_VISIBLE_DEVICES": "0"}, exits={70},
    says=[f"{HOST}: 2 ranks see the same single device", "--gpus-per-node=2"])
row("ranks with different device counts", ranks=2, needs=2, exits={70},
    env_of_rank={0: {"CUDA_VISIBLE_DEVICES": "0,1"}, 1: {"CUDA_VISIBLE_DEVICES": "0"}},
    says=[f"{HOST}: its ranks see different devices: rank 0 2 .*rank 1 1 ", "--gpus-per-node"])

# ---- memory -------------------------------------------------------------------------------------


def hold_memory(left):
    """Takes the first device's memory but for `left` bytes; gives it back when the process ends."""
    cuda = ctypes.CDLL("libcuda.so.1")
    device, context = ctypes.c_int(), ctypes.c_void_p()
    free, total, at = ctypes.c_size_t(), ctypes.c_size_t(), ctypes.c_uint64()

    def must(rc):
        if rc != 0:
            sys.exit(f"hold_memory: {rc}")

    must(cuda.cuInit(0))
    must(cuda.cuDeviceGet(ctypes.byref(device), 0))
    must(cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), device))
    must(cuda.cuCtxSetCurrent(context))
    must(cuda.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total)))
    must(cuda.cuMemAlloc_v2(ctypes.byref(at), ctypes.c_size_t(free.value - left)))
    print("held", flush=True)
    sys.stdin.read()


def run_beside(bench, extra, row):
    """Another process has nearly all of the device's memory."""
    other = subprocess.Popen([sys.executable, __file__, str(row["left"])], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True)
    try:
        if other.stdout.readline() != "held\n":
            raise AssertionError("the device's memory could not be taken")
        return bench.run(extra, row.get("arguments", ()))
    finally:
        other.communicate()


row("another process has the memory, all of it", act="run_beside", left=64 << 20, exits={70},
    says=[f"device 0.* on {HOST}", "memory"])
row("another process has the memory, but for 2 GiB", act="run_beside", left=2 * GIB, exits={70, 78},
    arguments=["--set", "engine.kv_memory=4GiB"], says=["GiB", "engine.kv_memory"])
row("KV memory that no device has", arguments=["--set", "engine.kv_memory=10TiB"], exits={78}, says=["10240.00 GiB", "free"])
row("the memory is gone in the middle", arrivals="replay", exits={0, 70},
    env={"WEFT_FAULT": "usr2@step=100", "FAILING_DEVICE": "memory"}, struck=True)

# ---- a device that fails ------------------------------------------------------------------------

STICKY = rf"device \d+ \(.*\) on {HOST}: .*illegal memory access.*sealed results stay"

row("a sticky error in prefill", exits={70}, says=[STICKY], struck=True,
    env={"WEFT_FAULT": "usr2@step=1", "FAILING_DEVICE": "illegal"})
row("a sticky error in decode", arrivals="replay", exits={70}, says=[STICKY], keeps=1, struck=True,
    env={"WEFT_FAULT": "usr2@step=150", "FAILING_DEVICE": "illegal"})
row("a sticky error on one of two ranks", ranks=2, tensor=2, needs=2, exits={70}, says=[STICKY],
    env={"WEFT_FAULT": "usr2@step=40,rank=1", "FAILING_DEVICE": "illegal"}, struck=True)
row("a sticky error on one of two replicas", ranks=2, needs=2, exits={70}, says=[STICKY],
    env={"WEFT_FAULT": "usr2@step=40,rank=1", "FAILING_DEVICE": "illegal"}, struck=True)
row("a sticky error in one of two groups: the other goes on", needs=2, exits={0}, struck=True,
    parallel="replicas: 2, layout: groups", says=["illegal memory access"],
    env={"WEFT_FAULT": "usr2@step=20,once=%F/once", "FAILING_DEVICE": "illegal"})

# ---- peers --------------------------------------------------------------------------------------

row("a rank has another NCCL", ranks=2, tensor=2, needs=2, exits={70},
    engine="deterministic: true, all_reduce: nccl", env_of_rank={1: {"WEFT_NCCL": "%D/../gpu/libother_nccl.so"}},
    says=[rf"rank 1 on {HOST} has version 2.18.5, the group's first rank 2\.\d+"])
row("a rank cannot be reached", ranks=2, tensor=2, needs=2, exits={70}, parallel="peer_limit: 5s",
    engine="deterministic: true, all_reduce: nccl",
    env_of_rank={1: {"NCCL_SOCKET_IFNAME": "=nosuch0"}}, says=[HOST, "NCCL"])
row("a rank stands still", ranks=2, tensor=2, needs=2, exits={70}, parallel="peer_limit: 2s",
    env={"WEFT_FAULT": "stop@step=40,rank=1"}, arrivals="replay",
    says=[rf"group 0, rank 0 of 2 \(device 0 on {HOST}\), step \d+: nothing came from rank 1"])
row("a rank is killed", ranks=2, tensor=2, needs=2, exits=set(range(1, 256)), arrivals="replay",
    parallel="peer_limit: 2s", env={"WEFT_FAULT": "kill@step=40,rank=1"})

if __name__ == "__main__":
    hold_memory(int(sys.argv[1]))
