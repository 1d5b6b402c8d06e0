// The CUDA back end's table, memory, order and capture. What it refuses: managed memory, devices
// before compute capability 8.0.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <unistd.h>

#include <nvtx3/nvToolsExt.h>

#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/cuda_gemm.cuh"
#include "kernels/cuda/cuda_impl.cuh"

// ---- errors -------------------------------------------------------------------------------------

static const char *remedy_of(cudaError_t e)
{
    switch (e) {
    case cudaErrorInsufficientDriver:
        return "the driver is older than this build's CUDA; update it or build with an older "
               "toolkit";
    case cudaErrorNoDevice:
        return "run on a GPU node (sbatch --gpus-per-node) or set parallel.backend: cpu";
    case cudaErrorInvalidDevice:
        return "fewer devices are visible than local ranks: ask for --gpus-per-node, not "
               "--gpus-per-task, and look at CUDA_VISIBLE_DEVICES";
    case cudaErrorDevicesUnavailable:
        return "another process holds the device exclusively; check nvidia-smi on that host";
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorUnsupportedPtxVersion:
        return "this build has no code for the device; it needs compute capability 8.0 or later "
               "and "
               "a driver as new as the toolkit";
    case cudaErrorMemoryAllocation:
        return "lower engine.kv_memory, engine.max_rows or engine.step_tokens";
    case cudaErrorECCUncorrectable:
        return "the device's memory failed; drain the node";
    default:
        return "the context is lost: this group ends, sealed results stay; look at dmesg for Xid "
               "lines "
               "on that host";
    }
}

wf_status wf_cuda_check(const wf_cuda *cu, cudaError_t e, const char *what)
{
    if (e == cudaSuccess) return WF_OK;
    (void)cudaGetLastError(); // a failed launch must not fail the next one
    return wf_fail(e == cudaErrorMemoryAllocation ? WF_NO_MEMORY : WF_DEVICE,
                   "device %d (%s) on %s: %s: %s (%s); %s", cu->device, cu->gpu, cu->host, what,
                   cudaGetErrorString(e), cudaGetErrorName(e), remedy_of(e));
}

// ---- memory -------------------------------------------------------------------------------------

static wf_status use_device(wf_cuda *cu)
{
    cudaError_t e = cudaSetDevice(cu->device);
    if (e != cudaErrorMemoryAllocation) return wf_cuda_check(cu, e, "selecting the device");
    (void)cudaGetLastError();
    return wf_fail(WF_NO_MEMORY,
                   "device %d (%s) on %s: no memory is left for a context: other processes have it "
                   "(nvidia-smi on that host names them); end them, or keep the node out "
                   "(--exclude=%s)",
                   cu->device, cu->gpu, cu->host, cu->host);
}

static wf_status cuda_malloc(wf_cuda *cu, size_t bytes, void **out)
{
    size_t free_bytes = 0, total_bytes = 0;
    const double gib = 1024.0 * 1024.0 * 1024.0;
    cudaError_t e = cudaMalloc(out, bytes > 0 ? bytes : 1);
    if (e != cudaErrorMemoryAllocation) return wf_cuda_check(cu, e, "allocating memory");
    (void)cudaGetLastError();
    (void)cudaMemGetInfo(&free_bytes, &total_bytes);
    return wf_fail(WF_NO_MEMORY,
                   "device %d (%s) on %s: %.2f GiB cannot be had, %.2f of %.2f GiB are free; lower "
                   "engine.kv_memory, engine.max_rows or engine.step_tokens, raise "
                   "parallel.tensor, or end what else has memory there (nvidia-smi)",
                   cu->device, cu->gpu, cu->host, (double)bytes / gib, (double)free_bytes / gib,
                   (double)total_bytes / gib);
}

static wf_status cuda_alloc(wf_backend *be, size_t bytes, void **out)
{
    wf_cuda *cu = cuda_of(be);
    void *data = nullptr;
    WF_TRY(use_device(cu));
    WF_TRY(cuda_malloc(cu, bytes, &data));
    cudaError_t e = cudaMemsetAsync(data, 0, bytes, cu->main.s);
    if (e == cudaSuccess) e = cudaStreamSynchronize(cu->main.s);
    if (e != cudaSuccess) {
        cudaFree(data);
        return wf_cuda_check(cu, e, "clearing memory");
    }
    *out = data;
    return WF_OK;
}

static void cuda_free(wf_backend *be, void *data)
{
    (void)use_device(cuda_of(be));
    (void)cudaFree(data);
}

static wf_status cuda_host_alloc(wf_backend *be, size_t bytes, void **out)
{
    wf_cuda *cu = cuda_of(be);
    WF_TRY(use_device(cu));
    WF_CU(cu, cudaHostAlloc(out, bytes > 0 ? bytes : 1, cudaHostAllocDefault),
          "allocating pinned host memory");
    memset(*out, 0, bytes);
    if (cu->n_pinned < WF_CUDA_MAX_PINNED) // one more is copied from by the copy engine
        cu->pinned[cu->n_pinned++] = wf_pinned{(const char *)*out, (const char *)*out + bytes};
    return WF_OK;
}

static void cuda_host_free(wf_backend *be, void *data)
{
    wf_cuda *cu = cuda_of(be);
    (void)use_device(cu);
    for (int i = 0; i < cu->n_pinned; i++)
        if (cu->pinned[i].begin == (const char *)data) {
            cu->pinned[i] = cu->pinned[--cu->n_pinned];
            break;
        }
    (void)cudaFreeHost(data);
}

static wf_status cuda_upload(wf_backend *be, wf_stream *s, void *dst, const void *src, size_t bytes)
{
    wf_cuda *cu = cuda_of(be);
    if (bytes == 0) return WF_OK;
    if (wf_cuda_copy_fits(cu, dst, src, bytes))
        return wf_cuda_copy(cu, stream_of(be, s), dst, src, bytes);
    return wf_cuda_check(
        cu, cudaMemcpyAsync(dst, src, bytes, cudaMemcpyHostToDevice, stream_of(be, s)->s),
        "upload");
}

static wf_status cuda_download(wf_backend *be, wf_stream *s, void *dst, const void *src,
                               size_t bytes)
{
    wf_cuda *cu = cuda_of(be);
    if (bytes == 0) return WF_OK;
    if (wf_cuda_copy_fits(cu, src, dst, bytes))
        return wf_cuda_copy(cu, stream_of(be, s), dst, src, bytes);
    return wf_cuda_check(
        cu, cudaMemcpyAsync(dst, src, bytes, cudaMemcpyDeviceToHost, stream_of(be, s)->s),
        "download");
}

// A buffer of a stream that must grow. Never inside a capture: a step runs once before it is
// captured. Captured steps go on with the buffer that they were captured with, so the former one is
// kept until the stream ends; buffers at least double, so all former ones together are smaller than
// the last.
static wf_status grow(wf_cuda *cu, wf_stream *s, size_t bytes, void **data)
{
    void *larger = nullptr;
    if (s->capturing)
        return wf_fail(WF_INTERNAL, "capture: a step must have run once before it is captured");
    if (s->n_outgrown == WF_CUDA_MAX_OUTGROWN)
        return wf_fail(WF_INTERNAL, "scratch of a stream grew %d times", s->n_outgrown);
    WF_TRY(cuda_malloc(cu, bytes, &larger));
    cudaError_t e = cudaMemsetAsync(larger, 0, bytes, s->s);
    if (e != cudaSuccess) {
        cudaFree(larger);
        return wf_cuda_check(cu, e, "clearing scratch");
    }
    if (*data != nullptr) s->outgrown[s->n_outgrown++] = *data;
    *data = larger;
    return WF_OK;
}

wf_status wf_cuda_scratch(wf_cuda *cu, wf_stream *s, size_t bytes, void **out)
{
    if (bytes > s->scratch_bytes) {
        size_t twice = 2 * s->scratch_bytes, want = bytes + bytes / 4;
        if (want < twice) want = twice;
        WF_TRY(grow(cu, s, want, (void **)&s->scratch));
        s->scratch_bytes = want;
    }
    *out = s->scratch;
    return WF_OK;
}

wf_status wf_cuda_counters(wf_cuda *cu, wf_stream *s, size_t n, int32_t **out)
{
    if (n > s->n_counters) {
        size_t want = 2 * n + 4096;
        WF_TRY(grow(cu, s, want * sizeof(int32_t), (void **)&s->counters));
        s->n_counters = want;
    }
    *out = s->counters;
    return WF_OK;
}

// ---- streams, events, capture -------------------------------------------------------------------

static wf_status open_stream(wf_cuda *cu, wf_stream *s)
{
    WF_CU(cu, cudaStreamCreateWithFlags(&s->s, cudaStreamNonBlocking), "creating a stream");
    return cuda_malloc(cu, WF_LT_WORKSPACE_BYTES, &s->lt_workspace);
}

static void close_stream(wf_stream *s)
{
    if (s->s == nullptr) return;
    (void)cudaStreamSynchronize(s->s);
    (void)cudaFree(s->lt_workspace);
    (void)cudaFree(s->scratch);
    (void)cudaFree(s->counters);
    for (int i = 0; i < s->n_outgrown; i++)
        (void)cudaFree(s->outgrown[i]);
    (void)cudaStreamDestroy(s->s);
}

static wf_status cuda_stream_create(wf_backend *be, wf_stream **out)
{
    wf_cuda *cu = cuda_of(be);
    WF_TRY(use_device(cu));
    wf_stream *s = (wf_stream *)calloc(1, sizeof *s);
    if (s == nullptr) return wf_fail(WF_NO_MEMORY, "stream: out of memory");
    wf_status st = open_stream(cu, s);
    if (st != WF_OK) {
        close_stream(s);
        free(s);
        return st;
    }
    *out = s;
    return WF_OK;
}

static void cuda_stream_destroy(wf_backend *be, wf_stream *s)
{
    if (s == nullptr) return;
    (void)use_device(cuda_of(be));
    close_stream(s);
    free(s);
}

static wf_status cuda_event_create(wf_backend *be, wf_event **out)
{
    wf_cuda *cu = cuda_of(be);
    WF_TRY(use_device(cu));
    wf_event *e = (wf_event *)calloc(1, sizeof *e);
    if (e == nullptr) return wf_fail(WF_NO_MEMORY, "event: out of memory");
    wf_status st = wf_cuda_check(cu, cudaEventCreateWithFlags(&e->e, cudaEventDisableTiming),
                                 "creating an event");
    if (st != WF_OK) {
        free(e);
        return st;
    }
    *out = e;
    return WF_OK;
}

static void cuda_event_destroy(wf_backend *be, wf_event *e)
{
    if (e == nullptr) return;
    (void)use_device(cuda_of(be));
    (void)cudaEventDestroy(e->e);
    free(e);
}

static wf_status cuda_event_record(wf_backend *be, wf_event *e, wf_stream *s)
{
    return wf_cuda_check(cuda_of(be), cudaEventRecord(e->e, stream_of(be, s)->s), "event");
}

static wf_status cuda_event_query(wf_backend *be, wf_event *e, bool *out_done)
{
    cudaError_t rc = cudaEventQuery(e->e);
    *out_done = rc == cudaSuccess;
    if (rc == cudaErrorNotReady) {
        (void)cudaGetLastError();
        return WF_OK;
    }
    return wf_cuda_check(cuda_of(be), rc, "a step");
}

static wf_status cuda_event_sync(wf_backend *be, wf_event *e)
{
    return wf_cuda_check(cuda_of(be), cudaEventSynchronize(e->e), "a step");
}

static wf_status cuda_stream_wait(wf_backend *be, wf_stream *s, wf_event *e)
{
    return wf_cuda_check(cuda_of(be), cudaStreamWaitEvent(stream_of(be, s)->s, e->e, 0),
                         "waiting for an event");
}

static void cuda_range(wf_backend *be, const char *name)
{
    (void)be;
    if (name != nullptr)
        (void)nvtxRangePushA(name);
    else
        (void)nvtxRangePop();
}

static wf_status cuda_capture_begin(wf_backend *be, wf_stream *s)
{
    wf_stream *st = stream_of(be, s);
    WF_CU(cuda_of(be), cudaStreamBeginCapture(st->s, cudaStreamCaptureModeThreadLocal),
          "beginning a capture");
    st->capturing = true;
    return WF_OK;
}

static wf_status cuda_capture_end(wf_backend *be, wf_stream *s, wf_graph **out)
{
    wf_cuda *cu = cuda_of(be);
    wf_stream *st = stream_of(be, s);
    cudaGraph_t graph = nullptr;
    st->capturing = false;
    cudaError_t ended = cudaStreamEndCapture(st->s, &graph);
    if (out == nullptr) {
        if (graph != nullptr) (void)cudaGraphDestroy(graph);
        (void)cudaGetLastError();
        return WF_OK;
    }
    WF_CU(cu, ended, "ending a capture");
    wf_graph *g = (wf_graph *)calloc(1, sizeof *g);
    cudaError_t e = g != nullptr ? cudaGraphInstantiate(&g->exec, graph, 0) : cudaSuccess;
    cudaGraphDestroy(graph);
    if (g == nullptr) return wf_fail(WF_NO_MEMORY, "capture: out of memory");
    if (e != cudaSuccess) {
        free(g);
        return wf_cuda_check(cu, e, "instantiating a captured step");
    }
    *out = g;
    return WF_OK;
}

static wf_status cuda_graph_launch(wf_backend *be, wf_stream *s, wf_graph *g)
{
    return wf_cuda_check(cuda_of(be), cudaGraphLaunch(g->exec, stream_of(be, s)->s),
                         "launching a captured step");
}

static void cuda_graph_destroy(wf_backend *be, wf_graph *g)
{
    if (g == nullptr) return;
    (void)use_device(cuda_of(be));
    (void)cudaGraphExecDestroy(g->exec);
    free(g);
}

// ---- life cycle ---------------------------------------------------------------------------------

static void cuda_destroy(wf_backend *be)
{
    wf_cuda *cu = cuda_of(be);
    wf_gemm_book_close(cu);
    if (cu->main.s) (void)use_device(cu);
    close_stream(&cu->main);
    if (cu->lt) (void)cublasLtDestroy(cu->lt);
    free(cu);
}

// Only its attributes are looked at: they tell which of the module's codes this device runs.
static __global__ void probe_kernel() {}

// Tensor maps are made by the driver; the library is not linked with it.
static wf_status find_encoder(wf_cuda *cu)
{
    cudaDriverEntryPointQueryResult found;
#if CUDART_VERSION >= 12050
    WF_CU(cu,
          cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &cu->encode_map, 12000,
                                           cudaEnableDefault, &found),
          "looking for cuTensorMapEncodeTiled");
#else
    WF_CU(cu,
          cudaGetDriverEntryPoint("cuTensorMapEncodeTiled", &cu->encode_map, cudaEnableDefault,
                                  &found),
          "looking for cuTensorMapEncodeTiled");
#endif
    if (found != cudaDriverEntryPointSuccess) cu->encode_map = nullptr;
    return WF_OK;
}

static wf_status open_device(wf_cuda *cu)
{
    cudaDeviceProp p;
    cudaFuncAttributes code;
    int n = 0;
    WF_CU(cu, cudaGetDeviceCount(&n), "looking for devices");
    if (n == 0) return wf_cuda_check(cu, cudaErrorNoDevice, "looking for devices");
    if (cu->device < 0 || cu->device >= n)
        return wf_fail(WF_DEVICE,
                       "device %d on %s: %d device%s visible here; ask for --gpus-per-node, not "
                       "--gpus-per-task, so that every rank of the node sees all of them",
                       cu->device, cu->host, n, n == 1 ? " is" : "s are");
    WF_CU(cu, cudaGetDeviceProperties(&p, cu->device), "reading the device's properties");
    snprintf(cu->gpu, sizeof cu->gpu, "%.63s", p.name);
    cu->n_sms = p.multiProcessorCount;
    cu->cc_major = p.major;
    if (p.major < 8)
        return wf_fail(
            WF_DEVICE,
            "device %d (%s) on %s: compute capability %d.%d, this build needs 8.0 or later",
            cu->device, cu->gpu, cu->host, p.major, p.minor);
    WF_TRY(use_device(cu));
    WF_CU(cu, cudaFuncGetAttributes(&code, probe_kernel), "loading the kernels");
    // Code made for compute_80 has no griddepcontrol.wait, on whatever device it runs.
    cu->overlap = p.major >= 9 && code.ptxVersion >= 90;
    // Hopper's own code is not made for any other architecture, later ones included.
    return p.major == 9 && cu->overlap ? find_encoder(cu) : WF_OK;
}

static wf_status open_backend(wf_cuda *cu)
{
    WF_TRY(open_device(cu));
    WF_TRY(open_stream(cu, &cu->main));
    cublasStatus_t rc = cublasLtCreate(&cu->lt);
    if (rc != CUBLAS_STATUS_SUCCESS)
        return wf_fail(WF_DEVICE, "device %d (%s) on %s: cuBLASLt: %s", cu->device, cu->gpu,
                       cu->host, cublasLtGetStatusString(rc));
    return wf_gemm_book_open(cu);
}

// The own GEMM kernel that a test wants taken wherever it fits.
static wf_status choose_gemm(const char *name, const wf_gemm_own **out)
{
    *out = name != nullptr ? wf_gemm_own_named(name) : nullptr;
    if (name == nullptr || *out != nullptr) return WF_OK;
    return wf_fail(WF_CONFIG, "back end cuda: no own GEMM kernel is called '%s'", name);
}

static wf_status cuda_create(const wf_backend_config *config, wf_backend **out)
{
    wf_cuda *cu = (wf_cuda *)calloc(1, sizeof *cu);
    if (cu == nullptr) return wf_fail(WF_NO_MEMORY, "back end cuda: out of memory");
    cu->base.ops = &wf_cuda_ops;
    cu->device = config->device;
    cu->numerics = config->numerics;
    cu->deterministic = config->deterministic;
    snprintf(cu->gpu, sizeof cu->gpu, "unknown");
    if (gethostname(cu->host, sizeof cu->host - 1) != 0) snprintf(cu->host, 8, "host");
    wf_status st = choose_gemm(config->isa, &cu->gemm_own);
    if (st == WF_OK) st = open_backend(cu);
    if (st != WF_OK) {
        cuda_destroy(&cu->base);
        return st;
    }
    *out = &cu->base;
    return WF_OK;
}

static wf_status cuda_info(wf_backend *be, wf_backend_info *out)
{
    wf_cuda *cu = cuda_of(be);
    size_t free_bytes = 0, total_bytes = 0;
    WF_TRY(use_device(cu));
    WF_CU(cu, cudaMemGetInfo(&free_bytes, &total_bytes), "reading the memory's size");
    *out = wf_backend_info{};
    snprintf(out->name, sizeof out->name, "cuda");
    snprintf(out->device, sizeof out->device, "%s, device %d", cu->gpu, cu->device);
    out->async = true;
    out->numerics = cu->numerics;
    out->free_bytes = free_bytes;
    out->total_bytes = total_bytes;
    return WF_OK;
}

void *wf_cuda_stream_handle(wf_backend *be, wf_stream *s)
{
    return stream_of(be, s)->s;
}

wf_status wf_cuda_use(wf_backend *be)
{
    return use_device(cuda_of(be));
}

int wf_cuda_device(wf_backend *be)
{
    return cuda_of(be)->device;
}

// Every operation is the module's own, in files of one kind each; it has no host code to fall back
// to. A file's definition that differs from this declaration does not link.
#define WF_CUDA_OP(op, args) wf_status wf_cuda_##op(wf_backend *be, wf_stream *s, const args *a);
WF_OPS(WF_CUDA_OP)
#undef WF_CUDA_OP

#define WF_CUDA_ENTRY(op, args) , .op = wf_cuda_##op
const wf_backend_ops wf_cuda_ops = {
    .name = "cuda",
    .create = cuda_create,
    .destroy = cuda_destroy,
    .info = cuda_info,
    .alloc = cuda_alloc,
    .free = cuda_free,
    .host_alloc = cuda_host_alloc,
    .host_free = cuda_host_free,
    .upload = cuda_upload,
    .download = cuda_download,
    .weight_create = wf_cuda_weight_create,
    .weight_load = wf_cuda_weight_load,
    .weight_random = wf_cuda_weight_random,
    .weight_destroy = wf_cuda_weight_destroy,
    .stream_create = cuda_stream_create,
    .stream_destroy = cuda_stream_destroy,
    .event_create = cuda_event_create,
    .event_destroy = cuda_event_destroy,
    .event_record = cuda_event_record,
    .event_query = cuda_event_query,
    .event_sync = cuda_event_sync,
    .stream_wait = cuda_stream_wait,
    .stamp = wf_cuda_stamp,
    .range = cuda_range WF_OPS(WF_CUDA_ENTRY),
    .capture_begin = cuda_capture_begin,
    .capture_end = cuda_capture_end,
    .graph_launch = cuda_graph_launch,
    .graph_destroy = cuda_graph_destroy,
};
