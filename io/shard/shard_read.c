// Reads rows of a shard. First the offsets decide which rows are sound and how many fit the bound,
// then columns and ragged values are read in as few pieces as the sound rows allow.
#include "io/shard/shard_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

// A row's part of a ragged column.
typedef struct {
    uint64_t start;
    uint64_t n;
    bool sound;
} span;

typedef struct {
    wf_shard *shard;
    wf_shard_limits limits;
    wf_arena *arena;
    uint64_t row0;
    uint32_t n;
    wf_request *rows;
    span *spans[WF_N_SHARD_RAGGED]; // [n] each; NULL where the shard has no such column
} reading;

// A row of a sound shard costs this much beside its ragged values (an error's text included).
#define ROW_BYTES (sizeof(wf_request) + 256)

static wf_status fail_row(reading *r, uint32_t i, wf_status status, const char *column,
                          const char *what)
{
    wf_request *row = &r->rows[i];
    if (row->status != WF_OK) return WF_OK; // the first reason stands
    wf_fail(status, "%s:%s:%" PRIu64 ": %s", wf_h5_file_path(r->shard->file), column, r->row0 + i,
            what);
    row->status = status;
    for (int k = 0; k < WF_N_SHARD_RAGGED; k++)
        if (!wf_shard_raggeds[k].of_failed) wf_ragged_set(&wf_shard_raggeds[k], row, NULL, 0);
    return wf_arena_strdup(r->arena, wf_error(), &row->error);
}

// --- offsets ---

// A row is sound when neither its own length nor its neighbours' is negative or reaches beyond the
// values: a wrong offset spoils the two rows it separates, and which of two it is cannot be known.
static wf_status read_spans(reading *r, int k_ragged)
{
    const wf_shard_ragged *ragged = &wf_shard_raggeds[k_ragged];
    wf_h5_dataset *offsets = r->shard->column[ragged->i_offset];
    if (offsets == NULL) return WF_OK;
    uint64_t n_values = wf_h5_dataset_count(r->shard->column[ragged->i_values]);
    uint64_t last = r->shard->info.n_rows; // index of the last offset
    uint64_t first = r->row0 > 0 ? r->row0 - 1 : 0;
    uint64_t end = r->row0 + r->n + 1 < last ? r->row0 + r->n + 1 : last;
    uint64_t *at = NULL;
    span *spans = NULL;
    WF_TRY(wf_arena_alloc(r->arena, (size_t)(end - first + 1), sizeof *at, &at));
    WF_TRY(wf_arena_alloc(r->arena, r->n, sizeof *spans, &spans));
    WF_TRY(wf_h5_dataset_read(offsets, first, (size_t)(end - first + 1), at));
    for (uint32_t i = 0; i < r->n; i++) {
        uint64_t k = r->row0 + i - first;
        bool sound = at[k] <= at[k + 1] && at[k + 1] <= n_values;
        if (k > 0) sound = sound && at[k - 1] <= at[k];
        if (k + 1 < end - first) sound = sound && at[k + 1] <= at[k + 2];
        spans[i] = (span){.start = at[k], .n = sound ? at[k + 1] - at[k] : 0, .sound = sound};
    }
    r->spans[k_ragged] = spans;
    return WF_OK;
}

static wf_status fail_unsound(reading *r, int k_ragged)
{
    const span *spans = r->spans[k_ragged];
    int i_offset = wf_shard_raggeds[k_ragged].i_offset;
    for (uint32_t i = 0; spans != NULL && i < r->n; i++) {
        if (spans[i].sound) continue;
        WF_TRY(fail_row(r, i, WF_REQ_SHARD, wf_shard_column(i_offset)->name,
                        "offsets here decrease or reach beyond the values"));
    }
    return WF_OK;
}

// --- bounds ---

static bool prompt_fits_context(const reading *r, uint64_t n_prompt)
{
    return r->limits.max_context <= 0 || n_prompt < (uint64_t)r->limits.max_context;
}

// Bytes of row i's values; a prompt beyond the context is not read and costs nothing.
static uint64_t values_bytes(const reading *r, uint32_t i)
{
    uint64_t bytes = 0;
    for (int k = 0; k < WF_N_SHARD_RAGGED; k++) {
        uint64_t n = r->spans[k] != NULL ? r->spans[k][i].n : 0; // each below 2^48
        if (k == WF_RAGGED_prompt && !prompt_fits_context(r, n)) continue;
        bytes += n * wf_shard_raggeds[k].each_bytes;
    }
    return bytes;
}

static wf_status drop_too_large(reading *r, uint64_t bytes)
{
    char what[128];
    snprintf(what, sizeof what, "row of %" PRIu64 " bytes exceeds the read buffer of %zu", bytes,
             r->limits.bytes);
    WF_TRY(fail_row(r, 0, WF_REQ_CONTEXT, "/requests", what));
    for (int k = 0; k < WF_N_SHARD_RAGGED; k++)
        if (r->spans[k] != NULL) r->spans[k][0].n = 0;
    return WF_OK;
}

// Shortens the reading to the rows that fit.
static wf_status bound_rows(reading *r)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < r->n; i++) {
        uint64_t own = values_bytes(r, i);
        if (own + ROW_BYTES > r->limits.bytes) {
            if (i == 0) WF_TRY(drop_too_large(r, own));
            r->n = i == 0 ? 1 : i;
            return WF_OK;
        }
        bytes += own + ROW_BYTES;
        if (bytes > r->limits.bytes) {
            r->n = i;
            return WF_OK;
        }
    }
    return WF_OK;
}

// --- columns ---

static wf_status read_column(reading *r, int i_column, void **out)
{
    const wf_h5_column_spec *spec = wf_shard_column(i_column);
    WF_TRY(wf_arena_alloc(r->arena, r->n, wf_h5_type_bytes(spec->type), out));
    return wf_h5_dataset_read(r->shard->column[i_column], r->row0, r->n, *out);
}

static wf_status read_value(reading *r, const wf_shard_value *value)
{
    size_t each = wf_h5_type_bytes(wf_shard_column(value->i_column)->type);
    void *values;
    WF_TRY(read_column(r, value->i_column, &values));
    for (uint32_t i = 0; i < r->n; i++)
        memcpy((char *)&r->rows[i] + value->at, (const char *)values + i * each, each);
    return WF_OK;
}

// Where a shard has no sessions its rows are of none.
static wf_status read_place(reading *r, int k)
{
    const wf_shard_value *value = &wf_shard_places[k];
    size_t each = wf_h5_type_bytes(wf_shard_column(value->i_column)->type);
    if (r->shard->column[value->i_column] != NULL) return read_value(r, value);
    for (uint32_t i = 0; i < r->n; i++)
        memcpy((char *)&r->rows[i] + value->at, wf_shard_place_none(k), each);
    return WF_OK;
}

static wf_status read_fixed(reading *r)
{
    for (uint32_t i = 0; i < r->n; i++) {
        r->rows[i].row = r->row0 + i;
        r->rows[i].sampling = wf_sampling_default();
    }
    for (int k = 0; k < WF_N_SHARD_VALUES; k++)
        WF_TRY(read_value(r, &wf_shard_values[k]));
    for (int k = 0; k < WF_N_SHARD_PLACES; k++)
        WF_TRY(read_place(r, k));
    return WF_OK;
}

static wf_status read_sampling(reading *r)
{
    for (int k = 0; k < WF_N_SAMPLING; k++) {
        int i_column = WF_COLUMN_SAMPLING + k;
        if (r->shard->column[i_column] == NULL) continue;
        const wf_h5_column_spec *spec = wf_shard_column(i_column);
        void *values;
        WF_TRY(read_column(r, i_column, &values));
        for (uint32_t i = 0; i < r->n; i++) {
            const char *stored = (const char *)values + i * wf_h5_type_bytes(spec->type);
            wf_request *row = &r->rows[i];
            if (!wf_sampling_load(&row->sampling, &row->sampling_set, k, stored))
                WF_TRY(fail_row(r, i, WF_REQ_SAMPLING, spec->name, "is neither 0 nor 1"));
        }
    }
    return WF_OK;
}

// --- ragged values ---

// Reads the values of rows [from, to), whose spans follow each other without a gap.
static wf_status read_run(reading *r, int i_values, const span *spans, uint32_t from, uint32_t to,
                          const void **values)
{
    const wf_h5_column_spec *spec = wf_shard_column(i_values);
    size_t each = wf_h5_type_bytes(spec->type);
    uint64_t start = spans[from].start, n = spans[to - 1].start + spans[to - 1].n - start;
    char *block = NULL;
    WF_TRY(wf_arena_alloc(r->arena, (size_t)n + 1, each, &block));
    wf_status st = wf_h5_dataset_read(r->shard->column[i_values], start, (size_t)n, block);
    if (st != WF_OK && to - from > 1) { // a damaged chunk: find the rows it spoils
        for (uint32_t i = from; i < to; i++)
            WF_TRY(read_run(r, i_values, spans, i, i + 1, values));
        return WF_OK;
    }
    if (st == WF_SHARD) {
        char why[WF_ERROR_MAX / 2];
        snprintf(why, sizeof why, "%.500s", wf_error());
        return fail_row(r, from, WF_REQ_SHARD, "/requests", why);
    }
    WF_TRY(st);
    for (uint32_t i = from; i < to; i++)
        values[i] = block + (spans[i].start - start) * each;
    return WF_OK;
}

static bool wants_values(const reading *r, int k_ragged, uint32_t i)
{
    bool of_failed = wf_shard_raggeds[k_ragged].of_failed;
    return r->spans[k_ragged][i].n > 0 && (r->rows[i].status == WF_OK || of_failed);
}

// values[i] of every row that wants its values: those still sound, and of failed ones what is
// handed out of them too.
static wf_status read_ragged(reading *r, int k_ragged, const void ***out)
{
    const span *spans = r->spans[k_ragged];
    int i_values = wf_shard_raggeds[k_ragged].i_values;
    const void **values = NULL;
    WF_TRY(wf_arena_alloc(r->arena, r->n, sizeof *values, &values));
    uint32_t from = 0;
    while (from < r->n) {
        if (!wants_values(r, k_ragged, from)) {
            from++;
            continue;
        }
        uint32_t to = from + 1;
        while (to < r->n && wants_values(r, k_ragged, to) &&
               spans[to].start == spans[to - 1].start + spans[to - 1].n) {
            to++;
        }
        WF_TRY(read_run(r, i_values, spans, from, to, values));
        from = to;
    }
    *out = values;
    return WF_OK;
}

static wf_status fail_long_prompts(reading *r)
{
    for (uint32_t i = 0; i < r->n; i++) {
        uint64_t n = r->spans[WF_RAGGED_prompt][i].n;
        if (r->rows[i].status != WF_OK || prompt_fits_context(r, n)) continue;
        wf_request long_one = r->rows[i];
        long_one.n_prompt = n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
        wf_status st = wf_request_check(&long_one, 0, r->limits.max_context);
        char why[WF_ERROR_MAX / 2];
        snprintf(why, sizeof why, "%.500s", wf_error());
        WF_TRY(fail_row(r, i, st, "/requests", why));
    }
    return WF_OK;
}

// All are read before any is handed out: what cannot be read fails its row.
static wf_status read_values(reading *r)
{
    const void **values[WF_N_SHARD_RAGGED] = {NULL};
    for (int k = 0; k < WF_N_SHARD_RAGGED; k++)
        if (r->spans[k] != NULL) WF_TRY(read_ragged(r, k, &values[k]));
    for (int k = 0; k < WF_N_SHARD_RAGGED; k++) {
        const wf_shard_ragged *ragged = &wf_shard_raggeds[k];
        for (uint32_t i = 0; values[k] != NULL && i < r->n; i++) {
            const void *own = values[k][i];
            if (r->rows[i].status != WF_OK && !ragged->of_failed) continue;
            wf_ragged_set(ragged, &r->rows[i], own, own ? (uint32_t)r->spans[k][i].n : 0);
        }
    }
    return WF_OK;
}

// --- checks ---

static const char *arrival_fault(int64_t arrival_ns)
{
    if (arrival_ns < 0) return "arrival lies before the stream's origin";
    if (arrival_ns > WF_SHARD_MAX_ARRIVAL_NS)
        return "arrival is more than ten years; it counts from the stream's origin, not from 1970";
    return "arrival is out of order; rows must be sorted by arrival";
}

static wf_status check_rows(reading *r)
{
    const wf_shard *s = r->shard;
    for (uint32_t i = 0; i < r->n; i++) {
        wf_request *row = &r->rows[i];
        if (row->status != WF_OK) continue;
        wf_status st = WF_OK;
        const char *column = "/requests", *why = NULL;
        char text[WF_ERROR_MAX / 2];
        if (wf_bit_get(s->bad_arrival, row->row)) {
            st = WF_REQ_ARRIVAL;
            column = wf_shard_column(WF_COLUMN_arrival_ns)->name;
            why = arrival_fault(row->arrival_ns);
        } else if (wf_bit_get(s->repeated_id, row->row)) {
            st = WF_REQ_DUPLICATE;
            column = wf_shard_column(WF_COLUMN_id)->name;
            snprintf(text, sizeof text, "id %" PRIu64 " repeats an earlier row's", row->id);
            why = text;
        } else {
            st = wf_request_check(row, r->limits.n_vocab, r->limits.max_context);
            snprintf(text, sizeof text, "%.500s", st == WF_OK ? "" : wf_error());
            why = text;
        }
        if (st != WF_OK) WF_TRY(fail_row(r, i, st, column, why));
    }
    return WF_OK;
}

// --- the reads ---

static wf_status check_place(const wf_shard *s, uint64_t row0)
{
    if (row0 < s->info.n_rows) return WF_OK;
    return wf_fail(WF_SHARD, "%s:/requests:%" PRIu64 ": row wanted of %" PRIu64,
                   wf_h5_file_path(s->file), row0, s->info.n_rows);
}

wf_status wf_shard_read(wf_shard *s, uint64_t row0, uint32_t n, const wf_shard_limits *limits,
                        wf_arena *arena, wf_request *rows, uint32_t *n_read)
{
    *n_read = 0;
    if (n == 0) return WF_OK;
    WF_TRY(check_place(s, row0));
    if (n > s->info.n_rows - row0) n = (uint32_t)(s->info.n_rows - row0);
    reading r = {.shard = s, .limits = *limits, .arena = arena, .row0 = row0, .n = n, .rows = rows};
    if (r.limits.bytes == 0) r.limits.bytes = (size_t)1 << 30;
    memset(rows, 0, n * sizeof *rows);
    for (int k = 0; k < WF_N_SHARD_RAGGED; k++)
        WF_TRY(read_spans(&r, k));
    WF_TRY(bound_rows(&r));
    WF_TRY(read_fixed(&r));
    for (int k = 0; k < WF_N_SHARD_RAGGED; k++)
        WF_TRY(fail_unsound(&r, k));
    WF_TRY(read_sampling(&r));
    WF_TRY(fail_long_prompts(&r));
    WF_TRY(read_values(&r));
    WF_TRY(check_rows(&r));
    *n_read = r.n;
    return WF_OK;
}

wf_status wf_shard_read_turns(wf_shard *s, uint64_t row0, uint32_t n, uint64_t *session,
                              int64_t *think_ns, uint32_t *turn)
{
    if (n == 0) return WF_OK;
    WF_TRY(check_place(s, row0 + n - 1));
    if (!s->info.has_sessions) {
        for (uint32_t i = 0; i < n; i++) {
            session[i] = turn[i] = 0;
            think_ns[i] = WF_THINK_UNKNOWN;
        }
        return WF_OK;
    }
    WF_TRY(wf_h5_dataset_read(s->column[WF_COLUMN_session], row0, n, session));
    WF_TRY(wf_h5_dataset_read(s->column[WF_COLUMN_think_ns], row0, n, think_ns));
    return wf_h5_dataset_read(s->column[WF_COLUMN_turn], row0, n, turn);
}

wf_status wf_shard_read_arrivals(wf_shard *s, uint64_t row0, uint32_t n, int64_t *arrival_ns,
                                 uint32_t *n_prompt)
{
    if (n == 0) return WF_OK;
    WF_TRY(check_place(s, row0 + n - 1));
    if (arrival_ns != NULL) {
        WF_TRY(wf_h5_dataset_read(s->column[WF_COLUMN_arrival_ns], row0, n, arrival_ns));
        for (uint32_t i = 0; i < n; i++)
            if (wf_bit_get(s->bad_arrival, row0 + i)) arrival_ns[i] = -1;
    }
    if (n_prompt == NULL) return WF_OK;
    wf_arena *arena = NULL;
    reading r = {.shard = s, .row0 = row0, .n = n};
    WF_TRY(wf_arena_create(0, &arena));
    r.arena = arena;
    wf_status st = read_spans(&r, WF_RAGGED_prompt);
    const span *prompts = r.spans[WF_RAGGED_prompt];
    for (uint32_t i = 0; st == WF_OK && i < n; i++)
        n_prompt[i] = prompts[i].n > UINT32_MAX ? UINT32_MAX : (uint32_t)prompts[i].n;
    wf_arena_destroy(&arena);
    return st;
}

// --- pieces ---

static wf_status read_of(wf_shard *s, int i_column, uint64_t first, uint32_t n, void *out)
{
    wf_h5_dataset *column = s->column[i_column];
    if (n == 0) return WF_OK;
    if (!column || first + n > wf_h5_dataset_count(column))
        return wf_fail(WF_SHARD, "%s:%s: is not there, or shorter than it was",
                       wf_h5_file_path(s->file), wf_shard_column(i_column)->name);
    return wf_h5_dataset_read(column, first, n, out);
}

wf_status wf_shard_read_piece_offsets(wf_shard *s, uint64_t first, uint32_t n, uint64_t *out)
{
    return read_of(s, WF_COLUMN_piece_offset, first, n, out);
}

wf_status wf_shard_read_pieces(wf_shard *s, uint64_t first, uint32_t n, uint8_t *out)
{
    return read_of(s, WF_COLUMN_piece, first, n, out);
}
