// Where a conducted job can run: nodes, and on each so many places for ranks.
//
//   in a batch job   the nodes of SLURM_JOB_NODELIST; a place per task (--ntasks-per-node), else
//   per
//                    GPU, else as many as parallel.replicas need, else one group per node
//   elsewhere        this host; a place per rank that parallel.replicas asks for, else per GPU
//
// The groups are laid on the places by jobs/spec/plan.h, as ranks would be; what is left over is
// spare. Local.
#ifndef WF_LAUNCHER_CONDUCTOR_SITE_H
#define WF_LAUNCHER_CONDUCTOR_SITE_H

#include "jobs/spec/jobspec.h"
#include "jobs/spec/plan.h"
#include "launcher/conductor/conductor_places.h"
#include "slurm/env.h"

typedef struct wf_site {
    bool slurm;           // steps are started by srun
    bool binds;           // which would bind their ranks to cores if it were not told otherwise
    wf_slurm_nodes nodes; // their names, in the order of the allocation
    int *n_of_node;       // [nodes.n] places
    int n_places;
    wf_place *place; // [n_places]
    wf_plan *plan;   // of the places: group g first sits on plan->member[g * tensor ...]
} wf_site;

// Whether a batch job of so many ranks is one for a conductor: the job file says so or, left to us,
// nothing is timed, there are several groups, and no container hides Slurm's commands.
bool wf_site_suits(const wf_jobspec *spec, int n_ranks);

// WF_CONFIG when the groups asked for do not fit; *out is for wf_site_free either way.
wf_status wf_site_find(const wf_jobspec *spec, const wf_slurm_env *slurm, wf_site *out);
void wf_site_free(wf_site *site);

// Whether a node still runs what it is told to, asked by a small step with a time limit. Always
// true outside of Slurm.
bool wf_site_node_answers(const wf_site *site, int node);

#endif
