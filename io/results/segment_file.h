// One results file being written: the layout of format weft-results, row batches in.
//
// Used by the segment writer and by merge, so segments and results.h5 cannot drift apart. A batch
// holds rows as columns; wf_segment_file_append copies them into the file's chunk buffers. Nothing
// here publishes: the caller has a wf_part and names it afterwards. One thread at a time, the
// process's HDF5 thread. All Local.
#ifndef WF_IO_RESULTS_SEGMENT_FILE_H
#define WF_IO_RESULTS_SEGMENT_FILE_H

#include "io/base/publish.h"
#include "io/results/segment.h"

#define WF_RESULTS_FORMAT         "weft-results"
#define WF_RESULTS_FORMAT_VERSION "1.1.0" // 1.1: digests

typedef struct wf_result_batch wf_result_batch;

wf_status wf_result_batch_create(const wf_result_columns *columns, wf_result_batch **out);
void wf_result_batch_destroy(wf_result_batch **batch);
void wf_result_batch_clear(wf_result_batch *batch); // keeps the memory

// Copies one row or step. On failure (WF_NO_MEMORY) the batch is as before.
wf_status wf_result_batch_put(wf_result_batch *batch, const wf_result *result);
wf_status wf_result_batch_put_step(wf_result_batch *batch, const wf_step_record *step);

size_t wf_result_batch_rows(const wf_result_batch *batch);
size_t wf_result_batch_steps(const wf_result_batch *batch);
uint64_t wf_result_batch_bytes(const wf_result_batch *batch); // as it will lie in the file

// Bytes that this row adds to a file before compression.
uint64_t wf_result_bytes(const wf_result *result, const wf_result_columns *columns);

typedef struct wf_segment_file wf_segment_file;

// Starts a file in `part` (borrow until it is closed) and writes header, /shards and root
// attributes. own.
wf_status wf_segment_file_create(const wf_part *part, const wf_result_job *job,
                                 const wf_result_columns *columns, wf_segment_file **out);
wf_status wf_segment_file_append(wf_segment_file *file, const wf_result_batch *batch);

// Writes /runs and what is buffered and closes. `digest` (may be NULL) is that of all its columns,
// which it carries. *file becomes NULL either way.
wf_status wf_segment_file_close(wf_segment_file **file, const wf_run_info *runs, size_t n_runs,
                                uint64_t *digest);
void wf_segment_file_abandon(wf_segment_file **file);

#endif
