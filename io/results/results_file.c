// Opening results: structure, what the files say about the job, shards and runs joined.
#include "io/results/results_file_internal.h"

#include "io/base/file.h"
#include "io/results/results_manifest.h"
#include "io/results/runfile.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_BYTES_DEFAULT (UINT64_C(32) << 20)

enum { BLOCK_ROWS = 65536 };

// --- one file ---

void wf_results_unuse(wf_results *r)
{
    for (int i = 0; i < WF_N_COLS; i++)
        wf_h5_dataset_close(&r->sets[i]);
    wf_h5_file_abandon(&r->h5);
    r->i_open = SIZE_MAX;
}

static wf_status open_column(wf_results *r, int i_col, const wf_result_columns *columns)
{
    const wf_column_desc *desc = &wf_column_descs[i_col];
    return wf_h5_dataset_open(r->h5, desc->name, desc->type, wf_column_rank2(i_col, columns),
                              &r->sets[i_col]);
}

// How many numbers to a value an optional column has.
static wf_status find_width(wf_results *r, const wf_column_desc *desc, uint32_t *width)
{
    wf_h5_dataset *set = NULL;
    *width = 1;
    if (desc->width == WF_NOWHERE) return WF_OK;
    WF_TRY(wf_h5_dataset_open(r->h5, desc->name, desc->type, UINT32_MAX, &set));
    *width = wf_h5_dataset_width(set);
    wf_h5_dataset_close(&set);
    return WF_OK;
}

static wf_status find_columns(wf_results *r, wf_result_columns *columns)
{
    uint32_t width;
    *columns = (wf_result_columns){0};
    for (int i = 0; i < WF_N_COLS; i++) {
        const wf_column_desc *desc = &wf_column_descs[i];
        if (wf_column_present(i, columns) || !wf_h5_exists(r->h5, desc->name)) continue;
        WF_TRY(find_width(r, desc, &width));
        wf_column_found(i, width, columns);
    }
    return WF_OK;
}

// The column that is as long as this one.
static int group_of(int i_col)
{
    switch (wf_column_descs[i_col].kind) {
    case WF_COLUMN_VALUE:
    case WF_COLUMN_WIDE:
        return WF_COL_row;
    case WF_COLUMN_STEP:
        return WF_COL_step_start_ns;
    case WF_COLUMN_RAGGED:
        return wf_column_of_cut(wf_column_descs[i_col].cut);
    case WF_COLUMN_CUT:
        break;
    }
    return i_col;
}

static wf_status check_length(const wf_results *r, int i_col, uint64_t expected)
{
    uint64_t found = wf_h5_dataset_count(r->sets[i_col]);
    if (found == expected) return WF_OK;
    return wf_fail(WF_DATA, "%s:%s: has %" PRIu64 " values, expected %" PRIu64,
                   wf_h5_file_path(r->h5), wf_column_descs[i_col].name, found, expected);
}

// An offset column starts at 0, ends at what it cuts; that it does not fall between is checked row
// by row as it is read.
static wf_status check_offset_ends(wf_results *r, int i_offset)
{
    int i_values = wf_column_of_cut(i_offset);
    uint64_t n = wf_h5_dataset_count(r->sets[WF_COL_row]), first, last;
    uint64_t values = wf_h5_dataset_count(r->sets[i_values]);
    WF_TRY(check_length(r, i_offset, n + 1));
    WF_TRY(wf_h5_dataset_read(r->sets[i_offset], 0, 1, &first));
    WF_TRY(wf_h5_dataset_read(r->sets[i_offset], n, 1, &last));
    if (first == 0 && last == values) return WF_OK;
    return wf_fail(WF_DATA, "%s:%s: runs from %" PRIu64 " to %" PRIu64 ", expected 0 to %" PRIu64,
                   wf_h5_file_path(r->h5), wf_column_descs[i_offset].name, first, last, values);
}

static wf_status open_columns(wf_results *r, wf_result_columns *columns)
{
    WF_TRY(find_columns(r, columns));
    for (int i = 0; i < WF_N_COLS; i++)
        if (wf_column_present(i, columns)) WF_TRY(open_column(r, i, columns));
    for (int i = 0; i < WF_N_COLS; i++) {
        int group = group_of(i);
        if (!r->sets[i] || group == i) continue;
        WF_TRY(check_length(r, i, wf_h5_dataset_count(r->sets[group])));
    }
    for (int i = 0; i < WF_N_COLS; i++)
        if (wf_column_descs[i].kind == WF_COLUMN_CUT && r->sets[i]) WF_TRY(check_offset_ends(r, i));
    return WF_OK;
}

static wf_status open_file(wf_results *r, const char *path, wf_result_columns *columns)
{
    wf_results_unuse(r);
    WF_TRY(wf_h5_file_open(path, WF_DATA, &r->h5));
    WF_TRY(wf_h5_check_header(r->h5, WF_RESULTS_FORMAT, 1));
    return open_columns(r, columns);
}

wf_status wf_results_use(wf_results *r, size_t i)
{
    wf_result_columns columns;
    if (r->i_open == i) return WF_OK;
    wf_status st = open_file(r, r->files[i].path, &columns);
    if (st == WF_OK && wf_h5_dataset_count(r->sets[WF_COL_row]) != r->files[i].rows)
        st = wf_fail(WF_DATA, "%s: changed while it was read", r->files[i].path);
    if (st == WF_OK)
        r->i_open = i;
    else
        wf_results_unuse(r);
    return st;
}

// --- shards, joined by uid ---

static wf_status join_shard(wf_results *r, const char *uid, const char *path, uint64_t rows,
                            uint32_t *index)
{
    for (size_t i = 0; i < r->job.n_shards; i++) {
        if (strcmp(r->shards[i].uid, uid) != 0) continue;
        if (r->shards[i].rows != rows) {
            return wf_fail(WF_DATA,
                           "%s:/shards/rows:%zu: shard %s has %" PRIu64 " rows here and %" PRIu64
                           " elsewhere",
                           wf_h5_file_path(r->h5), i, uid, rows, r->shards[i].rows);
        }
        *index = (uint32_t)i;
        return WF_OK;
    }
    WF_TRY(wf_grow(r->job.n_shards + 1, sizeof *r->shards, &r->shards_capacity, &r->shards));
    wf_result_shard *shard = &r->shards[r->job.n_shards];
    WF_TRY(wf_arena_strdup(r->arena, uid, &shard->uid));
    WF_TRY(wf_arena_strdup(r->arena, path, &shard->path));
    shard->rows = rows;
    *index = (uint32_t)r->job.n_shards++;
    r->job.shards = r->shards;
    return WF_OK;
}

static wf_status read_shards(wf_results *r, wf_result_file *file)
{
    wf_status st;
    char **uids = NULL, **paths = NULL;
    uint64_t *rows = NULL;
    size_t n_uids = 0, n_paths = 0;
    wf_h5_dataset *set = NULL;
    WF_TRY_TO(done, wf_h5_read_texts(r->h5, "/shards/uid", WF_RESULTS_MAX_SHARDS, &uids, &n_uids));
    WF_TRY_TO(done,
              wf_h5_read_texts(r->h5, "/shards/path", WF_RESULTS_MAX_SHARDS, &paths, &n_paths));
    WF_TRY_TO(done, wf_h5_dataset_open(r->h5, "/shards/rows", WF_H5_U64, 0, &set));
    if (n_paths != n_uids || wf_h5_dataset_count(set) != n_uids) {
        st = wf_fail(WF_DATA, "%s:/shards: its columns differ in length", wf_h5_file_path(r->h5));
        goto done;
    }
    WF_TRY_TO(done, wf_alloc(n_uids, sizeof *rows, &rows));
    WF_TRY_TO(done, wf_h5_dataset_read(set, 0, n_uids, rows));
    WF_TRY_TO(done, wf_arena_alloc(r->arena, n_uids, sizeof *file->shard_map, &file->shard_map));
    file->n_shards = n_uids;
    for (size_t i = 0; i < n_uids; i++)
        WF_TRY_TO(done, join_shard(r, uids[i], paths[i], rows[i], &file->shard_map[i]));
done:
    wf_h5_dataset_close(&set);
    free(uids);
    free(paths);
    free(rows);
    return st;
}

// --- runs, joined by (run, group, epoch) ---

static wf_status read_run_numbers(wf_results *r, const char *name, wf_h5_type type, size_t n,
                                  wf_run_info *runs, size_t field_offset)
{
    wf_h5_dataset *set = NULL;
    char *values = NULL;
    size_t each = wf_h5_type_bytes(type);
    wf_status st;
    WF_TRY_TO(done, wf_h5_dataset_open(r->h5, name, type, 0, &set));
    if (wf_h5_dataset_count(set) != n) {
        st = wf_fail(WF_DATA, "%s:%s: has %" PRIu64 " values, expected %zu", wf_h5_file_path(r->h5),
                     name, wf_h5_dataset_count(set), n);
        goto done;
    }
    WF_TRY_TO(done, wf_alloc(n, each, &values));
    WF_TRY_TO(done, wf_h5_dataset_read(set, 0, n, values));
    for (size_t i = 0; i < n; i++)
        memcpy((char *)&runs[i] + field_offset, values + i * each, each);
done:
    free(values);
    wf_h5_dataset_close(&set);
    return st;
}

static wf_status read_run_texts(wf_results *r, const char *name, size_t n, wf_run_info *runs,
                                size_t field_offset)
{
    char **texts = NULL;
    size_t n_texts = 0;
    wf_status st = wf_h5_read_texts(r->h5, name, WF_RESULTS_MAX_RUNS, &texts, &n_texts);
    if (st == WF_OK && n_texts != n) {
        st = wf_fail(WF_DATA, "%s:%s: has %zu values, expected %zu", wf_h5_file_path(r->h5), name,
                     n_texts, n);
    }
    for (size_t i = 0; st == WF_OK && i < n; i++) {
        const char *text;
        st = wf_arena_strdup(r->arena, texts[i], &text);
        if (st == WF_OK) memcpy((char *)&runs[i] + field_offset, &text, sizeof text);
    }
    free(texts);
    return st;
}

#define READ_RUN_U16(field, kind)                                                                  \
    read_run_numbers(r, "/runs/" #field, WF_H5_##kind, n, runs, offsetof(wf_run_info, field))
#define READ_RUN_N16(field, kind)                                                                  \
    (wf_h5_exists(r->h5, "/runs/" #field) ? READ_RUN_U16(field, U16) : WF_OK)
#define READ_RUN_U32 READ_RUN_U16
#define READ_RUN_I64 READ_RUN_U16
#define READ_RUN_F64 READ_RUN_U16
#define READ_RUN_TEXT(field, kind)                                                                 \
    read_run_texts(r, "/runs/" #field, n, runs, offsetof(wf_run_info, field))

static wf_status read_run_columns(wf_results *r, wf_run_info *runs, size_t n)
{
#define READ_RUN_FIELD(field, kind, units, description) WF_TRY(READ_RUN_##kind(field, kind));
    WF_RUN_TABLE(READ_RUN_FIELD)
#undef READ_RUN_FIELD
    return WF_OK;
}

// A later segment of the same run knows more (clock drift), so it takes the earlier one's place.
static wf_status join_run(wf_results *r, const wf_run_info *run)
{
    for (size_t i = 0; i < r->n_runs; i++) {
        wf_run_info *have = &r->runs[i];
        if (have->run != run->run || have->group != run->group || have->epoch != run->epoch)
            continue;
        *have = *run;
        return WF_OK;
    }
    WF_TRY(wf_grow(r->n_runs + 1, sizeof *run, &r->runs_capacity, &r->runs));
    r->runs[r->n_runs++] = *run;
    return WF_OK;
}

static wf_status read_runs(wf_results *r)
{
    wf_h5_dataset *set = NULL;
    wf_run_info *runs = NULL;
    WF_TRY(wf_h5_dataset_open(r->h5, "/runs/run", WF_H5_U16, 0, &set));
    size_t n = (size_t)wf_h5_dataset_count(set);
    wf_h5_dataset_close(&set);
    if (n > WF_RESULTS_MAX_RUNS) {
        return wf_fail(WF_DATA, "%s:/runs/run: %zu runs, more than is believable",
                       wf_h5_file_path(r->h5), n);
    }
    WF_TRY(wf_alloc(n, sizeof *runs, &runs));
    wf_status st = read_run_columns(r, runs, n);
    for (size_t i = 0; st == WF_OK && i < n; i++) {
        uint32_t group = (uint32_t)runs[i].group + r->group_base;
        if (group >= UINT16_MAX) {
            st = wf_fail(WF_DATA, "%s:/runs/group:%zu: more groups than fit together",
                         wf_h5_file_path(r->h5), i);
            break;
        }
        runs[i].group = (uint16_t)group;
        if (group >= r->next_group) r->next_group = (uint16_t)(group + 1);
        st = join_run(r, &runs[i]);
    }
    free(runs);
    return st;
}

// --- the job: the newest file's word ---

static wf_status read_job(wf_results *r)
{
    char *job = NULL, *hash = NULL, *labels = NULL;
    wf_status st = wf_h5_get_text(r->h5, "/", "job", &job);
    if (st == WF_OK && wf_h5_has_attribute(r->h5, "/", "labels"))
        st = wf_h5_get_text(r->h5, "/", "labels", &labels);
    if (st == WF_OK) st = wf_h5_get_text(r->h5, "/", "model_hash", &hash);
    if (st == WF_OK) st = wf_h5_get_u64(r->h5, "/", "seed", &r->job.seed);
    if (st == WF_OK) st = wf_h5_get_i64(r->h5, "/", "n_vocab", &r->job.n_vocab);
    if (st == WF_OK && (!r->job.job_text || strcmp(r->job.job_text, job) != 0))
        st = wf_arena_strdup(r->arena, job, &r->job.job_text);
    if (st == WF_OK && (!r->job.model_hash || strcmp(r->job.model_hash, hash) != 0))
        st = wf_arena_strdup(r->arena, hash, &r->job.model_hash);
    if (st == WF_OK && labels && !r->job.labels)
        st = wf_arena_strdup(r->arena, labels, &r->job.labels);
    free(job);
    free(hash);
    free(labels);
    return st;
}

// Failed rows of the open file.
static wf_status count_failed(wf_results *r, uint64_t rows, uint64_t *n_failed)
{
    uint8_t block[BLOCK_ROWS];
    *n_failed = 0;
    for (uint64_t at = 0; at < rows; at += BLOCK_ROWS) {
        size_t n = rows - at < BLOCK_ROWS ? (size_t)(rows - at) : BLOCK_ROWS;
        WF_TRY(wf_h5_dataset_read(r->sets[WF_COL_status], at, n, block));
        for (size_t i = 0; i < n; i++)
            *n_failed += block[i] == WF_RESULT_FAILED;
    }
    return WF_OK;
}

static wf_status add_file(wf_results *r, const char *path, bool void_failed)
{
    wf_result_file file = {.group_base = r->group_base, .void_failed = void_failed};
    uint64_t n_void = 0;
    WF_TRY(wf_arena_strdup(r->arena, path, &file.path));
    WF_TRY(open_file(r, path, &file.columns));
    file.rows = wf_h5_dataset_count(r->sets[WF_COL_row]);
    file.tokens = wf_h5_dataset_count(r->sets[WF_COL_token_id]);
    if (file.columns.steps) file.steps = wf_h5_dataset_count(r->sets[WF_COL_step_start_ns]);
    WF_TRY(read_shards(r, &file));
    WF_TRY(read_runs(r));
    WF_TRY(read_job(r));
    if (void_failed) WF_TRY(count_failed(r, file.rows, &n_void));
    WF_TRY(wf_grow(r->n_files + 1, sizeof file, &r->files_capacity, &r->files));
    r->files[r->n_files++] = file;
    r->i_open = r->n_files - 1;
    r->rows += file.rows - n_void;
    r->tokens += file.tokens;
    r->steps += file.steps;
    return WF_OK;
}

static wf_status create(const char *place, const wf_results_options *options, wf_results **out)
{
    wf_results *r = NULL;
    WF_TRY(wf_alloc(1, sizeof *r, &r));
    r->i_open = SIZE_MAX;
    r->batch_bytes = options && options->batch_bytes ? options->batch_bytes : BATCH_BYTES_DEFAULT;
    wf_status st = wf_arena_create(0, &r->arena);
    if (st == WF_OK) st = wf_arena_strdup(r->arena, place, &r->place);
    if (st == WF_OK)
        *out = r;
    else
        wf_results_close(&r);
    return st;
}

static wf_status add_segment(wf_results *r, const char *folder, const char *name, bool void_failed)
{
    char *path = NULL;
    WF_TRY(wf_path_join(folder, name, &path));
    wf_status st = add_file(r, path, void_failed);
    free(path);
    return st;
}

static wf_status add_folder(wf_results *r, const char *folder, const wf_results_options *options)
{
    wf_runs *runs = NULL;
    size_t n;
    bool merged = false;
    const wf_runs_options look = {.read_only = true};
    WF_TRY(wf_runs_open(folder, &look, &runs));
    const wf_segment_ref *refs = wf_runs_segments(runs, &n);
    wf_status st = WF_OK;
    if (!options || !options->segments) st = wf_manifest_covers(folder, refs, n, &merged);
    if (st == WF_OK && merged) st = add_segment(r, folder, "results.h5", false);
    for (size_t i = 0; st == WF_OK && !merged && i < n; i++)
        st = add_segment(r, folder, refs[i].path, refs[i].void_failed);
    if (st == WF_OK && !merged && n == 0) {
        st = wf_runs_count(runs) > 0
                 ? wf_fail(WF_NO_INPUT, "%s: holds no sealed results yet", folder)
                 : wf_fail(WF_NO_INPUT, "%s: no job was started here: it is no output folder",
                           folder);
    }
    r->complete = wf_runs_count(runs) > 0 ? wf_runs_complete(runs) : merged;
    wf_runs_close(&runs);
    return st;
}

static wf_status add_place(wf_results *r, const char *path, const wf_results_options *options)
{
    char *inside = NULL;
    WF_TRY(wf_path_join(path, ".", &inside));
    bool folder = wf_file_exists(inside);
    free(inside);
    r->group_base = r->next_group;
    return folder ? add_folder(r, path, options) : add_file(r, path, false);
}

wf_status wf_results_open_many(const char *const *paths, size_t n,
                               const wf_results_options *options, wf_results **out)
{
    wf_results *r = NULL;
    bool complete = n > 0;
    WF_TRY(create(n > 0 ? paths[0] : "", options, &r));
    wf_status st = WF_OK;
    for (size_t i = 0; st == WF_OK && i < n; i++) {
        r->complete = true; // of a single file nothing more is known
        st = add_place(r, paths[i], options);
        complete &= r->complete;
    }
    r->complete = complete;
    if (st == WF_OK)
        *out = r;
    else
        wf_results_close(&r);
    return st;
}

wf_status wf_results_open(const char *path, const wf_results_options *options, wf_results **out)
{
    return wf_results_open_many(&path, 1, options, out);
}

wf_status wf_results_open_files(const char *const *paths, size_t n,
                                const wf_results_options *options, wf_results **out)
{
    wf_results *r = NULL;
    wf_status st = create(n > 0 ? paths[0] : "", options, &r);
    for (size_t i = 0; st == WF_OK && i < n; i++)
        st = add_file(r, paths[i], false);
    if (st == WF_OK)
        *out = r;
    else
        wf_results_close(&r);
    return st;
}

wf_status wf_results_open_segments(const char *out_dir, const wf_segment_ref *refs, size_t n,
                                   const wf_results_options *options, wf_results **out)
{
    wf_results *r = NULL;
    wf_status st = create(out_dir, options, &r);
    for (size_t i = 0; st == WF_OK && i < n; i++)
        st = add_segment(r, out_dir, refs[i].path, refs[i].void_failed);
    if (st == WF_OK)
        *out = r;
    else
        wf_results_close(&r);
    return st;
}

void wf_results_close(wf_results **results)
{
    wf_results *r = *results;
    if (!r) return;
    wf_results_unuse(r);
    for (int i = 0; i < WF_N_COLS; i++)
        free(r->buffers[i].data);
    free(r->error_texts.data);
    free(r->views);
    free(r->files);
    free(r->shards);
    free(r->runs);
    wf_arena_destroy(&r->arena);
    free(r);
    *results = NULL;
}

// --- queries ---

const char *wf_results_place(const wf_results *r)
{
    return r->place;
}

size_t wf_results_files(const wf_results *r)
{
    return r->n_files;
}

const char *wf_results_file_path(const wf_results *r, size_t i_file)
{
    return r->files[i_file].path;
}

uint64_t wf_results_file_rows(const wf_results *r, size_t i_file)
{
    return r->files[i_file].rows;
}

const wf_result_columns *wf_results_file_columns(const wf_results *r, size_t i_file)
{
    return &r->files[i_file].columns;
}

uint64_t wf_results_rows(const wf_results *r)
{
    return r->rows;
}

uint64_t wf_results_tokens(const wf_results *r)
{
    return r->tokens;
}

uint64_t wf_results_steps(const wf_results *r)
{
    return r->steps;
}

const wf_result_job *wf_results_job(const wf_results *r)
{
    return &r->job;
}

const wf_run_info *wf_results_runs(const wf_results *r, size_t *n)
{
    *n = r->n_runs;
    return r->runs;
}

// A column counts as there when any file has it: rows of the others are padded.
wf_result_columns wf_results_columns(const wf_results *r)
{
    wf_result_columns all = {0};
    for (size_t i = 0; i < r->n_files; i++)
        for (int col = 0; col < WF_N_COLS; col++)
            if (wf_column_present(col, &r->files[i].columns))
                wf_column_found(col, wf_column_width(col, &r->files[i].columns), &all);
    return all;
}

bool wf_results_complete(const wf_results *r)
{
    return r->complete;
}
