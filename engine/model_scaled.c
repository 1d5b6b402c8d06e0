// Scaled formats on their way to a back end: quantises plain rows, and takes quantised ones over or
// unpacks them. See model_load.h.
#include <stdlib.h>
#include <string.h>

#include "engine/model_check.h"
#include "engine/model_load.h"
#include "engine/quant.h"
#include "kernels/convert.h"
#include "kernels/quantize.h"

// At least n of `each` bytes at *data.
static wf_status grow(void *data, size_t *room, size_t n, size_t each)
{
    void **at = data;
    if (n <= *room) return WF_OK;
    void *grown = realloc(*at, n * each);
    if (!grown) return wf_fail(WF_NO_MEMORY, "model: no memory for %zu bytes of rows", n * each);
    *at = grown;
    *room = n;
    return WF_OK;
}

void wf_scaled_rows_free(wf_scaled_rows *rows)
{
    free(rows->numbers);
    free(rows->scales);
    free(rows->zeros);
    free(rows->values);
    *rows = (wf_scaled_rows){0};
}

static int64_t n_blocks(const wf_weight *w, int64_t n_cols)
{
    return w->block > 0 ? n_cols / w->block : 1;
}

static wf_status reserve(wf_scaled_rows *r, const wf_weight *w, int64_t n_rows, int64_t n_cols)
{
    size_t n_scales = (size_t)(n_rows * n_blocks(w, n_cols));
    size_t bytes = (size_t)n_rows * wf_format_row_bytes(w->dtype, n_cols);
    WF_TRY(grow(&r->numbers, &r->numbers_bytes, bytes, 1));
    WF_TRY(grow(&r->scales, &r->n_scales, n_scales, sizeof *r->scales));
    WF_TRY(grow(&r->zeros, &r->n_zeros, n_scales, 1));
    return grow(&r->values, &r->n_values, (size_t)n_cols, sizeof *r->values);
}

// Columns from `col` of rows of n_cols, as they lie in the buffers, to rows dst_row.. of the
// weight.
static wf_status load_rows(wf_loader *l, wf_weight *w, int32_t i_group, int64_t dst_row,
                           int64_t n_rows, int64_t n_cols, int64_t col)
{
    wf_scaled_rows *r = &l->scaled;
    int64_t first = w->block > 0 ? col / w->block : 0;
    wf_weight_block part = {.part = WF_WEIGHT_DATA,
                            .i_group = i_group,
                            .i_row = dst_row,
                            .n_rows = n_rows,
                            .src = r->numbers + wf_format_row_bytes(w->dtype, col),
                            .src_dtype = w->dtype,
                            .src_stride = n_cols};
    WF_TRY(l->be->ops->weight_load(l->be, w, &part));
    part.part = WF_WEIGHT_SCALE;
    part.src = r->scales + first;
    part.src_dtype = WF_F32;
    part.src_stride = n_blocks(w, n_cols);
    WF_TRY(l->be->ops->weight_load(l->be, w, &part));
    if (!w->zeros) return WF_OK;
    part.part = WF_WEIGHT_ZERO;
    part.src = r->zeros + first;
    part.src_dtype = WF_INT8;
    return l->be->ops->weight_load(l->be, w, &part);
}

wf_status wf_loader_quantise(wf_loader *l, const wf_read_block *b, const void *rows,
                             int32_t i_group, int64_t dst_row, wf_weight *w)
{
    wf_scaled_rows *r = &l->scaled;
    int64_t each = n_blocks(w, b->row_cols);
    size_t row_bytes = wf_format_row_bytes(w->dtype, b->row_cols);
    WF_TRY(reserve(r, w, b->n_rows, b->row_cols));
    for (int64_t i = 0; i < b->n_rows; i++) {
        const char *row = (const char *)rows + wf_format_row_bytes(b->from, i * b->row_cols);
        wf_convert(r->values, WF_F32, row, b->from, b->row_cols);
        wf_quantize_row(r->values, b->row_cols, w->dtype, w->block,
                        r->numbers + (size_t)i * row_bytes, r->scales + i * each);
    }
    return load_rows(l, w, i_group, dst_row, b->n_rows, b->row_cols, b->col);
}

// Rows in the buffers as values of a plain weight.
static wf_status unpack_rows(wf_loader *l, const wf_weight *as, wf_weight *w, int32_t i_group,
                             int64_t dst_row, int64_t n_rows, int64_t col)
{
    wf_scaled_rows *r = &l->scaled;
    size_t row_bytes = wf_format_row_bytes(as->dtype, as->n_cols);
    int64_t each = n_blocks(as, as->n_cols);
    wf_weight_block part = {.i_group = i_group,
                            .n_rows = 1,
                            .src = r->values + col,
                            .src_dtype = WF_F32,
                            .src_stride = as->n_cols};
    for (int64_t i = 0; i < n_rows; i++) {
        wf_dequantize_row(r->numbers + (size_t)i * row_bytes, as->n_cols, as->dtype, as->block,
                          r->scales + i * each, as->zeros ? r->zeros + i * each : NULL, r->values);
        part.i_row = dst_row + i;
        WF_TRY(l->be->ops->weight_load(l->be, w, &part));
    }
    return WF_OK;
}

static wf_status load_piece(wf_loader *l, const wf_slice *s, const wf_quant_matrix *m,
                            const wf_weight *as, wf_piece piece, int64_t dst_row, wf_weight *w)
{
    int64_t per_block = (int64_t)(l->block_bytes / wf_format_row_bytes(as->dtype, as->n_cols)) + 1;
    for (int64_t row = 0, n; row < piece.n; row += n) {
        n = piece.n - row < per_block ? piece.n - row : per_block;
        WF_TRY(reserve(&l->scaled, as, n, as->n_cols));
        WF_TRY(wf_quant_rows(m, piece.first + row, n, l->scaled.numbers, l->scaled.scales,
                             l->scaled.zeros));
        if (w->dtype == as->dtype)
            WF_TRY(load_rows(l, w, s->i_group, dst_row + row, n, as->n_cols, s->col));
        else
            WF_TRY(unpack_rows(l, as, w, s->i_group, dst_row + row, n, s->col));
    }
    return WF_OK;
}

// A part's quantised tensor, and what a weight of all of it would be.
static wf_status open_part(const wf_loader *l, const wf_slice *s, int i_part, wf_weight *as,
                           wf_quant_matrix **out)
{
    char module[WF_TENSOR_NAME_BYTES];
    const wf_quant_kind *q = wf_quant_of(l->arch, s->part[i_part]->role, s->place.i_layer);
    *as = (wf_weight){.dtype = q->dtype,
                      .n_groups = 1,
                      .n_rows = wf_slice_tensor_rows(s, i_part),
                      .n_cols = wf_slice_tensor_cols(s, i_part),
                      .block = q->block,
                      .zeros = q->zeros};
    wf_slice_tensor_name(s, i_part, "", module, sizeof module);
    return wf_quant_open(l->folder, q, module, as->n_rows, as->n_cols, out);
}

wf_status wf_loader_quantised_values(wf_loader *l, const wf_slice *s, wf_piece piece, float *values)
{
    wf_scaled_rows *r = &l->scaled;
    wf_quant_matrix *m;
    wf_weight as;
    WF_TRY(open_part(l, s, 0, &as, &m));
    size_t row_bytes = wf_format_row_bytes(as.dtype, as.n_cols);
    int64_t each = n_blocks(&as, as.n_cols);
    wf_status st = reserve(r, &as, piece.n, as.n_cols);
    if (st == WF_OK) st = wf_quant_rows(m, piece.first, piece.n, r->numbers, r->scales, r->zeros);
    for (int64_t i = 0; i < piece.n && st == WF_OK; i++)
        wf_dequantize_row(r->numbers + (size_t)i * row_bytes, as.n_cols, as.dtype, as.block,
                          r->scales + i * each, as.zeros ? r->zeros + i * each : NULL,
                          values + i * as.n_cols);
    l->report.file_bytes += (uint64_t)piece.n * row_bytes + wf_quant_bytes_read(m);
    wf_quant_close(&m);
    return st;
}

wf_status wf_loader_quantised(wf_loader *l, const wf_slice *s, int i_part, int64_t *dst_row,
                              wf_weight *w)
{
    wf_quant_matrix *m;
    wf_weight as;
    WF_TRY(open_part(l, s, i_part, &as, &m));
    wf_status st = WF_OK;
    for (int k = 0; k < wf_slice_n_pieces(s, i_part) && st == WF_OK; k++) {
        wf_piece piece = wf_slice_piece(s, i_part, k);
        st = load_piece(l, s, m, &as, piece, *dst_row, w);
        *dst_row += piece.n;
        l->report.file_bytes += (uint64_t)piece.n * wf_format_row_bytes(as.dtype, as.n_cols);
    }
    l->report.file_bytes += wf_quant_bytes_read(m);
    wf_quant_close(&m);
    return st;
}

wf_status wf_loader_scaled_zeros(wf_loader *l, int32_t i_group, int64_t dst_row, int64_t n_rows,
                                 wf_weight *w)
{
    wf_scaled_rows *r = &l->scaled;
    WF_TRY(reserve(r, w, 1, w->n_cols));
    memset(r->numbers, 0, wf_format_row_bytes(w->dtype, w->n_cols));
    for (int64_t i = 0; i < n_blocks(w, w->n_cols); i++)
        r->scales[i] = 1.0f;
    for (int64_t i = 0; i < n_rows; i++)
        WF_TRY(load_rows(l, w, i_group, dst_row + i, 1, w->n_cols, 0));
    return WF_OK;
}
