// One run of a study: weft itself, started on a point of its grid, and what came of it.
//
//   <out>/points/<name>       an ordinary output folder: the same command resumes it
//   <out>/points/<name>.log   what the run said
//
// All Local.
#ifndef WF_LAUNCHER_STUDY_RUN_H
#define WF_LAUNCHER_STUDY_RUN_H

#include <stdbool.h>

#include "jobs/study/study.h"
#include "results/metrics.h"

typedef enum wf_study_how {
    WF_STUDY_RUN,    // weft run, here, to its end
    WF_STUDY_SUBMIT, // weft submit
    WF_STUDY_COLLECT // nothing is started
} wf_study_how;

typedef struct wf_study_runner {
    const wf_study *study;
    const char *out;          // its folder
    const char *const *extra; // [n_extra] "key=value" over all
    size_t n_extra;
    const char *simulate; // words for weft simulate; "": runs are real
    const char *launch;   // in place of the study's; NULL: the study's
    wf_goodput_limits limits;
    wf_study_how how;
} wf_study_runner;

typedef struct wf_study_result {
    char *name;        // own, of the point
    char *rising;      // own: the rising axis' value where it is not the point's; NULL: it is
    char *head, *line; // own: of the report as CSV; NULL: there is none
    size_t i_point;
    bool failed; // could not be started, or ended with an exit code that says so
    bool has_figures, complete;
    bool good; // enough of its requests met the limits; without limits: it has figures
    wf_figures figures;
    char said[512]; // what is wrong, or why it was not run; ""
} wf_study_result;

// The words that start a point's run, ended by NULL; own, wf_study_words_free.
wf_status wf_study_words(const wf_study_runner *runner, size_t i_point, const char *rising,
                         char ***out);
void wf_study_words_free(char ***words);

// Runs a point, or goes on with it, and reads what it left. A run that fails is a result that says
// so. WF_DRAINED when it was told to leave: so must the study.
wf_status wf_study_run(const wf_study_runner *runner, size_t i_point, const char *rising,
                       wf_study_result *out);
// Whether there is something of a point to read, when runs are only collected.
bool wf_study_has_run(const wf_study_runner *runner, size_t i_point);

void wf_study_result_free(wf_study_result *result);

// Runs the study's commands whose output (-o) is not there yet.
wf_status wf_study_prepare(const wf_study *study);

#endif
