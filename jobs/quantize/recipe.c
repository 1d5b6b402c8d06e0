// See recipe.h.
#include "jobs/quantize/recipe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/model_parts.h"
#include "io/base/arena.h"

static const struct {
    const char *word;
    wf_dtype dtype;
    int32_t block;
} rows[WF_N_QUANTIZE_FORMATS] = {
#define WF_QUANTIZE_ROW(NAME, word, dtype, block, what) {word, dtype, block},
    WF_QUANTIZE_FORMATS(WF_QUANTIZE_ROW)
#undef WF_QUANTIZE_ROW
};

const char *wf_quantize_word(wf_quantize_format format)
{
    return rows[format].word;
}

const char *wf_quantize_words_all(void)
{
#define WF_QUANTIZE_LIST(NAME, word, ...) word ", "
    static char text[] = WF_QUANTIZE_FORMATS(WF_QUANTIZE_LIST);
#undef WF_QUANTIZE_LIST
    text[sizeof text - 3] = '\0';
    return text;
}

bool wf_quantize_named(const char *word, wf_quantize_format *out)
{
    for (int i = 0; i < WF_N_QUANTIZE_FORMATS; i++)
        if (strcmp(word, rows[i].word) == 0) {
            *out = (wf_quantize_format)i;
            return true;
        }
    return false;
}

void wf_quantize_uniform(wf_quantize_format format, wf_quantize_recipe *out)
{
    *out = (wf_quantize_recipe){0};
    memset(out->format, (int)format, sizeof out->format);
}

wf_quantize_kept wf_quantize_kept_of(wf_quantize_format format, int64_t n_cols)
{
    wf_quantize_kept kept = {format, rows[format].dtype, rows[format].block};
    while (kept.block > 32 && n_cols % kept.block != 0)
        kept.block /= 2;
    if (kept.block > 0 && n_cols % kept.block != 0)
        kept = (wf_quantize_kept){WF_QUANTIZE_PLAIN, rows[WF_QUANTIZE_PLAIN].dtype, 0};
    return kept;
}

uint64_t wf_quantize_bytes(wf_quantize_kept kept, wf_dtype plain, int64_t n_rows, int64_t n_cols)
{
    if (kept.format == WF_QUANTIZE_PLAIN)
        return (uint64_t)n_rows * wf_format_row_bytes(plain, n_cols);
    uint64_t n_scales = (uint64_t)(kept.block > 0 ? n_cols / kept.block : 1);
    return (uint64_t)n_rows * (wf_format_row_bytes(kept.dtype, n_cols) + n_scales * sizeof(float));
}

// ---- matrices -----------------------------------------------------------------------------------

// As the loader quantises (wf_slice_shape): what routes tokens stays plain.
static bool takes_format(const wf_slice *s)
{
    wf_weight_shape shape = wf_slice_shape(s, WF_BF16, WF_INT8);
    return s->n_cols > 0 && s->part[0]->in_layer && wf_format_scaled(shape.dtype);
}

typedef struct listing {
    wf_quantize_matrix *item;
    size_t n, room;
} listing;

static wf_status add(listing *l, const wf_slice *s, int i_part, wf_quantize_format format)
{
    WF_TRY(wf_grow(l->n + 1, sizeof *l->item, &l->room, &l->item));
    wf_quantize_matrix *m = &l->item[l->n++];
    *m = (wf_quantize_matrix){.i_layer = s->place.i_layer,
                              .i_group = s->i_group,
                              .role = s->part[i_part]->role,
                              .n_rows = wf_slice_tensor_rows(s, i_part),
                              .n_cols = wf_slice_tensor_cols(s, i_part)};
    m->kept = wf_quantize_kept_of(format, m->n_cols);
    wf_slice_tensor_name(s, i_part, "", m->module, sizeof m->module);
    return WF_OK;
}

static wf_status add_layer(listing *l, const wf_arch *arch, int32_t i_layer,
                           wf_quantize_format format)
{
    const wf_place place = {.arch = arch, .i_layer = i_layer, .tp_size = 1};
    wf_slice s;
    for (int at = 0; wf_slice_next(&place, &at, &s);) {
        if (!takes_format(&s)) continue;
        for (s.i_group = 0; s.i_group < s.n_groups; s.i_group++)
            for (int i = 0; i < s.n_parts; i++)
                WF_TRY(add(l, &s, i, format));
    }
    return WF_OK;
}

static int by_module(const void *a, const void *b)
{
    return strcmp(((const wf_quantize_matrix *)a)->module, ((const wf_quantize_matrix *)b)->module);
}

wf_status wf_quantize_matrices(const wf_arch *arch, const wf_quantize_recipe *recipe,
                               wf_quantize_matrix **out, size_t *n)
{
    listing l = {0};
    wf_status st = WF_OK;
    for (int32_t i = 0; i < arch->n_layers && st == WF_OK; i++)
        st = add_layer(&l, arch, i, (wf_quantize_format)recipe->format[i]);
    if (st != WF_OK) {
        free(l.item);
        return st;
    }
    if (l.n > 0) qsort(l.item, l.n, sizeof *l.item, by_module);
    *out = l.item;
    *n = l.n;
    return WF_OK;
}

uint64_t wf_quantize_layer_bytes(const wf_arch *arch, int32_t i_layer, wf_quantize_format format)
{
    listing l = {0};
    uint64_t bytes = 0;
    if (add_layer(&l, arch, i_layer, format) != WF_OK) l.n = 0;
    for (size_t i = 0; i < l.n; i++)
        bytes += wf_quantize_bytes(l.item[i].kept, arch->dtype, l.item[i].n_rows, l.item[i].n_cols);
    free(l.item);
    return bytes;
}
