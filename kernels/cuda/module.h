// The module weft_cuda: everything that needs CUDA libraries, opened at run time.
//
//   executable --dlopen--> libweft_cuda.so --links--> libcublasLt, libnccl (libcuda through cudart)
//
// One binary thus serves machines with and without a GPU, a driver or the libraries. The module has
// one entry, wf_cuda_module_enter(). It records errors through the host's functions, so that
// wf_error() of the executable shows them. Both sides must be of one build; each says so by the
// same number, made of what they share (wf_cuda_module_version). Local.
#ifndef WF_KERNELS_CUDA_MODULE_H
#define WF_KERNELS_CUDA_MODULE_H

#include <stdarg.h>
#include <stdint.h>

#include "io/base/status.h"
#include "kernels/backend.h"

#define WF_CUDA_MODULE_FILE  "libweft_cuda.so"
#define WF_CUDA_MODULE_ENTRY "wf_cuda_module_enter"

// What the module uses of its host. Borrowed for the life of the process.
typedef struct wf_cuda_host {
    wf_status (*fail_v)(wf_status status, const char *format, va_list args);
    const char *(*error)(void);
    void (*log)(int level, const char *text); // level is a wf_log_level
} wf_cuda_host;

enum { WF_CUDA_MAX_DEVICES = 32, WF_CUDA_PCI_MAX = 16 };

typedef struct wf_cuda_gpu {
    char name[96];
    char pci[WF_CUDA_PCI_MAX]; // "0000:3b:00.0"; "" when not known
    uint64_t id;               // of its UUID: parts of one device (MIG) differ
    uint64_t total_bytes;
    int major, minor; // compute capability
} wf_cuda_gpu;

typedef struct wf_cuda_devices {
    int driver_version, runtime_version; // 13000 is CUDA 13.0; what the driver offers, we need
    int n;
    bool broken; // there is a driver and it fails, or is too old: not just a host without a GPU
    wf_cuda_gpu device[WF_CUDA_MAX_DEVICES];
} wf_cuda_devices;

typedef struct wf_cuda_module {
    const wf_backend_ops *backend;
    wf_status (*list)(wf_cuda_devices *out);
    const void *comm; // engine/comm/comm_nccl.h knows its type; NULL: built without NCCL
} wf_cuda_module;

// The entry's type, the same in all builds. NULL when the versions differ. Borrowed, static.
typedef const wf_cuda_module *wf_cuda_module_enter_fn(uint64_t version, const wf_cuda_host *host);

// A hash of the operations, number formats and structs that host and module exchange. Local.
uint64_t wf_cuda_module_version(void);

// Opens the module once per process: from WEFT_MODULE_DIR, else from the executable's folder, else
// from ../lib/weft or ../lib beside that, as installed. Errors: WF_NOT_BUILT (no such file),
// WF_DEVICE (no driver, or a library of the module is missing), WF_MISMATCH (of another build).
wf_status wf_cuda_module_get(const wf_cuda_module **out);

// The module's back end. Errors as above.
wf_status wf_cuda_module_backend(const wf_backend_ops **out);

// Which number formats the kernels compute together, and in what: wf_backend_numerics() of "cuda",
// known to the executable, so that a job is refused where there is no device. Pure.
wf_status wf_cuda_numerics(wf_numerics *numerics);

// The devices that this process may use; makes no context, so it costs no device memory. Errors:
// those above; WF_DEVICE with host, cause (no driver, one too old with both versions, no device
// visible) and remedy in one line.
wf_status wf_cuda_list(wf_cuda_devices *out);

#endif
