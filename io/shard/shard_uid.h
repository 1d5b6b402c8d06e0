// The content hash of a shard, for its writer and its reader. Not for use elsewhere.
#ifndef WF_IO_SHARD_SHARD_UID_H
#define WF_IO_SHARD_SHARD_UID_H

#include "io/base/hash.h"

// uid = XXH3-128 of "<name>=<XXH3-128 of the column's little-endian bytes, hex>\n" for each column
// that is there, in table order. `hash` has WF_N_SHARD_COLUMNS entries, NULL: column is not there.
void wf_shard_uid_of(wf_hash128_stream *const *hash, char uid[WF_HASH128_HEX]);

#endif
