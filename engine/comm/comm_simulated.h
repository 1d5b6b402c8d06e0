// The communicator of a simulated group: its first rank, with peers that do as it does.
//
// Control operations go nowhere: what the first rank would send arrives, what others would say is
// zero, or the same as it says. Data operations take the simulated device's time: an all-reduce of
// b bytes over n ranks `hop` and 2 b (n-1)/n over the link, as a reduce-scatter and an all-gather
// do that overlap nothing. Local.
#ifndef WF_ENGINE_COMM_SIMULATED_H
#define WF_ENGINE_COMM_SIMULATED_H

#include "engine/comm/comm.h"
#include "kernels/simulated/costs.h"

// Of `size` ranks. `be` NULL: it carries no data. The device's costs are borrowed. WF_CONFIG: data
// over links whose speed the costs do not say. Caller owns *out.
wf_status wf_comm_simulated_create(int size, wf_backend *be, const wf_costs *costs, wf_comm **out);

#endif
