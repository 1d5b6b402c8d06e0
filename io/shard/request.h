// One request as it stands in a request shard (format weft-requests), and its sampling parameters.
//
// The key of everything that comes of it is (shard_uid, row, sample); the caller's id is only
// passed through.
#ifndef WF_IO_SHARD_REQUEST_H
#define WF_IO_SHARD_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/base/status.h"

// X(field, C type, HDF5 class F|I|U|B, default, least, most): one optional column of
// /requests each, and one key of the job file's `sampling:`. Names and meanings are those of vLLM's
// SamplingParams.
#define WF_SAMPLING_TABLE(X)                                                                       \
    X(temperature, float, F, 0.0f, 0.0, 100.0)                                                     \
    X(top_p, float, F, 1.0f, 1e-6, 1.0)                                                            \
    X(top_k, int32_t, I, 0, -1, 2147483647)                                                        \
    X(min_p, float, F, 0.0f, 0.0, 1.0)                                                             \
    X(repetition_penalty, float, F, 1.0f, 1e-3, 1e3)                                               \
    X(presence_penalty, float, F, 0.0f, -100.0, 100.0)                                             \
    X(frequency_penalty, float, F, 0.0f, -100.0, 100.0)                                            \
    X(min_tokens, uint32_t, U, 0, 0, 2147483647)                                                   \
    X(seed, int64_t, I, -1, -1, 9223372036854775807.0)                                             \
    X(ignore_eos, bool, B, false, 0, 1)                                                            \
    X(n, uint32_t, U, 1, 1, 1024)                                                                  \
    X(logprobs, int32_t, I, -1, -1, 20)

// seed -1: the job's seed decides. logprobs -1: none; 0: the sampled token's; k: and the k best.
// top_k 0 or -1: all.
typedef struct wf_sampling {
#define WF_SAMPLING_FIELD(field, type, kind, def, lo, hi) type field;
    WF_SAMPLING_TABLE(WF_SAMPLING_FIELD)
#undef WF_SAMPLING_FIELD
} wf_sampling;

// Columns a shard really has, as bits in table order: (1u << WF_SAMPLING_temperature) ...
enum {
#define WF_SAMPLING_INDEX(field, type, kind, def, lo, hi) WF_SAMPLING_##field,
    WF_SAMPLING_TABLE(WF_SAMPLING_INDEX) WF_N_SAMPLING
#undef WF_SAMPLING_INDEX
};

// A request. All pointers are borrowed from whoever handed it out (reader batch, test, ...).
typedef struct wf_request {
    uint32_t shard; // index in the job's list of shards
    uint64_t row;   // row in that shard
    uint64_t id;    // the caller's
    int64_t arrival_ns;
    uint32_t max_new_tokens;
    uint32_t n_prompt;
    const int32_t *prompt; // [n_prompt]
    uint32_t n_stop;
    const int32_t *stop; // [n_stop] token ids that end it
    uint32_t meta_bytes;
    const uint8_t *meta;   // [meta_bytes] UTF-8, passed through
    uint32_t sampling_set; // which sampling columns the shard gives; the job fills in the others
    wf_sampling sampling;
    wf_status status;  // WF_OK, or the WF_REQ_* reason why the row must fail
    const char *error; // one line for people when status is not WF_OK, else NULL
} wf_request;

// How many results a request has: sampling.n, and one where that is nonsense and fails the row.
uint32_t wf_sampling_samples(const wf_sampling *sampling);

// The defaults of WF_SAMPLING_TABLE.
wf_sampling wf_sampling_default(void);

// Checks one request against a model: empty prompt, token range, context, lengths, sampling ranges.
// n_vocab and max_context of 0 skip those checks. Returns the WF_REQ_* code with its detail
// recorded, or WF_OK. Local.
wf_status wf_request_check(const wf_request *request, int64_t n_vocab, int64_t max_context);

#endif
