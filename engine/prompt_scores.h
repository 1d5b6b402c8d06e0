// Log-probabilities of prompt tokens, and of the most probable ones at their places, as vLLM's
// prompt_logprobs: what the model thinks of a text that is there.
//
//   chunk [n_past, n_past + n_new)  --  place p is scored by the hidden state at p - 1
//
// A step scores the prompt tokens of its chunks that ask for it, but for the first of each prompt,
// for which there is none. It does so in batches of no more than max_rows places, so that logits
// take no more memory than those of rows that draw: each is "sampled" with its token as the only
// one allowed, which gives the token's raw log-probability whatever the back end. Rows that ask
// share no pages: every prompt token is computed. Pure but for what is marked.
#ifndef WF_ENGINE_PROMPT_SCORES_H
#define WF_ENGINE_PROMPT_SCORES_H

#include "engine/batcher.h"
#include "engine/executor.h"
#include "engine/stepplan.h"

// The plan's header words of scores: how many places, rounded up to whole batches; a batch; 1 + the
// most best ones that any asks for. All 0 where none asks.
void wf_prompt_scores_header(const wf_schedule *s, const wf_plan_limits *limits, int32_t *header);

// Fills the sections of scores; `at` holds all sections of the plan.
void wf_prompt_scores_fill(const wf_schedule *s, const wf_plan_limits *limits,
                           const int32_t *header, int32_t *const at[WF_PLAN_N_SECTIONS]);

// Deals a step's scores out to its sequences, in the order in which they were filled in.
void wf_prompt_scores_deliver(const wf_schedule *s, const wf_step_output *out);

#endif
