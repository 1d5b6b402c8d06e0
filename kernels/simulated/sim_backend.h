// The simulated back end: computes nothing, and takes the time that a device would.
//
//   engine, forward pass -> be->ops -> cost of the operation -> the device's time goes on by it
//
// Every family, layout and step plan is simulated by the code that runs it, since all that is
// replaced is the table of operations. A buffer is an address that nobody may follow; what is
// downloaded is zero, so every token drawn is 0; weights have a shape and no numbers. The host is
// taken to be as fast as it has to be: where the device computes behind it, planning costs nothing.
//
// Not in the list of back ends (backend.h): nobody gets it by asking for "auto". Local.
#ifndef WF_KERNELS_SIMULATED_SIM_BACKEND_H
#define WF_KERNELS_SIMULATED_SIM_BACKEND_H

#include "io/base/simtime.h"
#include "kernels/backend.h"
#include "kernels/simulated/costs.h"

typedef struct wf_simulated_config {
    const wf_costs *costs; // borrowed
    wf_numerics numerics;  // weight and kv
    wf_simtime *time;      // borrowed; whoever waits for the device moves this member's clock
    int i_member;
} wf_simulated_config;

// WF_NO_MEMORY. Caller owns *out: wf_backend_destroy().
wf_status wf_simulated_create(const wf_simulated_config *config, wf_backend **out);

// The device is busy for `ns` more: for communication, which is no operation of a back end.
void wf_simulated_busy(wf_backend *be, double ns);

#endif
