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
    WF_STUDY_SUBMIT, // weft submit --write: its script, for an array (study_array.h)
    WF_STUDY_COLLECT // nothing is started
} wf_study_how;

typedef struct wf_study_jobs wf_study_jobs; // study_array.h

typedef struct wf_study_runner {
    const wf_study *study;
    const char *out;          // its folder
    const char *const *extra; // [n_extra] "key=value" over all
    size_t n_extra;
    const char *simulate; // words for weft simulate; "": runs are real
    const char *launch;   // in place of the study's; NULL: the study's
    wf_goodput_limits limits;
    wf_study_how how;
    const wf_study_jobs *jobs; // of earlier submissions; NULL: not asked for
} wf_study_runner;

typedef struct wf_study_result {
    char *name;        // own, of the point
    char *rising;      // own: the rising axis' value where it is not the point's; NULL: it is
    char *head, *line; // own: of the report as CSV; NULL: there is none
    size_t i_point;
    bool failed;  // could not be started, or ended with an exit code that says so
    bool written; // its batch script waits to be submitted
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
// so. WF_DRAINED when it was told to leave: so must the study. With WF_STUDY_SUBMIT only its batch
// script is written, and not where its results are complete or a job works on them.
wf_status wf_study_run(const wf_study_runner *runner, size_t i_point, const char *rising,
                       wf_study_result *out);
// Whether there is something of a point to read, when runs are only collected.
bool wf_study_has_run(const wf_study_runner *runner, size_t i_point);

// The last line of a log that says something, of mistakes the last one; "": none.
enum { WF_STUDY_WORDS = 400 };
void wf_study_last_words(const char *log, char out[WF_STUDY_WORDS]);

void wf_study_result_free(wf_study_result *result);

// Runs the study's commands whose output (-o) is not there yet.
wf_status wf_study_prepare(const wf_study *study);

#endif
