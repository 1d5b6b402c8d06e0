// The rows of the job file's table that WF_SAMPLING_TABLE makes. Private to jobspec_table.c.
#ifndef WF_JOBS_SPEC_JOBSPEC_SAMPLING_H
#define WF_JOBS_SPEC_JOBSPEC_SAMPLING_H

#include "engine/beams.h"
#include "jobs/spec/jobspec.h"

static const wf_option_word early_words[] = {
    {"false", WF_EARLY_FALSE}, {"true", WF_EARLY_TRUE}, {"never", WF_EARLY_NEVER}, {NULL, 0}};

// Columns behind logprobs are younger than folders that are gone on with.
// The sampling keys come from the table that also makes the shards' columns; here are only the
// texts that it cannot hold. A column without them does not compile.
#define DEFAULT_temperature                "0"
#define DEFAULT_top_p                      "1"
#define DEFAULT_top_k                      "0"
#define DEFAULT_min_p                      "0"
#define DEFAULT_repetition_penalty         "1"
#define DEFAULT_presence_penalty           "0"
#define DEFAULT_frequency_penalty          "0"
#define DEFAULT_min_tokens                 "0"
#define DEFAULT_seed                       "-1"
#define DEFAULT_ignore_eos                 "false"
#define DEFAULT_n                          "1"
#define DEFAULT_best_of                    "0"
#define DEFAULT_beam_width                 "0"
#define DEFAULT_length_penalty             "1"
#define DEFAULT_early_stopping             "false"
#define DEFAULT_logprobs                   "-1"
#define DEFAULT_include_stop_str_in_output "false"
#define DEFAULT_prompt_logprobs            "-1"

#define HELP_temperature "0 is greedy; otherwise logits are divided by it before drawing"
#define HELP_top_p       "draw among the most probable tokens that together reach this probability"
#define HELP_top_k       "draw among this many most probable tokens; 0 or -1: all"
#define HELP_min_p "draw among tokens of at least this share of the most probable one's probability"
#define HELP_repetition_penalty                                                                    \
    "above 1 makes tokens of the prompt and the output so far less likely"
#define HELP_presence_penalty  "subtracted once from the logit of every token generated so far"
#define HELP_frequency_penalty "subtracted from a token's logit for each time it was generated"
#define HELP_min_tokens "no end-of-sequence, stop token or stop string before this many tokens"
#define HELP_seed                                                                                  \
    "seed of a request's random numbers: requests of equal seed and prompt draw the same tokens, " \
    "wherever they stand; -1: each has numbers of its own, made from the job's seed"
#define HELP_ignore_eos "generate max_new_tokens whatever the model says"
#define HELP_n          "outputs per request"
#define HELP_beam_width                                                                            \
    "beam search with so many beams, as transformers' num_beams: the n best texts, with "          \
    "requests/score, the best first; 0 and 1: none"
#define HELP_length_penalty                                                                        \
    "beam search: a text's score is the sum of its log-probabilities by its length to this power"
#define HELP_early_stopping                                                                        \
    "beam search: true: over when beam_width texts have ended; false, never: when none is "        \
    "likely, or able, to become better"
#define HELP_best_of                                                                               \
    "so many outputs are drawn, and the n of the greatest sum of log-probabilities kept, the "     \
    "best first: requests/score; 0: as many as n"
#define HELP_include_stop_str_in_output "the text keeps the stop string or stop token that ended it"
#define HELP_prompt_logprobs                                                                       \
    "keep log-probabilities of the prompt's tokens but the first (0), and of the k best at their " \
    "places (k); such rows share no prompt pages; -1: none"
#define HELP_logprobs                                                                              \
    "keep log-probabilities: of the drawn token (0) and of the k best (k); -1: none"

// clang-format off
#define OPTION_TYPE(ctype)                                                                         \
    _Generic((ctype){0}, bool: WF_OPTION_BOOL, float: WF_OPTION_F32, int32_t: WF_OPTION_I32,       \
             uint32_t: WF_OPTION_U32, int64_t: WF_OPTION_I64)
#define LIMIT(ctype, value) _Generic((ctype){0}, bool: 0, default: value)
// clang-format on

#define WORDS_OF(field)                                                                            \
    (WF_SAMPLING_##field == WF_SAMPLING_early_stopping ? early_words : (const wf_option_word *)NULL)

#define SAMPLING_ROW(field, ctype, kind, def, lo, hi)                                              \
    {.name = "sampling." #field,                                                                   \
     .type = OPTION_TYPE(ctype),                                                                   \
     .offset = AT(sampling.field),                                                                 \
     .min = LIMIT(ctype, lo),                                                                      \
     .max = LIMIT(ctype, hi),                                                                      \
     .words = WORDS_OF(field),                                                                     \
     .default_text = DEFAULT_##field,                                                              \
     .help = HELP_##field,                                                                         \
     .decides = WF_SPEC_ANY_MODE |                                                                 \
                (WF_SAMPLING_##field > WF_SAMPLING_logprobs ? WF_SPEC_UNLESS_DEFAULT : 0)},

#endif
