// The rows of results in (shard, row, sample) order, whatever order their files hold them in.
//
//   files --keys--> index, sorted --blocks of rows--> next_block(), at(0) ... at(n - 1)
//                   32 bytes per row   block_bytes
//
// Within a segment rows lie in the order they finished, which is nearly key order, so the rows of a
// block lie in a few short ranges of each segment; they are read range by range and copied. A key
// that comes twice is WF_DATA naming both places. HDF5 thread. Local.
#ifndef WF_RESULTS_ORDERED_H
#define WF_RESULTS_ORDERED_H

#include "io/base/status.h"
#include "io/results/results_file.h"

#include <stddef.h>
#include <stdint.h>

typedef struct wf_ordered wf_ordered;

// Borrows `results`, which must outlive it. place_of_shard: [n_shards] the place of each shard in
// the order, all different; NULL: as they are listed. block_bytes 0: 64 MB. own.
wf_status wf_ordered_create(wf_results *results, const uint32_t *place_of_shard,
                            uint64_t block_bytes, wf_ordered **out);
void wf_ordered_destroy(wf_ordered **ordered);

uint64_t wf_ordered_rows(const wf_ordered *ordered); // in all
uint64_t wf_ordered_done(const wf_ordered *ordered); // in the blocks so far

// Reads the next rows; *n is 0 after the last. What the block before held is gone.
wf_status wf_ordered_next_block(wf_ordered *ordered, size_t *n);
const wf_result *wf_ordered_at(const wf_ordered *ordered, size_t i); // of the block; borrow

// One row at a time; *row is borrowed until the next call, NULL after the last.
wf_status wf_ordered_next(wf_ordered *ordered, const wf_result **row);

#endif
