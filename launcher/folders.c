// One output folder or the parts of an array. See folders.h.
#include "launcher/folders.h"

#include <stdio.h>
#include <stdlib.h>

#include "io/base/arena.h"
#include "io/base/file.h"
#include "io/base/log.h"
#include "io/results/results_file.h"
#include "launcher/submission.h"

int wf_folders_task(const char *name)
{
    int task = -1, end = 0;
    if (sscanf(name, "a%d%n", &task, &end) != 1 || name[end] || task < 0) return -1;
    return name[1] >= '0' && name[1] <= '9' ? task : -1;
}

static int by_task(const void *a, const void *b)
{
    int x = wf_folders_task(wf_path_name(*(char *const *)a)),
        y = wf_folders_task(wf_path_name(*(char *const *)b));
    return (x > y) - (x < y);
}

static wf_status add(wf_folders *f, size_t *capacity, char *path)
{
    wf_status st = wf_grow(f->n + 1, sizeof *f->path, capacity, &f->path);
    if (st == WF_OK)
        f->path[f->n++] = path;
    else
        free(path);
    return st;
}

// The folder of a study has runs below it, and none of its own.
static wf_status study_refuse(const char *place)
{
    char *points = NULL, *runs = NULL;
    WF_TRY(wf_path_join(place, "points", &points));
    wf_status st = wf_path_join(place, "runs", &runs);
    if (st == WF_OK && wf_file_exists(points) && !wf_file_exists(runs))
        st = wf_fail(WF_NO_INPUT,
                     "%s: is the folder of a study: weft study STUDY.yaml --out %s --collect tells "
                     "what has been run, and %s/* are the runs",
                     place, place, points);
    free(points);
    free(runs);
    return st;
}

wf_status wf_folders_find(const char *place, wf_folders *out)
{
    wf_paths names = {0};
    size_t capacity = 0;
    char *path = NULL;
    *out = (wf_folders){0};
    if (!wf_file_exists(place))
        return wf_fail(WF_NO_INPUT, "%s: there is no such output folder", place);
    WF_TRY(study_refuse(place));
    WF_TRY(wf_path_join(place, "runs", &path));
    bool has_runs = wf_file_exists(path);
    free(path);
    wf_status st = has_runs ? WF_OK : wf_file_list(place, &names);
    for (size_t i = 0; i < names.n && st == WF_OK; i++) {
        if (wf_folders_task(names.item[i]) < 0) continue;
        st = wf_path_join(place, names.item[i], &path);
        if (st == WF_OK) st = add(out, &capacity, path);
    }
    wf_paths_destroy(&names);
    out->is_array = out->n > 0;
    if (st == WF_OK && out->is_array) qsort(out->path, out->n, sizeof *out->path, by_task);
    if (st == WF_OK && !out->is_array) {
        st = wf_strdup(place, &path);
        if (st == WF_OK) st = add(out, &capacity, path);
    }
    if (st != WF_OK) wf_folders_free(out);
    return st;
}

bool wf_folders_is_array(const char *place)
{
    wf_folders parts = {0};
    bool is_array = wf_folders_find(place, &parts) == WF_OK && parts.is_array;
    wf_folders_free(&parts);
    return is_array;
}

static bool has_results(const char *part)
{
    wf_results *results = NULL;
    wf_status st = wf_results_open(part, NULL, &results);
    wf_results_close(&results);
    return st != WF_NO_INPUT; // whatever else is wrong with it, who reads it says so
}

// How many tasks the array was submitted with, or as many as left a folder.
static size_t tasks_of(const char *place, size_t n_found)
{
    wf_submission_last last;
    if (wf_submission_last_find(place, -1, &last) != WF_OK) return n_found;
    return (size_t)last.array > n_found ? (size_t)last.array : n_found;
}

wf_status wf_folders_results(const char *place, wf_folders *out, size_t *n_waiting)
{
    *n_waiting = 0;
    WF_TRY(wf_folders_find(place, out));
    if (!out->is_array) return WF_OK;
    size_t n_tasks = tasks_of(place, out->n), n = 0;
    for (size_t i = 0; i < out->n; i++) {
        char *part = out->path[i];
        if (has_results(part))
            out->path[n++] = part;
        else
            free(part);
    }
    out->n = n;
    *n_waiting = n_tasks - n;
    if (n > 0) return WF_OK;
    wf_folders_free(out);
    return wf_fail(WF_NO_INPUT, "%s: none of the %zu tasks of this array has sealed a result yet",
                   place, n_tasks);
}

wf_status wf_folders_read(const char *place, wf_folders *out, size_t *n_waiting)
{
    *n_waiting = 0;
    WF_TRY(study_refuse(place));
    if (wf_folders_is_array(place)) {
        WF_TRY(wf_folders_results(place, out, n_waiting));
        if (*n_waiting > 0)
            wf_warn("%s: %zu of the %zu tasks of this array have not sealed a result yet", place,
                    *n_waiting, out->n + *n_waiting);
        return WF_OK;
    }
    char *path = NULL;
    size_t capacity = 0;
    *out = (wf_folders){0};
    WF_TRY(wf_strdup(place, &path));
    return add(out, &capacity, path);
}

void wf_folders_free(wf_folders *f)
{
    for (size_t i = 0; i < f->n; i++)
        free(f->path[i]);
    free(f->path);
    *f = (wf_folders){0};
}
