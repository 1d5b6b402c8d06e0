// What the files of the CUDA back end share: its state, error conversion, scratch, launches.
#ifndef WF_KERNELS_CUDA_IMPL_CUH
#define WF_KERNELS_CUDA_IMPL_CUH

#include <cublasLt.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <utility>

extern "C" {
#include "io/base/status.h"
#include "kernels/op_check.h"
#include "kernels/weight.h"
}

struct wf_gemm_book; // plans found so far (cuda_gemm_book.h)
struct wf_gemm_own;  // an own kernel (cuda_gemm.cuh)

// Workspace of cuBLASLt; Hopper's kernels ask for 32 MiB.
#define WF_LT_WORKSPACE_BYTES ((size_t)64 << 20)

#define WF_CUDA_MAX_OUTGROWN 64
#define WF_CUDA_MAX_PINNED   64

// A stream owns what its operations write beside their outputs: they run in order, so they share.
struct wf_stream {
    cudaStream_t s;
    void *lt_workspace;
    char *scratch; // grows to the largest use, then stays
    size_t scratch_bytes;
    int32_t *counters; // zero between operations
    size_t n_counters;
    void *outgrown[WF_CUDA_MAX_OUTGROWN]; // former ones: captured steps may still use them
    int n_outgrown;
    bool capturing;
};

// A block of pinned host memory that kernels may read and write.
struct wf_pinned {
    const char *begin, *end;
};

struct wf_event {
    cudaEvent_t e;
};

struct wf_graph {
    cudaGraphExec_t exec;
};

struct wf_cuda {
    wf_backend base;
    int device, n_sms, cc_major;
    bool deterministic; // wf_backend_config.deterministic
    bool overlap;       // the code in use can wait for the kernel before it: launch it early
    void *encode_map;   // the driver's cuTensorMapEncodeTiled where the code in use is Hopper's
    wf_numerics numerics;
    char gpu[64], host[64];
    cublasLtHandle_t lt;
    wf_gemm_book *book;
    const wf_gemm_own *gemm_own; // that is to be taken wherever it fits, for tests; else NULL
    wf_stream main;              // the default stream
    wf_pinned pinned[WF_CUDA_MAX_PINNED];
    int n_pinned;
};

#define WF_N_ROW_BUCKETS 40
struct wf_gemm_plan;

struct wf_cuda_weight {
    wf_weight base;
    char *data;    // [n_groups][n_rows][n_cols] row-major, own; of 8 bits: as cuda_w8.cuh has it
    float *scales; // of 8 bits: [n_rows][row_blocks] and some rows more, own; else NULL
    int8_t *zeros; // [n_rows][row_blocks], own; NULL: none
    // By y: act, f32, sums by runs of k. Borrowed from the book.
    const wf_gemm_plan *plans[3][WF_N_ROW_BUCKETS];
};

static inline wf_cuda *cuda_of(wf_backend *be)
{
    return reinterpret_cast<wf_cuda *>(be);
}

static inline wf_stream *stream_of(wf_backend *be, wf_stream *s)
{
    return s != nullptr ? s : &cuda_of(be)->main;
}

// Converts a CUDA error; `what` names the operation. WF_OK for cudaSuccess.
wf_status wf_cuda_check(const wf_cuda *cu, cudaError_t e, const char *what);

// At least `bytes` of scratch, or n zeroed counters, of a stream. Blocks only when it must grow.
wf_status wf_cuda_scratch(wf_cuda *cu, wf_stream *s, size_t bytes, void **out);
wf_status wf_cuda_counters(wf_cuda *cu, wf_stream *s, size_t n, int32_t **out);

// Small copies between pinned and device memory by a kernel, and the device's clock
// (cuda_copy.cu).
bool wf_cuda_copy_fits(const wf_cuda *cu, const void *device, const void *host, size_t bytes);
wf_status wf_cuda_copy(wf_cuda *cu, wf_stream *s, void *dst, const void *src, size_t bytes);
wf_status wf_cuda_stamp(wf_backend *be, wf_stream *s, uint64_t *at);

#define WF_CU(cu, expr, what) WF_TRY(wf_cuda_check(cu, expr, what))

// Launches with programmatic stream serialisation: the kernel may start while the one before it
// drains, and must call wait_for_previous() before it touches what that one wrote. Kernels that do
// not call it would race; every kernel here does, before it touches anything but weights and pinned
// host memory. Since each waits for the one before it to end, a kernel that lets the next one start
// first and waits then is safe: the next one's wait covers both.
//
// Blocks come in clusters of `n_cluster`, 1: none.
template <typename... P, typename... A>
wf_status wf_cuda_launch_clusters(wf_cuda *cu, wf_stream *s, const char *what, void (*kernel)(P...),
                                  dim3 grid, dim3 block, size_t shared_bytes, unsigned n_cluster,
                                  A &&...args)
{
    cudaLaunchAttribute attrs[2] = {};
    unsigned n = 0;
    if (cu->overlap) {
        attrs[n].id = cudaLaunchAttributeProgrammaticStreamSerialization;
        attrs[n++].val.programmaticStreamSerializationAllowed = 1;
    }
    if (n_cluster > 1) {
        attrs[n].id = cudaLaunchAttributeClusterDimension;
        attrs[n].val.clusterDim.x = n_cluster;
        attrs[n].val.clusterDim.y = attrs[n].val.clusterDim.z = 1;
        n++;
    }
    cudaLaunchConfig_t config = {};
    config.gridDim = grid;
    config.blockDim = block;
    config.dynamicSmemBytes = shared_bytes;
    config.stream = s->s;
    config.attrs = attrs;
    config.numAttrs = n;
    return wf_cuda_check(cu, cudaLaunchKernelEx(&config, kernel, P(std::forward<A>(args))...),
                         what);
}

template <typename... P, typename... A>
wf_status wf_cuda_launch(wf_cuda *cu, wf_stream *s, const char *what, void (*kernel)(P...),
                         dim3 grid, dim3 block, size_t shared_bytes, A &&...args)
{
    return wf_cuda_launch_clusters(cu, s, what, kernel, grid, block, shared_bytes, 1,
                                   std::forward<A>(args)...);
}

// Raises a kernel's dynamic shared memory limit. The runtime remembers it; asking twice is cheap.
template <typename K>
wf_status wf_cuda_allow_shared(const wf_cuda *cu, K kernel, size_t bytes, const char *what)
{
    if (bytes <= 48 * 1024) return WF_OK;
    return wf_cuda_check(
        cu, cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)bytes),
        what);
}

__device__ __forceinline__ void wait_for_previous()
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// The next kernel may start to load its code and weights.
__device__ __forceinline__ void let_next_start()
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

static inline int64_t div_up64(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

// Weights.
wf_status wf_cuda_weight_create(wf_backend *be, const wf_weight_shape *shape, wf_weight **out);
wf_status wf_cuda_weight_load(wf_backend *be, wf_weight *w, const wf_weight_block *block);
wf_status wf_cuda_weight_random(wf_backend *be, wf_weight *w, uint64_t seed, float std);
void wf_cuda_weight_destroy(wf_backend *be, wf_weight *w);
// Of those with scales (cuda_weight8.cu); nothing is waited for, and what create leaves is
// destroyed.
wf_status wf_weight8_create(wf_backend *be, wf_cuda_weight *w);
wf_status wf_weight8_load(wf_cuda *cu, wf_cuda_weight *w, const wf_weight_block *b);
wf_status wf_weight8_random(wf_cuda *cu, wf_cuda_weight *w, uint64_t seed, float std);

// GEMM's parts.
wf_status wf_gemm_book_open(wf_cuda *cu); // reads the cache file, if any
void wf_gemm_book_close(wf_cuda *cu);     // writes what is new

#endif
