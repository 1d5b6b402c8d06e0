// Checks an output folder, a segment or a merged results file against everything the format
// promises, knowing nothing of how it was written:
//
//   every dataset: type, rank, units, description, fletcher32, every value readable;
//   every row: key in range, status, reason, error and lengths agree, times in order, token ids
//     in the vocabulary, token times from first_token to finish;
//   against the input shards, while they are there: id, prompt length, max_new_tokens;
//   every column: the digest that the file carries of it, and that of the file in its journal;
//   every key (shard, row, sample) once, none missing when the run says it is complete;
//   run files, epochs, manifest: what is listed is there, with its size, rows and xxh64;
//   results.h5: sorted, and row for row what the segments hold.
//
// Each problem is one line `file:dataset:row: what`. The work is done in a child process, because
// HDF5 itself may crash or hang on a damaged file: call it before MPI, CUDA or threads are up, or
// from a process of its own. Local.
#ifndef WF_RESULTS_CHECK_CHECK_H
#define WF_RESULTS_CHECK_CHECK_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "io/base/status.h"

typedef struct wf_check_options {
    bool require_complete; // missing rows are a problem even if no run claims to be complete
    bool quiet;            // print problems and the verdict only
    uint32_t max_messages; // problems printed, all are counted; 0: 50
} wf_check_options;

typedef struct wf_check_report {
    uint64_t n_files, n_rows, n_tokens; // checked; rows of results.h5 are not counted again
    uint64_t n_failed;                  // rows that are there, as failed
    uint64_t n_missing;                 // keys that no file holds
    uint64_t n_problems;
    bool complete;      // nothing is missing
    bool without_input; // some shards were not there to compare with
} wf_check_report;

// WF_OK: no problem (incomplete results may still be right: see report->complete). WF_DATA:
// problems were printed. WF_NO_INPUT, WF_IO, WF_NO_MEMORY: could not check. `options` and `report`
// may be NULL.
wf_status wf_check_run(const char *path, const wf_check_options *options, FILE *out,
                       wf_check_report *report);

#endif
