// See shard_uid.h.
#include "io/shard/shard_uid.h"

#include <assert.h>
#include <stdio.h>

#include "io/shard/shard_columns.h"

void wf_shard_uid_of(wf_hash128_stream *const *hash, char uid[WF_HASH128_HEX])
{
    char text[WF_N_SHARD_COLUMNS * 96];
    size_t n = 0;
    for (int i = 0; i < WF_N_SHARD_COLUMNS; i++) {
        if (hash[i] == NULL) continue;
        char hex[WF_HASH128_HEX];
        wf_hash128_hex(wf_hash128_value(hash[i]), hex);
        n += (size_t)snprintf(text + n, sizeof text - n, "%s=%s\n", wf_shard_column(i)->name, hex);
        assert(n < sizeof text);
    }
    wf_hash128_hex(wf_hash128_of(text, n), uid);
}
