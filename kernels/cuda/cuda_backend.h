// The CUDA back end's table, inside the module (module.h).
#ifndef WF_KERNELS_CUDA_BACKEND_H
#define WF_KERNELS_CUDA_BACKEND_H

#ifdef __cplusplus
extern "C" {
#endif

#include "kernels/backend.h"
#include "kernels/cuda/module.h"

extern const wf_backend_ops wf_cuda_ops;

// The CUDA stream behind a stream of the back end (NULL: the default one), as a cudaStream_t.
// Borrowed. Local.
void *wf_cuda_stream_handle(wf_backend *be, wf_stream *s);
int wf_cuda_device(wf_backend *be);
// Makes the back end's device the calling thread's.
wf_status wf_cuda_use(wf_backend *be);

// What the module's entry gives as `list`. Local.
wf_status wf_cuda_list_devices(wf_cuda_devices *out);

#ifdef __cplusplus
}
#endif
#endif
