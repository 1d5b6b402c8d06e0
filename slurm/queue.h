// Slurm's queue: asked and told through Slurm's own commands, which every site has.
//
//   submit -> PENDING -> RUNNING -> COMPLETING -> COMPLETED, FAILED ...
//                ^---------- requeue ---'
//
// A job is named as Slurm prints it: "12", "12_3" (task 3 of the array 12). Slurm forgets a job
// some minutes after its end: one that it does not know is no error, and has n 0. Errors:
// WF_NO_INPUT where the commands are missing, WF_IO where they or their controller do not answer,
// WF_CONFIG what Slurm refuses, in its own words. Starts processes (slurm/command.h). All Local.
#ifndef WF_SLURM_QUEUE_H
#define WF_SLURM_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/base/status.h"

enum { WF_QUEUE_ID_MAX = 48 };

typedef enum wf_queue_phase {
    WF_QUEUE_WAITS, // pending, held, requeued: nothing of it runs
    WF_QUEUE_RUNS,  // has nodes; also while it starts and ends
    WF_QUEUE_ENDED
} wf_queue_phase;

typedef struct wf_queue_job {
    char id[WF_QUEUE_ID_MAX]; // "12" or "12_3"
    int64_t number;           // each task of an array has its own as well
    wf_queue_phase phase;
    char state[24];     // "RUNNING", as Slurm says
    char reason[64];    // why it waits, "None" if for nothing
    char nodes[256];    // "n[1-4]", cut
    int64_t end_unix_s; // when it ends or ended; 0: not known, no limit
} wf_queue_job;

// The jobs of a list such as "12,13": a row for each task of an array. `out` is own, free().
wf_status wf_queue_find(const char *jobs, wf_queue_job **out, size_t *n);

// Hands a batch script to Slurm.
wf_status wf_queue_submit(const char *script, char id[WF_QUEUE_ID_MAX]);

// Sends a signal, "USR1", to the shell of the batch script, or to all processes of the steps.
typedef enum wf_queue_whom { WF_QUEUE_BATCH_SHELL, WF_QUEUE_STEPS } wf_queue_whom;
wf_status wf_queue_signal(const char *job, const char *signal, wf_queue_whom whom);

// Ends a job: SIGTERM, and SIGKILL after the site's KillWait; one that waits just goes.
wf_status wf_queue_cancel(const char *job);

// Nobody, the batch script included, can requeue the job any more.
wf_status wf_queue_forbid_requeue(const char *job);

#endif
