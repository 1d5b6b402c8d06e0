// The NCCL communicator: sums and gathers on a CUDA back end's stream, capturable; control (plans,
// broadcasts, barriers) goes through another communicator of the same ranks.
//
//   wf_comm_mpi_create -> split into groups -> wf_comm_nccl_create(group, be) -> engine
//
// It lives in the module weft_cuda and opens libnccl when it is asked for: one device needs
// neither. NVLink multicast is off unless asked for: results and timings must not depend on whether
// a host's switch is healthy. Unlike the others it does not promise the order of a sum's terms; for
// one message size the order is fixed.
#ifndef WF_ENGINE_COMM_NCCL_H
#define WF_ENGINE_COMM_NCCL_H

#include "engine/comm/comm.h"

typedef struct wf_comm_nccl_config {
    bool nvls; // let NCCL use NVLink multicast where it wants to
} wf_comm_nccl_config;

// Collective over `control`, which is borrowed and outlives *out, as does be (a "cuda" back end, a
// device of its own per rank). Errors: WF_NOT_BUILT (module without NCCL), WF_COMM (no libnccl,
// another version on a peer, a peer that cannot be reached, two ranks on one device). Caller owns
// *out.
wf_status wf_comm_nccl_create(wf_comm *control, wf_backend *be, const wf_comm_nccl_config *config,
                              wf_comm **out);

// What wf_cuda_module.comm points to.
typedef struct wf_comm_nccl_module {
    wf_status (*create)(wf_comm *control, wf_backend *be, const wf_comm_nccl_config *config,
                        wf_comm **out);
} wf_comm_nccl_module;

#endif
