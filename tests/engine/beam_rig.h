// What transformers' beam search finds (tests/golden/beams.json), and an engine that searches.
#ifndef WF_TESTS_ENGINE_BEAM_RIG_H
#define WF_TESTS_ENGINE_BEAM_RIG_H

#include "tests/engine/rig.h"

enum { BEAM_CASES = 64, BEAM_TEXTS = 16, BEAM_TOKENS = 64 };

typedef struct beam_text {
    int32_t n_tokens, token[BEAM_TOKENS];
    float score, logprob[BEAM_TOKENS];
    uint16_t preempted;
} beam_text;

typedef struct beam_case {
    char model[64];
    int32_t n_prompt, n_eos;
    int32_t prompt[64], eos[16];
    uint32_t max_new;
    wf_sampling sampling; // with ignore_eos: eos stands in their place
    int32_t n_texts;
    beam_text text[BEAM_TEXTS];
} beam_case;

// The cases of a model; NULL: of all. Returns how many.
int beam_cases_load(const char *model, beam_case *out);

// Searches for all cases in one engine, `others` greedy requests between them; texts[i] gets what
// came for case i, best first. On ranks other than 0 it follows. Returns how often requests were
// put back.
int64_t beam_cases_run(rig *r, const wf_engine_config *config, const beam_case *cases, int n,
                       int others, beam_text texts[][BEAM_TEXTS]);

// The engine's configuration that holds every case.
wf_engine_config beam_config(void);

// Tokens equal, scores within `tolerance`.
void beam_case_assert(const beam_case *c, const beam_text *texts, float tolerance);

#endif
