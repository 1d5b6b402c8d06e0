// What a report says of the job itself: read from the resolved job file that results carry.
//
// A text that is no job file, as old results may have it, gives empty words. Local.
#ifndef WF_RESULTS_REPORT_JOB_H
#define WF_RESULTS_REPORT_JOB_H

#include <stdint.h>

#include "io/base/status.h"

typedef struct wf_report_job { // own; "" and 0 where the file does not say
    char *name;
    char *model, *dtype; // "models/llama-3-8b", "auto"
    char *mode;          // of arrivals, "replay"
    char *arrivals;      // in words: "replay, 2 times as fast"
    double rate;         // requests/s that were asked for
    double burstiness;   // of gamma arrivals
    int64_t tensor;      // ranks of a group
} wf_report_job;

wf_status wf_report_job_read(const char *job_text, wf_report_job *out);
void wf_report_job_free(wf_report_job *job);

#endif
