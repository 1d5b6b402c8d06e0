// One job on every rank of a world. Stages in order, each ended by an agreement, so that a failure
// of one rank is everybody's before anyone waits for it.
#include "jobs/run/runner.h"

#include <stdio.h>
#include <stdlib.h>

#include "io/base/clock.h"
#include "io/base/file.h"
#include "io/base/log.h"
#include "io/base/text.h"
#include "jobs/run/runner_internal.h"

// A stage of the start that takes longer is told.
#define SLOW_STAGE_NS (3 * WF_NS_PER_S)

// All ranks learn the worst status; leaving is no failure, so any failure is worse. Ranks without
// one of their own have nothing to say.
static wf_status agree(const wf_runner *r, wf_status st)
{
    enum { LEAVE = 1 }; // below every status but WF_OK
    int64_t worst = 0;
    wf_comm *world = r->c->world;
    if (world->ops->max_i64(world, st == WF_DRAINED ? LEAVE : st, &worst) != WF_OK) return WF_COMM;
    if (worst == LEAVE) worst = WF_DRAINED;
    if (worst != WF_OK && (st == WF_OK || (st == WF_DRAINED && worst != WF_DRAINED)))
        return wf_fail((wf_status)worst, "%s", "");
    return (wf_status)worst;
}

// The start is left between any two of its stages: nothing has been computed yet.
static wf_status agree_to_go_on(const wf_runner *r, const char *stage, wf_status st)
{
    char why[128];
    if (st == WF_OK && wf_drain_asks(r->c->drain, WF_DRAIN_FINISH))
        st = wf_fail(WF_DRAINED, "told to leave (%s) during the start, stage %s",
                     wf_drain_why(r->c->drain, why, sizeof why), stage);
    return agree(r, st);
}

// ---- stage: groups ------------------------------------------------------------------------------

static wf_status form_groups(wf_runner *r)
{
    const wf_plan_rank *me = &r->c->plan->rank[r->c->world->rank];
    r->i_group = r->c->part && me->group >= 0 ? r->c->part->group : me->group;
    r->i_position = me->position;
    WF_TRY(r->c->world->ops->split(r->c->world, me->group, me->position, &r->group));
    r->leads = r->group && r->group->rank == 0;
    return WF_OK;
}

// ---- stage: run ---------------------------------------------------------------------------------

int32_t wf_runner_concurrency(const wf_runner *r)
{
    int n = r->spec->arrivals.concurrency, n_groups = wf_runner_n_groups(r);
    int part = n / n_groups + (r->i_group < n % n_groups);
    return wf_jobspec_process(r->spec) != WF_SPEC_OFFLINE || n == 0 ? 0 : part > 0 ? part : 1;
}

static wf_serve_config serve_config(const wf_runner *r, wf_feeder *feeder)
{
    return (wf_serve_config){
        .engine = r->engine,
        .feed = r->feed,
        .leases = r->leases,
        .feeder = feeder,
        .flights = r->flights,
        .writer = r->writer,
        .done = r->done,
        .progress = r->progress,
        .shard_uid = r->in.uids,
        .many_samples = r->in.many_samples,
        .sampling = &r->spec->sampling,
        .stop = r->spec->stop_token_ids.item,
        .n_stop = r->spec->stop_token_ids.n,
        .stop_string = r->in.stop_string,
        .stop_string_bytes = r->in.stop_string_bytes,
        .pieces = (const wf_pieces *const *)r->in.pieces,
        .seed = (uint64_t)r->spec->seed,
        .run = (uint16_t)r->run,
        .group = (uint16_t)r->i_group,
        .max_rows = r->spec->engine.max_rows,
        .look_ahead = r->spec->engine.order == WF_SPEC_ORDER_PREFIX ? WF_SPEC_LOOK_AHEAD : 0,
        .concurrency = wf_runner_is_timed(r) ? 0 : wf_runner_concurrency(r),
        .clock = wf_runner_clock(r),
        .origin_ns = r->origin_ns,
        .simulated = r->c->simulation != NULL,
        .drain = r->c->drain,
        .max_failures = r->spec->output.max_failures};
}

// Arrivals of a simulated run are taken when its clock moves over them.
static void follow_arrivals(wf_runner *r, wf_feeder *feeder)
{
    const wf_runner_simulation *s = r->c->simulation;
    if (s && feeder)
        wf_simtime_on(s->time, wf_runner_member(r),
                      &(wf_simtime_event){wf_feeder_next, wf_feeder_fire, feeder});
}

// The groups of a simulated run stand at one time as they share arrivals.
static void meet(void *with)
{
    const wf_runner *r = with;
    wf_simtime_meet(r->c->simulation->time, wf_runner_member(r));
}

static wf_status serve(wf_runner *r)
{
    wf_feeder *feeder = NULL;
    const wf_feeder_config timed = {.feed = r->feed,
                                    .turns = r->turns,
                                    .clock = wf_runner_clock(r),
                                    .origin_ns = r->origin_ns,
                                    .waiting = &wf_progress_counters(r->progress)->waiting,
                                    .board = r->board,
                                    .group = r->i_group,
                                    .n_samples = r->spec->sampling.n,
                                    .meet = r->c->simulation ? meet : NULL,
                                    .with = r,
                                    .thread = !r->c->simulation,
                                    .patient = r->c->simulation != NULL};
    if (!r->leases) WF_TRY(wf_feeder_create(&timed, &feeder));
    follow_arrivals(r, feeder);
    wf_serve_config c = serve_config(r, feeder);
    wf_status st = wf_serve(&c, &r->served);
    wf_feeder_destroy(&feeder);
    return st;
}

static wf_status lead(wf_runner *r)
{
    char stop_file[4096];
    snprintf(stop_file, sizeof stop_file, "%s/stop", r->spec->output.dir);
    wf_status st = serve(r);
    if (st == WF_DATA && r->spec->output.max_failures >= 0) // the other groups are to stop as well
        wf_file_write_whole(stop_file, "max_failures\n", 13, WF_PUBLISH_REPLACE);
    if (wf_status_scope(st) == WF_SCOPE_GROUP) return st; // followers cannot be told
    wf_status stopped = wf_engine_stop(r->engine);
    return st != WF_OK ? st : stopped;
}

static void set_operation(wf_runner *r, wf_operation operation)
{
    if (!r->progress) return;
    wf_counters *counters = wf_progress_counters(r->progress);
    atomic_store_explicit(&counters->operation, (int)operation, memory_order_relaxed);
}

static wf_status follow(wf_runner *r)
{
    wf_counters *counters = wf_progress_counters(r->progress);
    set_operation(r, WF_OPERATION_RUN);
    return wf_engine_follow(r->engine, &counters->step_entered, &counters->step_left);
}

// Everything done is sealed with it, or the disk is at fault.
static wf_status seal_rest(wf_runner *r)
{
    wf_counters *counters = wf_progress_counters(r->progress);
    if (!r->writer) return WF_OK;
    wf_status st = wf_segment_writer_close(&r->writer);
    if (st == WF_OK)
        atomic_store_explicit(&counters->requests_sealed, r->served.n_done, memory_order_relaxed);
    return st;
}

static wf_status run_group(wf_runner *r)
{
    if (!r->group) return WF_OK;
    set_operation(r, WF_OPERATION_RUN);
    wf_progress_flush(r->progress); // loading is over: whoever watches is less patient from now on
    wf_status st = r->leads ? lead(r) : follow(r);
    if (wf_status_scope(st) == WF_SCOPE_GROUP) {
        // Peers may wait inside a collective for ever: end them all; sealed segments stay.
        wf_say_error("group %d: %s: %s", r->i_group, wf_status_words(st), wf_error());
        wf_progress_farewell(r->progress, st, wf_error());
        seal_rest(r);
        if (r->c->world->size > 1) r->c->world->ops->abort(r->c->world, wf_status_exit_code(st));
    }
    set_operation(r, WF_OPERATION_SEAL);
    wf_status sealed = seal_rest(r);
    wf_progress_flush(r->progress); // before the agreement: the first rank prints all groups' sum
    return st != WF_OK ? st : sealed;
}

// ---- the whole ----------------------------------------------------------------------------------

typedef struct stage {
    const char *name;
    wf_status (*run)(wf_runner *r);
    wf_operation operation; // as the status file says
} stage;

static wf_status share_run(wf_runner *r)
{
    WF_TRY(r->c->world->ops->broadcast(r->c->world, &r->run, sizeof r->run, 0));
    return r->c->world->ops->broadcast(r->c->world, r->model_identity, sizeof r->model_identity, 0);
}

static const stage stages[] = {
    {"groups", form_groups, WF_OPERATION_START},
    {"shards", wf_runner_open_shards, WF_OPERATION_START},
    {"needs", wf_runner_share_needs, WF_OPERATION_START},
    {"model", wf_runner_open_model, WF_OPERATION_START},
    {"folder", wf_runner_begin_folder, WF_OPERATION_START},
    {"run", share_run, WF_OPERATION_START},
    {"done", wf_runner_read_done, WF_OPERATION_START},
    {"progress", wf_runner_start_progress, WF_OPERATION_START},
    {"left", wf_runner_look_what_is_left, WF_OPERATION_START},
    {"weights", wf_runner_load_model, WF_OPERATION_LOAD},
    {"devices", wf_runner_join_devices, WF_OPERATION_WARM_UP},
    {"engine", wf_runner_create_engine, WF_OPERATION_WARM_UP},
    {"rows", wf_runner_find_rows, WF_OPERATION_START},
    {"split", wf_runner_share_arrivals, WF_OPERATION_START},
    {"clock", wf_runner_start_clock, WF_OPERATION_START},
    {"writer", wf_runner_create_writer, WF_OPERATION_START},
};

static wf_status sum_up(wf_runner *r, wf_runner_outcome *out)
{
    // Each leader has counted its own group; the job's totals come from the first one alone.
    int64_t mine[5] = {r->served.n_done, r->served.n_failed, r->served.last_token_ns,
                       r->leads && r->i_group == 0 ? wf_inputs_results(&r->in, r->spec) : 0,
                       r->leads && r->i_group == 0 ? (int64_t)wf_done_total(r->done) : 0};
    int n = r->c->world->size;
    int64_t (*all)[5] = calloc((size_t)n, sizeof *all);
    if (!all) return wf_fail(WF_NO_MEMORY, "runner: out of memory");
    wf_status st = r->c->world->ops->all_gather(r->c->world, NULL, mine, sizeof mine, all);
    int64_t last = 0;
    for (int i = 0; i < n && st == WF_OK; i++) {
        out->n_done += all[i][0];
        out->n_failed += all[i][1];
        if (all[i][2] > last) last = all[i][2];
        out->n_total += all[i][3];
        out->n_before += all[i][4];
    }
    free(all);
    out->run = r->run;
    out->elapsed_ns = last > r->first_ns ? last - r->first_ns : 0;
    out->n_left = out->n_total - out->n_before - out->n_done;
    return st;
}

static wf_status end_of(const wf_runner *r, const wf_runner_outcome *out, bool drained)
{
    int64_t most = r->spec->output.max_failures;
    if (drained && most >= 0 && out->n_failed > most)
        return wf_fail(WF_DATA,
                       "%lld requests failed, output.max_failures allows %lld; weft report shows "
                       "their reasons",
                       (long long)out->n_failed, (long long)most);
    if (drained) return wf_fail(WF_DRAINED, "drained: run the same command again to continue");
    if (out->n_failed > 0 && r->spec->slurm.fail_on_row_errors)
        return wf_fail(WF_FAILED_ROWS, "complete; %lld requests failed, weft report shows why",
                       (long long)out->n_failed);
    return WF_OK;
}

// A start that takes long says what it was busy with.
static void say_slow(const wf_runner *r, const char *name, int64_t began_ns)
{
    int64_t took_ns = wf_clock_ns() - began_ns;
    if (r->c->world->rank == 0 && took_ns > SLOW_STAGE_NS)
        wf_info("start: %s took %.1f s", name, (double)took_ns / (double)WF_NS_PER_S);
}

static wf_status start(wf_runner *r)
{
    for (size_t i = 0; i < sizeof stages / sizeof *stages && !r->nothing_left; i++) {
        wf_debug("stage %s", stages[i].name);
        set_operation(r, stages[i].operation);
        int64_t began_ns = wf_clock_ns();
        WF_TRY(agree_to_go_on(r, stages[i].name, stages[i].run(r)));
        say_slow(r, stages[i].name, began_ns);
    }
    return WF_OK;
}

// Behind the stages of the start, in which all is refused that is.
static void say_simulated(const wf_runner *r)
{
    const wf_runner_simulation *simulation = r->c->simulation;
    int n = wf_runner_n_groups(r);
    if (!simulation || r->i_group != 0 || r->nothing_left) return;
    wf_info("simulating job %s: %d group%s of %d on %s", r->spec->job, n, WF_S(n),
            r->spec->parallel.tensor, wf_costs_of(simulation->costs)->name);
}

static wf_status run_job(wf_runner *r, wf_runner_outcome *out)
{
    WF_TRY(start(r));
    say_simulated(r);
    if (!r->nothing_left) {
        wf_progress_begin(r->progress);
        WF_TRY(agree(r, run_group(r)));
    }
    WF_TRY(sum_up(r, out));
    int64_t drained = 0;
    WF_TRY(r->c->world->ops->max_i64(r->c->world, r->served.drained, &drained));
    if (!drained) {
        WF_TRY(agree(r, wf_folder_complete(r->folder)));
        out->folder = r->folder; // nobody else may take it before the results are merged
        r->folder = NULL;
    }
    return end_of(r, out, drained != 0);
}

static void tear_down(wf_runner *r, wf_status st)
{
    wf_segment_writer_abandon(&r->writer);
    wf_progress_stop(&r->progress);
    wf_flights_close(&r->flights, wf_status_scope(st) == WF_SCOPE_GROUP);
    wf_leases_close(&r->leases);
    wf_feed_destroy(r->feed);
    wf_turns_destroy(r->turns);
    wf_board_close(&r->board);
    wf_done_destroy(&r->done);
    wf_folder_end(&r->folder, false);
    wf_engine_destroy(r->engine);
    wf_profile_stop(r->profile);
    wf_comm_destroy(r->nccl);
    wf_model_destroy(&r->model);
    wf_backend_destroy(r->be);
    wf_hf_folder_close(&r->model_folder);
    wf_comm_destroy(r->group);
    free(r->job_text);
    free(r->labels);
    wf_inputs_close(&r->in);
}

wf_status wf_runner_run(const wf_runner_config *config, wf_runner_outcome *out)
{
    wf_runner r = {.c = config, .spec = config->spec, .i_group = -1};
    *out = (wf_runner_outcome){0};
    wf_status st = run_job(&r, out);
    if (r.progress) wf_progress_farewell(r.progress, st, wf_error());
    if (r.profile && (st == WF_OK || st == WF_FAILED_ROWS || st == WF_DRAINED))
        wf_runner_report_profile(&r);
    tear_down(&r, st);
    return st;
}
