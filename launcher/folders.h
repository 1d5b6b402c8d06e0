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

// A study's folder is refused, with what to type instead. One with runs of its own is a job; one
// without, but with parts a<i>, is an array. WF_NO_INPUT when `place` is not there. Give *out to
// wf_folders_free.
wf_status wf_folders_find(const char *place, wf_folders *out);
bool wf_folders_is_array(const char *place); // false for what is not there, too
// The task's number of a part's name, "a12"; -1 for any other name.
int wf_folders_task(const char *name);

// Where the results of `place` are: itself, or the parts of an array that have sealed some.
// *n_waiting: parts that have not, tasks that have not begun included. WF_NO_INPUT when none has.
wf_status wf_folders_results(const char *place, wf_folders *out, size_t *n_waiting);

// The same of whatever holds results, a single file as well; says how many parts are waited for.
// What is wrong with a place that is none, who opens it says.
wf_status wf_folders_read(const char *place, wf_folders *out, size_t *n_waiting);

void wf_folders_free(wf_folders *folders);

#endif
