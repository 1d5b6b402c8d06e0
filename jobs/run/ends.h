// What ends a row: the stop tokens and stop strings of its own, and those of the job behind them.
//
// The room for them is used again for the next row. Local.
#ifndef WF_JOBS_RUN_ENDS_H
#define WF_JOBS_RUN_ENDS_H

#include "jobs/run/serve.h"

// All zero: empty.
typedef struct wf_ends {
    int32_t *token; // [n_tokens]
    uint32_t n_tokens;
    uint8_t *string; // [string_bytes] each ended by a zero byte
    uint32_t string_bytes;
    const wf_pieces *pieces; // for the strings; borrowed
    size_t token_capacity, string_capacity;
} wf_ends;

// Of a simulated run there are none, and of a task that draws no token no strings. WF_NO_MEMORY.
wf_status wf_ends_join(wf_ends *ends, const wf_serve_config *config, const wf_request *request);
void wf_ends_free(wf_ends *ends);

#endif
