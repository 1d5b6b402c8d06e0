// The NCCL communicator (comm_nccl.h), part of the module weft_cuda.
#include "engine/comm/comm_nccl.h"

#include <dlfcn.h>
#include <nccl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/cuda/cuda_backend.h"

// X(name): what is used of libnccl, found at run time.
#define NCCL_FUNCTIONS(X)                                                                          \
    X(ncclGetVersion)                                                                              \
    X(ncclGetUniqueId)                                                                             \
    X(ncclCommInitRank)                                                                            \
    X(ncclCommDestroy)                                                                             \
    X(ncclCommAbort)                                                                               \
    X(ncclCommGetAsyncError)                                                                       \
    X(ncclAllReduce)                                                                               \
    X(ncclAllGather)                                                                               \
    X(ncclGetErrorString)                                                                          \
    X(ncclGetLastError)

typedef struct nccl_functions {
#define NCCL_POINTER(name) __typeof__(&name) name;
    NCCL_FUNCTIONS(NCCL_POINTER)
#undef NCCL_POINTER
} nccl_functions;

typedef struct comm_nccl {
    wf_comm base;
    wf_comm *control; // borrowed, or own after a split
    bool own_control;
    wf_backend *be;
    wf_comm_nccl_config config;
    nccl_functions f;
    ncclComm_t comm;
    char host[64];
} comm_nccl;

static comm_nccl *self_of(wf_comm *c)
{
    return (comm_nccl *)c;
}

static wf_status check(const comm_nccl *n, ncclResult_t rc, const char *what)
{
    if (rc == ncclSuccess) return WF_OK;
    return wf_fail(
        WF_COMM,
        "NCCL: rank %d of %d (device %d on %s): %s: %s: %s; look for the first rank that "
        "failed, and set NCCL_DEBUG=INFO to see the transport",
        n->base.rank, n->base.size, wf_cuda_device(n->be), n->host, what,
        n->f.ncclGetErrorString(rc), n->f.ncclGetLastError(n->comm));
}

static wf_status open_library(nccl_functions *f)
{
    void *lib = dlopen("libnccl.so.2", RTLD_NOW | RTLD_LOCAL); // stays open
    if (!lib)
        return wf_fail(
            WF_COMM,
            "NCCL: %s; tensor parallelism over GPUs needs libnccl.so.2 (module load nccl, "
            "or LD_LIBRARY_PATH)",
            dlerror());
#define NCCL_FIND(name)                                                                            \
    *(void **)&f->name = dlsym(lib, #name);                                                        \
    if (!f->name) return wf_fail(WF_COMM, "NCCL: libnccl.so.2 has no %s; it is too old", #name);
    NCCL_FUNCTIONS(NCCL_FIND)
#undef NCCL_FIND
    return WF_OK;
}

// What the first rank tells the others before they meet.
typedef struct greeting {
    ncclUniqueId id;
    int version;
} greeting;

// All ranks learn of a failure of any, so that none waits for one that has left.
static wf_status agree(comm_nccl *n, wf_status mine)
{
    int64_t worst = 0;
    WF_TRY(n->control->ops->max_i64(n->control, (int64_t)mine, &worst));
    if (mine != WF_OK || worst == WF_OK) return mine;
    return wf_fail(WF_COMM,
                   "NCCL: rank %d of %d: another rank could not start NCCL; its own line "
                   "says why",
                   n->base.rank, n->base.size);
}

static wf_status greet(comm_nccl *n, greeting *hello)
{
    int version = 0;
    wf_status st = check(n, n->f.ncclGetVersion(&version), "asking for its version");
    if (st == WF_OK && n->base.rank == 0) {
        hello->version = version;
        st = check(n, n->f.ncclGetUniqueId(&hello->id), "making a group id");
    }
    WF_TRY(agree(n, st));
    WF_TRY(n->control->ops->broadcast(n->control, hello, sizeof *hello, 0));
    if (hello->version != version)
        st = wf_fail(
            WF_COMM,
            "NCCL: rank %d on %s has version %d, the group's first rank %d; use one library "
            "on all nodes",
            n->base.rank, n->host, version, hello->version);
    return agree(n, st);
}

static wf_status connect_group(comm_nccl *n)
{
    greeting hello = {0};
    WF_TRY(agree(n, open_library(&n->f)));
    WF_TRY(greet(n, &hello));
    if (!n->config.nvls) setenv("NCCL_NVLS_ENABLE", "0", 1);
    return check(n, n->f.ncclCommInitRank(&n->comm, n->base.size, hello.id, n->base.rank),
                 "joining the group");
}

static ncclDataType_t type_of(wf_dtype dtype)
{
    return dtype == WF_BF16 ? ncclBfloat16 : dtype == WF_F16 ? ncclFloat16 : ncclFloat32;
}

static wf_status nccl_all_reduce(wf_comm *c, wf_stream *s, void *data, int64_t n, wf_dtype dtype)
{
    comm_nccl *nc = self_of(c);
    if (n == 0) return WF_OK;
    return check(nc,
                 nc->f.ncclAllReduce(data, data, (size_t)n, type_of(dtype), ncclSum, nc->comm,
                                     wf_cuda_stream_handle(nc->be, s)),
                 "all-reduce");
}

static wf_status nccl_all_gather(wf_comm *c, wf_stream *s, const void *send, size_t bytes,
                                 void *recv)
{
    comm_nccl *nc = self_of(c);
    if (bytes == 0) return WF_OK;
    return check(nc,
                 nc->f.ncclAllGather(send, recv, bytes, ncclInt8, nc->comm,
                                     wf_cuda_stream_handle(nc->be, s)),
                 "all-gather");
}

// ---- control: the other communicator's
// -----------------------------------------------------------

static wf_status nccl_broadcast(wf_comm *c, void *data, size_t bytes, int root)
{
    wf_comm *control = self_of(c)->control;
    return control->ops->broadcast(control, data, bytes, root);
}

static wf_status nccl_barrier(wf_comm *c)
{
    wf_comm *control = self_of(c)->control;
    return control->ops->barrier(control);
}

static wf_status nccl_max_i64(wf_comm *c, int64_t value, int64_t *out)
{
    wf_comm *control = self_of(c)->control;
    return control->ops->max_i64(control, value, out);
}

static wf_status nccl_publish(wf_comm *c, const void *data, size_t bytes)
{
    wf_comm *control = self_of(c)->control;
    return control->ops->publish(control, data, bytes);
}

static wf_status nccl_receive(wf_comm *c, void *data, size_t capacity, size_t *out_bytes)
{
    wf_comm *control = self_of(c)->control;
    return control->ops->receive(control, data, capacity, out_bytes);
}

static void nccl_abort(wf_comm *c, int exit_code)
{
    comm_nccl *n = self_of(c);
    if (n->comm) (void)n->f.ncclCommAbort(n->comm); // peers in a collective are let go
    n->comm = NULL;
    n->control->ops->abort(n->control, exit_code);
}

static void nccl_destroy(wf_comm *c)
{
    comm_nccl *n = self_of(c);
    if (n->comm) (void)n->f.ncclCommDestroy(n->comm);
    if (n->own_control) n->control->ops->destroy(n->control);
    free(n);
}

static wf_status nccl_split(wf_comm *c, int color, int key, wf_comm **out);

static const wf_comm_ops nccl_ops = {
    .name = "nccl",
    .all_reduce = nccl_all_reduce,
    .all_gather = nccl_all_gather,
    .broadcast = nccl_broadcast,
    .barrier = nccl_barrier,
    .max_i64 = nccl_max_i64,
    .split = nccl_split,
    .publish = nccl_publish,
    .receive = nccl_receive,
    .abort = nccl_abort,
    .destroy = nccl_destroy,
};

static wf_status nccl_create(wf_comm *control, wf_backend *be, const wf_comm_nccl_config *config,
                             wf_comm **out)
{
    *out = NULL;
    if (strcmp(be->ops->name, "cuda") != 0)
        return wf_fail(WF_INTERNAL, "NCCL: needs the back end cuda, not %s", be->ops->name);
    comm_nccl *n = calloc(1, sizeof *n);
    if (!n) return wf_fail(WF_NO_MEMORY, "NCCL: out of memory");
    n->base = (wf_comm){.ops = &nccl_ops, .rank = control->rank, .size = control->size};
    n->control = control;
    n->be = be;
    n->config = *config;
    if (gethostname(n->host, sizeof n->host - 1) != 0) strcpy(n->host, "this host");
    wf_status st = connect_group(n);
    if (st != WF_OK) {
        nccl_destroy(&n->base);
        return st;
    }
    *out = &n->base;
    return WF_OK;
}

static wf_status nccl_split(wf_comm *c, int color, int key, wf_comm **out)
{
    comm_nccl *n = self_of(c);
    wf_comm *control = NULL;
    *out = NULL;
    WF_TRY(n->control->ops->split(n->control, color, key, &control));
    if (!control) return WF_OK;
    wf_status st = nccl_create(control, n->be, &n->config, out);
    if (st != WF_OK) {
        control->ops->destroy(control);
        return st;
    }
    self_of(*out)->own_control = true;
    return WF_OK;
}

const void *wf_comm_nccl_module_get(void);

// Named in kernels/cuda/cuda_module.c, which must not know what this floor calls things.
const void *wf_comm_nccl_module_get(void)
{
    static const wf_comm_nccl_module module = {.create = nccl_create};
    return &module;
}
