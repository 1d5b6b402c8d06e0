// Opens a shard: every column that is there has the right type and the sizes agree, before any of
// them is read.
#include "io/shard/shard_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "io/shard/shard_uid.h"

static wf_status read_uid(wf_shard *s)
{
    char *text = NULL;
    WF_TRY(wf_h5_get_text(s->file, "/", "shard_uid", &text));
    size_t n = strspn(text, "0123456789abcdef");
    wf_status st = WF_OK;
    if (n != WF_HASH128_HEX - 1 || text[n] != '\0') {
        st = wf_fail(WF_SHARD, "%s:/@shard_uid: is not %d hexadecimal digits",
                     wf_h5_file_path(s->file), WF_HASH128_HEX - 1);
    } else {
        memcpy(s->info.uid, text, n + 1);
    }
    free(text);
    return st;
}

static wf_status read_attributes(wf_shard *s)
{
    WF_TRY(wf_h5_check_header(s->file, WF_SHARD_FORMAT, WF_SHARD_FORMAT_MAJOR));
    WF_TRY(read_uid(s));
    WF_TRY(wf_h5_get_i64(s->file, "/", "vocab_size", &s->info.vocab_size));
    if (s->info.vocab_size < 1 || s->info.vocab_size > INT32_MAX) {
        return wf_fail(WF_SHARD, "%s:/@vocab_size: is %" PRId64, wf_h5_file_path(s->file),
                       s->info.vocab_size);
    }
    return WF_OK;
}

static bool must_be_there(int i_column)
{
    for (int k = 0; k < WF_N_SHARD_RAGGED; k++) {
        const wf_shard_ragged *ragged = &wf_shard_raggeds[k];
        if (i_column == ragged->i_offset || i_column == ragged->i_values) return ragged->must;
    }
    return i_column < WF_COLUMN_SAMPLING;
}

static bool is_sampling(int i_column)
{
    return i_column >= WF_COLUMN_SAMPLING && i_column <= WF_COLUMN_LAST_SAMPLING;
}

// What makes a shard one of sessions is their column; the others go with it.
static bool is_there(const wf_shard *s, int i_column)
{
    bool place = i_column > WF_COLUMN_session && i_column < WF_COLUMN_piece_offset;
    bool of_sessions = s->column[WF_COLUMN_session] != NULL;
    if (place ? of_sessions : must_be_there(i_column)) return true;
    return wf_h5_exists(s->file, wf_shard_column(i_column)->name);
}

static wf_status open_columns(wf_shard *s)
{
    for (int i = 0; i < WF_N_SHARD_COLUMNS; i++) {
        const wf_h5_column_spec *spec = wf_shard_column(i);
        if (!is_there(s, i)) continue;
        WF_TRY(wf_h5_dataset_open(s->file, spec->name, spec->type, 0, &s->column[i]));
        if (is_sampling(i)) s->info.sampling_columns |= 1u << (i - WF_COLUMN_SAMPLING);
    }
    s->info.has_stop = s->column[WF_COLUMN_stop] != NULL;
    s->info.has_stop_strings = s->column[WF_COLUMN_stop_string] != NULL;
    s->info.has_meta = s->column[WF_COLUMN_meta] != NULL;
    s->info.has_sessions = s->column[WF_COLUMN_session] != NULL;
    return WF_OK;
}

static wf_status check_count(const wf_shard *s, int i_column, uint64_t want)
{
    if (s->column[i_column] == NULL) return WF_OK;
    uint64_t n = wf_h5_dataset_count(s->column[i_column]);
    if (n == want) return WF_OK;
    return wf_fail(WF_SHARD, "%s:%s: has %" PRIu64 " rows, expected %" PRIu64 " to go with %s",
                   wf_h5_file_path(s->file), wf_shard_column(i_column)->name, n, want,
                   wf_shard_column(WF_COLUMN_id)->name);
}

static wf_status check_pair(const wf_shard *s, const wf_shard_ragged *ragged)
{
    bool cut = s->column[ragged->i_offset] != NULL, values = s->column[ragged->i_values] != NULL;
    if (cut == values) return WF_OK;
    return wf_fail(WF_SHARD, "%s:%s: is missing, though its other half is there",
                   wf_h5_file_path(s->file),
                   wf_shard_column(cut ? ragged->i_values : ragged->i_offset)->name);
}

// Pieces of all tokens of the vocabulary, or no table.
static wf_status check_pieces(wf_shard *s)
{
    const wf_h5_dataset *cut = s->column[WF_COLUMN_piece_offset], *all = s->column[WF_COLUMN_piece];
    if (!cut && !all) return WF_OK;
    if (!cut || !all)
        return wf_fail(WF_SHARD, "%s:%s: is missing, though its other half is there",
                       wf_h5_file_path(s->file),
                       wf_shard_column(cut ? WF_COLUMN_piece : WF_COLUMN_piece_offset)->name);
    uint64_t n = wf_h5_dataset_count(cut);
    if (n != (uint64_t)s->info.vocab_size + 1)
        return wf_fail(WF_SHARD,
                       "%s:%s: has %" PRIu64 " offsets, expected %" PRIu64
                       ", one more than vocab_size",
                       wf_h5_file_path(s->file), wf_shard_column(WF_COLUMN_piece_offset)->name, n,
                       (uint64_t)s->info.vocab_size + 1);
    s->info.has_pieces = true;
    s->info.piece_bytes = wf_h5_dataset_count(all);
    return WF_OK;
}

static wf_status check_counts(wf_shard *s)
{
    uint64_t n = wf_h5_dataset_count(s->column[WF_COLUMN_id]);
    if (n > WF_SHARD_MAX_ROWS) {
        return wf_fail(
            WF_SHARD,
            "%s:%s: has %" PRIu64 " rows, more than %" PRIu64 "; split it into several shards",
            wf_h5_file_path(s->file), wf_shard_column(WF_COLUMN_id)->name, n, WF_SHARD_MAX_ROWS);
    }
    for (int k = 0; k < WF_N_SHARD_RAGGED; k++)
        WF_TRY(check_pair(s, &wf_shard_raggeds[k]));
    for (int k = 0; k < WF_N_SHARD_VALUES; k++)
        WF_TRY(check_count(s, wf_shard_values[k].i_column, n));
    for (int k = 0; k < WF_N_SHARD_RAGGED; k++)
        WF_TRY(check_count(s, wf_shard_raggeds[k].i_offset, n + 1));
    for (int i = WF_COLUMN_SAMPLING; i < WF_COLUMN_piece_offset; i++)
        WF_TRY(check_count(s, i, n));
    WF_TRY(check_pieces(s));
    s->info.n_rows = n;
    s->info.n_prompt_tokens = wf_h5_dataset_count(s->column[WF_COLUMN_prompt]);
    return WF_OK;
}

wf_status wf_shard_open(const char *path, wf_shard **out)
{
    wf_shard *s = NULL;
    WF_TRY(wf_alloc(1, sizeof *s, &s));
    wf_status st = wf_h5_file_open(path, WF_SHARD, &s->file);
    if (st == WF_OK) st = read_attributes(s);
    if (st == WF_OK) st = open_columns(s);
    if (st == WF_OK) st = check_counts(s);
    if (st == WF_OK) st = wf_shard_scan(s);
    if (st == WF_OK)
        *out = s;
    else
        wf_shard_close(&s);
    return st;
}

void wf_shard_close(wf_shard **shard)
{
    if (shard == NULL || *shard == NULL) return;
    wf_shard *s = *shard;
    for (int i = 0; i < WF_N_SHARD_COLUMNS; i++)
        wf_h5_dataset_close(&s->column[i]);
    wf_h5_file_abandon(&s->file);
    free(s->bad_arrival);
    free(s->repeated_id);
    free(s);
    *shard = NULL;
}

const wf_shard_info *wf_shard_info_of(const wf_shard *s)
{
    return &s->info;
}

// --- verify ---

static wf_status hash_column(wf_h5_dataset *column, wf_h5_type type, wf_hash128_stream *hash)
{
    char *block = NULL;
    uint64_t n = wf_h5_dataset_count(column);
    WF_TRY(wf_alloc(WF_H5_CHUNK, wf_h5_type_bytes(type), &block));
    wf_status st = WF_OK;
    for (uint64_t at = 0; at < n && st == WF_OK; at += WF_H5_CHUNK) {
        size_t take = n - at < WF_H5_CHUNK ? (size_t)(n - at) : WF_H5_CHUNK;
        st = wf_h5_dataset_read(column, at, take, block);
        if (st == WF_OK) wf_hash128_add(hash, block, take * wf_h5_type_bytes(type));
    }
    free(block);
    return st;
}

wf_status wf_shard_verify(wf_shard *s)
{
    wf_hash128_stream *hash[WF_N_SHARD_COLUMNS] = {NULL};
    wf_status st = WF_OK;
    for (int i = 0; i < WF_N_SHARD_COLUMNS && st == WF_OK; i++) {
        if (s->column[i] == NULL) continue;
        st = wf_hash128_create(&hash[i]);
        if (st == WF_OK) st = hash_column(s->column[i], wf_shard_column(i)->type, hash[i]);
    }
    char uid[WF_HASH128_HEX];
    if (st == WF_OK) wf_shard_uid_of(hash, uid);
    if (st == WF_OK && strcmp(uid, s->info.uid) != 0) {
        st = wf_fail(WF_SHARD,
                     "%s:/@shard_uid: is %s, but the content is %s: edited since it was "
                     "written",
                     wf_h5_file_path(s->file), s->info.uid, uid);
    }
    for (int i = 0; i < WF_N_SHARD_COLUMNS; i++)
        wf_hash128_destroy(&hash[i]);
    return st;
}
