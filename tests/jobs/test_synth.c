// Synthetic streams: their figures against the formulas of the processes, Flover's presets,
// refusals.
#include "tests/jobs/jobs_test.h"

#include <math.h>

#include "io/shard/shard.h"
#include "jobs/streams/describe.h"

static wf_import_options drawn(const char *name, uint64_t n_rows, double interval_s)
{
    return (wf_import_options){.format = name,
                               .n_rows = n_rows,
                               .seed = 3,
                               .synth = {.has_interval = true,
                                         .interval_s = interval_s,
                                         .input_tokens = "8",
                                         .output_tokens = "16"}};
}

static wf_description described(const wf_import_options *o)
{
    wf_description d;
    wf_import_report r;
    assert_ok(wf_describe_run(o, &r, &d));
    return d;
}

static void test_processes(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        double shape, cv; // CV by the formulas of gamma and Weibull
    } cases[] = {{"constant", 0, 0},    {"poisson", 0, 1}, {"gamma", 0.25, 2},
                 {"gamma", 4, 0.5},     {"weibull", 1, 1}, {"weibull", 0.5, 2.236},
                 {"weibull", 2, 0.5227}};
    for (size_t i = 0; i < N_ROWS(cases); i++) {
        wf_import_options o = drawn(cases[i].name, 40000, 0.25);
        o.synth.shape = cases[i].shape;
        wf_description d = described(&o);
        assert_int_equal(d.n, 40000);
        if (fabs(d.gap_mean_s - 0.25) > 0.012) fail_msg("%s: mean %g", cases[i].name, d.gap_mean_s);
        if (fabs(d.gap_cv - cases[i].cv) > 0.05 * cases[i].cv + 1e-6)
            fail_msg("%s %g: CV %g", cases[i].name, cases[i].shape, d.gap_cv);
        wf_description_free(&d);
    }
}

// In the half of the day that is up there are (1 + 2 d / pi) / (1 - 2 d / pi) as many arrivals.
static void test_diurnal(void **state)
{
    (void)state;
    wf_import_options o = drawn("diurnal", 40000, 0.25);
    o.synth.depth = 0.8;
    o.synth.period_s = 10000; // the stream's own length
    wf_description d = described(&o);
    double up = 0, down = 0;
    for (int i = 0; i < WF_DESCRIBE_BINS; i++)
        *(i < WF_DESCRIBE_BINS / 2 ? &up : &down) += (double)d.bin[i];
    double want = (1 + 2 * 0.8 / M_PI) / (1 - 2 * 0.8 / M_PI);
    if (fabs(up / down - want) > 0.1 * want) fail_msg("%g, expected %g", up / down, want);
    wf_description_free(&d);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void test_lengths(void **state)
{
    (void)state;
    wf_import_options o = drawn("constant", 20000, 1);
    o.synth.input_tokens = "uniform:5:9";
    o.synth.output_tokens = "lognormal:1000:0.8";
    o.max_new = 20000;
    wf_description d = described(&o);
    uint64_t seen[10] = {0};
    for (size_t i = 0; i < d.n; i++) {
        assert_true(d.n_prompt[i] >= 5 && d.n_prompt[i] <= 9 && d.n_new[i] >= 1);
        seen[(int)d.n_prompt[i]]++;
    }
    for (int k = 5; k <= 9; k++)
        assert_in_range(seen[k], 3700, 4300);
    qsort(d.n_new, d.n, sizeof *d.n_new, by_value);
    if (fabs(d.n_new[d.n / 2] - 1000) > 30) fail_msg("median %g", d.n_new[d.n / 2]);
    double sigma = log(d.n_new[d.n * 8413 / 10000] / d.n_new[d.n / 2]); // the quantile of one sigma
    if (fabs(sigma - 0.8) > 0.04) fail_msg("sigma %g", sigma);
    wf_description_free(&d);
}

static void test_presets(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint32_t batch;
        size_t n;
        double span_s, least, most; // span 0: drawn
    } cases[] = {{"flover-w1", 1, 32, 15.5, 512, 512}, {"flover-w2", 1, 32, 0, 512, 512},
                 {"flover-w3", 1, 32, 15.5, 1, 512},   {"flover-w4", 1, 32, 3.1, 512, 512},
                 {"flover-w5", 1, 32, 15.5, 512, 512}, {"flover-w6", 4, 32, 3.5, 512, 512},
                 {"flover-w7", 1, 32, 0.62, 128, 512}, {"flover-w8", 1, 32, 0.62, 128, 1000}};
    for (size_t i = 0; i < N_ROWS(cases); i++) {
        wf_import_options o = {.format = cases[i].name, .synth.batch = cases[i].batch};
        wf_description d = described(&o);
        assert_int_equal(d.n, cases[i].n);
        double span_s = d.gap_mean_s * (double)(d.n - 1);
        if (cases[i].span_s > 0 && fabs(span_s - cases[i].span_s) > 1e-9)
            fail_msg("%s spans %g s", cases[i].name, span_s);
        for (size_t k = 0; k < d.n; k++) {
            assert_true(d.n_prompt[k] == 8);
            assert_true(d.n_new[k] >= cases[i].least && d.n_new[k] <= cases[i].most);
        }
        wf_description_free(&d);
    }
}

// What is written is what is described, the same each time; another seed is another stream.
static void test_shards(void **state)
{
    char path[256], uid[3][64];
    for (int i = 0; i < 3; i++) {
        wf_import_report r;
        snprintf(path, sizeof path, "%s/w2.h5", (const char *)*state);
        wf_import_options o = {
            .format = "flover-w2", .output = path, .seed = i == 2, .replace = true};
        assert_ok(wf_import_run(&o, &r));
        assert_int_equal(r.n_rows, 32);
        assert_int_equal(r.n_new_tokens, 32 * 512);
        wf_shard *s = NULL;
        assert_ok(wf_shard_open(path, &s));
        snprintf(uid[i], sizeof uid[i], "%s", wf_shard_info_of(s)->uid);
        assert_int_equal(wf_shard_info_of(s)->last_arrival_ns, r.span_ns);
        wf_shard_close(&s);
    }
    assert_string_equal(uid[0], uid[1]);
    assert_string_not_equal(uid[0], uid[2]);
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        double interval_s, shape;
        uint64_t n;
        const char *input, *output, *message;
    } cases[] = {
        {"poisson", -1, 0, 5, "8", "8", "give --rate N (of a second) or --interval TIME"},
        {"poisson", 1, 0, 0, "8", "8", "how many? give --rows N"},
        {"poisson", 1, 2, 5, "8", "8", "poisson has no --shape; gamma and weibull do"},
        {"gamma", 1, 0, 5, "8", "8", "gamma needs --shape"},
        {"poisson", 1, 0, 5, NULL, "8", "how long? give --input-tokens LAW"},
        {"poisson", 1, 0, 5, "8", "0", "--output-tokens 0: expected 512, uniform:LEAST:MOST"},
        {"poisson", 1, 0, 5, "8", "uniform:9:5", "--output-tokens uniform:9:5"},
        {"poisson", 1, 0, 5, "8", "uniform:9", "expected 512"},
        {"poisson", 1, 0, 5, "8", "zipf:1:2", "expected 512"},
        {"poisson", 1, 0, 5, "8", "fixed:8:", "expected 512"},
        {"poisson", 1, 0, 5, "8", "uniform:1:2:3", "expected 512"},
        {"constant", 1e10, 0, 5, "8", "8", "more than 285 years"},
    };
    for (size_t i = 0; i < N_ROWS(cases); i++) {
        wf_description d;
        wf_import_report r;
        wf_import_options o = drawn(cases[i].name, cases[i].n, cases[i].interval_s);
        o.synth.has_interval = cases[i].interval_s >= 0;
        o.synth.shape = cases[i].shape;
        o.synth.input_tokens = cases[i].input;
        o.synth.output_tokens = cases[i].output;
        assert_int_equal(wf_describe_run(&o, &r, &d), WF_USAGE);
        assert_contains(wf_error(), cases[i].message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_processes), cmocka_unit_test(test_diurnal),
        cmocka_unit_test(test_lengths),   cmocka_unit_test(test_presets),
        cmocka_unit_test(test_shards),    cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
