// What results_file.c (files, shards, runs) and results_file_rows.c (rows, steps) share. Private.
#ifndef WF_IO_RESULTS_RESULTS_FILE_INTERNAL_H
#define WF_IO_RESULTS_RESULTS_FILE_INTERNAL_H

#include "io/base/arena.h"
#include "io/results/results_file.h"
#include "io/results/segment_batch.h"

#define WF_RESULTS_MAX_SHARDS (1u << 20)
#define WF_RESULTS_MAX_RUNS   (1u << 20)

typedef struct wf_result_file {
    const char *path;
    uint64_t rows, tokens, steps;
    wf_result_columns columns;
    uint32_t *shard_map; // [n_shards of the file] -> index in the joined table
    size_t n_shards;
    uint16_t group_base; // added to its group numbers
    bool void_failed;    // its failed rows do not count
} wf_result_file;

struct wf_results {
    wf_arena *arena;
    const char *place;
    uint64_t batch_bytes;
    bool complete;
    wf_result_file *files;
    size_t n_files, files_capacity;
    uint64_t rows, tokens, steps;
    wf_result_job job;
    wf_result_shard *shards;
    size_t shards_capacity;
    wf_run_info *runs;
    size_t n_runs, runs_capacity;
    uint16_t group_base, next_group; // of the files being added; above all groups seen

    // The one open file.
    size_t i_open; // SIZE_MAX: none
    wf_h5_file *h5;
    wf_h5_dataset *sets[WF_N_COLS];

    // The loaded rows: values as columns, and views of them.
    wf_column_buffer buffers[WF_N_COLS];
    wf_column_buffer error_texts; // each row's error text with its terminator
    wf_result *views;
    size_t n_views, views_capacity;

    // Where wf_results_next() and next_steps() stand.
    size_t i_next_file, i_view;
    uint64_t i_next_row; // of the file, first row not loaded yet
    size_t i_step_file;
    uint64_t i_next_step;
};

// Opens file `i` (if it is not open) with all its datasets checked against each other.
wf_status wf_results_use(wf_results *results, size_t i);
void wf_results_unuse(wf_results *results);

#endif
