// The report: figures of real files, in three forms.
#include "tests/base/base_test.h"

#include "io/base/json.h"
#include "results/figures.h"
#include "results/merge.h"
#include "results/report.h"
#include "tests/results/run_fixture.h"

#include <math.h>

static run_fixture fixture;
static char text[1 << 16];

static int setup(void **state)
{
    (void)state;
    run_fixture_make(&fixture);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    run_fixture_remove(&fixture);
    return 0;
}

static void print_as(wf_report_form form, wf_report_options options)
{
    memset(text, 0, sizeof text);
    options.form = form;
    FILE *out = fmemopen(text, sizeof text - 1, "w");
    assert_ok(wf_report_print(fixture.out, &options, out));
    fclose(out);
}

static bool done(uint64_t row)
{
    return row % 11 != 10;
}

static void figures_are_those_of_the_rows(void **state)
{
    (void)state;
    wf_report report;
    run_row_buffers b;
    uint64_t n_done = 0, tokens = 0, gaps = 0;
    double tpot_sum = 0, n_tpot = 0;
    int64_t end = 0;
    run_fixture_complete(&fixture);
    for (uint32_t shard = 0; shard < 2; shard++) {
        for (uint64_t row = 0; row < fixture.shards[shard].rows; row++) {
            wf_result r = run_fixture_row(shard, row, &b);
            if (!done(row)) continue;
            n_done++;
            tokens += r.n_tokens;
            gaps += r.n_tokens - 1;
            if (r.finish_ns > end) end = r.finish_ns;
            if (r.n_tokens < 2) continue;
            tpot_sum += (double)(r.finish_ns - r.first_token_ns) / (r.n_tokens - 1);
            n_tpot++;
        }
    }
    assert_ok(wf_report_make(fixture.out, NULL, &report));
    const wf_figures *f = &report.figures;
    assert_string_equal(report.job.name, "fixture run");
    assert_string_equal(report.hosts, "n1,n2");
    assert_string_equal(report.started, "2023-11-14T22:13:20.000Z");
    assert_true(report.complete);
    assert_int_equal(report.n_shards, 2);
    assert_int_equal(report.n_shard_rows, RUN_ROWS_A + RUN_ROWS_B);
    assert_int_equal(report.n_groups, 2);
    assert_int_equal(report.n_runs, 1);
    assert_int_equal(report.n_resumed, 0);
    assert_int_equal(report.errors[0].code, WF_REQ_TOKEN);
    assert_int_equal(report.errors[0].n, RUN_ROWS_A + RUN_ROWS_B - n_done);
    assert_int_equal(report.errors[1].n, 0);
    assert_int_equal(f->n_done, n_done);
    assert_int_equal(f->output_tokens, tokens);
    assert_int_equal(f->itl.n, gaps);
    assert_int_equal(f->duration_ns, end);
    assert_true(fabs(f->ttft.mean - 20e6) < 1e-3 && fabs(f->ttft.p99 - 20e6) < 1e-3);
    assert_true(fabs(f->tpot.mean - tpot_sum / n_tpot) < 1e-3);
    assert_int_equal(f->n_steps, RUN_ROWS_A + RUN_ROWS_B);
    assert_true(f->n_lag_exceeded > 0); // 50 to 140 us against 100 us
    wf_figures before = *f;
    wf_report_destroy(&report);
    // The merged file says the same.
    assert_ok(wf_merge(fixture.out, NULL, NULL));
    assert_ok(wf_report_make(fixture.out, NULL, &report));
    assert_int_equal(report.figures.n_done, before.n_done);
    assert_true(fabs(report.figures.e2el.p95 - before.e2el.p95) < 1e-3);
    wf_report_destroy(&report);
}

static bool refuse(wf_result *row, run_row_buffers *buffers, void *context)
{
    (void)buffers, (void)context;
    row->status = WF_RESULT_FAILED;
    row->finish_reason = WF_FINISH_ERROR;
    row->error_code = WF_REQ_TOKEN;
    row->error = "token 999";
    row->n_tokens = 0;
    row->submitted_ns = row->admitted_ns = row->first_token_ns = row->finish_ns = -1;
    return true;
}

// No table without a row, no words without a meaning.
static void a_job_that_failed_whole_is_said_in_words(void **state)
{
    (void)state;
    uint16_t run = run_fixture_start(&fixture);
    run_fixture_write_changed(&fixture, run, 0, 0, 0, 40, refuse, NULL);
    wf_report_options options = {0};
    print_as(WF_REPORT_TEXT, options);
    assert_contains(text, "0 done, 40 failed");
    assert_null(strstr(text, "ended by"));
}

static void text_says_what_matters(void **state)
{
    (void)state;
    static const char *const parts[] = {"fixture run\n",
                                        "model        models/small, dtype bf16\n",
                                        "arrivals     replay, at 2.0 times the log's speed\n",
                                        "2 of 4 groups of 2 ranks on a device, of a kind\n",
                                        "2 shards with 390 rows",
                                        "355 done, 35 failed",
                                        "token id outside the vocabulary\n",
                                        "first: token 999 in row ",
                                        "ended by     stop",
                                        "TTFT",
                                        "TPOT",
                                        "ITL",
                                        "E2E",
                                        "queue",
                                        "schedule lag",
                                        "requests/s",
                                        "schedule lag passed its tolerance of 0.100 ms",
                                        "goodput",
                                        "steps        390;"};
    run_fixture_complete(&fixture);
    print_as(WF_REPORT_TEXT, (wf_report_options){.limits = {.e2el_ns = 100000000}});
    for (size_t i = 0; i < N_ROWS(parts); i++)
        assert_contains(text, parts[i]);
    assert_null(strstr(text, "not complete"));
    // For people to look at: WEFT_SHOW=1 tests/results/test_report
    if (getenv("WEFT_SHOW")) printf("%s", text);
}

static void json_uses_the_fields_names(void **state)
{
    (void)state;
    static const char *const numbers[] = {
        "duration",           "completed",         "total_input_tokens",     "total_output_tokens",
        "request_throughput", "output_throughput", "total_token_throughput", "mean_ttft_ms",
        "median_ttft_ms",     "p99_ttft_ms",       "mean_tpot_ms",           "p99_itl_ms",
        "p90_e2el_ms",        "mean_queue_ms",     "max_schedule_lag_ms"};
    wf_json *doc = NULL;
    double value;
    bool complete;
    run_fixture_complete(&fixture);
    print_as(WF_REPORT_JSON, (wf_report_options){0});
    assert_ok(wf_json_parse("report", text, strlen(text), NULL, &doc));
    for (size_t i = 0; i < N_ROWS(numbers); i++) {
        assert_ok(wf_json_get_f64(wf_json_root(doc), numbers[i], 0, 1e12, &value));
        assert_true(value > 0);
    }
    assert_ok(wf_json_get_bool(wf_json_root(doc), "complete", &complete));
    assert_true(complete);
    assert_false(wf_json_has(wf_json_root(doc), "request_goodput"));
    static const char *const words[][2] = {{"model", "models/small"},
                                           {"devices", "a device, of a kind"},
                                           {"arrivals", "replay, at 2.0 times the log's speed"}};
    for (size_t i = 0; i < N_ROWS(words); i++) {
        const char *said = NULL;
        assert_ok(wf_json_get_string(wf_json_root(doc), words[i][0], &said));
        assert_string_equal(said, words[i][1]);
    }
    wf_json_destroy(&doc);
}

static void csv_has_a_value_under_each_head(void **state)
{
    (void)state;
    size_t commas[2] = {0, 0};
    run_fixture_complete(&fixture);
    print_as(WF_REPORT_CSV, (wf_report_options){0});
    char *second = strchr(text, '\n') + 1;
    for (char *c = text; *c; c++)
        commas[c >= second] += *c == ',';
    assert_int_equal(commas[0], commas[1]);
    assert_contains(second, "\"fixture run\",355,35,");
}

static void expect_figures(wf_report_form form, const char *figure, const char *times)
{
    print_as(form, (wf_report_options){.limits = {.e2el_ns = 100000000}});
    for (size_t i = 0; i < wf_n_figures; i++) {
        const wf_figure *f = &wf_figure_table[i];
        char key[80];
        if (form == WF_REPORT_CSV && !f->csv) continue;
        if (f->when == WF_FIGURE_OF_SESSIONS) continue; // the fixture has none
        snprintf(key, sizeof key, f->kind == WF_FIGURE_TIMES ? times : figure, f->name);
        assert_contains(text, key);
    }
}

// Text, JSON, CSV and the explanation are made of one table.
static void every_figure_is_in_every_form(void **state)
{
    (void)state;
    run_fixture_complete(&fixture);
    expect_figures(WF_REPORT_JSON, "\"%s\": ", "\"p90_%s_ms\": ");
    expect_figures(WF_REPORT_CSV, ",%s,", ",p90_%s_ms,");
    print_as(WF_REPORT_TEXT, (wf_report_options){.limits = {.e2el_ns = 100000000}});
    for (size_t i = 0; i < wf_n_figures; i++)
        if (wf_figure_table[i].line && wf_figure_table[i].when != WF_FIGURE_OF_SESSIONS)
            assert_contains(text, wf_figure_table[i].line);
    assert_contains(text, "each, at most ");
    FILE *out = fmemopen(text, sizeof text - 1, "w");
    wf_figures_explain(out);
    fclose(out);
    assert_contains(text, "ttft                      ms          time to first token");
}

static void resumed_rows_are_left_out(void **state)
{
    (void)state;
    wf_report report;
    uint16_t run = run_fixture_start(&fixture);
    run_fixture_write(&fixture, run, 0, 0, 0, 0, 100, 1);
    run = run_fixture_start(&fixture);
    run_fixture_write(&fixture, run, 0, 0, 0, 100, 300, 1);
    assert_ok(wf_report_make(fixture.out, NULL, &report));
    assert_int_equal(report.figures.n_done, 273);
    assert_int_equal(report.figures.n_latency, 91);
    assert_int_equal(report.n_resumed, 182);
    assert_false(report.complete);
    wf_report_destroy(&report);
    print_as(WF_REPORT_TEXT, (wf_report_options){0});
    assert_contains(text,
                    " requests: those of resumed runs are left out (--with-resumed counts them)");
    assert_contains(text, "(not complete)");
    assert_contains(text, "* fewer than 100 requests");
    const wf_report_options with = {.with_resumed = true};
    assert_ok(wf_report_make(fixture.out, &with, &report));
    assert_int_equal(report.figures.n_latency, 273);
    wf_report_destroy(&report);
}

static void the_warm_up_that_is_left_out_is_said(void **state)
{
    (void)state;
    uint16_t run = run_fixture_start(&fixture);
    run_fixture_write(&fixture, run, 0, 0, 0, 0, 100, 1);
    wf_report_options options = {.warmup_ns = 20 * INT64_C(3600) * 1000000000};
    print_as(WF_REPORT_TEXT, options);
    assert_contains(text, "the first 72000 s are left out: 91 requests that began in them");
    print_as(WF_REPORT_JSON, options);
    assert_contains(text, "\"warmup\": 72000");
    assert_contains(text, "\"warmup_left_out\": 91");
    assert_contains(text, "\"completed\": 0");
}

// A start that was killed before it sealed anything does not make the next one "resumed".
static void a_start_without_results_does_not_matter(void **state)
{
    (void)state;
    wf_report report;
    run_fixture_start(&fixture);
    uint16_t run = run_fixture_start(&fixture);
    run_fixture_write(&fixture, run, 0, 0, 0, 0, 100, 1);
    assert_ok(wf_report_make(fixture.out, NULL, &report));
    assert_int_equal(report.figures.n_latency, 91);
    assert_int_equal(report.n_resumed, 0);
    wf_report_destroy(&report);
}

static void no_results_is_said(void **state)
{
    (void)state;
    wf_report report;
    assert_int_equal(wf_report_make(fixture.out, NULL, &report), WF_NO_INPUT);
    assert_int_equal(wf_report_print("/nowhere", NULL, stdout), WF_NO_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(figures_are_those_of_the_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(a_job_that_failed_whole_is_said_in_words, setup, teardown),
        cmocka_unit_test_setup_teardown(text_says_what_matters, setup, teardown),
        cmocka_unit_test_setup_teardown(json_uses_the_fields_names, setup, teardown),
        cmocka_unit_test_setup_teardown(csv_has_a_value_under_each_head, setup, teardown),
        cmocka_unit_test_setup_teardown(every_figure_is_in_every_form, setup, teardown),
        cmocka_unit_test_setup_teardown(resumed_rows_are_left_out, setup, teardown),
        cmocka_unit_test_setup_teardown(a_start_without_results_does_not_matter, setup, teardown),
        cmocka_unit_test_setup_teardown(the_warm_up_that_is_left_out_is_said, setup, teardown),
        cmocka_unit_test_setup_teardown(no_results_is_said, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
