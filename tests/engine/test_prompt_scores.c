// Log-probabilities of prompt tokens: what a model thinks of a text that it wrote itself is what it
// thought as it wrote it, bit for bit, however steps, chunks and company are.
//
//   test_prompt_scores BACKEND
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/forward.h"
#include "tests/engine/rig.h"

static const char *backend = "ref";

enum { TOP = 3, LENGTH = 40 };

typedef struct fixture {
    golden g;
    rig r;
    int32_t text[256]; // the prompt and what the model adds
    uint32_t n_prompt, n;
    rig_output written;
} fixture;

static wf_sampling scoring(int32_t top)
{
    wf_sampling s = wf_sampling_default();
    s.ignore_eos = true;
    s.prompt_logprobs = top;
    return s;
}

static wf_engine_config config_of(int32_t step_tokens, int32_t max_rows, wf_capture capture)
{
    wf_engine_config c = rig_config();
    c.prompt_probs = 1 + TOP;
    c.step_tokens = step_tokens;
    c.max_rows = max_rows;
    c.capture = capture;
    return c;
}

static void set_up(const char *name, fixture *x)
{
    wf_sampling sampling = wf_sampling_default();
    wf_engine_config c = rig_config();
    memset(x, 0, sizeof *x);
    sampling.ignore_eos = true;
    sampling.logprobs = TOP;
    golden_load(name, &x->g);
    rig_create(backend, name, NULL, &x->r);
    const golden_case *from = &x->g.cases[2];
    const rig_request request = {.prompt = from->prompt,
                                 .n_prompt = (uint32_t)from->n_prompt,
                                 .max_new = LENGTH,
                                 .sampling = &sampling};
    rig_run(&x->r, &c, &request, 1, &x->written, NULL);
    x->n_prompt = (uint32_t)from->n_prompt;
    x->n = x->n_prompt + LENGTH;
    memcpy(x->text, from->prompt, x->n_prompt * sizeof *x->text);
    memcpy(x->text + x->n_prompt, x->written.token, LENGTH * sizeof *x->text);
}

static void tear_down(fixture *x)
{
    golden_free(&x->g);
    rig_destroy(&x->r);
}

// How far apart the same score may be in two ways of running: not at all, but on a GPU, whose sums
// depend on the rows beside.
static float apart(void)
{
    return strcmp(backend, "cuda") == 0 ? 2e-3f : 0.0f;
}

static bool same(const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (isnan(a[i]) != isnan(b[i]) || fabsf(a[i] - b[i]) > apart()) return false;
    return true;
}

static void assert_as_written(const fixture *x, const rig_output *out)
{
    assert_int_equal(out->n_prompt_scored, x->n);
    assert_int_equal(out->n_prompt_top, TOP);
    assert_true(isnan(out->prompt_logprob[0]));
    for (int k = 0; k < TOP; k++) {
        assert_int_equal(out->prompt_top_id[0][k], -1);
        assert_true(isnan(out->prompt_top_logprob[0][k]));
        assert_int_equal(out->prompt_top_id[x->n_prompt][k], x->written.top_id[k]);
    }
    assert_true(same(out->prompt_top_logprob[x->n_prompt], x->written.top_logprob, TOP));
    for (uint32_t i = 0; i < LENGTH; i++) {
        float is = out->prompt_logprob[x->n_prompt + i], was = x->written.logprob[i];
        if (!same(&is, &was, 1)) fail_msg("token %u: %.9g, not %.9g", i, (double)is, (double)was);
    }
    for (uint32_t i = 1; i < x->n; i++) // what is the most probable is no less so than the token
        assert_true(out->prompt_top_logprob[i][0] >= out->prompt_logprob[i] - apart() &&
                    out->prompt_logprob[i] <= 0.0f);
}

static bool same_scores(const fixture *x, const rig_output *a, const rig_output *b)
{
    size_t n = x->n;
    return a->n_prompt_scored == b->n_prompt_scored &&
           same(a->prompt_logprob, b->prompt_logprob, n) &&
           (apart() > 0.0f ||
            memcmp(a->prompt_top_id, b->prompt_top_id, n * sizeof a->prompt_top_id[0]) == 0) &&
           same(a->prompt_top_logprob[0], b->prompt_top_logprob[0],
                n * (sizeof a->prompt_top_logprob[0] / sizeof(float)));
}

// Alone, then in company: a request that bends its logits, one that is scored without best ones,
// one that is not scored and whose pages would be there to share.
static void check_model(const char *name)
{
    static fixture x;
    static rig_output alone, out[4];
    wf_sampling scored = scoring(TOP), plain = scoring(-1), few = scoring(0), bent = scoring(-1);
    const wf_engine_config ways[] = {config_of(32, 8, WF_CAPTURE_OFF),
                                     config_of(7, 4, WF_CAPTURE_OFF),
                                     config_of(256, 5, WF_CAPTURE_PAD_ONLY)};
    set_up(name, &x);
    bent.repetition_penalty = 1.5f;
    const rig_request all[] = {
        {.prompt = x.text, .n_prompt = x.n, .max_new = 3, .sampling = &plain},
        {.prompt = x.text, .n_prompt = x.n, .max_new = 2, .sampling = &bent},
        {.prompt = x.text, .n_prompt = x.n, .max_new = 2, .sampling = &few},
        {.prompt = x.text, .n_prompt = x.n, .max_new = 2, .sampling = &scored, .at_step = 3}};
    rig_run(&x.r, &ways[0], &all[3], 1, &alone, NULL);
    assert_as_written(&x, &alone);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        rig_run(&x.r, &ways[i], all, 4, out, NULL);
        if (!same_scores(&x, &alone, &out[3])) fail_msg("%s: way %zu: other scores", name, i);
        assert_int_equal(out[0].n_prompt_scored, 0);
        assert_int_equal(out[2].n_prompt_scored, x.n);
        assert_int_equal(out[2].n_prompt_top, 0);
        assert_true(same(out[2].prompt_logprob, alone.prompt_logprob, x.n));
        assert_int_equal(out[3].n_cached, 0); // all of it was computed
    }
    tear_down(&x);
}

static void scores_are_those_of_writing(void **state)
{
    (void)state;
    static const char *const models[] = {"llama-gqa", "mistral-window", "gemma2-mini",
                                         "qwen3-moe-mini", "bloom-mini"};
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        check_model(models[i]);
}

// Rows that are put back for lack of memory compute their prompts anew.
static void scores_outlast_a_put_back(void **state)
{
    (void)state;
    static fixture x;
    static rig_output alone, out[6];
    rig_totals totals;
    rig_request requests[6];
    wf_sampling scored = scoring(TOP);
    wf_engine_config c = config_of(64, 8, WF_CAPTURE_OFF);
    set_up("llama-gqa", &x);
    for (int i = 0; i < 6; i++)
        requests[i] =
            (rig_request){.prompt = x.text, .n_prompt = x.n, .max_new = 30, .sampling = &scored};
    rig_run(&x.r, &c, requests, 1, &alone, NULL);
    assert_as_written(&x, &alone);
    c.kv_bytes = 18 * wf_forward_page_bytes(&x.r.model->arch, 1, c.page_tokens, WF_F32);
    rig_run(&x.r, &c, requests, 6, out, &totals);
    assert_true(totals.n_put_back > 0);
    for (int i = 0; i < 6; i++)
        assert_true(same_scores(&x, &alone, &out[i]));
    tear_down(&x);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    static fixture x;
    wf_sampling s = scoring(TOP + 1);
    wf_engine_config c = config_of(32, 8, WF_CAPTURE_OFF);
    set_up("llama-gqa", &x);
    assert_int_equal(wf_engine_check_sampling(&c, &x.r.model->arch, &s), WF_REQ_SAMPLING);
    assert_non_null(strstr(wf_error(), "prompt_logprobs 4: this engine keeps at most 3"));
    s = scoring(0);
    s.beam_width = 2;
    assert_int_equal(wf_engine_check_sampling(&c, &x.r.model->arch, &s), WF_REQ_SAMPLING);
    assert_non_null(strstr(wf_error(), "prompt_logprobs: not with beam_width 2"));
    tear_down(&x);
}

int main(int argc, char **argv)
{
    if (argc > 1) backend = argv[1];
    int absent = rig_absent(backend);
    if (absent >= 0) return absent;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_are_those_of_writing),
        cmocka_unit_test(scores_outlast_a_put_back),
        cmocka_unit_test(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
