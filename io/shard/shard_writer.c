// The shard writer. Each column has a running hash; the shard's uid is the hash of (name, hash) of
// all columns that are there, in table order.
#include "io/shard/shard_writer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/base/arena.h"
#include "io/base/file.h"
#include "io/base/publish.h"
#include "io/shard/shard_columns.h"
#include "io/shard/shard_uid.h"

struct wf_shard_writer {
    wf_h5_file *file;
    char *path;
    wf_part *part;
    bool replace;
    const wf_pieces *pieces;
    uint64_t n_rows;
    int64_t last_arrival_ns;
    wf_h5_column *column[WF_N_SHARD_COLUMNS]; // NULL: not there (yet)
    wf_hash128_stream *hash[WF_N_SHARD_COLUMNS];
};

static wf_status append(wf_shard_writer *w, int i_column, const void *values, size_t n)
{
    const wf_h5_column_spec *spec = wf_shard_column(i_column);
    wf_hash128_add(w->hash[i_column], values, n * wf_h5_type_bytes(spec->type));
    return wf_h5_column_append(w->column[i_column], values, n);
}

static wf_status column_start(wf_shard_writer *w, int i_column)
{
    WF_TRY(wf_hash128_create(&w->hash[i_column]));
    return wf_h5_column_create(w->file, wf_shard_column(i_column), &w->column[i_column]);
}

// Starts a column that the rows so far did not need: `value` stands for each of them.
static wf_status column_start_late(wf_shard_writer *w, int i_column, const void *value,
                                   uint64_t n_before)
{
    if (w->column[i_column] != NULL) return WF_OK;
    WF_TRY(column_start(w, i_column));
    for (uint64_t i = 0; i < n_before; i++)
        WF_TRY(append(w, i_column, value, 1));
    return WF_OK;
}

// Of the rows so far each had no values.
static wf_status ragged_start(wf_shard_writer *w, const wf_shard_ragged *ragged)
{
    uint64_t zero = 0;
    WF_TRY(column_start_late(w, ragged->i_offset, &zero, w->n_rows + 1));
    return column_start(w, ragged->i_values);
}

// --- create ---

static wf_status put_text_if(wf_h5_file *file, const char *name, const char *text)
{
    return text == NULL ? WF_OK : wf_h5_put_text(file, "/", name, text);
}

static wf_status put_attributes(wf_h5_file *file, const wf_shard_options *o)
{
    WF_TRY(wf_h5_put_header(file, WF_SHARD_FORMAT, WF_SHARD_FORMAT_VERSION));
    WF_TRY(wf_h5_put_i64(file, "/", "vocab_size", o->vocab_size));
    WF_TRY(wf_h5_put_i64(file, "/", "seed", o->seed));
    WF_TRY(wf_h5_put_i64(file, "/", "jitter_ns", o->jitter_ns));
    WF_TRY(put_text_if(file, "source", o->source));
    WF_TRY(put_text_if(file, "source_sha256", o->source_sha256));
    WF_TRY(put_text_if(file, "source_time_unit", o->source_time_unit));
    WF_TRY(put_text_if(file, "source_mended", o->source_mended));
    return put_text_if(file, "generator", o->generator);
}

static wf_status folder_make(const char *path)
{
    char *folder = NULL;
    WF_TRY(wf_path_folder(path, &folder));
    wf_status st = wf_file_make_folders(folder);
    free(folder);
    return st;
}

static wf_status writer_start(wf_shard_writer *w, const char *path, const wf_shard_options *o)
{
    WF_TRY(wf_strdup(path, &w->path));
    WF_TRY(folder_make(path));
    WF_TRY(wf_part_create(path, &w->part));
    WF_TRY(wf_h5_file_create(wf_part_fd(w->part), wf_part_path(w->part), &w->file));
    WF_TRY(put_attributes(w->file, o));
    for (int k = 0; k < WF_N_SHARD_VALUES; k++)
        WF_TRY(column_start(w, wf_shard_values[k].i_column));
    for (int k = 0; k < WF_N_SHARD_RAGGED; k++)
        if (wf_shard_raggeds[k].must) WF_TRY(ragged_start(w, &wf_shard_raggeds[k]));
    return WF_OK;
}

wf_status wf_shard_writer_create(const char *path, const wf_shard_options *options,
                                 wf_shard_writer **out)
{
    if (options->vocab_size < 1) {
        return wf_fail(WF_USAGE, "%s: vocab_size is %" PRId64 ", at least 1 is needed", path,
                       options->vocab_size);
    }
    if (!options->replace && wf_file_exists(path)) { // said now, not after hours of writing
        return wf_fail(WF_IN_USE,
                       "%s: exists already; remove it, choose another name, or say --replace",
                       path);
    }
    wf_shard_writer *w = NULL;
    WF_TRY(wf_alloc(1, sizeof *w, &w));
    w->replace = options->replace;
    w->pieces = options->pieces;
    wf_status st = writer_start(w, path, options);
    if (st == WF_OK)
        *out = w;
    else
        wf_shard_writer_abandon(&w);
    return st;
}

// --- append ---

// One row of a ragged pair: the values, and where they end. A pair that not every shard has appears
// with its first value.
static wf_status append_ragged(wf_shard_writer *w, const wf_shard_ragged *ragged,
                               const wf_request *request)
{
    uint32_t n = wf_ragged_count(ragged, request);
    if (w->column[ragged->i_offset] == NULL) {
        if (n == 0) return WF_OK;
        WF_TRY(ragged_start(w, ragged));
    }
    WF_TRY(append(w, ragged->i_values, wf_ragged_values(ragged, request), n));
    uint64_t end = wf_h5_column_count(w->column[ragged->i_values]);
    return append(w, ragged->i_offset, &end, 1);
}

static wf_status append_sampling(wf_shard_writer *w, const wf_request *r)
{
    char stored[8];
    for (int i = 0; i < WF_N_SAMPLING; i++) {
        int i_column = WF_COLUMN_SAMPLING + i;
        if (w->column[i_column] == NULL) {
            if (!(r->sampling_set & 1u << i)) continue;
            wf_sampling_store(&r->sampling, 0, i, stored);
            WF_TRY(column_start_late(w, i_column, stored, w->n_rows));
        }
        wf_sampling_store(&r->sampling, r->sampling_set, i, stored);
        WF_TRY(append(w, i_column, stored, 1));
    }
    return WF_OK;
}

// They appear with the first row of a session.
static wf_status append_place(wf_shard_writer *w, const wf_request *r)
{
    if (r->session == 0 && w->column[WF_COLUMN_session] == NULL) return WF_OK;
    for (int k = 0; k < WF_N_SHARD_PLACES; k++) {
        const wf_shard_value *value = &wf_shard_places[k];
        const void *none = wf_shard_place_none(k), *own = (const char *)r + value->at;
        WF_TRY(column_start_late(w, value->i_column, none, w->n_rows));
        WF_TRY(append(w, value->i_column, r->session != 0 ? own : none, 1));
    }
    return WF_OK;
}

wf_status wf_shard_writer_append(wf_shard_writer *w, const wf_request *r)
{
    if (r->arrival_ns < 0 || r->arrival_ns < w->last_arrival_ns) {
        return wf_fail(WF_DATA,
                       "%s:%s:%" PRIu64 ": arrival %" PRId64 " ns comes before %" PRId64
                       " ns of the row before it; sort the rows by arrival",
                       w->path, wf_shard_column(WF_COLUMN_arrival_ns)->name, w->n_rows,
                       r->arrival_ns, w->last_arrival_ns);
    }
    for (int k = 0; k < WF_N_SHARD_VALUES; k++)
        WF_TRY(append(w, wf_shard_values[k].i_column, (const char *)r + wf_shard_values[k].at, 1));
    for (int k = 0; k < WF_N_SHARD_RAGGED; k++)
        WF_TRY(append_ragged(w, &wf_shard_raggeds[k], r));
    WF_TRY(append_sampling(w, r));
    WF_TRY(append_place(w, r));
    w->last_arrival_ns = r->arrival_ns;
    w->n_rows++;
    return WF_OK;
}

uint64_t wf_shard_writer_count(const wf_shard_writer *w)
{
    return w->n_rows;
}

// --- close ---

// For stop strings alone, so that other shards are what they always were.
static wf_status put_pieces(wf_shard_writer *w)
{
    const wf_pieces *p = w->pieces;
    if (!p || !w->column[WF_COLUMN_stop_string]) return WF_OK;
    WF_TRY(column_start(w, WF_COLUMN_piece_offset));
    WF_TRY(column_start(w, WF_COLUMN_piece));
    WF_TRY(append(w, WF_COLUMN_piece_offset, p->offset, (size_t)p->n_tokens + 1));
    return append(w, WF_COLUMN_piece, p->byte, (size_t)p->offset[p->n_tokens]);
}

static wf_status writer_finish(wf_shard_writer *w, char uid[WF_HASH128_HEX])
{
    WF_TRY(put_pieces(w));
    wf_shard_uid_of(w->hash, uid);
    for (int i = 0; i < WF_N_SHARD_COLUMNS; i++)
        WF_TRY(wf_h5_column_close(&w->column[i]));
    WF_TRY(wf_h5_put_text(w->file, "/", "shard_uid", uid));
    WF_TRY(wf_h5_file_close(&w->file));
    return wf_part_publish(w->part, w->replace ? WF_PUBLISH_REPLACE : WF_PUBLISH_NEW);
}

static void writer_free(wf_shard_writer **writer)
{
    wf_shard_writer *w = *writer;
    for (int i = 0; i < WF_N_SHARD_COLUMNS; i++) {
        wf_h5_column_abandon(&w->column[i]);
        wf_hash128_destroy(&w->hash[i]);
    }
    wf_h5_file_abandon(&w->file);
    wf_part_drop(&w->part);
    free(w->path);
    free(w);
    *writer = NULL;
}

wf_status wf_shard_writer_close(wf_shard_writer **writer, char uid[WF_HASH128_HEX])
{
    char own_uid[WF_HASH128_HEX];
    wf_status st = writer_finish(*writer, uid != NULL ? uid : own_uid);
    writer_free(writer);
    return st;
}

void wf_shard_writer_abandon(wf_shard_writer **writer)
{
    if (writer != NULL && *writer != NULL) writer_free(writer);
}
