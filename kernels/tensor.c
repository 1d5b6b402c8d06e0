// The table of number formats, and copies between them.
#include "kernels/tensor.h"

#include <assert.h>

#include "kernels/convert.h"

static const wf_format formats[WF_N_DTYPES] = {
#define FORMAT_ROW(name, words, long_words, bits, rows, cols, load, store)                         \
    [WF_##name] = {#name, words, long_words, bits, rows, cols},
    WF_FORMATS(FORMAT_ROW)
#undef FORMAT_ROW
};

const wf_format *wf_format_of(wf_dtype dtype)
{
    return (unsigned)dtype < WF_N_DTYPES ? &formats[dtype] : NULL;
}

static uint64_t n_blocks(int64_t n, int32_t each)
{
    return each > 0 ? ((uint64_t)n + (uint64_t)each - 1) / (uint64_t)each : 1;
}

uint64_t wf_format_bytes(wf_dtype dtype, int64_t n_rows, int64_t n_cols)
{
    const wf_format *f = wf_format_of(dtype);
    assert(f != NULL);
    uint64_t bytes = (uint64_t)n_rows * (((uint64_t)n_cols * (uint64_t)f->bits + 7) / 8);
    if (f->block_rows < 0) return bytes;
    return bytes +
           n_blocks(n_rows, f->block_rows) * n_blocks(n_cols, f->block_cols) * sizeof(float);
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
        memcpy(dst, src, (size_t)n * wf_dtype_bytes(dst_dtype));
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
