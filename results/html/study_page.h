// A study as one page like a report (page.h): curves against the scale and the load, with repeats
// averaged, and a table of all runs. Local.
#ifndef WF_RESULTS_HTML_STUDY_PAGE_H
#define WF_RESULTS_HTML_STUDY_PAGE_H

#include "io/base/text.h"
#include "results/metrics.h"

typedef struct wf_html_study_row {
    const char *const *values; // [n_keys]
    const wf_figures *figures; // NULL: there are none
    const char *said;          // why not, or beside them; may be NULL
} wf_html_study_row;

typedef struct wf_html_study {
    const char *name, *command, *limits; // limits: of goodput, "" when none
    const char *const *keys;             // [n_keys] that vary
    size_t n_keys;
    int scale, rising, seed; // of the keys; -1: none
    const wf_html_study_row *rows;
    size_t n_rows;
    const char *const *findings; // [n_findings] sentences, such as the highest load that is good
    size_t n_findings;
} wf_html_study;

wf_status wf_html_study_page(const wf_html_study *study, wf_text *out);

// Throughput of each row's scale beside that of the least scale with everything else alike, as a
// share of what the scale promises: 1 is linear; the highest of all loads where the load rises. NaN
// where it cannot be told. [n_rows]
void wf_study_efficiency(const wf_html_study *study, double *shares);

#endif
