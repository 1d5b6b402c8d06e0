// One finished request as it stands in a results file (format weft-results), and one engine step.
#ifndef WF_IO_RESULTS_RESULT_H
#define WF_IO_RESULTS_RESULT_H

#include <stdint.h>

#include "io/base/status.h"

typedef enum wf_result_status { WF_RESULT_DONE = 0, WF_RESULT_FAILED = 1 } wf_result_status;

// X(NAME, number, words): why generation ended.
#define WF_FINISH_TABLE(X)                                                                         \
    X(NONE, 0, "none")                                                                             \
    X(STOP, 1, "stop")       /* EOS or a stop token, stored as the last token */                   \
    X(LENGTH, 2, "length")   /* max_new_tokens */                                                  \
    X(CONTEXT, 3, "context") /* the model's context is full */                                     \
    X(ERROR, 4, "error")

typedef enum wf_finish {
#define WF_FINISH_ENUM(name, number, words) WF_FINISH_##name = number,
    WF_FINISH_TABLE(WF_FINISH_ENUM)
#undef WF_FINISH_ENUM
} wf_finish;

const char *wf_finish_words(wf_finish finish);

// Key (shard, row, sample); times in ns of run time, -1 where it did not happen.
typedef struct wf_result {
    uint32_t shard; // index in the segment's /shards table
    uint64_t row;
    uint16_t sample;
    uint64_t id;
    uint8_t status;        // wf_result_status
    uint8_t finish_reason; // wf_finish
    uint16_t error_code;   // wf_status of scope request, 0 when done
    const char *error;     // NULL when done; borrowed
    int64_t arrival_ns, submitted_ns, admitted_ns, first_token_ns, finish_ns;
    uint32_t prompt_len, n_tokens;
    uint16_t run, group, preempted;
    const int32_t *token_id;      // [n_tokens] borrowed
    const int64_t *token_time_ns; // [n_tokens] or NULL when times are not kept
    const float *logprob;         // [n_tokens] or NULL
    uint32_t n_top;               // k of the two arrays below
    const int32_t *top_id;        // [n_tokens][n_top] or NULL
    const float *top_logprob;     // [n_tokens][n_top]
    uint32_t meta_bytes;
    const uint8_t *meta;
} wf_result;

// X(field, type, units, description): one row of /steps per engine step.
#define WF_STEP_TABLE(X)                                                                           \
    X(start_ns, int64_t, "ns", "start of the step in run time")                                    \
    X(duration_ns, int64_t, "ns", "time until its tokens were on the host")                        \
    X(plan_ns, int64_t, "ns", "time to plan and publish it")                                       \
    X(n_decode, int32_t, "rows", "decode rows")                                                    \
    X(n_prefill, int32_t, "rows", "rows with a prompt chunk")                                      \
    X(n_prompt_tokens, int32_t, "tokens", "prompt tokens computed")                                \
    X(n_discarded, int32_t, "rows", "decode rows whose output was thrown away")                    \
    X(kv_pages, int32_t, "pages", "KV pages in use")                                               \
    X(rows_moved, int32_t, "rows", "rows moved by reordering")                                     \
    X(bytes_moved, int64_t, "bytes", "bytes moved by reordering")                                  \
    X(n_waiting, int64_t, "requests", "requests waiting for admission")                            \
    X(n_put_back, int32_t, "rows", "rows put back for lack of pages")

typedef struct wf_step_record {
#define WF_STEP_FIELD(field, type, units, description) type field;
    WF_STEP_TABLE(WF_STEP_FIELD)
#undef WF_STEP_FIELD
    uint16_t run, group;
} wf_step_record;

#endif
