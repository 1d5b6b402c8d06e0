// Progress: the line and the estimate as pure functions, and the heartbeat with real files.
#include "tests/jobs/jobs_test.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "io/base/clock.h"
#include "jobs/watch/progress.h"

typedef struct {
    wf_progress_view view;
    const char *line;
} line_row;

#define S WF_NS_PER_S

static const line_row line_rows[] = {
    {{.tokens_per_s = -1, .eta_ns = -1}, "0 requests, 0 in flight, 0 queued"},
    {{.requests_total = 50000,
      .requests_done = 1234,
      .requests_failed = 3,
      .tokens_per_s = 41234.0,
      .in_flight = 256,
      .waiting = 1200,
      .kv_pages = 630,
      .kv_pages_total = 1000,
      .eta_ns = 753 * S,
      .replay = true,
      .lag_ns = 420000},
     "1,234/50,000 requests (2.4%), 3 failed, 41.2k tokens/s, 256 in flight, 1,200 queued, KV 63%, "
     "ETA 12m33s, lag 0.4 ms"},
    // Not 100% before the last one is done.
    {{.requests_total = 10000000, .requests_done = 9999999, .tokens_per_s = 0, .eta_ns = 0},
     "9,999,999/10,000,000 requests (99.9%), 0 tokens/s, 0 in flight, 0 queued, ETA 0s"},
    {{.requests_total = 7, .requests_done = 7, .tokens_per_s = 999.7, .eta_ns = 3 * 3600 * S},
     "7/7 requests (100.0%), 1.0k tokens/s, 0 in flight, 0 queued, ETA 3h00m"},
    {{.requests_total = 7,
      .requests_done = 7,
      .tokens_per_s = 10,
      .in_flight = 1,
      .ended = true,
      .replay = true},
     "7/7 requests (100.0%), 10 tokens/s, lag 0.0 ms"},
    {{.tokens_per_s = 3.25, .eta_ns = 90000 * S},
     "0 requests, 3.2 tokens/s, 0 in flight, 0 queued, "
     "ETA 1d01h"},
    {{.tokens_per_s = 2.5e9, .eta_ns = 59 * S},
     "0 requests, 2.5G tokens/s, 0 in flight, 0 queued, "
     "ETA 59s"},
};

static void test_line(void **state)
{
    (void)state;
    char text[256];
    for (size_t i = 0; i < N_ROWS(line_rows); i++) {
        wf_progress_line(&line_rows[i].view, text, sizeof text);
        assert_string_equal(text, line_rows[i].line);
    }
    for (size_t n = 1; n < 60; n++) { // a narrow terminal
        memset(text, 'x', sizeof text);
        wf_progress_line(&line_rows[1].view, text, n);
        assert_int_equal(strlen(text), n - 1);
        assert_memory_equal(text, line_rows[1].line, n - 1);
        assert_int_equal(text[n], 'x');
    }
}

static void test_eta(void **state)
{
    (void)state;
    static const struct {
        int64_t n_left, n_done, elapsed_ns, arrives_ns, eta_ns;
    } rows[] = {
        {100, 50, 10 * S, 0, 20 * S},      {0, 50, 10 * S, 99 * S, 0},
        {100, 0, 10 * S, 0, -1},           {100, 0, 10 * S, 7 * S, 7 * S},
        {100, 50, 10 * S, 60 * S, 60 * S}, {100, 50, 10 * S, -5 * S, 20 * S},
        {INT64_MAX, 1, INT64_MAX, 0, -1},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        assert_int_equal(
            wf_progress_eta(rows[i].n_left, rows[i].n_done, rows[i].elapsed_ns, rows[i].arrives_ns),
            rows[i].eta_ns);
    }
}

static void status_folder_make(const char *out_dir)
{
    char path[256];
    snprintf(path, sizeof path, "%s/status", out_dir);
    mkdir(path, 0777);
}

static wf_rank_status example_status(void)
{
    wf_rank_status s = {.rank = 3,
                        .group = 1,
                        .position = 1,
                        .run = 7,
                        .epoch = 2,
                        .pid = 4711,
                        .host = "node-1",
                        .operation = WF_OPERATION_STEP,
                        .drain = WF_DRAIN_STOP_FILE,
                        .exit_code = -1,
                        .deadline_unix_ns = INT64_C(1) << 60,
                        .error = "line with \"quotes\"\tand \\",
                        .beat = 12,
                        .step_entered = 100,
                        .step_left = 99,
                        .requests_done = 5,
                        .tokens = INT64_C(1) << 40,
                        .lag_ns = -1,
                        .n_flights = 2,
                        .flight = {{1, 2, UINT64_C(1) << 40, 5, 4, 3, 9}, {.n_limit = 1}}};
    return s;
}

static void test_status_file_round_trip(void **state)
{
    status_folder_make(*state);
    wf_rank_status s = example_status(), back;
    assert_ok(wf_rank_status_write(*state, &s));
    assert_ok(wf_rank_status_read(*state, 3, &back));
    assert_string_equal(back.host, s.host);
    assert_string_equal(back.error, s.error);
    assert_int_equal(back.operation, s.operation);
    assert_int_equal(back.drain, s.drain);
    assert_int_equal(back.rank, 3);
    assert_int_equal(back.group, 1);
#define SAME(field, meaning) assert_int_equal(back.field, s.field);
    WF_BEAT_TABLE(SAME)
    WF_COUNTER_TABLE(SAME)
#undef SAME
    assert_int_equal(back.n_flights, 2);
    for (size_t i = 0; i < 2; i++) {
        const wf_rank_flight *x = &back.flight[i], *y = &s.flight[i];
        assert_true(x->shard == y->shard && x->row == y->row && x->sample == y->sample);
        assert_true(x->n_prompt == y->n_prompt && x->n_done == y->n_done);
        assert_true(x->n_tokens == y->n_tokens && x->n_limit == y->n_limit);
    }
}

static void test_bad_status_files(void **state)
{
    static const char *const texts[] = {"", "[]", "{}", "{\"rank\": \"3\"}", "{\"rank\": 3"};
    char path[256];
    status_folder_make(*state);
    wf_rank_status back;
    assert_int_equal(wf_rank_status_read(*state, 99, &back), WF_NO_INPUT);
    snprintf(path, sizeof path, "%s/status/rank-98.json", (char *)*state);
    for (size_t i = 0; i < N_ROWS(texts); i++) {
        FILE *file = fopen(path, "w");
        fputs(texts[i], file);
        fclose(file);
        assert_int_equal(wf_rank_status_read(*state, 98, &back), WF_DATA);
        assert_contains(wf_error(), "rank-98.json");
    }
}

// Waits until `path` contains `part`; the test's own time limit ends a wait for ever.
static void wait_for(const char *path, const char *part)
{
    char text[16384];
    for (;;) {
        FILE *file = fopen(path, "r");
        size_t n = file ? fread(text, 1, sizeof text - 1, file) : 0;
        if (file) fclose(file);
        text[n] = '\0';
        if (strstr(text, part)) return;
        usleep(5000);
    }
}

static void test_heartbeat_moves_and_keeps_the_last_word(void **state)
{
    wf_progress_config config = {.out_dir = *state, .rank = 5, .run = 1, .beat_ns = WF_NS_PER_MS};
    wf_progress *progress;
    wf_rank_status s, later;
    char path[256];
    snprintf(path, sizeof path, "%s/status/rank-5.json", (char *)*state);
    assert_ok(wf_progress_start(&config, &progress));
    wait_for(path, "\"rank\"");
    assert_ok(wf_rank_status_read(*state, 5, &s));
    do {
        assert_ok(wf_rank_status_read(*state, 5, &later));
    } while (later.beat == s.beat);
    wf_counters *c = wf_progress_counters(progress);
    atomic_store(&c->tokens, 77);
    atomic_store(&c->operation, WF_OPERATION_DONE);
    wf_progress_flush(progress);
    assert_ok(wf_rank_status_read(*state, 5, &s));
    assert_int_equal(s.tokens, 77);
    wf_progress_error(progress, "the last word");
    wf_progress_stop(&progress);
    assert_null(progress);
    assert_ok(wf_rank_status_read(*state, 5, &s));
    assert_int_equal(s.tokens, 77);
    assert_int_equal(s.operation, WF_OPERATION_DONE);
    assert_string_equal(s.error, "the last word");
}

// The farewell is written at once, with the exit code, and nothing comes after it.
static void test_farewell_is_the_last_word(void **state)
{
    static const struct {
        wf_status end;
        wf_operation operation;
        int code;
        const char *error;
    } rows[] = {
        {WF_OK, WF_OPERATION_DONE, 0, ""},
        {WF_FAILED_ROWS, WF_OPERATION_DONE, 3, ""},
        {WF_DRAINED, WF_OPERATION_DRAINED, 75, ""},
        {WF_IO, WF_OPERATION_FAILED, 74, "disk full"},
        {WF_COMM, WF_OPERATION_FAILED, 70, "disk full"},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        wf_progress_config config = {.out_dir = *state, .rank = 6, .deadline_ns = INT64_MAX};
        wf_progress *progress;
        wf_rank_status s;
        assert_ok(wf_progress_start(&config, &progress));
        wf_progress_farewell(progress, rows[i].end, "disk full");
        for (int again = 0; again < 2; again++) { // now, and when the rank is gone
            assert_ok(wf_rank_status_read(*state, 6, &s));
            assert_int_equal(s.operation, rows[i].operation);
            assert_int_equal(s.end, rows[i].end);
            assert_int_equal(s.exit_code, rows[i].code);
            assert_string_equal(s.error, rows[i].error);
            assert_int_equal(s.deadline_unix_ns, 0);
            if (again == 0) {
                wf_progress_farewell(progress, WF_INTERNAL, "too late");
                wf_progress_stop(&progress);
            }
        }
    }
}

// A signal is told at once, and a main thread that does not move is seen while the heartbeat goes
// on.
static void test_signal_and_stillness_show(void **state)
{
    static volatile sig_atomic_t asked;
    wf_progress_config config = {
        .out_dir = *state, .rank = 7, .signal = &asked, .beat_ns = 3600 * S};
    wf_progress *progress;
    wf_rank_status s;
    char path[256];
    snprintf(path, sizeof path, "%s/status/rank-7.json", (char *)*state);
    asked = 0;
    assert_ok(wf_progress_start(&config, &progress));
    wait_for(path, "\"signal\": 0");
    asked = SIGUSR1;
    wait_for(path, "\"signal\": 10"); // long before the next heartbeat
    int64_t before_ns = wf_clock_ns();
    usleep(20000);
    wf_progress_flush(progress);
    assert_ok(wf_rank_status_read(*state, 7, &s));
    assert_true(s.still_ns >= wf_clock_ns() - before_ns - 20 * WF_NS_PER_MS);
    atomic_fetch_add(&wf_progress_counters(progress)->step_entered, 1);
    wf_progress_flush(progress);
    assert_ok(wf_rank_status_read(*state, 7, &s));
    assert_int_equal(s.still_ns, 0);
    wf_progress_stop(&progress);
}

// Rank 0 adds up all groups, ignores what an older run left, and names the rank that hangs.
static void test_printed_line_covers_all_groups(void **state)
{
    char log[256];
    static const int others[] = {1, 2, 9};
    snprintf(log, sizeof log, "%s/log", (char *)*state);
    status_folder_make(*state);
    wf_rank_status s = example_status();
    s.rank = 1;
    s.requests_done = 30;
    s.kv_pages = 5;
    s.kv_pages_total = 10;
    assert_ok(wf_rank_status_write(*state, &s)); // this rank hangs inside step 100
    s.rank = 2;
    s.run = 6; // an older run
    s.requests_done = 1000;
    assert_ok(wf_rank_status_write(*state, &s));

    int saved = dup(STDERR_FILENO), fd = open(log, O_CREAT | O_WRONLY | O_TRUNC, 0666);
    dup2(fd, STDERR_FILENO);
    setenv("WEFT_PROGRESS", "log", 1);
    wf_progress_config config = {.out_dir = *state,
                                 .rank = 0,
                                 .run = 7,
                                 .print = true,
                                 .watch = others,
                                 .n_watch = 3,
                                 .requests_total = 100,
                                 .requests_before = 10,
                                 .beat_ns = WF_NS_PER_MS,
                                 .log_ns = WF_NS_PER_MS,
                                 .stall_ns = 20 * WF_NS_PER_MS};
    wf_progress *progress = NULL;
    wf_status st = wf_progress_start(&config, &progress);
    wf_progress_begin(progress);
    atomic_store(&wf_progress_counters(progress)->requests_done, 2);
    wait_for(log, "rank 1 on node-1 (group 1) stalled at step 100, in \"step\"");
    wait_for(log, "42/100 requests (42.0%)");
    wf_progress_stop(&progress);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(fd);
    unsetenv("WEFT_PROGRESS");
    assert_ok(st);
    wait_for(log, "KV 50%");
    wait_for(log, "42/100 requests (42.0%), ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line),
        cmocka_unit_test(test_eta),
        cmocka_unit_test(test_status_file_round_trip),
        cmocka_unit_test(test_bad_status_files),
        cmocka_unit_test(test_heartbeat_moves_and_keeps_the_last_word),
        cmocka_unit_test(test_farewell_is_the_last_word),
        cmocka_unit_test(test_signal_and_stillness_show),
        cmocka_unit_test(test_printed_line_covers_all_groups),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
