// Magnitudes of floats order like their bits without the sign, so a bad value is one whose bits
// reach a limit. Blocks of fixed length let the compiler vectorise the search for the greatest.
#include "engine/model_values.h"

#include <math.h>

#include "kernels/convert.h"

enum { BLOCK = 1024 };

// The smallest magnitude, as bits of `from`, that is not finite in `to` (rounding to nearest even).
// 0: not in the table.
static const uint32_t limits[WF_N_DTYPES][WF_N_DTYPES] = {
    [WF_F32] = {[WF_F32] = 0x7f800000, [WF_BF16] = 0x7f7f8000, [WF_F16] = 0x477ff000}, // 65520
    [WF_BF16] = {[WF_F32] = 0x7f80, [WF_BF16] = 0x7f80, [WF_F16] = 0x4780}, // after 65280: 65536
    [WF_F16] = {[WF_F32] = 0x7c00, [WF_BF16] = 0x7c00, [WF_F16] = 0x7c00},
};

static int64_t find16(const uint16_t *x, int64_t n, uint16_t limit)
{
    int64_t i = 0;
    for (; i + BLOCK <= n; i += BLOCK) {
        uint16_t greatest = 0;
        for (int j = 0; j < BLOCK; j++) {
            uint16_t bits = x[i + j] & 0x7fff;
            greatest = bits > greatest ? bits : greatest;
        }
        if (greatest >= limit) break;
    }
    for (; i < n; i++)
        if ((x[i] & 0x7fff) >= limit) return i;
    return -1;
}

static int64_t find32(const uint32_t *x, int64_t n, uint32_t limit)
{
    int64_t i = 0;
    for (; i + BLOCK <= n; i += BLOCK) {
        uint32_t greatest = 0;
        for (int j = 0; j < BLOCK; j++) {
            uint32_t bits = x[i + j] & 0x7fffffff;
            greatest = bits > greatest ? bits : greatest;
        }
        if (greatest >= limit) break;
    }
    for (; i < n; i++)
        if ((x[i] & 0x7fffffff) >= limit) return i;
    return -1;
}

// One by one, in any two formats.
static int64_t find_any(const void *values, int64_t n, wf_dtype from, wf_dtype to)
{
    uint64_t there;
    for (int64_t i = 0; i < n; i++) {
        wf_store_f32(&there, to, 0, wf_load_f32(values, from, i));
        if (!isfinite(wf_load_f32(&there, to, 0))) return i;
    }
    return -1;
}

int64_t wf_values_find_bad(const void *values, int64_t n, wf_dtype from, wf_dtype to)
{
    uint32_t limit = limits[from][to];
    if (limit == 0) return find_any(values, n, from, to);
    return wf_bits_of(from) == 32 ? find32(values, n, limit) : find16(values, n, (uint16_t)limit);
}
