// Layers of one model that differ: tokens and logits stay those of the golden (wide.h).
//
//   test_layers BACKEND
#include "tests/base/base_test.h"

#include <math.h>

#include "engine/forward.h"
#include "tests/engine/wide.h"

static const char *backend = "ref";

static void sizes_are_sums_over_layers(void **state)
{
    (void)state;
    wf_arch arch;
    rig r;
    wide_rig_create(backend, NULL, 1, &arch, &r);
    const wf_numerics num = wf_numerics_of(WF_F32);
    const int64_t heads = arch.layer[0].n_kv_heads + arch.layer[1].n_kv_heads;
    const int64_t numbers = 2 * heads * arch.head_dim; // K and V of a token
    rig_destroy(&r);
    assert_int_equal(wf_forward_page_bytes(&arch, 1, 16, WF_F32), numbers * 16 * 4);
    assert_int_equal(wf_forward_page_bytes(&arch, 4, 16, WF_BF16), numbers / 4 * 16 * 2);
    for (int32_t tp = 1; tp <= 4; tp *= 2) {
        wf_arch_memory memory;
        wide_rig_create(backend, NULL, tp, &arch, &r);
        wf_arch_bytes(&arch, &num, tp, 0, &memory);
        assert_int_equal(r.model->report.weight_bytes, memory.weight_bytes);
        assert_int_equal(memory.kv_bytes_per_token, numbers / tp * 4);
        assert_int_equal(r.model->layers[1].share.n_heads, wide_layer.n_heads / tp);
        rig_destroy(&r);
    }
    arch.layer[1].ffn = 6; // of the golden's 96 and these, 2 is the most
    assert_int_equal(wf_arch_check_tp(&arch, 4), WF_CONFIG);
    assert_contains(wf_error(), "FFN size 6; sizes that do: 1, 2");
}

static void assert_answers(const golden_case *c, const rig_output *got)
{
    double max = -INFINITY, sum = 0.0;
    for (int32_t k = 0; k < c->n_greedy; k++)
        assert_int_equal(got->token[k], c->greedy[k]);
    for (int32_t i = 0; i < c->n_logits; i++)
        max = fmax(max, c->logits[i]);
    for (int32_t i = 0; i < c->n_logits; i++)
        sum += exp(c->logits[i] - max);
    for (uint32_t k = 0; k < got->n_top && c->n_logits > 0; k++) {
        double want = c->logits[got->top_id[k]] - max - log(sum);
        assert_true(fabs(want - (double)got->top_logprob[k]) < 2e-3);
    }
}

static void tokens_are_those_of_the_golden(void **state)
{
    (void)state;
    static const wf_reorder reorders[] = {WF_REORDER_INDEX, WF_REORDER_COPY};
    static const wf_capture captures[] = {WF_CAPTURE_OFF, WF_CAPTURE_PAD_ONLY};
    static rig_output outputs[16];
    wf_arch arch;
    golden g;
    rig r;
    rig_request requests[16];
    wf_sampling sampling = wf_sampling_default();
    sampling.ignore_eos = true;
    sampling.logprobs = 4;
    wide_rig_create(backend, NULL, 1, &arch, &r);
    golden_load(WIDE_GOLDEN, &g);
    for (int32_t i = 0; i < g.n_cases; i++)
        requests[i] = (rig_request){.prompt = g.cases[i].prompt,
                                    .n_prompt = (uint32_t)g.cases[i].n_prompt,
                                    .max_new = (uint32_t)g.cases[i].n_greedy,
                                    .sampling = &sampling,
                                    .at_step = i};
    for (size_t way = 0; way < N_ROWS(reorders) * N_ROWS(captures); way++) {
        rig_totals totals;
        wf_engine_config c = rig_config();
        c.max_rows = 3;
        c.max_context = 160;
        c.reorder = reorders[way / 2];
        c.capture = captures[way % 2];
        rig_run(&r, &c, requests, g.n_cases, outputs, &totals);
        assert_true(c.reorder != WF_REORDER_COPY || totals.n_moved > 0);
        for (int32_t i = 0; i < g.n_cases; i++)
            assert_answers(&g.cases[i], &outputs[i]);
    }
    golden_free(&g);
    rig_destroy(&r);
}

static const wf_backend_ops *real_ops;
static int n_wide; // products with the wide layer's down

static wf_status counted_gemm(wf_backend *be, wf_stream *s, const wf_gemm_args *a)
{
    n_wide += a->w->n_cols == wide_layer.ffn;
    return real_ops->gemm(be, s, a);
}

// What is captured later has run before, in every layer's shapes.
static void warming_up_meets_every_shape(void **state)
{
    (void)state;
    static wf_backend_ops counting;
    wf_arch arch;
    rig r;
    wf_engine *e;
    wf_engine_config c = rig_config();
    wf_sampling typical = wf_sampling_default();
    wide_rig_create(backend, NULL, 1, &arch, &r);
    real_ops = r.be->ops;
    counting = *real_ops;
    counting.gemm = counted_gemm;
    r.be->ops = &counting;
    c.capture = WF_CAPTURE_PAD_ONLY;
    c.max_context = 160;
    assert_ok(wf_engine_create(r.be, r.model, r.comm, &c, &e));
    assert_ok(wf_engine_warm_up(e, &typical));
    assert_true(n_wide > 0);
    wf_engine_destroy(e);
    r.be->ops = real_ops;
    rig_destroy(&r);
}

int main(int argc, char **argv)
{
    if (argc > 1) backend = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_sums_over_layers),
        cmocka_unit_test(warming_up_meets_every_shape),
        cmocka_unit_test(tokens_are_those_of_the_golden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
