// The merge: index of all keys, then blocks of rows in key order.
//
// Within a segment rows lie in the order they finished, which is nearly key order, so the rows of a
// block lie in a few short ranges of each segment; they are read range by range and copied.
#include "results/merge.h"

#include "io/base/arena.h"
#include "io/base/fault.h"
#include "io/base/file.h"
#include "io/base/publish.h"
#include "io/results/payload.h"
#include "io/results/results_file.h"
#include "io/results/results_manifest.h"
#include "io/results/segment_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK_BYTES_DEFAULT (UINT64_C(64) << 20)

enum {
    KEY_ROWS = 16384,
    STEP_ROWS = 4096,
    RANGE_ROWS = 4096, // rows of one read at most
    RANGE_GAP = 64     // rows between two wanted ones that are read along
};

typedef struct {
    wf_result_key key;
    uint32_t file;
    uint32_t bytes; // in memory, about
    uint64_t at;    // row within the file
} entry;

typedef struct {
    const entry *entry;
    wf_result row; // its pointers lead into the arena
} slot;

typedef struct {
    wf_results *results;
    uint64_t block_bytes;
    const atomic_int *stop; // borrowed, may be NULL
    entry *index;
    size_t n;
    wf_arena *arena; // the rows of a block
    wf_result_batch *batch;
    wf_segment_file *file;
    slot *slots, **by_place;
    size_t slots_capacity, places_capacity;
} merger;

// --- the index ---

static wf_status index_part(merger *m, size_t i_file, uint64_t start, size_t n)
{
    wf_result_key keys[KEY_ROWS];
    uint64_t bytes[KEY_ROWS];
    WF_TRY(wf_results_keys(m->results, i_file, start, n, keys));
    WF_TRY(wf_results_row_bytes(m->results, i_file, start, n, bytes));
    for (size_t i = 0; i < n; i++) {
        if (keys[i].is_void) continue;
        m->index[m->n++] = (entry){.key = keys[i],
                                   .file = (uint32_t)i_file,
                                   .bytes = bytes[i] < UINT32_MAX ? (uint32_t)bytes[i] : UINT32_MAX,
                                   .at = start + i};
    }
    return WF_OK;
}

static int compare_keys(const void *a, const void *b)
{
    const wf_result_key *x = &((const entry *)a)->key, *y = &((const entry *)b)->key;
    if (x->shard != y->shard) return x->shard < y->shard ? -1 : 1;
    if (x->row != y->row) return x->row < y->row ? -1 : 1;
    return x->sample < y->sample ? -1 : x->sample > y->sample;
}

static wf_status check_overlap(const merger *m)
{
    for (size_t i = 1; i < m->n; i++) {
        const entry *a = &m->index[i - 1], *b = &m->index[i];
        if (compare_keys(a, b) != 0) continue;
        const wf_result_shard *shard = &wf_results_job(m->results)->shards[a->key.shard];
        return wf_fail(WF_DATA,
                       "row %" PRIu64 " sample %u of shard %s is in %s (row %" PRIu64
                       ") and in %s (row %" PRIu64 ")",
                       a->key.row, a->key.sample, shard->uid,
                       wf_results_file_path(m->results, a->file), a->at,
                       wf_results_file_path(m->results, b->file), b->at);
    }
    return WF_OK;
}

static wf_status build_index(merger *m)
{
    WF_TRY(wf_alloc((size_t)wf_results_rows(m->results), sizeof *m->index, &m->index));
    for (size_t f = 0; f < wf_results_files(m->results); f++) {
        uint64_t rows = wf_results_file_rows(m->results, f);
        for (uint64_t start = 0; start < rows; start += KEY_ROWS) {
            uint64_t left = rows - start;
            WF_TRY(index_part(m, f, start, left < KEY_ROWS ? (size_t)left : KEY_ROWS));
        }
    }
    if (m->n > 1) qsort(m->index, m->n, sizeof *m->index, compare_keys);
    return check_overlap(m);
}

// --- a block of rows ---

// Makes the row's arrays its own. They are as wide as the row says, which is as wide as its file.
static wf_status copy_row(merger *m, size_t i_file, wf_result *row)
{
    const wf_result_columns *columns = wf_results_file_columns(m->results, i_file);
    for (int i = 0; i < WF_N_COLS; i++) {
        const wf_column_desc *desc = &wf_column_descs[i];
        if (desc->kind != WF_COLUMN_RAGGED) continue;
        const void *values = wf_column_values(i, row);
        size_t n = wf_column_count(desc->cut, row);
        size_t bytes = n * wf_column_width(i, columns) * wf_h5_type_bytes(desc->type);
        char *copy = NULL;
        if (!values || n == 0) continue;
        WF_TRY(wf_arena_alloc(m->arena, bytes + 1, 1, &copy)); // a text's NUL
        memcpy(copy, values, bytes);
        copy[bytes] = '\0';
        wf_column_point(i, row, copy);
    }
    return WF_OK;
}

static int compare_places(const void *a, const void *b)
{
    const entry *x = (*(slot *const *)a)->entry, *y = (*(slot *const *)b)->entry;
    if (x->file != y->file) return x->file < y->file ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

// How many of the places from `first` on are read at once.
static size_t range_length(const merger *m, size_t first, size_t n)
{
    const entry *start = m->by_place[first]->entry;
    uint64_t bytes = start->bytes;
    size_t last = first;
    while (last + 1 < n) {
        const entry *here = m->by_place[last]->entry, *next = m->by_place[last + 1]->entry;
        if (next->file != start->file || next->at - here->at > RANGE_GAP ||
            next->at - start->at >= RANGE_ROWS || bytes + next->bytes > m->block_bytes) {
            break;
        }
        bytes += next->bytes;
        last++;
    }
    return last + 1 - first;
}

static wf_status read_range(merger *m, size_t first, size_t n)
{
    const entry *start = m->by_place[first]->entry, *last = m->by_place[first + n - 1]->entry;
    size_t span = (size_t)(last->at - start->at + 1);
    WF_TRY(wf_results_load(m->results, start->file, start->at, span));
    for (size_t i = first; i < first + n; i++) {
        slot *s = m->by_place[i];
        s->row = *wf_results_at(m->results, (size_t)(s->entry->at - start->at));
        WF_TRY(copy_row(m, start->file, &s->row));
    }
    return WF_OK;
}

static wf_status write_block(merger *m, size_t first, size_t n)
{
    wf_arena_mark mark = wf_arena_get_mark(m->arena);
    WF_TRY(wf_grow(n, sizeof *m->slots, &m->slots_capacity, &m->slots));
    WF_TRY(wf_grow(n, sizeof *m->by_place, &m->places_capacity, &m->by_place));
    for (size_t i = 0; i < n; i++) {
        m->slots[i].entry = &m->index[first + i];
        m->by_place[i] = &m->slots[i];
    }
    qsort(m->by_place, n, sizeof *m->by_place, compare_places);
    for (size_t i = 0, length; i < n; i += length) {
        length = range_length(m, i, n);
        WF_TRY(read_range(m, i, length));
    }
    for (size_t i = 0; i < n; i++)
        WF_TRY(wf_result_batch_put(m->batch, &m->slots[i].row));
    WF_TRY(wf_segment_file_append(m->file, m->batch));
    wf_result_batch_clear(m->batch);
    wf_arena_reset(m->arena, mark);
    return WF_OK;
}

static wf_status write_rows(merger *m)
{
    uint64_t n_blocks = 0;
    for (size_t first = 0, n; first < m->n; first += n) {
        uint64_t bytes = m->index[first].bytes;
        for (n = 1; first + n < m->n; n++) {
            bytes += m->index[first + n].bytes;
            if (bytes > m->block_bytes) break;
        }
        wf_fault_at(WF_FAULT_MERGE, ++n_blocks);
        if (m->stop && atomic_load(m->stop) != 0)
            return wf_fail(WF_DRAINED, "merge: told to leave after %zu of %zu rows", first, m->n);
        WF_TRY(write_block(m, first, n));
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
    WF_TRY(build_index(m));
    WF_TRY(wf_arena_create(1 << 20, &m->arena));
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
                .block_bytes =
                    options && options->block_bytes ? options->block_bytes : BLOCK_BYTES_DEFAULT,
                .stop = options ? options->stop : NULL};
    wf_status st = write_all(&m, part);
    *summary = (wf_merge_summary){.rows = m.n,
                                  .tokens = wf_results_tokens(results),
                                  .steps = wf_results_steps(results),
                                  .n_segments = wf_results_files(results)};
    wf_segment_file_abandon(&m.file);
    wf_result_batch_destroy(&m.batch);
    wf_arena_destroy(&m.arena);
    free(m.index);
    free(m.slots);
    free(m.by_place);
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
