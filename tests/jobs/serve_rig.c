#include "tests/jobs/serve_rig.h"

#include "engine/limits.h"
#include "io/results/runfile.h"
#include "io/shard/shard_writer.h"

#include <sys/stat.h>

enum { VOCAB = 100, CONTEXT = 256 };

static void write_shard(serve_rig *r)
{
    wf_shard_writer *w = NULL;
    wf_shard_options o = {.vocab_size = VOCAB, .generator = "serve_rig", .replace = true};
    assert_ok(wf_shard_writer_create(r->shard, &o, &w));
    for (int i = 0; i < r->n_rows; i++) {
        int32_t prompt[5] = {1, 2, 3, 4, i == r->bad_row ? VOCAB : 5};
        wf_request q = {.id = (uint64_t)i,
                        .arrival_ns = i * r->gap_ms * MS,
                        .max_new_tokens = r->max_new,
                        .n_prompt = 5,
                        .prompt = prompt};
        q.sampling = wf_sampling_default();
        q.sampling_set = r->n_own_seeds > 0 ? 1u << WF_SAMPLING_seed : 0;
        if (i < r->n_own_seeds) q.sampling.seed = 5;
        assert_ok(wf_shard_writer_append(w, &q));
    }
    assert_ok(wf_shard_writer_close(&w, NULL));
}

// All rows are read before time begins: reading takes real time.
static void make_feed(serve_rig *r)
{
    const wf_feed_config c = {.reader = r->reader,
                              .paths = r->paths,
                              .info = &r->info,
                              .n_shards = 1,
                              .n_vocab = VOCAB,
                              .max_context = CONTEXT};
    r->paths[0] = r->shard;
    assert_ok(wf_feed_create(&c, &r->feed));
    for (int i = 0; i < r->n_rows && !r->offline; i++)
        assert_ok(wf_feed_add(r->feed, 0, (uint64_t)i, i * r->gap_ms * MS));
    while (!r->offline && !wf_feed_peek(r->feed))
        assert_ok(wf_feed_pump(r->feed, 100 * MS));
}

static void look(void *context)
{
    wf_feeder_look(context);
}

// Arrivals are noticed at their time, as the feeder's thread would.
static void make_feeder(serve_rig *r)
{
    const wf_feeder_config c = {.feed = r->feed,
                                .clock = &r->clock.clock,
                                .origin_ns = RUN_MS(0),
                                .waiting = &r->counters->waiting};
    if (r->offline) return;
    assert_ok(wf_feeder_create(&c, &r->feeder));
    for (int i = 0; i < r->n_rows; i++)
        sim_clock_at(&r->clock, RUN_MS(i * r->gap_ms), look, r->feeder);
}

static int64_t ten_ms(void *context, const int32_t *plan)
{
    (void)context, (void)plan;
    return 10 * MS;
}

static void make_engine(serve_rig *r)
{
    const wf_engine_config c = {.max_rows = r->max_rows,
                                .step_tokens = 512,
                                .page_tokens = 16,
                                .n_top = -1,
                                .clock = &r->clock.clock};
    wf_limits limits;
    r->arch = (wf_arch){.n_vocab = VOCAB, .max_context = CONTEXT};
    assert_ok(wf_engine_limits(&c, &r->arch, 1, false, &limits));
    r->x = (sim_executor){.clock = &r->clock,
                          .step_ns = r->step_ns ? r->step_ns : ten_ms,
                          .token = r->token,
                          .context = r};
    sim_executor_make(&r->x, &limits.plan);
    assert_ok(wf_comm_self_create(&r->comm));
    const wf_engine_base base = {&r->x.executor, &r->arch, r->comm, 1000};
    assert_ok(wf_engine_create_on(&base, &c, &r->engine));
    wf_engine_start(r->engine, RUN_MS(0));
}

static void begin_run(const char *out)
{
    wf_runs *runs = NULL;
    uint32_t run = 0;
    assert_ok(wf_runs_open(out, NULL, &runs));
    assert_ok(wf_runs_start(runs, &(wf_run_params){.identity = "{\"model\": \"m\"}"}, &run));
    wf_runs_close(&runs);
    assert_int_equal(run, 0);
}

static void make_outputs(serve_rig *r)
{
    wf_result_shard shard = {r->info.uid, r->shard, r->info.n_rows};
    wf_segment_config c = {
        .out_dir = r->out,
        .job = {.job_text = "j", .model_hash = "m", .shards = &shard, .n_shards = 1},
        .columns = {.token_times = true, .steps = true}};
    wf_progress_config p = {.out_dir = r->out};
    wf_lease_shard all = {.n_rows = r->info.n_rows};
    wf_leases_config l = {.out_dir = r->out, .shards = &all, .n_shards = 1, .cut = {.n_groups = 1}};
    assert_ok(wf_segment_writer_create(&c, &r->writer));
    assert_ok(wf_progress_start(&p, &r->progress));
    assert_ok(wf_done_create(&shard, 1, &r->done));
    if (r->offline) assert_ok(wf_leases_open(&l, &r->leases));
    r->counters = wf_progress_counters(r->progress);
}

void serve_rig_make(serve_rig *r, const char *folder)
{
    r->folder = folder;
    snprintf(r->out, sizeof r->out, "%s/out", folder);
    snprintf(r->shard, sizeof r->shard, "%s/rows.h5", folder);
    assert_int_equal(mkdir(r->out, 0777), 0);
    write_shard(r);
    begin_run(r->out);
    assert_ok(wf_reader_start(NULL, &r->reader));
    assert_ok(wf_reader_open(r->reader, r->shard, &r->info));
    sim_clock_make(&r->clock, RUN_MS(0));
    make_outputs(r);
    make_feed(r);
    make_feeder(r);
    make_engine(r);
    const wf_drain_config d = {.signals = &r->signals,
                               .clock = &r->clock.clock,
                               .begin_ns = r->drain_at_ns ? r->drain_at_ns : INT64_MAX,
                               .end_ns = INT64_MAX,
                               .grace_ns = r->grace_ns ? r->grace_ns : 100 * WF_NS_PER_S};
    assert_ok(wf_drain_start(&d, &r->drain));
}

static void read_results(serve_rig *r)
{
    wf_results *results = NULL;
    const wf_result *row = NULL;
    size_t n = 0;
    wf_results_options o = {.segments = true};
    assert_ok(wf_results_open(r->out, &o, &results));
    while (wf_results_next(results, &row) == WF_OK && row)
        r->row[row->row] = *row;
    do {
        assert_ok(wf_results_next_steps(results, r->step + r->n_steps, 4096 - r->n_steps, &n));
        r->n_steps += n;
    } while (n > 0);
    wf_results_close(&results);
}

static void tear_down(serve_rig *r)
{
    wf_drain_stop(&r->drain);
    wf_feeder_destroy(&r->feeder);
    wf_leases_close(&r->leases);
    wf_feed_destroy(r->feed);
    wf_done_destroy(&r->done);
    wf_progress_stop(&r->progress);
    wf_engine_destroy(r->engine);
    wf_comm_destroy(r->comm);
    sim_executor_free(&r->x);
    wf_reader_close(&r->reader);
}

wf_status serve_rig_run(serve_rig *r)
{
    const char *const uids[] = {r->info.uid};
    const bool many[] = {false};
    const wf_sampling sampling = wf_sampling_default();
    const wf_serve_config c = {.engine = r->engine,
                               .feed = r->feed,
                               .leases = r->leases,
                               .feeder = r->feeder,
                               .writer = r->writer,
                               .done = r->done,
                               .progress = r->progress,
                               .shard_uid = uids,
                               .many_samples = many,
                               .sampling = &sampling,
                               .stop = &r->stop,
                               .n_stop = r->stop != 0,
                               .max_rows = r->max_rows,
                               .concurrency = r->concurrency,
                               .clock = &r->clock.clock,
                               .origin_ns = RUN_MS(0),
                               .drain = r->drain,
                               .max_failures = r->max_failures};
    wf_status st = wf_serve(&c, &r->outcome);
    char error[WF_ERROR_MAX];
    snprintf(error, sizeof error, "%s", wf_error());
    r->n_entered = atomic_load(&r->counters->step_entered);
    r->n_idle = atomic_load(&r->counters->step_idle);
    assert_ok(wf_segment_writer_close(&r->writer));
    if (r->outcome.n_done > 0) read_results(r);
    tear_down(r);
    return st == WF_OK ? WF_OK : wf_fail(st, "%s", error);
}
