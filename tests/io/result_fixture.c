#include "tests/base/base_test.h"

#include "tests/io/result_fixture.h"

#include <inttypes.h>
#include <math.h>

static void fill_tokens(wf_result *r, result_buffers *b)
{
    for (uint32_t t = 0; t < r->n_tokens; t++) {
        b->token_id[t] = (int32_t)((r->row * 31 + r->shard * 7 + t) % RESULT_FIXTURE_VOCAB);
        b->token_time_ns[t] = r->first_token_ns + (int64_t)t * 20000000;
        b->logprob[t] = -0.25f * (float)(t + 1);
        for (int k = 0; k < RESULT_FIXTURE_TOP; k++) {
            b->top_id[t * RESULT_FIXTURE_TOP + (uint32_t)k] = b->token_id[t] ^ k;
            b->top_logprob[t * RESULT_FIXTURE_TOP + (uint32_t)k] = b->logprob[t] - (float)k;
        }
    }
    r->token_id = b->token_id;
    r->token_time_ns = b->token_time_ns;
    r->logprob = b->logprob;
    r->top_id = b->top_id;
    r->top_logprob = b->top_logprob;
    r->n_top = RESULT_FIXTURE_TOP;
}

wf_result result_fixture_row(uint32_t shard, uint64_t row, result_buffers *b)
{
    bool failed = row % 7 == 6;
    int64_t arrival = (int64_t)row * 1000000;
    wf_result r = {.shard = shard,
                   .row = row,
                   .id = 100000u * (shard + 1) + row,
                   .status = failed ? WF_RESULT_FAILED : WF_RESULT_DONE,
                   .finish_reason = failed         ? WF_FINISH_ERROR
                                    : row % 2 == 0 ? WF_FINISH_LENGTH
                                                   : WF_FINISH_STOP,
                   .error_code = failed ? WF_REQ_TOKEN : WF_OK,
                   .arrival_ns = arrival,
                   .submitted_ns = arrival + 1000,
                   .admitted_ns = failed ? -1 : arrival + 2000000,
                   .first_token_ns = failed ? -1 : arrival + 30000000,
                   .finish_ns = failed ? -1 : arrival + 30000000,
                   .prompt_len = (uint32_t)(1 + row % 50),
                   .n_cached = failed ? 0 : (uint32_t)(row % 50 / 2),
                   .n_tokens = failed ? 0 : (uint32_t)(1 + row % 39),
                   .preempted = (uint16_t)(row % 2),
                   .stop_kept = row % 5 == 1};
    if (!failed && row % 4 == 3) {
        r.stop_string_bytes = (uint32_t)snprintf(b->ending, sizeof b->ending, "é%" PRIu64, row);
        r.stop_string = b->ending;
    }
    if (failed) {
        snprintf(b->error, sizeof b->error, "row %" PRIu64 ": token 999 is outside", row);
        r.error = b->error;
    }
    if (row % 3 == 0) {
        r.meta_bytes = (uint32_t)snprintf(b->meta, sizeof b->meta, "custom-%" PRIu64, row);
        r.meta = (const uint8_t *)b->meta;
    }
    fill_tokens(&r, b);
    if (r.n_tokens > 0) r.finish_ns = b->token_time_ns[r.n_tokens - 1];
    return r;
}

static void assert_tokens(const wf_result *row, const wf_result *want, wf_result_columns columns)
{
    size_t n = want->n_tokens;
    if (n == 0) return;
    assert_memory_equal(row->token_id, want->token_id, n * sizeof *want->token_id);
    if (columns.token_times)
        assert_memory_equal(row->token_time_ns, want->token_time_ns, n * sizeof(int64_t));
    else
        assert_null(row->token_time_ns);
    if (columns.logprobs) assert_memory_equal(row->logprob, want->logprob, n * sizeof(float));
    for (size_t t = 0; t < n; t++) {
        for (uint32_t k = 0; k < columns.n_top; k++) {
            int32_t id = row->top_id[t * columns.n_top + k];
            float value = row->top_logprob[t * columns.n_top + k];
            if (k < RESULT_FIXTURE_TOP) {
                assert_int_equal(id, want->top_id[t * RESULT_FIXTURE_TOP + k]);
            } else {
                assert_int_equal(id, -1);
                assert_true(isnan(value));
            }
        }
    }
}

void result_fixture_assert(const wf_result *row, wf_result_columns columns)
{
    result_buffers b;
    wf_result want = result_fixture_row(row->shard, row->row, &b);
    assert_int_equal(row->sample, want.sample);
    assert_int_equal(row->id, want.id);
    assert_int_equal(row->status, want.status);
    assert_int_equal(row->finish_reason, want.finish_reason);
    assert_int_equal(row->error_code, want.error_code);
    assert_int_equal(row->arrival_ns, want.arrival_ns);
    assert_int_equal(row->submitted_ns, want.submitted_ns);
    assert_int_equal(row->admitted_ns, want.admitted_ns);
    assert_int_equal(row->first_token_ns, want.first_token_ns);
    assert_int_equal(row->finish_ns, want.finish_ns);
    assert_int_equal(row->prompt_len, want.prompt_len);
    assert_int_equal(row->preempted, want.preempted);
    assert_int_equal(row->n_cached, columns.n_cached ? want.n_cached : 0);
    assert_int_equal(row->stop_kept, columns.stop_kept ? want.stop_kept : 0);
    assert_int_equal(row->stop_string_bytes, columns.stop_strings ? want.stop_string_bytes : 0);
    if (row->stop_string_bytes > 0)
        assert_memory_equal(row->stop_string, want.stop_string, want.stop_string_bytes);
    assert_int_equal(row->n_tokens, want.n_tokens);
    assert_int_equal(row->meta_bytes, want.meta_bytes);
    if (want.meta_bytes) assert_memory_equal(row->meta, want.meta, want.meta_bytes);
    if (want.error)
        assert_string_equal(row->error, want.error);
    else
        assert_null(row->error);
    assert_tokens(row, &want, columns);
}

wf_segment_config result_fixture_config(const char *out_dir, uint64_t rows_a, uint64_t rows_b,
                                        uint16_t run, uint16_t group, uint16_t epoch)
{
    static wf_result_shard shards[2]; // test programs have one thread
    shards[0] = (wf_result_shard){"uid-a", "streams/a.h5", rows_a};
    shards[1] = (wf_result_shard){"uid-b", "streams/b.h5", rows_b};
    return (wf_segment_config){.out_dir = out_dir,
                               .run = {.run = run,
                                       .group = group,
                                       .epoch = epoch,
                                       .resumed = run > 0,
                                       .speed = 1.0,
                                       .lag_limit_ns = -1,
                                       .load_bytes = 16000000000,
                                       .start_unix_ns = INT64_C(1700000000000000000),
                                       .job_id = "4711",
                                       .hosts = "nodeä1"},
                               .job = {.job_text = "job: test\nseed: 5\n",
                                       .model_hash = "0123456789abcdef",
                                       .n_vocab = RESULT_FIXTURE_VOCAB,
                                       .seed = 5,
                                       .shards = shards,
                                       .n_shards = 2},
                               .columns = {.token_times = true, .steps = true}};
}

void result_fixture_put(wf_segment_writer *writer, uint32_t shard, uint64_t from, uint64_t to)
{
    result_buffers b;
    for (uint64_t row = from; row < to; row++) {
        wf_result r = result_fixture_row(shard, row, &b);
        assert_ok(wf_segment_writer_put(writer, &r));
    }
}
