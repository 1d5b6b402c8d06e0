// Requests that are text: files of prompts, which the text companion turns into request shards.
//
//   requests: [azure.h5, prompts.jsonl]      as the job file says
//   shards:   [azure.h5, <out>/text/prompts-0c1d2e3f.h5]      what is opened and read
//
// The shard's name follows from the file's, so that every process of a job knows it, and a resumed
// job finds it. Who makes it, and when: launcher/text_job.h. All Local.
#ifndef WF_JOBS_PROMPTS_H
#define WF_JOBS_PROMPTS_H

#include <stdbool.h>
#include <stddef.h>

#include "io/base/file.h"
#include "io/base/option.h"
#include "io/base/status.h"

// By the end of its name: .jsonl, .ndjson, .csv, .tsv, .parquet. The same names say in what form
// answers are written.
bool wf_prompts_is_file(const char *path);

// Those endings, for people: ".jsonl .ndjson ..."; a constant.
const char *wf_prompts_endings(void);

// Whether answers can be written to a file of this name: one of prompts, or an .npy, which takes
// the numbers of tasks that make some (wf_task_vectors). Pure.
bool wf_prompts_is_answers(const char *path);
bool wf_prompts_is_matrix(const char *path);

// Adds to `shards` ({0} at first; wf_paths_destroy) the shard of each request of a job whose output
// folder is `out_dir`.
wf_status wf_prompts_shards(const wf_option_strings *requests, const char *out_dir,
                            wf_paths *shards);

// "answers.csv", "a3" -> "answers.a3.csv": the file of one part of a job. own, free().
wf_status wf_prompts_part_name(const char *path, const char *part, char **out);

#endif
