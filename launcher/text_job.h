// The text of a job: prompts files encoded before it runs, answers written when it is complete.
//
//   requests: [prompts.jsonl] --weft-text prepare--> <out>/text/prompts-0c1d2e3f.h5 --> the job
//   results.h5 --weft-text decode--> output.text
//
// One process of a job does it, while the others wait. Both are safe to be killed and done again:
// shards and answers take their names when they are whole, a shard that fits its file is not made
// again, and one that does not is refused once results belong to it. All Local.
#ifndef WF_LAUNCHER_TEXT_JOB_H
#define WF_LAUNCHER_TEXT_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "jobs/run/drain.h"
#include "jobs/spec/jobspec.h"

// Whether the job has prompts files or wants its answers as text.
bool wf_text_job_is(const wf_jobspec *spec);
size_t wf_text_job_prompts(const wf_jobspec *spec); // how many of its requests are prompts files

// Whether a request is a prompts file whose shard is not there yet: nothing can be read of it.
bool wf_text_job_waits(const wf_jobspec *spec, size_t i_request);
size_t wf_text_job_waiting(const wf_jobspec *spec); // how many of them

// Lines of those that are waited for, each of which is a request; a table, or a file of more than
// WF_TEXT_JOB_COUNTED bytes, is not counted but told in *n_uncounted. WF_NO_INPUT, WF_DATA.
#define WF_TEXT_JOB_COUNTED (INT64_C(1) << 30)
wf_status wf_text_job_count(const wf_jobspec *spec, uint64_t *n_lines, size_t *n_uncounted);

// Whether the tokenizer that encoding or answering needs is there, without the companion.
// WF_NO_INPUT.
wf_status wf_text_job_check(const wf_jobspec *spec);

// Makes the shards that are not there yet. With `force`, also those whose file has changed although
// the job has begun. *some_bad: rows will fail in the answers, and their reasons have been logged.
// WF_NO_INPUT (no companion, no file), WF_DATA (nothing usable in a file), WF_MISMATCH, WF_DRAINED,
// WF_IO.
wf_status wf_text_job_encode(const wf_jobspec *spec, bool force, const wf_drain *drain,
                             bool *some_bad);

// Writes output.text, replacing an older one, from the merged results. Nothing where it is "".
wf_status wf_text_job_answer(const wf_jobspec *spec, const wf_drain *drain);

// Prints the answers instead, in a form of weft-text decode: "jsonl", "text".
wf_status wf_text_job_print(const wf_jobspec *spec, const char *form, const wf_drain *drain);

#endif
