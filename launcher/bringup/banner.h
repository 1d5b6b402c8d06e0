// What a job says of itself when it starts: versions, batch job, placement, configuration.
#ifndef WF_LAUNCHER_BANNER_H
#define WF_LAUNCHER_BANNER_H

#include <stdint.h>

#include "jobs/spec/jobspec.h"
#include "jobs/spec/plan.h"
#include "launcher/bringup/device_look.h"
#include "launcher/bringup/world.h"
#include "launcher/version.h"
#include "slurm/env.h"

// Between version and hash in a start's first lines: `weft why` knows starts in a log by it.
#define WF_BANNER_MARK ": configuration "

typedef struct wf_banner {
    const wf_versions *versions; // all borrowed
    const wf_jobspec *spec;
    const wf_slurm_env *slurm;
    const wf_world *world;
    const wf_plan *plan;
    const wf_own_device *device; // of this rank
    wf_thread_plan threads;
    int64_t left_s; // until the batch job's time limit; -1: none
    uint64_t config_hash;
} wf_banner;

// Logs it, a few lines. First rank only. Local.
void wf_banner_print(const wf_banner *banner);

#endif
