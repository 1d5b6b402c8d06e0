// Weights of the CPU back end: repacked at load to panels of 32 columns in their own format.
#include <stdlib.h>
#include <string.h>

#include "kernels/convert.h"
#include "kernels/cpu/cpu_impl.h"
#include "kernels/op_check.h"
#include "kernels/random.h"
#include "kernels/ref/ref.h"

#define MIN(a, b) ((a) < (b) ? (a) : (b))

// Columns of a row converted at a time: 32 rows of this many fill an L1 cache's quarter.
#define CHUNK 128

static size_t n_scales_of(const wf_cpu_weight *w)
{
    return (size_t)(w->base.n_groups * w->n_panels * wf_weight_row_blocks(&w->base) * WF_PANEL);
}

static wf_status alloc_parts(wf_backend *be, wf_cpu_weight *w)
{
    size_t n_panels = (size_t)(w->base.n_groups * w->n_panels), n_scales = n_scales_of(w);
    void *data, *scales, *zeros;
    WF_TRY(wf_cpu_alloc(be, n_panels * wf_cpu_panel_bytes(w), &data));
    w->panels = data;
    if (n_scales == 0) return WF_OK;
    WF_TRY(wf_cpu_alloc(be, n_scales * sizeof(float), &scales));
    w->scales = scales;
    if (!w->base.zeros) return WF_OK;
    WF_TRY(wf_cpu_alloc(be, n_scales * sizeof(float), &zeros));
    w->zeros = zeros;
    return WF_OK;
}

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
    wf_status st = alloc_parts(be, w);
    if (st != WF_OK) {
        wf_cpu_weight_destroy(be, &w->base);
        return st;
    }
    *out = &w->base;
    return WF_OK;
}

void wf_cpu_weight_destroy(wf_backend *be, wf_weight *weight)
{
    if (weight == NULL) return;
    wf_cpu_weight *w = (wf_cpu_weight *)weight;
    wf_ref_free(be, w->panels);
    wf_ref_free(be, w->scales);
    wf_ref_free(be, w->zeros);
    free(weight);
}

// Elements i_col.. of one row of a matrix, already in the weight's format, take their places.
static void spread(wf_cpu_weight *w, int64_t group, int64_t row, int64_t i_col, const void *part,
                   int n)
{
    wf_dtype dtype = w->base.dtype;
    int64_t panel = group * w->n_panels + row / WF_PANEL;
    int64_t at =
        (panel * w->base.n_cols + i_col) * WF_PANEL + wf_panel_at(dtype, (int)(row % WF_PANEL));
    switch (wf_format_of(dtype)->bits) {
    case 32:
        for (int i = 0; i < n; i++)
            ((float *)(void *)w->panels)[at + i * WF_PANEL] = ((const float *)part)[i];
        break;
    case 16:
        for (int i = 0; i < n; i++)
            ((uint16_t *)(void *)w->panels)[at + i * WF_PANEL] = ((const uint16_t *)part)[i];
        break;
    case 8:
        for (int i = 0; i < n; i++)
            w->panels[at + i * WF_PANEL] = ((const char *)part)[i];
        break;
    default:
        for (int i = 0; i < n; i++)
            wf_nibble_set(w->panels, at + i * WF_PANEL, wf_nibble(part, i));
    }
}

// Scales or zero points of rows, at their places as f32.
static void load_scales(wf_cpu_weight *w, const wf_weight_block *b)
{
    int64_t n_blocks = wf_weight_row_blocks(&w->base);
    bool scale = b->part == WF_WEIGHT_SCALE;
    float *to = scale ? w->scales : w->zeros;
    float factor = scale ? wf_panel_factor(w->base.dtype) : 1.0f;
    for (int64_t i = 0; i < b->n_rows; i++) {
        int64_t row = b->i_row + i, panel = b->i_group * w->n_panels + row / WF_PANEL;
        for (int64_t j = 0; j < n_blocks; j++)
            to[(panel * n_blocks + j) * WF_PANEL + row % WF_PANEL] =
                wf_load_f32(b->src, b->src_dtype, i * b->src_stride + j) * factor;
    }
}

// Numbers i_col.. of row `row` of what is being filled, in the weight's format.
typedef void source_fn(const void *from, int64_t row, int64_t i_col, int n, void *part);

// Rows [i_row, end_row) of a matrix, each panel by one thread.
static void fill_rows(wf_backend *be, wf_cpu_weight *w, int64_t group, int64_t i_row,
                      int64_t end_row, source_fn *source, const void *from, double ns_each)
{
    int64_t n_cols = w->base.n_cols;
    int n_threads =
        wf_cpu_threads_for(wf_cpu_of(be), ns_each * (double)((end_row - i_row) * n_cols));
#pragma omp parallel for num_threads(n_threads) schedule(static) if (n_threads > 1)
    for (int64_t panel = i_row / WF_PANEL; panel < (end_row + WF_PANEL - 1) / WF_PANEL; panel++) {
        int64_t first = panel * WF_PANEL < i_row ? i_row : panel * WF_PANEL;
        int64_t end = MIN((panel + 1) * WF_PANEL, end_row);
        float part[CHUNK];
        for (int64_t k = 0; k < n_cols; k += CHUNK)
            for (int64_t row = first; row < end; row++) {
                int n = (int)MIN(n_cols - k, CHUNK);
                source(from, row, k, n, part);
                spread(w, group, row, k, part, n);
            }
    }
}

typedef struct block_source {
    const wf_weight_block *block;
    wf_dtype to;
} block_source;

static void from_block(const void *from, int64_t row, int64_t i_col, int n, void *part)
{
    const block_source *s = from;
    const wf_weight_block *b = s->block;
    const char *src = (const char *)b->src +
                      wf_format_row_bytes(b->src_dtype, (row - b->i_row) * b->src_stride + i_col);
    wf_convert(part, s->to, src, b->src_dtype, n);
}

wf_status wf_cpu_weight_load(wf_backend *be, wf_weight *weight, const wf_weight_block *b)
{
    wf_cpu_weight *w = (wf_cpu_weight *)weight;
    const block_source from = {b, weight->dtype};
    WF_TRY(wf_check_weight_block(weight, b));
    if (b->part == WF_WEIGHT_DATA)
        fill_rows(be, w, b->i_group, b->i_row, b->i_row + b->n_rows, from_block, &from, 1.0);
    else
        load_scales(w, b);
    return WF_OK;
}

typedef struct random_source {
    uint64_t seed, first; // element 0 of the matrix
    int64_t n_cols;
    float std, scale;
    wf_dtype to;
} random_source;

static void from_random(const void *from, int64_t row, int64_t i_col, int n, void *part)
{
    const random_source *s = from;
    float value[CHUNK];
    uint64_t at = s->first + (uint64_t)(row * s->n_cols + i_col);
    for (int i = 0; i < n; i++)
        value[i] = wf_random_weight(s->seed, at + (uint64_t)i, s->std) / s->scale;
    wf_convert(part, s->to, value, WF_F32, n);
}

wf_status wf_cpu_weight_random(wf_backend *be, wf_weight *weight, uint64_t seed, float std)
{
    wf_cpu_weight *w = (wf_cpu_weight *)weight;
    size_t n_scales = n_scales_of(w);
    random_source from = {.seed = seed,
                          .n_cols = weight->n_cols,
                          .std = std,
                          .scale = n_scales > 0 ? wf_random_scale(weight->dtype, std) : 1.0f,
                          .to = weight->dtype};
    for (int32_t g = 0; g < weight->n_groups; g++) {
        from.first = (uint64_t)g * (uint64_t)(weight->n_rows * weight->n_cols);
        fill_rows(be, w, g, 0, weight->n_rows, from_random, &from, 10.0);
    }
    for (size_t i = 0; i < n_scales; i++)
        w->scales[i] = from.scale * wf_panel_factor(weight->dtype);
    if (w->zeros != NULL) memset(w->zeros, 0, n_scales * sizeof *w->zeros);
    return WF_OK;
}
