// Reading rows: a range of every column at once, then views into it.
//
// Nothing a file says is used as an index before it is checked: offsets must not fall, shards must
// be in the table, times must be such that they can be subtracted.
#include "io/results/results_file_internal.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { LOAD_ROWS = 8192 };

static wf_status room(wf_column_buffer *b, size_t n, size_t each_bytes)
{
    WF_TRY(wf_grow(n, each_bytes, &b->capacity, &b->data));
    b->n = n;
    return WF_OK;
}

// Nine years: what is beyond is damage, and differences of times below it fit their type.
#define TIME_MOST_NS (INT64_C(1) << 58)

static wf_status check_times(const wf_results *r, int i_col, uint64_t start, size_t n)
{
    const int64_t *ns = r->buffers[i_col].data;
    for (size_t i = 0; i < n; i++)
        if (ns[i] > TIME_MOST_NS || ns[i] < -TIME_MOST_NS)
            return wf_fail(WF_DATA, "%s:%s:%" PRIu64 ": %" PRId64 " ns is no time of a run",
                           wf_h5_file_path(r->h5), wf_column_descs[i_col].name, start + i, ns[i]);
    return WF_OK;
}

static wf_status read_column(wf_results *r, int i_col, uint64_t start, size_t n)
{
    // In single numbers: the width of a column may differ from file to file.
    size_t width = r->sets[i_col] ? wf_h5_dataset_width(r->sets[i_col]) : 1;
    WF_TRY(room(&r->buffers[i_col], n * width, wf_h5_type_bytes(wf_column_descs[i_col].type)));
    WF_TRY(wf_h5_dataset_read(r->sets[i_col], start, n, r->buffers[i_col].data));
    bool times = strcmp(wf_column_descs[i_col].units, "ns") == 0;
    return times ? check_times(r, i_col, start, n) : WF_OK;
}

static wf_status check_offsets(const wf_results *r, int i_col, uint64_t start, size_t n,
                               uint64_t most)
{
    const uint64_t *offsets = r->buffers[i_col].data;
    for (size_t i = 0; i < n; i++) {
        if (offsets[i] <= offsets[i + 1] && offsets[i + 1] <= most) continue;
        return wf_fail(WF_DATA,
                       "%s:%s:%" PRIu64 ": %" PRIu64 " is followed by %" PRIu64
                       "; offsets must rise to at most %" PRIu64,
                       wf_h5_file_path(r->h5), wf_column_descs[i_col].name, start + i, offsets[i],
                       offsets[i + 1], most);
    }
    return WF_OK;
}

static wf_status read_offsets(wf_results *r, int i_cut, uint64_t start, size_t n)
{
    WF_TRY(read_column(r, i_cut, start, n + 1));
    return check_offsets(r, i_cut, start, n, wf_h5_dataset_count(r->sets[wf_column_of_cut(i_cut)]));
}

static wf_status read_all_offsets(wf_results *r, uint64_t start, size_t n)
{
    for (int i = 0; i < WF_N_COLS; i++)
        if (wf_column_descs[i].kind == WF_COLUMN_CUT && r->sets[i])
            WF_TRY(read_offsets(r, i, start, n));
    return WF_OK;
}

static const uint64_t *offsets_of(const wf_results *r, int i_offset)
{
    return r->buffers[i_offset].data;
}

static wf_status read_ragged(wf_results *r, int i_col, size_t n)
{
    const uint64_t *offsets = offsets_of(r, wf_column_descs[i_col].cut);
    return read_column(r, i_col, offsets[0], (size_t)(offsets[n] - offsets[0]));
}

static wf_status read_all(wf_results *r, uint64_t start, size_t n)
{
    for (int i = 0; i < WF_N_COLS; i++) {
        wf_column_kind kind = wf_column_descs[i].kind;
        bool is_of_rows = kind == WF_COLUMN_VALUE || kind == WF_COLUMN_WIDE;
        if (is_of_rows && r->sets[i]) WF_TRY(read_column(r, i, start, n));
    }
    WF_TRY(read_all_offsets(r, start, n));
    for (int i = 0; i < WF_N_COLS; i++)
        if (wf_column_descs[i].kind == WF_COLUMN_RAGGED && r->sets[i]) WF_TRY(read_ragged(r, i, n));
    return WF_OK;
}

// Error texts get terminators, in a buffer of their own.
static wf_status copy_errors(wf_results *r, size_t n)
{
    const uint64_t *offsets = offsets_of(r, WF_COL_error_offset);
    const char *from = r->buffers[WF_COL_error].data;
    WF_TRY(room(&r->error_texts, (size_t)(offsets[n] - offsets[0]) + n, 1));
    char *to = r->error_texts.data;
    for (size_t i = 0; i < n; i++) {
        size_t length = (size_t)(offsets[i + 1] - offsets[i]);
        r->views[i].error = length > 0 ? to : NULL;
        if (length > 0) memcpy(to, from + (offsets[i] - offsets[0]), length);
        to[length] = '\0';
        to += length + 1;
    }
    return WF_OK;
}

static size_t row_bytes(const wf_results *r, int i_col)
{
    return wf_h5_type_bytes(wf_column_descs[i_col].type) * wf_h5_dataset_width(r->sets[i_col]);
}

// Leads the row to its numbers of a wide column.
static void point_to_numbers(const wf_results *r, int i_col, size_t i)
{
    const char *numbers = r->buffers[i_col].data;
    wf_column_point(i_col, &r->views[i], r->sets[i_col] ? numbers + i * row_bytes(r, i_col) : NULL);
}

// Leads the row to its part of a ragged column; NULL where the file does not have the column.
static void point_to_values(const wf_results *r, int i_col, size_t i)
{
    const wf_column_desc *desc = &wf_column_descs[i_col];
    const uint64_t *offsets = offsets_of(r, desc->cut);
    const char *values = NULL;
    if (r->sets[i_col]) {
        size_t each = row_bytes(r, i_col);
        values = (const char *)r->buffers[i_col].data + (offsets[i] - offsets[0]) * each;
    }
    wf_column_point(i_col, &r->views[i], values);
}

// The length of a row's part, where the cut has a number for it; 0 where the file has no such cut.
static wf_status take_count(wf_results *r, int i_cut, uint64_t start, size_t i)
{
    const uint64_t *offsets = offsets_of(r, i_cut);
    uint64_t n = r->sets[i_cut] ? offsets[i + 1] - offsets[i] : 0;
    size_t at = wf_column_descs[i_cut].at;
    if (n > UINT32_MAX) {
        return wf_fail(WF_DATA, "%s:%s:%" PRIu64 ": the row is too long", wf_h5_file_path(r->h5),
                       wf_column_descs[i_cut].name, start + i);
    }
    if (at != WF_NOWHERE) *(uint32_t *)(void *)((char *)&r->views[i] + at) = (uint32_t)n;
    return WF_OK;
}

static wf_status build_view(wf_results *r, const wf_result_file *file, uint64_t start, size_t i)
{
    wf_result *v = &r->views[i];
#define VIEW_VALUE(field, ctype, type, units, label, description)                                  \
    v->field = ((const ctype *)r->buffers[WF_COL_##field].data)[i];
    WF_RESULT_TABLE(VIEW_VALUE)
#undef VIEW_VALUE
#define MISSING(ctype) _Generic((ctype){0}, float: NAN, default: 0)
#define VIEW_VALUE(field, ctype, type, when, units, label, description)                            \
    v->field = r->sets[WF_COL_##field] ? ((const ctype *)r->buffers[WF_COL_##field].data)[i]       \
                                       : MISSING(ctype);
    WF_RESULT_OPTIONAL_TABLE(VIEW_VALUE)
#undef VIEW_VALUE
#undef MISSING
    if (v->shard >= file->n_shards) {
        return wf_fail(WF_DATA, "%s:/requests/shard:%" PRIu64 ": %u, but there are %zu shards",
                       file->path, start + i, v->shard, file->n_shards);
    }
    v->shard = file->shard_map[v->shard];
    v->group = (uint16_t)(v->group + file->group_base);
    v->n_top = file->columns.n_top;
    v->n_vector = file->columns.n_vector;
    v->n_scores = file->columns.n_scores;
    v->n_prompt_top = file->columns.n_prompt_top;
    for (int col = 0; col < WF_N_COLS; col++) {
        if (wf_column_descs[col].kind == WF_COLUMN_CUT) WF_TRY(take_count(r, col, start, i));
        if (wf_column_descs[col].kind == WF_COLUMN_RAGGED) point_to_values(r, col, i);
        if (wf_column_descs[col].kind == WF_COLUMN_WIDE) point_to_numbers(r, col, i);
    }
    return WF_OK;
}

wf_status wf_results_load(wf_results *r, size_t i_file, uint64_t start, size_t n)
{
    r->n_views = 0;
    WF_TRY(wf_results_use(r, i_file));
    WF_TRY(read_all(r, start, n));
    WF_TRY(wf_grow(n, sizeof *r->views, &r->views_capacity, &r->views));
    for (size_t i = 0; i < n; i++)
        WF_TRY(build_view(r, &r->files[i_file], start, i));
    WF_TRY(copy_errors(r, n));
    r->n_views = n;
    return WF_OK;
}

const wf_result *wf_results_at(wf_results *r, size_t i)
{
    return i < r->n_views ? &r->views[i] : NULL;
}

// --- in order ---

// How many rows from `start` fit a batch: at least one.
static wf_status batch_rows(wf_results *r, size_t i_file, uint64_t start, size_t *n)
{
    uint64_t left = r->files[i_file].rows - start, bytes[LOAD_ROWS], sum = 0;
    size_t most = left < LOAD_ROWS ? (size_t)left : LOAD_ROWS;
    WF_TRY(wf_results_row_bytes(r, i_file, start, most, bytes));
    for (*n = 0; *n < most; ++*n) {
        sum += bytes[*n];
        if (*n > 0 && sum > r->batch_bytes) break;
    }
    return WF_OK;
}

static bool counts(const wf_result_file *file, const wf_result *row)
{
    return !file->void_failed || row->status != WF_RESULT_FAILED;
}

// The next row of those loaded that counts; NULL: none.
static const wf_result *next_view(wf_results *r)
{
    while (r->i_view < r->n_views) {
        const wf_result *row = &r->views[r->i_view++];
        if (counts(&r->files[r->i_next_file], row)) return row;
    }
    return NULL;
}

static wf_status load_next(wf_results *r)
{
    size_t n;
    r->i_view = r->n_views = 0;
    while (r->i_next_file < r->n_files && r->i_next_row >= r->files[r->i_next_file].rows) {
        r->i_next_file++;
        r->i_next_row = 0;
    }
    if (r->i_next_file == r->n_files) return WF_OK;
    WF_TRY(batch_rows(r, r->i_next_file, r->i_next_row, &n));
    WF_TRY(wf_results_load(r, r->i_next_file, r->i_next_row, n));
    r->i_next_row += n;
    return WF_OK;
}

wf_status wf_results_next(wf_results *r, const wf_result **row)
{
    while (!(*row = next_view(r))) {
        WF_TRY(load_next(r));
        if (r->n_views == 0) return WF_OK;
    }
    return WF_OK;
}

static wf_status load_steps(wf_results *r, uint64_t start, size_t n, wf_step_record *steps)
{
    for (int i = WF_COL_step_start_ns; i < WF_N_COLS; i++)
        if (r->sets[i]) WF_TRY(read_column(r, i, start, n));
    for (size_t i = 0; i < n; i++) {
        steps[i] = (wf_step_record){0};
#define STEP_FIELD(field, ctype, type, units, description)                                         \
    steps[i].field = ((const ctype *)r->buffers[WF_COL_step_##field].data)[i];
        WF_STEP_TABLE(STEP_FIELD)
#undef STEP_FIELD
#define STEP_FIELD(field, ctype, type, when, units, description)                                   \
    if (r->sets[WF_COL_step_##field])                                                              \
        steps[i].field = ((const ctype *)r->buffers[WF_COL_step_##field].data)[i];
        WF_STEP_OPTIONAL_TABLE(STEP_FIELD)
#undef STEP_FIELD
#define STEP_FIELD(field, ctype, type, n_wide, units, description)                                 \
    if (r->sets[WF_COL_step_##field]) {                                                            \
        steps[i].n_wide = wf_h5_dataset_width(r->sets[WF_COL_step_##field]);                       \
        steps[i].field =                                                                           \
            (const ctype *)r->buffers[WF_COL_step_##field].data + i * steps[i].n_wide;             \
    }
        WF_STEP_WIDE_TABLE(STEP_FIELD)
#undef STEP_FIELD
        steps[i].group = (uint16_t)(steps[i].group + r->files[r->i_step_file].group_base);
    }
    return WF_OK;
}

wf_status wf_results_next_steps(wf_results *r, wf_step_record *steps, size_t most, size_t *n)
{
    *n = 0;
    while (r->i_step_file < r->n_files && r->i_next_step >= r->files[r->i_step_file].steps) {
        r->i_step_file++;
        r->i_next_step = 0;
    }
    if (r->i_step_file == r->n_files) return WF_OK;
    uint64_t left = r->files[r->i_step_file].steps - r->i_next_step;
    size_t part = left < most ? (size_t)left : most;
    WF_TRY(wf_results_use(r, r->i_step_file));
    WF_TRY(load_steps(r, r->i_next_step, part, steps));
    r->i_next_step += part;
    *n = part;
    return WF_OK;
}

// --- keys and sizes ---

wf_status wf_results_keys(wf_results *r, size_t i_file, uint64_t start, size_t n,
                          wf_result_key *keys)
{
    const wf_result_file *file = &r->files[i_file];
    r->n_views = 0; // the buffers are used for this
    WF_TRY(wf_results_use(r, i_file));
    WF_TRY(read_column(r, WF_COL_shard, start, n));
    WF_TRY(read_column(r, WF_COL_row, start, n));
    WF_TRY(read_column(r, WF_COL_sample, start, n));
    WF_TRY(read_column(r, WF_COL_status, start, n));
    const uint8_t *status = r->buffers[WF_COL_status].data;
    const uint32_t *shards = r->buffers[WF_COL_shard].data;
    for (size_t i = 0; i < n; i++) {
        if (shards[i] >= file->n_shards) {
            return wf_fail(WF_DATA, "%s:/requests/shard:%" PRIu64 ": %u, but there are %zu shards",
                           file->path, start + i, shards[i], file->n_shards);
        }
        keys[i] = (wf_result_key){.shard = file->shard_map[shards[i]],
                                  .sample = ((const uint16_t *)r->buffers[WF_COL_sample].data)[i],
                                  .failed = status[i] == WF_RESULT_FAILED,
                                  .is_void = status[i] == WF_RESULT_FAILED && file->void_failed,
                                  .row = ((const uint64_t *)r->buffers[WF_COL_row].data)[i]};
    }
    return WF_OK;
}

wf_status wf_results_row_bytes(wf_results *r, size_t i_file, uint64_t start, size_t n,
                               uint64_t *bytes)
{
    r->n_views = 0;
    WF_TRY(wf_results_use(r, i_file));
    WF_TRY(read_all_offsets(r, start, n));
    for (size_t i = 0; i < n; i++)
        bytes[i] = sizeof(wf_result);
    for (int col = 0; col < WF_N_COLS; col++) {
        const wf_column_desc *desc = &wf_column_descs[col];
        if (!r->sets[col]) continue;
        if (desc->kind == WF_COLUMN_WIDE)
            for (size_t i = 0; i < n; i++)
                bytes[i] += row_bytes(r, col);
        if (desc->kind != WF_COLUMN_RAGGED) continue;
        const uint64_t *offsets = offsets_of(r, desc->cut);
        size_t each = row_bytes(r, col);
        for (size_t i = 0; i < n; i++)
            bytes[i] += (offsets[i + 1] - offsets[i]) * each;
    }
    return WF_OK;
}
