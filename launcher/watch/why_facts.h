// What weft why decides by, gathered: the batch job's output, the event log, the rows that failed.
//
// Reads files of the output folder; HDF5 where rows failed. Local.
#ifndef WF_LAUNCHER_WHY_FACTS_H
#define WF_LAUNCHER_WHY_FACTS_H

#include "launcher/watch/why.h"

typedef struct wf_why_sources {
    char hint_line[256], refusal[WF_ERROR_MAX], group_end[WF_ERROR_MAX], reasons[768],
        command[4200], story[WF_ERROR_MAX];
} wf_why_sources;

// `facts` borrows from view, queue and sources. What cannot be read is not known.
void wf_why_facts_gather(const wf_watch_view *view, const wf_queue_look *queue,
                         wf_why_sources *sources, wf_why_facts *facts);

#endif
