// The table of number formats, and copies between them.
#include "kernels/tensor.h"

#include <assert.h>

#include "kernels/backend.h"
#include "kernels/convert.h"

static const wf_format formats[WF_N_DTYPES] = {
#define FORMAT_ROW(name, words, long_words, bits, block, load, store)                              \
    [WF_##name] = {#name, words, long_words, bits, block},
    WF_FORMATS(FORMAT_ROW)
#undef FORMAT_ROW
};

const wf_format *wf_format_of(wf_dtype dtype)
{
    return (unsigned)dtype < WF_N_DTYPES ? &formats[dtype] : NULL;
}

bool wf_format_scaled(wf_dtype dtype)
{
    const wf_format *f = wf_format_of(dtype);
    return f != NULL && f->block >= 0;
}

uint64_t wf_format_row_bytes(wf_dtype dtype, int64_t n_cols)
{
    const wf_format *f = wf_format_of(dtype);
    assert(f != NULL);
    return ((uint64_t)n_cols * (uint64_t)f->bits + 7) / 8;
}

int64_t wf_weight_row_blocks(const wf_weight_shape *shape)
{
    if (!wf_format_scaled(shape->dtype)) return 0;
    return shape->block > 0 ? (shape->n_cols + shape->block - 1) / shape->block : 1;
}

uint64_t wf_weight_bytes(const wf_weight_shape *shape)
{
    uint64_t scale = shape->dtype == WF_MXFP4 ? 1 : sizeof(float), zero = shape->zeros ? 1 : 0;
    uint64_t row = wf_format_row_bytes(shape->dtype, shape->n_cols) +
                   (uint64_t)wf_weight_row_blocks(shape) * (scale + zero);
    return (uint64_t)shape->n_groups * (uint64_t)shape->n_rows * row;
}

int64_t wf_kv_tile(wf_dtype dtype, int32_t page_tokens, int32_t head_dim)
{
    int64_t scale = wf_format_scaled(dtype) ? (int64_t)(sizeof(float) / wf_dtype_bytes(dtype)) : 0;
    return page_tokens * (head_dim + scale);
}

size_t wf_dtype_bytes(wf_dtype dtype)
{
    assert((unsigned)dtype < WF_N_DTYPES && formats[dtype].bits % 8 == 0);
    return (size_t)formats[dtype].bits / 8;
}

const char *wf_dtype_name(wf_dtype dtype)
{
    const wf_format *f = wf_format_of(dtype);
    return f ? f->name : "unknown dtype";
}

bool wf_dtype_named(const char *name, wf_dtype *out)
{
    for (int i = 0; i < WF_N_DTYPES; i++) {
        const wf_format *f = &formats[i];
        if (strcmp(name, f->name) == 0 || strcmp(name, f->long_name) == 0 ||
            strcmp(name, f->stored) == 0) {
            *out = (wf_dtype)i;
            return true;
        }
    }
    return false;
}

// Both formats are constants where this is called, so that every pair has its own loop.
static inline __attribute__((always_inline)) void
convert_pair(void *dst, const wf_dtype to, const void *src, const wf_dtype from, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        wf_store_f32(dst, to, i, wf_load_f32(src, from, i));
}

static inline __attribute__((always_inline)) void
convert_from(void *dst, wf_dtype to, const void *src, const wf_dtype from, int64_t n)
{
    switch (to) {
#define TO(name, ...)                                                                              \
    case WF_##name:                                                                                \
        convert_pair(dst, WF_##name, src, from, n);                                                \
        return;
        WF_FORMATS(TO)
#undef TO
    case WF_N_DTYPES:
        break;
    }
    wf_no_such_format();
}

void wf_convert(void *dst, wf_dtype dst_dtype, const void *src, wf_dtype src_dtype, int64_t n)
{
    if (dst_dtype == src_dtype) {
        memcpy(dst, src, wf_format_row_bytes(dst_dtype, n));
        return;
    }
    switch (src_dtype) {
#define FROM(name, ...)                                                                            \
    case WF_##name:                                                                                \
        convert_from(dst, dst_dtype, src, WF_##name, n);                                           \
        return;
        WF_FORMATS(FROM)
#undef FROM
    case WF_N_DTYPES:
        break;
    }
    wf_no_such_format();
}
