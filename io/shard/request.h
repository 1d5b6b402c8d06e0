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

// X(field, C type, units, description): one value per request, the column /requests/<field>, which
// every shard has.
#define WF_REQUEST_TABLE(X)                                                                        \
    X(id, uint64_t, "1", "the caller's id, unique within the shard")                               \
    X(arrival_ns, int64_t, "ns", "arrival since the stream's origin, non-decreasing")              \
    X(max_new_tokens, uint32_t, "tokens", "bound on generated tokens")

// X(field, count, C type, offsets, values, must, of failed, units and description of the offsets,
// and of the values): `count` values per request; the dataset `offsets` cuts `values` into rows.
// `must`: every shard has it, else both halves or none. `of failed`: handed out of rows that fail.
#define WF_REQUEST_RAGGED_TABLE(X)                                                                 \
    X(prompt, n_prompt, int32_t, "/requests/prompt_offset", "/prompts/tokens", true, false,        \
      "tokens", "row i's prompt is /prompts/tokens[offset[i]:offset[i+1]]", "token id",            \
      "all prompts, concatenated")                                                                 \
    X(stop, n_stop, int32_t, "/requests/stop_offset", "/requests/stop_token_ids", false, false,    \
      "tokens", "row i ends at stop_token_ids[offset[i]:offset[i+1]]", "token id",                 \
      "token ids that end a row, concatenated")                                                    \
    X(stop_string, stop_string_bytes, uint8_t, "/requests/stop_string_offset",                     \
      "/requests/stop_string", false, false, "bytes",                                              \
      "row i's stop strings are stop_string[offset[i]:offset[i+1]]", "UTF-8",                      \
      "texts that end a row, each of them ended by a zero byte, concatenated")                     \
    X(bias_id, n_bias_id, int32_t, "/requests/logit_bias_id_offset", "/requests/logit_bias_id",    \
      false, false, "tokens", "row i biases logit_bias_id[offset[i]:offset[i+1]]", "token id",     \
      "tokens whose logits are biased, ascending in each row, concatenated")                       \
    X(bias, n_bias, float, "/requests/logit_bias_offset", "/requests/logit_bias", false, false,    \
      "tokens", "row i's biases are logit_bias[offset[i]:offset[i+1]]", "1",                       \
      "what is added to the logits of logit_bias_id, concatenated")                                \
    X(allowed, n_allowed, int32_t, "/requests/allowed_offset", "/requests/allowed_token_ids",      \
      false, false, "tokens", "row i may draw allowed_token_ids[offset[i]:offset[i+1]]",           \
      "token id", "the only tokens that a row may draw, ascending in each row, concatenated")      \
    X(bad_words, n_bad_words, int32_t, "/requests/bad_words_offset",                               \
      "/requests/bad_words_token_ids", false, false, "tokens",                                     \
      "row i's bad words are bad_words_token_ids[offset[i]:offset[i+1]]", "token id",              \
      "words that a row may not say, each of them ended by -1, concatenated")                      \
    X(segment, n_segment, int32_t, "/requests/segment_offset", "/requests/segment", false, false,  \
      "segments", "row i's further segments begin at segment[offset[i]:offset[i+1]]", "tokens",    \
      "where further segments of prompts begin, in tokens of the prompt, concatenated")            \
    X(meta, meta_bytes, uint8_t, "/requests/meta_offset", "/requests/meta", false, true, "bytes",  \
      "row i's note is meta[offset[i]:offset[i+1]]", "bytes",                                      \
      "UTF-8 passed through to the result, concatenated")

// X(field, C type, units, of no session, description): where a request stands in a session, the
// columns /requests/<field>: a shard has all of them or none. `of no session` is what rows without
// one hold. Turns of a session bear its number in whatever shard of a job they stand.
#define WF_REQUEST_SESSION_TABLE(X)                                                                \
    X(session, uint64_t, "1", 0, "the session that the request is a turn of, 0: none")             \
    X(turn, uint32_t, "1", 0, "its place among the session's turns, from 0")                       \
    X(think_ns, int64_t, "ns", WF_THINK_UNKNOWN,                                                   \
      "from the end of the turn before to this one's arrival, -1: not known")

#define WF_THINK_UNKNOWN (-1)

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
    X(logprobs, int32_t, I, -1, -1, 20)                                                            \
    X(best_of, uint32_t, U, 0, 0, 1024)                                                            \
    X(beam_width, uint32_t, U, 0, 0, 64)                                                           \
    X(length_penalty, float, F, 1.0f, -100.0, 100.0)                                               \
    X(early_stopping, uint32_t, U, 0, 0, 2)                                                        \
    X(include_stop_str_in_output, bool, B, false, 0, 1)                                            \
    X(prompt_logprobs, int32_t, I, -1, -1, 20)

// seed -1: the job's seed decides. logprobs -1: none; 0: the sampled token's; k: and the k best.
// top_k 0 or -1: all. best_of 0: as many as n.
// prompt_logprobs as logprobs, of the tokens of the prompt.
// The three of beams are transformers' (num_beams; n is num_return_sequences): beam_width 0 or 1:
// no search; early_stopping as wf_early_stopping (engine/beams.h): false, true, "never".
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
#define WF_REQUEST_VALUE(field, type, units, description) type field;
    WF_REQUEST_TABLE(WF_REQUEST_VALUE)
#undef WF_REQUEST_VALUE
#define WF_REQUEST_PLACE(field, type, units, none, description) type field;
    WF_REQUEST_SESSION_TABLE(WF_REQUEST_PLACE)
#undef WF_REQUEST_PLACE
#define WF_REQUEST_ARRAY(field, count, type, offsets, values, must, of_failed, cut_units, cut,     \
                         units, description)                                                       \
    const type *field; /* [count] */                                                               \
    uint32_t count;
    WF_REQUEST_RAGGED_TABLE(WF_REQUEST_ARRAY)
#undef WF_REQUEST_ARRAY
    uint32_t sampling_set; // which sampling columns the shard gives; the job fills in the others
    wf_sampling sampling;
    wf_status status;  // WF_OK, or the WF_REQ_* reason why the row must fail
    const char *error; // one line for people when status is not WF_OK, else NULL
} wf_request;

// How many results a request has: sampling.n, and one where that is nonsense and fails the row.
uint32_t wf_sampling_samples(const wf_sampling *sampling);

// Whether its n results are the best of more samples.
bool wf_sampling_chooses(const wf_sampling *sampling);

// A row's sampling: what its shard gives, and the job's where it gives nothing.
wf_sampling wf_request_sampling(const wf_request *request, const wf_sampling *job);

// The defaults of WF_SAMPLING_TABLE.
wf_sampling wf_sampling_default(void);

// Most that one row may give of these. A bad word's end counts as a token, a stop string's as a
// byte.
enum {
    WF_MOST_BIASES = 1024,
    WF_MOST_ALLOWED = 65536,
    WF_MOST_BAD_WORDS = 4096,
    WF_MOST_STOP_BYTES = 4096
};

// Checks stop strings as a row has them: none empty, the last one ended, text, not too many.
// WF_REQ_SAMPLING. Pure.
wf_status wf_request_check_stop_strings(const uint8_t *strings, uint32_t n_bytes);

// Where a row's second segment begins, in tokens; 0: it has one alone.
static inline int32_t wf_request_second(const wf_request *request)
{
    return request->n_segment > 0 ? request->segment[0] : 0;
}

// Bytes of the ragged values that a request has (of those handed out of a failed row, where it is
// one), each rounded up to 8, and a copy of the request with them in `to`, which is so large and
// aligned to 8.
size_t wf_request_values_bytes(const wf_request *request);
wf_request wf_request_copy(const wf_request *request, void *to);

// Checks one request against a model: empty prompt, token range, context, lengths, sampling ranges.
// n_vocab and max_context of 0 skip those checks. Returns the WF_REQ_* code with its detail
// recorded, or WF_OK. Local.
wf_status wf_request_check(const wf_request *request, int64_t n_vocab, int64_t max_context);

#endif
