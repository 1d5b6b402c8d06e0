// Reads a checkpoint ahead of its loader: several threads fill a ring of pinned buffers with the
// blocks that will be asked for, in that order, and look at the values while they are in the cache.
//
//   dry visit    wf_readahead_add   block 0, block 1, block 2 ...
//   wf_readahead_start              threads:  b0 -> [buffer 0]   b1 -> [buffer 1]   b2 -> ...
//   real visit   wf_readahead_next  waits for block 0, lends it; gives it back when asked for 1 ...
//
// So storage, page cache and checking run beside uploads, and host memory stays bounded by the
// ring. Reads are buffered: ranks of one node that want the same bytes (replicas; o and down, of
// whose rows every rank keeps some columns) have them from the page cache, and storage delivers
// each byte once per node as long as ranks read in step and memory is not short. Whole rows are
// read, because parallel file systems serve large requests well and small strided ones badly.
//
// One thread owns a readahead. All Local.
#ifndef WF_ENGINE_MODEL_READ_H
#define WF_ENGINE_MODEL_READ_H

#include "io/weights/hf_folder.h"
#include "kernels/backend.h"

// Rows [row, row + n_rows) of a tensor of row_cols columns; of them columns [col, col + n_cols) are
// kept in dtype `to`, and must be finite there. A vector is one column of many rows.
typedef struct wf_read_block {
    wf_hf_tensor tensor;
    wf_dtype from, to;
    int64_t row, n_rows, row_cols, col, n_cols;
} wf_read_block;

typedef struct wf_readahead wf_readahead;

typedef struct wf_readahead_config {
    wf_backend *be;      // whose pinned memory the buffers are; borrowed
    size_t buffer_bytes; // no block is larger
    int n_threads;       // 0: 4
} wf_readahead_config;

// Where the bytes came from.
typedef struct wf_readahead_report {
    uint64_t bytes;         // read from files
    uint64_t storage_bytes; // of these from storage and not the page cache; 0 where not known
    int n_threads;
} wf_readahead_report;

// Caller owns *out.
wf_status wf_readahead_create(const wf_readahead_config *config, wf_readahead **out);
void wf_readahead_destroy(wf_readahead **ra); // waits for reads under way; takes NULL

// Appends a block (copy). Only before the start. WF_NO_MEMORY.
wf_status wf_readahead_add(wf_readahead *ra, const wf_read_block *block);

// Allocates the ring and starts the threads. WF_NO_MEMORY, WF_DEVICE, WF_INTERNAL.
wf_status wf_readahead_start(wf_readahead *ra);

// The next block, which must be `block` as it was added; *out lends its rows until the next call.
// WF_IO and WF_DATA name file, tensor and row.
wf_status wf_readahead_next(wf_readahead *ra, const wf_read_block *block, const void **out);

wf_readahead_report wf_readahead_get_report(const wf_readahead *ra);

#endif
