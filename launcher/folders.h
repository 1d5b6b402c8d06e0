// Output folders of one job, or of a job array: <out>, or <out>/a0, <out>/a1, ...
//
// All Local.
#ifndef WF_LAUNCHER_FOLDERS_H
#define WF_LAUNCHER_FOLDERS_H

#include <stdbool.h>
#include <stddef.h>

#include "io/base/status.h"

typedef struct wf_folders {
    bool is_array;
    size_t n;
    char **path; // [n]; of an array in the order of its tasks
} wf_folders;

// A folder with runs of its own is a job; one without, but with parts a<i>, is an array.
// WF_NO_INPUT when `place` is not there. Give *out to wf_folders_free.
wf_status wf_folders_find(const char *place, wf_folders *out);
// The task's number of a part's name, "a12"; -1 for any other name.
int wf_folders_task(const char *name);

void wf_folders_free(wf_folders *folders);

#endif
