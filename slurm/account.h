// Slurm's accounting: how a job ended that the queue has forgotten.
//
// Not every site keeps one: WF_NO_INPUT where sacct is missing or tells nothing of the job, WF_IO
// where it does not answer. Starts a process (slurm/command.h). Local.
#ifndef WF_SLURM_ACCOUNT_H
#define WF_SLURM_ACCOUNT_H

#include "slurm/queue.h"

// The newest record of job "12" or "12_3". Its reason is empty.
wf_status wf_account_find(const char *job, wf_queue_job *out);

// One line of sacct's answer, "12|12|OUT_OF_MEMORY|2026-11-21T10:39:22|n[1-4]". WF_IO when it is
// none. Pure but for the local time zone; changes `line`.
wf_status wf_account_parse(char *line, wf_queue_job *out);

#endif
