// The communicator of a group of CUDA devices (comm_nccl.h), part of the module weft_cuda.
#include "engine/comm/comm_nccl.h"

#include <dlfcn.h>
#include <nccl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/comm/comm_peers.h"
#include "io/base/clock.h"
#include "kernels/cuda/cuda_backend.h"

#define DEFAULT_LIMIT_NS (120 * WF_NS_PER_S)

// Up to here a gather's words travel with a flag each; NCCL needs half the bytes.
#define OWN_GATHER_BYTES ((size_t)65536)

// What of a sum is gathered at once where it must be in order and NCCL alone is there.
#define GATHER_BYTES ((size_t)4 << 20)

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
    bool lost;       // a peer is gone: nothing collective any more
    wf_peers *peers; // NULL: sums go through NCCL alone
    wf_sum_way way[WF_SUM_BUCKETS];
    void *parts; // [size][GATHER_BYTES], where sums are gathered and added up
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
    const char *said = getenv("WEFT_NCCL"), *name = said && said[0] ? said : "libnccl.so.2";
    void *lib = dlopen(name, RTLD_NOW | RTLD_LOCAL); // stays open
    if (!lib)
        return wf_fail(
            WF_COMM,
            "NCCL: %s; tensor parallelism over GPUs needs libnccl.so.2 (module load nccl, "
            "LD_LIBRARY_PATH, or WEFT_NCCL=<the file>)",
            dlerror());
#define NCCL_FIND(name)                                                                            \
    *(void **)&f->name = dlsym(lib, #name);                                                        \
    if (!f->name) return wf_fail(WF_COMM, "NCCL: libnccl.so.2 has no %s; it is too old", #name);
    NCCL_FUNCTIONS(NCCL_FIND)
#undef NCCL_FIND
    return WF_OK;
}

// 22809 -> "2.28.9"
static void version_text(int version, char out[WF_COMM_NCCL_VERSION_MAX])
{
    snprintf(out, WF_COMM_NCCL_VERSION_MAX, "%d.%d.%d", version / 10000, version / 100 % 100,
             version % 100);
}

static wf_status nccl_version(char out[WF_COMM_NCCL_VERSION_MAX])
{
    nccl_functions f;
    int version = 0;
    WF_TRY(open_library(&f));
    if (f.ncclGetVersion(&version) != ncclSuccess)
        return wf_fail(WF_COMM, "NCCL: the library does not tell its version");
    version_text(version, out);
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
    char mine[WF_COMM_NCCL_VERSION_MAX], first[WF_COMM_NCCL_VERSION_MAX];
    version_text(version, mine);
    version_text(hello->version, first);
    if (hello->version != version)
        st = wf_fail(
            WF_COMM,
            "NCCL: rank %d on %s has version %s, the group's first rank %s; use one library "
            "on all nodes (module load, LD_LIBRARY_PATH or WEFT_NCCL)",
            n->base.rank, n->host, mine, first);
    return agree(n, st);
}

// ncclCommInitRank waits for its peers without an end, so it waits on a thread of its own.
typedef struct joining {
    comm_nccl *n;
    ncclUniqueId id;
    ncclComm_t comm;
    ncclResult_t rc;
    char detail[256];
    bool done;
    pthread_mutex_t lock;
    pthread_cond_t changed;
} joining;

static void *join_thread(void *arg)
{
    joining *j = arg;
    ncclComm_t comm = NULL;
    ncclResult_t rc = ncclUnhandledCudaError;
    char detail[256] = "";
    if (wf_cuda_use(j->n->be) == WF_OK)
        rc = j->n->f.ncclCommInitRank(&comm, j->n->base.size, j->id, j->n->base.rank);
    if (rc != ncclSuccess)
        snprintf(detail, sizeof detail, "%s: %s", j->n->f.ncclGetErrorString(rc),
                 j->n->f.ncclGetLastError(NULL));
    pthread_mutex_lock(&j->lock);
    j->comm = comm;
    j->rc = rc;
    memcpy(j->detail, detail, sizeof detail);
    j->done = true;
    pthread_cond_signal(&j->changed);
    pthread_mutex_unlock(&j->lock);
    return NULL;
}

// False: the time was up first.
static bool await_joined(joining *j, int64_t limit_ns)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + limit_ns;
    until.tv_sec += ns / WF_NS_PER_S;
    until.tv_nsec = ns % WF_NS_PER_S;
    pthread_mutex_lock(&j->lock);
    while (!j->done && pthread_cond_timedwait(&j->changed, &j->lock, &until) == 0)
        ;
    bool done = j->done;
    pthread_mutex_unlock(&j->lock);
    return done;
}

static wf_status join_group(comm_nccl *n, const ncclUniqueId *id)
{
    pthread_t thread;
    pthread_condattr_t attr;
    joining *j = calloc(1, sizeof *j);
    if (!j) return wf_fail(WF_NO_MEMORY, "NCCL: out of memory");
    j->n = n;
    j->id = *id;
    pthread_mutex_init(&j->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&j->changed, &attr);
    pthread_condattr_destroy(&attr);
    if (pthread_create(&thread, NULL, join_thread, j) != 0) {
        free(j);
        return wf_fail(WF_NO_MEMORY, "NCCL: no thread to join the group with");
    }
    pthread_detach(thread);
    if (!await_joined(j, n->config.limit_ns)) { // the thread keeps j, until the process ends
        n->lost = true;
        return wf_fail(WF_COMM,
                       "NCCL: group %d, rank %d of %d (device %d on %s): not all ranks met within "
                       "%lld s; is NCCL_SOCKET_IFNAME an interface that reaches the others? "
                       "NCCL_DEBUG=INFO shows what it tries",
                       n->config.group, n->base.rank, n->base.size, wf_cuda_device(n->be), n->host,
                       (long long)(n->config.limit_ns / WF_NS_PER_S));
    }
    wf_status st = WF_OK;
    n->comm = j->comm;
    if (j->rc != ncclSuccess)
        st = wf_fail(WF_COMM,
                     "NCCL: group %d, rank %d of %d (device %d on %s): joining the group: %s; look "
                     "for the first rank that failed, and set NCCL_DEBUG=INFO to see the transport",
                     n->config.group, n->base.rank, n->base.size, wf_cuda_device(n->be), n->host,
                     j->detail);
    free(j);
    return st;
}

static wf_status connect_group(comm_nccl *n)
{
    greeting hello = {0};
    WF_TRY(agree(n, open_library(&n->f)));
    WF_TRY(greet(n, &hello));
    if (!n->config.nvls) setenv("NCCL_NVLS_ENABLE", "0", 1);
    return agree(n, join_group(n, &hello.id));
}

static ncclDataType_t type_of(wf_dtype dtype)
{
    return dtype == WF_BF16 ? ncclBfloat16 : dtype == WF_F16 ? ncclFloat16 : ncclFloat32;
}

// ---- sums and gathers ---------------------------------------------------------------------------

static wf_status gone(const comm_nccl *n)
{
    return wf_fail(WF_COMM, "group %d, rank %d of %d: the group was given up", n->config.group,
                   n->base.rank, n->base.size);
}

static wf_status sum_by_nccl(comm_nccl *n, wf_stream *s, void *data, int64_t count, wf_dtype dtype)
{
    if (n->lost) return gone(n);
    return check(n,
                 n->f.ncclAllReduce(data, data, (size_t)count, type_of(dtype), ncclSum, n->comm,
                                    wf_cuda_stream_handle(n->be, s)),
                 "all-reduce");
}

static wf_status gather_by_nccl(comm_nccl *n, wf_stream *s, const void *send, size_t bytes,
                                void *recv)
{
    if (n->lost) return gone(n);
    return check(
        n,
        n->f.ncclAllGather(send, recv, bytes, ncclInt8, n->comm, wf_cuda_stream_handle(n->be, s)),
        "all-gather");
}

// Everybody's data to everybody, then one sum in the order of comm.h.
static wf_status sum_gathered(comm_nccl *n, wf_stream *s, void *data, int64_t count, wf_dtype dtype)
{
    int64_t size = (int64_t)wf_dtype_bytes(dtype), most = (int64_t)GATHER_BYTES / size;
    for (int64_t at = 0, m; at < count; at += m) {
        char *chunk = (char *)data + at * size;
        m = count - at < most ? count - at : most;
        WF_TRY(gather_by_nccl(n, s, chunk, (size_t)(m * size), n->parts));
        WF_TRY(wf_cuda_sum_parts(n->be, s, n->parts, n->base.size, m, dtype, chunk));
    }
    return WF_OK;
}

// By the own kernels, in pieces that they can take.
static wf_status sum_by_peers(comm_nccl *n, wf_stream *s, wf_peers_way way, void *data,
                              int64_t count, wf_dtype dtype)
{
    int64_t size = (int64_t)wf_dtype_bytes(dtype), most = (int64_t)WF_SUM_MOST_BYTES / size;
    if (!wf_peers_fits(n->peers, way, data, count < most ? count : most, dtype))
        way = WF_PEERS_TWO_SHOT;
    for (int64_t at = 0, m; at < count; at += m) {
        m = count - at < most ? count - at : most;
        WF_TRY(wf_peers_all_reduce(n->peers, s, way, (char *)data + at * size, m, dtype));
    }
    return WF_OK;
}

static wf_sum_way way_of(const comm_nccl *n, int64_t count, wf_dtype dtype)
{
    if (!n->peers) return WF_SUM_NCCL;
    return n->way[wf_sum_bucket((size_t)count * wf_dtype_bytes(dtype))];
}

static wf_status nccl_all_reduce(wf_comm *c, wf_stream *s, void *data, int64_t n, wf_dtype dtype)
{
    comm_nccl *nc = self_of(c);
    wf_sum_way way = way_of(nc, n, dtype);
    if (n == 0) return WF_OK;
    if (way != WF_SUM_NCCL && ((uintptr_t)data % 16 == 0 || !nc->comm))
        return sum_by_peers(nc, s, (wf_peers_way)way, data, n, dtype);
    return nc->parts ? sum_gathered(nc, s, data, n, dtype) : sum_by_nccl(nc, s, data, n, dtype);
}

static wf_status nccl_all_reduce_rmsnorm(wf_comm *c, wf_stream *s, const wf_rmsnorm_args *a,
                                         bool *out_done)
{
    comm_nccl *n = self_of(c);
    wf_sum_way way = way_of(n, a->x.n_rows * a->x.n_cols, a->x.dtype);
    *out_done = way != WF_SUM_NCCL && wf_peers_rmsnorm_fits(n->peers, (wf_peers_way)way, a);
    return *out_done ? wf_peers_all_reduce_rmsnorm(n->peers, s, (wf_peers_way)way, a) : WF_OK;
}

static wf_status nccl_all_gather(wf_comm *c, wf_stream *s, const void *send, size_t bytes,
                                 void *recv)
{
    comm_nccl *n = self_of(c);
    if (bytes == 0) return WF_OK;
    if (n->comm && (!n->peers || bytes > OWN_GATHER_BYTES || bytes % 4 != 0))
        return gather_by_nccl(n, s, send, bytes, recv);
    for (size_t at = 0, m; at < bytes; at += m) {
        m = bytes - at < WF_PEERS_GATHER_BYTES ? bytes - at : WF_PEERS_GATHER_BYTES;
        WF_TRY(
            wf_peers_all_gather(n->peers, s, (const char *)send + at, m, (char *)recv + at, bytes));
    }
    return WF_OK;
}

static wf_status run_way(void *arg, wf_stream *s, wf_sum_way way, void *data, int64_t n)
{
    comm_nccl *nc = arg;
    wf_backend_info info;
    WF_TRY(nc->be->ops->info(nc->be, &info));
    if (way == WF_SUM_NCCL) return sum_by_nccl(nc, s, data, n, info.numerics.act);
    return sum_by_peers(nc, s, (wf_peers_way)way, data, n, info.numerics.act);
}

static bool without_nccl(const comm_nccl *n)
{
    return n->config.sums >= WF_COMM_SUMS_OWN;
}

// The own kernels, where they can be had, and the table of who is faster when.
static wf_status set_up_sums(comm_nccl *n)
{
    int64_t ns[WF_SUM_BUCKETS][WF_SUM_N_WAYS];
    wf_sum_runner runner = {run_way, n};
    bool nccl = n->comm && !n->config.deterministic;
    if (n->base.size > 1 && n->config.sums != WF_COMM_SUMS_NCCL)
        WF_TRY(wf_comm_peers_create(n->control, n->be, n->config.limit_ns, &n->peers));
    if (!n->peers && without_nccl(n) && n->base.size > 1)
        return wf_fail(WF_COMM,
                       "group %d: engine.all_reduce: own: the devices of the group cannot write "
                       "into each other's memory (the lines above say why); use auto",
                       n->config.group);
    for (int b = 0; n->config.sums > WF_COMM_SUMS_OWN && b < WF_SUM_BUCKETS; b++)
        n->way[b] = n->config.sums == WF_COMM_SUMS_ONE_SHOT ? WF_SUM_ONE_SHOT : WF_SUM_TWO_SHOT;
    if (n->peers && n->config.sums <= WF_COMM_SUMS_OWN)
        return wf_comm_peers_measure(n->control, n->be, n->peers, nccl, &runner, ns, n->way);
    if (n->peers || !n->config.deterministic) return WF_OK;
    return n->be->ops->alloc(n->be, GATHER_BYTES * (size_t)n->base.size, &n->parts);
}

// ---- peers that are gone ------------------------------------------------------------------------

// Collectives under way are let go, so that the process can end.
static void give_up(comm_nccl *n)
{
    if (n->comm && !n->lost) (void)n->f.ncclCommAbort(n->comm);
    n->comm = NULL;
    n->lost = true;
}

static wf_status report(comm_nccl *n, int64_t i_step, const char *what)
{
    give_up(n);
    return wf_fail(WF_COMM,
                   "group %d, rank %d of %d (device %d on %s), step %lld: %s; look at the log of "
                   "that rank's host: its process has ended, stands still or lost its link",
                   n->config.group, n->base.rank, n->base.size, wf_cuda_device(n->be), n->host,
                   (long long)i_step, what);
}

static wf_status report_missing(comm_nccl *n, int64_t i_step, const wf_peers_trouble *t)
{
    char ranks[64] = "", what[160];
    size_t used = 0;
    for (int r = 0; r < n->base.size && used < sizeof ranks; r++)
        if (t->missing >> r & 1)
            used +=
                (size_t)snprintf(ranks + used, sizeof ranks - used, "%s%d", used ? ", " : "", r);
    snprintf(what, sizeof what, "nothing came from rank %s within %lld s in %s %u", ranks,
             (long long)(n->config.limit_ns / WF_NS_PER_S),
             t->was_gather ? "all-gather" : "all-reduce", t->call);
    return report(n, i_step, what);
}

static wf_status nccl_look(wf_comm *c, int64_t i_step, int64_t waited_ns)
{
    comm_nccl *n = self_of(c);
    ncclResult_t rc = ncclSuccess;
    char what[256];
    if (n->lost) return gone(n);
    if (n->peers) {
        wf_peers_trouble t = wf_peers_look(n->peers);
        if (t.happened) return report_missing(n, i_step, &t);
    }
    if (waited_ns == 0) return WF_OK;
    if (n->comm && (n->f.ncclCommGetAsyncError(n->comm, &rc) != ncclSuccess ||
                    (rc != ncclSuccess && rc != ncclInProgress))) {
        snprintf(what, sizeof what, "NCCL lost a peer: %s: %s", n->f.ncclGetErrorString(rc),
                 n->f.ncclGetLastError(n->comm));
        return report(n, i_step, what);
    }
    // The own kernels say more, so they go first.
    if (waited_ns < n->config.limit_ns + 2 * WF_NS_PER_S) return WF_OK;
    snprintf(what, sizeof what,
             "the step has not ended within %lld s: a rank of the group does not take part in its "
             "all-reduce or all-gather",
             (long long)(waited_ns / WF_NS_PER_S));
    return report(n, i_step, what);
}

// ---- control: the other communicator's ----------------------------------------------------------

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
    give_up(n);
    n->control->ops->abort(n->control, exit_code);
}

static void nccl_destroy(wf_comm *c)
{
    comm_nccl *n = self_of(c);
    if (n->peers) wf_comm_peers_destroy(n->control, n->lost, &n->peers);
    if (n->parts) n->be->ops->free(n->be, n->parts);
    if (n->comm && !n->lost) (void)n->f.ncclCommDestroy(n->comm);
    if (n->own_control) n->control->ops->destroy(n->control);
    free(n);
}

static wf_status nccl_split(wf_comm *c, int color, int key, wf_comm **out);

static const wf_comm_ops nccl_ops = {
    .name = "nccl",
    .all_reduce = nccl_all_reduce,
    .all_reduce_rmsnorm = nccl_all_reduce_rmsnorm,
    .look = nccl_look,
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
    if (n->config.limit_ns <= 0) n->config.limit_ns = DEFAULT_LIMIT_NS;
    if (gethostname(n->host, sizeof n->host - 1) != 0) strcpy(n->host, "this host");
    wf_status st = without_nccl(n) ? WF_OK : connect_group(n);
    if (st == WF_OK) st = set_up_sums(n);
    if (st != WF_OK) {
        n->lost = true; // nobody waits for the others any more
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
    static const wf_comm_nccl_module module = {.config_bytes = sizeof(wf_comm_nccl_config),
                                               .ops_bytes = sizeof(wf_comm_ops),
                                               .create = nccl_create,
                                               .version = nccl_version};
    return &module;
}
