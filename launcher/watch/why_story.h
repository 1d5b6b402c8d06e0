// What befell a job on its way, whatever became of it: groups and nodes that were lost, starts that
// ended without a word and that the batch system repeated, rows that were no requests.
//
// Reads the event log; `log` is the batch job's output. Local.
#ifndef WF_LAUNCHER_WHY_STORY_H
#define WF_LAUNCHER_WHY_STORY_H

#include "io/base/text.h"
#include "jobs/watch/watch.h"

// Appends it in one line, nothing where nothing befell it. `log` may be NULL.
void wf_why_story(const wf_watch_view *view, const char *log, wf_text *out);

// The next start in a batch job's output, the line of its banner; NULL when there is none.
const char *wf_why_next_start(const char *log);

#endif
