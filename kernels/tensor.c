// What each dtype is called and how wide it is, and copies between them.
#include "kernels/tensor.h"

#include <assert.h>

#include "kernels/convert.h"

size_t wf_dtype_bytes(wf_dtype dtype)
{
    static const size_t bytes[WF_N_DTYPES] = {
#define WF_DTYPE_BYTES(name, size, words) size,
        WF_DTYPE_TABLE(WF_DTYPE_BYTES)
#undef WF_DTYPE_BYTES
    };
    assert((unsigned)dtype < WF_N_DTYPES);
    return bytes[dtype];
}

const char *wf_dtype_name(wf_dtype dtype)
{
    static const char *const names[WF_N_DTYPES] = {
#define WF_DTYPE_WORDS(name, size, words) words,
        WF_DTYPE_TABLE(WF_DTYPE_WORDS)
#undef WF_DTYPE_WORDS
    };
    return (unsigned)dtype < WF_N_DTYPES ? names[dtype] : "unknown dtype";
}

bool wf_dtype_named(const char *name, wf_dtype *out)
{
    for (int i = 0; i < WF_N_DTYPES; i++)
        if (strcmp(name, wf_dtype_name((wf_dtype)i)) == 0) {
            *out = (wf_dtype)i;
            return true;
        }
    return false;
}

void wf_convert(void *dst, wf_dtype dst_dtype, const void *src, wf_dtype src_dtype, int64_t n)
{
    if (dst_dtype == src_dtype) {
        memcpy(dst, src, (size_t)n * wf_dtype_bytes(dst_dtype));
        return;
    }
    for (int64_t i = 0; i < n; i++)
        wf_store_f32(dst, dst_dtype, i, wf_load_f32(src, src_dtype, i));
}
