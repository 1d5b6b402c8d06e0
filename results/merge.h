// Merging sealed segments into one results.h5, in (shard, row, sample) order.
//
//   segments that count --keys--> index, sorted --blocks of rows--> results.h5.part --> results.h5
//                                 32 bytes per row   block_bytes      manifest.json written last
//
// Segments stay as they are: merging may be done, redone or left out, also while the job runs (then
// results.h5 is partial). A key in two segments that count is WF_DATA naming both; so is a segment
// whose checksum is not the recorded one. HDF5 thread. Local.
#ifndef WF_RESULTS_MERGE_H
#define WF_RESULTS_MERGE_H

#include "io/base/status.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

typedef struct wf_merge_options {
    uint64_t block_bytes;   // memory for rows on their way, beside the index; 0: 64 MB
    const atomic_int *stop; // nonzero: give up between two blocks, WF_DRAINED, leaving what was
                            // there; NULL: never
} wf_merge_options;

typedef struct wf_merge_summary {
    uint64_t rows, tokens, steps, bytes; // of results.h5
    size_t n_segments;
} wf_merge_summary;

// Merges <out_dir> into <out_dir>/results.h5 and <out_dir>/manifest.json, replacing older ones.
// `options` and `summary` may be NULL. WF_NO_INPUT when nothing is sealed.
wf_status wf_merge(const char *out_dir, const wf_merge_options *options, wf_merge_summary *summary);

// Joins several folders or results files (a job array's a0, a1 ...) into the file `path`.
wf_status wf_merge_many(const char *const *places, size_t n, const char *path,
                        const wf_merge_options *options, wf_merge_summary *summary);

#endif
