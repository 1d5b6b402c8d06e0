// The ranks of this start and where they are: MPI bring-up, nodes, and agreement on failures.
//
//   start -> agree ... -> stop
//
// Alone, MPI is not touched: the world is one rank. Under mpirun or srun, nodes come from PMIx
// where all ranks know it and it agrees with itself (job size, and on each node its local ranks),
// else from who shares memory with whom by MPI.
#ifndef WF_LAUNCHER_WORLD_H
#define WF_LAUNCHER_WORLD_H

#include <stdbool.h>

#include "engine/comm/comm.h"
#include "launcher/bringup/start.h"

enum { WF_HOST_MAX = 64 };

typedef struct wf_world {
    wf_comm *comm; // all ranks
    int rank, size;
    bool mpi;
    wf_start_kind kind;
    int *node_of_rank; // [size] nodes numbered from 0 in the order of their lowest ranks
    int n_nodes;
    int local, n_local;        // this rank among those of its node
    char (*host)[WF_HOST_MAX]; // [n_nodes]
    const char *placement;     // who said so: "PMIx", "MPI shared memory ...", "alone"; static
} wf_world;

// Brings MPI up if the process was started as a rank. WF_USAGE for srun without an MPI plug-in;
// WF_NOT_BUILT, WF_COMM. Collective over all ranks. The caller owns *out.
wf_status wf_world_start(const wf_start *start, wf_world **out);

// All ranks learn whether one failed: the status of the lowest rank that failed and knows the
// cause. On the other ranks the error detail is emptied, so that one rank alone has something to
// say. Collective.
wf_status wf_world_agree(const wf_world *world, wf_status status);

// Ends the whole job with `status`'s exit code, when other ranks cannot be told. Does not return;
// alone it ends this process. Local.
_Noreturn void wf_world_abort(const wf_world *world, wf_status status);

// Collective. NULL inside is fine.
void wf_world_stop(wf_world **world);

#endif
