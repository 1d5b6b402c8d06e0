// The merge: rows in key order (ordered.h), a block at a time, then the steps.
#include "results/merge.h"

#include "io/base/arena.h"
#include "io/base/fault.h"
#include "io/base/file.h"
#include "io/base/publish.h"
#include "io/results/results_file.h"
#include "io/results/results_manifest.h"
#include "io/results/segment_batch.h"
#include "io/results/segment_file.h"
#include "results/ordered.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STEP_ROWS = 4096 };

typedef struct {
    wf_results *results;
    uint64_t block_bytes;
    const atomic_int *stop; // borrowed, may be NULL
    wf_ordered *ordered;
    wf_result_batch *batch;
    wf_segment_file *file;
} merger;

// --- rows and steps ---

static wf_status write_block(merger *m, size_t n)
{
    for (size_t i = 0; i < n; i++)
        WF_TRY(wf_result_batch_put(m->batch, wf_ordered_at(m->ordered, i)));
    WF_TRY(wf_segment_file_append(m->file, m->batch));
    wf_result_batch_clear(m->batch);
    return WF_OK;
}

static wf_status write_rows(merger *m)
{
    uint64_t n_blocks = 0, done, rows = wf_ordered_rows(m->ordered);
    while ((done = wf_ordered_done(m->ordered)) < rows) {
        size_t n;
        wf_fault_at(WF_FAULT_MERGE, ++n_blocks);
        if (m->stop && atomic_load(m->stop) != 0)
            return wf_fail(WF_DRAINED, "merge: told to leave after %" PRIu64 " of %" PRIu64 " rows",
                           done, rows);
        WF_TRY(wf_ordered_next_block(m->ordered, &n));
        WF_TRY(write_block(m, n));
    }
    return WF_OK;
}

static wf_status write_steps(merger *m)
{
    wf_step_record steps[STEP_ROWS];
    size_t n;
    do {
        WF_TRY(wf_results_next_steps(m->results, steps, STEP_ROWS, &n));
        for (size_t i = 0; i < n; i++)
            WF_TRY(wf_result_batch_put_step(m->batch, &steps[i]));
        WF_TRY(wf_segment_file_append(m->file, m->batch));
        wf_result_batch_clear(m->batch);
    } while (n > 0);
    return WF_OK;
}

// --- the whole ---

static wf_status write_all(merger *m, const wf_part *part)
{
    size_t n_runs;
    const wf_run_info *runs = wf_results_runs(m->results, &n_runs);
    wf_result_columns columns = wf_results_columns(m->results);
    WF_TRY(wf_ordered_create(m->results, NULL, m->block_bytes, &m->ordered));
    WF_TRY(wf_result_batch_create(&columns, &m->batch));
    WF_TRY(wf_segment_file_create(part, wf_results_job(m->results), &columns, &m->file));
    WF_TRY(write_rows(m));
    if (columns.steps) WF_TRY(write_steps(m));
    return wf_segment_file_close(&m->file, runs, n_runs, NULL);
}

static wf_status merge_results(wf_results *results, const wf_part *part,
                               const wf_merge_options *options, wf_merge_summary *summary)
{
    merger m = {.results = results,
                .block_bytes = options ? options->block_bytes : 0,
                .stop = options ? options->stop : NULL};
    wf_status st = write_all(&m, part);
    *summary = (wf_merge_summary){.rows = m.ordered ? wf_ordered_rows(m.ordered) : 0,
                                  .tokens = wf_results_tokens(results),
                                  .steps = wf_results_steps(results),
                                  .n_segments = wf_results_files(results)};
    wf_segment_file_abandon(&m.file);
    wf_result_batch_destroy(&m.batch);
    wf_ordered_destroy(&m.ordered);
    return st;
}

// What results.h5 is made of, checked by its bytes.
static wf_status hash_segments(const char *out_dir, const wf_results *results,
                               const wf_segment_ref *listed, size_t n, wf_segment_ref *refs)
{
    for (size_t i = 0; i < n; i++) {
        char *path = NULL;
        refs[i] = listed[i];
        WF_TRY(wf_path_join(out_dir, listed[i].path, &path));
        wf_status st = wf_file_hash(path, &refs[i].xxh64, &refs[i].bytes);
        if (st == WF_OK && listed[i].xxh64 != 0 && refs[i].xxh64 != listed[i].xxh64) {
            st = wf_fail(WF_DATA, "%s: its checksum is not the one recorded when it was inherited",
                         path);
        }
        free(path);
        WF_TRY(st);
        refs[i].rows = wf_results_file_rows(results, i);
    }
    return WF_OK;
}

static wf_status publish(const char *out_dir, wf_part *part, wf_segment_ref *refs, size_t n,
                         wf_merge_summary *summary)
{
    wf_segment_ref merged = {.path = "results.h5", .rows = summary->rows};
    WF_TRY(wf_file_hash(wf_part_path(part), &merged.xxh64, &merged.bytes));
    WF_TRY(wf_manifest_remove(out_dir));
    WF_TRY(wf_part_publish(part, WF_PUBLISH_REPLACE));
    summary->bytes = merged.bytes;
    return wf_manifest_write(out_dir, &merged, refs, n);
}

wf_status wf_merge(const char *out_dir, const wf_merge_options *options, wf_merge_summary *summary)
{
    static const wf_runs_options look = {.read_only = true};
    wf_merge_summary sum = {0};
    wf_runs *runs = NULL;
    wf_results *results = NULL;
    wf_segment_ref *refs = NULL;
    wf_part *part = NULL;
    char *path = NULL;
    size_t n;
    wf_status st;
    WF_TRY_TO(done, wf_path_join(out_dir, "results.h5", &path));
    WF_TRY_TO(done, wf_runs_open(out_dir, &look, &runs));
    const wf_segment_ref *listed = wf_runs_segments(runs, &n);
    if (n == 0) {
        st = wf_fail(WF_NO_INPUT, "%s: holds no sealed results yet", out_dir);
        goto done;
    }
    WF_TRY_TO(done, wf_results_open_segments(out_dir, listed, n, NULL, &results));
    WF_TRY_TO(done, wf_alloc(n, sizeof *refs, &refs));
    WF_TRY_TO(done, hash_segments(out_dir, results, listed, n, refs));
    wf_part_clear(path); // the folder is ours: a merge that left one is gone
    WF_TRY_TO(done, wf_part_create(path, &part));
    WF_TRY_TO(done, merge_results(results, part, options, &sum));
    WF_TRY_TO(done, publish(out_dir, part, refs, n, &sum));
    if (summary) *summary = sum;
done:
    wf_results_close(&results);
    wf_runs_close(&runs);
    free(refs);
    wf_part_drop(&part);
    free(path);
    return st;
}

wf_status wf_merge_many(const char *const *places, size_t n, const char *path,
                        const wf_merge_options *options, wf_merge_summary *summary)
{
    static const wf_results_options segments = {.segments = true};
    wf_merge_summary sum = {0};
    wf_results *results = NULL;
    int64_t bytes = 0;
    wf_part *part = NULL;
    wf_status st;
    WF_TRY_TO(done, wf_results_open_many(places, n, &segments, &results));
    WF_TRY_TO(done, wf_part_create(path, &part));
    WF_TRY_TO(done, merge_results(results, part, options, &sum));
    WF_TRY_TO(done, wf_part_publish(part, WF_PUBLISH_REPLACE));
    WF_TRY_TO(done, wf_file_size(path, &bytes));
    sum.bytes = (uint64_t)bytes;
    if (summary) *summary = sum;
done:
    wf_results_close(&results);
    wf_part_drop(&part);
    return st;
}
