// Turns JSON lines of prompts, as token ids, into a request shard.
//
//   {"id": 7, "prompt_token_ids": [1, 15043], "max_new_tokens": 64, "arrival_s": 0.25,
//    "temperature": 0.7, "stop_token_ids": [2], "meta": {"tenant": "a"}}
//
// Only prompt_token_ids is required (and max_new_tokens, unless there is a default). id defaults to
// the row's place among the rows, arrival_s to 0. "max_tokens" is taken for max_new_tokens. The
// sampling parameters have vLLM's names; so have logit_bias ({"7": -2.5}), allowed_token_ids, and,
// as token ids, bad words (bad_words_token_ids: [[7, 8], [9]]). meta is an object, kept as JSON, or
// text. Rows are sorted by arrival; rows of the same time keep their order. "prompt" and "stop"
// (text) are taken only with `bytes`, and a prompt is passed over where there are token ids. Memory
// is 64 bytes a row and the longest line. Local.
#ifndef WF_JOBS_STREAMS_PACK_H
#define WF_JOBS_STREAMS_PACK_H

#include <stdbool.h>
#include <stdint.h>

#include "io/base/status.h"

typedef struct wf_pack_options {
    const char *input;
    const char *output;
    int64_t vocab;           // every token id is below this; 0: the greatest id found + 1
    bool bytes;              // "prompt" is taken: its UTF-8 bytes are its token ids
    int64_t bos;             // with bytes: put before each "prompt"; -1: nothing is
    uint32_t max_new_tokens; // of rows that do not say; 0: every row must
    bool replace;            // an existing shard gives way
    const char *generator;   // command line, stored; may be NULL
} wf_pack_options;

typedef struct wf_pack_report {
    uint64_t n_rows, n_prompt_tokens;
    int64_t vocab;
    int64_t span_ns;         // last arrival
    uint64_t n_out_of_order; // rows that came before an earlier row; they were sorted
} wf_pack_report;

// WF_NO_INPUT; WF_DATA with `file:line: what` for bad rows, before anything is written (several are
// logged, up to a bound); WF_IN_USE when the output exists; WF_IO.
wf_status wf_pack_run(const wf_pack_options *options, wf_pack_report *report);

#endif
