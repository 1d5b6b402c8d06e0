// A study's runs in Slurm: those that ask for the same are tasks of one array.
//
//   <out>/submit/array.sh          the array's batch script; array-2.sh: of runs that ask for
//                                  something else, since the tasks of an array are all alike
//   <out>/submit/jobs.jsonl        the arrays (submission.h)
//   <out>/points/<name>/submit/    of each run: its own script, and "12_3", the task that runs it
//
// No array waits for another one. All Local.
#ifndef WF_LAUNCHER_STUDY_ARRAY_H
#define WF_LAUNCHER_STUDY_ARRAY_H

#include "launcher/study_run.h"
#include "slurm/queue.h"

// What Slurm knows of a study's arrays, asked once for all runs.
struct wf_study_jobs {
    wf_queue_job *job; // [n] own
    size_t n;
};

// n 0: none was submitted, or Slurm has forgotten them. As wf_queue_find.
wf_status wf_study_jobs_ask(const char *out, wf_study_jobs *jobs);
void wf_study_jobs_free(wf_study_jobs *jobs);

// What became of the task that a run's folder was last submitted as, for the table: "job 12_3
// waits (Resources)". Whether it waits or runs still. `said` keeps its words where there was none.
bool wf_study_job_tell(const wf_study_jobs *jobs, const char *folder, char *said,
                       size_t said_bytes);

// Submits the rows that are `written`, at most `max_running` of each array at a time (0: as Slurm
// gives), and tells each its job. WF_CONFIG, WF_IO: Slurm's refusal; arrays before it stay.
wf_status wf_study_arrays_submit(const wf_study_runner *runner, wf_study_result *rows, size_t n,
                                 int max_running);

// Marks runs whose tasks are among `jobs` and have not ended as cancelled, so that their scripts
// do not requeue them. Nothing where `out` is no study's folder.
wf_status wf_study_mark_cancelled(const char *out, const wf_queue_job *jobs, size_t n);

#endif
