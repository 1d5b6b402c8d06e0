// See row_json.h.
#include "results/row_json.h"

#include <math.h>

int64_t wf_row_value(const wf_result *row, const wf_column_desc *desc)
{
    const char *at = (const char *)row + desc->at;
    switch (desc->type) {
    case WF_H5_U8:
        return *(const uint8_t *)at;
    case WF_H5_U16:
        return *(const uint16_t *)(const void *)at;
    case WF_H5_U32:
        return *(const uint32_t *)(const void *)at;
    case WF_H5_I32:
        return *(const int32_t *)(const void *)at;
    default:
        return *(const int64_t *)(const void *)at; // u64 likewise: its bits
    }
}

float wf_row_float(const wf_result *row, const wf_column_desc *desc)
{
    return *(const float *)(const void *)((const char *)row + desc->at);
}

// None is left out.
static void put_float(wf_json_writer *w, const char *key, float value)
{
    if (isfinite(value)) wf_json_put_f32(w, key, value);
}

static void put_value(wf_json_writer *w, const wf_result *row, int i_col)
{
    const wf_column_desc *desc = &wf_column_descs[i_col];
    if (i_col == WF_COL_status)
        wf_json_put_string(w, desc->json, wf_result_status_words((wf_result_status)row->status));
    else if (i_col == WF_COL_finish_reason)
        wf_json_put_string(w, desc->json, wf_finish_words((wf_finish)row->finish_reason));
    else if (desc->type == WF_H5_F32)
        put_float(w, desc->json, wf_row_float(row, desc));
    else if (desc->type == WF_H5_U64)
        wf_json_put_u64(w, desc->json, (uint64_t)wf_row_value(row, desc));
    else
        wf_json_put_i64(w, desc->json, wf_row_value(row, desc));
}

static void put_number(wf_json_writer *w, wf_h5_type type, const void *values, size_t i)
{
    if (type == WF_H5_F32)
        wf_json_put_f32(w, NULL, ((const float *)values)[i]);
    else if (type == WF_H5_I32)
        wf_json_put_i64(w, NULL, ((const int32_t *)values)[i]);
    else
        wf_json_put_i64(w, NULL, ((const int64_t *)values)[i]);
}

static void put_numbers(wf_json_writer *w, const char *key, wf_h5_type type, const void *values,
                        size_t first, size_t n)
{
    wf_json_open_array(w, key);
    for (size_t i = first; i < first + n; i++)
        put_number(w, type, values, i);
    wf_json_close(w);
}

// Numbers as a list, or as a list of lists where there are several to a value; bytes as text.
static void put_ragged(const wf_result *row, int i_col, const char *key, wf_json_writer *w)
{
    const wf_column_desc *desc = &wf_column_descs[i_col];
    const void *values = wf_column_values(i_col, row);
    size_t n = wf_column_count(desc->cut, row);
    if (wf_column_descs[desc->cut].at == WF_NOWHERE) {
        wf_json_put_string(w, key, values);
    } else if (desc->type == WF_H5_U8) {
        if (n > 0) wf_json_put_bytes(w, key, values, n);
    } else if (values && desc->width == WF_NOWHERE) {
        put_numbers(w, key, desc->type, values, 0, n);
    } else if (values) {
        size_t width = *(const uint32_t *)(const void *)((const char *)row + desc->width);
        wf_json_open_array(w, key);
        for (size_t i = 0; i < n; i++)
            put_numbers(w, NULL, desc->type, values, i * width, width);
        wf_json_close(w);
    }
}

// A failed row has none.
static void put_wide(const wf_result *row, int i_col, const char *key, wf_json_writer *w)
{
    const wf_column_desc *desc = &wf_column_descs[i_col];
    const void *values = wf_column_values(i_col, row);
    size_t n = *(const uint32_t *)(const void *)((const char *)row + desc->width);
    if (values && row->status == WF_RESULT_DONE) put_numbers(w, key, desc->type, values, 0, n);
}

void wf_row_put_array(const wf_result *row, int i_col, const char *key, wf_json_writer *w)
{
    if (wf_column_descs[i_col].kind == WF_COLUMN_WIDE)
        put_wide(row, i_col, key, w);
    else
        put_ragged(row, i_col, key, w);
}

void wf_row_put_json(const wf_result *row, const wf_result_columns *columns, wf_json_writer *w)
{
    for (int i = 0; i < WF_N_COLS; i++) {
        if (!wf_column_present(i, columns)) continue;
        if (wf_column_descs[i].kind == WF_COLUMN_VALUE) put_value(w, row, i);
        if (wf_column_is_array(i)) wf_row_put_array(row, i, wf_column_descs[i].json, w);
    }
}
