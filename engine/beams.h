// Beam search: which texts of a request go on, which have ended, and when the search is over.
//
//   live beams, with the sum of their log-probabilities       ended texts, by score, `width` at
//   most
//     beam 0: a b c    -1.2  --+  each with the most probable     a b <eos>   -0.7
//     beam 1: a d e    -1.9    +- tokens that may follow it        d <eos>     -0.9
//     beam 2: f b c    -2.0  --+          |
//                                         v  take() of every live beam, then choose()
//              the `n_candidates` best of all: of the first `width` those that end are ended texts,
//              the best `width` of those that do not go on; parent[] says from which beam
//
// The search of transformers' generate(num_beams=...), 5.x, without sampling: n_candidates is
// width * max(2, 1 + stop tokens), so that enough go on whatever ends; score = sum of
// log-probabilities / (tokens, the ending one included) ^ length_penalty; a text that reaches the
// limit ends there. It is over when `width` texts have ended and early_stopping is TRUE, when none
// that goes on can get better than all that have ended (FALSE: as it would be at its present
// length; NEVER: at its best possible one), or at the limit.
//
// Pure: no device, no time but what it is told. A search belongs to as many sequences as it has
// beams, and goes with the last of them.
#ifndef WF_ENGINE_BEAMS_H
#define WF_ENGINE_BEAMS_H

#include <stdbool.h>
#include <stdint.h>

#include "io/base/status.h"

typedef enum wf_early_stopping { WF_EARLY_FALSE, WF_EARLY_TRUE, WF_EARLY_NEVER } wf_early_stopping;

// Stop tokens that a request with beams may have, EOS included.
#define WF_BEAMS_MOST_STOPS 15

typedef struct wf_beams_config {
    int32_t width;   // beams, >= 2
    int32_t n_limit; // most tokens
    float length_penalty;
    wf_early_stopping early;
    uint32_t n_stop;
    const int32_t *stop; // [n_stop] borrowed
} wf_beams_config;

typedef struct wf_beam_text {
    float score; // of a live one: the sum of its log-probabilities
    int32_t n_tokens;
    int32_t *token; // [n_limit]
    float *logprob; // [n_limit]
    bool ended;     // of a kept one; else its place is free
} wf_beam_text;

typedef struct wf_beams {
    wf_beams_config c;
    int32_t n_candidates; // that take() wants of a beam, and that are chosen among
    int32_t n_tokens;     // of the live beams
    int32_t n_live;       // beams: 1 before the first choice
    bool over;
    wf_beam_text *live, *kept, *next;    // [width]; kept: the best that ended, best first
    int32_t *parent;                     // [width] of the last choice
    int64_t *time_ns;                    // [n_limit] when each token was chosen
    struct wf_beam_candidate *candidate; // [width * n_candidates]
    int32_t n_taken;
    // Books of whoever drives it.
    void **owner;      // [width] the sequence of each beam
    int32_t n_owners;  // those that still have it
    int32_t n_results; // texts that are asked for
    bool logprobs;     // and their log-probabilities
    int32_t n_flight;  // sequences of its in steps in flight
    bool dropped;      // it began anew while steps of its were in flight, which count for nothing
} wf_beams;

// Candidates of one beam that a search of this width takes.
int32_t wf_beams_candidates(int32_t width, uint32_t n_stop);

// Copies the stop tokens. WF_NO_MEMORY. own.
wf_status wf_beams_create(const wf_beams_config *config, wf_beams **out);
void wf_beams_destroy(wf_beams *b); // takes NULL

void wf_beams_restart(wf_beams *b);

// The n_candidates most probable tokens after beam i, and their log-probabilities.
void wf_beams_take(wf_beams *b, int32_t i, const int32_t *id, const float *logprob);

// Whether every live beam was taken.
bool wf_beams_full(const wf_beams *b);

// Chooses. Afterwards `over`, or: live[i] goes on from what was live[parent[i]], by its last token.
void wf_beams_choose(wf_beams *b, int64_t time_ns);

#endif
