// The table of shard columns and the stored form of sampling parameters.
#include "io/shard/shard_columns.h"

#include <assert.h>
#include <math.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "shard_uid hashes columns in native form, which must be the stored one");

#define H5_TYPE(type)                                                                              \
    _Generic((type)0,                                                                              \
        float: WF_H5_F32,                                                                          \
        int32_t: WF_H5_I32,                                                                        \
        int64_t: WF_H5_I64,                                                                        \
        uint32_t: WF_H5_U32,                                                                       \
        bool: WF_H5_U8)

static const wf_h5_column_spec columns[WF_N_SHARD_COLUMNS] = {
    [WF_COLUMN_ID] = {"/requests/id", WF_H5_U64, 0, "1",
                      "the caller's id, unique within the shard"},
    [WF_COLUMN_ARRIVAL] = {"/requests/arrival_ns", WF_H5_I64, 0, "ns",
                           "arrival since the stream's origin, non-decreasing"},
    [WF_COLUMN_MAX_NEW] = {"/requests/max_new_tokens", WF_H5_U32, 0, "tokens",
                           "bound on generated tokens"},
    [WF_COLUMN_PROMPT_OFFSET] = {"/requests/prompt_offset", WF_H5_U64, 0, "tokens",
                                 "row i's prompt is /prompts/tokens[offset[i]:offset[i+1]]"},
    [WF_COLUMN_PROMPT] = {"/prompts/tokens", WF_H5_I32, 0, "token id", "all prompts, concatenated"},
    [WF_COLUMN_STOP_OFFSET] = {"/requests/stop_offset", WF_H5_U64, 0, "tokens",
                               "row i ends at stop_token_ids[offset[i]:offset[i+1]]"},
    [WF_COLUMN_STOP] = {"/requests/stop_token_ids", WF_H5_I32, 0, "token id",
                        "token ids that end a row, concatenated"},
    [WF_COLUMN_META_OFFSET] = {"/requests/meta_offset", WF_H5_U64, 0, "bytes",
                               "row i's note is meta[offset[i]:offset[i+1]]"},
    [WF_COLUMN_META] = {"/requests/meta", WF_H5_U8, 0, "bytes",
                        "UTF-8 passed through to the result, concatenated"},
#define COLUMN(field, type, kind, def, lo, hi)                                                     \
    [WF_COLUMN_SAMPLING + WF_SAMPLING_##field] = {                                                 \
        "/requests/" #field, H5_TYPE(type), 0, "1",                                                \
        "sampling parameter " #field " of vLLM's SamplingParams; NaN, the least signed or the "    \
        "greatest unsigned value: the job decides"},
    WF_SAMPLING_TABLE(COLUMN)
#undef COLUMN
};

static const size_t field_offset[WF_N_SAMPLING] = {
#define OFFSET(field, type, kind, def, lo, hi) offsetof(wf_sampling, field),
    WF_SAMPLING_TABLE(OFFSET)
#undef OFFSET
};

const wf_h5_column_spec *wf_shard_column(int i_column)
{
    assert(i_column >= 0 && i_column < WF_N_SHARD_COLUMNS);
    return &columns[i_column];
}

static void store_missing(wf_h5_type type, void *stored)
{
    float not_given = NAN;
    int32_t least_i32 = INT32_MIN;
    int64_t least_i64 = INT64_MIN;
    switch (type) {
    case WF_H5_F32:
        memcpy(stored, &not_given, sizeof not_given);
        break;
    case WF_H5_I32:
        memcpy(stored, &least_i32, sizeof least_i32);
        break;
    case WF_H5_I64:
        memcpy(stored, &least_i64, sizeof least_i64);
        break;
    default:
        memset(stored, 0xff, wf_h5_type_bytes(type));
    }
}

static bool is_missing(wf_h5_type type, const void *stored)
{
    if (type == WF_H5_F32) {
        float value;
        memcpy(&value, stored, sizeof value);
        return isnan(value);
    }
    char missing[8];
    store_missing(type, missing);
    return memcmp(stored, missing, wf_h5_type_bytes(type)) == 0;
}

void wf_sampling_store(const wf_sampling *sampling, uint32_t set, int i, void *stored)
{
    wf_h5_type type = columns[WF_COLUMN_SAMPLING + i].type;
    const char *field = (const char *)sampling + field_offset[i];
    if (!(set & 1u << i))
        store_missing(type, stored);
    else
        memcpy(stored, field, wf_h5_type_bytes(type)); // bool is one byte, 0 or 1
}

bool wf_sampling_load(wf_sampling *sampling, uint32_t *set, int i, const void *stored)
{
    wf_h5_type type = columns[WF_COLUMN_SAMPLING + i].type;
    if (is_missing(type, stored)) return true;
    if (type == WF_H5_U8 && *(const uint8_t *)stored > 1) return false;
    memcpy((char *)sampling + field_offset[i], stored, wf_h5_type_bytes(type));
    *set |= 1u << i;
    return true;
}
