// Studies: what their file says, their grid, and the search for the highest load, which must find
// what a sweep over all loads finds on the simulated clock.
#include "tests/jobs/serve_rig.h"

#include "jobs/study/goodput_search.h"
#include "jobs/study/study.h"
#include "results/metrics.h"

static char path[300];
static wf_study study;

static wf_status read_text(void **state, const char *text)
{
    snprintf(path, sizeof path, "%s/study.yaml", (char *)*state);
    assert_ok(wf_file_write_whole(path, text, strlen(text), WF_PUBLISH_REPLACE));
    return wf_study_read(path, &study);
}

static void a_study_is_read(void **state)
{
    assert_ok(read_text(state,
                        "study: s\njob: j.yaml\nrising: arrivals.rate\nscale: parallel.tensor\n"
                        "set: {engine.max_rows: 16, requests: [a.h5, 'b c.h5']}\n"
                        "grid: {parallel.tensor: [1, 2], arrivals.rate: [5, 1e1, 20]}\n"
                        "seeds: [7, 8]\ngoodput: ttft:20,tpot:5\nshare: 0.5\nwarmup: 2s\n"
                        "prepare: [[import, poisson, -n, 3]]\n"));
    assert_string_equal(study.job, "j.yaml");
    assert_int_equal(study.n_axes, 3);
    assert_int_equal(study.rising, 1);
    assert_int_equal(study.scale, 0);
    assert_true(study.warmup_ns == 2 * WF_NS_PER_S);
    assert_string_equal(study.fixed.item[1], "requests=[a.h5, b c.h5]");
    assert_string_equal(study.commands[0].item[3], "3");
    assert_int_equal(wf_study_points(&study), 12);
    const char *const names[] = {"tensor-1_rate-5_seed-7", "tensor-1_rate-1e1_seed-7",
                                 "tensor-1_rate-20_seed-7", "tensor-1_rate-5_seed-8"};
    for (size_t i = 0; i < 4; i++) { // a series' points follow each other
        char *name = NULL;
        assert_ok(wf_study_point_name(&study, i, NULL, &name));
        assert_string_equal(name, names[i]);
        free(name);
    }
    size_t at[3];
    wf_study_point(&study, 11, at);
    assert_true(at[0] == 1 && at[1] == 2 && at[2] == 1);
    assert_int_equal(wf_study_ranks(&study, at), 2);
    wf_study_free(&study);
}

static void mistakes_are_told_with_their_place(void **state)
{
    const char *const cases[][2] = {
        {"job: j\ngird: {a: [1]}\n", ":2:1: gird: no key of a study; did you mean grid?"},
        {"grid: {a: [1]}\n", "says no job"},
        {"job: j\ngrid: {a: 1}\n", ":2:8: a: give a list of values"},
        {"job: j\ngrid: {a: [1]}\nrising: b\n", ":3:1: rising: is no key of the grid"},
        {"job: j\ngrid: {a: [2, 1]}\nrising: a\n", "must be numbers that rise"},
        {"job: j\ngrid: {a: [x]}\nrising: a\n", "must be numbers that rise"},
        {"job: j\nwarmup: soon\n", "warmup: is no time"},
        {"job: j\nshare: 2\n", "share: is no number between 0.01 and 1"},
        {"job: j\ngrid: {a: [{b: 1}]}\n", "is a map where a value is meant"},
        {"job: j\nprepare: [import]\n", "give a command as a list of words"},
        {"job: j\nmodel: {path: m}\nrequests: [a.h5]\n", "is a job file, of one run"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(read_text(state, cases[i][0]), WF_CONFIG);
        assert_contains(wf_error(), cases[i][1]);
        wf_study_free(&study);
    }
}

// ---- the search ---------------------------------------------------------------------------------

typedef struct threshold {
    size_t n_good, n_probes;
} threshold;

static wf_status below(void *context, size_t i_load, bool *meets)
{
    threshold *t = context;
    t->n_probes++;
    *meets = i_load < t->n_good;
    return WF_OK;
}

static void the_search_finds_every_threshold(void **state)
{
    (void)state;
    for (size_t n = 0; n < 40; n++)
        for (size_t n_good = 0; n_good <= n; n_good++) {
            threshold t = {n_good, 0};
            size_t found = 99;
            assert_ok(wf_goodput_search(n, below, &t, &found));
            assert_int_equal(found, n_good);
            assert_in_range(t.n_probes, 0, 8); // log2(40) and both ends
        }
}

static void loads_rise_to_the_last(void **state)
{
    (void)state;
    double loads[100];
    size_t n = wf_goodput_loads(2, 100, 1.1, 100, loads);
    assert_true(n > 30 && n < 50 && loads[0] == 2 && loads[n - 1] == 100);
    for (size_t i = 1; i < n; i++)
        assert_true(loads[i] > loads[i - 1] && loads[i] < loads[i - 1] * 1.2);
    assert_int_equal(wf_goodput_loads(5, 5, 1.1, 100, loads), 1);
    assert_int_equal(wf_goodput_loads(1, 2, 1.0001, 0, NULL), 101); // three digits
}

// ---- on the simulated clock ---------------------------------------------------------------------

enum { N_LOADS = 30, TTFT_MS = 40 };

typedef struct served {
    const char *folder;
    int n_runs;
} served;

// A group of 4 rows whose steps take 10 ms: with requests of 8 tokens it is full at 50 a second.
// Load i: one request each 40 - i ms. Good: 9 of 10 requests have their first token in time.
static wf_status serve_at(void *context, size_t i_load, bool *meets)
{
    static serve_rig r; // large
    served *s = context;
    char folder[96];
    int n_good = 0;
    snprintf(folder, sizeof folder, "%s/%d", s->folder, s->n_runs++);
    assert_int_equal(mkdir(folder, 0777), 0);
    memset(&r, 0, sizeof r);
    r.n_rows = RIG_ROWS;
    r.gap_ms = 40 - (int64_t)i_load;
    r.max_new = 8;
    r.max_rows = 4;
    r.bad_row = -1;
    r.max_failures = -1;
    serve_rig_make(&r, folder);
    assert_ok(serve_rig_run(&r));
    assert_int_equal(r.outcome.n_done, RIG_ROWS);
    for (int i = 0; i < RIG_ROWS; i++)
        n_good += r.row[i].first_token_ns - r.row[i].arrival_ns <= TTFT_MS * MS;
    *meets = n_good * 10 >= RIG_ROWS * 9;
    return WF_OK;
}

static void the_search_agrees_with_a_sweep(void **state)
{
    served s = {*state, 0};
    size_t swept = 0, found = 0;
    bool meets = true;
    for (size_t i = 0; i < N_LOADS; i++) {
        assert_ok(serve_at(&s, i, &meets));
        if (meets && swept == i) swept++;
        assert_true(meets == (swept > i)); // no load is good above one that is not
    }
    assert_in_range(swept, 1, N_LOADS - 1); // there is something to find
    int n_swept = s.n_runs;
    assert_ok(wf_goodput_search(N_LOADS, serve_at, &s, &found));
    assert_int_equal(found, swept);
    assert_in_range(s.n_runs - n_swept, 1, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_study_is_read, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(mistakes_are_told_with_their_place, folder_make,
                                        folder_remove),
        cmocka_unit_test(the_search_finds_every_threshold),
        cmocka_unit_test(loads_rise_to_the_last),
        cmocka_unit_test_setup_teardown(the_search_agrees_with_a_sweep, folder_make, folder_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
