// The first walk over a log: which rows there are, when they arrive, how long they are, and what is
// wrong with them. Not for use elsewhere.
#ifndef WF_JOBS_STREAMS_IMPORT_SCAN_H
#define WF_JOBS_STREAMS_IMPORT_SCAN_H

#include "jobs/streams/import.h"
#include "jobs/streams/import_format.h"
#include "jobs/streams/line_index.h"
#include "jobs/streams/rounds.h"

typedef struct wf_import_scan {
    const wf_import_options *options;
    wf_import_report *report;
    wf_trace_format format; // points into itself
    wf_trace_header header;
    wf_lines *lines; // NULL: the stream is synthetic, and has no rows but those of the index
    wf_arena *arena; // of one row
    wf_line_index index;
    wf_rounds rounds; // of formats with sessions
    char sha256[WF_SHA256_HEX];
    // Is shown every row that is taken; NULL: nobody looks.
    wf_status (*look)(void *context, const wf_trace_row *row, const wf_trace_format *format);
    void *context;
} wf_import_scan;

// Starts as {.options, .report}; end it after a failure too. In the index times are the log's and
// rows in the log's order.
wf_status wf_import_scan_run(wf_import_scan *scan);
void wf_import_scan_end(wf_import_scan *scan);

wf_status wf_import_scan_parse(wf_import_scan *scan, const wf_line *line, wf_trace_row *row);

// The index in order of arrival: the options' window of it, from its earliest at 0, with their
// jitter. WF_DATA when nothing is in the window.
wf_status wf_import_scan_place(wf_import_scan *scan);

#endif
