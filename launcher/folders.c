// One output folder or the parts of an array. See folders.h.
#include "launcher/folders.h"

#include <stdio.h>
#include <stdlib.h>

#include "io/base/arena.h"
#include "io/base/file.h"

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

wf_status wf_folders_find(const char *place, wf_folders *out)
{
    wf_paths names = {0};
    size_t capacity = 0;
    char *path = NULL;
    *out = (wf_folders){0};
    if (!wf_file_exists(place))
        return wf_fail(WF_NO_INPUT, "%s: there is no such output folder", place);
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

void wf_folders_free(wf_folders *f)
{
    for (size_t i = 0; i < f->n; i++)
        free(f->path[i]);
    free(f->path);
    *f = (wf_folders){0};
}
