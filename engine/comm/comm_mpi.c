// The MPI communicator: host memory, blocking, driven from one thread.
//
// MPI_Allreduce picks its algorithm, and with it the order of the additions, by message size; a
// row's sums would then depend on who shares its step. So the reduction here is spelled out: every
// rank gathers its slice from all ranks, adds in the order of comm.h, and the slices are gathered
// back.
#include "engine/comm/comm.h"

#include <limits.h>
#include <mpi.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// Below this many elements one all-gather of everything beats two rounds.
#define ONE_SHOT_ELEMENTS 4096

enum { TAG_PLAN = 7, TAG_SLICE = 8 };

typedef struct comm_mpi {
    wf_comm base;
    MPI_Comm comm;
    float *scratch; // [size][slice] received slices
    size_t scratch_bytes;
    MPI_Request *requests; // [2 * size]
} comm_mpi;

static comm_mpi *self_of(wf_comm *c)
{
    return (comm_mpi *)c;
}

wf_status wf_comm_mpi_check(int rc, const char *what)
{
    if (rc == MPI_SUCCESS) return WF_OK;
    char text[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    MPI_Error_string(rc, text, &length);
    return wf_fail(WF_COMM, "MPI: %s: %s", what, text);
}

static wf_status reserve(comm_mpi *m, size_t bytes)
{
    if (bytes <= m->scratch_bytes) return WF_OK;
    float *grown = realloc(m->scratch, bytes);
    if (!grown) return wf_fail(WF_NO_MEMORY, "MPI: no memory for %zu bytes of scratch", bytes);
    m->scratch = grown;
    m->scratch_bytes = bytes;
    return WF_OK;
}

// out[i] = sum of parts[r][i] over r; the parts are overwritten.
static void add_parts(float *parts, int n_parts, int64_t n, float *out)
{
    for (int step = 1; step < n_parts; step *= 2)
        for (int r = 0; r + step < n_parts; r += 2 * step) {
            float *to = parts + r * n;
            const float *from = parts + (r + step) * n;
            for (int64_t i = 0; i < n; i++)
                to[i] += from[i];
        }
    memcpy(out, parts, (size_t)n * sizeof *out);
}

static wf_status reduce_one_shot(comm_mpi *m, float *data, int n)
{
    WF_TRY(reserve(m, sizeof(float) * (size_t)n * (size_t)m->base.size));
    WF_TRY(wf_comm_mpi_check(MPI_Allgather(data, n, MPI_FLOAT, m->scratch, n, MPI_FLOAT, m->comm),
                             "all-gather of a sum"));
    add_parts(m->scratch, m->base.size, n, data);
    return WF_OK;
}

static int slice_begin(int n, int size, int r)
{
    return (int)((int64_t)n * r / size);
}

static wf_status exchange_slices(comm_mpi *m, const float *data, int n, int mine)
{
    int size = m->base.size, rank = m->base.rank, n_requests = 0;
    for (int r = 0; r < size; r++) {
        if (r == rank) continue;
        float *part = m->scratch + (int64_t)r * mine;
        WF_TRY(wf_comm_mpi_check(
            MPI_Irecv(part, mine, MPI_FLOAT, r, TAG_SLICE, m->comm, &m->requests[n_requests++]),
            "receiving a slice"));
    }
    for (int r = 0; r < size; r++) {
        int begin = slice_begin(n, size, r), length = slice_begin(n, size, r + 1) - begin;
        if (r == rank) {
            memcpy(m->scratch + (int64_t)r * mine, data + begin, sizeof(float) * (size_t)length);
            continue;
        }
        WF_TRY(wf_comm_mpi_check(MPI_Isend(data + begin, length, MPI_FLOAT, r, TAG_SLICE, m->comm,
                                           &m->requests[n_requests++]),
                                 "sending a slice"));
    }
    return wf_comm_mpi_check(MPI_Waitall(n_requests, m->requests, MPI_STATUSES_IGNORE),
                             "exchanging slices");
}

static wf_status gather_slices(comm_mpi *m, float *data, int n)
{
    int size = m->base.size;
    int counts[size], displs[size];
    for (int r = 0; r < size; r++) {
        displs[r] = slice_begin(n, size, r);
        counts[r] = slice_begin(n, size, r + 1) - displs[r];
    }
    return wf_comm_mpi_check(MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, data, counts,
                                            displs, MPI_FLOAT, m->comm),
                             "all-gather of sums");
}

static wf_status mpi_all_reduce(wf_comm *c, wf_stream *s, void *data, int64_t n, wf_dtype dtype)
{
    (void)s;
    comm_mpi *m = self_of(c);
    if (dtype != WF_F32 || n > INT_MAX / 2)
        return wf_fail(WF_INTERNAL, "MPI: all-reduce of %lld %s elements is not supported",
                       (long long)n, wf_dtype_name(dtype));
    if (m->base.size == 1 || n == 0) return WF_OK;
    if (n <= ONE_SHOT_ELEMENTS || n < m->base.size) return reduce_one_shot(m, data, (int)n);
    int begin = slice_begin((int)n, c->size, c->rank);
    int mine = slice_begin((int)n, c->size, c->rank + 1) - begin;
    WF_TRY(reserve(m, sizeof(float) * (size_t)mine * (size_t)c->size));
    WF_TRY(exchange_slices(m, data, (int)n, mine));
    add_parts(m->scratch, c->size, mine, (float *)data + begin);
    return gather_slices(m, data, (int)n);
}

static wf_status mpi_all_gather(wf_comm *c, wf_stream *s, const void *send, size_t bytes,
                                void *recv)
{
    (void)s;
    if (bytes > INT_MAX) return wf_fail(WF_INTERNAL, "MPI: all-gather of %zu bytes", bytes);
    return wf_comm_mpi_check(
        MPI_Allgather(send, (int)bytes, MPI_BYTE, recv, (int)bytes, MPI_BYTE, self_of(c)->comm),
        "all-gather");
}

static wf_status mpi_broadcast(wf_comm *c, void *data, size_t bytes, int root)
{
    if (bytes > INT_MAX) return wf_fail(WF_INTERNAL, "MPI: broadcast of %zu bytes", bytes);
    return wf_comm_mpi_check(MPI_Bcast(data, (int)bytes, MPI_BYTE, root, self_of(c)->comm),
                             "broadcast");
}

static wf_status mpi_barrier(wf_comm *c)
{
    return wf_comm_mpi_check(MPI_Barrier(self_of(c)->comm), "barrier");
}

static wf_status mpi_max_i64(wf_comm *c, int64_t value, int64_t *out)
{
    return wf_comm_mpi_check(MPI_Allreduce(&value, out, 1, MPI_INT64_T, MPI_MAX, self_of(c)->comm),
                             "maximum");
}

static wf_status mpi_publish(wf_comm *c, const void *data, size_t bytes)
{
    if (bytes > INT_MAX) return wf_fail(WF_INTERNAL, "MPI: a message of %zu bytes", bytes);
    for (int r = 1; r < c->size; r++)
        WF_TRY(
            wf_comm_mpi_check(MPI_Send(data, (int)bytes, MPI_BYTE, r, TAG_PLAN, self_of(c)->comm),
                              "publishing a step plan"));
    return WF_OK;
}

// Waits for the next plan: spins briefly (the usual case), then yields, then naps, so that an idle
// group leaves the cores to others.
static wf_status await_plan(comm_mpi *m, MPI_Message *message, MPI_Status *status)
{
    for (int64_t n_tries = 0;; n_tries++) {
        int found = 0;
        WF_TRY(wf_comm_mpi_check(MPI_Improbe(0, TAG_PLAN, m->comm, &found, message, status),
                                 "waiting for a step plan"));
        if (found) return WF_OK;
        if (n_tries < 4000)
            sched_yield();
        else
            nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    }
}

static wf_status mpi_receive(wf_comm *c, void *data, size_t capacity, size_t *out_bytes)
{
    MPI_Message message;
    MPI_Status status;
    int bytes = 0;
    WF_TRY(await_plan(self_of(c), &message, &status));
    MPI_Get_count(&status, MPI_BYTE, &bytes);
    if ((size_t)bytes > capacity)
        return wf_fail(WF_INTERNAL, "MPI: a step plan of %d bytes, room for %zu", bytes, capacity);
    WF_TRY(wf_comm_mpi_check(MPI_Mrecv(data, bytes, MPI_BYTE, &message, MPI_STATUS_IGNORE),
                             "receiving a step plan"));
    *out_bytes = (size_t)bytes;
    return WF_OK;
}

static void mpi_abort(wf_comm *c, int exit_code)
{
    MPI_Abort(self_of(c)->comm, exit_code);
    _Exit(exit_code);
}

static void mpi_destroy(wf_comm *c)
{
    comm_mpi *m = self_of(c);
    MPI_Comm_free(&m->comm);
    free(m->scratch);
    free(m->requests);
    free(m);
}

static wf_status mpi_split(wf_comm *c, int color, int key, wf_comm **out);

static const wf_comm_ops mpi_ops = {
    .name = "mpi",
    .all_reduce = mpi_all_reduce,
    .all_gather = mpi_all_gather,
    .broadcast = mpi_broadcast,
    .barrier = mpi_barrier,
    .max_i64 = mpi_max_i64,
    .split = mpi_split,
    .publish = mpi_publish,
    .receive = mpi_receive,
    .abort = mpi_abort,
    .destroy = mpi_destroy,
};

// Takes over `comm`, also when it fails.
static wf_status wrap(MPI_Comm comm, wf_comm **out)
{
    comm_mpi *m = calloc(1, sizeof *m);
    if (!m) goto fail;
    m->comm = comm;
    m->base.ops = &mpi_ops;
    MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
    MPI_Comm_rank(comm, &m->base.rank);
    MPI_Comm_size(comm, &m->base.size);
    m->requests = calloc((size_t)m->base.size * 2, sizeof *m->requests);
    if (!m->requests) goto fail;
    *out = &m->base;
    return WF_OK;
fail:
    free(m);
    MPI_Comm_free(&comm);
    return wf_fail(WF_NO_MEMORY, "MPI: out of memory for a communicator");
}

static wf_status mpi_split(wf_comm *c, int color, int key, wf_comm **out)
{
    MPI_Comm comm = MPI_COMM_NULL;
    *out = NULL;
    WF_TRY(wf_comm_mpi_check(
        MPI_Comm_split(self_of(c)->comm, color < 0 ? MPI_UNDEFINED : color, key, &comm),
        "splitting the communicator"));
    return comm == MPI_COMM_NULL ? WF_OK : wrap(comm, out);
}

wf_status wf_comm_mpi_create(wf_comm **out)
{
    MPI_Comm comm = MPI_COMM_NULL;
    WF_TRY(wf_comm_mpi_check(MPI_Comm_dup(MPI_COMM_WORLD, &comm), "duplicating the world"));
    return wrap(comm, out);
}
