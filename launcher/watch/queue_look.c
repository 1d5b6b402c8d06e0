// What the batch system says of a job, as plain values. See queue_look.h.
#include "launcher/watch/queue_look.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/clock.h"
#include "io/base/file.h"
#include "io/base/log.h"
#include "launcher/folders.h"
#include "launcher/submission.h"
#include "slurm/account.h"

static const wf_batch_word word_of_phase[] = {[WF_QUEUE_WAITS] = WF_BATCH_WAITS,
                                              [WF_QUEUE_RUNS] = WF_BATCH_RUNS,
                                              [WF_QUEUE_ENDED] = WF_BATCH_OVER};

static void job_take(const wf_queue_job *job, wf_queue_look *out)
{
    int64_t left_s = job->end_unix_s - wf_clock_unix_ns() / WF_NS_PER_S;
    bool reason = strcmp(job->reason, "None") != 0;
    out->word = word_of_phase[job->phase];
    snprintf(out->job_id, sizeof out->job_id, "%s", job->id);
    snprintf(out->state, sizeof out->state, "%s", job->state);
    snprintf(out->nodes, sizeof out->nodes, "%s", job->nodes);
    snprintf(out->reason, sizeof out->reason, "%s", reason ? job->reason : "");
    if (job->phase == WF_QUEUE_RUNS && job->end_unix_s > 0) out->left_s = left_s > 0 ? left_s : 0;
}

// Of the array's part that `task` is; any job without an array where task is -1.
static bool is_ours(const wf_queue_job *job, int task)
{
    const char *part = strchr(job->id, '_');
    if (task < 0) return part == NULL;
    return part && strtol(part + 1, NULL, 10) == task;
}

static int rank_of_phase(wf_queue_phase phase)
{
    return phase == WF_QUEUE_RUNS ? 2 : phase == WF_QUEUE_WAITS ? 1 : 0;
}

static const wf_queue_job *job_choose(const wf_queue_job *jobs, size_t n, int task)
{
    const wf_queue_job *best = NULL;
    for (size_t i = 0; i < n; i++) {
        const wf_queue_job *job = &jobs[i];
        if (!is_ours(job, task)) continue;
        int is = rank_of_phase(job->phase), was = best ? rank_of_phase(best->phase) : -1;
        if (is > was || (is == was && job->number > best->number)) best = job;
    }
    return best;
}

static bool was_submitted(const char *folder)
{
    char *path = NULL;
    bool found = wf_submission_path(folder, "jobs.jsonl", &path) == WF_OK && wf_file_exists(path);
    free(path);
    return found;
}

// Where the submit record is: the folder itself, or the one above a part. -1 as task: no part.
static int home_find(const wf_watch_view *view, wf_queue_look *out)
{
    char *above = NULL;
    int task = wf_folders_task(wf_path_name(view->out_dir));
    if (was_submitted(view->out_dir)) {
        snprintf(out->home, sizeof out->home, "%s", view->out_dir);
        return -1;
    }
    if (task >= 0 && wf_path_folder(view->out_dir, &above) == WF_OK && was_submitted(above))
        snprintf(out->home, sizeof out->home, "%s", above);
    free(above);
    return task;
}

// A job that ended says nothing of a run that was started by hand after it.
static bool speaks_of_run(const wf_watch_view *view, const wf_queue_job *job)
{
    return view->n_runs == 0 || view->job_id[0] || job->phase != WF_QUEUE_ENDED;
}

static void record_look(const wf_watch_view *view, int task, wf_queue_look *out)
{
    wf_submission_last last;
    if (wf_submission_last_find(out->home, task, &last) != WF_OK) {
        wf_debug("%s", wf_error());
        return;
    }
    snprintf(out->submitted, sizeof out->submitted, "%s", last.submitted);
    out->cancelled = last.cancelled[0] && strcmp(last.cancelled, view->started) > 0;
    if (view->n_runs == 0) snprintf(out->job_id, sizeof out->job_id, "%s", last.job);
}

static void submitted_look(const wf_watch_view *view, int task, wf_queue_look *out)
{
    wf_queue_job *jobs = NULL;
    size_t n = 0;
    if (!out->home[0]) return;
    record_look(view, task, out);
    if (wf_submission_find(out->home, &jobs, &n) != WF_OK) {
        wf_debug("%s", wf_error());
        out->word = WF_BATCH_SILENT;
    }
    const wf_queue_job *job = job_choose(jobs, n, task);
    if (job && speaks_of_run(view, job)) job_take(job, out);
    free(jobs);
}

// What the accounting remembers of a job that the queue has forgotten.
static void account_look(const char *job, wf_queue_look *out)
{
    wf_queue_job told;
    if (wf_account_find(job, &told) != WF_OK)
        wf_debug("%s", wf_error());
    else
        job_take(&told, out);
}

// A submitted job that the queue no longer knows, and that began no run.
static void forgotten_look(const wf_watch_view *view, int task, wf_queue_look *out)
{
    char job[WF_QUEUE_ID_MAX + 16];
    if (out->state[0] || out->word == WF_BATCH_SILENT || view->n_runs > 0 || !out->job_id[0])
        return;
    snprintf(job, sizeof job, task >= 0 ? "%s_%d" : "%s", out->job_id, task);
    account_look(job, out);
}

// The newest run's own job, where no submitted one is known.
static void run_look(const wf_watch_view *view, wf_queue_look *out)
{
    wf_queue_job *jobs = NULL;
    size_t n = 0;
    if (out->state[0] || !view->job_id[0]) return;
    snprintf(out->job_id, sizeof out->job_id, "%s", view->job_id);
    if (wf_queue_find(view->job_id, &jobs, &n) != WF_OK)
        wf_debug("%s", wf_error());
    else if (n > 0)
        job_take(&jobs[0], out);
    else
        account_look(view->job_id, out);
    free(jobs);
}

void wf_queue_look_take(const wf_watch_view *view, wf_queue_look *out)
{
    *out = (wf_queue_look){.left_s = -1};
    int task = home_find(view, out);
    submitted_look(view, task, out);
    forgotten_look(view, task, out);
    run_look(view, out);
}

wf_status wf_queue_look_check(const wf_watch_view *view, const wf_queue_look *look)
{
    if (wf_stand_of(view, look->word) != WF_STAND_ABSENT || look->home[0]) return WF_OK;
    return wf_fail(WF_NO_INPUT,
                   "%s: is no output folder: no run was started in it and no job submitted for it",
                   view->out_dir);
}
