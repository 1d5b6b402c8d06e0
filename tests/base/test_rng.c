#include "tests/base/base_test.h"

#include "io/base/rng.h"

#include <math.h>

// The known-answer vectors published with Random123 by the paper's authors.
static void philox_known_answers(void **state)
{
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } rows[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        uint32_t out[4];
        wf_philox(rows[i].key, rows[i].counter, out);
        assert_memory_equal(out, rows[i].out, sizeof out);
    }
}

static void ends_of_the_unit_interval(void **state)
{
    (void)state;
    assert_true(wf_rng_float(0) == 0.0f);
    assert_true(wf_rng_float(UINT32_MAX) < 1.0f);
    assert_true(wf_rng_double(0, 0) == 0.0);
    assert_true(wf_rng_double(UINT32_MAX, UINT32_MAX) < 1.0);
    assert_true(wf_rng_double_open(0, 0) > 0.0);
    assert_true(wf_rng_double_open(UINT32_MAX, UINT32_MAX) < 1.0);
    assert_int_equal(wf_rng_below(UINT32_MAX, 10), 9);
    assert_int_equal(wf_rng_below(0, 10), 0);
}

static void sequence_is_philox_in_order(void **state)
{
    (void)state;
    wf_rng rng = wf_rng_make(UINT64_C(0x299f31d0a4093822), UINT64_C(0x0370734413198a2e));
    rng.position = UINT64_C(0x85a308d3243f6a88);
    static const uint32_t expected[] = {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1};
    for (size_t i = 0; i < N_ROWS(expected); i++)
        assert_int_equal(wf_rng_next_u32(&rng), expected[i]);
    wf_rng copy = rng;
    for (int i = 0; i < 9; i++)
        assert_int_equal(wf_rng_next_u32(&rng), wf_rng_next_u32(&copy));
}

static void streams_differ(void **state)
{
    (void)state;
    wf_rng a = wf_rng_make(1, 0), b = wf_rng_make(1, 1), c = wf_rng_make(2, 0);
    int n_same = 0;
    for (int i = 0; i < 1000; i++) {
        uint32_t x = wf_rng_next_u32(&a);
        n_same += (x == wf_rng_next_u32(&b)) + (x == wf_rng_next_u32(&c));
    }
    assert_int_equal(n_same, 0);
}

typedef double (*draw_fn)(wf_rng *rng, double shape);

static double draw_uniform(wf_rng *rng, double shape)
{
    (void)shape;
    return wf_rng_next_double(rng);
}

static double draw_normal(wf_rng *rng, double shape)
{
    (void)shape;
    return wf_rng_next_normal(rng);
}

static double draw_exponential(wf_rng *rng, double shape)
{
    (void)shape;
    return wf_rng_next_exponential(rng);
}

// Mean and variance against theory, within five standard errors of a fixed seed's sample.
static void moments_agree_with_theory(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        draw_fn draw;
        double shape, mean, variance, kurtosis; // kurtosis: fourth central moment / variance^2
    } rows[] = {
        {"uniform", draw_uniform, 0, 0.5, 1.0 / 12, 1.8},
        {"normal", draw_normal, 0, 0, 1, 3},
        {"exponential", draw_exponential, 0, 1, 1, 9},
        {"gamma 0.25", wf_rng_next_gamma, 0.25, 0.25, 0.25, 27},
        {"gamma 1", wf_rng_next_gamma, 1, 1, 1, 9},
        {"gamma 4", wf_rng_next_gamma, 4, 4, 4, 4.5},
    };
    enum { N = 100000 };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        wf_rng rng = wf_rng_make(42, i);
        double sum = 0, squares = 0;
        for (int k = 0; k < N; k++) {
            double x = rows[i].draw(&rng, rows[i].shape) - rows[i].mean;
            sum += x;
            squares += x * x;
        }
        double mean_error = fabs(sum / N) / sqrt(rows[i].variance / N);
        double variance_error = fabs(squares / N - rows[i].variance) /
                                (rows[i].variance * sqrt((rows[i].kurtosis - 1) / N));
        if (mean_error > 5 || variance_error > 5) print_error("%s\n", rows[i].name);
        assert_true(mean_error < 5);
        assert_true(variance_error < 5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_known_answers),        cmocka_unit_test(ends_of_the_unit_interval),
        cmocka_unit_test(sequence_is_philox_in_order), cmocka_unit_test(streams_differ),
        cmocka_unit_test(moments_agree_with_theory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
