// Filling a batch, walking the columns. A put first makes room in every column and only then
// writes, so a refusal of memory leaves the batch whole.
#include "io/results/segment_batch.h"

#include "io/base/arena.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

wf_status wf_result_batch_create(const wf_result_columns *columns, wf_result_batch **out)
{
    wf_result_batch *batch = NULL;
    WF_TRY(wf_alloc(1, sizeof *batch, &batch));
    batch->columns = *columns;
    *out = batch;
    return WF_OK;
}

void wf_result_batch_destroy(wf_result_batch **batch)
{
    if (!*batch) return;
    for (int i = 0; i < WF_N_COLS; i++)
        free((*batch)->buffers[i].data);
    free(*batch);
    *batch = NULL;
}

void wf_result_batch_clear(wf_result_batch *batch)
{
    for (int i = 0; i < WF_N_COLS; i++)
        batch->buffers[i].n = 0;
    batch->bytes = 0;
}

size_t wf_result_batch_rows(const wf_result_batch *batch)
{
    return batch->buffers[WF_COL_row].n;
}

size_t wf_result_batch_steps(const wf_result_batch *batch)
{
    return batch->buffers[WF_COL_step_run].n;
}

uint64_t wf_result_batch_bytes(const wf_result_batch *batch)
{
    return batch->bytes;
}

static size_t value_bytes(int i_col, const wf_result_columns *columns)
{
    return wf_h5_type_bytes(wf_column_descs[i_col].type) * wf_column_width(i_col, columns);
}

// How many values of a column this row brings.
static size_t row_values(int i_col, const wf_result *row)
{
    const wf_column_desc *desc = &wf_column_descs[i_col];
    if (desc->kind == WF_COLUMN_STEP) return 0;
    return desc->kind == WF_COLUMN_RAGGED ? wf_column_count(desc->cut, row) : 1;
}

uint64_t wf_result_bytes(const wf_result *result, const wf_result_columns *columns)
{
    uint64_t bytes = 0;
    for (int i = 0; i < WF_N_COLS; i++)
        if (wf_column_present(i, columns)) bytes += row_values(i, result) * value_bytes(i, columns);
    return bytes;
}

static wf_status reserve(wf_result_batch *batch, int i_col, size_t n)
{
    wf_column_buffer *b = &batch->buffers[i_col];
    return wf_grow(b->n + n, value_bytes(i_col, &batch->columns), &b->capacity, &b->data);
}

static void push(wf_result_batch *batch, int i_col, const void *values, size_t n)
{
    wf_column_buffer *b = &batch->buffers[i_col];
    size_t each = value_bytes(i_col, &batch->columns);
    if (n > 0) memcpy((char *)b->data + b->n * each, values, n * each);
    b->n += n;
}

// What stands where a row has no value: NaN, or -1.
static const void *missing(wf_h5_type type)
{
    static const float unknown_f32 = NAN;
    static const double unknown_f64 = NAN;
    static const int64_t minus_one = -1;
    return type == WF_H5_F32   ? (const void *)&unknown_f32
           : type == WF_H5_F64 ? (const void *)&unknown_f64
                               : (const void *)&minus_one;
}

// A row may have fewer numbers to a value than the file, or none: the rest is padded.
static void push_padded(wf_result_batch *batch, int i_col, const char *values, size_t have,
                        size_t n)
{
    wf_column_buffer *b = &batch->buffers[i_col];
    wf_h5_type type = wf_column_descs[i_col].type;
    size_t width = wf_column_width(i_col, &batch->columns), each = wf_h5_type_bytes(type);
    char *to = (char *)b->data + b->n * width * each;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < width; k++, to += each)
            memcpy(to, k < have ? values + (i * have + k) * each : missing(type), each);
    b->n += n;
}

// How many numbers to a value the row itself has.
static size_t own_width(const wf_column_desc *desc, const wf_result *row)
{
    if (desc->width == WF_NOWHERE) return 1;
    return *(const uint32_t *)(const void *)((const char *)row + desc->width);
}

// The row's values of a column that is cut, or of one that has `width` numbers for each row.
static void push_values(wf_result_batch *batch, int i_col, const wf_result *row)
{
    const wf_column_desc *desc = &wf_column_descs[i_col];
    const void *values = wf_column_values(i_col, row);
    size_t n = row_values(i_col, row), have = values ? own_width(desc, row) : 0;
    if (n == 0) return;
    if (have == wf_column_width(i_col, &batch->columns))
        push(batch, i_col, values, n);
    else
        push_padded(batch, i_col, values, have, n);
}

// Where the row's part of what a cut cuts ends in this batch.
static void push_end(wf_result_batch *batch, int i_cut)
{
    uint64_t end = batch->buffers[wf_column_of_cut(i_cut)].n;
    push(batch, i_cut, &end, 1);
}

wf_status wf_result_batch_put(wf_result_batch *batch, const wf_result *row)
{
    for (int i = 0; i < WF_N_COLS; i++) {
        size_t n = wf_column_present(i, &batch->columns) ? row_values(i, row) : 0;
        if (n > 0) WF_TRY(reserve(batch, i, n));
    }
#define PUSH_VALUE(field, ctype, type, units, label, description)                                  \
    push(batch, WF_COL_##field, &row->field, 1);
    WF_RESULT_TABLE(PUSH_VALUE)
#undef PUSH_VALUE
#define PUSH_VALUE(field, ctype, type, when, units, label, description)                            \
    if (wf_column_present(WF_COL_##field, &batch->columns))                                        \
        push(batch, WF_COL_##field, &row->field, 1);
    WF_RESULT_OPTIONAL_TABLE(PUSH_VALUE)
#undef PUSH_VALUE
    for (int i = 0; i < WF_N_COLS; i++)
        if (wf_column_is_array(i) && wf_column_present(i, &batch->columns))
            push_values(batch, i, row);
    for (int i = 0; i < WF_N_COLS; i++)
        if (wf_column_descs[i].kind == WF_COLUMN_CUT && wf_column_present(i, &batch->columns))
            push_end(batch, i);
    batch->bytes += wf_result_bytes(row, &batch->columns);
    return WF_OK;
}

wf_status wf_result_batch_put_step(wf_result_batch *batch, const wf_step_record *step)
{
    const wf_result_columns *columns = &batch->columns;
    if (!columns->steps) return WF_OK;
    for (int i = WF_COL_step_start_ns; i < WF_N_COLS; i++)
        if (wf_column_present(i, columns)) WF_TRY(reserve(batch, i, 1));
#define PUSH_STEP(field, ctype, type, units, description)                                          \
    push(batch, WF_COL_step_##field, &step->field, 1);
    WF_STEP_TABLE(PUSH_STEP)
#undef PUSH_STEP
#define PUSH_STEP(field, ctype, type, when, units, description)                                    \
    if (wf_column_present(WF_COL_step_##field, columns))                                           \
        push(batch, WF_COL_step_##field, &step->field, 1);
    WF_STEP_OPTIONAL_TABLE(PUSH_STEP)
#undef PUSH_STEP
    batch->bytes += sizeof *step;
#define PUSH_STEP(field, ctype, type, width, units, description)                                   \
    if (columns->width > 0)                                                                        \
        push_padded(batch, WF_COL_step_##field, (const char *)step->field,                         \
                    step->field ? step->width : 0, 1);                                             \
    batch->bytes += columns->width * sizeof *step->field;
    WF_STEP_WIDE_TABLE(PUSH_STEP)
#undef PUSH_STEP
    return WF_OK;
}
