// The loop of a group's first rank on made-up time: what is submitted when, what waits, what is
// finished in a drain and what is left.
#include "tests/jobs/serve_rig.h"

static serve_rig r; // large

static void prepare(int n_rows, int64_t gap_ms, uint32_t max_new)
{
    memset(&r, 0, sizeof r);
    r.n_rows = n_rows;
    r.gap_ms = gap_ms;
    r.max_new = max_new;
    r.max_rows = 8;
    r.bad_row = -1;
    r.max_failures = -1;
}

// ---- timed arrivals -----------------------------------------------------------------------------

static void requests_are_submitted_when_they_arrive(void **state)
{
    prepare(30, 100, 3);
    serve_rig_make(&r, *state);
    assert_ok(serve_rig_run(&r));
    assert_int_equal(r.outcome.n_done, 30);
    assert_false(r.outcome.drained);
    for (int i = 0; i < 30; i++) {
        assert_int_equal(r.row[i].arrival_ns, i * 100 * MS);
        assert_int_equal(r.row[i].submitted_ns, i * 100 * MS);
        assert_int_equal(r.row[i].admitted_ns, i * 100 * MS);
        assert_int_equal(r.row[i].first_token_ns, (i * 100 + 10) * MS);
        assert_int_equal(r.row[i].finish_ns, (i * 100 + 30) * MS);
    }
    assert_int_equal(r.outcome.last_token_ns, 2930 * MS);
    // It also looked for work when there was none: those are no steps.
    assert_true(r.n_idle > 0);
    assert_int_equal(r.n_entered - r.n_idle, (int64_t)r.n_steps);
}

static int64_t first_is_long(void *context, const int32_t *plan)
{
    (void)plan;
    serve_rig *rig = context;
    return rig->x.n_steps == 0 ? 1000 * MS : 10 * MS;
}

static int64_t waiting_seen;

static void look_at_waiting(void *context)
{
    waiting_seen = atomic_load(&((serve_rig *)context)->counters->waiting);
}

// A step of a second: what arrives meanwhile is submitted at its time, waits, and is counted.
static void a_long_step_makes_nobody_late(void **state)
{
    prepare(10, 100, 1);
    r.step_ns = first_is_long;
    serve_rig_make(&r, *state);
    sim_clock_at(&r.clock, RUN_MS(550), look_at_waiting, &r);
    assert_ok(serve_rig_run(&r));
    assert_int_equal(waiting_seen, 5);        // 100 to 500 ms
    assert_int_equal(r.step[0].n_waiting, 9); // when the step ended
    assert_int_equal(r.step[1].n_waiting, 1); // eight rows are computed at once
    for (int i = 1; i < 10; i++) {
        assert_int_equal(r.row[i].submitted_ns, i * 100 * MS);
        assert_int_equal(r.row[i].admitted_ns, (i < 9 ? 1000 : 1010) * MS);
    }
    // No lag: the requests were in time, the engine was not.
    assert_int_equal(r.row[9].finish_ns, 1020 * MS);
}

static uint64_t rng_key[RIG_ROWS];
static int n_keys;

static int64_t note_keys(void *context, const int32_t *plan)
{
    (void)context;
    int64_t at[WF_PLAN_N_SECTIONS];
    wf_row_sampling sampling;
    wf_plan_layout(plan, at);
    for (int32_t i = 0; i < plan[WF_PLAN_JOINS]; i++) {
        const int32_t *words = plan + at[WF_PLAN_AT_JOIN_SAMPLING] + i * WF_SAMPLING_WORDS;
        memcpy(&sampling, words, sizeof sampling);
        rng_key[n_keys++] = sampling.rng_key;
    }
    return 10 * MS;
}

// Rows of one seed of their own draw the same numbers; the others each have theirs.
static void equal_seeds_draw_equal_numbers(void **state)
{
    prepare(6, 10, 1);
    r.n_own_seeds = 3;
    r.step_ns = note_keys;
    n_keys = 0;
    serve_rig_make(&r, *state);
    assert_ok(serve_rig_run(&r));
    assert_int_equal(n_keys, 6);
    for (int i = 0; i < 6; i++)
        for (int k = 0; k < i; k++)
            assert_int_equal(rng_key[i] == rng_key[k], i < 3);
}

static void a_row_that_cannot_run_fails_alone(void **state)
{
    prepare(5, 10, 2);
    r.bad_row = 3;
    serve_rig_make(&r, *state);
    assert_ok(serve_rig_run(&r));
    assert_int_equal(r.outcome.n_done, 5);
    assert_int_equal(r.outcome.n_failed, 1);
    assert_int_equal(r.row[3].status, WF_RESULT_FAILED);
    assert_int_equal(r.row[3].error_code, WF_REQ_TOKEN);
}

static void too_many_failures_end_the_job(void **state)
{
    prepare(5, 10, 2);
    r.bad_row = 1;
    r.max_failures = 0;
    serve_rig_make(&r, *state);
    assert_int_equal(serve_rig_run(&r), WF_DATA);
    assert_contains(wf_error(), "output.max_failures allows 0");
    assert_int_equal(r.outcome.n_failed, 1);
}

// ---- offline ------------------------------------------------------------------------------------

static int64_t most_open;

static int64_t look_at_load(void *context, const int32_t *plan)
{
    (void)plan;
    serve_rig *rig = context;
    wf_engine_load load = wf_engine_get_load(rig->engine);
    int64_t n = load.n_waiting + load.n_rows;
    if (n > most_open) most_open = n;
    return 10 * MS;
}

static void offline_rows_come_as_there_is_room(void **state)
{
    prepare(60, 0, 4);
    r.offline = true;
    r.step_ns = look_at_load;
    most_open = 0;
    serve_rig_make(&r, *state);
    assert_ok(serve_rig_run(&r));
    assert_int_equal(r.outcome.n_done, 60);
    assert_true(most_open <= 2 * 8);
    int64_t most = 0;
    for (size_t i = 0; i < r.n_steps; i++)
        if (r.step[i].n_waiting > most) most = r.step[i].n_waiting;
    assert_true(most >= 2); // a batch and a quarter is leased
    assert_int_equal(r.step[r.n_steps - 1].n_waiting, 0);
}

// Three at a time, though eight would fit: a row arrives as one before it ends, or a step later
// where it had not been read by then, and is computed at once.
static void a_closed_loop_keeps_so_many_in_flight(void **state)
{
    prepare(12, 0, 4);
    r.offline = true;
    r.concurrency = 3;
    r.step_ns = look_at_load;
    most_open = 0;
    serve_rig_make(&r, *state);
    assert_ok(serve_rig_run(&r));
    assert_int_equal(r.outcome.n_done, 12);
    assert_int_equal(most_open, 3);
    for (int i = 0; i < 12; i++) {
        int n_beside = 0;
        assert_int_equal(r.row[i].arrival_ns, r.row[i].submitted_ns);
        assert_int_equal(r.row[i].first_token_ns, r.row[i].arrival_ns + 10 * MS);
        assert_int_equal(r.row[i].finish_ns, r.row[i].arrival_ns + 40 * MS);
        for (int k = 0; k < 12; k++)
            n_beside += r.row[k].arrival_ns <= r.row[i].arrival_ns &&
                        r.row[i].arrival_ns < r.row[k].finish_ns;
        assert_in_range(n_beside, 1, 3);
    }
    assert_true(r.row[11].arrival_ns >= 120 * MS); // the fourth three
}

// ---- leaving ------------------------------------------------------------------------------------

static void look_at_drain(void *context)
{
    wf_drain_look(((serve_rig *)context)->drain);
}

static void send_signal(void *context)
{
    serve_rig *rig = context;
    if (rig->signals.n++ == 0) rig->signals.first = SIGUSR1;
    wf_drain_look(rig->drain);
}

// One row arrives every 100 ms and takes a second. At 1,040 ms eight rows run and two wait, ten
// have not come.
static void a_drain_finishes_what_has_begun(void **state)
{
    prepare(20, 100, 100);
    serve_rig_make(&r, *state);
    sim_clock_at(&r.clock, RUN_MS(1040), send_signal, &r);
    assert_ok(serve_rig_run(&r));
    assert_true(r.outcome.drained);
    assert_int_equal(r.outcome.n_done, 9);    // one had ended, eight had begun
    assert_int_equal(r.outcome.n_dropped, 2); // they had not
    assert_int_equal(r.outcome.n_dropped_tokens, 0);
    for (int i = 0; i < 9; i++)
        assert_int_equal(r.row[i].n_tokens, 100);
}

// With 500 ms to go, rows that need more than 50 steps are given up at once.
static void what_cannot_end_in_time_is_given_up(void **state)
{
    prepare(8, 100, 100);
    r.grace_ns = 500 * MS;
    serve_rig_make(&r, *state);
    sim_clock_at(&r.clock, RUN_MS(1000), send_signal, &r);
    assert_ok(serve_rig_run(&r));
    assert_true(r.outcome.drained);
    assert_int_equal(r.outcome.n_done, 6); // rows 0 to 5 end by 1,500 ms
    assert_int_equal(r.outcome.n_dropped, 2);
    assert_int_equal(r.outcome.n_dropped_tokens, 40 + 30);
    assert_int_equal(r.clock.now_ns, RUN_MS(1500)); // and no longer
}

// The mean length of what a stop token ended says how long the others are likely to take.
static int32_t stop_at_30(void *context, int32_t row, int32_t pos)
{
    (void)context, (void)row;
    return pos == 5 + 29 ? 42 : 1;
}

static void stop_tokens_are_foreseen(void **state)
{
    prepare(8, 100, 100);
    r.grace_ns = 250 * MS;
    r.token = stop_at_30;
    r.stop = 42;
    serve_rig_make(&r, *state);
    sim_clock_at(&r.clock, RUN_MS(710), send_signal, &r);
    assert_ok(serve_rig_run(&r));
    assert_int_equal(r.outcome.n_done, 7); // 30 tokens at most: rows 5 and 6 end in time
    assert_int_equal(r.outcome.n_dropped, 1);
}

static void a_second_signal_leaves_at_once(void **state)
{
    prepare(8, 10, 100);
    serve_rig_make(&r, *state);
    sim_clock_at(&r.clock, RUN_MS(200), send_signal, &r);
    sim_clock_at(&r.clock, RUN_MS(300), send_signal, &r);
    assert_ok(serve_rig_run(&r));
    assert_true(r.outcome.drained);
    assert_int_equal(r.outcome.n_done, 0);
    assert_int_equal(r.outcome.n_dropped, 8);
    assert_int_equal(r.clock.now_ns, RUN_MS(300));
}

static void the_deadline_drains(void **state)
{
    prepare(30, 100, 2);
    r.drain_at_ns = RUN_MS(1050);
    serve_rig_make(&r, *state);
    sim_clock_at(&r.clock, RUN_MS(1050), look_at_drain, &r);
    assert_ok(serve_rig_run(&r));
    assert_true(r.outcome.drained);
    assert_int_equal(r.outcome.n_done, 11);
    assert_int_equal(r.outcome.n_dropped, 0);
}

// Told to leave when all is done: nothing is left, so this is no drain.
static void a_drain_that_leaves_nothing_is_none(void **state)
{
    prepare(3, 10, 20);
    serve_rig_make(&r, *state);
    sim_clock_at(&r.clock, RUN_MS(100), send_signal, &r);
    assert_ok(serve_rig_run(&r));
    assert_false(r.outcome.drained);
    assert_int_equal(r.outcome.n_done, 3);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, folder_make, folder_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(requests_are_submitted_when_they_arrive), TEST(a_long_step_makes_nobody_late),
        TEST(equal_seeds_draw_equal_numbers),          TEST(a_row_that_cannot_run_fails_alone),
        TEST(too_many_failures_end_the_job),           TEST(offline_rows_come_as_there_is_room),
        TEST(a_closed_loop_keeps_so_many_in_flight),   TEST(a_drain_finishes_what_has_begun),
        TEST(what_cannot_end_in_time_is_given_up),     TEST(stop_tokens_are_foreseen),
        TEST(a_second_signal_leaves_at_once),          TEST(the_deadline_drains),
        TEST(a_drain_that_leaves_nothing_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
