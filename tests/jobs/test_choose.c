// Choices within a budget, against all ways there are.
#include "jobs/quantize/choose.h"

#include <math.h>

#include "tests/base/base_test.h"

enum { MOST_LAYERS = 6, MOST_CHOICES = 5 };

// The least error of all ways that fit; INFINITY: none.
static double brute(const wf_choice *choices, int32_t n_layers, int32_t n_choices, uint64_t budget)
{
    double best = INFINITY;
    int32_t chosen[MOST_LAYERS] = {0}, n_ways = 1;
    for (int32_t i = 0; i < n_layers; i++)
        n_ways *= n_choices;
    for (int32_t way = 0; way < n_ways; way++) {
        for (int32_t i = 0, rest = way; i < n_layers; i++, rest /= n_choices)
            chosen[i] = rest % n_choices;
        wf_choice sum = wf_chosen_sum(choices, n_layers, n_choices, chosen);
        if (sum.bytes <= budget && sum.error < best) best = sum.error;
    }
    return best;
}

static uint32_t draw(uint32_t *state, uint32_t below)
{
    *state = *state * 1664525u + 1013904223u;
    return (*state >> 8) % below;
}

static void as_good_as_all_ways(void **state)
{
    (void)state;
    uint32_t seed = 7;
    wf_choice choices[MOST_LAYERS * MOST_CHOICES];
    int32_t out[MOST_LAYERS];
    for (int round = 0; round < 200; round++) {
        int32_t n_layers = 1 + (int32_t)draw(&seed, MOST_LAYERS);
        int32_t n_choices = 1 + (int32_t)draw(&seed, MOST_CHOICES);
        uint64_t budget = 1 + draw(&seed, 4000);
        for (int32_t i = 0; i < n_layers * n_choices; i++)
            choices[i] = (wf_choice){1 + draw(&seed, 1000), draw(&seed, 1000) / 100.0};
        double best = brute(choices, n_layers, n_choices, budget);
        wf_status st = wf_choose(choices, n_layers, n_choices, budget, out);
        assert_int_equal(st, best < INFINITY ? WF_OK : WF_CONFIG);
        if (st != WF_OK) continue;
        wf_choice sum = wf_chosen_sum(choices, n_layers, n_choices, out);
        assert_true(sum.bytes <= budget);
        assert_true(fabs(sum.error - best) < 1e-9);
    }
}

// Budgets beyond what buckets tell apart: never exceeded, no worse than one choice for all.
static void large_numbers(void **state)
{
    (void)state;
    enum { LAYERS = 64 };
    wf_choice choices[LAYERS * 2];
    int32_t out[LAYERS];
    for (int32_t i = 0; i < LAYERS; i++) {
        choices[2 * i] = (wf_choice){100000007, 0.5};
        choices[2 * i + 1] = (wf_choice){200000029, 0.1};
    }
    uint64_t exact = UINT64_C(100000007) * LAYERS;
    assert_ok(wf_choose(choices, LAYERS, 2, exact, out));
    for (int32_t i = 0; i < LAYERS; i++)
        assert_int_equal(out[i], 0);
    assert_ok(wf_choose(choices, LAYERS, 2, exact + UINT64_C(100000022) * 10, out));
    wf_choice sum = wf_chosen_sum(choices, LAYERS, 2, out);
    assert_true(sum.bytes <= exact + UINT64_C(100000022) * 10);
    assert_true(sum.error < 0.5 * LAYERS - 0.4 * 8);
    assert_int_equal(wf_choose(choices, LAYERS, 2, exact - 1, out), WF_CONFIG);
    assert_contains(wf_error(), "6400000448");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_good_as_all_ways),
        cmocka_unit_test(large_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
