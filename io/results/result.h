// One finished request as it stands in a results file (format weft-results), and one engine step.
//
// What a result holds is said once, in the two tables here and the columns' table made of them
// (payload.h): the structs below, the writer, the reader, merge, `show` and its JSON walk it.
#ifndef WF_IO_RESULTS_RESULT_H
#define WF_IO_RESULTS_RESULT_H

#include <stdint.h>

#include "io/base/status.h"

typedef enum wf_result_status { WF_RESULT_DONE = 0, WF_RESULT_FAILED = 1 } wf_result_status;

// X(NAME, number, words): why generation ended.
#define WF_FINISH_TABLE(X)                                                                         \
    X(NONE, 0, "none")                                                                             \
    X(STOP, 1, "stop")       /* EOS or a stop token, stored as the last token; or a stop string */ \
    X(LENGTH, 2, "length")   /* max_new_tokens */                                                  \
    X(CONTEXT, 3, "context") /* the model's context is full */                                     \
    X(ERROR, 4, "error")                                                                           \
    X(VECTOR, 5, "vector") /* nothing was to be generated: the row's vector is there */            \
    X(SCORES, 6, "scores") /* or its scores */                                                     \
    X(MASKS, 7, "masks")   /* each mask of the prompt has its token */

typedef enum wf_finish {
#define WF_FINISH_ENUM(name, number, words) WF_FINISH_##name = number,
    WF_FINISH_TABLE(WF_FINISH_ENUM)
#undef WF_FINISH_ENUM
} wf_finish;

const char *wf_finish_words(wf_finish finish);
const char *wf_result_status_words(wf_result_status status); // "done"

// X(field, C type, H5 type, units, label, description): one value per result, /requests/<field>.
// The key is (shard, row, sample); times are ns of run time, -1 where it did not happen. `label`
// heads its line of `weft show`; NULL: shown with others or not at all.
#define WF_RESULT_TABLE(X)                                                                         \
    X(shard, uint32_t, U32, "1", NULL, "index into /shards")                                       \
    X(row, uint64_t, U64, "1", NULL, "row within the shard")                                       \
    X(sample, uint16_t, U16, "1", NULL, "which of the row's n outputs")                            \
    X(id, uint64_t, U64, "1", NULL, "the caller's id")                                             \
    X(status, uint8_t, U8, "enum", NULL, "done or failed")                                         \
    X(finish_reason, uint8_t, U8, "enum", NULL, "why generation ended")                            \
    X(error_code, uint16_t, U16, "enum", NULL, "why the row failed, 0 when done")                  \
    X(arrival_ns, int64_t, I64, "ns", "arrival", "intended arrival, run time")                     \
    X(submitted_ns, int64_t, I64, "ns", "submitted", "handed to the engine, run time, -1: never")  \
    X(admitted_ns, int64_t, I64, "ns", "admitted", "joined the batch, run time, -1: never")        \
    X(first_token_ns, int64_t, I64, "ns", "first token",                                           \
      "first token on the host, run time, -1: never")                                              \
    X(finish_ns, int64_t, I64, "ns", "finish", "last token on the host, run time, -1: never")      \
    X(prompt_len, uint32_t, U32, "tokens", "prompt", "prompt length")                              \
    X(run, uint16_t, U16, "1", NULL, "run that served it")                                         \
    X(group, uint16_t, U16, "1", NULL, "group that served it")                                     \
    X(preempted, uint16_t, U16, "1", NULL, "times it was put back")

// X(field, C type, H5 type, when, units, label, description): likewise, of files that have it;
// `when` as below. 0, of a float NaN, where a file has it not.
#define WF_RESULT_OPTIONAL_TABLE(X)                                                                \
    X(n_cached, uint32_t, U32, WF_IF(n_cached), "tokens", "cached",                                \
      "prompt tokens whose keys and values were there as it joined")                               \
    X(score, float, F32, WF_IF(score), "nat", "score",                                             \
      "by which it was chosen as an output of its row; NaN where none was chosen")                 \
    X(n_dropped, uint32_t, U32, WF_IF(dropped), "tokens", "dropped",                               \
      "of a row's first result: tokens of its samples that were not kept (best_of)")               \
    X(session, uint64_t, U64, WF_IF(sessions), "1", "session",                                     \
      "the session that the request is a turn of, 0: none")                                        \
    X(turn, uint32_t, U32, WF_IF(sessions), "1", "turn", "its place in the session, from 0")       \
    X(stop_kept, uint8_t, U8, WF_IF(stop_kept), "1", NULL,                                         \
      "1: its text keeps what ended it (include_stop_str_in_output)")

// X(field, C type, H5 type, dataset, cut, when, width, JSON name, units, description): as many
// values per result as its part of `cut` (WF_CUT_TABLE, payload.h) has. In a wf_result the values
// are borrowed; NULL: missing, which the file says by NaN or -1. `when`: WF_ALWAYS, or
// WF_IF(member of wf_result_columns). `width`: WF_ONE, or WF_WIDE(member of wf_result and of
// wf_result_columns): so many numbers to a value.
#define WF_RAGGED_TABLE(X)                                                                         \
    X(error, char, U8, "/requests/error", error_offset, WF_ALWAYS, WF_ONE, "error", "UTF-8",       \
      "one line for people, empty when done")                                                      \
    X(meta, uint8_t, U8, "/requests/meta", meta_offset, WF_ALWAYS, WF_ONE, "meta", "UTF-8",        \
      "passed through from the request")                                                           \
    X(stop_string, char, U8, "/requests/stop_string", stop_string_offset, WF_IF(stop_strings),     \
      WF_ONE, "stop_string", "UTF-8", "the stop string that ended it, empty where none did")       \
    X(token_id, int32_t, I32, "/tokens/id", output_offset, WF_ALWAYS, WF_ONE, "token_ids",         \
      "token", "generated tokens, the ending one included")                                        \
    X(token_time_ns, int64_t, I64, "/tokens/time_ns", output_offset, WF_IF(token_times), WF_ONE,   \
      "token_time_ns", "ns", "when the host had the token, run time")                              \
    X(logprob, float, F32, "/tokens/logprob", output_offset, WF_IF(logprobs), WF_ONE, "logprobs",  \
      "nat", "log probability of the token, NaN where not asked for")                              \
    X(top_id, int32_t, I32, "/tokens/top_id", output_offset, WF_IF(n_top), WF_WIDE(n_top),         \
      "top_ids", "token", "the most probable tokens, -1 beyond those asked for")                   \
    X(top_logprob, float, F32, "/tokens/top_logprob", output_offset, WF_IF(n_top), WF_WIDE(n_top), \
      "top_logprobs", "nat", "their log probabilities, NaN beyond those asked for")                \
    X(prompt_logprob, float, F32, "/prompts/logprob", prompt_offset, WF_IF(prompt_logprobs),       \
      WF_ONE, "prompt_logprobs", "nat",                                                            \
      "log probability of each token of the prompt, NaN the first")                                \
    X(prompt_top_id, int32_t, I32, "/prompts/top_id", prompt_offset, WF_IF(n_prompt_top),          \
      WF_WIDE(n_prompt_top), "prompt_top_ids", "token",                                            \
      "the most probable tokens at its place, -1 beyond those asked for")                          \
    X(prompt_top_logprob, float, F32, "/prompts/top_logprob", prompt_offset, WF_IF(n_prompt_top),  \
      WF_WIDE(n_prompt_top), "prompt_top_logprobs", "nat",                                         \
      "their log probabilities, NaN beyond those asked for")

// X(field, C type, H5 type, width, units, JSON name, description): a row of numbers per result, the
// matrix /requests/<field>, in files that have it. `width`: member of wf_result and of
// wf_result_columns that says how many. In a wf_result the values are borrowed; NULL: missing,
// which the file says by NaN.
#define WF_WIDE_TABLE(X)                                                                           \
    X(vector, float, F32, n_vector, "1", "vector",                                                 \
      "what the model made of the row; NaN where the row failed")                                  \
    X(scores, float, F32, n_scores, "1", "scores",                                                 \
      "of the row, one for each of the file's labels; NaN where the row failed")

typedef struct wf_result {
#define WF_RESULT_VALUE(field, ctype, type, units, label, description) ctype field;
    WF_RESULT_TABLE(WF_RESULT_VALUE)
#undef WF_RESULT_VALUE
#define WF_RESULT_VALUE(field, ctype, type, when, units, label, description) ctype field;
    WF_RESULT_OPTIONAL_TABLE(WF_RESULT_VALUE)
#undef WF_RESULT_VALUE
#define WF_RESULT_ARRAY(field, ctype, type, dataset, cut, when, width, json, units, description)   \
    const ctype *field;
    WF_RAGGED_TABLE(WF_RESULT_ARRAY)
#undef WF_RESULT_ARRAY
#define WF_RESULT_WIDE(field, ctype, type, width, units, json, description)                        \
    const ctype *field;                                                                            \
    uint32_t width;
    WF_WIDE_TABLE(WF_RESULT_WIDE)
#undef WF_RESULT_WIDE
    uint32_t n_tokens;   // of every array of /tokens
    uint32_t meta_bytes; // `error` ends by its NUL
    uint32_t stop_string_bytes;
    uint32_t n_top;           // k of top_id and top_logprob, [n_tokens][n_top]
    uint32_t n_prompt_scored; // of every array of /prompts: prompt_len where asked for, else 0
    uint32_t n_prompt_top;
} wf_result;

// Which optional columns a results file has: 0 or 1, or how wide they are.
typedef struct wf_result_columns {
    uint32_t token_times;
    uint32_t steps;
    uint32_t logprobs;
    uint32_t n_top; // k of top_id and top_logprob
    uint32_t n_cached;
    uint32_t score;
    uint32_t dropped;  // results are the best of more samples
    uint32_t n_vector; // numbers of a row's vector
    uint32_t n_scores; // labels that a row is scored for
    uint32_t sessions;
    uint32_t stop_strings; // rows may end at one
    uint32_t stop_kept;    // and may keep it in their text
    uint32_t prompt_logprobs;
    uint32_t n_prompt_top;  // k of prompt_top_id and prompt_top_logprob
    uint32_t n_expert_load; // layers with experts times experts
} wf_result_columns;

// X(field, C type, H5 type, units, description): one row of /steps per engine step.
#define WF_STEP_TABLE(X)                                                                           \
    X(start_ns, int64_t, I64, "ns", "start of the step in run time")                               \
    X(duration_ns, int64_t, I64, "ns", "time until its tokens were on the host")                   \
    X(plan_ns, int64_t, I64, "ns", "time to plan and publish it")                                  \
    X(n_decode, int32_t, I32, "rows", "decode rows")                                               \
    X(n_prefill, int32_t, I32, "rows", "rows with a prompt chunk")                                 \
    X(n_prompt_tokens, int32_t, I32, "tokens", "prompt tokens computed")                           \
    X(n_discarded, int32_t, I32, "rows", "decode rows whose output was thrown away")               \
    X(kv_pages, int32_t, I32, "pages", "KV pages in use")                                          \
    X(rows_moved, int32_t, I32, "rows", "rows moved by reordering")                                \
    X(bytes_moved, int64_t, I64, "bytes", "bytes moved by reordering")                             \
    X(n_waiting, int64_t, I64, "requests", "requests that arrived and were not admitted")          \
    X(n_put_back, int32_t, I32, "rows", "rows put back for lack of pages")                         \
    X(run, uint16_t, U16, "1", "run of the step")                                                  \
    X(group, uint16_t, U16, "1", "group of the step")

// X(field, C type, H5 type, when, units, description): likewise, of files that have it. What `when`
// names is told by the wide column that has as many.
#define WF_STEP_OPTIONAL_TABLE(X)                                                                  \
    X(expert_layers, int32_t, I32, WF_IF(n_expert_load), "layers",                                 \
      "layers that have experts, of which expert_load tells one after the other")

// X(field, C type, H5 type, width, units, description): a row of numbers per step, the matrix
// /steps/<field>; `width` as in WF_WIDE_TABLE. In a wf_step_record the values are borrowed; NULL:
// missing, which the file says by -1.
#define WF_STEP_WIDE_TABLE(X)                                                                      \
    X(expert_load, int32_t, I32, n_expert_load, "tokens",                                          \
      "tokens that each expert of each layer was chosen by")

typedef struct wf_step_record {
#define WF_STEP_FIELD(field, ctype, type, units, description) ctype field;
    WF_STEP_TABLE(WF_STEP_FIELD)
#undef WF_STEP_FIELD
#define WF_STEP_FIELD(field, ctype, type, when, units, description) ctype field;
    WF_STEP_OPTIONAL_TABLE(WF_STEP_FIELD)
#undef WF_STEP_FIELD
#define WF_STEP_WIDE(field, ctype, type, width, units, description)                                \
    const ctype *field;                                                                            \
    uint32_t width;
    WF_STEP_WIDE_TABLE(WF_STEP_WIDE)
#undef WF_STEP_WIDE
} wf_step_record;

#endif
