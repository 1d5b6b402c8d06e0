// What an arrival log is like, before it is imported: nothing is written. Local.
#ifndef WF_JOBS_STREAMS_DESCRIBE_H
#define WF_JOBS_STREAMS_DESCRIBE_H

#include "jobs/streams/import.h"

#define WF_DESCRIBE_BINS 60

// Arrays are [n]; own, see wf_description_free.
typedef struct wf_description {
    char sha256[65];
    size_t n;                         // rows
    double *n_prompt, *n_new, *gap_s; // of each row; gaps between successive arrivals, [n - 1]
    double gap_mean_s, gap_cv;        // standard deviation over mean (of n - 1, as numpy's std)
    uint64_t bin[WF_DESCRIBE_BINS];   // arrivals in each part of the span
    double bin_s;                     // how long a part is
    uint64_t peak_1s;                 // most arrivals in one second, counted from the first arrival
    int64_t grid_ns;                  // every arrival is a whole multiple of this
    bool has_blocks;
    uint64_t n_prompt_tokens, n_new_tokens;
    size_t n_sessions, n_turns; // of the sessions' turns each
    double *turns;              // [n_sessions] turns of each
    double *think_s;            // [n_thinks] from the end of a turn to the next
    size_t n_thinks;            // where the log says it
    uint64_t n_repeated_tokens; // of blocks that an earlier row, or the row itself, had before
} wf_description;

// The options that choose and change rows count (format, maps, first_row, max_prompt, ...). Rows
// that cannot be read are counted in `report`, as with skip_bad. Errors: as wf_import_run.
wf_status wf_describe_run(const wf_import_options *options, wf_import_report *report,
                          wf_description *out);
void wf_description_free(wf_description *description);

#endif
