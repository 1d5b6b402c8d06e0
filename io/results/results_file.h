// Reading results (format weft-results): a segment, a merged results.h5, or an output folder.
//
//   wf_results *results;
//   WF_TRY(wf_results_open("out/azure", NULL, &results));
//   const wf_result *row;
//   while ((st = wf_results_next(results, &row)) == WF_OK && row) ...
//   wf_results_close(&results);
//
// Of a folder, the segments that count are read one after the other (io/results/runfile.h), or
// results.h5 when the newest run is merged into it. Structure is checked before anything is read; a
// complaint is WF_DATA, `file:dataset:row: what`. Memory is bounded by one batch. One HDF5 thread.
// All Local.
#ifndef WF_IO_RESULTS_RESULTS_FILE_H
#define WF_IO_RESULTS_RESULTS_FILE_H

#include "io/results/runfile.h"
#include "io/results/segment.h"

#include <stdbool.h>

typedef struct wf_results wf_results;

typedef struct wf_results_options {
    bool segments;        // of a folder: never results.h5
    uint64_t batch_bytes; // 0: 32 MB; a longer row is read alone
} wf_results_options;

wf_status wf_results_open(const char *path, const wf_results_options *options, wf_results **out);

// Opens exactly these files, in this order. Their job-wide facts must agree.
wf_status wf_results_open_files(const char *const *paths, size_t n,
                                const wf_results_options *options, wf_results **out);

// Opens sealed segments of a folder, in this order. Failed rows that do not count any more
// (wf_segment_ref.void_failed) are left out everywhere but in wf_results_keys(), which marks them.
wf_status wf_results_open_segments(const char *out_dir, const wf_segment_ref *refs, size_t n,
                                   const wf_results_options *options, wf_results **out);

// Opens several files or folders as one (the tasks of a job array). Group numbers of each start
// above those of the one before, so that runs stay apart.
wf_status wf_results_open_many(const char *const *paths, size_t n,
                               const wf_results_options *options, wf_results **out);
void wf_results_close(wf_results **results);

// --- what it holds; shards of several files are joined by uid, runs by (run, group, epoch) ---
const char *wf_results_place(const wf_results *results); // what was opened, for people; borrow
size_t wf_results_files(const wf_results *results);
const char *wf_results_file_path(const wf_results *results, size_t i_file); // borrow
uint64_t wf_results_file_rows(const wf_results *results, size_t i_file);    // in the file
const wf_result_columns *wf_results_file_columns(const wf_results *results,
                                                 size_t i_file); // borrow
uint64_t wf_results_rows(const wf_results *results);             // that count
uint64_t wf_results_tokens(const wf_results *results);
uint64_t wf_results_steps(const wf_results *results);
const wf_result_job *wf_results_job(const wf_results *results);           // borrow
const wf_run_info *wf_results_runs(const wf_results *results, size_t *n); // borrow
wf_result_columns wf_results_columns(const wf_results *results);          // what every file has
bool wf_results_complete(const wf_results *results); // a merged file, or the newest run is complete

// --- rows in file order ---
// *row is borrowed until the next call; NULL after the last. row->shard is an index of
// wf_results_job()->shards.
wf_status wf_results_next(wf_results *results, const wf_result **row);

// Steps in file order, into an array of `most`; *n is 0 after the last.
// Their arrays are borrowed until the next call.
wf_status wf_results_next_steps(wf_results *results, wf_step_record *steps, size_t most, size_t *n);

// --- rows at will, for merge and show ---
typedef struct wf_result_key {
    uint32_t shard; // index of wf_results_job()->shards
    uint16_t sample;
    bool failed;  // the row failed
    bool is_void; // and does not count any more
    uint64_t row;
} wf_result_key;

// Keys of rows [start, start + n) of one file.
wf_status wf_results_keys(wf_results *results, size_t i_file, uint64_t start, size_t n,
                          wf_result_key *keys);

// Reads rows [start, start + n) of one file, whatever their size; view with wf_results_at(). The
// rows read before are gone.
wf_status wf_results_load(wf_results *results, size_t i_file, uint64_t start, size_t n);
const wf_result *wf_results_at(wf_results *results, size_t i); // i-th loaded row; borrow

// The tokens of row i of a file (cheap: offsets only), to plan loads by size.
wf_status wf_results_row_bytes(wf_results *results, size_t i_file, uint64_t start, size_t n,
                               uint64_t *bytes);

#endif
