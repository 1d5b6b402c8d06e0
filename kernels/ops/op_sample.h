// The choice of tokens.
#ifndef WF_KERNELS_OP_SAMPLE_H
#define WF_KERNELS_OP_SAMPLE_H

#include "kernels/ops/op_base.h"

// Tokens that a row can hold back until it has min_tokens.
#define WF_MAX_MASKED_STOPS 8

// How one row is sampled; row-indexed on the device. Names and meanings are vLLM's SamplingParams.
typedef struct wf_row_sampling {
    uint64_t rng_key; // hash of the row's seed and sample, or of (job seed, shard_uid, row, sample)
    float temperature; // 0: greedy
    float top_p, min_p;
    int32_t top_k; // <= 0: all
    float repetition_penalty, presence_penalty, frequency_penalty;
    int32_t prompt_len;
    int32_t min_tokens;                    // stop_ids are masked until that many are generated
    int32_t n_stop_ids;                    // used entries of stop_ids
    int32_t stop_ids[WF_MAX_MASKED_STOPS]; // EOS and stop tokens, for min_tokens only
    int32_t pad_;                          // keeps the size a multiple of 8
} wf_row_sampling;

// counts[row][id]: bit 15 set when id is in the row's prompt, low bits count generated ids. Counts
// every token of the batch as it is fed; a sequence that joins starts from a cleared row.
// Needed only where penalties are used.
typedef struct wf_count_args {
    const wf_batch *batch;
    const int32_t *ids;              // [T]
    const wf_row_sampling *sampling; // [R] (prompt_len tells prompt from output)
    uint16_t *counts;                // [R][counts_stride]
    int64_t counts_stride;           // >= n_vocab, even
    int32_t n_vocab;
} wf_count_args;

// What one listed row wishes of single tokens. The lists lie in one array of words, each from its
// place on; an id beyond the vocabulary does nothing.
typedef struct wf_row_wishes {
    int32_t i_allowed, n_allowed; // ids, ascending: no others may be drawn. 0: all may
    int32_t i_bias, n_bias;       // (id, the bits of a float), no id twice: added to its logit
    int32_t i_banned, n_banned;   // (id, before): may not be drawn; before >= 0: not where
                                  // last_token of the row is that
} wf_row_wishes;

// Samples one token per listed sequence. logits are changed in place. Order: NaN becomes -inf, raw
// logprobs, allowed and banned tokens, biases, repetition, presence, frequency penalties,
// min_tokens mask, temperature, min_p, top_k, top_p, draw, processed logprobs. Temperature 0 takes
// the greatest logit, the lowest id on ties. The filters keep every token tied with the last one
// kept. The draw inverts the cumulative sum over the kept tokens in ascending id with one Philox
// uniform: key rng_key, counter = position of the token that is drawn (sampling.h has the
// arithmetic).
typedef struct wf_sample_args {
    wf_matrix logits;   // [n, V] f32, whole vocabulary
    int32_t n_vocab;    // columns that are real tokens; the rest is padding
    const int32_t *row; // [n] row slot
    const int32_t *pos; // [n] position of the drawn token in its request
    const wf_row_sampling *sampling;
    const uint16_t *counts; // [R][counts_stride] or NULL
    int64_t counts_stride;
    const wf_row_wishes *wishes; // [n] or NULL: none has any
    const int32_t *wish_words;   // where their lists lie
    int32_t *last_token;         // [R] row array; receives the token
    int32_t *token;              // [n]
    int32_t n_top;               // logprobs asked for; 0: only the token's
    // Logprobs are vLLM's: raw, the log-softmax of the logits as the model gave them; processed,
    // that of what the token was drawn from, -inf where a filter took a token out (temperature 0:
    // of the penalised logits).
    bool processed;
    // Raw: the logits once more, unchanged, as slices of the vocabulary: [V /
    // raw_cols][n][raw_cols]. NULL where no row has penalties or wishes.
    const float *raw;
    int64_t raw_cols;
    float *logprob;     // [n] of the token, or NULL
    int32_t *top_id;    // [n][n_top] or NULL
    float *top_logprob; // [n][n_top]
} wf_sample_args;

// A greatest logit and its token.
typedef struct wf_best {
    float logit;
    int32_t id;
} wf_best;

// best[i] = the greatest of the first n_valid logits of row i, the lowest id on ties; NaN counts as
// -inf. No column: (-inf, INT32_MAX), which loses against every token. logits may be changed where
// they are NaN.
typedef struct wf_best_args {
    wf_matrix logits; // [n, V] f32, this rank's slice of the vocabulary
    int32_t n_valid;  // columns that are real tokens
    int32_t first_id; // token of column 0
    wf_best *best;    // [n]
} wf_best_args;

// Greedy rows of a split vocabulary: token[i] = last_token[row[i]] = the best of all ranks' best.
typedef struct wf_best_pick_args {
    const wf_best *best; // [n_ranks][n]
    int32_t n_ranks, n;
    const int32_t *row;  // [n] row slot
    int32_t *last_token; // [R] row array
    int32_t *token;      // [n]
} wf_best_pick_args;

#define WF_SAMPLE_OPS(X)                                                                           \
    X(count, wf_count_args)                                                                        \
    X(sample, wf_sample_args)                                                                      \
    X(best, wf_best_args)                                                                          \
    X(best_pick, wf_best_pick_args)
WF_SAMPLE_OPS(WF_OP_CHECK)

#endif
