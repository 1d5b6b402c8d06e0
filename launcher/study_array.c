// See study_array.h.
#include "launcher/study_array.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/arena.h"
#include "io/base/log.h"
#include "io/base/text.h"
#include "launcher/submission.h"
#include "slurm/script.h"

enum { MOST_TASKS = 1000, SCRIPT_BYTES = 1 << 20 }; // Slurm's MaxArraySize is 1001 where unset

// ---- what became of them ------------------------------------------------------------------------

wf_status wf_study_jobs_ask(const char *out, wf_study_jobs *jobs)
{
    *jobs = (wf_study_jobs){0};
    return wf_submission_find(out, &jobs->job, &jobs->n);
}

void wf_study_jobs_free(wf_study_jobs *jobs)
{
    free(jobs->job);
    *jobs = (wf_study_jobs){0};
}

static const wf_queue_job *job_find(const wf_queue_job *jobs, size_t n, const char *id)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(jobs[i].id, id) == 0) return &jobs[i];
    return NULL;
}

bool wf_study_job_tell(const wf_study_jobs *jobs, const char *folder, char *said, size_t said_bytes)
{
    wf_submission_last last;
    char log[PATH_MAX], words[WF_STUDY_WORDS];
    if (wf_submission_last_find(folder, -1, &last) != WF_OK || !last.job[0]) return false;
    const wf_queue_job *job = job_find(jobs->job, jobs->n, last.job);
    if (job && job->phase == WF_QUEUE_WAITS)
        snprintf(said, said_bytes, "job %s waits (%s)", job->id, job->reason);
    else if (job && job->phase == WF_QUEUE_RUNS)
        snprintf(said, said_bytes, "job %s runs", job->id);
    if (job && job->phase != WF_QUEUE_ENDED) return true;
    snprintf(log, sizeof log, "%.4000s/slurm-%s.out", folder, last.job);
    wf_study_last_words(log, words);
    snprintf(said, said_bytes, "job %s %s: %.200s; weft why %.150s", last.job,
             last.cancelled[0] ? "was cancelled"
             : job             ? job->state
                               : "ended",
             words[0] ? words : "it printed nothing", folder);
    return false;
}

wf_status wf_study_mark_cancelled(const char *out, const wf_queue_job *jobs, size_t n)
{
    char points[PATH_MAX], folder[PATH_MAX];
    wf_paths names = {0};
    wf_status st = WF_OK;
    snprintf(points, sizeof points, "%.4000s/points", out);
    if (!wf_file_exists(points)) return WF_OK;
    WF_TRY(wf_file_list(points, &names));
    for (size_t i = 0; i < names.n && st == WF_OK; i++) {
        wf_submission_last last;
        snprintf(folder, sizeof folder, "%.3800s/%.250s", points, names.item[i]);
        if (wf_text_ends_with(folder, ".log")) continue;
        if (wf_submission_last_find(folder, -1, &last) != WF_OK) continue;
        const wf_queue_job *job = job_find(jobs, n, last.job);
        if (job && job->phase != WF_QUEUE_ENDED) st = wf_submission_cancelled(folder, job->id);
    }
    wf_paths_destroy(&names);
    return st;
}

// ---- shapes -------------------------------------------------------------------------------------

typedef struct shape {
    char *directives;      // own
    wf_study_result **row; // [n] of its runs, borrow
    size_t n, capacity;
} shape;

typedef struct shapes {
    shape *item; // [n]
    size_t n, capacity;
} shapes;

static void shapes_free(shapes *all)
{
    for (size_t i = 0; i < all->n; i++) {
        free(all->item[i].directives);
        free(all->item[i].row);
    }
    free(all->item);
}

// Whose directives they are from here.
static wf_status shape_of(shapes *all, char *directives, shape **out)
{
    for (size_t i = 0; i < all->n; i++) {
        if (strcmp(all->item[i].directives, directives) != 0) continue;
        free(directives);
        *out = &all->item[i];
        return WF_OK;
    }
    wf_status st = wf_grow(all->n + 1, sizeof *all->item, &all->capacity, &all->item);
    if (st != WF_OK) {
        free(directives);
        return st;
    }
    *out = &all->item[all->n++];
    **out = (shape){.directives = directives};
    return WF_OK;
}

static wf_status row_sort(const wf_study_runner *r, wf_study_result *row, shapes *all)
{
    char folder[PATH_MAX], *path = NULL, *script = NULL, *directives = NULL;
    shape *of = NULL;
    snprintf(folder, sizeof folder, "%.3800s/points/%.250s", r->out, row->name);
    WF_TRY(wf_submission_path(folder, "job.sh", &path));
    wf_status st = wf_file_read(path, SCRIPT_BYTES, &script, NULL);
    if (st == WF_OK) st = wf_script_shape(script, &directives);
    if (st == WF_OK) st = shape_of(all, directives, &of);
    if (st == WF_OK) st = wf_grow(of->n + 1, sizeof *of->row, &of->capacity, &of->row);
    if (st == WF_OK) of->row[of->n++] = row;
    free(path);
    free(script);
    return st;
}

// "--nodes=1 --ntasks-per-node=2": what of a shape is said to people.
static void shape_say(const char *directives, wf_text *out)
{
    static const char *const told[] = {
        "--partition=", "--nodes=", "--ntasks-per-node=", "--gpus-per-node=", "--cpus-per-task=",
        "--mem=",       "--time="};
    for (const char *line = directives; *line; line += line[0] == '\n') {
        size_t n = strcspn(line, "\n");
        const char *option = strstr(line, "--");
        for (size_t i = 0; option && i < sizeof told / sizeof told[0]; i++)
            if (strncmp(option, told[i], strlen(told[i])) == 0)
                wf_text_printf(out, " %.*s", (int)(n - (size_t)(option - line)), option);
        line += n;
    }
}

// ---- submitting ---------------------------------------------------------------------------------

typedef struct handing {
    const wf_study_runner *runner;
    char out[PATH_MAX]; // whole path
    int max_running;
    int n_arrays;
} handing;

static wf_status array_render(const handing *h, const shape *of, size_t first, size_t n, char **out)
{
    char folder[PATH_MAX], logs[PATH_MAX];
    const char **names = NULL;
    snprintf(folder, sizeof folder, "%.4000s/points", h->out);
    snprintf(logs, sizeof logs, "%.4000s/submit", h->out);
    WF_TRY(wf_alloc(n, sizeof *names, &names));
    for (size_t i = 0; i < n; i++)
        names[i] = of->row[first + i]->name;
    const wf_tasks_script tasks = {.job_name = h->runner->study->name,
                                   .shape = of->directives,
                                   .folder = folder,
                                   .log_folder = logs,
                                   .name = names,
                                   .n = n,
                                   .max_running = h->max_running};
    wf_status st = wf_script_render_tasks(&tasks, out);
    free(names);
    return st;
}

static wf_status tasks_record(const handing *h, const shape *of, size_t first, size_t n,
                              const char *id)
{
    WF_TRY(wf_submission_add(h->out, id, (int)n));
    for (size_t i = 0; i < n; i++) {
        wf_study_result *row = of->row[first + i];
        char folder[PATH_MAX], task[WF_QUEUE_ID_MAX + 24];
        snprintf(folder, sizeof folder, "%.3800s/points/%.250s", h->out, row->name);
        snprintf(task, sizeof task, "%s_%zu", id, i);
        WF_TRY(wf_submission_add(folder, task, 0));
        row->failed = false;
        snprintf(row->said, sizeof row->said, "job %s", task);
    }
    return WF_OK;
}

static void array_say(const handing *h, const shape *of, size_t n, const char *id)
{
    wf_text words = {0};
    char *text = NULL;
    shape_say(of->directives, &words);
    wf_text_puts(&words, "");
    if (wf_text_take(&words, &text) != WF_OK) return;
    printf("array %s: %zu run%s", id, n, WF_S(n));
    if (h->max_running > 0) printf(", at most %d at a time", h->max_running);
    printf(", each with%s\n", text);
    free(text);
}

static wf_status array_submit(handing *h, const shape *of, size_t first, size_t n)
{
    char name[32] = "array.sh", id[WF_QUEUE_ID_MAX] = "", *path = NULL, *script = NULL;
    if (++h->n_arrays > 1) snprintf(name, sizeof name, "array-%d.sh", h->n_arrays);
    WF_TRY(wf_submission_path(h->out, name, &path));
    wf_status st = array_render(h, of, first, n, &script);
    if (st == WF_OK) st = wf_file_write_whole(path, script, strlen(script), WF_PUBLISH_REPLACE);
    if (st == WF_OK) st = wf_queue_submit(path, id);
    if (st == WF_OK) st = tasks_record(h, of, first, n, id);
    if (st == WF_OK) array_say(h, of, n, id);
    free(path);
    free(script);
    return st;
}

static wf_status shapes_submit(handing *h, const shapes *all)
{
    char folder[PATH_MAX];
    if (!realpath(h->runner->out, h->out)) return wf_fail_errno(WF_IO, "%s", h->runner->out);
    snprintf(folder, sizeof folder, "%.4000s/submit", h->out);
    WF_TRY(wf_file_make_folders(folder));
    if (all->n > 1)
        printf(
            "%zu shapes of resources, an array each: the tasks of a Slurm array are all alike%s\n",
            all->n, h->max_running > 0 ? "; --max-running holds for each array" : "");
    for (size_t i = 0; i < all->n; i++) {
        const shape *of = &all->item[i];
        for (size_t first = 0; first < of->n; first += MOST_TASKS) {
            size_t n = of->n - first < MOST_TASKS ? of->n - first : MOST_TASKS;
            WF_TRY(array_submit(h, of, first, n));
        }
    }
    return WF_OK;
}

wf_status wf_study_arrays_submit(const wf_study_runner *runner, wf_study_result *rows, size_t n,
                                 int max_running)
{
    handing h = {.runner = runner, .max_running = max_running};
    shapes all = {0};
    wf_status st = WF_OK;
    for (size_t i = 0; i < n && st == WF_OK; i++) {
        if (!rows[i].written) continue;
        rows[i].failed = true; // until Slurm has it
        st = row_sort(runner, &rows[i], &all);
    }
    if (st == WF_OK && all.n > 0) st = shapes_submit(&h, &all);
    shapes_free(&all);
    return st;
}
