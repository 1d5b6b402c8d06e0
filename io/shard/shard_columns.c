// The table of shard columns and the stored form of sampling parameters.
#include "io/shard/shard_columns.h"

#include <assert.h>
#include <math.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "shard_uid hashes columns in native form, which must be the stored one");

// clang-format off
#define H5_TYPE(type)                                                                              \
    _Generic((type)0, float: WF_H5_F32, int32_t: WF_H5_I32, int64_t: WF_H5_I64,                    \
             uint32_t: WF_H5_U32, uint64_t: WF_H5_U64, uint8_t: WF_H5_U8, bool: WF_H5_U8)
// clang-format on

static const wf_h5_column_spec columns[WF_N_SHARD_COLUMNS] = {
#define VALUE(field, type, units, description)                                                     \
    [WF_COLUMN_##field] = {"/requests/" #field, H5_TYPE(type), 0, units, description},
    WF_REQUEST_TABLE(VALUE)
#undef VALUE
#define RAGGED(field, count, type, offsets, values, must, of_failed, cut_units, cut, units, words) \
    [WF_COLUMN_##field##_offset] = {offsets, WF_H5_U64, 0, cut_units, cut},                        \
    [WF_COLUMN_##field] = {values, H5_TYPE(type), 0, units, words},
        WF_REQUEST_RAGGED_TABLE(RAGGED)
#undef RAGGED
#define COLUMN(field, type, kind, def, lo, hi)                                                     \
    [WF_COLUMN_SAMPLING + WF_SAMPLING_##field] = {                                                 \
        "/requests/" #field, H5_TYPE(type), 0, "1",                                                \
        "sampling parameter " #field " of vLLM's SamplingParams; NaN, the least signed or the "    \
        "greatest unsigned value: the job decides"},
            WF_SAMPLING_TABLE(COLUMN)
#undef COLUMN
#define PLACE(field, type, units, none, description)                                               \
    [WF_COLUMN_##field] = {"/requests/" #field, H5_TYPE(type), 0, units, description},
                WF_REQUEST_SESSION_TABLE(PLACE)
#undef PLACE
#define PIECE(column, type, dataset, units, description)                                           \
    [WF_COLUMN_##column] = {dataset, H5_TYPE(type), 0, units, description},
                    WF_SHARD_PIECE_TABLE(PIECE)
#undef PIECE
};

const wf_shard_value wf_shard_values[WF_N_SHARD_VALUES] = {
#define VALUE(field, type, units, description)                                                     \
    [WF_VALUE_##field] = {WF_COLUMN_##field, offsetof(wf_request, field)},
    WF_REQUEST_TABLE(VALUE)
#undef VALUE
};

const wf_shard_value wf_shard_places[WF_N_SHARD_PLACES] = {
#define PLACE(field, type, units, none, description)                                               \
    [WF_PLACE_##field] = {WF_COLUMN_##field, offsetof(wf_request, field)},
    WF_REQUEST_SESSION_TABLE(PLACE)
#undef PLACE
};

const void *wf_shard_place_none(int k)
{
    static const wf_request nowhere = {
#define NONE(field, type, units, none, description) .field = (none),
        WF_REQUEST_SESSION_TABLE(NONE)
#undef NONE
    };
    return (const char *)&nowhere + wf_shard_places[k].at;
}

const wf_shard_ragged wf_shard_raggeds[WF_N_SHARD_RAGGED] = {
#define RAGGED(field, n, type, offsets, values, is_must, failed_too, cut_units, cut, units, words) \
    [WF_RAGGED_##field] = {.i_offset = WF_COLUMN_##field##_offset,                                 \
                           .i_values = WF_COLUMN_##field,                                          \
                           .at = offsetof(wf_request, field),                                      \
                           .count = offsetof(wf_request, n),                                       \
                           .each_bytes = sizeof(type),                                             \
                           .must = (is_must),                                                      \
                           .of_failed = (failed_too)},
    WF_REQUEST_RAGGED_TABLE(RAGGED)
#undef RAGGED
};

const void *wf_ragged_values(const wf_shard_ragged *ragged, const wf_request *request)
{
    const void *values;
    memcpy(&values, (const char *)request + ragged->at, sizeof values);
    return values;
}

uint32_t wf_ragged_count(const wf_shard_ragged *ragged, const wf_request *request)
{
    return *(const uint32_t *)(const void *)((const char *)request + ragged->count);
}

void wf_ragged_set(const wf_shard_ragged *ragged, wf_request *request, const void *values,
                   uint32_t n)
{
    memcpy((char *)request + ragged->at, &values, sizeof values);
    *(uint32_t *)(void *)((char *)request + ragged->count) = n;
}

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
