// What requests wish of single tokens, step by step: vLLM's logit_bias, allowed_token_ids and
// bad_words as the lists that sampling reads (ops.h, wf_row_wishes).
//
// Biases and allowed tokens are the same at every step. A bad word bans its last token where the
// ones before it are the request's newest output. While a step is in flight the newest of all is
// on the device alone, so that the ban then carries it as its condition:
//
//   bad word  7 8 9      output known  ... 5 7      in flight  ?      ->  (9, before 8)
//   bad word  7 8 9      output known  ... 7 8      in flight  -      ->  (9, always)
//
// All Local and pure.
#ifndef WF_ENGINE_WISHES_H
#define WF_ENGINE_WISHES_H

#include "engine/batcher.h"

// Words of the lists of a schedule's sampled rows. Its tags must be wf_sequence.
int32_t wf_wishes_count(const wf_schedule *s);

// The wishes of every sampled row, in their order, and the lists. n_samples: those of the plan,
// which may be padded. rows: [n_samples] wf_row_wishes. words: [wf_wishes_count()].
void wf_wishes_fill(const wf_schedule *s, int32_t n_samples, int32_t *rows, int32_t *words);

#endif
