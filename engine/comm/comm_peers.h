// Bring-up of the own sums among a group's devices (kernels/cuda/cuda_peers.h): exchange of the
// memory handles over the control communicator, the data check, and the choice of a way by size.
//
//   create -> measure -> way[wf_sum_bucket(bytes)] at every sum -> destroy
//
// All ranks get the same answers: each step ends in an agreement.
#ifndef WF_ENGINE_COMM_PEERS_H
#define WF_ENGINE_COMM_PEERS_H

#include "engine/comm/comm.h"
#include "kernels/cuda/cuda_peers.h"

// Longest sum that the own kernels take at once; a region is six times as large.
#define WF_SUM_MOST_BYTES ((size_t)16 << 20)

typedef enum wf_sum_way {
    WF_SUM_ONE_SHOT = WF_PEERS_ONE_SHOT,
    WF_SUM_TWO_SHOT = WF_PEERS_TWO_SHOT,
    WF_SUM_NCCL,
    WF_SUM_N_WAYS
} wf_sum_way;

// Buckets: up to 4 KiB, 8 KiB, ... 16 MiB, and all above, measured at 32 MiB.
#define WF_SUM_BUCKETS 14
int wf_sum_bucket(size_t bytes);

// Collective over control. *out stays NULL, with a line in the log that says why, where the ranks
// cannot write into each other's memory: other hosts, no peer access, data that does not arrive.
// Errors: WF_COMM (control).
wf_status wf_comm_peers_create(wf_comm *control, wf_backend *be, int64_t limit_ns, wf_peers **out);

// Collective over control unless `lost`, a peer being gone. Sets *p to NULL; takes NULL in it.
void wf_comm_peers_destroy(wf_comm *control, bool lost, wf_peers **p);

// Sums n elements of the back end's activation dtype by one way.
typedef struct wf_sum_runner {
    wf_status (*run)(void *arg, wf_stream *s, wf_sum_way way, void *data, int64_t n);
    void *arg;
} wf_sum_runner;

// Times the ways, captured, at every bucket and keeps the fastest, by the slowest rank. `nccl`:
// NCCL is one of them. ns[bucket][way] is what was measured, INT64_MAX where a way was not tried.
// Collective over control; takes about half a second.
wf_status wf_comm_peers_measure(wf_comm *control, wf_backend *be, const wf_peers *p, bool nccl,
                                const wf_sum_runner *runner,
                                int64_t ns[WF_SUM_BUCKETS][WF_SUM_N_WAYS],
                                wf_sum_way way[WF_SUM_BUCKETS]);

#endif
