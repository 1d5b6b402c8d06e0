// Communicators: the ranks that compute one model together, and the control channel beside them.
//
//   data     all_reduce, all_gather on a stream of the back end (self, mpi: host memory; nccl)
//   control  step plans from the group's first rank to the others, on host memory
//
// A communicator is one table of operations, so that `self` (one rank) and every transport share
// the code above. Reductions add in one fixed order, whatever the message's size, so that a row's
// sums never depend on how many rows travel with it: neighbours first, ((0+1)+(2+3))+((4+5)+(6+7)).
// A rank that adds its own parts the same way gets the sums of a group of another size
// (wf_pair_up).
//
// Collective over the communicator's ranks unless marked Local. Errors: WF_COMM.
#ifndef WF_ENGINE_COMM_H
#define WF_ENGINE_COMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/base/status.h"
#include "kernels/backend.h"

typedef struct wf_comm wf_comm;

typedef struct wf_comm_ops {
    const char *name;
    // data[i] = sum over ranks, in place. dtype is the back end's activation dtype.
    wf_status (*all_reduce)(wf_comm *c, wf_stream *s, void *data, int64_t n, wf_dtype dtype);
    // May be NULL; call wf_comm_all_reduce_rmsnorm(). *out_done false: not for these arguments, and
    // nothing was done.
    wf_status (*all_reduce_rmsnorm)(wf_comm *c, wf_stream *s, const wf_rmsnorm_args *a,
                                    bool *out_done);
    // recv[r * bytes ...] = rank r's send, for every r.
    wf_status (*all_gather)(wf_comm *c, wf_stream *s, const void *send, size_t bytes, void *recv);
    // data of rank `root` reaches all; host memory.
    wf_status (*broadcast)(wf_comm *c, void *data, size_t bytes, int root);
    wf_status (*barrier)(wf_comm *c);
    // Largest value over all ranks; host memory.
    wf_status (*max_i64)(wf_comm *c, int64_t value, int64_t *out);
    // Ranks of one colour form *out, ordered by key; a negative colour gives *out = NULL.
    wf_status (*split)(wf_comm *c, int color, int key, wf_comm **out);
    // May be NULL; call wf_comm_wait(). WF_COMM once a peer is known to be gone; the communicator
    // has then given its collectives up. Local.
    wf_status (*look)(wf_comm *c, int64_t i_step, int64_t waited_ns);
    // Control: the first rank sends, every other rank receives what it sent, in order. A receiver
    // that waits long sleeps instead of spinning. bytes <= capacity or WF_INTERNAL.
    wf_status (*publish)(wf_comm *c, const void *data, size_t bytes);
    wf_status (*receive)(wf_comm *c, void *data, size_t capacity, size_t *out_bytes);
    // Ends every rank of the job with `exit_code`; does not return. Local.
    void (*abort)(wf_comm *c, int exit_code);
    void (*destroy)(wf_comm *c);
} wf_comm_ops;

// Every communicator's own struct begins with this one.
struct wf_comm {
    const wf_comm_ops *ops;
    int rank, size;
};

// x = sum of all ranks' x; residual += x; y = norm of the residual: one operation where the
// communicator has it, and the same bits as all_reduce and rmsnorm of `be` where it has not. Of x
// nothing is promised afterwards.
wf_status wf_comm_all_reduce_rmsnorm(wf_comm *c, wf_backend *be, wf_stream *s,
                                     const wf_rmsnorm_args *a);

// Waits for `e`, recorded behind step i_step. WF_COMM when a peer is gone or has not taken part
// within the communicator's limit: the message names group, rank, step and what is missing. Local.
wf_status wf_comm_wait(wf_comm *c, wf_backend *be, wf_event *e, int64_t i_step);

// part[0] = the sum of part[0 .. n) in the order above; part[i] are `stride` apart, the others are
// overwritten. Local.
static inline void wf_pair_up(float *part, int n, int64_t stride)
{
    for (int step = 1; step < n; step *= 2)
        for (int i = 0; i + step < n; i += 2 * step)
            part[i * stride] += part[(i + step) * stride];
}

// The communicator of a single rank. Local. Caller owns *out.
wf_status wf_comm_self_create(wf_comm **out);

// The communicator of all MPI ranks (MPI_COMM_WORLD, duplicated); MPI must be initialised at
// MPI_THREAD_FUNNELED or above and is driven from the calling thread alone. WF_NOT_BUILT without
// MPI. Caller owns *out.
wf_status wf_comm_mpi_create(wf_comm **out);

// Local. What MPI returned, in its words: WF_COMM unless it is MPI_SUCCESS. Built with MPI only.
wf_status wf_comm_mpi_check(int rc, const char *what);

// Takes NULL. Collective for MPI.
void wf_comm_destroy(wf_comm *c);

#endif
