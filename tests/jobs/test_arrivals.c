// Arrival processes: exact replay, and drawn gaps whose distribution is the one that was asked for.
#include "tests/jobs/jobs_test.h"

#include <math.h>

#include "jobs/run/arrivals.h"

#define N 200000

static void test_replay(void **state)
{
    (void)state;
    static const struct {
        double speed;
        int64_t logged, want;
    } cases[] = {
        {1.0, 4314579000, 4314579000},   {1.0, 123456789012345678, 123456789012345678},
        {2.0, 4314579000, 2157289500},   {0.5, 4314579001, 8629158002},
        {10.0, 35020000000, 3502000000}, {1.0, 0, 0},
    };
    for (size_t i = 0; i < N_ROWS(cases); i++) {
        wf_arrivals a;
        wf_arrivals_config c = {.mode = WF_SPEC_REPLAY, .speed = cases[i].speed};
        wf_arrivals_begin(&a, &c);
        assert_int_equal(wf_arrivals_next(&a, cases[i].logged), cases[i].want);
    }
}

static void test_offline_and_constant(void **state)
{
    (void)state;
    wf_arrivals a;
    wf_arrivals_begin(&a, &(wf_arrivals_config){.mode = WF_SPEC_OFFLINE});
    for (int i = 0; i < 5; i++)
        assert_int_equal(wf_arrivals_next(&a, 1000 * i), 0);
    wf_arrivals_begin(&a, &(wf_arrivals_config){.mode = WF_SPEC_CONSTANT, .rate = 8.0});
    for (int i = 0; i < 1000; i++)
        assert_int_equal(wf_arrivals_next(&a, 7), INT64_C(125000000) * i);
}

// Gaps in seconds of N arrivals, the first at 0.
static void draw(wf_arrivals_config c, double gap[N])
{
    wf_arrivals a;
    wf_arrivals_begin(&a, &c);
    int64_t last = wf_arrivals_next(&a, 0);
    assert_int_equal(last, 0);
    for (int i = 0; i < N; i++) {
        int64_t at = wf_arrivals_next(&a, 0);
        assert_true(at >= last);
        gap[i] = (double)(at - last) / 1e9;
        last = at;
    }
}

// Mean 1 / rate, coefficient of variation 1 / sqrt(burstiness); five standard errors.
static void test_mean_and_variation(void **state)
{
    (void)state;
    static const wf_arrivals_config cases[] = {
        {.mode = WF_SPEC_POISSON, .rate = 5.5, .burstiness = 1.0, .seed = 1},
        {.mode = WF_SPEC_GAMMA, .rate = 5.5, .burstiness = 1.0, .seed = 2},
        {.mode = WF_SPEC_GAMMA, .rate = 100.0, .burstiness = 0.25, .seed = 3},
        {.mode = WF_SPEC_GAMMA, .rate = 0.2, .burstiness = 4.0, .seed = 4},
    };
    double *gap = malloc(N * sizeof *gap);
    assert_non_null(gap);
    for (size_t k = 0; k < N_ROWS(cases); k++) {
        double sum = 0, squares = 0, cv = 1 / sqrt(cases[k].burstiness);
        draw(cases[k], gap);
        for (int i = 0; i < N; i++) {
            double scaled = gap[i] * cases[k].rate; // mean 1
            sum += scaled;
            squares += scaled * scaled;
        }
        double mean = sum / N, variance = squares / N - mean * mean;
        assert_true(fabs(mean - 1) < 5 * cv / sqrt(N));
        // Variance of the sample variance of a gamma: (6/shape + 2) v^2 / N.
        double v = cv * cv, tolerance = 5 * v * sqrt((6 / cases[k].burstiness + 2) / N);
        assert_true(fabs(variance - v) < tolerance);
    }
    free(gap);
}

// Poisson gaps in 50 bins of equal probability: chi-square of 49 degrees of freedom (99.9%: 85.4).
static void test_poisson_is_exponential(void **state)
{
    (void)state;
    enum { BINS = 50 };
    int count[BINS] = {0};
    double *gap = malloc(N * sizeof *gap), chi = 0, rate = 3.0;
    assert_non_null(gap);
    draw((wf_arrivals_config){.mode = WF_SPEC_POISSON, .rate = rate, .seed = 11}, gap);
    for (int i = 0; i < N; i++) {
        int bin = (int)(BINS * (1 - exp(-gap[i] * rate)));
        count[bin < BINS ? bin : BINS - 1]++;
    }
    for (int b = 0; b < BINS; b++) {
        double expect = (double)N / BINS, d = count[b] - expect;
        chi += d * d / expect;
    }
    assert_true(chi < 85.4 && chi > 23.0);
    free(gap);
}

// The same seed gives the same times on every rank and after every restart; another seed others.
static void test_seeds(void **state)
{
    (void)state;
    wf_arrivals a, b, c;
    wf_arrivals_config config = {
        .mode = WF_SPEC_GAMMA, .rate = 2, .burstiness = 0.5, .seed = UINT64_C(1) << 40};
    wf_arrivals_begin(&a, &config);
    wf_arrivals_begin(&b, &config);
    config.seed++;
    wf_arrivals_begin(&c, &config);
    int n_same = 0;
    for (int i = 0; i < 1000; i++) {
        int64_t at = wf_arrivals_next(&a, 0);
        assert_int_equal(wf_arrivals_next(&b, 0), at);
        n_same += wf_arrivals_next(&c, 0) == at;
    }
    assert_int_equal(n_same, 1); // the first, at 0
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replay),
        cmocka_unit_test(test_offline_and_constant),
        cmocka_unit_test(test_mean_and_variation),
        cmocka_unit_test(test_poisson_is_exponential),
        cmocka_unit_test(test_seeds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
