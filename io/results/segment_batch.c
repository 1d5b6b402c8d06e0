// Rows as columns in memory. A put first makes room in every column and only then writes, so a
// refusal of memory leaves the batch whole.
#include "io/results/segment_columns.h"

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
    switch (wf_column_descs[i_col].kind) {
    case WF_COLUMN_ROW:
    case WF_COLUMN_OFFSET:
        return 1;
    case WF_COLUMN_BYTES:
        return i_col == WF_COL_meta ? row->meta_bytes : row->error ? strlen(row->error) : 0;
    case WF_COLUMN_STEP:
        return 0;
    default:
        return row->n_tokens;
    }
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

// Ragged columns: the values, then where they end in this batch.
static void push_ragged(wf_result_batch *batch, int i_col, int i_offset, const void *values,
                        size_t n)
{
    push(batch, i_col, values, n);
    uint64_t end = batch->buffers[i_col].n;
    push(batch, i_offset, &end, 1);
}

static void push_times(wf_result_batch *batch, const wf_result *row)
{
    static const int64_t never = -1;
    if (row->token_time_ns) {
        push(batch, WF_COL_token_time, row->token_time_ns, row->n_tokens);
        return;
    }
    for (uint32_t i = 0; i < row->n_tokens; i++)
        push(batch, WF_COL_token_time, &never, 1);
}

static void push_logprobs(wf_result_batch *batch, const wf_result *row)
{
    static const float unknown = NAN;
    if (row->logprob) {
        push(batch, WF_COL_logprob, row->logprob, row->n_tokens);
        return;
    }
    for (uint32_t i = 0; i < row->n_tokens; i++)
        push(batch, WF_COL_logprob, &unknown, 1);
}

// A row may ask for fewer than the file's n_top: the rest is padded.
static void push_top(wf_result_batch *batch, const wf_result *row)
{
    size_t width = batch->columns.n_top;
    size_t have = row->top_id && row->top_logprob ? row->n_top : 0;
    if (have > width) have = width;
    int32_t *ids =
        (int32_t *)batch->buffers[WF_COL_top_id].data + batch->buffers[WF_COL_top_id].n * width;
    float *values = (float *)batch->buffers[WF_COL_top_logprob].data +
                    batch->buffers[WF_COL_top_logprob].n * width;
    for (size_t t = 0; t < row->n_tokens; t++) {
        for (size_t k = 0; k < width; k++) {
            ids[t * width + k] = k < have ? row->top_id[t * row->n_top + k] : -1;
            values[t * width + k] = k < have ? row->top_logprob[t * row->n_top + k] : NAN;
        }
    }
    batch->buffers[WF_COL_top_id].n += row->n_tokens;
    batch->buffers[WF_COL_top_logprob].n += row->n_tokens;
}

wf_status wf_result_batch_put(wf_result_batch *batch, const wf_result *row)
{
    for (int i = 0; i < WF_N_COLS; i++) {
        size_t n = wf_column_present(i, &batch->columns) ? row_values(i, row) : 0;
        if (n > 0) WF_TRY(reserve(batch, i, n));
    }
#define PUSH_FIELD(field, ctype, type, units, description)                                         \
    push(batch, WF_COL_##field, &row->field, 1);
    WF_RESULT_TABLE(PUSH_FIELD)
#undef PUSH_FIELD
    push_ragged(batch, WF_COL_error, WF_COL_error_offset, row->error,
                row_values(WF_COL_error, row));
    push_ragged(batch, WF_COL_meta, WF_COL_meta_offset, row->meta, row->meta_bytes);
    push_ragged(batch, WF_COL_token_id, WF_COL_output_offset, row->token_id, row->n_tokens);
    if (batch->columns.token_times) push_times(batch, row);
    if (batch->columns.logprobs) push_logprobs(batch, row);
    if (batch->columns.n_top > 0 && row->n_tokens > 0) push_top(batch, row);
    batch->bytes += wf_result_bytes(row, &batch->columns);
    return WF_OK;
}

wf_status wf_result_batch_put_step(wf_result_batch *batch, const wf_step_record *step)
{
    if (!batch->columns.steps) return WF_OK;
    for (int i = WF_COL_step_start_ns; i <= WF_COL_step_group; i++)
        WF_TRY(reserve(batch, i, 1));
#define PUSH_STEP(field, ctype, units, description)                                                \
    push(batch, WF_COL_step_##field, &step->field, 1);
    WF_STEP_TABLE(PUSH_STEP)
#undef PUSH_STEP
    push(batch, WF_COL_step_run, &step->run, 1);
    push(batch, WF_COL_step_group, &step->group, 1);
    batch->bytes += sizeof *step;
    return WF_OK;
}
