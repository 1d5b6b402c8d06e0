// Asks squeue. See ask_queue.h.
#include "launcher/watch/ask_queue.h"

#include <stdlib.h>

#include "io/base/log.h"
#include "slurm/queue.h"

wf_owner_word wf_ask_queue(void *context, const char *job_id)
{
    (void)context;
    wf_queue_job *jobs = NULL;
    size_t n = 0;
    wf_owner_word word = WF_OWNER_UNKNOWN;
    if (wf_queue_find(job_id, &jobs, &n) != WF_OK) wf_debug("owner: %s", wf_error());
    for (size_t i = 0; i < n; i++) {
        if (atoll(job_id) != jobs[i].number) continue; // another task of the array
        word = jobs[i].phase == WF_QUEUE_RUNS ? WF_OWNER_ALIVE : WF_OWNER_GONE;
    }
    free(jobs);
    return word;
}
