// Weights of the reference back end: row-major, in their own dtype.
#include <stdlib.h>

#include "kernels/convert.h"
#include "kernels/op_check.h"
#include "kernels/random.h"
#include "kernels/ref/ref.h"

typedef struct ref_weight {
    wf_weight base;
    char *data; // [n_groups][n_rows][n_cols] own
} ref_weight;

wf_status wf_ref_weight_create(wf_backend *be, const wf_weight_shape *shape, wf_weight **out)
{
    WF_TRY(wf_check_weight_shape(shape));
    ref_weight *w = calloc(1, sizeof *w);
    if (w == NULL) return wf_fail(WF_NO_MEMORY, "weight: out of memory");
    w->base = *shape;
    void *data;
    wf_status st = wf_ref_alloc(be, wf_weight_bytes(shape), &data);
    if (st != WF_OK) {
        free(w);
        return st;
    }
    w->data = data;
    *out = &w->base;
    return WF_OK;
}

wf_status wf_ref_weight_load(wf_backend *be, wf_weight *weight, const wf_weight_block *b)
{
    (void)be;
    ref_weight *w = (ref_weight *)weight;
    WF_TRY(wf_check_weight_block(weight, b));
    size_t row_bytes = (size_t)w->base.n_cols * wf_dtype_bytes(w->base.dtype);
    size_t src_bytes = (size_t)b->src_stride * wf_dtype_bytes(b->src_dtype);
    int64_t first = b->i_group * w->base.n_rows + b->i_row;
    for (int64_t i = 0; i < b->n_rows; i++)
        wf_convert(w->data + (size_t)(first + i) * row_bytes, w->base.dtype,
                   (const char *)b->src + (size_t)i * src_bytes, b->src_dtype, w->base.n_cols);
    return WF_OK;
}

wf_status wf_ref_weight_random(wf_backend *be, wf_weight *weight, uint64_t seed, float std)
{
    (void)be;
    ref_weight *w = (ref_weight *)weight;
    for (int64_t i = 0; i < w->base.n_groups * w->base.n_rows * w->base.n_cols; i++)
        wf_store_f32(w->data, w->base.dtype, i, wf_random_weight(seed, (uint64_t)i, std));
    return WF_OK;
}

void wf_ref_weight_destroy(wf_backend *be, wf_weight *weight)
{
    if (weight == NULL) return;
    wf_ref_free(be, ((ref_weight *)weight)->data);
    free(weight);
}

float wf_ref_weight_at(const wf_weight *weight, int64_t row, int64_t col)
{
    const ref_weight *w = (const ref_weight *)weight;
    return wf_load_f32(w->data, w->base.dtype, row * w->base.n_cols + col);
}
