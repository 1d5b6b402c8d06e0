// Weights of the reference back end: every part row-major, in its own type.
#include <stdlib.h>
#include <string.h>

#include "kernels/convert.h"
#include "kernels/op_check.h"
#include "kernels/random.h"
#include "kernels/ref/ref.h"

typedef struct ref_weight {
    wf_weight base;
    char *data;    // [n_groups][n_rows] rows of numbers, own
    float *scales; // [n_groups][n_rows][row_blocks], own; NULL in plain formats
    int8_t *zeros; // the same; NULL without zero points
} ref_weight;

static wf_status alloc_parts(wf_backend *be, ref_weight *w)
{
    size_t n_rows = (size_t)(w->base.n_groups * w->base.n_rows);
    size_t n_scales = n_rows * (size_t)wf_weight_row_blocks(&w->base);
    void *data, *scales, *zeros;
    WF_TRY(wf_ref_alloc(be, n_rows * wf_format_row_bytes(w->base.dtype, w->base.n_cols), &data));
    w->data = data;
    if (n_scales == 0) return WF_OK;
    WF_TRY(wf_ref_alloc(be, n_scales * sizeof(float), &scales));
    w->scales = scales;
    if (!w->base.zeros) return WF_OK;
    WF_TRY(wf_ref_alloc(be, n_scales, &zeros));
    w->zeros = zeros;
    return WF_OK;
}

wf_status wf_ref_weight_create(wf_backend *be, const wf_weight_shape *shape, wf_weight **out)
{
    WF_TRY(wf_check_weight_shape(shape));
    ref_weight *w = calloc(1, sizeof *w);
    if (w == NULL) return wf_fail(WF_NO_MEMORY, "weight: out of memory");
    w->base = *shape;
    wf_status st = alloc_parts(be, w);
    if (st != WF_OK) {
        wf_ref_weight_destroy(be, &w->base);
        return st;
    }
    *out = &w->base;
    return WF_OK;
}

wf_status wf_ref_weight_load(wf_backend *be, wf_weight *weight, const wf_weight_block *b)
{
    (void)be;
    ref_weight *w = (ref_weight *)weight;
    WF_TRY(wf_check_weight_block(weight, b));
    const struct {
        char *rows;
        wf_dtype dtype;
        int64_t n_cols;
    } parts[] = {
        [WF_WEIGHT_DATA] = {w->data, weight->dtype, weight->n_cols},
        [WF_WEIGHT_SCALE] = {(char *)w->scales, WF_F32, wf_weight_row_blocks(weight)},
        [WF_WEIGHT_ZERO] = {(char *)w->zeros, WF_INT8, wf_weight_row_blocks(weight)},
    };
    size_t row_bytes = wf_format_row_bytes(parts[b->part].dtype, parts[b->part].n_cols);
    size_t src_bytes = wf_format_row_bytes(b->src_dtype, b->src_stride);
    int64_t first = b->i_group * weight->n_rows + b->i_row;
    for (int64_t i = 0; i < b->n_rows; i++)
        wf_convert(parts[b->part].rows + (size_t)(first + i) * row_bytes, parts[b->part].dtype,
                   (const char *)b->src + (size_t)i * src_bytes, b->src_dtype,
                   parts[b->part].n_cols);
    return WF_OK;
}

wf_status wf_ref_weight_random(wf_backend *be, wf_weight *weight, uint64_t seed, float std)
{
    (void)be;
    ref_weight *w = (ref_weight *)weight;
    int64_t n_rows = weight->n_groups * weight->n_rows;
    int64_t n_scales = n_rows * wf_weight_row_blocks(weight);
    float scale = n_scales > 0 ? wf_random_scale(weight->dtype, std) : 1.0f;
    for (int64_t i = 0; i < n_rows * weight->n_cols; i++)
        wf_store_f32(w->data, weight->dtype, i, wf_random_weight(seed, (uint64_t)i, std) / scale);
    for (int64_t i = 0; i < n_scales; i++)
        w->scales[i] = scale;
    if (w->zeros != NULL) memset(w->zeros, 0, (size_t)n_scales);
    return WF_OK;
}

void wf_ref_weight_destroy(wf_backend *be, wf_weight *weight)
{
    if (weight == NULL) return;
    ref_weight *w = (ref_weight *)weight;
    wf_ref_free(be, w->data);
    wf_ref_free(be, w->scales);
    wf_ref_free(be, w->zeros);
    free(weight);
}

float wf_ref_weight_at(const wf_weight *weight, int64_t row, int64_t col)
{
    const ref_weight *w = (const ref_weight *)weight;
    float number = wf_load_f32(w->data, weight->dtype, row * weight->n_cols + col);
    if (w->scales == NULL) return number;
    int64_t at = row * wf_weight_row_blocks(weight) + (weight->block > 0 ? col / weight->block : 0);
    float zero = w->zeros != NULL ? (float)w->zeros[at] : 0.0f;
    return (number - zero) * w->scales[at];
}
