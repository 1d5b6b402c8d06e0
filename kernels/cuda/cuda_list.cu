// Lists the devices that this process may use, without making a context on any of them.
#include <climits>
#include <cstdio>
#include <cstdlib>

#include <cstring>
#include <unistd.h>

#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/cuda_impl.cuh"

static wf_status no_devices(cudaError_t e, int driver, int runtime)
{
    char host[HOST_NAME_MAX + 1] = "this host";
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");
    (void)cudaGetLastError();
    (void)gethostname(host, sizeof host - 1);
    if (e == cudaErrorInsufficientDriver || (driver > 0 && driver / 1000 < runtime / 1000))
        return wf_fail(WF_DEVICE,
                       "%s: its driver is for CUDA %d.%d, this build needs CUDA %d.%d; update the "
                       "driver, or build with that toolkit",
                       host, driver / 1000, driver % 1000 / 10, runtime / 1000,
                       runtime % 1000 / 10);
    if (e == cudaErrorNoDevice || e == cudaSuccess)
        return wf_fail(WF_DEVICE,
                       "%s: no GPU is visible (CUDA_VISIBLE_DEVICES%s%s); ask for some "
                       "(sbatch --gpus-per-node=N) or set parallel.backend: cpu",
                       host, visible != nullptr ? "=" : " is not set",
                       visible != nullptr ? visible : "");
    return wf_fail(WF_DEVICE,
                   "%s: cudaGetDeviceCount: %s (%s); look at nvidia-smi and dmesg there, keep the "
                   "node out (--exclude=%s), or set parallel.backend: cpu",
                   host, cudaGetErrorString(e), cudaGetErrorName(e), host);
}

// "0000:3b:00.0", in lower case as sysfs has it.
static void pci_name(int device, char out[WF_CUDA_PCI_MAX])
{
    if (cudaDeviceGetPCIBusId(out, WF_CUDA_PCI_MAX, device) != cudaSuccess) out[0] = '\0';
    for (char *c = out; *c != '\0'; c++)
        if (*c >= 'A' && *c <= 'Z') *c = (char)(*c - 'A' + 'a');
}

static uint64_t id_of(const cudaUUID_t *uuid)
{
    uint64_t id = 14695981039346656037ull; // FNV-1a: 16 bytes that differ give 8 that differ
    for (int i = 0; i < 16; i++)
        id = (id ^ (unsigned char)uuid->bytes[i]) * 1099511628211ull;
    return id;
}

extern "C" wf_status wf_cuda_list_devices(wf_cuda_devices *out)
{
    int n = 0, driver = 0, runtime = 0;
    memset(out, 0, sizeof *out);
    (void)cudaDriverGetVersion(&driver);
    (void)cudaRuntimeGetVersion(&runtime);
    out->driver_version = driver;
    out->runtime_version = runtime;
    cudaError_t e = cudaGetDeviceCount(&n);
    out->broken = e != cudaSuccess && e != cudaErrorNoDevice;
    if (e != cudaSuccess || n == 0) return no_devices(e, driver, runtime);
    out->n = n < WF_CUDA_MAX_DEVICES ? n : WF_CUDA_MAX_DEVICES;
    for (int i = 0; i < out->n; i++) {
        cudaDeviceProp prop;
        wf_cuda_gpu *d = &out->device[i];
        e = cudaGetDeviceProperties(&prop, i);
        if (e != cudaSuccess) return no_devices(e, driver, runtime);
        snprintf(d->name, sizeof d->name, "%.90s", prop.name);
        d->total_bytes = prop.totalGlobalMem;
        d->major = prop.major;
        d->minor = prop.minor;
        d->id = id_of(&prop.uuid);
        pci_name(i, d->pci);
    }
    return WF_OK;
}
