// The sampling defaults that a model's folder brings: generation_config.json, read as vLLM reads
// it.
//
//   a row's own value  >  job file, environment, --set  >  generation_config.json  >  our defaults
//
// Five keys are taken: temperature, top_k, top_p, min_p and repetition_penalty; do_sample without a
// temperature means 1. What was taken is written into the resolved job (`model.generation_taken`),
// so that it is recorded with the results, and a resolved job takes nothing a second time. The
// tokens that end a text are not sampling: engine/arch_tokens.c reads them in any case.
#ifndef WF_JOBS_SPEC_GENERATION_H
#define WF_JOBS_SPEC_GENERATION_H

#include "jobs/spec/jobspec.h"

enum { WF_GENERATION_MOST = 5 };

// Fills in what neither `options` nor the resolved job gives. `taken` is room for the names, which
// `spec` borrows. A folder that cannot be read is left to those who need it. Values out of range
// are complained about.
wf_status wf_generation_take(wf_jobspec *spec, wf_options *options,
                             const char *taken[WF_GENERATION_MOST]);

// "temperature 0.6, top_p 0.9", "" where nothing was taken; own, free().
wf_status wf_generation_words(const wf_jobspec *spec, char **out);

#endif
