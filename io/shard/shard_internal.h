// What the files behind shard.h share. Not for use elsewhere.
#ifndef WF_IO_SHARD_SHARD_INTERNAL_H
#define WF_IO_SHARD_SHARD_INTERNAL_H

#include "io/h5/h5util.h"
#include "io/shard/shard.h"
#include "io/shard/shard_columns.h"

// Arrivals count from the stream's origin; more than ten years is a clock time by mistake, and
// would overflow when a slow replay stretches it.
#define WF_SHARD_MAX_ARRIVAL_NS (INT64_C(3653) * 86400 * 1000000000)
#define WF_SHARD_MAX_ROWS       (UINT64_C(1) << 31)

struct wf_shard {
    wf_h5_file *file;
    wf_shard_info info;
    wf_h5_dataset *column[WF_N_SHARD_COLUMNS]; // NULL: not there
    uint8_t *bad_arrival;                      // bit per row
    uint8_t *repeated_id;                      // bit per row
};

static inline bool wf_bit_get(const uint8_t *bits, uint64_t i)
{
    return bits[i / 8] >> (i % 8) & 1;
}

static inline void wf_bit_set(uint8_t *bits, uint64_t i)
{
    bits[i / 8] = (uint8_t)(bits[i / 8] | 1u << (i % 8));
}

// Goes over arrivals and ids, marks unusable rows, fills the info's counts and times.
wf_status wf_shard_scan(wf_shard *shard);

#endif
