// The feed and its feeder: rows in their order, blocks that cannot be read, and a thread that takes
// them when they are due.
#include "tests/jobs/jobs_test.h"

#include "io/base/file.h"
#include "io/shard/shard_writer.h"
#include "jobs/run/feeder.h"

#define MS WF_NS_PER_MS

enum { ROWS = 200 };

typedef struct rig {
    char path[2][128];
    const char *paths[2];
    wf_shard_info info[2];
    wf_reader *reader;
    wf_feed *feed;
} rig;

static void write_shard(const char *path, int n, int32_t token)
{
    wf_shard_writer *w = NULL;
    wf_shard_options o = {.vocab_size = 100, .generator = "test", .replace = true};
    assert_ok(wf_shard_writer_create(path, &o, &w));
    for (int i = 0; i < n; i++) {
        int32_t prompt[2] = {token, i % 100};
        wf_request q = {.id = (uint64_t)i, .max_new_tokens = 1, .n_prompt = 2, .prompt = prompt};
        assert_ok(wf_shard_writer_append(w, &q));
    }
    assert_ok(wf_shard_writer_close(&w, NULL));
}

static void make(rig *r, const char *folder)
{
    assert_ok(wf_reader_start(NULL, &r->reader));
    for (int i = 0; i < 2; i++) {
        snprintf(r->path[i], sizeof r->path[i], "%s/%d.h5", folder, i);
        r->paths[i] = r->path[i];
        write_shard(r->path[i], ROWS, i);
        assert_ok(wf_reader_open(r->reader, r->path[i], &r->info[i]));
    }
    const wf_feed_config c = {.reader = r->reader,
                              .paths = r->paths,
                              .info = r->info,
                              .n_shards = 2,
                              .n_vocab = 100,
                              .max_context = 100,
                              .block_rows = 16,
                              .ahead = 40};
    assert_ok(wf_feed_create(&c, &r->feed));
}

static void drop(rig *r)
{
    wf_feed_destroy(r->feed);
    wf_reader_close(&r->reader);
}

static const wf_request *next(wf_feed *feed)
{
    while (!wf_feed_peek(feed))
        assert_ok(wf_feed_pump(feed, 100 * MS));
    return wf_feed_pop(feed);
}

// Entries of two shards, some rows left out, come out in the order they were added.
static void rows_come_in_the_order_they_were_added(void **state)
{
    rig r;
    make(&r, *state);
    for (uint64_t i = 0; i < ROWS; i++) {
        if (i % 3 != 1) assert_ok(wf_feed_add(r.feed, 0, i, (int64_t)i));
        if (i % 7 < 2) assert_ok(wf_feed_add(r.feed, 1, i, (int64_t)i + 1000));
    }
    assert_false(wf_feed_takes(r.feed, 0, 5)); // shards are read forward
    for (uint64_t i = 0; i < ROWS; i++)
        for (uint32_t shard = 0; shard < 2; shard++) {
            if (shard == 0 ? i % 3 == 1 : i % 7 >= 2) continue;
            const wf_request *q = next(r.feed);
            assert_int_equal(q->shard, shard);
            assert_int_equal(q->row, i);
            assert_int_equal(q->arrival_ns, (int64_t)i + (shard ? 1000 : 0));
            assert_int_equal(q->prompt[0], shard);
            assert_int_equal(q->prompt[1], i % 100);
            wf_feed_free(q);
        }
    assert_int_equal(wf_feed_left(r.feed), 0);
    assert_int_equal(wf_feed_next_ns(r.feed), INT64_MAX);
    assert_true(wf_feed_takes(r.feed, 0, 5)); // and may begin again when all have gone
    assert_ok(wf_feed_add(r.feed, 0, 5, 0));
    const wf_request *again = next(r.feed);
    assert_int_equal(again->row, 5);
    wf_feed_free(again);
    drop(&r);
}

// A shard that changes under the job fails its rows, each with its reason; the other goes on.
static void rows_that_cannot_be_read_fail_alone(void **state)
{
    rig r;
    make(&r, *state);
    r.info[0].uid[0] = r.info[0].uid[0] == '0' ? '1' : '0'; // it was another when the job began
    for (uint64_t i = 0; i < 20; i++)
        for (uint32_t shard = 0; shard < 2; shard++)
            assert_ok(wf_feed_add(r.feed, shard, i, 0));
    for (uint64_t i = 0; i < 40; i++) {
        const wf_request *q = next(r.feed);
        assert_int_equal(q->row, i / 2);
        assert_int_equal(q->status, q->shard == 0 ? WF_REQ_SHARD : WF_OK);
        if (q->shard == 0) assert_non_null(q->error);
        wf_feed_free(q);
    }
    drop(&r);
}

// The thread takes each row when it is due, whatever the caller does meanwhile.
static void the_thread_takes_what_is_due(void **state)
{
    rig r;
    wf_feeder *feeder = NULL;
    const wf_request *q;
    _Atomic int64_t waiting = 0;
    int64_t taken_ns, origin_ns = wf_clock_ns();
    make(&r, *state);
    for (uint64_t i = 0; i < 50; i++)
        assert_ok(wf_feed_add(r.feed, 0, i, (int64_t)i * MS));
    assert_ok(wf_feed_add(r.feed, 0, 60, INT64_C(3600) * WF_NS_PER_S)); // not in this test
    const wf_feeder_config c = {.feed = r.feed,
                                .clock = &wf_clock_real,
                                .origin_ns = origin_ns,
                                .waiting = &waiting,
                                .thread = true};
    assert_ok(wf_feeder_create(&c, &feeder));
    while (wf_feeder_n_waiting(feeder) < 50) // as a long step: nobody takes
        wf_clock_sleep_until(wf_clock_ns() + MS);
    assert_int_equal(atomic_load(&waiting), 50);
    assert_int_equal(wf_feeder_left(feeder), 51);
    for (uint64_t i = 0; i < 50; i++) {
        assert_true(wf_feeder_take(feeder, &q, &taken_ns));
        assert_int_equal(q->row, i);
        assert_true(taken_ns >= (int64_t)i * MS && taken_ns <= wf_clock_ns() - origin_ns);
        wf_feed_free(q);
    }
    assert_false(wf_feeder_take(feeder, &q, &taken_ns));
    wf_feeder_wait(feeder, wf_clock_ns() + 2 * MS);
    assert_ok(wf_feeder_status(feeder));
    assert_int_equal(wf_feeder_left(feeder), 1);
    assert_int_equal(atomic_load(&waiting), 0);
    wf_feeder_destroy(&feeder);
    wf_feeder_destroy(&feeder); // NULL inside is fine
    drop(&r);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, folder_make, folder_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(rows_come_in_the_order_they_were_added),
        TEST(rows_that_cannot_be_read_fail_alone),
        TEST(the_thread_takes_what_is_due),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
