// Costs: what operations take on a device, told from what they took there when they were measured.
//
//   weft run --profile  ->  profile.csv  ->  wf_costs_read  ->  wf_costs_ns(operation, its least)
//
// An operation's least time is that of its bytes and of its products at the device's limits
// (kernels/profile_cost.h). What it takes beside that depends on the operation, on how many rows it
// has and on what it multiplies by, hardly on the model: the table keeps, for each of these, which
// share of the limit was reached, and how long the shortest call of all took. Between two measured
// numbers of rows the share is interpolated over their logarithm; of two weights the one nearer in
// size counts. After the roofline model (Williams et al., CACM 2009), with measured efficiencies as
// in Vidur (Agrawal et al., MLSys 2024, arXiv 2405.05465), which learns them per operation as well.
//
// A machine that nobody has measured has limits and one share for all. Local; pure but for reading.
#ifndef WF_KERNELS_SIMULATED_COSTS_H
#define WF_KERNELS_SIMULATED_COSTS_H

#include <stdbool.h>

#include "io/base/status.h"
#include "kernels/profile_cost.h"

typedef struct wf_costs wf_costs;

// What a device is, besides its operations.
typedef struct wf_costs_device {
    char name[96];
    bool host;                         // computes on the host: nothing runs behind it
    double memory_bytes;               // in all
    double bytes_per_ns, flops_per_ns; // limits
    double step_ns;                    // of every step, beside its operations
    double call_ns;                    // of the shortest call
    // Between the ranks of a group; sums take 2 (n-1)/n of the bytes. 0: ranks are alone.
    double link_bytes_per_ns, hop_ns;
} wf_costs_device;

// Reads a table that `weft run --profile` wrote. WF_CONFIG: not one, or of an older weft (the line
// is named); WF_IO, WF_NO_INPUT. Caller owns *out.
wf_status wf_costs_read(const char *path, wf_costs **out);

// A device that reaches `share` of its limits in every operation. WF_NO_MEMORY.
wf_status wf_costs_assume(const wf_costs_device *device, double share, wf_costs **out);

void wf_costs_destroy(wf_costs **costs); // NULL inside is fine

const wf_costs_device *wf_costs_of(const wf_costs *costs);

// The device with other links, or with another time of a step beside its operations.
void wf_costs_set_links(wf_costs *costs, double bytes_per_ns, double hop_ns);
void wf_costs_set_step(wf_costs *costs, double step_ns);

// Which operation, by its entry in the back ends' table ("gemm"), in steps that only decode or in
// others. Negative: the table has none of that name, in no kind of step.
int wf_costs_find(const wf_costs *costs, const char *operation, bool decode);

// Share of its limit that an operation with these rows and this weight reaches. `i_operation`
// negative: what operations reach on average.
double wf_costs_share(const wf_costs *costs, int i_operation, const wf_op_cost *cost);

// Time of a call that reaches `share`.
double wf_costs_ns(const wf_costs *costs, const wf_op_cost *cost, double share);

#endif
