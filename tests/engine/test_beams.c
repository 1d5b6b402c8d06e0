// Beam search: tokens and scores of transformers, whatever shares the batch, how memory is cut, and
// how often a search is put back. test_beams BACKEND
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/forward.h"
#include "tests/engine/beam_rig.h"

static const char *backend = "ref";
static const char *const models[] = {"llama-mini", "qwen2-mini", "mixtral-mini"};
static beam_case cases[BEAM_CASES];
static beam_text texts[BEAM_CASES][BEAM_TEXTS], again[BEAM_CASES][BEAM_TEXTS];

static void expect(const beam_case *c, int n)
{
    for (int i = 0; i < n; i++)
        beam_case_assert(&c[i], texts[i], 2e-4f);
}

static void texts_and_scores_are_those_of_transformers(void **state)
{
    (void)state;
    for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
        rig r;
        wf_engine_config c = beam_config();
        int n = beam_cases_load(models[m], cases);
        assert_true(n >= 8);
        rig_create(backend, models[m], NULL, &r);
        for (int i = 0; i < n; i++) // alone
            beam_cases_run(&r, &c, &cases[i], 1, 0, &texts[i]);
        expect(cases, n);
        beam_cases_run(&r, &c, cases, n, 0, texts); // together
        expect(cases, n);
        rig_destroy(&r);
    }
}

// Scores are sums of log-probabilities over a power of the length.
static void scores_are_made_of_log_probabilities(void **state)
{
    (void)state;
    rig r;
    wf_engine_config c = beam_config();
    int n = beam_cases_load("llama-mini", cases);
    rig_create(backend, "llama-mini", NULL, &r);
    beam_cases_run(&r, &c, cases, n, 1, texts);
    for (int i = 0; i < n; i++)
        for (int32_t k = 0; k < cases[i].n_texts; k++) {
            const beam_text *t = &texts[i][k];
            double sum = 0;
            for (int32_t j = 0; j < t->n_tokens; j++)
                sum += (double)t->logprob[j];
            double by = pow(t->n_tokens, (double)cases[i].sampling.length_penalty);
            assert_true(fabs(sum / by - (double)t->score) < 1e-4);
        }
    rig_destroy(&r);
}

// Pages of every size, whole and in the middle, other rows, planned ahead, shared prompts.
static void nothing_else_changes_a_bit(void **state)
{
    (void)state;
    rig r;
    int n = beam_cases_load("llama-mini", cases);
    rig_create(backend, "llama-mini", NULL, &r);
    for (int how = 0; how < 10; how++) {
        wf_engine_config c = beam_config();
        const int32_t pages[] = {16, 1, 3, 8, 64};
        c.page_tokens = pages[how % 5];
        c.prefix_cache = how & 1 ? WF_PREFIX_ON : WF_PREFIX_OFF;
        c.steps_ahead = how & 2 ? 1 : 0;
        if (how & 2) c.capture = WF_CAPTURE_PAD_ONLY;
        if (how >= 5) c.max_rows = 8;
        if (how >= 5) c.fusion = how & 1 ? WF_FUSION_STATIC : WF_FUSION_WINDOW;
        beam_cases_run(&r, &c, cases, n, how % 3, how == 0 ? again : texts);
        if (how == 0) memcpy(texts, again, sizeof texts);
        expect(cases, n);
        for (int i = 0; i < n && strcmp(backend, "cuda") != 0; i++)
            for (int32_t k = 0; k < cases[i].n_texts; k++)
                assert_memory_equal(&texts[i][k].score, &again[i][k].score, sizeof(float));
    }
    rig_destroy(&r);
}

static void a_search_that_is_put_back_begins_anew(void **state)
{
    (void)state;
    rig r;
    int64_t n_put_back = 0;
    int n = beam_cases_load("llama-mini", cases);
    rig_create(backend, "llama-mini", NULL, &r);
    for (int how = 0; how < 6; how++) {
        wf_engine_config c = beam_config();
        c.page_tokens = how & 1 ? 4 : 3;
        c.steps_ahead = how & 2 ? 1 : 0;
        // Room for one search or two, not for all that have rows.
        int64_t page = (int64_t)wf_forward_page_bytes(&r.model->arch, 1, c.page_tokens, WF_F32);
        c.kv_bytes = (uint64_t)(page * (how < 3 ? 50 : 70));
        n_put_back += beam_cases_run(&r, &c, cases, n, 2, texts);
        expect(cases, n);
    }
    assert_true(n_put_back > 0);
    rig_destroy(&r);
}

static bool all_over(void *context, const wf_engine_flight *f)
{
    int *n = context;
    (void)f;
    ++*n;
    return true;
}

static wf_engine_input input_of(const beam_case *c, const wf_sampling *sampling)
{
    return (wf_engine_input){.n_prompt = (uint32_t)c->n_prompt,
                             .max_new_tokens = c->max_new,
                             .prompt = c->prompt,
                             .n_stop = (uint32_t)c->n_eos,
                             .stop = c->eos,
                             .sampling = sampling};
}

static void a_search_can_be_let_go(void **state)
{
    (void)state;
    rig r;
    int n = beam_cases_load("llama-mini", cases), n_asked = 0;
    rig_create(backend, "llama-mini", NULL, &r);
    for (int after = 0; after < 8; after++) {
        wf_engine *e = NULL;
        wf_engine_config c = beam_config();
        c.steps_ahead = after & 1;
        assert_int_equal(wf_engine_create(r.be, r.model, r.comm, &c, &e), WF_OK);
        for (int i = 0; i < n; i++) {
            wf_engine_input in = input_of(&cases[i], &cases[i].sampling);
            in.max_new_tokens = 20;
            assert_int_equal(wf_engine_submit(e, &in), WF_OK);
        }
        wf_step_record record;
        bool recorded, ran = true;
        for (int i = 0; i < after; i++)
            assert_int_equal(wf_engine_step(e, true, &record, &recorded, &ran), WF_OK);
        wf_engine_let_go(e, all_over, &n_asked);
        for (int i = 0; i < 100 && (ran || recorded); i++)
            assert_int_equal(wf_engine_step(e, true, &record, &recorded, &ran), WF_OK);
        assert_int_equal(wf_engine_get_load(e).n_rows, 0);
        assert_int_equal(wf_engine_get_load(e).kv_pages, 0);
        wf_engine_destroy(e);
    }
    assert_int_equal(n_asked, 8 * n);
    rig_destroy(&r);
}

#define REFUSED(change, words)                                                                     \
    do {                                                                                           \
        wf_sampling p = cases[0].sampling;                                                         \
        p.change;                                                                                  \
        wf_engine_input in = input_of(&cases[0], &p);                                              \
        assert_int_equal(wf_engine_submit(e, &in), WF_REQ_SAMPLING);                               \
        if (!strstr(wf_error(), words)) fail_msg("%s", wf_error());                                \
    } while (0)

static void what_a_search_cannot_have_is_refused_by_name(void **state)
{
    (void)state;
    rig r;
    wf_engine *e = NULL;
    wf_engine_config c = beam_config();
    beam_cases_load("llama-mini", cases);
    rig_create(backend, "llama-mini", NULL, &r);
    assert_int_equal(wf_engine_create(r.be, r.model, r.comm, &c, &e), WF_OK);
    REFUSED(temperature = 0.5f, "temperature");
    REFUSED(repetition_penalty = 1.1f, "penalties");
    REFUSED(min_tokens = 2, "min_tokens");
    REFUSED(best_of = 8, "best_of");
    REFUSED(logprobs = 3, "logprobs");
    REFUSED(n = 3, "fewer beams than the 3 outputs");
    REFUSED(beam_width = 25, "engine.max_rows is 24");
    REFUSED(beam_width = 9, "at most 8 beams");
    wf_engine_input in = input_of(&cases[0], &cases[0].sampling);
    in.max_new_tokens = 200000;
    in.n_prompt = 60;
    c.kv_bytes = 40u << 10;
    wf_engine_destroy(e);
    assert_int_equal(wf_engine_create(r.be, r.model, r.comm, &c, &e), WF_OK);
    assert_int_equal(wf_engine_submit(e, &in), WF_REQ_MEMORY);
    wf_engine_destroy(e);
    c = beam_config();
    c.reorder = WF_REORDER_COPY;
    assert_int_equal(wf_engine_create(r.be, r.model, r.comm, &c, &e), WF_CONFIG);
    rig_destroy(&r);
    rig_create(backend, "mistral-window", NULL, &r);
    c = beam_config();
    assert_int_equal(wf_engine_create(r.be, r.model, r.comm, &c, &e), WF_CONFIG);
    assert_non_null(strstr(wf_error(), "window"));
    rig_destroy(&r);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_and_scores_are_those_of_transformers),
        cmocka_unit_test(scores_are_made_of_log_probabilities),
        cmocka_unit_test(nothing_else_changes_a_bit),
        cmocka_unit_test(a_search_that_is_put_back_begins_anew),
        cmocka_unit_test(a_search_can_be_let_go),
        cmocka_unit_test(what_a_search_cannot_have_is_refused_by_name),
    };
    if (argc > 1) backend = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
