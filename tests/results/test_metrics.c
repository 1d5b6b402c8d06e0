// Definitions and arithmetic of the figures, against values worked out by hand or by numpy.
#include "tests/base/base_test.h"

#include "results/metrics.h"

#include <math.h>

#define MS INT64_C(1000000)

static void assert_near(double value, double expected)
{
    double error = fabs(value - expected);
    if (error > 1e-9 * fabs(expected) + 1e-12) print_error("%.17g != %.17g\n", value, expected);
    assert_true(error <= 1e-9 * fabs(expected) + 1e-12);
}

// numpy.percentile(values, [50, 90, 95, 99]) for each list.
static void percentiles_interpolate(void **state)
{
    (void)state;
    static const struct {
        size_t n;
        double values[6];
        double p50, p90, p95, p99, std;
    } table[] = {
        {1, {7}, 7, 7, 7, 7, 0},
        {2, {10, 20}, 15, 19, 19.5, 19.9, 5},
        {3, {3, 1, 2}, 2, 2.8, 2.9, 2.98, 0.81649658092772603},
        {5, {5, 4, 3, 2, 1}, 3, 4.6, 4.8, 4.96, 1.4142135623730951},
        {6, {0, 0, 0, 0, 0, 100}, 0, 50, 75, 95, 37.267799624996494},
    };
    for (size_t i = 0; i < N_ROWS(table); i++) {
        double values[6];
        memcpy(values, table[i].values, sizeof values);
        wf_distribution d = wf_distribution_of(values, table[i].n);
        assert_int_equal(d.n, table[i].n);
        assert_near(d.p50, table[i].p50);
        assert_near(d.p90, table[i].p90);
        assert_near(d.p95, table[i].p95);
        assert_near(d.p99, table[i].p99);
        assert_near(d.std, table[i].std);
        assert_true(d.few);
    }
    wf_distribution none = wf_distribution_of(NULL, 0);
    assert_int_equal(none.n, 0);
    assert_near(none.p99, 0);
}

static void figures_follow_the_definitions(void **state)
{
    (void)state;
    const wf_metrics_run run = {
        .run = 4, .start_ns = 0, .timed = true, .latency = true, .lag_limit_ns = 2 * MS};
    const wf_goodput_limits limits = {.ttft_ns = 200 * MS, .tpot_ns = 50 * MS};
    const int64_t times_a[] = {1100 * MS, 1130 * MS, 1200 * MS};
    const int64_t times_b[] = {2300 * MS};
    const int32_t ids[3] = {0};
    const wf_result a = {.run = 4,
                         .status = WF_RESULT_DONE,
                         .finish_reason = WF_FINISH_LENGTH,
                         .arrival_ns = 1000 * MS,
                         .submitted_ns = 1001 * MS,
                         .admitted_ns = 1010 * MS,
                         .first_token_ns = 1100 * MS,
                         .finish_ns = 1200 * MS,
                         .prompt_len = 7,
                         .n_tokens = 3,
                         .token_id = ids,
                         .token_time_ns = times_a};
    const wf_result b = {.run = 4,
                         .status = WF_RESULT_DONE,
                         .finish_reason = WF_FINISH_STOP,
                         .arrival_ns = 2000 * MS,
                         .submitted_ns = 2003 * MS,
                         .admitted_ns = 2090 * MS,
                         .first_token_ns = 2300 * MS,
                         .finish_ns = 2300 * MS,
                         .prompt_len = 5,
                         .n_cached = 3,
                         .n_tokens = 1,
                         .token_id = ids,
                         .token_time_ns = times_b,
                         .preempted = 2};
    const wf_result c = {.run = 4,
                         .status = WF_RESULT_FAILED,
                         .finish_reason = WF_FINISH_ERROR,
                         .arrival_ns = 2400 * MS,
                         .submitted_ns = 2400 * MS,
                         .admitted_ns = -1,
                         .first_token_ns = -1,
                         .finish_ns = -1};
    wf_metrics *m = NULL;
    wf_figures f;
    assert_ok(wf_metrics_create(&run, 1, &limits, 0, &m));
    assert_ok(wf_metrics_add(m, &a));
    assert_ok(wf_metrics_add(m, &b));
    assert_ok(wf_metrics_add(m, &c));
    wf_metrics_finish(m, NULL, &f);
    assert_int_equal(f.n_rows, 3);
    assert_int_equal(f.n_done, 2);
    assert_int_equal(f.n_failed, 1);
    assert_int_equal(f.n_finish[WF_FINISH_LENGTH], 1);
    assert_int_equal(f.n_finish[WF_FINISH_STOP], 1);
    assert_int_equal(f.prompt_tokens, 12);
    assert_int_equal(f.cached_tokens, 3);
    assert_near(f.cache_hit_rate, 0.25);
    assert_int_equal(f.output_tokens, 4);
    assert_int_equal(f.n_preempted, 1);
    assert_int_equal(f.preemptions, 2);
    assert_int_equal(f.duration_ns, 2300 * MS);
    assert_near(f.request_throughput, 2 / 2.3);
    assert_near(f.output_throughput, 4 / 2.3);
    assert_near(f.total_token_throughput, 16 / 2.3);
    assert_near(f.ttft.mean, 200e6); // 100 and 300 ms
    assert_near(f.ttft.max, 300e6);
    assert_int_equal(f.tpot.n, 1); // a single token has none
    assert_near(f.tpot.mean, 50e6);
    assert_int_equal(f.itl.n, 2);
    assert_near(f.itl.min, 30e6);
    assert_near(f.itl.max, 70e6);
    assert_near(f.e2el.mean, 250e6);
    assert_near(f.queue.max, 90e6);
    assert_int_equal(f.lag.n, 3); // failed rows were submitted too
    assert_near(f.lag.max, 3e6);
    assert_int_equal(f.n_lag_exceeded, 1);
    assert_int_equal(f.lag_limit_ns, 2 * MS);
    assert_true(f.has_goodput);
    assert_int_equal(f.n_good, 1); // b's TTFT is beyond the limit, a's TPOT is at it
    assert_near(f.request_goodput, 1 / 2.3);
    wf_metrics_destroy(&m);
}

static void resumed_runs_do_not_count_for_latency(void **state)
{
    (void)state;
    const wf_metrics_run runs[] = {
        {.run = 0, .latency = true, .timed = true, .lag_limit_ns = -1},
        {.run = 1, .start_ns = 500 * MS, .timed = true, .lag_limit_ns = -1}};
    wf_result r = {.status = WF_RESULT_DONE,
                   .finish_reason = WF_FINISH_LENGTH,
                   .first_token_ns = 100 * MS,
                   .finish_ns = 1000 * MS,
                   .n_tokens = 10};
    wf_metrics *m = NULL;
    wf_figures f;
    assert_ok(wf_metrics_create(runs, 2, NULL, 0, &m));
    assert_ok(wf_metrics_add(m, &r));
    r.run = 1;
    r.arrival_ns = r.submitted_ns = 600 * MS;
    r.first_token_ns = 900 * MS;
    r.finish_ns = 1500 * MS;
    assert_ok(wf_metrics_add(m, &r));
    r.run = 9; // not listed
    assert_ok(wf_metrics_add(m, &r));
    wf_metrics_finish(m, NULL, &f);
    assert_int_equal(f.n_rows, 3);
    assert_int_equal(f.n_done, 2);
    assert_int_equal(f.n_latency, 1);
    assert_near(f.ttft.mean, 100e6);
    assert_int_equal(f.lag.n, 1);
    assert_int_equal(f.duration_ns, 2000 * MS); // 1.0 s and 1.5 - 0.5 s
    assert_int_equal(f.latency_duration_ns, 1000 * MS);
    assert_false(f.has_goodput);
    wf_metrics_destroy(&m);
}

// What began within 2 s of the run's start: by arrival where there are arrivals, else by when it
// joined. Failed rows stay; time counts from the end of the warm-up.
static void warm_up_is_left_out(void **state)
{
    (void)state;
    static const int64_t begin_ms[] = {1000, 2900, 3000, 3500};
    for (int timed = 0; timed < 2; timed++) {
        const wf_metrics_run run = {.start_ns = 1000 * MS,
                                    .warmup_ns = 2000 * MS,
                                    .timed = timed,
                                    .latency = true,
                                    .lag_limit_ns = -1};
        wf_metrics *m = NULL;
        wf_figures f;
        assert_ok(wf_metrics_create(&run, 1, NULL, 0, &m));
        for (size_t i = 0; i < N_ROWS(begin_ms); i++) {
            int64_t ns = begin_ms[i] * MS;
            wf_step_record step = {.start_ns = ns, .n_decode = 3};
            wf_result r = {.status = WF_RESULT_DONE,
                           .finish_reason = WF_FINISH_LENGTH,
                           .arrival_ns = timed ? ns : 0,
                           .admitted_ns = timed ? ns + 5000 * MS : ns,
                           .first_token_ns = ns + 5100 * MS,
                           .finish_ns = ns + 5500 * MS,
                           .n_tokens = 10};
            assert_ok(wf_metrics_add(m, &r));
            assert_ok(wf_metrics_add_step(m, &step));
        }
        wf_result failed = {.status = WF_RESULT_FAILED, .admitted_ns = -1, .finish_ns = -1};
        assert_ok(wf_metrics_add(m, &failed));
        wf_metrics_finish(m, NULL, &f);
        assert_int_equal(f.n_warmup, 2);
        assert_int_equal(f.n_done, 2);
        assert_int_equal(f.n_failed, 1);
        assert_int_equal(f.n_steps, 2);
        assert_int_equal(f.e2el.n, 2);
        assert_int_equal(f.duration_ns, 6000 * MS); // 3.0 to 9.0 s
        wf_metrics_destroy(&m);
    }
}

// The same gaps exactly and from the histogram, over ten decades.
static void many_gaps_stay_within_a_thousandth(void **state)
{
    (void)state;
    enum { N = 20000 };
    static int64_t times[N + 1];
    static int32_t ids[N + 1];
    const wf_metrics_run run = {.latency = true, .lag_limit_ns = -1};
    double gap = 1;
    for (size_t i = 0; i < N; i++) {
        times[i + 1] = times[i] + (int64_t)gap;
        gap *= 1.001;
    }
    const wf_result r = {.status = WF_RESULT_DONE,
                         .finish_ns = times[N],
                         .n_tokens = N + 1,
                         .token_id = ids,
                         .token_time_ns = times};
    wf_figures exact, rough;
    for (int pass = 0; pass < 2; pass++) {
        wf_metrics *m = NULL;
        assert_ok(wf_metrics_create(&run, 1, NULL, pass == 0 ? 0 : 500, &m));
        assert_ok(wf_metrics_add(m, &r));
        wf_metrics_finish(m, NULL, pass == 0 ? &exact : &rough);
        wf_metrics_destroy(&m);
    }
    assert_false(exact.itl.approximate);
    assert_true(rough.itl.approximate);
    assert_int_equal(rough.itl.n, N);
    assert_near(rough.itl.mean, exact.itl.mean);
    assert_near(rough.itl.max, exact.itl.max);
    const double pairs[][2] = {{rough.itl.p50, exact.itl.p50},
                               {rough.itl.p90, exact.itl.p90},
                               {rough.itl.p95, exact.itl.p95},
                               {rough.itl.p99, exact.itl.p99}};
    for (size_t i = 0; i < N_ROWS(pairs); i++)
        assert_true(fabs(pairs[i][0] / pairs[i][1] - 1) < 0.002); // bucket and its neighbour
}

static void steps_are_summed(void **state)
{
    (void)state;
    wf_metrics *m = NULL;
    wf_figures f;
    const wf_step_record steps[] = {
        {.duration_ns = 10 * MS,
         .n_decode = 4,
         .n_prefill = 1,
         .n_prompt_tokens = 100,
         .kv_pages = 7,
         .rows_moved = 1,
         .bytes_moved = 32,
         .n_waiting = 5,
         .n_put_back = 1},
        {.duration_ns = 20 * MS, .n_decode = 8, .n_discarded = 2, .kv_pages = 9, .n_waiting = 0}};
    assert_ok(wf_metrics_create(NULL, 0, NULL, 0, &m));
    assert_ok(wf_metrics_add_step(m, &steps[0]));
    assert_ok(wf_metrics_add_step(m, &steps[1]));
    wf_metrics_finish(m, NULL, &f);
    assert_int_equal(f.n_steps, 2);
    assert_near(f.mean_decode_rows, 6);
    assert_near(f.mean_prompt_tokens, 50);
    assert_near(f.mean_waiting, 5 / 3.0); // over time: 5 for 10 ms, none for 20
    assert_int_equal(f.max_waiting, 5);
    assert_int_equal(f.max_rows, 8);
    assert_int_equal(f.max_kv_pages, 9);
    assert_int_equal(f.rows_moved, 1);
    assert_int_equal(f.bytes_moved, 32);
    assert_int_equal(f.rows_discarded, 2);
    assert_int_equal(f.rows_put_back, 1);
    assert_int_equal(f.step_busy_ns, 30 * MS);
    assert_near(f.step.p50, 15e6);
    assert_near(f.request_throughput, 0);
    wf_metrics_destroy(&m);
}

// Two groups of run 0 end after 3 and 4 s, one of run 1 after 2 s; a row that failed at once ends
// nothing. Numbers of groups have holes.
static void balance_is_of_groups_in_their_runs(void **state)
{
    (void)state;
    const wf_metrics_run runs[] = {{.run = 0, .latency = true, .lag_limit_ns = -1},
                                   {.run = 1, .start_ns = 1000 * MS, .lag_limit_ns = -1}};
    static const struct {
        uint16_t run, group;
        int64_t finish_ns;
    } rows[] = {{0, 0, 2000 * MS}, {0, 5, 4000 * MS}, {0, 0, 3000 * MS},
                {1, 2, 3000 * MS}, {0, 7, -1},        {0, 5, 1000 * MS}};
    wf_metrics *m = NULL;
    wf_figures f;
    assert_ok(wf_metrics_create(runs, 2, NULL, 0, &m));
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        wf_result row = {.run = rows[i].run,
                         .group = rows[i].group,
                         .status = rows[i].finish_ns < 0 ? WF_RESULT_FAILED : WF_RESULT_DONE,
                         .admitted_ns = -1,
                         .submitted_ns = -1,
                         .finish_ns = rows[i].finish_ns};
        assert_ok(wf_metrics_add(m, &row));
    }
    wf_metrics_finish(m, NULL, &f);
    assert_int_equal(f.n_groups, 3);
    assert_near(f.balance, (3.0 / 4 + 1 + 1) / 3);
    assert_int_equal(f.group_ns[0], 2000 * MS);
    assert_int_equal(f.group_ns[1], 4000 * MS);
    wf_metrics_destroy(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles_interpolate),
        cmocka_unit_test(figures_follow_the_definitions),
        cmocka_unit_test(balance_is_of_groups_in_their_runs),
        cmocka_unit_test(resumed_runs_do_not_count_for_latency),
        cmocka_unit_test(warm_up_is_left_out),
        cmocka_unit_test(many_gaps_stay_within_a_thousandth),
        cmocka_unit_test(steps_are_summed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
