#include "tests/base/base_test.h"

#include "tests/results/run_fixture.h"

#include "io/base/file.h"
#include "io/results/runfile.h"
#include "io/shard/shard.h"
#include "io/shard/shard_writer.h"
#include "tests/io/shard_fixture.h"

#include <inttypes.h>

static void make_shard(run_fixture *f, int i, uint64_t rows)
{
    wf_shard *shard = NULL;
    char path[300];
    snprintf(path, sizeof path, "%s/%c.h5", f->folder, 'a' + i);
    memcpy(f->path[i], path, sizeof path);
    fixture_shard_write(f->path[i], rows);
    assert_ok(wf_shard_open(f->path[i], &shard));
    snprintf(f->uid[i], sizeof f->uid[i], "%s", wf_shard_info_of(shard)->uid);
    wf_shard_close(&shard);
    f->shards[i] = (wf_result_shard){.uid = f->uid[i], .path = f->path[i], .rows = rows};
}

void run_fixture_make(run_fixture *f)
{
    f->columns =
        (wf_result_columns){.token_times = 1, .steps = 1, .n_cached = 1, .stop_strings = 1};
    f->n = 1;
    fixture_folder_make(f->folder);
    char out[300];
    snprintf(out, sizeof out, "%s/out", f->folder);
    memcpy(f->out, out, sizeof out);
    assert_ok(wf_file_make_folders(f->out));
    make_shard(f, 0, RUN_ROWS_A);
    make_shard(f, 1, RUN_ROWS_B);
}

void run_fixture_remove(run_fixture *f)
{
    fixture_folder_remove(f->folder);
}

static void hear_nothing(void *context, const char *line)
{
    (void)context;
    (void)line;
}

uint16_t run_fixture_start(run_fixture *f)
{
    const wf_runs_options quiet = {.report = hear_nothing};
    wf_runs *runs = NULL;
    uint32_t run;
    assert_ok(wf_runs_open(f->out, &quiet, &runs));
    assert_ok(wf_runs_start(runs, &(wf_run_params){.identity = "{\"model\": \"m\"}"}, &run));
    wf_runs_close(&runs);
    return (uint16_t)run;
}

static void fill_tokens(wf_result *r, run_row_buffers *b)
{
    for (uint32_t t = 0; t < r->n_tokens; t++) {
        b->token[t] = (int32_t)(33 + (r->row * 5 + r->shard * 3 + t) % 90);
        b->time[t] = r->first_token_ns + (int64_t)t * (10000000 + (int64_t)(r->row % 4) * 1000000);
    }
    r->token_id = b->token;
    r->token_time_ns = b->time;
    if (r->n_tokens > 0) r->finish_ns = b->time[r->n_tokens - 1];
}

wf_result run_fixture_row(uint32_t shard, uint64_t row, run_row_buffers *b)
{
    fixture_row_buffers request_buffers;
    wf_request q = fixture_row(row, &request_buffers);
    bool failed = row % 11 == 10;
    wf_result r = {.shard = shard,
                   .row = row,
                   .id = q.id,
                   .status = failed ? WF_RESULT_FAILED : WF_RESULT_DONE,
                   .finish_reason = failed ? WF_FINISH_ERROR : WF_FINISH_LENGTH,
                   .error_code = failed ? WF_REQ_TOKEN : WF_OK,
                   .arrival_ns = q.arrival_ns,
                   .submitted_ns = q.arrival_ns + 50000 + (int64_t)(row % 10) * 10000,
                   .admitted_ns = failed ? -1 : q.arrival_ns + 1000000,
                   .first_token_ns = failed ? -1 : q.arrival_ns + 20000000,
                   .finish_ns = failed ? -1 : q.arrival_ns + 20000000,
                   .prompt_len = q.n_prompt,
                   .n_cached = failed ? 0 : q.n_prompt / 2,
                   .n_tokens = failed ? 0 : q.max_new_tokens,
                   .preempted = row % 20 == 0};
    if (!failed && row % 3 == 0) { // ended early
        r.finish_reason = WF_FINISH_STOP;
        r.stop_string = "end";
        r.stop_string_bytes = row % 2 == 0 ? 3 : 0;
        r.n_tokens = (q.max_new_tokens + 1) / 2;
    }
    if (failed) {
        snprintf(b->error, sizeof b->error, "token 999 in row %" PRIu64, row);
        r.error = b->error;
    }
    if (q.meta_bytes > 0) {
        memcpy(b->meta, q.meta, q.meta_bytes);
        r.meta = (const uint8_t *)b->meta;
        r.meta_bytes = q.meta_bytes;
    }
    fill_tokens(&r, b);
    return r;
}

static wf_segment_writer *start_writer(run_fixture *f, uint16_t run, uint16_t group, uint16_t epoch)
{
    wf_segment_writer *writer = NULL;
    char job[256];
    snprintf(job, sizeof job,
             "# as resolved\njob: fixture run # its name\nseed: 1\nsampling: {n: %u}\n"
             "model: {path: models/small, dtype: bf16}\nparallel: {tensor: 2}\n"
             "arrivals: {mode: replay, speed: 2.0}\n",
             f->n);
    const wf_segment_config config = {.out_dir = f->out,
                                      .run = {.run = run,
                                              .group = group,
                                              .epoch = epoch,
                                              .n_groups = 4,
                                              .resumed = run > 0,
                                              .timed = 1,
                                              .speed = 1,
                                              .start_unix_ns = INT64_C(1700000000000000000),
                                              .lag_limit_ns = 100000,
                                              .hosts = group == 0 ? "n1" : "n1,n2",
                                              .devices = "a device, of a kind"},
                                      .job = {.job_text = job,
                                              .model_hash = "m",
                                              .n_vocab = FIXTURE_VOCAB,
                                              .seed = 1,
                                              .shards = f->shards,
                                              .n_shards = 2},
                                      .columns = f->columns};
    assert_ok(wf_segment_writer_create(&config, &writer));
    return writer;
}

static void put_step(wf_segment_writer *writer, const wf_result *r)
{
    const wf_step_record step = {.start_ns = r->arrival_ns,
                                 .duration_ns = 5000000 + (int64_t)r->row * 1000,
                                 .n_decode = (int32_t)(r->row % 8),
                                 .n_prefill = 1,
                                 .n_prompt_tokens = 16,
                                 .kv_pages = (int32_t)r->row,
                                 .rows_moved = 1,
                                 .bytes_moved = 64,
                                 .n_waiting = (int64_t)(r->row % 3),
                                 .run = r->run,
                                 .group = r->group};
    assert_ok(wf_segment_writer_put_step(writer, &step));
}

void run_fixture_write(run_fixture *f, uint16_t run, uint16_t group, uint16_t epoch, uint32_t shard,
                       uint64_t first, uint64_t end, uint64_t step)
{
    run_row_buffers b;
    wf_segment_writer *writer = start_writer(f, run, group, epoch);
    for (uint64_t row = first; row < end; row += step) {
        wf_result r = run_fixture_row(shard, row, &b);
        r.run = run;
        r.group = group;
        assert_ok(wf_segment_writer_put(writer, &r));
        put_step(writer, &r);
    }
    assert_ok(wf_segment_writer_close(&writer));
}

void run_fixture_write_changed(run_fixture *f, uint16_t run, uint16_t group, uint32_t shard,
                               uint64_t first, uint64_t end, run_change change, void *context)
{
    run_row_buffers b;
    wf_segment_writer *writer = start_writer(f, run, group, 0);
    for (uint64_t row = first; row < end; row++) {
        wf_result r = run_fixture_row(shard, row, &b);
        r.run = run;
        r.group = group;
        if (!change(&r, &b, context)) continue;
        assert_ok(wf_segment_writer_put(writer, &r));
    }
    assert_ok(wf_segment_writer_close(&writer));
}

void run_fixture_write_in_parts(run_fixture *f, uint16_t run, uint16_t group, uint32_t shard,
                                uint64_t first, uint64_t end, uint64_t part)
{
    run_row_buffers b;
    wf_segment_writer *writer = start_writer(f, run, group, 0);
    for (uint64_t row = first; row < end; row++) {
        wf_result r = run_fixture_row(shard, row, &b);
        r.run = run;
        r.group = group;
        assert_ok(wf_segment_writer_put(writer, &r));
        if ((row + 1 - first) % part == 0) assert_ok(wf_segment_writer_sync(writer));
    }
    assert_ok(wf_segment_writer_close(&writer));
}

void run_fixture_change_shard(run_fixture *f, int i_shard, void (*change)(wf_request *request))
{
    wf_shard_writer *w = NULL;
    const wf_shard_options options = {.vocab_size = FIXTURE_VOCAB, .replace = true};
    assert_ok(wf_shard_writer_create(f->path[i_shard], &options, &w));
    for (uint64_t row = 0; row < f->shards[i_shard].rows; row++) {
        fixture_row_buffers b;
        wf_request request = fixture_row(row, &b);
        change(&request);
        assert_ok(wf_shard_writer_append(w, &request));
    }
    assert_ok(wf_shard_writer_close(&w, f->uid[i_shard]));
}

// Odd rows from the end, even rows from the start, in segments that seal in between.
void run_fixture_complete(run_fixture *f)
{
    run_row_buffers b;
    uint16_t run = run_fixture_start(f);
    for (uint16_t group = 0; group < 2; group++) {
        wf_segment_writer *writer = start_writer(f, run, group, 0);
        for (uint32_t shard = 0; shard < 2; shard++) {
            uint64_t rows = f->shards[shard].rows;
            for (uint64_t i = group; i < rows; i += 2) {
                uint64_t row = group == 0 ? i : rows % 2 == 0 ? rows - i : rows - 1 - i;
                wf_result r = run_fixture_row(shard, row, &b);
                r.run = run;
                r.group = group;
                assert_ok(wf_segment_writer_put(writer, &r));
                put_step(writer, &r);
                if (i % 100 == group) assert_ok(wf_segment_writer_sync(writer));
            }
        }
        assert_ok(wf_segment_writer_close(&writer));
    }
    assert_ok(wf_run_complete(f->out, run));
}
