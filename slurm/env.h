// The job this process runs in, as Slurm's environment tells it.
//
//   SLURM_JOB_ID, SLURM_RESTART_COUNT, SLURM_ARRAY_*        which job, and its how manieth start
//   SLURM_JOB_NUM_NODES, SLURM_JOB_NODELIST, SLURM_NTASKS   what it holds
//   SLURM_PROCID, SLURM_LOCALID, SLURM_NODEID               this task, inside a step
//   SLURM_JOB_END_TIME                                      when it will be stopped
//
// Reads an environment, nothing else; only wf_slurm_time_left() asks squeue, for the Slurm versions
// that do not set SLURM_JOB_END_TIME. Outside Slurm everything is "not there". All Local.
#ifndef WF_SLURM_ENV_H
#define WF_SLURM_ENV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/base/status.h"

typedef struct wf_slurm_env {
    bool present;        // inside a job
    int64_t job_id;      // 0: none
    int64_t restarts;    // requeues so far
    int64_t array_job;   // 0: no array
    int64_t array_task;  // -1: none
    int64_t array_tasks; // tasks of the array, 0: none
    int64_t n_nodes, n_tasks;
    bool in_step;                       // started by srun
    int64_t proc_id, local_id, node_id; // -1: not in a step
    int64_t end_unix_s;                 // when the time limit ends the job; 0: not known
    const char *node_list;              // "gpu[01-04,07]" as given, "" if not; borrow
    const char *job_name, *partition;   // "" if not given; borrow
} wf_slurm_env;

// How a variable is looked up; NULL where it is not set. What it returns is borrowed by the result.
typedef const char *(*wf_slurm_getenv)(void *context, const char *name);

// `lookup` NULL: this process's environment. A variable that is not what it should be is WF_CONFIG,
// by name.
wf_status wf_slurm_env_read(wf_slurm_getenv lookup, void *context, wf_slurm_env *out);

typedef struct wf_slurm_nodes {
    size_t n;
    char **name; // [n]
} wf_slurm_nodes;

// Expands Slurm's list of nodes, "a[01-03,7],b2,c[1-2]-x[3,4]" into names in order; zeros in front
// are kept. WF_CONFIG for a list that is not one, or of more than `WF_SLURM_MAX_NODES` nodes.
enum { WF_SLURM_MAX_NODES = 65536 };
wf_status wf_slurm_nodes_expand(const char *list, wf_slurm_nodes *out);
void wf_slurm_nodes_free(wf_slurm_nodes *nodes);

// Seconds until the job's time limit; -1: no limit or not known. Asks squeue where the environment
// does not say; runs a program, so it must be called before MPI and devices are up.
int64_t wf_slurm_time_left(const wf_slurm_env *env);

#endif
