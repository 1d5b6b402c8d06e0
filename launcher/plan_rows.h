// The requests of a job as a run would find them: how many, how long, what they need of the engine,
// and which of them would fail, counted by reason, with the place of the first.
//
// Every row is read and checked like a run's, up to a bound on the tokens of all shards; beyond it
// the first rows of each shard stand for the others. Prompts files that are not encoded yet are
// passed over. Forks a reader process: before anything starts threads. Local.
#ifndef WF_LAUNCHER_PLAN_ROWS_H
#define WF_LAUNCHER_PLAN_ROWS_H

#include "engine/batcher.h"
#include "engine/model_arch.h"
#include "jobs/spec/inputs.h"

enum { WF_PLAN_ROWS_REASONS = 8 };

typedef struct wf_plan_refused {
    wf_status why;
    uint64_t n;
    char first[WF_ERROR_MAX]; // "streams/a.h5:/requests:17: prompt token 3 is ..."
} wf_plan_refused;

// Rows that take so many KV pages at their end, and the first of them.
typedef struct wf_plan_size {
    uint64_t n, row;
    const char *path; // borrowed from the job
    int32_t n_prompt, n_limit;
} wf_plan_size;

typedef struct wf_plan_rows {
    uint64_t n_rows, n_prompt_tokens; // of all shards
    uint64_t n_read;                  // rows that were looked at; n_rows: all
    double mean_tokens;               // prompt + max_new_tokens of those that would run
    double mean_kv_tokens; // the same with each beam's tokens: what a request keeps at its end
    double mean_beams;     // rows of the batch that it takes: 1 without beam search
    wf_plan_needs needs;
    wf_plan_size *size; // [n_sizes] by pages; own
    int32_t n_sizes;
    int n_refused; // reasons
    wf_plan_refused refused[WF_PLAN_ROWS_REASONS];
} wf_plan_rows;

// WF_SHARD, WF_NO_INPUT, and as wf_inputs_open. *out is for wf_plan_rows_free either way.
wf_status wf_plan_rows_read(const wf_jobspec *spec, const wf_arch *arch, wf_plan_rows *out);
void wf_plan_rows_free(wf_plan_rows *rows);

// Adds the rows that could never fit to those that would fail.
void wf_plan_rows_fit(wf_plan_rows *rows, const wf_batcher_room *room);

#endif
