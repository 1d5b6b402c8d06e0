// What others see of a run: status files, result segments, the profile. See runner_internal.h.
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/encode_head.h"
#include "io/base/clock.h"
#include "io/base/log.h"
#include "io/base/publish.h"
#include "jobs/run/runner_internal.h"

wf_status wf_runner_start_progress(wf_runner *r)
{
    WF_TRY(wf_drain_watch(r->c->drain, r->spec->output.dir));
    int n = r->c->world->size;
    int *watch = calloc((size_t)n, sizeof *watch);
    if (!watch) return wf_fail(WF_NO_MEMORY, "runner: out of memory");
    for (int i = 1; i < n; i++)
        watch[i - 1] = i;
    const wf_runner_part *part = r->c->part;
    bool print = r->c->world->rank == 0 && !part; // else the conductor prints
    wf_progress_config c = {.out_dir = r->spec->output.dir,
                            .rank = (part ? part->first_rank : 0) + r->c->world->rank,
                            .group = r->i_group,
                            .position = r->i_position,
                            .run = r->run,
                            .epoch = wf_runner_epoch(r),
                            .reader_pid = wf_reader_process(r->c->reader),
                            .print = print,
                            .watch = watch,
                            .n_watch = print ? (size_t)(n - 1) : 0,
                            .n_rows = wf_inputs_rows(&r->in),
                            .requests_total = r->leads ? wf_inputs_results(&r->in, r->spec) : 0,
                            .requests_before = print ? (int64_t)wf_done_total(r->done) : 0,
                            .limit_failures = r->spec->output.max_failures >= 0,
                            .max_failures = r->spec->output.max_failures,
                            .stall_ns = r->spec->parallel.heartbeat_ns,
                            .deadline_ns = r->c->deadline_ns,
                            .signal = wf_drain_signal(r->c->drain),
                            .replay = wf_runner_is_timed(r),
                            .last_arrival_ns = r->last_ns};
    wf_status st = wf_progress_start(&c, &r->progress);
    free(watch);
    return st;
}

static wf_run_info run_info(const wf_runner *r)
{
    wf_run_info info = r->c->versions;
    info.run = (uint16_t)r->run;
    info.group = (uint16_t)r->i_group;
    info.epoch = (uint16_t)wf_runner_epoch(r);
    info.n_groups = (uint16_t)wf_runner_n_groups(r);
    info.resumed = r->run > 0;
    info.timed = wf_runner_is_timed(r);
    info.restart = r->c->start.restart;
    info.start_unix_ns = wf_clock_unix_ns() - (wf_clock_now(wf_runner_clock(r)) - r->origin_ns);
    info.clock_start_ns = r->first_ns == INT64_MAX ? 0 : r->first_ns;
    info.clock_offset_ns = r->clock_offset_ns;
    info.lag_limit_ns = wf_runner_is_timed(r) ? r->spec->arrivals.lag_tolerance_ns : -1;
    info.speed = r->spec->arrivals.speed;
    info.load_bytes = (int64_t)r->model->report.file_bytes;
    info.load_ns = r->model->report.load_ns;
    info.job_id = r->c->start.job_id;
    info.hosts = r->c->host;
    info.devices = r->be_info.device;
    return info;
}

// Numbers that a step has of its experts; 0: none.
static uint32_t n_expert_load(const wf_runner *r)
{
    int32_t n_experts, n_layers = wf_arch_expert_layers(&r->arch, &n_experts);
    bool told = r->spec->output.expert_load && !r->c->simulation;
    return told ? (uint32_t)(n_layers * n_experts) : 0;
}

static uint32_t n_prompt_top(const wf_runner *r)
{
    return r->needs.prompt_probs > 1 ? (uint32_t)r->needs.prompt_probs - 1 : 0;
}

wf_status wf_runner_create_writer(wf_runner *r)
{
    if (!r->leads) return WF_OK;
    WF_TRY(wf_jobspec_text(r->spec, &r->job_text));
    const wf_jobspec *s = r->spec;
    bool scores = wf_task_scores(r->arch.encode.task);
    uint32_t width = (uint32_t)r->arch.encode.width;
    if (scores) WF_TRY(wf_encode_labels(r->model_folder, &r->arch, &r->labels));
    wf_segment_config c = {.out_dir = s->output.dir,
                           .run = run_info(r),
                           .job = {.job_text = r->job_text,
                                   .model_hash = r->model_identity,
                                   .labels = r->labels,
                                   .n_vocab = r->arch.n_vocab,
                                   .seed = (uint64_t)s->seed,
                                   .shards = r->in.shard,
                                   .n_shards = r->in.n},
                           .columns = {.token_times = s->output.token_times,
                                       .steps = s->output.steps,
                                       .logprobs = r->needs.n_top >= 0,
                                       .score = r->needs.n_top_chosen >= 0,
                                       .dropped = r->needs.n_top_chosen >= 0,
                                       .prompt_logprobs = r->needs.prompt_probs > 0,
                                       .n_prompt_top = n_prompt_top(r),
                                       .sessions = r->in.has_sessions,
                                       .stop_strings = r->in.stop_strings,
                                       .stop_kept = r->in.keeps_stops,
                                       .n_expert_load = n_expert_load(r),
                                       .n_cached = wf_engine_get_load(r->engine).shares,
                                       .n_vector = scores ? 0 : width,
                                       .n_scores = scores ? width : 0,
                                       .n_top = r->needs.n_top > 0 ? (uint32_t)r->needs.n_top : 0},
                           .seal_bytes = (uint64_t)s->output.seal_bytes,
                           .seal_ns = s->output.seal_every_ns};
    return wf_segment_writer_create(&c, &r->writer);
}

static wf_status write_profile(const wf_runner *r, const char *path)
{
    wf_part *part = NULL;
    WF_TRY(wf_part_create(path, &part));
    FILE *file = fdopen(dup(wf_part_fd(part)), "w");
    wf_status st = file ? wf_profile_write_csv(r->profile, file)
                        : wf_fail_errno(WF_IO, "%s: cannot be written", path);
    if (file && fclose(file) != 0 && st == WF_OK)
        st = wf_fail_errno(WF_IO, "%s: cannot be written", path);
    if (st == WF_OK) st = wf_part_publish(part, WF_PUBLISH_FAST);
    wf_part_drop(&part);
    return st;
}

// A table that cannot be written spoils nothing.
void wf_runner_report_profile(const wf_runner *r)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/profile.csv", r->spec->output.dir);
    wf_status st = wf_profile_print(r->profile, r->c->profile);
    if (st == WF_OK) st = write_profile(r, path);
    if (st != WF_OK) wf_warn("profile: %s", wf_error());
}
