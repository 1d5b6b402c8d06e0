// Magnitudes of floats order like their bits without the sign, so a bad value is one whose bits
// reach a limit. Blocks of fixed length let the compiler vectorise the search for the greatest.
#include "engine/model_values.h"

enum { BLOCK = 1024 };

// The smallest magnitude, as bits of `from`, that is not finite in `to` (rounding to nearest even).
static uint32_t limit_of(wf_dtype from, wf_dtype to)
{
    if (from == WF_F16) return 0x7c00;
    if (from == WF_BF16) return to == WF_F16 ? 0x4780 : 0x7f80; // 65536 is the next above 65280
    if (to == WF_F16) return 0x477ff000;                        // 65520
    return to == WF_BF16 ? 0x7f7f8000 : 0x7f800000;
}

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

int64_t wf_values_find_bad(const void *values, int64_t n, wf_dtype from, wf_dtype to)
{
    uint32_t limit = limit_of(from, to);
    if (from == WF_F32) return find32(values, n, limit);
    return find16(values, n, (uint16_t)limit);
}
