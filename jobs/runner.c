// One job on every rank of a world. Stages in order, each ended by an agreement, so that a failure
// of one rank is everybody's before anyone waits for it.
#include "jobs/runner.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/comm/comm_nccl.h"
#include "engine/engine.h"
#include "io/base/clock.h"
#include "io/base/fault.h"
#include "io/base/file.h"
#include "io/base/log.h"
#include "io/space.h"
#include "jobs/engine_fit.h"
#include "jobs/feed.h"
#include "jobs/folder.h"
#include "jobs/inputs.h"
#include "jobs/plan_model.h"
#include "jobs/progress.h"
#include "jobs/rows.h"
#include "jobs/serve.h"
#include "kernels/profile.h"

// A row of results without its tokens, before compression.
#define ROW_BYTES 120.0
// A stage of the start that takes longer is told.
#define SLOW_STAGE_NS (3 * WF_NS_PER_S)

typedef struct runner {
    const wf_runner_config *c;
    const wf_jobspec *spec;
    wf_comm *group; // NULL on an idle rank
    wf_comm *nccl;  // the same ranks over their devices; NULL: `group` carries the data as well
    bool leads;
    int i_group, i_position;
    wf_inputs in; // filled on ranks that lead
    wf_hf_folder *model_folder;
    char model_identity[WF_HF_IDENTITY_MAX];
    wf_arch arch;
    wf_dtype dtype;
    wf_backend *be;
    wf_backend_info be_info;
    wf_profile *profile; // NULL: none
    wf_model *model;
    wf_engine *engine;
    wf_folder *folder; // first rank of the world
    uint32_t run;
    wf_done *done;
    wf_feed *feed;
    wf_leases *leases;
    wf_flights *flights;
    wf_segment_writer *writer;
    wf_progress *progress;
    wf_plan_needs needs;
    int64_t origin_ns, clock_offset_ns, first_ns, last_ns;
    char *job_text;
    bool nothing_left; // all was done by earlier runs: no model, no engine, no step
    wf_serve_outcome served;
} runner;

// All ranks learn the worst status; leaving is no failure, so any failure is worse. Ranks without
// one of their own have nothing to say.
static wf_status agree(const runner *r, wf_status st)
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

static int n_groups(const runner *r)
{
    return r->c->part ? r->c->part->n_groups : r->c->plan->n_groups;
}

static int epoch(const runner *r)
{
    return r->c->part ? (int)r->c->part->epoch : 0;
}

// The start is left between any two of its stages: nothing has been computed yet.
static wf_status agree_to_go_on(const runner *r, const char *stage, wf_status st)
{
    char why[128];
    if (st == WF_OK && wf_drain_asks(r->c->drain, WF_DRAIN_FINISH))
        st = wf_fail(WF_DRAINED, "told to leave (%s) during the start, stage %s",
                     wf_drain_why(r->c->drain, why, sizeof why), stage);
    return agree(r, st);
}

static bool timed(const runner *r)
{
    return r->spec->arrivals.mode != WF_SPEC_OFFLINE;
}

// ---- stage: groups ------------------------------------------------------------------------------

static wf_status form_groups(runner *r)
{
    const wf_plan_rank *me = &r->c->plan->rank[r->c->world->rank];
    r->i_group = r->c->part && me->group >= 0 ? r->c->part->group : me->group;
    r->i_position = me->position;
    WF_TRY(r->c->world->ops->split(r->c->world, me->group, me->position, &r->group));
    r->leads = r->group && r->group->rank == 0;
    return WF_OK;
}

// ---- stage: shards ------------------------------------------------------------------------------

static wf_status open_shards(runner *r)
{
    WF_TRY(wf_inputs_open(r->spec, r->leads ? r->c->reader : NULL, &r->in));
    r->needs = r->in.needs;
    return WF_OK;
}

// The engine of every rank of a group is built for the same needs: those its leader found.
static wf_status share_needs(runner *r)
{
    int64_t n_top = 0, penalties = 0;
    WF_TRY(r->c->world->ops->max_i64(r->c->world, r->needs.n_top, &n_top));
    WF_TRY(r->c->world->ops->max_i64(r->c->world, r->needs.penalties, &penalties));
    r->needs = (wf_plan_needs){.n_top = (int)n_top, .penalties = penalties != 0};
    return WF_OK;
}

// ---- stage: model -------------------------------------------------------------------------------

static wf_status open_model(runner *r)
{
    bool random = r->spec->model.weights == WF_SPEC_WEIGHTS_RANDOM;
    WF_TRY(wf_hf_folder_open(r->spec->model.path, !random, &r->model_folder));
    WF_TRY(wf_arch_read(r->model_folder, &r->arch));
    r->dtype = wf_model_resolve_dtype(&r->arch, r->spec->model.dtype);
    WF_TRY(wf_arch_check_tp(&r->arch, r->spec->parallel.tensor));
    if (r->c->world->rank != 0) return WF_OK;
    return wf_hf_folder_identity(r->model_folder, r->model_identity);
}

static wf_status create_backend(runner *r)
{
    static const char *const names[] = {[WF_SPEC_BACKEND_REF] = "ref",
                                        [WF_SPEC_BACKEND_CPU] = "cpu",
                                        [WF_SPEC_BACKEND_CUDA] = "cuda"};
    wf_backend_config c = {.device = r->c->plan->rank[r->c->world->rank].device,
                           .n_threads = r->c->n_threads,
                           .model_dtype = r->dtype,
                           .deterministic = r->spec->engine.deterministic};
    // Where the plan gives a device it is there: a rank that fell back to the host would hold up
    // all.
    if (r->spec->parallel.backend == WF_SPEC_BACKEND_AUTO)
        return wf_backend_create(c.device >= 0 ? "cuda" : "cpu", &c, &r->be);
    if (c.device < 0) c.device = r->c->plan->rank[r->c->world->rank].local;
    return wf_backend_create(names[r->spec->parallel.backend], &c, &r->be);
}

static wf_status load_model(runner *r)
{
    if (!r->group) return WF_OK;
    wf_model_config c = {.tp_rank = r->group->rank,
                         .tp_size = r->group->size,
                         .dtype = (int)r->dtype,
                         .max_context = r->spec->engine.max_context,
                         .seed = (uint64_t)r->spec->seed,
                         .stop = wf_drain_level_of(r->c->drain)};
    WF_TRY(create_backend(r));
    if (r->c->profile) WF_TRY(wf_profile_start(r->be, &r->profile));
    WF_TRY(r->be->ops->info(r->be, &r->be_info));
    bool random = r->spec->model.weights == WF_SPEC_WEIGHTS_RANDOM;
    return wf_model_load(r->be, &r->arch, random ? NULL : r->model_folder, &c, &r->model);
}

// ---- stage: devices -----------------------------------------------------------------------------

// A group of devices sums over NCCL; its plans go on travelling over the host's communicator.
static wf_status join_devices(runner *r)
{
    if (!r->group || r->group->size == 1 || r->be_info.host_memory) return WF_OK;
    wf_comm_nccl_config c = {.nvls = r->spec->engine.nvls == WF_SPEC_NVLS_AUTO,
                             .deterministic = r->spec->engine.deterministic,
                             .sums = r->spec->engine.all_reduce,
                             .limit_ns = r->spec->parallel.peer_limit_ns,
                             .group = r->i_group};
    return wf_comm_nccl_create(r->group, r->be, &c, &r->nccl);
}

// ---- stage: engine ------------------------------------------------------------------------------

static int ranks_on_my_node(const runner *r)
{
    const wf_plan *p = r->c->plan;
    if (r->c->part) return r->c->part->n_sharing;
    int n = 0, node = p->rank[r->c->world->rank].node;
    for (int i = 0; i < p->n_ranks; i++)
        n += p->rank[i].node == node && p->rank[i].group >= 0;
    return n > 0 ? n : 1;
}

static wf_status create_engine(runner *r)
{
    if (!r->group) return WF_OK;
    const wf_jobspec *s = r->spec;
    wf_engine_config c = {.max_rows = s->engine.max_rows,
                          .step_tokens = s->engine.step_tokens,
                          .page_tokens = s->engine.page_tokens,
                          .max_context = s->engine.max_context,
                          .slot_tokens = s->engine.slot_tokens,
                          .reorder = s->engine.reorder,
                          .fusion = s->engine.fusion,
                          .window_ns = s->engine.window_ns,
                          .instances = s->engine.instances,
                          .deterministic = s->engine.deterministic,
                          .steps_ahead = -1,
                          .capture = r->c->profiled ? WF_CAPTURE_OFF : s->engine.capture,
                          .n_top = r->needs.n_top,
                          .penalties = r->needs.penalties};
    const wf_engine_fit fit = {.spec = s,
                               .model = r->model,
                               .be = r->be,
                               .before = &r->be_info,
                               .n_sharing = r->be_info.host_memory ? ranks_on_my_node(r) : 1,
                               .needs = &r->needs,
                               .group = r->group,
                               .data = r->nccl ? r->nccl : r->group,
                               .speaks = r->leads && r->i_group == 0};
    wf_fault_at(WF_FAULT_ENGINE, 1);
    return wf_engine_fit_create(&fit, &c, &r->engine);
}

// ---- stage: folder ------------------------------------------------------------------------------

static wf_folder_config folder_config(const runner *r)
{
    return (wf_folder_config){.spec = r->spec,
                              .model_identity = r->model_identity,
                              .dtype = wf_dtype_name(r->dtype),
                              .shards = r->in.shard,
                              .n_shards = r->in.n,
                              .start = r->c->start};
}

static wf_status begin_folder(runner *r)
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

static wf_status read_done(runner *r)
{
    if (!r->leads) return WF_OK;
    wf_folder_config c = folder_config(r);
    return wf_folder_done(&c, &r->done);
}

// Says before the first step when the disk may not hold what is to come; whether it will, only the
// answers' lengths tell. The writer watches the disk and ends in time.
static void warn_of_space(const runner *r)
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

// Where rows may ask for several samples, only the step loop knows what is left.
static wf_status look_what_is_left(runner *r)
{
    int64_t n_left = 1, least = 0;
    bool countable = r->leads;
    for (size_t i = 0; i < r->in.n && countable; i++)
        countable = !(r->in.info[i].sampling_columns & 1u << WF_SAMPLING_n);
    if (countable) n_left = wf_inputs_results(&r->in, r->spec) - (int64_t)wf_done_total(r->done);
    WF_TRY(r->c->world->ops->max_i64(r->c->world, r->leads ? -n_left : INT64_MIN, &least));
    r->nothing_left = least >= 0;
    if (r->c->world->rank == 0 && !r->nothing_left) warn_of_space(r);
    return WF_OK;
}

// ---- stage: rows --------------------------------------------------------------------------------

static wf_status open_leases(runner *r)
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
                          .epoch = epoch(r),
                          .shards = shards,
                          .n_shards = r->in.n,
                          .cut = {.n_groups = n_groups(r)}};
    wf_status st = wf_leases_open(&c, &r->leases);
    free(shards);
    if (st != WF_OK || !r->c->part) return st;
    return wf_flights_open(c.out_dir, r->run, r->i_group, c.epoch, &r->flights);
}

static wf_status find_rows(runner *r)
{
    r->first_ns = INT64_MAX;
    if (!r->leads) return WF_OK;
    wf_feed_config f = {.reader = r->c->reader,
                        .paths = r->spec->requests.item,
                        .info = r->in.info,
                        .n_shards = (uint32_t)r->in.n,
                        .n_vocab = r->arch.n_vocab,
                        .max_context = r->model->max_context};
    WF_TRY(wf_feed_create(&f, &r->feed));
    if (!timed(r)) return open_leases(r);
    wf_rows_config c = {.spec = r->spec,
                        .reader = r->c->reader,
                        .info = r->in.info,
                        .done = r->done,
                        .many_samples = r->in.many_samples,
                        .group = r->i_group,
                        .n_groups = n_groups(r)};
    WF_TRY(wf_rows_add_timed(&c, r->feed, &r->first_ns, &r->last_ns));
    return wf_feed_pump(r->feed, 0);
}

// ---- stage: writer and progress -----------------------------------------------------------------

static wf_status start_progress(runner *r)
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
                            .epoch = epoch(r),
                            .print = print,
                            .watch = watch,
                            .n_watch = print ? (size_t)(n - 1) : 0,
                            .requests_total = r->leads ? wf_inputs_results(&r->in, r->spec) : 0,
                            .requests_before = print ? (int64_t)wf_done_total(r->done) : 0,
                            .limit_failures = r->spec->output.max_failures >= 0,
                            .max_failures = r->spec->output.max_failures,
                            .stall_ns = r->spec->parallel.heartbeat_ns,
                            .deadline_ns = r->c->deadline_ns,
                            .signal = wf_drain_signal(r->c->drain),
                            .replay = timed(r),
                            .last_arrival_ns = r->last_ns};
    wf_status st = wf_progress_start(&c, &r->progress);
    free(watch);
    return st;
}

static wf_run_info run_info(const runner *r)
{
    wf_run_info info = r->c->versions;
    info.run = (uint16_t)r->run;
    info.group = (uint16_t)r->i_group;
    info.epoch = (uint16_t)epoch(r);
    info.resumed = r->run > 0;
    info.timed = timed(r);
    info.restart = r->c->start.restart;
    info.start_unix_ns = wf_clock_unix_ns() - (wf_clock_ns() - r->origin_ns);
    info.clock_start_ns = r->first_ns == INT64_MAX ? 0 : r->first_ns;
    info.clock_offset_ns = r->clock_offset_ns;
    info.lag_limit_ns = timed(r) ? r->spec->arrivals.lag_tolerance_ns : -1;
    info.speed = r->spec->arrivals.speed;
    info.load_bytes = (int64_t)r->model->report.file_bytes;
    info.load_ns = r->model->report.load_ns;
    info.job_id = r->c->start.job_id;
    info.hosts = r->c->host;
    info.devices = r->be_info.device;
    return info;
}

static wf_status create_writer(runner *r)
{
    if (!r->leads) return WF_OK;
    WF_TRY(wf_jobspec_text(r->spec, &r->job_text));
    const wf_jobspec *s = r->spec;
    wf_segment_config c = {.out_dir = s->output.dir,
                           .run = run_info(r),
                           .job = {.job_text = r->job_text,
                                   .model_hash = r->model_identity,
                                   .n_vocab = r->arch.n_vocab,
                                   .seed = (uint64_t)s->seed,
                                   .shards = r->in.shard,
                                   .n_shards = r->in.n},
                           .columns = {.token_times = s->output.token_times,
                                       .steps = s->output.steps,
                                       .logprobs = r->needs.n_top >= 0,
                                       .n_top = r->needs.n_top > 0 ? (uint32_t)r->needs.n_top : 0},
                           .seal_bytes = (uint64_t)s->output.seal_bytes,
                           .seal_ns = s->output.seal_every_ns};
    return wf_segment_writer_create(&c, &r->writer);
}

// ---- stage: the common start --------------------------------------------------------------------

// Median of a few differences of this rank's clock against the first rank's, each taken right after
// a barrier.
static wf_status measure_offset(runner *r, int64_t *out)
{
    enum { N = 9 };
    int64_t differences[N];
    for (int i = 0; i < N; i++) {
        WF_TRY(r->c->world->ops->barrier(r->c->world));
        int64_t mine = wf_clock_ns(), theirs = mine;
        WF_TRY(r->c->world->ops->broadcast(r->c->world, &theirs, sizeof theirs, 0));
        int k = i;
        for (; k > 0 && differences[k - 1] > mine - theirs; k--)
            differences[k] = differences[k - 1];
        differences[k] = mine - theirs;
    }
    *out = differences[N / 2];
    return WF_OK;
}

// One time zero for all groups. A timed replay that resumes starts at its earliest unfinished
// arrival, so that nothing is late from the start.
static wf_status start_clock_of_world(runner *r)
{
    char host[256] = "", first_host[256];
    int64_t first = 0, origin;
    wf_comm *world = r->c->world;
    snprintf(host, sizeof host, "%s", r->c->host ? r->c->host : "");
    memcpy(first_host, host, sizeof host);
    WF_TRY(world->ops->broadcast(world, first_host, sizeof first_host, 0));
    WF_TRY(world->ops->max_i64(world, r->first_ns == INT64_MAX ? INT64_MIN : -r->first_ns, &first));
    first = first == INT64_MIN ? 0 : -first;
    WF_TRY(measure_offset(r, &r->clock_offset_ns));
    if (strcmp(host, first_host) == 0) r->clock_offset_ns = 0; // one clock per host
    origin = wf_clock_ns();
    WF_TRY(world->ops->broadcast(world, &origin, sizeof origin, 0));
    r->first_ns = r->run == 0 ? 0 : first;
    r->origin_ns = origin + r->clock_offset_ns - r->first_ns;
    return WF_OK;
}

// Groups that are worlds of their own share no barrier: the first that is ready says what time it
// is, and all count from there by their hosts' wall clocks.
static wf_status share_time_zero(const runner *r, int64_t *out_unix_ns)
{
    char path[4096], text[32], *found = NULL;
    snprintf(path, sizeof path, "%s/leases/r%u/t0", r->spec->output.dir, r->run);
    int n = snprintf(text, sizeof text, "%lld\n", (long long)wf_clock_unix_ns());
    wf_status st = wf_file_write_whole(path, text, (size_t)n, WF_PUBLISH_NEW);
    if (st != WF_OK && st != WF_IN_USE) return st;
    WF_TRY(wf_file_read(path, sizeof text, &found, NULL));
    *out_unix_ns = strtoll(found, NULL, 10);
    free(found);
    return WF_OK;
}

static wf_status start_clock_of_part(runner *r)
{
    int64_t zero_unix_ns = 0;
    wf_comm *world = r->c->world;
    if (world->rank == 0) WF_TRY(share_time_zero(r, &zero_unix_ns));
    WF_TRY(world->ops->broadcast(world, &zero_unix_ns, sizeof zero_unix_ns, 0));
    r->first_ns = 0;
    r->origin_ns = wf_clock_ns() - (wf_clock_unix_ns() - zero_unix_ns);
    return WF_OK;
}

static wf_status start_clock(runner *r)
{
    WF_TRY(r->c->part ? start_clock_of_part(r) : start_clock_of_world(r));
    if (r->engine) wf_engine_start(r->engine, r->origin_ns);
    return WF_OK;
}

// ---- stage: run ---------------------------------------------------------------------------------

static wf_status lead(runner *r)
{
    char stop_file[4096];
    snprintf(stop_file, sizeof stop_file, "%s/stop", r->spec->output.dir);
    wf_serve_config c = {.engine = r->engine,
                         .feed = r->feed,
                         .leases = r->leases,
                         .flights = r->flights,
                         .writer = r->writer,
                         .done = r->done,
                         .progress = r->progress,
                         .shard_uid = r->in.uids,
                         .many_samples = r->in.many_samples,
                         .sampling = &r->spec->sampling,
                         .stop = r->spec->stop_token_ids.item,
                         .n_stop = r->spec->stop_token_ids.n,
                         .seed = (uint64_t)r->spec->seed,
                         .run = (uint16_t)r->run,
                         .group = (uint16_t)r->i_group,
                         .max_rows = r->spec->engine.max_rows,
                         .origin_ns = r->origin_ns,
                         .drain = r->c->drain,
                         .max_failures = r->spec->output.max_failures};
    wf_status st = wf_serve(&c, &r->served);
    if (st == WF_DATA && c.max_failures >= 0) // the other groups are to stop as well
        wf_file_write_whole(stop_file, "max_failures\n", 13, WF_PUBLISH_REPLACE);
    if (wf_status_scope(st) == WF_SCOPE_GROUP) return st; // followers cannot be told
    wf_status stopped = wf_engine_stop(r->engine);
    return st != WF_OK ? st : stopped;
}

static void set_operation(runner *r, wf_operation operation)
{
    if (!r->progress) return;
    wf_counters *counters = wf_progress_counters(r->progress);
    atomic_store_explicit(&counters->operation, (int)operation, memory_order_relaxed);
}

static wf_status follow(runner *r)
{
    wf_counters *counters = wf_progress_counters(r->progress);
    set_operation(r, WF_OPERATION_RUN);
    return wf_engine_follow(r->engine, &counters->step_entered, &counters->step_left);
}

static wf_status run_group(runner *r)
{
    if (!r->group) return WF_OK;
    set_operation(r, WF_OPERATION_RUN);
    wf_progress_flush(r->progress); // loading is over: whoever watches is less patient from now on
    wf_status st = r->leads ? lead(r) : follow(r);
    if (wf_status_scope(st) == WF_SCOPE_GROUP) {
        // Peers may wait inside a collective for ever: end them all; sealed segments stay.
        wf_say_error("group %d: %s: %s", r->i_group, wf_status_words(st), wf_error());
        wf_progress_farewell(r->progress, st, wf_error());
        if (r->writer) wf_segment_writer_close(&r->writer);
        if (r->c->world->size > 1) r->c->world->ops->abort(r->c->world, wf_status_exit_code(st));
    }
    set_operation(r, WF_OPERATION_SEAL);
    wf_status sealed = r->writer ? wf_segment_writer_close(&r->writer) : WF_OK;
    wf_progress_flush(r->progress); // before the agreement: the first rank prints all groups' sum
    return st != WF_OK ? st : sealed;
}

// ---- the whole ----------------------------------------------------------------------------------

typedef struct stage {
    const char *name;
    wf_status (*run)(runner *r);
    wf_operation operation; // as the status file says
} stage;

static wf_status share_run(runner *r)
{
    WF_TRY(r->c->world->ops->broadcast(r->c->world, &r->run, sizeof r->run, 0));
    return r->c->world->ops->broadcast(r->c->world, r->model_identity, sizeof r->model_identity, 0);
}

static const stage stages[] = {
    {"groups", form_groups, WF_OPERATION_START},
    {"shards", open_shards, WF_OPERATION_START},
    {"needs", share_needs, WF_OPERATION_START},
    {"model", open_model, WF_OPERATION_START},
    {"folder", begin_folder, WF_OPERATION_START},
    {"run", share_run, WF_OPERATION_START},
    {"done", read_done, WF_OPERATION_START},
    {"left", look_what_is_left, WF_OPERATION_START},
    {"progress", start_progress, WF_OPERATION_START},
    {"weights", load_model, WF_OPERATION_LOAD},
    {"devices", join_devices, WF_OPERATION_WARM_UP},
    {"engine", create_engine, WF_OPERATION_WARM_UP},
    {"rows", find_rows, WF_OPERATION_START},
    {"clock", start_clock, WF_OPERATION_START},
    {"writer", create_writer, WF_OPERATION_START},
};

static wf_status sum_up(runner *r, wf_runner_outcome *out)
{
    // Counts travel as maxima of per-group values through the status of one all-gather.
    int64_t mine[5] = {r->served.n_done, r->served.n_failed, r->served.last_token_ns,
                       r->leads && r->i_group == 0 ? wf_inputs_results(&r->in, r->spec) : 0,
                       r->leads && r->i_group == 0 ? (int64_t)wf_done_total(r->done) : 0};
    int n = r->c->world->size;
    int64_t(*all)[5] = calloc((size_t)n, sizeof *all);
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

static wf_status end_of(const runner *r, const wf_runner_outcome *out, bool drained)
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
static void say_slow(const runner *r, const char *name, int64_t began_ns)
{
    int64_t took_ns = wf_clock_ns() - began_ns;
    if (r->c->world->rank == 0 && took_ns > SLOW_STAGE_NS)
        wf_info("start: %s took %.1f s", name, (double)took_ns / (double)WF_NS_PER_S);
}

static wf_status start(runner *r)
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

static wf_status run_job(runner *r, wf_runner_outcome *out)
{
    WF_TRY(start(r));
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

static void tear_down(runner *r, wf_status st)
{
    wf_segment_writer_abandon(&r->writer);
    wf_progress_stop(&r->progress);
    wf_flights_close(&r->flights, wf_status_scope(st) == WF_SCOPE_GROUP);
    wf_leases_close(&r->leases);
    wf_feed_destroy(r->feed);
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
    wf_inputs_close(&r->in);
}

// A table that cannot be written spoils nothing.
static void report_profile(const runner *r)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/profile.csv", r->spec->output.dir);
    FILE *file = fopen(path, "w");
    if (!file) wf_warn("%s: cannot be written: %s", path, strerror(errno));
    wf_status st = wf_profile_print(r->profile, r->c->profile);
    if (st == WF_OK && file) st = wf_profile_write_csv(r->profile, file);
    if (st != WF_OK) wf_warn("profile: %s", wf_error());
    if (file && fclose(file) != 0) wf_warn("%s: %s", path, strerror(errno));
}

wf_status wf_runner_run(const wf_runner_config *config, wf_runner_outcome *out)
{
    runner r = {.c = config, .spec = config->spec, .i_group = -1};
    *out = (wf_runner_outcome){0};
    wf_status st = run_job(&r, out);
    if (r.progress) wf_progress_farewell(r.progress, st, wf_error());
    if (r.profile && (st == WF_OK || st == WF_FAILED_ROWS || st == WF_DRAINED)) report_profile(&r);
    tear_down(&r, st);
    return st;
}
