// Sums of loads of experts: imbalance by layer, steps that tell nothing.
#include "tests/base/base_test.h"

#include "results/report_experts.h"

static void layers_are_summed(void **state)
{
    (void)state;
    wf_expert_loads loads = {0};
    static const int32_t first[] = {1, 0, 2, 1, 2, 2, 0, 0}, second[] = {0, 0, 4, 0, 1, 1, 1, 1};
    wf_step_record step = {.expert_layers = 2, .n_expert_load = 8, .expert_load = first};
    assert_ok(wf_expert_loads_add(&loads, &(wf_step_record){.n_decode = 3}));
    assert_int_equal(loads.n_layers, 0);
    assert_ok(wf_expert_loads_add(&loads, &step));
    step.expert_load = second;
    assert_ok(wf_expert_loads_add(&loads, &step));
    step.expert_layers = 4; // of another model
    assert_ok(wf_expert_loads_add(&loads, &step));
    assert_int_equal(loads.n_layers, 2);
    assert_int_equal(loads.n_experts, 4);
    wf_expert_layer of = wf_expert_loads_layer(&loads, 0);
    assert_int_equal(of.tokens, 8);
    assert_int_equal(of.fullest, 2);
    assert_int_equal(of.n_untouched, 1);
    assert_true(of.imbalance == 3.0); // 6 of 8 where 2 would be even
    of = wf_expert_loads_layer(&loads, 1);
    assert_true(of.imbalance == 1.5 && of.fullest == 0 && of.n_untouched == 0);
    wf_expert_loads_free(&loads);
    assert_int_equal(loads.n_layers, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(layers_are_summed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
