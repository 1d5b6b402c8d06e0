// The batch script of a job, as text that a person can read, keep and edit.
//
//   #SBATCH directives        one for each value given, then the user's own, which win
//   setup lines               the user's: module load, exports
//   weights to local disks    if asked
//   srun ... weft run JOB &   or weft run alone, where it starts its own steps (`conducts`)
//   wait                      USR1 and TERM go on to the run, which drains and ends 75
//   75: scontrol requeue      Slurm requeues nothing by itself
//
// The setup lines alone are shell. All other values are data, whatever characters they are made of:
// nothing in them runs, and of $ only $NAME and ${NAME} in `stage_to` mean anything.
//
// Rendering reads nothing but its argument. Local.
#ifndef WF_SLURM_SCRIPT_H
#define WF_SLURM_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/base/status.h"

// All borrowed. Texts may be NULL or "" and numbers 0 for "not given", but for the first group.
typedef struct wf_script {
    const char *job_name;
    const char *folder;     // working directory, absolute
    const char *out_folder; // absolute: what the job prints goes there, slurm-<id>.out
    const char *weft;       // the program
    const char *job_file;   // absolute
    int nodes, tasks_per_node;

    int gpus_per_node, cpus_per_task;
    const char *partition, *account, *qos, *constraint, *mem;
    int64_t time_s;   // time limit
    int64_t signal_s; // drain so long before it
    bool requeue;
    bool chained;  // one of several jobs of this name that run one after the other
    int array;     // tasks; task i runs part i of the job
    bool conducts; // the program starts its steps itself, and outlives the loss of a node
    bool force;    // goes on in a folder of another job
    int give_up;   // runs without progress after which it is not requeued again; 0: never
    const char *const *setup; // [n_setup] shell lines
    size_t n_setup;
    const char *const *extra; // [n_extra] "--reservation=x"
    size_t n_extra;

    // An apptainer image where it ends in .sif or begins with docker://, oras:// or library://;
    // anything else is left to Slurm's container plug-in (pyxis): a .sqsh file or user/image:tag.
    const char *container;
    const char *const *mounts; // [n_mounts] folders that the container must see
    size_t n_mounts;           // `stage_to` beside them

    const char *model;    // the model's folder
    const char *stage_to; // node-local folder for a copy of it; $NAME and ${NAME} are expanded
} wf_script;

// own, free(). WF_CONFIG for a value that cannot stand in a script: a line break, an extra option
// without its dashes, a command in `stage_to`, a comma in a path that a container must see.
wf_status wf_script_render(const wf_script *script, char **out);

// ---- an array of such jobs ----------------------------------------------------------------------
// Jobs that ask for the same become tasks of one Slurm array, each with its own script:
//
//   shape                     the directives of a script, without its name and its output
//   --array=0-7%4             at most 4 at a time
//   exec <folder>/<name[I]>/submit/job.sh

typedef struct wf_tasks_script {
    const char *job_name;
    const char *shape;       // of all of them
    const char *folder;      // absolute: below it the runs' folders
    const char *log_folder;  // absolute: what tasks print goes there, and into the run's folder
    const char *const *name; // [n] of runs
    size_t n;
    int max_running; // at a time; 0: as many as Slurm gives
} wf_tasks_script;

// The directives that say what a script's job asks for. own, free().
wf_status wf_script_shape(const char *script, char **out);

// own, free(). WF_CONFIG as wf_script_render.
wf_status wf_script_render_tasks(const wf_tasks_script *tasks, char **out);

#endif
