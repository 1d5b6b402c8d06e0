// The columns of a request shard as one table, for its writer and its reader: made of the tables in
// request.h. A new column is a row there and the place that fills it. Private to io/shard.
#ifndef WF_IO_SHARD_SHARD_COLUMNS_H
#define WF_IO_SHARD_SHARD_COLUMNS_H

#include "io/h5/h5util.h"
#include "io/shard/request.h"

#define WF_SHARD_FORMAT         "weft-requests"
#define WF_SHARD_FORMAT_VERSION "1.0.0"
#define WF_SHARD_FORMAT_MAJOR   1

// X(column, C type, dataset, units, description): what each token adds to a text, for stop strings
// (pieces.h). A shard has both or none; the offsets are one more than its vocab_size.
#define WF_SHARD_PIECE_TABLE(X)                                                                    \
    X(piece_offset, uint64_t, "/tokenizer/piece_offset", "bytes",                                  \
      "token i adds piece[offset[i]:offset[i+1]] to a text")                                       \
    X(piece, uint8_t, "/tokenizer/piece", "bytes", "what the tokens add to a text, concatenated")

// Index of each column: WF_COLUMN_id ..., WF_COLUMN_prompt_offset, WF_COLUMN_prompt ... The order
// is part of the shards' identity (shard_uid.h).
enum {
#define WF_COLUMN_VALUE_INDEX(field, type, units, description) WF_COLUMN_##field,
    WF_REQUEST_TABLE(WF_COLUMN_VALUE_INDEX)
#undef WF_COLUMN_VALUE_INDEX
#define WF_COLUMN_RAGGED_INDEX(field, ...) WF_COLUMN_##field##_offset, WF_COLUMN_##field,
        WF_REQUEST_RAGGED_TABLE(WF_COLUMN_RAGGED_INDEX)
#undef WF_COLUMN_RAGGED_INDEX
            WF_COLUMN_SAMPLING, // the first of WF_N_SAMPLING, in the order of WF_SAMPLING_TABLE
    WF_COLUMN_LAST_SAMPLING = WF_COLUMN_SAMPLING + WF_N_SAMPLING - 1,
#define WF_COLUMN_PLACE_INDEX(field, type, units, none, description) WF_COLUMN_##field,
    WF_REQUEST_SESSION_TABLE(WF_COLUMN_PLACE_INDEX)
#undef WF_COLUMN_PLACE_INDEX
#define WF_COLUMN_PIECE_INDEX(column, ...) WF_COLUMN_##column,
        WF_SHARD_PIECE_TABLE(WF_COLUMN_PIECE_INDEX)
#undef WF_COLUMN_PIECE_INDEX
            WF_N_SHARD_COLUMNS
};

const wf_h5_column_spec *wf_shard_column(int i_column);

// The columns of one value per request.
typedef struct wf_shard_value {
    int i_column;
    size_t at; // in wf_request
} wf_shard_value;

enum {
#define WF_VALUE_INDEX(field, type, units, description) WF_VALUE_##field,
    WF_REQUEST_TABLE(WF_VALUE_INDEX) WF_N_SHARD_VALUES
#undef WF_VALUE_INDEX
};
extern const wf_shard_value wf_shard_values[WF_N_SHARD_VALUES];

// Those of a session: all or none of them are there.
enum {
#define WF_PLACE_INDEX(field, type, units, none, description) WF_PLACE_##field,
    WF_REQUEST_SESSION_TABLE(WF_PLACE_INDEX) WF_N_SHARD_PLACES
#undef WF_PLACE_INDEX
};
extern const wf_shard_value wf_shard_places[WF_N_SHARD_PLACES];
// What a row of no session holds there; borrow.
const void *wf_shard_place_none(int k);

// The ragged ones.
typedef struct wf_shard_ragged {
    int i_offset, i_values; // columns
    size_t at, count;       // in wf_request: the pointer, and the uint32_t that counts
    size_t each_bytes;
    bool must, of_failed;
} wf_shard_ragged;

enum {
#define WF_RAGGED_INDEX(field, ...) WF_RAGGED_##field,
    WF_REQUEST_RAGGED_TABLE(WF_RAGGED_INDEX) WF_N_SHARD_RAGGED
#undef WF_RAGGED_INDEX
};
extern const wf_shard_ragged wf_shard_raggeds[WF_N_SHARD_RAGGED];

const void *wf_ragged_values(const wf_shard_ragged *ragged, const wf_request *request);
uint32_t wf_ragged_count(const wf_shard_ragged *ragged, const wf_request *request);
void wf_ragged_set(const wf_shard_ragged *ragged, wf_request *request, const void *values,
                   uint32_t n);

// The value of sampling parameter `i` as its column stores it, and back. A row that does not give
// the parameter holds the column's missing value (NaN; the least of signed, the greatest of
// unsigned types), so that the job's own setting stands. `stored` has room for 8 bytes.
void wf_sampling_store(const wf_sampling *sampling, uint32_t set, int i, void *stored);
// Sets the field and its bit in *set, or neither; false when the value is not one of its type.
bool wf_sampling_load(wf_sampling *sampling, uint32_t *set, int i, const void *stored);

#endif
