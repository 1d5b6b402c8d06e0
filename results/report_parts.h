// Figures of parts of the requests: those whose notes (meta, a JSON object) have the same value
// under one key, as {"tenant": "a"}. Rows that do not say have the value "".
//
// Life: create, add ..., finish, destroy. Latency and tokens only: steps serve rows of every part
// together. All Local.
#ifndef WF_RESULTS_REPORT_PARTS_H
#define WF_RESULTS_REPORT_PARTS_H

#include "results/metrics.h"

enum { WF_REPORT_PARTS_MOST = 1000 };

typedef struct wf_report_part {
    char *value; // own; strings as they are, other values as JSON
    wf_figures figures;
} wf_report_part;

typedef struct wf_report_parts {
    char *by; // own; NULL: none asked for
    wf_report_part *part;
    size_t n; // in byte order of their values
} wf_report_parts;

void wf_report_parts_free(wf_report_parts *parts);

typedef struct wf_parts_maker wf_parts_maker;

// Copies all; as wf_metrics_create. own.
wf_status wf_parts_create(const char *by, const wf_metrics_run *runs, size_t n_runs,
                          const wf_goodput_limits *limits, wf_parts_maker **out);
void wf_parts_destroy(wf_parts_maker **maker);

// WF_USAGE beyond WF_REPORT_PARTS_MOST values: the key tells requests apart, not tenants.
wf_status wf_parts_add(wf_parts_maker *maker, const wf_result *row);

// Once. WF_USAGE where no row's note has the key.
wf_status wf_parts_finish(wf_parts_maker *maker, const wf_figures *whole, wf_report_parts *out);

#endif
