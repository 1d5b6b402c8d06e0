// One group of a conducted job, as its ranks are told: weft run JOB --group 3/8 --run 5 --epoch 1
// --places 2,3/4 means group 3 of 8 of run 5, in its second life; its first rank is the third, its
// second the fourth of 4 ranks that share a node. Written by launcher/conductor/conductor_step.c,
// for no one else to type. Local.
#ifndef WF_LAUNCHER_PART_H
#define WF_LAUNCHER_PART_H

#include "jobs/run/runner.h"
#include "jobs/spec/plan.h"
#include "launcher/bringup/world.h"
#include "launcher/cli.h"

typedef struct wf_part {
    bool is_one;        // false: an ordinary start
    wf_runner_part of;  // first_rank and n_sharing only after wf_part_place
    const char *places; // "2,3/4"; borrow
} wf_part;

// WF_USAGE.
wf_status wf_part_read(const wf_cli *cli, wf_part *out);

// Puts this world's ranks where the part says: their place on the node, their number in the job,
// also in the log. WF_USAGE when there is not a place for each.
wf_status wf_part_place(wf_part *part, wf_world *world, int tensor);

#endif
