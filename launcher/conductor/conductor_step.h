// The processes of one group: started as a world of their own, signalled, and waited for.
//
//   alone, tensor 1    weft run JOB --group ...
//   alone              mpirun -n TENSOR weft run JOB --group ...
//   in a batch job     srun --mpi=pmix -w NODES ... weft run JOB --group ...
//
// The child here is weft, mpirun or srun; each passes SIGUSR1 on to the ranks, and ends them (those
// that are stopped too) when it gets SIGTERM. srun's steps overlap: every step sees all devices and
// cores of its nodes, ranks share them out by their places, and what is left of a lost step
// does not keep the next one waiting. A child leads a process group of its own, so that a
// terminal's Ctrl-C reaches the conductor alone, and is killed when its parent dies. Local.
#ifndef WF_LAUNCHER_CONDUCTOR_STEP_H
#define WF_LAUNCHER_CONDUCTOR_STEP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "io/base/status.h"
#include "launcher/conductor/conductor_places.h"

typedef enum wf_step_way { WF_STEP_PLAIN, WF_STEP_MPIRUN, WF_STEP_SRUN } wf_step_way;

// All borrowed.
typedef struct wf_step_params {
    wf_step_way way;
    bool binds;           // srun would bind ranks to cores
    const char *job_file; // what the ranks read
    int group, n_groups;
    uint32_t run, epoch;
    int tensor;
    const int *seats;       // [tensor] indices into place, ascending
    const wf_place *place;  // all of the job
    const int *n_of_node;   // places per node
    char *const *node_name; // by node; of use for srun
} wf_step_params;

typedef struct wf_step {
    pid_t pid; // 0: none
} wf_step;

// Starts the processes. WF_IO when none can be started.
wf_status wf_step_start(const wf_step_params *params, wf_step *out);

// True when the child is gone; *exit_code is then its own, or 128 + the signal that ended it.
bool wf_step_ended(wf_step *step, int *exit_code);

void wf_step_signal(const wf_step *step, int number);

// Ends a rank on this host that a dead launcher may have left behind, stopped or not: `pid` as its
// status file says, if that process still is a rank of this group, run and epoch.
void wf_step_kill_rank(int64_t pid, int group, uint32_t run, uint32_t epoch);

#endif
