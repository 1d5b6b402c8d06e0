// Shows single rows: key, times, end, tokens; as text where the vocabulary is bytes.
#ifndef WF_RESULTS_SHOW_H
#define WF_RESULTS_SHOW_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "io/base/status.h"

typedef struct wf_show_options {
    bool by_id;      // look for `number` as the caller's id, else as the row
    uint64_t number; // row (or id)
    int64_t shard;   // index into /shards, -1: any
    int32_t sample;  // -1: any
    bool json;       // one JSON object per line
    bool bytes;      // token ids below 256 are bytes; on by itself when n_vocab <= 260
} wf_show_options;

// Prints every row that matches, in file order. WF_NO_INPUT when none does: "row 17 is not done
// yet", or that no shard has it. HDF5 thread. Local.
wf_status wf_show(const char *path, const wf_show_options *options, FILE *out);

#endif
