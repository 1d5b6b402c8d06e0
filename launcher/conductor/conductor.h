// The conductor: runs a job as many small MPI worlds, one per group, and keeps it going when some
// of them are lost. It is no rank and never touches MPI or a device.
//
//   conductor --starts--> srun | mpirun | weft          one per group (conductor_step.h)
//      ^  ^                    |
//      |  +--- status files ---+  heartbeats               (conductor_watch.h)
//      +------ sealed segments, leases, flight records     (conductor_pool.h)
//
// A group whose processes are gone, or one of whose ranks has gone quiet (it is named, and the
// group ended), is fenced off; what it had not sealed goes back to the pool, and it is started
// again, on its places or on spare ones (conductor_places.h), while others go on. What becomes of a
// group is a table (conductor_table.h). A request that stops its group again and again is given up
// (jobs/run/returned.h). What happened stands in <out>/events.jsonl (jobs/run/events.h). When no
// place is left, the other groups finish what they can, and the job ends WF_DRAINED, to be run
// again.
//
// Success is judged by the ranks' own last words and by what is sealed, never by exit codes: srun
// returns 0 for a step whose node was lost. Exit codes are only asked why a rank failed that said
// nothing. Local.
#ifndef WF_LAUNCHER_CONDUCTOR_H
#define WF_LAUNCHER_CONDUCTOR_H

#include "jobs/run/drain.h"
#include "launcher/conductor/conductor_pool.h"
#include "launcher/conductor/conductor_site.h"

// All borrowed.
typedef struct wf_conductor_config {
    const wf_jobspec *spec;
    wf_site *site; // its places are seated and freed
    wf_reader *reader;
    wf_drain *drain; // must the job leave? Watches the folder's stop file from the start on
    wf_folder_start start;
} wf_conductor_config;

// As wf_runner_run: WF_OK, WF_FAILED_ROWS, WF_DRAINED or the failure; *out sums all groups up.
wf_status wf_conduct(const wf_conductor_config *config, wf_runner_outcome *out);

#endif
