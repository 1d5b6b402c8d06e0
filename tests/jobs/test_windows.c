// ServeGen's windows: what is drawn of them has the rates, gaps and lengths that they say.
#include "tests/jobs/jobs_test.h"

#include <math.h>

#include "io/base/file.h"
#include "jobs/streams/describe.h"
#include "jobs/streams/windows.h"

static char trace[200], dataset[200];

static void put(const char *path, const char *text)
{
    assert_ok(wf_file_write_whole(path, text, strlen(text), WF_PUBLISH_REPLACE));
}

static wf_import_options options_of(void **state, const char *windows, const char *lengths)
{
    snprintf(trace, sizeof trace, "%s/chunk-1-trace.csv", (char *)*state);
    snprintf(dataset, sizeof dataset, "%s/chunk-1-dataset.json", (char *)*state);
    put(trace, windows);
    put(dataset, lengths);
    return (wf_import_options){.format = "servegen", .input = trace, .seed = 5};
}

static wf_line_index rows_of(const wf_import_options *o)
{
    wf_lines *lines = NULL;
    wf_line_index rows = {0};
    assert_ok(wf_lines_open(o->input, &lines));
    assert_ok(wf_windows_draw(o, lines, &rows));
    wf_lines_close(&lines);
    return rows;
}

#define LENGTHS                                                                                    \
    "{\"0\": {\"input_tokens\": [0, 0, 3, 1], \"output_tokens\": {\"7\": 0.5, \"900\": 0.5}}, "    \
    "\"600\": {\"input_tokens\": \"{5: 1.0}\", \"output_tokens\": \"{'8': 2, 9: 0}\"}}"

// Rates in each window, lengths of its histograms, and the CV of its gaps.
static void windows_become_rows(void **state)
{
    static const struct {
        const char *words;
        double cv;
    } cases[] = {{"Gamma,0.25,9", 2},  {"gamma,4,1", 0.5}, {"Weibull,0.5,1", 2.236},
                 {"Exponential,,", 1}, {"Gamma,,", 1.6},   {"WEIBULL,0,0", 1.6}}; // shape of the CV
    for (size_t i = 0; i < N_ROWS(cases); i++) {
        char text[300];
        double n[2] = {0}, n_short = 0, gap = 0, square = 0, last = -1;
        snprintf(text, sizeof text, "0,20,1.6,%s\n600,0,1,none,0,0\n1200,50,1.6,%s\n",
                 cases[i].words, cases[i].words);
        wf_import_options o = options_of(state, text, LENGTHS);
        wf_line_index rows = rows_of(&o);
        for (size_t k = 0; k < rows.n; k++) {
            const wf_line_entry *e = &rows.entry[k];
            double at = (double)e->time_ns / 1e9;
            int which = at >= 1200;
            assert_true((at >= 0 && at < 600) || (at >= 1200 && at < 1800));
            n[which]++;
            if (which == 0) {
                assert_true(e->n_prompt == 2 || e->n_prompt == 3);
                assert_true(e->n_new == 7 || e->n_new == 900);
                n_short += e->n_prompt == 2;
            } else {
                assert_int_equal(e->n_prompt, 5);
                assert_int_equal(e->n_new, 8);
            }
            if (which == 1 && last >= 1200) gap += at - last;
            if (which == 1 && last >= 1200) square += (at - last) * (at - last);
            last = at;
        }
        double mean = gap / (n[1] - 1), cv = sqrt(square / (n[1] - 1) / (mean * mean) - 1);
        if (fabs(n[0] - 12000) > 800 || fabs(n[1] - 30000) > 1200)
            fail_msg("%s: %g and %g rows", cases[i].words, n[0], n[1]);
        if (fabs(n_short / n[0] - 0.75) > 0.02) fail_msg("%g of 3 in 4 are short", n_short / n[0]);
        if (fabs(cv - cases[i].cv) > 0.06 * cases[i].cv) fail_msg("%s: CV %g", cases[i].words, cv);
        wf_line_index_free(&rows);
    }
}

static void a_seed_is_a_stream(void **state)
{
    wf_import_options o = options_of(state, "0,20,1,Gamma,1,1\n", LENGTHS);
    wf_line_index a = rows_of(&o), b = rows_of(&o);
    assert_int_equal(a.n, b.n);
    assert_memory_equal(a.entry, b.entry, a.n * sizeof *a.entry);
    wf_line_index_free(&b);
    o.n_rows = 100;
    b = rows_of(&o);
    assert_int_equal(b.n, 100);
    assert_memory_equal(a.entry, b.entry, 100 * sizeof *a.entry);
    wf_line_index_free(&b);
    o.seed = 6;
    b = rows_of(&o);
    assert_true(b.entry[0].time_ns != a.entry[0].time_ns);
    wf_line_index_free(&a);
    wf_line_index_free(&b);
}

static void the_importer_takes_them(void **state)
{
    wf_import_options o = options_of(state, "0,20,1,Gamma,1,1\n600,20,1,Gamma,1,1\n", LENGTHS);
    wf_description d;
    wf_import_report r;
    o.until_ns = 100 * INT64_C(1000000000);
    o.max_new = 500;
    assert_ok(wf_describe_run(&o, &r, &d));
    assert_in_range(d.n, 1800, 2200);
    assert_string_equal(r.format, "servegen");
    assert_in_range(r.count[WF_IMPORT_new_cut].n, d.n / 3, d.n);
    assert_int_equal(strlen(d.sha256), 64);
    wf_description_free(&d);
}

static void mistakes_have_their_line(void **state)
{
    static const char *const good = "0,20,1,Gamma,1,1\n";
    const char *const cases[][3] = {
        {"0,20,1,Gamma,1,1\n5,1,1\n", LENGTHS,
         "trace.csv:2: 3 fields where a window of ServeGen has six"},
        {"0,x,1,Gamma,1,1\n", LENGTHS, "trace.csv:1: requests per second: 'x'"},
        {"0,-1,1,Gamma,1,1\n", LENGTHS, "requests per second: '-1'"},
        {"0,1,1,Zeta,1,1\n", LENGTHS, "'Zeta' is no distribution"},
        {"0,1,0,Gamma,0,1\n", LENGTHS, "a shape of 0"},
        {"5,1,1,Gamma,1,1\n5,1,1,Gamma,1,1\n", LENGTHS, "trace.csv:2: begins at 5 s, not after"},
        {good, "{\"0\": {\"input_tokens\": [0, 1]}}", "output_tokens: is no histogram"},
        {good, "{\"0\": {\"input_tokens\": [0], \"output_tokens\": [1]}}", "no weight above 0"},
        {good, "{\"0\": {\"input_tokens\": {\"1.5\": 1}, \"output_tokens\": [1]}}", "no length"},
        {good, "{\"0\": {\"input_tokens\": \"12: a\", \"output_tokens\": [1]}}", "no histogram"},
        {good, "{\"x\": {}}", "'x' is no start"},
        {good, "[]", "has no windows"},
        {"\n", LENGTHS, "has no windows"}};
    for (size_t i = 0; i < N_ROWS(cases); i++) {
        wf_lines *lines = NULL;
        wf_line_index rows = {0};
        wf_import_options o = options_of(state, cases[i][0], cases[i][1]);
        assert_ok(wf_lines_open(o.input, &lines));
        assert_int_equal(wf_windows_draw(&o, lines, &rows), WF_DATA);
        assert_contains(wf_error(), cases[i][2]);
        wf_line_index_free(&rows);
        wf_lines_close(&lines);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(windows_become_rows, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(a_seed_is_a_stream, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(the_importer_takes_them, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(mistakes_have_their_line, folder_make, folder_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
