// What is done: a bitmap of (shard, row, sample) over the job's shards, filled from sealed
// segments.
//
// One bit per row and sample; 10 million rows take 1.25 MB per sample. Failed rows are done too,
// but those that a run has to do again (wf_segment_ref.void_failed). All Local; read by any number
// of threads once filled.
#ifndef WF_IO_RESULTS_RUNFILE_DONE_H
#define WF_IO_RESULTS_RUNFILE_DONE_H

#include "io/results/runfile.h"
#include "io/results/segment.h"

typedef struct wf_done wf_done;

// An empty bitmap over the job's shards, in the job's order; copies what it needs. own.
wf_status wf_done_create(const wf_result_shard *shards, size_t n_shards, wf_done **out);
void wf_done_destroy(wf_done **done);

// Marks one key; WF_DATA when it is out of range or marked already.
wf_status wf_done_mark(wf_done *done, uint32_t shard, uint64_t row, uint16_t sample);

// Marks the rows of every segment of `runs`; their /shards are matched to the job's by uid. Rows of
// shards that are not in the job are counted in `n_foreign` (may be NULL) and otherwise ignored. A
// key found twice is WF_DATA naming both segments' last one. Needs HDF5.
wf_status wf_done_scan(wf_done *done, const char *out_dir, const wf_runs *runs,
                       uint64_t *n_foreign);

bool wf_done_has(const wf_done *done, uint32_t shard, uint64_t row, uint16_t sample);
uint32_t wf_done_samples(const wf_done *done, uint32_t shard, uint64_t row); // how many are done
uint64_t wf_done_total(const wf_done *done);

// Bits of sample 0, row i at word i / 64, bit i % 64; borrow, NULL when none is done.
const uint64_t *wf_done_bits(const wf_done *done, uint32_t shard);

#endif
