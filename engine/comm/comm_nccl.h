// The communicator of a group of CUDA devices: sums and gathers on a CUDA back end's stream,
// capturable. Control (plans, broadcasts, barriers) goes through another communicator of the same
// ranks.
//
//   wf_comm_mpi_create -> split into groups -> wf_comm_nccl_create(group, be) -> engine
//
// Sums go by the fastest of three ways, measured for each size when the group meets: the own
// one-shot and two-shot kernels where the devices reach each other's memory (comm_peers.h), else
// NCCL. NCCL does not promise the order of a sum's terms; `deterministic` takes the own kernels at
// every size, and where they cannot be had gathers with NCCL and adds up in order.
//
// It lives in the module weft_cuda and opens libnccl when it is asked for (WEFT_NCCL names another
// file): one device needs neither. NVLink multicast is off unless asked for: results and timings
// must not depend on whether a host's switch is healthy.
//
// A peer that is gone is noticed: kernels that wait for it end by themselves, and wf_comm_wait()
// asks this communicator, which names what is missing and gives NCCL's collectives up.
#ifndef WF_ENGINE_COMM_NCCL_H
#define WF_ENGINE_COMM_NCCL_H

#include "engine/comm/comm.h"

typedef enum wf_comm_sums {
    WF_COMM_SUMS_AUTO,     // what measured fastest
    WF_COMM_SUMS_NCCL,     // no memory is shared between devices but by NCCL
    WF_COMM_SUMS_OWN,      // NCCL is not opened; WF_COMM where the own kernels cannot be had
    WF_COMM_SUMS_ONE_SHOT, // the same, without measuring: for tests and benchmarks
    WF_COMM_SUMS_TWO_SHOT
} wf_comm_sums;

typedef struct wf_comm_nccl_config {
    bool nvls;          // let NCCL use NVLink multicast where it wants to
    bool deterministic; // a sum's terms are added in one order, whatever its size
    wf_comm_sums sums;
    int64_t limit_ns; // how long a peer may keep the others waiting; 0: two minutes
    int group;        // the group's number, for messages
} wf_comm_nccl_config;

// Collective over `control`, which is borrowed and outlives *out, as does be (a "cuda" back end, a
// device of its own per rank). Errors: WF_NOT_BUILT (module without NCCL), WF_COMM (no libnccl,
// another version on a peer, a peer that cannot be reached within the limit, two ranks on one
// device). Caller owns *out.
wf_status wf_comm_nccl_create(wf_comm *control, wf_backend *be, const wf_comm_nccl_config *config,
                              wf_comm **out);

// Version of the libnccl that would be used, "2.28.9". Errors as above. Local.
#define WF_COMM_NCCL_VERSION_MAX 32
wf_status wf_comm_nccl_version(char out[WF_COMM_NCCL_VERSION_MAX]);

// What wf_cuda_module.comm points to.
typedef struct wf_comm_nccl_module {
    size_t config_bytes, ops_bytes; // of wf_comm_nccl_config and wf_comm_ops in its build
    wf_status (*create)(wf_comm *control, wf_backend *be, const wf_comm_nccl_config *config,
                        wf_comm **out);
    wf_status (*version)(char out[WF_COMM_NCCL_VERSION_MAX]);
} wf_comm_nccl_module;

#endif
