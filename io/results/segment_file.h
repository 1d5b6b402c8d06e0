// One results file being written: the layout of format weft-results, row batches in.
//
// Used by the segment writer and by merge, so segments and results.h5 cannot drift apart. A batch
// holds rows as columns; wf_segment_file_append copies them into the file's chunk buffers. Nothing
// here publishes: the caller writes to a `.part` and names it afterwards. One thread at a time, the
// process's HDF5 thread. All Local.
#ifndef WF_IO_RESULTS_SEGMENT_FILE_H
#define WF_IO_RESULTS_SEGMENT_FILE_H

#include "io/results/segment.h"

#define WF_RESULTS_FORMAT         "weft-results"
#define WF_RESULTS_FORMAT_VERSION "1.0.0"

// X(field, ctype, H5 type, units, description): the fixed-size columns of /requests.
#define WF_RESULT_TABLE(X)                                                                         \
    X(shard, uint32_t, U32, "1", "index into /shards")                                             \
    X(row, uint64_t, U64, "1", "row within the shard")                                             \
    X(sample, uint16_t, U16, "1", "which of the row's n outputs")                                  \
    X(id, uint64_t, U64, "1", "the caller's id")                                                   \
    X(status, uint8_t, U8, "enum", "done or failed")                                               \
    X(finish_reason, uint8_t, U8, "enum", "why generation ended")                                  \
    X(error_code, uint16_t, U16, "enum", "why the row failed, 0 when done")                        \
    X(arrival_ns, int64_t, I64, "ns", "intended arrival, run time")                                \
    X(submitted_ns, int64_t, I64, "ns", "handed to the engine, run time, -1: never")               \
    X(admitted_ns, int64_t, I64, "ns", "joined the batch, run time, -1: never")                    \
    X(first_token_ns, int64_t, I64, "ns", "first token on the host, run time, -1: never")          \
    X(finish_ns, int64_t, I64, "ns", "last token on the host, run time, -1: never")                \
    X(prompt_len, uint32_t, U32, "tokens", "prompt length")                                        \
    X(run, uint16_t, U16, "1", "run that served it")                                               \
    X(group, uint16_t, U16, "1", "group that served it")                                           \
    X(preempted, uint16_t, U16, "1", "times it was put back")

// Ragged columns: /tokens/* is cut into rows by /requests/output_offset, /requests/error and
// /requests/meta by offset columns of their own.

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

// Starts the file at `path` and writes header, /shards and root attributes. own.
wf_status wf_segment_file_create(const char *path, const wf_result_job *job,
                                 const wf_result_columns *columns, wf_segment_file **out);
wf_status wf_segment_file_append(wf_segment_file *file, const wf_result_batch *batch);

// Writes /runs and what is buffered, closes and fsyncs. *file becomes NULL either way.
wf_status wf_segment_file_close(wf_segment_file **file, const wf_run_info *runs, size_t n_runs);
void wf_segment_file_abandon(wf_segment_file **file);

#endif
