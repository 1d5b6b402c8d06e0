// The owner of an output folder: at most one live job writes there.
//
// <out>/owner.json names host, pid, pid start time, boot id, batch job and a heartbeat counter that
// a small thread renews by rename every two seconds. A file left by a dead owner is recognised:
//   same host and boot: the pid is gone, or started at another time;
//   other host: the same batch job with a lower restart count, or a job the caller knows to be
//   gone, or a counter that does not move within `wait_ns`.
// A second job is refused with WF_IN_USE naming the first. All Local, by one process per job.
#ifndef WF_IO_RESULTS_RUNFILE_OWNER_H
#define WF_IO_RESULTS_RUNFILE_OWNER_H

#include "io/base/status.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum wf_owner_word { WF_OWNER_UNKNOWN, WF_OWNER_ALIVE, WF_OWNER_GONE } wf_owner_word;

// What the batch system says of a job (squeue).
typedef wf_owner_word (*wf_owner_ask)(void *context, const char *job_id);

typedef struct wf_owner_params {
    const char *job_id; // batch job, NULL or "": none
    uint32_t restart;   // its restart count
    int64_t wait_ns;    // how long to watch another host's counter; 0: 10 s
    int64_t beat_ns;    // between heartbeats; 0: 2 s
    wf_owner_ask ask;   // only of owners on other hosts; NULL: nobody to ask
    void *ask_context;
} wf_owner_params;

typedef struct wf_owner wf_owner;

// Becomes the owner and starts the heartbeat. WF_IN_USE names the live owner. own.
wf_status wf_owner_take(const char *out_dir, const wf_owner_params *params, wf_owner **out);

// False when another job has taken the folder: stop without publishing.
bool wf_owner_holds(const wf_owner *owner);

// Stops the heartbeat and removes owner.json if it is still ours. NULL inside is fine.
void wf_owner_release(wf_owner **owner);

// Says whether the folder has a live owner now, without taking it (status, report, merge); `line`
// describes it, "" when there is none. Waits as take does.
wf_status wf_owner_look(const char *out_dir, const wf_owner_params *params, bool *alive,
                        char line[256]);

#endif
