// Rows as columns in memory. Private to io/results.
#ifndef WF_IO_RESULTS_SEGMENT_BATCH_H
#define WF_IO_RESULTS_SEGMENT_BATCH_H

#include "io/results/payload.h"
#include "io/results/segment_file.h"

typedef struct wf_column_buffer {
    void *data;
    size_t n, capacity; // in values of width x type
} wf_column_buffer;

struct wf_result_batch {
    wf_result_columns columns;
    wf_column_buffer buffers[WF_N_COLS];
    uint64_t bytes;
};

#endif
