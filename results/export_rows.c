// Rows as JSON lines and as CSV. See export.h.
#include "results/export.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/json_writer.h"
#include "io/base/parse.h"
#include "results/ordered.h"
#include "results/row_json.h"

typedef struct rows_writer {
    const wf_results *results;
    wf_result_columns columns;
    FILE *out;
    wf_status (*row)(const struct rows_writer *w, const wf_result *row);
    void (*header)(const struct rows_writer *w); // NULL: none
} rows_writer;

static const char *const shard_columns[] = {"shard_uid", "shard_path"};

static const wf_result_shard *shard_of(const rows_writer *w, const wf_result *row)
{
    return &wf_results_job(w->results)->shards[row->shard];
}

static wf_status jsonl_row(const rows_writer *w, const wf_result *row)
{
    wf_json_writer *json = NULL;
    const char *text;
    size_t n;
    WF_TRY(wf_json_writer_create(0, &json));
    wf_json_open_object(json, NULL);
    wf_json_put_string(json, shard_columns[0], shard_of(w, row)->uid);
    wf_json_put_string(json, shard_columns[1], shard_of(w, row)->path);
    wf_row_put_json(row, &w->columns, json);
    wf_json_close(json);
    wf_status st = wf_json_writer_finish(json, &text, &n);
    if (st == WF_OK) fwrite(text, 1, n, w->out);
    wf_json_writer_destroy(&json);
    return st;
}

// ---- CSV ----------------------------------------------------------------------------------------

// A column that stands in rows, which has a name in JSON and is in these results.
static bool is_shown(const rows_writer *w, int i_col)
{
    const wf_column_desc *desc = &wf_column_descs[i_col];
    bool is_of_rows = desc->kind == WF_COLUMN_VALUE || wf_column_is_array(i_col);
    return is_of_rows && desc->json && wf_column_present(i_col, &w->columns);
}

// RFC 4180.
static void put_cell(const char *text, size_t n, FILE *out)
{
    if (strcspn(text, ",\"\r\n") >= n) {
        fwrite(text, 1, n, out);
        return;
    }
    fputc('"', out);
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '"') fputc('"', out);
        fputc(text[i], out);
    }
    fputc('"', out);
}

static void csv_value(const wf_result *row, int i_col, FILE *out)
{
    const wf_column_desc *desc = &wf_column_descs[i_col];
    char text[WF_PARSE_TEXT_MAX];
    if (desc->type == WF_H5_F32) { // an empty cell is none
        float number = wf_row_float(row, desc);
        if (isfinite(number)) fputs(wf_f32_text(number, text), out);
        return;
    }
    int64_t value = wf_row_value(row, desc);
    if (i_col == WF_COL_status)
        fputs(wf_result_status_words((wf_result_status)row->status), out);
    else if (i_col == WF_COL_finish_reason)
        fputs(wf_finish_words((wf_finish)row->finish_reason), out);
    else if (desc->type == WF_H5_U64)
        fprintf(out, "%" PRIu64, (uint64_t)value);
    else
        fprintf(out, "%" PRId64, value);
}

// Text as it is; numbers as JSON, in a cell.
static wf_status csv_array(const wf_result *row, int i_col, FILE *out)
{
    const wf_column_desc *desc = &wf_column_descs[i_col];
    const void *values = wf_column_values(i_col, row);
    bool is_wide = desc->kind == WF_COLUMN_WIDE;
    if (!values || (is_wide && row->status != WF_RESULT_DONE)) return WF_OK;
    if (desc->type == WF_H5_U8) {
        put_cell(values, wf_column_count(desc->cut, row), out);
        return WF_OK;
    }
    wf_json_writer *json = NULL;
    const char *text;
    size_t n;
    WF_TRY(wf_json_writer_create(0, &json));
    wf_row_put_array(row, i_col, NULL, json);
    wf_status st = wf_json_writer_finish(json, &text, &n);
    if (st == WF_OK) put_cell(text, n - strlen("\n"), out);
    wf_json_writer_destroy(&json);
    return st;
}

static wf_status csv_row(const rows_writer *w, const wf_result *row)
{
    const wf_result_shard *shard = shard_of(w, row);
    put_cell(shard->uid, strlen(shard->uid), w->out);
    fputc(',', w->out);
    put_cell(shard->path, strlen(shard->path), w->out);
    for (int i = 0; i < WF_N_COLS; i++) {
        if (!is_shown(w, i)) continue;
        fputc(',', w->out);
        if (wf_column_descs[i].kind == WF_COLUMN_VALUE)
            csv_value(row, i, w->out);
        else
            WF_TRY(csv_array(row, i, w->out));
    }
    fputc('\n', w->out);
    return WF_OK;
}

static void csv_header(const rows_writer *w)
{
    fprintf(w->out, "%s,%s", shard_columns[0], shard_columns[1]);
    for (int i = 0; i < WF_N_COLS; i++)
        if (is_shown(w, i)) fprintf(w->out, ",%s", wf_column_descs[i].json);
    fputc('\n', w->out);
}

// ---- both ---------------------------------------------------------------------------------------

static const char *type_words(int i_col)
{
    const wf_column_desc *desc = &wf_column_descs[i_col];
    bool is_word = i_col == WF_COL_status || i_col == WF_COL_finish_reason;
    bool is_text = desc->kind == WF_COLUMN_RAGGED && desc->type == WF_H5_U8;
    return is_word || is_text ? "text" : wf_h5_type_words(desc->type);
}

void wf_export_columns(const wf_results *results, wf_text *out)
{
    const rows_writer w = {.results = results, .columns = wf_results_columns(results)};
    wf_text_printf(out, "%s:text,%s:text", shard_columns[0], shard_columns[1]);
    for (int i = 0; i < WF_N_COLS; i++) {
        const wf_column_desc *desc = &wf_column_descs[i];
        if (!is_shown(&w, i)) continue;
        wf_text_printf(out, ",%s:%s", desc->json, type_words(i));
        bool lists = desc->kind == WF_COLUMN_RAGGED && desc->width != WF_NOWHERE;
        if (wf_column_is_array(i) && desc->type != WF_H5_U8)
            wf_text_puts(out, lists ? "[][]" : "[]");
    }
}

static wf_status other_last(uint64_t n)
{
    return wf_fail(WF_CONFIG,
                   "its record %" PRIu64 ", the last, is another than these results have there: "
                   "other results, or a job that has run on; write anew with --replace",
                   n);
}

// The record of `row` (NULL: the header) is the last one that is there.
static wf_status last_check(const rows_writer *w, const wf_result *row,
                            const wf_export_before *before)
{
    rows_writer again = *w;
    char *text = NULL;
    size_t n = 0;
    again.out = open_memstream(&text, &n);
    if (!again.out) return wf_fail_errno(WF_NO_MEMORY, "a row");
    wf_status st = WF_OK;
    if (row)
        st = w->row(&again, row);
    else
        w->header(&again);
    fclose(again.out);
    if (st == WF_OK && (n != before->last_bytes || memcmp(text, before->last, n) != 0))
        st = other_last(before->records);
    free(text);
    return st;
}

// *n_rows: how many rows are there already.
static wf_status header_write(const rows_writer *w, const wf_export_before *before,
                              uint64_t *n_rows)
{
    uint64_t n = before ? before->records : 0;
    *n_rows = w->header && n > 0 ? n - 1 : n;
    if (!w->header || n > 1) return WF_OK;
    if (n == 1) return last_check(w, NULL, before);
    w->header(w);
    return WF_OK;
}

static wf_status rows_write(wf_results *results, const rows_writer *w,
                            const wf_export_before *before, wf_export_count *count)
{
    wf_ordered *rows = NULL;
    const wf_result *row;
    uint64_t i = 0, n_before;
    wf_status st;
    WF_TRY(header_write(w, before, &n_before));
    WF_TRY(wf_ordered_create(results, NULL, 0, &rows));
    WF_TRY_TO(done, wf_ordered_next(rows, &row));
    for (; row; i++) {
        if (i + 1 == n_before)
            WF_TRY_TO(done, last_check(w, row, before));
        else if (i >= n_before)
            WF_TRY_TO(done, w->row(w, row));
        if (ferror(w->out)) break;
        count->rows += i >= n_before;
        WF_TRY_TO(done, wf_ordered_next(rows, &row));
    }
    if (i < n_before && !ferror(w->out)) WF_TRY_TO(done, other_last(before->records));
    if (fflush(w->out) != 0 || ferror(w->out))
        st = wf_fail_errno(WF_IO, "the rows cannot be written");
done:
    wf_ordered_destroy(&rows);
    return st;
}

wf_status wf_export_jsonl(wf_results *results, const wf_export_before *before, FILE *out,
                          wf_export_count *count)
{
    const rows_writer w = {results, wf_results_columns(results), out, jsonl_row, NULL};
    return rows_write(results, &w, before, count);
}

wf_status wf_export_csv(wf_results *results, const wf_export_before *before, FILE *out,
                        wf_export_count *count)
{
    const rows_writer w = {results, wf_results_columns(results), out, csv_row, csv_header};
    return rows_write(results, &w, before, count);
}
