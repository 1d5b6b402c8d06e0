// Whether a batch job still works, as Slurm's queue says: for owners of output folders on other
// hosts.
#ifndef WF_LAUNCHER_ASK_QUEUE_H
#define WF_LAUNCHER_ASK_QUEUE_H

#include "io/results/runfile_owner.h"

// A wf_owner_ask; `context` is not used. A job that waits in the queue does not work. Unknown where
// there is no queue, it does not answer, or it knows no such job. Local.
wf_owner_word wf_ask_queue(void *context, const char *job_id);

#endif
