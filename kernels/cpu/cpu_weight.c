// Weights of the CPU back end: repacked at load to panels of 32 columns in their own dtype.
#include <stdlib.h>

#include "kernels/convert.h"
#include "kernels/cpu/cpu_impl.h"
#include "kernels/op_check.h"
#include "kernels/random.h"
#include "kernels/ref/ref.h"

#define MIN(a, b) ((a) < (b) ? (a) : (b))

// Columns of a row converted at a time: 32 rows of this many fill an L1 cache's quarter.
#define CHUNK 128

wf_status wf_cpu_weight_create(wf_backend *be, const wf_weight_shape *shape, wf_weight **out)
{
    int64_t n_rows = shape->n_rows, n_cols = shape->n_cols;
    WF_TRY(wf_check_weight_shape(shape));
    if (n_rows < 1 || n_cols < 1)
        return wf_fail(WF_INTERNAL, "weight: an empty matrix has no panels");
    wf_cpu_weight *w = calloc(1, sizeof *w);
    if (w == NULL) return wf_fail(WF_NO_MEMORY, "weight: out of memory");
    w->base = *shape;
    w->n_panels = (n_rows + WF_PANEL - 1) / WF_PANEL;
    void *data;
    size_t bytes =
        (size_t)(shape->n_groups * w->n_panels * WF_PANEL * n_cols) * wf_dtype_bytes(shape->dtype);
    wf_status st = wf_cpu_alloc(be, bytes, &data);
    if (st != WF_OK) {
        free(w);
        return st;
    }
    w->panels = data;
    *out = &w->base;
    return WF_OK;
}

void wf_cpu_weight_destroy(wf_backend *be, wf_weight *weight)
{
    if (weight == NULL) return;
    wf_ref_free(be, ((wf_cpu_weight *)weight)->panels);
    free(weight);
}

// Elements i_col.. of one row of a matrix, already in the weight's dtype, take their places.
static void spread(wf_cpu_weight *w, int64_t group, int64_t row, int64_t i_col, const void *part,
                   int n)
{
    wf_dtype dtype = w->base.dtype;
    int64_t panel = group * w->n_panels + row / WF_PANEL;
    int64_t at =
        (panel * w->base.n_cols + i_col) * WF_PANEL + wf_panel_at(dtype, (int)(row % WF_PANEL));
    if (dtype == WF_F32)
        for (int i = 0; i < n; i++)
            ((float *)(void *)w->panels)[at + i * WF_PANEL] = ((const float *)part)[i];
    else
        for (int i = 0; i < n; i++)
            ((uint16_t *)(void *)w->panels)[at + i * WF_PANEL] = ((const uint16_t *)part)[i];
}

wf_status wf_cpu_weight_load(wf_backend *be, wf_weight *weight, const wf_weight_block *b)
{
    wf_cpu_weight *w = (wf_cpu_weight *)weight;
    WF_TRY(wf_check_weight_block(weight, b));
    size_t src_bytes = wf_dtype_bytes(b->src_dtype);
    int64_t n_cols = w->base.n_cols, i_row = b->i_row, end_row = i_row + b->n_rows;
    int n_threads = wf_cpu_threads_for(wf_cpu_of(be), (double)(b->n_rows * n_cols));
#pragma omp parallel for num_threads(n_threads) schedule(static) if (n_threads > 1)
    for (int64_t panel = i_row / WF_PANEL; panel < (end_row + WF_PANEL - 1) / WF_PANEL; panel++) {
        int64_t first = panel * WF_PANEL < i_row ? i_row : panel * WF_PANEL;
        int64_t end = MIN((panel + 1) * WF_PANEL, end_row);
        float part[CHUNK];
        for (int64_t k = 0; k < n_cols; k += CHUNK)
            for (int64_t row = first; row < end; row++) {
                int n = (int)MIN(n_cols - k, CHUNK);
                const char *from =
                    (const char *)b->src + (size_t)((row - i_row) * b->src_stride + k) * src_bytes;
                wf_convert(part, w->base.dtype, from, b->src_dtype, n);
                spread(w, b->i_group, row, k, part, n);
            }
    }
    return WF_OK;
}

wf_status wf_cpu_weight_random(wf_backend *be, wf_weight *weight, uint64_t seed, float std)
{
    wf_cpu_weight *w = (wf_cpu_weight *)weight;
    int64_t n_cols = w->base.n_cols;
    int64_t n_rows = w->base.n_groups * w->base.n_rows;
    int n_threads = wf_cpu_threads_for(wf_cpu_of(be), 10.0 * (double)(n_rows * n_cols));
#pragma omp parallel for num_threads(n_threads) schedule(static) if (n_threads > 1)
    for (int64_t row = 0; row < n_rows; row++) {
        float value[CHUNK], part[CHUNK];
        for (int64_t k = 0; k < n_cols; k += CHUNK) {
            int n = (int)MIN(n_cols - k, CHUNK);
            for (int i = 0; i < n; i++)
                value[i] = wf_random_weight(seed, (uint64_t)(row * n_cols + k + i), std);
            wf_convert(part, w->base.dtype, value, WF_F32, n);
            spread(w, row / w->base.n_rows, row % w->base.n_rows, k, part, n);
        }
    }
    return WF_OK;
}
