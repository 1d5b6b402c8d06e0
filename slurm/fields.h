// The lines in which Slurm's commands answer: one job each, fields with '|' between.
//
//   12_3|14|RUNNING|2026-11-21T10:39:22|n[1-4]|None
//
// squeue and sacct differ in the fields after the first two and in their words for states, which
// queue.c and account.c know. Private to slurm/. All Local.
#ifndef WF_SLURM_FIELDS_H
#define WF_SLURM_FIELDS_H

#include <stdint.h>

#include "slurm/queue.h"

// Cuts the next field off *line; "" when there is none. Borrowed from the line, which it changes.
const char *wf_field_next(char **line);

// Clears *job and takes its name and number, the first two fields. WF_IO, in the name of `command`,
// when there is no number.
wf_status wf_field_take_job(const char *command, char **line, wf_queue_job *job);

// "2026-11-21T10:39:22" in local time as Unix seconds; 0 for "N/A", "Unknown" and the like.
int64_t wf_field_time(const char *field);

#endif
