// What the batch system says of an output folder's job, as plain values.
//
// The job is one that weft submit recorded in the folder (of an array's part: above it), the one
// that runs before those that wait before those that ended, else the one that the newest run ran
// in. One that the queue has forgotten is asked of the accounting. Without a batch system, or where
// it does not answer, everything is "not known". Local; runs programs (squeue, sacct).
#ifndef WF_LAUNCHER_QUEUE_LOOK_H
#define WF_LAUNCHER_QUEUE_LOOK_H

#include "jobs/watch/watch.h"

typedef struct wf_queue_look {
    wf_batch_word word;
    char job_id[64];    // "1234", "1234_5"; "" when there is no job
    char state[32];     // "PENDING", "OUT_OF_MEMORY" ...; "" when not known
    char reason[128];   // why it waits, or why it ended; "" when not known
    char nodes[256];    // "n[1-4]"; ""
    int64_t left_s;     // until the time limit; -1: not known, or none
    char submitted[32]; // when the newest job was, ISO 8601; "" when not known
    bool cancelled;     // by weft cancel, after the newest run began
    char home[1024];    // folder with the submit record and the job's output; "" when not submitted
} wf_queue_look;

void wf_queue_look_take(const wf_watch_view *view, wf_queue_look *out);

// WF_NO_INPUT for a folder in which nothing was started, and for which nothing was submitted. Pure.
wf_status wf_queue_look_check(const wf_watch_view *view, const wf_queue_look *look);

#endif
