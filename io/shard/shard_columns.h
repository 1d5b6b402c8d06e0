// The columns of a request shard as one table, for its writer and its reader. Not for use
// elsewhere.
#ifndef WF_IO_SHARD_SHARD_COLUMNS_H
#define WF_IO_SHARD_SHARD_COLUMNS_H

#include "io/h5/h5util.h"
#include "io/shard/request.h"

#define WF_SHARD_FORMAT         "weft-requests"
#define WF_SHARD_FORMAT_VERSION "1.0.0"
#define WF_SHARD_FORMAT_MAJOR   1

enum {
    WF_COLUMN_ID,
    WF_COLUMN_ARRIVAL,
    WF_COLUMN_MAX_NEW,
    WF_COLUMN_PROMPT_OFFSET,
    WF_COLUMN_PROMPT,
    WF_N_REQUIRED_COLUMNS,
    WF_COLUMN_STOP_OFFSET = WF_N_REQUIRED_COLUMNS,
    WF_COLUMN_STOP,
    WF_COLUMN_META_OFFSET,
    WF_COLUMN_META,
    WF_COLUMN_SAMPLING, // the first of WF_N_SAMPLING, in the order of WF_SAMPLING_TABLE
    WF_N_SHARD_COLUMNS = WF_COLUMN_SAMPLING + WF_N_SAMPLING
};

const wf_h5_column_spec *wf_shard_column(int i_column);

// The value of sampling parameter `i` as its column stores it, and back. A row that does not give
// the parameter holds the column's missing value (NaN; the least of signed, the greatest of
// unsigned types), so that the job's own setting stands. `stored` has room for 8 bytes.
void wf_sampling_store(const wf_sampling *sampling, uint32_t set, int i, void *stored);
// Sets the field and its bit in *set, or neither; false when the value is not one of its type.
bool wf_sampling_load(wf_sampling *sampling, uint32_t *set, int i, const void *stored);

#endif
