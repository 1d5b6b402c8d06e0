// Runs one of Slurm's commands (sbatch, squeue, scontrol, scancel) and takes what it prints.
//
// A controller that does not answer holds its commands for minutes: every call has a time limit,
// after which the command is killed. Starts a process, so call it before MPI and devices are up, or
// from a process that has neither. All Local.
#ifndef WF_SLURM_COMMAND_H
#define WF_SLURM_COMMAND_H

#include <stdint.h>

#include "io/base/status.h"

typedef struct wf_slurm_answer {
    int exit_code; // 128 + n after signal n
    char *out;     // standard output without its last newline; own
    char *err;     // the first line of standard error, "" if none; own
} wf_slurm_answer;

// `argv` is looked up on PATH and ended by NULL. Any exit code is WF_OK here: only the caller knows
// what it means. WF_NO_INPUT: the command is not installed; WF_IO: it did not end in time, or the
// system refused. Give *answer to wf_slurm_answer_free.
wf_status wf_slurm_command(const char *const argv[], int64_t limit_ns, wf_slurm_answer *answer);
void wf_slurm_answer_free(wf_slurm_answer *answer);

#endif
