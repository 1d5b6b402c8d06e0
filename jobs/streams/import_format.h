// Log formats as a table: a check of the header line and a parser of one row. To add a format,
// write the two functions and a table row (import_format.c). Not for use elsewhere.
#ifndef WF_JOBS_STREAMS_IMPORT_FORMAT_H
#define WF_JOBS_STREAMS_IMPORT_FORMAT_H

#include "io/base/arena.h"
#include "jobs/streams/lines.h"

// One row of a log.
typedef struct wf_trace_row {
    int64_t time_ns; // of any origin; the import subtracts the earliest
    uint64_t n_prompt, n_new;
    const uint64_t *block; // [n_blocks] ids of shared prompt blocks, borrowed from the arena
    uint32_t n_blocks;
} wf_trace_row;

#define WF_TRACE_MAX_COLUMNS 64

// What a header says: where the wanted columns stand.
typedef struct wf_trace_header {
    int n_columns;
    int arrival, n_prompt, n_new;
} wf_trace_header;

typedef struct wf_trace_format {
    const char *name;
    const char *time_unit;   // stored as source_time_unit
    uint32_t n_block_tokens; // tokens of one shared block, 0: no such blocks
    // `place` ("log.csv:1") opens every message. NULL: the format has no header line.
    wf_status (*header)(const wf_line *line, const char *place, wf_trace_header *header);
    wf_status (*row)(const wf_line *line, const char *place, const wf_trace_header *header,
                     wf_arena *arena, wf_trace_row *row);
} wf_trace_format;

// WF_USAGE with the known names when there is none of this name.
wf_status wf_trace_format_find(const char *name, const wf_trace_format **out);

// A decimal number of seconds ("12", "0.5", "1.25e-3" is refused) as nanoseconds, exactly; digits
// beyond the ninth are cut. "-" is refused. False when it is not one or does not fit.
bool wf_decimal_to_ns(const char *text, size_t n_bytes, int64_t *out_ns);

#endif
