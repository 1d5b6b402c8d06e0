// Biases, allowed tokens and bad words in the engine, held against their definitions: token by
// token, whatever the way of running.
//
//   test_wishes BACKEND
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/engine/rig.h"

static const char *backend = "ref";

enum { N = 9, LENGTH = 30 };

// Requests that all begin with the same prompt. What the model alone would say is plain[].
typedef struct fixture {
    golden g;
    rig r;
    rig_request requests[N];
    wf_sampling sampling[N];
    int32_t plain[LENGTH];
    int32_t words[N][64];
    float bias[N][4];
} fixture;

static wf_engine_config config_of(bool wishes)
{
    wf_engine_config c = rig_config();
    c.row_wishes = wishes ? 80 : 0;
    return c;
}

static void set_up(fixture *x)
{
    static rig_output out[1];
    memset(x, 0, sizeof *x);
    golden_load("llama-gqa", &x->g);
    rig_create(backend, "llama-gqa", NULL, &x->r);
    for (int i = 0; i < N; i++) {
        x->sampling[i] = wf_sampling_default();
        x->sampling[i].ignore_eos = true;
        x->sampling[i].logprobs = 4;
        x->requests[i] = (rig_request){.prompt = x->g.cases[0].prompt,
                                       .n_prompt = (uint32_t)x->g.cases[0].n_prompt,
                                       .max_new = LENGTH,
                                       .sampling = &x->sampling[i],
                                       .at_step = i};
    }
    wf_engine_config c = config_of(false);
    rig_run(&x->r, &c, x->requests, 1, out, NULL);
    memcpy(x->plain, out[0].token, sizeof x->plain);
}

static void tear_down(fixture *x)
{
    rig_destroy(&x->r);
    golden_free(&x->g);
}

static void must_not_follow(fixture *x, int i, int from, int n)
{
    uint32_t *count = &x->requests[i].wishes.n_bad_words;
    memcpy(x->words[i] + *count, x->plain + from, (size_t)n * 4);
    x->words[i][*count + (uint32_t)n] = -1;
    *count += (uint32_t)n + 1;
    x->requests[i].wishes.bad_words = x->words[i];
}

static void may_only(fixture *x, int i, int32_t first, int32_t step, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++)
        x->words[i][32 + k] = first + step * (int32_t)k;
    x->requests[i].wishes.allowed = x->words[i] + 32;
    x->requests[i].wishes.n_allowed = n;
}

static void weigh(fixture *x, int i, uint32_t k, int32_t id, float bias)
{
    x->words[i][56 + k] = id;
    x->bias[i][k] = bias;
    x->requests[i].wishes.bias_id = x->words[i] + 56;
    x->requests[i].wishes.bias = x->bias[i];
    x->requests[i].wishes.n_bias = k + 1;
}

// 0 wishes nothing; 8 draws, and so does 5.
static void wish(fixture *x)
{
    must_not_follow(x, 1, 3, 1);
    must_not_follow(x, 2, 3, 2);
    must_not_follow(x, 2, 9, 3);
    must_not_follow(x, 2, 0, 4);
    may_only(x, 3, 5, 17, 8);
    weigh(x, 4, 0, 7, 100.0f);
    may_only(x, 5, 1, 3, 20);
    must_not_follow(x, 5, 0, 1);
    weigh(x, 5, 0, 13, -3.0f);
    weigh(x, 5, 1, 16, 2.0f);
    x->sampling[5].temperature = x->sampling[8].temperature = 1.0f;
    weigh(x, 6, 0, x->plain[0], -100.0f);
    must_not_follow(x, 7, 1, 2);
    may_only(x, 7, 0, 1, 24);
    must_not_follow(x, 8, 0, 2);
    weigh(x, 8, 0, x->plain[1], 4.0f);
}

static bool is_allowed(const wf_wishes *w, int32_t token)
{
    for (uint32_t k = 0; k < w->n_allowed; k++)
        if (w->allowed[k] == token) return true;
    return w->n_allowed == 0;
}

static void assert_granted(const wf_wishes *w, const rig_output *out, const char *what)
{
    for (uint32_t i = 0; i < out->n_tokens; i++)
        if (!is_allowed(w, out->token[i]))
            fail_msg("%s: token %u is %d, which is not allowed", what, i, out->token[i]);
    for (uint32_t at = 0, end; at < w->n_bad_words; at = end + 1) {
        for (end = at; w->bad_words[end] >= 0;)
            end++;
        for (uint32_t i = 0; i + (end - at) <= out->n_tokens; i++)
            if (memcmp(out->token + i, w->bad_words + at, (end - at) * 4) == 0)
                fail_msg("%s: bad word at token %u", what, i);
    }
}

// The answers that follow from the model's own.
static void assert_known(const fixture *x, const rig_output *out)
{
    assert_memory_equal(out[0].token, x->plain, sizeof x->plain);
    assert_memory_equal(out[1].token, x->plain, 3 * 4);
    assert_int_not_equal(out[1].token[3], x->plain[3]);
    assert_memory_equal(out[2].token, x->plain, 3 * 4); // the fourth ends a bad word
    assert_int_not_equal(out[2].token[3], x->plain[3]);
    for (int i = 0; i < LENGTH; i++)
        assert_int_equal(out[4].token[i], 7);
    assert_int_not_equal(out[6].token[0], x->plain[0]);
    for (int i = 0; i < N; i++) { // raw log-probabilities know of no wishes
        assert_memory_equal(out[i].top_id, out[0].top_id, 4 * 4);
        for (int k = 0; k < 4; k++)
            assert_true(fabsf(out[i].top_logprob[k] - out[0].top_logprob[k]) < 1e-4f);
    }
}

static void wishes_are_granted_in_every_way_of_running(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int32_t rows, step_tokens, page_tokens, ahead;
        wf_reorder reorder;
        wf_capture capture;
        uint64_t kv_kib;
    } ways[] = {
        {"as it is", 16, 32, 16, 0, WF_REORDER_INDEX, WF_CAPTURE_OFF, 8192},
        {"one ahead", 16, 32, 16, 1, WF_REORDER_INDEX, WF_CAPTURE_OFF, 8192},
        {"padded", 16, 32, 16, 1, WF_REORDER_INDEX, WF_CAPTURE_PAD_ONLY, 8192},
        {"captured", 16, 32, 16, 1, WF_REORDER_INDEX, WF_CAPTURE_AUTO, 8192},
        {"few rows, copied", 3, 16, 16, 1, WF_REORDER_COPY, WF_CAPTURE_OFF, 8192},
        {"never reordered", 4, 16, 16, 1, WF_REORDER_OFF, WF_CAPTURE_OFF, 8192},
        {"put back", 8, 32, 8, 1, WF_REORDER_INDEX, WF_CAPTURE_OFF, 64},
    };
    static rig_output first[N], out[N];
    static fixture x;
    set_up(&x);
    wish(&x);
    for (size_t k = 0; k < sizeof ways / sizeof *ways; k++) {
        rig_totals t;
        wf_engine_config c = config_of(true);
        c.max_rows = ways[k].rows;
        c.step_tokens = ways[k].step_tokens;
        c.page_tokens = ways[k].page_tokens;
        c.steps_ahead = ways[k].ahead;
        c.reorder = ways[k].reorder;
        c.capture = ways[k].capture;
        c.kv_bytes = ways[k].kv_kib << 10;
        c.max_context = 160;
        rig_run(&x.r, &c, x.requests, N, out, &t);
        if (strcmp(ways[k].name, "put back") == 0) assert_true(t.n_put_back > 0);
        if (k == 0) memcpy(first, out, sizeof first);
        assert_known(&x, out);
        for (int i = 0; i < N; i++) {
            assert_granted(&x.requests[i].wishes, &out[i], ways[k].name);
            assert_int_equal(out[i].n_tokens, LENGTH);
            if (memcmp(out[i].token, first[i].token, sizeof x.plain) != 0)
                fail_msg("%s: the tokens of request %d differ", ways[k].name, i);
        }
    }
    tear_down(&x);
}

// Draws follow the softmax of what is left: logits plus biases over the allowed tokens.
static void draws_follow_the_biased_logits(void **state)
{
    (void)state;
    enum { DRAWS = 2000, ALLOWED = 4 };
    static rig_output out[DRAWS];
    static rig_request requests[DRAWS];
    static fixture x;
    const golden_case *c;
    set_up(&x);
    c = &x.g.cases[0];
    assert_non_null(c->logits);
    may_only(&x, 0, 3, 11, ALLOWED);
    weigh(&x, 0, 0, 14, 1.5f);
    weigh(&x, 0, 1, 25, -0.5f);
    x.sampling[0].temperature = 1.0f;
    for (int i = 0; i < DRAWS; i++) {
        requests[i] = x.requests[0];
        requests[i].max_new = 1;
        requests[i].at_step = 0;
    }
    wf_engine_config config = config_of(true);
    config.max_rows = config.step_tokens = 64;
    rig_run(&x.r, &config, requests, DRAWS, out, NULL);
    double p[ALLOWED], sum = 0;
    for (int k = 0; k < ALLOWED; k++)
        sum += p[k] = exp(c->logits[3 + 11 * k] + (k == 1 ? 1.5 : k == 2 ? -0.5 : 0.0));
    for (int k = 0; k < ALLOWED; k++) {
        int n = 0;
        for (int i = 0; i < DRAWS; i++)
            n += out[i].token[0] == 3 + 11 * k;
        double want = p[k] / sum, sigma = sqrt(want * (1 - want) / DRAWS);
        if (fabs(n / (double)DRAWS - want) > 5 * sigma + 1e-9)
            fail_msg("token %d: drawn %d of %d times, expected %.3f of them", 3 + 11 * k, n, DRAWS,
                     want);
    }
    tear_down(&x);
}

static void what_an_engine_has_no_room_for_is_refused(void **state)
{
    (void)state;
    static fixture x;
    wf_engine *e;
    set_up(&x);
    wish(&x);
    wf_engine_config c = config_of(true);
    c.row_wishes = 10;
    assert_int_equal(wf_engine_create(x.r.be, x.r.model, x.r.comm, &c, &e), WF_OK);
    for (int i = 1; i < 6; i++) {
        wf_engine_input in = {.n_prompt = 2,
                              .max_new_tokens = 2,
                              .prompt = x.plain,
                              .sampling = &x.sampling[0],
                              .wishes = x.requests[i].wishes};
        wf_status want = i == 2 || i == 5 ? WF_REQ_SAMPLING : WF_OK;
        assert_int_equal(wf_engine_submit(e, &in), want);
    }
    wf_engine_destroy(e);
    c.max_rows = c.step_tokens = 4096;
    c.row_wishes = 1 << 20;
    assert_int_equal(wf_engine_create(x.r.be, x.r.model, x.r.comm, &c, &e), WF_CONFIG);
    assert_non_null(strstr(wf_error(), "lower max_rows"));
    tear_down(&x);
}

int main(int argc, char **argv)
{
    if (argc > 1) backend = argv[1];
    int absent = rig_absent(backend);
    if (absent >= 0) return absent;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wishes_are_granted_in_every_way_of_running),
        cmocka_unit_test(draws_follow_the_biased_logits),
        cmocka_unit_test(what_an_engine_has_no_room_for_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
