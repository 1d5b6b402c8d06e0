// The engine on golden models: tokens and log-probabilities of Hugging Face transformers, and the
// same tokens whoever shares the batch, however rows are reordered, whatever the fusion.
//
//   test_engine BACKEND
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/kv.h"
#include "tests/engine/rig.h"

static const char *backend = "ref";

// Logits agree within this on f32; weights are those of the fixture, sums differ in order only.
#define TOLERANCE 2e-3

static int from_golden(const golden *g, rig_request *requests, int32_t at_step_stride)
{
    for (int32_t i = 0; i < g->n_cases; i++)
        requests[i] = (rig_request){.prompt = g->cases[i].prompt,
                                    .n_prompt = (uint32_t)g->cases[i].n_prompt,
                                    .max_new = (uint32_t)g->cases[i].n_greedy,
                                    .at_step = i * at_step_stride};
    return g->n_cases;
}

static void assert_tokens(const rig_output *got, const int32_t *want, uint32_t n, const char *what)
{
    if (got->n_tokens != n) fail_msg("%s: %u tokens, expected %u", what, got->n_tokens, n);
    for (uint32_t i = 0; i < n; i++)
        if (got->token[i] != want[i])
            fail_msg("%s: token %u is %d, expected %d", what, i, got->token[i], want[i]);
}

static void assert_logits(const golden_case *c, const rig_output *got, const char *what)
{
    double max = -INFINITY, sum = 0.0;
    for (int32_t i = 0; i < c->n_logits; i++)
        if (c->logits[i] > max) max = c->logits[i];
    for (int32_t i = 0; i < c->n_logits; i++)
        sum += exp(c->logits[i] - max);
    for (uint32_t k = 0; k < got->n_top; k++) {
        double want = c->logits[got->top_id[k]] - max - log(sum);
        if (fabs(want - (double)got->top_logprob[k]) > TOLERANCE)
            fail_msg("%s: log-probability of token %d is %f, expected %f", what, got->top_id[k],
                     (double)got->top_logprob[k], want);
    }
}

static void greedy_tokens_and_logits_are_those_of_transformers(void **state)
{
    (void)state;
    for (size_t m = 0; m < rig_n_goldens; m++) {
        golden g;
        rig r;
        rig_request requests[16];
        rig_output outputs[16];
        wf_sampling sampling = wf_sampling_default();
        wf_engine_config c = rig_config();
        golden_load(rig_goldens[m].name, &g);
        rig_create(backend, rig_goldens[m].name, NULL, &r);
        int n = from_golden(&g, requests, 2);
        sampling.ignore_eos = true;
        sampling.logprobs = c.n_top = 20;
        for (int i = 0; i < n; i++)
            requests[i].sampling = &sampling;
        rig_run(&r, &c, requests, n, outputs, NULL);
        for (int i = 0; i < n; i++) {
            char what[128];
            snprintf(what, sizeof what, "%s, case %d", rig_goldens[m].name, i);
            assert_tokens(&outputs[i], g.cases[i].greedy, requests[i].max_new, what);
            assert_int_equal(outputs[i].n_top, 20);
            if (g.cases[i].logits) assert_logits(&g.cases[i], &outputs[i], what);
        }
        rig_destroy(&r);
        golden_free(&g);
    }
}

// ---- KV memory in a format of its own -----------------------------------------------------------

#define KV_TOLERANCE   5e-2f // of log-probabilities: K and V keep 8 bits of their numbers
#define INT8_TOLERANCE 1e-1f // 7 bits below the greatest of a head
#define FP8_TOLERANCE  5e-1f // 4 bits
#define HEAD_DIM       8     // of llama-gqa

static int32_t pages_of(rig *r, uint64_t kv_bytes)
{
    wf_engine *e;
    wf_engine_load load;
    wf_engine_config c = rig_config();
    c.kv_bytes = kv_bytes;
    assert_int_equal(wf_engine_create(r->be, r->model, r->comm, &c, &e), WF_OK);
    load = wf_engine_get_load(e);
    wf_engine_destroy(e);
    return load.kv_pages_total;
}

// The first tokens' log-probabilities with KV in `kv`.
static void first_logprobs(const golden *g, wf_dtype kv, rig_output *outputs, int32_t *out_pages)
{
    rig r;
    rig_request requests[16];
    wf_sampling sampling = wf_sampling_default();
    wf_engine_config c = rig_config();
    sampling.ignore_eos = true;
    sampling.logprobs = c.n_top = 20;
    rig_create_kv(backend, g->name, WF_F32, kv, &r);
    int n = from_golden(g, requests, 2);
    for (int i = 0; i < n; i++) {
        requests[i].sampling = &sampling;
        requests[i].max_new = 1;
    }
    rig_run(&r, &c, requests, n, outputs, NULL);
    *out_pages = pages_of(&r, 8u << 20);
    rig_destroy(&r);
}

// What the first token's distribution gives to `token`; NaN: it is not among the most probable.
static float first_top(const rig_output *o, int32_t token)
{
    for (uint32_t i = 0; i < o->n_top; i++)
        if (o->top_id[i] == token) return o->top_logprob[i];
    return NAN;
}

static void kv_has_a_format_of_its_own(void **state)
{
    (void)state;
    static const struct {
        wf_dtype kv;
        float tolerance;
    } rows[] = {{WF_BF16, KV_TOLERANCE},
                {WF_F16, KV_TOLERANCE},
                {WF_FP8, FP8_TOLERANCE},
                {WF_INT8, INT8_TOLERANCE}};
    golden g;
    rig_output plain[16], other[16];
    int32_t plain_pages, other_pages;
    golden_load("llama-gqa", &g);
    first_logprobs(&g, WF_F32, plain, &plain_pages);
    for (size_t f = 0; f < sizeof rows / sizeof *rows; f++) {
        int n_different = 0;
        first_logprobs(&g, rows[f].kv, other, &other_pages);
        assert_int_equal(other_pages, plain_pages * wf_kv_token_bytes(WF_F32, HEAD_DIM) /
                                          wf_kv_token_bytes(rows[f].kv, HEAD_DIM));
        for (int32_t i = 0; i < g.n_cases; i++) {
            float was = plain[i].logprob[0], is = first_top(&other[i], plain[i].token[0]);
            if (!(fabsf(was - is) <= rows[f].tolerance))
                fail_msg("case %d: log-probability %f, with f32 KV %f", i, (double)is, (double)was);
            n_different += was < is || was > is;
        }
        assert_true(n_different > 0); // or KV was f32 all the same
    }
    golden_free(&g);
}

// ---- the same tokens under every way of running -------------------------------------------------

typedef struct mode {
    const char *name;
    wf_reorder reorder;
    wf_fusion fusion;
    int32_t max_rows, step_tokens, page_tokens, steps_ahead;
    uint64_t kv_kib;
} mode;

static const mode modes[] = {
    {"index", WF_REORDER_INDEX, WF_FUSION_TEMPORAL, 8, 32, 16, 0, 8192},
    {"index, one ahead", WF_REORDER_INDEX, WF_FUSION_TEMPORAL, 8, 32, 16, 1, 8192},
    {"copy", WF_REORDER_COPY, WF_FUSION_TEMPORAL, 4, 32, 16, 0, 8192},
    {"copy, one ahead", WF_REORDER_COPY, WF_FUSION_TEMPORAL, 4, 32, 16, 1, 8192},
    {"off", WF_REORDER_OFF, WF_FUSION_TEMPORAL, 8, 32, 16, 0, 8192},
    {"off, one ahead", WF_REORDER_OFF, WF_FUSION_TEMPORAL, 8, 32, 16, 1, 8192},
    {"window", WF_REORDER_INDEX, WF_FUSION_WINDOW, 8, 32, 16, 0, 8192},
    {"instances", WF_REORDER_INDEX, WF_FUSION_INSTANCES, 8, 32, 16, 0, 8192},
    {"instances, one ahead", WF_REORDER_INDEX, WF_FUSION_INSTANCES, 8, 32, 16, 1, 8192},
    {"static", WF_REORDER_OFF, WF_FUSION_STATIC, 4, 32, 16, 0, 8192},
    {"long chunks", WF_REORDER_INDEX, WF_FUSION_TEMPORAL, 16, 512, 64, 0, 8192},
    {"short chunks", WF_REORDER_INDEX, WF_FUSION_TEMPORAL, 3, 5, 7, 1, 8192},
    {"few pages", WF_REORDER_INDEX, WF_FUSION_TEMPORAL, 8, 32, 8, 0, 160},
    {"few pages, one ahead", WF_REORDER_INDEX, WF_FUSION_TEMPORAL, 8, 32, 8, 1, 160},
    {"few pages, off", WF_REORDER_OFF, WF_FUSION_TEMPORAL, 8, 32, 8, 1, 160},
    {"many rows", WF_REORDER_INDEX, WF_FUSION_TEMPORAL, 23, 64, 16, 1, 8192},
};

#define N_MIXED 24

#define N_MODES (sizeof modes / sizeof *modes)

static const wf_capture ways[] = {WF_CAPTURE_OFF, WF_CAPTURE_PAD_ONLY, WF_CAPTURE_AUTO};

// Many requests over the golden prompts: greedy and sampled, with and without penalties, some ended
// by a stop token that solo runs show to come up.
typedef struct mix {
    golden g;
    rig_request requests[N_MIXED];
    wf_sampling sampling[N_MIXED];
    int32_t stop[N_MIXED];
} mix;

static void make_mix(mix *x)
{
    golden_load("llama-gqa", &x->g);
    for (int i = 0; i < N_MIXED; i++) {
        const golden_case *c = &x->g.cases[i % x->g.n_cases];
        wf_sampling *p = &x->sampling[i];
        *p = wf_sampling_default();
        p->ignore_eos = true;
        if (i % 3 == 1) p->temperature = 0.9f, p->top_p = 0.95f, p->top_k = 40;
        if (i % 3 == 2) p->temperature = 1.3f, p->min_p = 0.02f;
        if (i % 4 == 3) p->repetition_penalty = 1.2f, p->frequency_penalty = 0.3f;
        if (i % 5 == 4) p->presence_penalty = 0.5f;
        x->requests[i] =
            (rig_request){.prompt = c->prompt + i % 2,
                          .n_prompt = (uint32_t)(c->n_prompt > 1 ? c->n_prompt - i % 2 : 1),
                          .max_new = 4u + (uint32_t)(i * 7 % 40),
                          .sampling = p,
                          .at_step = i / 3 * 2};
        if (c->n_prompt == 1) x->requests[i].prompt = c->prompt;
    }
}

static void run_solo(rig *r, const mix *x, rig_output *outputs)
{
    for (int i = 0; i < N_MIXED; i++) {
        // The key of a request's random numbers follows its number, so the others come along empty.
        rig_request alone[N_MIXED];
        rig_output all[N_MIXED];
        memcpy(alone, x->requests, sizeof alone);
        for (int k = 0; k < N_MIXED; k++) {
            alone[k].at_step = k < i ? 0 : k == i ? 400 : 800;
            if (k != i) alone[k].max_new = 1, alone[k].n_prompt = 1;
        }
        wf_engine_config c = rig_config();
        rig_run(r, &c, alone, N_MIXED, all, NULL);
        outputs[i] = all[i];
    }
}

static void run_mode(rig *r, const mix *x, const mode *m, wf_capture capture, rig_output *outputs,
                     rig_totals *totals)
{
    wf_engine_config c = rig_config();
    c.reorder = m->reorder;
    c.fusion = m->fusion;
    c.max_rows = m->max_rows;
    c.step_tokens = m->step_tokens;
    c.page_tokens = m->page_tokens;
    c.steps_ahead = m->steps_ahead;
    c.kv_bytes = m->kv_kib << 10;
    c.instances = 3;
    c.max_context = 160;
    c.capture = capture;
    rig_run(r, &c, x->requests, N_MIXED, outputs, totals);
}

static void tokens_do_not_depend_on_the_way_of_running(void **state)
{
    (void)state;
    mix x;
    rig r;
    static rig_output solo[N_MIXED], outputs[N_MIXED];
    make_mix(&x);
    rig_create(backend, "llama-gqa", NULL, &r);
    run_solo(&r, &x, solo);
    for (int i = 0; i < N_MIXED; i += 5) { // some end early: a token of their own stops them
        uint32_t at = solo[i].n_tokens / 2;
        x.stop[i] = solo[i].token[at];
        x.requests[i].stop = &x.stop[i];
        x.requests[i].n_stop = 1;
    }
    run_solo(&r, &x, solo);
    bool captures = r.be->ops->capture_begin != NULL;
    for (size_t k = 0; k < 3 * N_MODES; k++) {
        size_t m = k / 3;
        rig_totals t;
        if (ways[k % 3] == WF_CAPTURE_AUTO && !captures) continue;
        run_mode(&r, &x, &modes[m], ways[k % 3], outputs, &t);
        assert_true((t.n_graphs > 0) == (ways[k % 3] == WF_CAPTURE_AUTO));
        for (int i = 0; i < N_MIXED; i++) {
            char what[128];
            snprintf(what, sizeof what, "%s, capture %d, request %d", modes[m].name,
                     (int)ways[k % 3], i);
            assert_tokens(&outputs[i], solo[i].token, solo[i].n_tokens, what);
            assert_int_equal(outputs[i].finish, solo[i].finish);
        }
        // Each mode must really have done what it is named for.
        if (modes[m].fusion == WF_FUSION_INSTANCES) assert_int_equal(t.most_decode, 1);
        if (modes[m].fusion == WF_FUSION_TEMPORAL && modes[m].max_rows >= 8)
            assert_true(t.most_decode > 2);
        if (modes[m].reorder == WF_REORDER_OFF) assert_true(t.n_discarded > 0 && t.n_moved == 0);
        if (modes[m].reorder == WF_REORDER_COPY) assert_true(t.n_moved > 0);
        if (strncmp(modes[m].name, "few", 3) == 0) assert_true(t.n_put_back > 0);
    }
    rig_destroy(&r);
    golden_free(&x.g);
}

// ---- prompts that begin alike -------------------------------------------------------------------

enum { COMMON = 70, N_COMMON = 20 }; // tokens of the common prompt; four pages and some

// A common prompt, then 0 to 19 tokens of one's own; some drawn, one with penalties.
typedef struct alike {
    int32_t prompt[N_COMMON][COMMON + N_COMMON];
    wf_sampling sampling[N_COMMON];
    rig_request requests[N_COMMON];
} alike;

static void make_alike(alike *x)
{
    for (int i = 0; i < N_COMMON; i++) {
        wf_sampling *p = &x->sampling[i];
        *p = wf_sampling_default();
        p->ignore_eos = true;
        p->logprobs = 2;
        if (i % 2) p->temperature = 0.9f;
        if (i == 5) p->frequency_penalty = 0.5f;
        for (int k = 0; k < COMMON + i; k++)
            x->prompt[i][k] = k < COMMON ? 1 + k * 7 % 90 : 1 + (k * 13 + i * 29) % 90;
        x->requests[i] = (rig_request){.prompt = x->prompt[i],
                                       .n_prompt = COMMON + (uint32_t)i,
                                       .max_new = 3u + (uint32_t)(i * 5 % 12),
                                       .sampling = p,
                                       .at_step = i < 10 ? 0 : i};
    }
}

static void assert_same_bits(const rig_output *a, const rig_output *b, const char *what)
{
    assert_tokens(a, b->token, b->n_tokens, what);
    if (memcmp(a->logprob, b->logprob, a->n_tokens * sizeof *a->logprob) != 0)
        fail_msg("%s: log-probabilities differ", what);
}

// All but the one with penalties, and the first of all, have the common pages for nothing; with
// few pages idle ones are given to others and rows are put back.
static void prompts_that_begin_alike_are_computed_once(void **state)
{
    (void)state;
    static alike x;
    static rig_output without[N_COMMON], with[N_COMMON];
    static const uint64_t kv_kib[] = {8192, 250};
    rig r;
    make_alike(&x);
    rig_create_deterministic(backend, "llama-gqa", NULL, WF_F32, &r);
    for (int ahead = 0; ahead < 2; ahead++)
        for (int few = 0; few < 2; few++) {
            rig_totals off, on;
            wf_engine_config c = rig_config();
            c.kv_bytes = kv_kib[few] << 10;
            c.steps_ahead = ahead;
            c.deterministic = true;
            c.prefix_cache = WF_PREFIX_OFF;
            rig_run(&r, &c, x.requests, N_COMMON, without, &off);
            c.prefix_cache = WF_PREFIX_AUTO;
            rig_run(&r, &c, x.requests, N_COMMON, with, &on);
            for (int i = 0; i < N_COMMON; i++) {
                assert_same_bits(&with[i], &without[i], few ? "few pages" : "many pages");
                assert_int_equal(without[i].n_cached, 0);
                if (!few) assert_int_equal(with[i].n_cached, i == 0 || i == 5 ? 0 : 64);
            }
            assert_true(on.n_prompt_tokens < off.n_prompt_tokens);
            if (!few) assert_int_equal(off.n_prompt_tokens - on.n_prompt_tokens, 64 * 18);
            if (few) assert_true(off.n_put_back > 0);
        }
    rig_destroy(&r);
}

// Letting some requests go, in the batch and in the queue, changes nothing for the others.
static void others_do_not_notice_who_is_let_go(void **state)
{
    (void)state;
    mix x;
    rig r;
    static rig_output solo[N_MIXED], outputs[N_MIXED];
    make_mix(&x);
    rig_create(backend, "llama-gqa", NULL, &r);
    run_solo(&r, &x, solo);
    for (int i = 1; i < N_MIXED; i += 3) {
        x.requests[i].leave_at = 1 + x.requests[i].at_step + i % 9;
        x.requests[i].max_new = 90; // longer than it will last
    }
    for (size_t m = 0; m < sizeof modes / sizeof *modes; m++) {
        int n_gone = 0;
        run_mode(&r, &x, &modes[m], WF_CAPTURE_AUTO, outputs, NULL);
        for (int i = 0; i < N_MIXED; i++) {
            if (x.requests[i].leave_at > 0 && outputs[i].n_tokens == 0) {
                n_gone++;
                continue;
            }
            assert_tokens(&outputs[i], solo[i].token, solo[i].n_tokens, modes[m].name);
        }
        assert_in_range(n_gone, 1, N_MIXED / 3);
    }
    golden_free(&x.g);
    rig_destroy(&r);
}

static void ends_are_told_apart(void **state)
{
    (void)state;
    golden g;
    rig r;
    rig_output out[3];
    golden_load("llama-mini", &g);
    rig_create(backend, "llama-mini", NULL, &r);
    const golden_case *c = &g.cases[1];
    int32_t stop = c->greedy[3];
    uint32_t first = 0; // where that token first comes up
    while (c->greedy[first] != stop)
        first++;
    wf_engine_config config = rig_config();
    config.max_context = c->n_prompt + 6;
    rig_request requests[3] = {
        {.prompt = c->prompt, .n_prompt = (uint32_t)c->n_prompt, .max_new = 20},
        {.prompt = c->prompt, .n_prompt = (uint32_t)c->n_prompt, .max_new = 6},
        {.prompt = c->prompt,
         .n_prompt = (uint32_t)c->n_prompt,
         .max_new = 6,
         .stop = &stop,
         .n_stop = 1},
    };
    rig_run(&r, &config, requests, 3, out, NULL);
    assert_int_equal(out[0].finish, WF_FINISH_CONTEXT);
    assert_int_equal(out[0].n_tokens, 6);
    assert_int_equal(out[1].finish, WF_FINISH_LENGTH);
    assert_int_equal(out[1].n_tokens, 6);
    assert_int_equal(out[2].finish, WF_FINISH_STOP);
    assert_int_equal(out[2].n_tokens, first + 1); // the stop token is kept
    rig_destroy(&r);
    golden_free(&g);
}

static void eos_ends_unless_ignored_and_min_tokens_holds_it_back(void **state)
{
    (void)state;
    golden g;
    rig r;
    rig_output out[3];
    golden_load("llama-mini", &g);
    rig_create(backend, "llama-mini", NULL, &r);
    const golden_case *c = &g.cases[0];
    r.model->arch.n_eos = 1;
    r.model->arch.eos[0] = c->greedy[2];
    wf_sampling ends = wf_sampling_default(), ignores = ends, holds = ends;
    ignores.ignore_eos = true;
    holds.min_tokens = 8;
    wf_sampling *each[3] = {&ends, &ignores, &holds};
    rig_request requests[3];
    for (int i = 0; i < 3; i++)
        requests[i] = (rig_request){.prompt = c->prompt,
                                    .n_prompt = (uint32_t)c->n_prompt,
                                    .max_new = 12,
                                    .sampling = each[i]};
    wf_engine_config config = rig_config();
    rig_run(&r, &config, requests, 3, out, NULL);
    assert_int_equal(out[0].finish, WF_FINISH_STOP);
    assert_true(out[0].n_tokens <= 3);
    assert_int_equal(out[0].token[out[0].n_tokens - 1], c->greedy[2]);
    assert_int_equal(out[1].finish, WF_FINISH_LENGTH);
    assert_true(out[2].n_tokens >= 8);
    for (uint32_t i = 0; i < 7; i++)
        assert_int_not_equal(out[2].token[i], c->greedy[2]);
    rig_destroy(&r);
    golden_free(&g);
}

static void impossible_requests_fail_alone(void **state)
{
    (void)state;
    rig r;
    wf_engine *e;
    static int32_t prompt[300];
    rig_create(backend, "llama-mini", NULL, &r);
    wf_engine_config config = rig_config();
    config.kv_bytes = 64 << 10;
    config.max_context = 200;
    config.n_top = -1;
    config.penalties = false;
    assert_int_equal(wf_engine_create(r.be, r.model, r.comm, &config, &e), WF_OK);
    wf_sampling plain = wf_sampling_default(), penal = plain, probs = plain;
    penal.presence_penalty = 1.0f;
    probs.logprobs = 0;
    const struct {
        uint32_t n_prompt, max_new;
        const wf_sampling *sampling;
        wf_status want;
    } cases[] = {{200, 1, &plain, WF_REQ_CONTEXT},
                 {199, 1, &plain, WF_REQ_MEMORY},
                 {4, 4, &penal, WF_REQ_SAMPLING},
                 {4, 4, &probs, WF_REQ_SAMPLING},
                 {4, 4, &plain, WF_OK}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        wf_engine_input in = {.n_prompt = cases[i].n_prompt,
                              .max_new_tokens = cases[i].max_new,
                              .prompt = prompt,
                              .sampling = cases[i].sampling};
        assert_int_equal(wf_engine_submit(e, &in), cases[i].want);
    }
    wf_engine_destroy(e); // with a request still waiting
    rig_destroy(&r);
}

static void modes_that_cannot_be_are_refused(void **state)
{
    (void)state;
    rig r;
    rig_create(backend, "llama-mini", NULL, &r);
    const wf_engine_config good = rig_config();
    struct {
        wf_engine_config c;
        const char *says;
    } cases[] = {{good, "step_tokens"},
                 {good, "kv_memory"},
                 {good, "slots"},
                 {good, "max_context"},
                 {good, "prefix_cache"}};
    cases[0].c.step_tokens = 2;
    cases[1].c.kv_bytes = 100;
    cases[2].c.reorder = WF_REORDER_COPY;
    cases[2].c.max_rows = cases[2].c.step_tokens = 4000;
    cases[3].c.max_context = 1 << 30;
    cases[4].c.prefix_cache = WF_PREFIX_ON, cases[4].c.reorder = WF_REORDER_OFF;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        wf_engine *e = NULL;
        assert_int_equal(wf_engine_create(r.be, r.model, r.comm, &cases[i].c, &e), WF_CONFIG);
        assert_null(e);
        assert_non_null(strstr(wf_error(), cases[i].says));
    }
    rig_destroy(&r);
}

// Each token of each layer is counted once for every expert it chose: no padding, nothing twice.
static void loads_of_experts_are_the_tokens_that_chose_them(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int32_t n_layers, n_experts, n_choices;
    } models[] = {{"mixtral-mini", 2, 8, 2},
                  {"qwen2-moe-mini", 1, 12, 3},
                  {"gpt-oss-mini", 2, 6, 2},
                  {"deepseek-v2-mini", 2, 12, 3}};
    for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
        golden g;
        rig r;
        rig_request requests[16];
        static rig_output outputs[16];
        int64_t n_tokens = 0;
        rig_totals plain, padded;
        golden_load(models[m].name, &g);
        rig_create(backend, models[m].name, NULL, &r);
        int n = from_golden(&g, requests, 2);
        for (int i = 0; i < n; i++)
            n_tokens += requests[i].n_prompt + requests[i].max_new - 1;
        wf_engine_config c = rig_config();
        c.expert_load = true;
        c.steps_ahead = 0;
        c.prefix_cache = WF_PREFIX_OFF;
        rig_run(&r, &c, requests, n, outputs, &plain);
        c.capture = WF_CAPTURE_PAD_ONLY;
        rig_run(&r, &c, requests, n, outputs, &padded);
        assert_int_equal(plain.n_expert_layers, models[m].n_layers);
        assert_int_equal(plain.n_expert_load, models[m].n_layers * models[m].n_experts);
        for (int32_t i = 0; i < models[m].n_layers; i++) {
            int64_t sum = 0;
            for (int32_t e = 0; e < models[m].n_experts; e++)
                sum += plain.expert_load[i * models[m].n_experts + e];
            assert_int_equal(sum, n_tokens * models[m].n_choices);
        }
        assert_memory_equal(plain.expert_load, padded.expert_load, sizeof plain.expert_load);
        golden_free(&g);
        rig_destroy(&r);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1) backend = argv[1];
    int absent = rig_absent(backend);
    if (absent >= 0) return absent;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_tokens_and_logits_are_those_of_transformers),
        cmocka_unit_test(kv_has_a_format_of_its_own),
        cmocka_unit_test(tokens_do_not_depend_on_the_way_of_running),
        cmocka_unit_test(prompts_that_begin_alike_are_computed_once),
        cmocka_unit_test(others_do_not_notice_who_is_let_go),
        cmocka_unit_test(loads_of_experts_are_the_tokens_that_chose_them),
        cmocka_unit_test(ends_are_told_apart),
        cmocka_unit_test(eos_ends_unless_ignored_and_min_tokens_holds_it_back),
        cmocka_unit_test(impossible_requests_fail_alone),
        cmocka_unit_test(modes_that_cannot_be_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
