// What weft submit leaves in the output folder.
//
//   <out>/submit/job.yaml     the resolved job, which the batch script runs
//   <out>/submit/job.sh       the batch script
//   <out>/submit/jobs.jsonl   a line for each job that Slurm was given:
//                             {"job": "12", "array": 0, "time": "2026-11-21T10:39:22.120Z"};
//                             the script adds its own where sbatch was typed by hand, and a run of
//                             a study is a task, "12_3". And one for each that weft cancel ended:
//                             {"cancelled": "12_3", "time": ...}
//
// Starting over (--fresh) keeps it: a job that waits in the queue needs it. All Local.
#ifndef WF_LAUNCHER_SUBMISSION_H
#define WF_LAUNCHER_SUBMISSION_H

#include <stddef.h>

#include "io/base/status.h"
#include "slurm/queue.h"

// "<out>/submit/<name>"; own, free().
wf_status wf_submission_path(const char *out_dir, const char *name, char **out);

// Writes job.yaml and job.sh, the folders included. WF_IO.
wf_status wf_submission_write(const char *out_dir, const char *job, const char *script);

// Records a job that Slurm has taken, of `array` tasks or 0. WF_IO.
wf_status wf_submission_add(const char *out_dir, const char *id, int array);

// Records that a job, "12" or "12_3", was told to end for good. WF_IO.
wf_status wf_submission_cancelled(const char *out_dir, const char *id);

// Takes job.yaml and job.sh away again, and the folder, where no job was ever recorded.
void wf_submission_forget(const char *out_dir);

// The newest lines that concern a task of an array, or -1; texts are "" where there is none.
typedef struct wf_submission_last {
    char job[WF_QUEUE_ID_MAX];
    char submitted[32], cancelled[32]; // ISO 8601
    int array;                         // its tasks; 0: no array
} wf_submission_last;
wf_status wf_submission_last_find(const char *out_dir, int task, wf_submission_last *out);

// The newest of the recorded jobs, at most `WF_SUBMISSION_MAX`, as a list for squeue, "12,13"; ""
// when nothing was submitted from here; each once. own, free(). WF_IO.
enum { WF_SUBMISSION_MAX = 1000 };
wf_status wf_submission_jobs(const char *out_dir, char **out);

// What Slurm knows of them. n 0: nothing was submitted, or Slurm has forgotten it. As
// wf_queue_find. `out` is own, free().
wf_status wf_submission_find(const char *out_dir, wf_queue_job **out, size_t *n);

#endif
