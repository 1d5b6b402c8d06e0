// weft plan: the bytes that steps read at least, and so the least time they can take on a machine
// whose bandwidth is known. See wf_arch_step_bytes. Local.
#ifndef WF_LAUNCHER_PLAN_STEP_H
#define WF_LAUNCHER_PLAN_STEP_H

#include "engine/model_arch.h"
#include "jobs/spec/jobspec.h"
#include "launcher/cli.h"

typedef struct wf_plan_step {
    double bytes_per_s; // of the device's memory; 0: not known
    char machine[64];   // whose number that is; "": nobody's
} wf_plan_step;

// The machine that --machine names, else the known one whose name the device's holds ("NVIDIA
// H200"). As wf_machine_option.
wf_status wf_plan_step_ask(const wf_cli *cli, const char *device, wf_plan_step *out);

// Prints steps of 1, 8, 64 and 256 rows with contexts of `n_tokens`, per rank. Nothing for tasks
// whose rows are not gone on with.
void wf_plan_step_print(const wf_plan_step *step, const wf_jobspec *spec, const wf_arch *arch,
                        const wf_numerics *num, int32_t n_tokens);

#endif
