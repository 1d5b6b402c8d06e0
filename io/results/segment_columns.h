// The columns of a results file as one table, for the two files that hold them: the batch in
// memory (segment_batch.c) and the file being written (segment_file.c). Private to io/.
#ifndef WF_IO_RESULTS_SEGMENT_COLUMNS_H
#define WF_IO_RESULTS_SEGMENT_COLUMNS_H

#include "io/h5/h5util.h"
#include "io/results/segment_file.h"

// What a column's values belong to, and so when the column is there and how it is cut.
typedef enum wf_column_kind {
    WF_COLUMN_ROW,    // one value per row
    WF_COLUMN_OFFSET, // n + 1 values, cumulative; in a batch: the end of each row's part
    WF_COLUMN_BYTES,  // ragged, cut by its own offsets
    WF_COLUMN_TOKEN,  // one value per token
    WF_COLUMN_TIME,   // the same, where token times are kept
    WF_COLUMN_LOGPROB,
    WF_COLUMN_TOP, // n_top values per token
    WF_COLUMN_STEP // one value per engine step
} wf_column_kind;

typedef struct wf_column_desc {
    const char *name;
    wf_h5_type type;
    wf_column_kind kind;
    const char *units;
    const char *description;
} wf_column_desc;

// Index of each column: WF_COL_row ..., WF_COL_step_start_ns ...
enum {
#define WF_COL_ROW(field, ctype, type, units, description) WF_COL_##field,
    WF_RESULT_TABLE(WF_COL_ROW)
#undef WF_COL_ROW
        WF_COL_error_offset,
    WF_COL_error,
    WF_COL_meta_offset,
    WF_COL_meta,
    WF_COL_output_offset,
    WF_COL_token_id,
    WF_COL_token_time,
    WF_COL_logprob,
    WF_COL_top_id,
    WF_COL_top_logprob,
#define WF_COL_STEP(field, ctype, units, description) WF_COL_step_##field,
    WF_STEP_TABLE(WF_COL_STEP)
#undef WF_COL_STEP
        WF_COL_step_run,
    WF_COL_step_group,
    WF_N_COLS
};

extern const wf_column_desc wf_column_descs[WF_N_COLS];

bool wf_column_present(int i_col, const wf_result_columns *columns);

// Elements per value: n_top for the top columns, else 1.
size_t wf_column_width(int i_col, const wf_result_columns *columns);

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
