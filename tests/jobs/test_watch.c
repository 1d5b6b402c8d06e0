// Watching a job: pulses and stands as tables, and views of folders whose status files were written
// by the same functions that ranks use.
#include "tests/jobs/jobs_test.h"

#include <sys/stat.h>

#include "io/base/clock.h"
#include "io/results/runfile.h"
#include "jobs/watch/watch.h"
#include "jobs/watch/words.h"

#define S WF_NS_PER_S

static void test_words(void **state)
{
    (void)state;
    char text[WF_WORDS_MAX];
    assert_string_equal(wf_words_count(INT64_MAX, text), "9,223,372,036,854,775,807");
    assert_string_equal(wf_words_count(-3, text), "0");
    assert_string_equal(wf_words_scaled(0.04, text), "0.0");
    assert_string_equal(wf_words_scaled(999.6, text), "1.0k");
    assert_string_equal(wf_words_duration(3599 * S + S / 2, text), "1h00m");
    assert_string_equal(wf_words_percent(9999, 10000, text), "99.9%");
    assert_string_equal(wf_words_percent(5, 0, text), "0.0%");
}

static void test_pulse(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        wf_pulse_signs signs;
        wf_pulse pulse;
    } rows[] = {
        {"its farewell is the end of it",
         {.operation = WF_OPERATION_DRAINED, .watched_ns = 99 * S, .process_gone = true},
         WF_PULSE_OVER},
        {"first look", {.operation = WF_OPERATION_STEP}, WF_PULSE_UNSURE},
        {"a heartbeat under our eyes",
         {.operation = WF_OPERATION_STEP, .moved = true, .in_step = true},
         WF_PULSE_BEATS},
        {"a heartbeat, but the step does not end",
         {.operation = WF_OPERATION_STEP, .moved = true, .in_step = true, .still_ns = 31 * S},
         WF_PULSE_STILL},
        {"waiting for a plan or an arrival takes as long as it takes",
         {.operation = WF_OPERATION_RUN, .moved = true, .still_ns = 3600 * S},
         WF_PULSE_BEATS},
        {"loading takes minutes",
         {.operation = WF_OPERATION_LOAD, .moved = true, .still_ns = 300 * S},
         WF_PULSE_BEATS},
        {"but not for ever",
         {.operation = WF_OPERATION_LOAD, .moved = true, .still_ns = 601 * S},
         WF_PULSE_STILL},
        {"one heartbeat may be late",
         {.operation = WF_OPERATION_STEP, .watched_ns = 4 * S, .age_ns = 5 * S},
         WF_PULSE_UNSURE},
        {"two are not", {.operation = WF_OPERATION_STEP, .watched_ns = 5 * S}, WF_PULSE_QUIET},
        {"an old file needs less patience",
         {.operation = WF_OPERATION_STEP, .watched_ns = 3 * S, .age_ns = 31 * S},
         WF_PULSE_QUIET},
        {"its clock may be ahead of ours",
         {.operation = WF_OPERATION_STEP, .watched_ns = 3 * S, .age_ns = -31 * S},
         WF_PULSE_UNSURE},
        {"it beat, then fell silent",
         {.operation = WF_OPERATION_STEP, .moved = true, .watched_ns = 6 * S},
         WF_PULSE_QUIET},
        {"no process, no heartbeat",
         {.operation = WF_OPERATION_STEP, .age_ns = 6 * S, .process_gone = true},
         WF_PULSE_GONE},
        {"no process, but it may just have been renewed",
         {.operation = WF_OPERATION_STEP, .age_ns = S, .process_gone = true},
         WF_PULSE_UNSURE},
        {"no process and time enough",
         {.operation = WF_OPERATION_STEP, .watched_ns = 3 * S, .process_gone = true},
         WF_PULSE_GONE},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        if (wf_pulse_of(&rows[i].signs) == rows[i].pulse) continue;
        fail_msg("%s: %s, expected %s", rows[i].what, wf_pulse_words(wf_pulse_of(&rows[i].signs)),
                 wf_pulse_words(rows[i].pulse));
    }
}

enum { N_MOST = 2 };

typedef struct {
    wf_pulse pulse;
    wf_operation operation;
    int64_t elapsed_ns;
    wf_drain_cause drain;
} rank_sign;

#define COMPUTES(pulse, operation) {WF_PULSE_##pulse, WF_OPERATION_##operation, S, WF_DRAIN_NOT}

typedef struct {
    const char *what;
    wf_batch_word queue;
    size_t n_runs;
    bool complete;
    size_t n_ranks;
    rank_sign rank[N_MOST];
    wf_stand stand;
} stand_row;

static const stand_row stand_rows[] = {
    {"nothing there", WF_BATCH_UNKNOWN, 0, false, 0, {{0}}, WF_STAND_ABSENT},
    {"submitted", WF_BATCH_WAITS, 0, false, 0, {{0}}, WF_STAND_QUEUED},
    {"submitted elsewhere", WF_BATCH_SILENT, 0, false, 0, {{0}}, WF_STAND_SUBMITTED},
    {"allocated", WF_BATCH_RUNS, 0, false, 0, {{0}}, WF_STAND_STARTING},
    {"allocated, no rank yet", WF_BATCH_RUNS, 1, false, 0, {{0}}, WF_STAND_STARTING},
    {"a run without a rank", WF_BATCH_UNKNOWN, 1, false, 0, {{0}}, WF_STAND_FAILED},
    {"weights",
     WF_BATCH_UNKNOWN,
     1,
     false,
     1,
     {{WF_PULSE_BEATS, WF_OPERATION_LOAD, 0, WF_DRAIN_NOT}},
     WF_STAND_LOADING},
    {"steps", WF_BATCH_UNKNOWN, 1, false, 1, {COMPUTES(BEATS, STEP)}, WF_STAND_RUNNING},
    {"one group dead, the other goes on",
     WF_BATCH_UNKNOWN,
     1,
     false,
     2,
     {COMPUTES(GONE, STEP), COMPUTES(BEATS, STEP)},
     WF_STAND_RUNNING},
    {"one group failed, the other goes on",
     WF_BATCH_UNKNOWN,
     1,
     false,
     2,
     {COMPUTES(OVER, FAILED), COMPUTES(BEATS, STEP)},
     WF_STAND_RUNNING},
    {"asked to drain",
     WF_BATCH_UNKNOWN,
     1,
     false,
     1,
     {{WF_PULSE_BEATS, WF_OPERATION_STEP, S, WF_DRAIN_DEADLINE}},
     WF_STAND_DRAINING},
    {"one silent, one alive",
     WF_BATCH_UNKNOWN,
     1,
     false,
     2,
     {COMPUTES(QUIET, STEP), COMPUTES(BEATS, STEP)},
     WF_STAND_STALLED},
    {"silent, the queue says running",
     WF_BATCH_RUNS,
     1,
     false,
     1,
     {COMPUTES(QUIET, STEP)},
     WF_STAND_STALLED},
    {"silent, the queue says over",
     WF_BATCH_OVER,
     1,
     false,
     1,
     {COMPUTES(QUIET, STEP)},
     WF_STAND_FAILED},
    {"stands still", WF_BATCH_UNKNOWN, 1, false, 1, {COMPUTES(STILL, STEP)}, WF_STAND_STALLED},
    {"killed", WF_BATCH_UNKNOWN, 1, false, 1, {COMPUTES(GONE, STEP)}, WF_STAND_FAILED},
    {"said why", WF_BATCH_UNKNOWN, 1, false, 1, {COMPUTES(OVER, FAILED)}, WF_STAND_FAILED},
    {"left in time",
     WF_BATCH_OVER,
     1,
     false,
     2,
     {COMPUTES(OVER, DONE), COMPUTES(OVER, DRAINED)},
     WF_STAND_DRAINED},
    {"left in time and requeued",
     WF_BATCH_WAITS,
     1,
     false,
     1,
     {COMPUTES(OVER, DRAINED)},
     WF_STAND_QUEUED},
    {"complete", WF_BATCH_UNKNOWN, 2, true, 1, {COMPUTES(OVER, DONE)}, WF_STAND_FINISHED},
};

static void test_stand(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ROWS(stand_rows); i++) {
        const stand_row *row = &stand_rows[i];
        wf_watch_rank rank[N_MOST] = {0};
        wf_watch_view v = {.n_runs = row->n_runs,
                           .complete = row->complete,
                           .n_ranks = row->n_ranks,
                           .rank = rank};
        for (size_t k = 0; k < row->n_ranks; k++) {
            rank[k].pulse = row->rank[k].pulse;
            rank[k].is.operation = row->rank[k].operation;
            rank[k].is.elapsed_ns = row->rank[k].elapsed_ns;
            rank[k].is.drain = row->rank[k].drain;
            v.n_pulse[rank[k].pulse]++;
        }
        wf_stand stand = wf_stand_of(&v, row->queue);
        if (stand == row->stand) continue;
        fail_msg("%s: %s, expected %s", row->what, wf_stand_words(stand),
                 wf_stand_words(row->stand));
    }
}

// ---- folders ------------------------------------------------------------------------------------

static void run_begin(const char *out_dir)
{
    wf_runs *runs = NULL;
    uint32_t run;
    wf_run_params params = {
        .identity = "{\"shards\": {\"ab\": 60, \"cd\": 40}}", .job_id = "4711", .restart = 2};
    assert_ok(wf_runs_open(out_dir, NULL, &runs));
    assert_ok(wf_runs_start(runs, &params, &run));
    wf_runs_close(&runs);
}

static void rank_write(const char *out_dir, wf_rank_status s)
{
    snprintf(s.host, sizeof s.host, "another-host");
    s.beat_unix_ns = wf_clock_unix_ns();
    assert_ok(wf_rank_status_write(out_dir, &s));
}

static void test_view_adds_up_the_newest_run(void **state)
{
    char out[256], path[300];
    wf_watch *w = NULL;
    snprintf(out, sizeof out, "%s/view", (char *)*state);
    assert_int_equal(wf_watch_open(out, &w), WF_NO_INPUT);
    assert_contains(wf_error(), "no such output folder");
    mkdir(out, 0777);
    assert_ok(wf_watch_open(out, &w));
    assert_int_equal(wf_stand_of(wf_watch_get(w), WF_BATCH_UNKNOWN), WF_STAND_ABSENT);

    run_begin(out);
    run_begin(out);
    snprintf(path, sizeof path, "%s/status", out);
    mkdir(path, 0777);
    wf_rank_status s = {.exit_code = -1, .operation = WF_OPERATION_STEP, .run = 1, .pid = 1};
    s.beat = 5;
    s.elapsed_ns = 10 * S;
    s.requests_total = 200;
    s.requests_done = 20;
    s.requests_failed = 1;
    s.tokens = 1000;
    s.in_flight = 7;
    s.kv_pages_total = 10;
    rank_write(out, s);
    s.rank = 1, s.group = 1, s.requests_total = 0, s.tokens = 3000;
    rank_write(out, s);
    s.rank = 2, s.run = 0, s.requests_done = 1000; // of the older run
    rank_write(out, s);
    s.rank = 3, s.run = 1, s.group = 1, s.epoch = -1; // of the group's older start
    rank_write(out, s);
    assert_ok(wf_watch_look(w));
    const wf_watch_view *v = wf_watch_get(w);
    assert_int_equal(v->n_runs, 2);
    assert_string_equal(v->job_id, "4711");
    assert_int_equal(v->restart, 2);
    assert_int_equal(v->n_ranks, 2);
    assert_int_equal(v->requests_total, 200);
    assert_int_equal(v->requests_done, 40);
    assert_int_equal(v->requests_failed, 2);
    assert_int_equal(v->tokens, 4000);
    assert_int_equal(v->in_flight, 14);
    assert_true(v->tokens_per_s < 0); // not seen to move yet
    assert_int_equal(v->n_pulse[WF_PULSE_UNSURE], 2);
    assert_int_equal(v->eta_ns, 40 * S); // 160 left, 40 in 10 s

    // Both move: rates are what the counters moved by, over the ranks' own time.
    s = (wf_rank_status){.exit_code = -1, .operation = WF_OPERATION_STEP, .run = 1, .pid = 1};
    s.beat = 6;
    s.elapsed_ns = 12 * S;
    s.tokens = 1200;
    s.requests_done = 24;
    rank_write(out, s);
    s.rank = 1, s.group = 1, s.tokens = 3300, s.requests_done = 22;
    rank_write(out, s);
    assert_ok(wf_watch_settle(&w, 1, 5 * S));
    v = wf_watch_get(w);
    assert_int_equal(v->n_pulse[WF_PULSE_BEATS], 2);
    assert_true(v->tokens_per_s > 249.9 && v->tokens_per_s < 250.1);
    assert_true(v->requests_per_s > 2.9 && v->requests_per_s < 3.1);
    assert_int_equal(wf_stand_of(v, WF_BATCH_UNKNOWN), WF_STAND_RUNNING);

    // Farewell.
    s.beat = 7, s.operation = WF_OPERATION_FAILED, s.exit_code = 74;
    rank_write(out, s);
    s.rank = 0, s.group = 0, s.operation = WF_OPERATION_DONE, s.exit_code = 0;
    rank_write(out, s);
    assert_ok(wf_watch_look(w));
    v = wf_watch_get(w);
    assert_int_equal(v->n_pulse[WF_PULSE_OVER], 2);
    assert_int_equal(wf_stand_of(v, WF_BATCH_UNKNOWN), WF_STAND_FAILED);

    assert_ok(wf_run_complete(out, 1));
    assert_ok(wf_watch_look(w));
    v = wf_watch_get(w);
    assert_int_equal(wf_stand_of(v, WF_BATCH_UNKNOWN), WF_STAND_FINISHED);
    assert_int_equal(v->requests_done, v->requests_total);
    wf_watch_close(&w);
}

static void test_without_status_files_the_run_file_speaks(void **state)
{
    char out[256];
    wf_watch *w = NULL;
    snprintf(out, sizeof out, "%s/bare", (char *)*state);
    mkdir(out, 0777);
    run_begin(out);
    assert_ok(wf_watch_open(out, &w));
    assert_int_equal(wf_watch_get(w)->requests_total, 100);
    assert_int_equal(wf_stand_of(wf_watch_get(w), WF_BATCH_UNKNOWN), WF_STAND_FAILED);
    wf_watch_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_pulse),
        cmocka_unit_test(test_stand),
        cmocka_unit_test(test_view_adds_up_the_newest_run),
        cmocka_unit_test(test_without_status_files_the_run_file_speaks),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
