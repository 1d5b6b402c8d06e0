// What is drawn at random for a stream: sequences that a purpose, the seed and a row or block name.
// Not for use elsewhere.
#ifndef WF_JOBS_STREAMS_IMPORT_DRAW_H
#define WF_JOBS_STREAMS_IMPORT_DRAW_H

#include "io/base/rng.h"

#define WF_DRAW_PROMPT  UINT64_C(0x70726f6d7074) // a row's own tokens
#define WF_DRAW_BLOCK   UINT64_C(0x626c6f636b)   // a shared block's tokens
#define WF_DRAW_JITTER  UINT64_C(0x6a6974746572) // a row's jitter
#define WF_DRAW_ARRIVAL UINT64_C(0x6172726976)   // a synthetic stream's gaps
#define WF_DRAW_LENGTH  UINT64_C(0x6c656e677468) // a synthetic row's lengths

// Keeps the sequences of different purposes apart by their keys.
static inline wf_rng wf_draw_sequence(uint64_t seed, uint64_t purpose, uint64_t number)
{
    return wf_rng_make(seed ^ purpose * UINT64_C(0x9E3779B97F4A7C15), number);
}

#endif
