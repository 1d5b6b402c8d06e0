// What is to be done: shards, the folder's earlier results, leases and arrivals. See
// runner_internal.h.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/log.h"
#include "io/results/space.h"
#include "jobs/run/rows.h"
#include "jobs/run/runner_internal.h"

// A row of results without its tokens, before compression.
#define ROW_BYTES 120.0

// ---- stage: shards ------------------------------------------------------------------------------

wf_status wf_runner_open_shards(wf_runner *r)
{
    WF_TRY(wf_inputs_open(r->spec, r->leads ? r->c->reader : NULL, &r->in));
    r->needs = r->in.needs;
    return WF_OK;
}

// The engine of every rank of a group is built for the same needs: those its leader found.
wf_status wf_runner_share_needs(wf_runner *r)
{
    int64_t n_top = 0, n_top_chosen = 0, n_beams = 0, penalties = 0, row_wishes = 0, prompt = 0;
    WF_TRY(r->c->world->ops->max_i64(r->c->world, r->needs.n_top, &n_top));
    WF_TRY(r->c->world->ops->max_i64(r->c->world, r->needs.n_top_chosen, &n_top_chosen));
    WF_TRY(r->c->world->ops->max_i64(r->c->world, r->needs.n_beams, &n_beams));
    WF_TRY(r->c->world->ops->max_i64(r->c->world, r->needs.penalties, &penalties));
    WF_TRY(r->c->world->ops->max_i64(r->c->world, r->needs.row_wishes, &row_wishes));
    WF_TRY(r->c->world->ops->max_i64(r->c->world, r->needs.prompt_probs, &prompt));
    r->needs = (wf_plan_needs){.n_top = (int)n_top,
                               .prompt_probs = (int)prompt,
                               .n_top_chosen = (int)n_top_chosen,
                               .n_beams = (int)n_beams,
                               .penalties = penalties != 0,
                               .row_wishes = (int32_t)row_wishes};
    if (r->spec->task != WF_TASK_GENERATE)
        r->needs = (wf_plan_needs){.n_top = -1, .n_top_chosen = -1};
    if (r->spec->task == WF_TASK_FILL_MASK) r->needs.n_top = r->spec->fill_mask.top_k;
    return WF_OK;
}

// ---- stage: folder ------------------------------------------------------------------------------

static wf_folder_config folder_config(const wf_runner *r)
{
    return (wf_folder_config){.spec = r->spec,
                              .model_identity = r->model_identity,
                              .dtype = wf_dtype_name(r->numerics.weight),
                              .shards = r->in.shard,
                              .n_shards = r->in.n,
                              .n_results = wf_inputs_results(&r->in, r->spec),
                              .start = r->c->start,
                              .reader = r->c->reader};
}

wf_status wf_runner_begin_folder(wf_runner *r)
{
    const wf_runner_part *part = r->c->part;
    if (r->c->world->rank != 0) return WF_OK;
    if (part) {
        r->run = part->run;
        return wf_run_fence(r->spec->output.dir, part->run, (uint32_t)part->group, part->epoch);
    }
    wf_folder_config c = folder_config(r);
    WF_TRY(wf_folder_begin(&c, &r->folder));
    r->run = wf_folder_run(r->folder);
    return WF_OK;
}

wf_status wf_runner_read_done(wf_runner *r)
{
    if (!r->leads) return WF_OK;
    wf_folder_config c = folder_config(r);
    return wf_folder_done(&c, &r->done);
}

// Says before the first step when the disk may not hold what is to come; whether it will, only the
// answers' lengths tell. The writer watches the disk and ends in time.
static void warn_of_space(const wf_runner *r)
{
    const wf_jobspec *s = r->spec;
    double rows = (double)wf_inputs_results(&r->in, r->spec), tokens = 0;
    for (size_t i = 0; i < r->in.n; i++)
        tokens += (double)r->in.info[i].n_new_tokens * s->sampling.n;
    double left = rows > 0 ? 1.0 - (double)wf_done_total(r->done) / rows : 0;
    double per_token = 4.0 + (s->output.token_times ? 8.0 : 0) + (r->needs.n_top >= 0 ? 4.0 : 0) +
                       (r->needs.n_top > 0 ? 8.0 * r->needs.n_top : 0);
    double most = left * (tokens * per_token + rows * ROW_BYTES);
    double has = (double)wf_space_free(s->output.dir);
    if (most > has)
        wf_warn(
            "%s: %.1f GB free; results take up to %.1f GB before compression, and as much again "
            "to merge: if the disk fills up, the job seals what it has and ends with %d",
            s->output.dir, has / 1e9, most / 1e9, wf_status_exit_code(WF_IO));
}

wf_status wf_runner_look_what_is_left(wf_runner *r)
{
    int64_t n = r->leads ? wf_inputs_results(&r->in, r->spec) : 0, least = 0;
    int64_t n_left = r->leads ? n - (int64_t)wf_done_total(r->done) : 0;
    WF_TRY(r->c->world->ops->max_i64(r->c->world, r->leads ? -n_left : INT64_MIN, &least));
    r->nothing_left = least >= 0;
    if (r->c->world->rank != 0) return WF_OK;
    if (!r->nothing_left) warn_of_space(r);
    if (r->nothing_left && !r->c->part) wf_folder_say_nothing_left(r->spec->output.dir, n);
    return WF_OK;
}

// ---- stage: rows --------------------------------------------------------------------------------

static wf_status open_leases(wf_runner *r)
{
    wf_lease_shard *shards = calloc(r->in.n + 1, sizeof *shards);
    if (!shards) return wf_fail(WF_NO_MEMORY, "runner: out of memory");
    for (size_t i = 0; i < r->in.n; i++) // rows with several samples are looked at one by one
        shards[i] =
            (wf_lease_shard){r->in.info[i].n_rows,
                             r->in.many_samples[i] ? NULL : wf_done_bits(r->done, (uint32_t)i)};
    wf_leases_config c = {.out_dir = r->spec->output.dir,
                          .run = r->run,
                          .group = r->i_group,
                          .epoch = wf_runner_epoch(r),
                          .shards = shards,
                          .n_shards = r->in.n,
                          .cut = {.n_groups = wf_runner_n_groups(r)}};
    wf_status st = wf_leases_open(&c, &r->leases);
    free(shards);
    if (st != WF_OK || !r->c->part) return st;
    return wf_flights_open(c.out_dir, r->run, r->i_group, c.epoch, &r->flights);
}

static wf_rows_config rows_config(const wf_runner *r)
{
    return (wf_rows_config){.spec = r->spec,
                            .reader = r->c->reader,
                            .info = r->in.info,
                            .done = r->done,
                            .many_samples = r->in.many_samples,
                            .group = r->i_group,
                            .n_groups = wf_runner_n_groups(r)};
}

static wf_status find_sessions(wf_runner *r, const wf_feed_config *f)
{
    wf_rows_config c = rows_config(r);
    WF_TRY(wf_turns_create(f, (uint64_t)wf_runner_concurrency(r), &r->turns));
    WF_TRY(wf_rows_add_sessions(&c, r->turns, &r->first_ns, &r->last_ns));
    return wf_turns_pump(r->turns, 0);
}

// Processes of several hosts have no memory in common.
static wf_status check_one_host(const wf_runner *r)
{
    char first[256] = "";
    int64_t differs = 0;
    wf_comm *world = r->c->world;
    snprintf(first, sizeof first, "%s", r->c->host ? r->c->host : "");
    WF_TRY(world->ops->broadcast(world, first, sizeof first, 0));
    bool other = r->c->host && strcmp(first, r->c->host) != 0;
    WF_TRY(world->ops->max_i64(world, other, &differs));
    if (!differs) return WF_OK;
    return wf_fail(
        WF_CONFIG,
        "arrivals.split: least_tokens: the groups are not all on one host (%s is another "
        "than the first, %s), and they share their load in its memory: use round_robin "
        "or key",
        other ? r->c->host : "one", first);
}

wf_status wf_runner_share_arrivals(wf_runner *r)
{
    bool shared = r->spec->arrivals.split == WF_SPEC_SPLIT_LEAST_TOKENS && wf_runner_is_timed(r) &&
                  wf_runner_n_groups(r) > 1;
    if (!shared) return WF_OK;
    WF_TRY(check_one_host(r));
    if (!r->leads) return WF_OK;
    return wf_board_open(r->spec->output.dir, r->run, wf_runner_n_groups(r),
                         r->turns ? wf_turns_left(r->turns) : wf_feed_left(r->feed), &r->board);
}

wf_status wf_runner_find_rows(wf_runner *r)
{
    r->first_ns = INT64_MAX;
    if (!r->leads) return WF_OK;
    bool generates = r->spec->task == WF_TASK_GENERATE;
    wf_feed_config f = {.reader = r->c->reader,
                        .paths = r->spec->shards.item,
                        .info = r->in.info,
                        .n_shards = (uint32_t)r->in.n,
                        .n_vocab = r->arch.n_vocab,
                        .max_context = generates ? r->model->max_context : 0}; // the engine cuts
    if (r->spec->arrivals.mode == WF_SPEC_SESSIONS) return find_sessions(r, &f);
    WF_TRY(wf_feed_create(&f, &r->feed));
    if (!wf_runner_is_timed(r)) return open_leases(r);
    wf_rows_config c = rows_config(r);
    WF_TRY(wf_rows_add_timed(&c, r->feed, &r->first_ns, &r->last_ns));
    return wf_feed_pump(r->feed, 0);
}
