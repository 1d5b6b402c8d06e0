// The texts of a calibration shard: what choices are measured on, and what they are judged by.
//
// Rows take turns: the first is for calibration, the second is held out for the report, and so on,
// each half up to a number of tokens. Only prompts count. Local.
#ifndef WF_JOBS_QUANTIZE_TEXTS_H
#define WF_JOBS_QUANTIZE_TEXTS_H

#include "io/base/arena.h"
#include "io/shard/reader.h"

#define WF_QUANTIZE_LEAST_TOKENS 256 // of each half

typedef struct wf_texts {
    int32_t n;           // texts
    const int32_t **ids; // [n][length]
    int32_t *length;     // [n] at least 2
    int64_t n_tokens;
    int32_t longest;
} wf_texts;

typedef struct wf_text_halves {
    wf_texts calibration, held_out;
    char uid[WF_HASH128_HEX]; // the shard's
    wf_arena *arena;          // owns all of it
} wf_text_halves;

// Texts longer than max_tokens are cut. WF_DATA: the shard is too short, or a token is outside of
// the vocabulary, which names the row. WF_SHARD, WF_NO_INPUT. *out is for wf_texts_free either way.
wf_status wf_texts_read(wf_reader *reader, const char *path, int64_t n_vocab, int32_t max_tokens,
                        int64_t half_tokens, wf_text_halves *out);
void wf_texts_free(wf_text_halves *halves);

#endif
