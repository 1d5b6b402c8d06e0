// The step loop on made-up time: when tokens come, one step ahead or not, and when windows close.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "engine/limits.h"
#include "tests/engine/simulated.h"

#define MS WF_NS_PER_MS

static const wf_arch arch = {.n_vocab = 100, .max_context = 256};

// An engine that computes 10 ms a step, and 1 ms more for every prompt token.
typedef struct world {
    sim_clock clock;
    sim_executor x;
    wf_comm *comm;
    wf_engine *engine;
} world;

static int64_t step_ns(void *context, const int32_t *plan)
{
    (void)context;
    return 10 * MS + (plan[WF_PLAN_TOKENS] - plan[WF_PLAN_DECODE]) * MS;
}

static void make(world *w, wf_engine_config c, bool behind)
{
    wf_limits limits;
    *w = (world){0};
    sim_clock_make(&w->clock, 1000 * MS);
    w->x = (sim_executor){.clock = &w->clock, .step_ns = step_ns, .behind = behind};
    c.clock = &w->clock.clock;
    c.steps_ahead = behind;
    c.n_top = -1;
    assert_int_equal(wf_engine_limits(&c, &arch, 1, false, &limits), WF_OK);
    sim_executor_make(&w->x, &limits.plan);
    assert_int_equal(wf_comm_self_create(&w->comm), WF_OK);
    const wf_engine_base base = {&w->x.executor, &arch, w->comm, 100};
    assert_int_equal(wf_engine_create_on(&base, &c, &w->engine), WF_OK);
    wf_engine_start(w->engine, 1000 * MS);
}

static void drop(world *w)
{
    wf_engine_destroy(w->engine);
    wf_comm_destroy(w->comm);
    sim_executor_free(&w->x);
}

static void submit(world *w, uint64_t user, uint32_t n_prompt, uint32_t n_new)
{
    static int32_t prompt[64];
    wf_sampling sampling = wf_sampling_default();
    wf_engine_input in = {.user = user,
                          .n_prompt = n_prompt,
                          .max_new_tokens = n_new,
                          .prompt = prompt,
                          .sampling = &sampling,
                          .submitted_ns = w->clock.now_ns - 1000 * MS};
    assert_int_equal(wf_engine_submit(w->engine, &in), WF_OK);
}

// Runs until `n` requests are over; asserts when each had its last token.
static void expect(world *w, int n, const int64_t *finish_ns)
{
    for (int step = 0; n > 0; step++) {
        wf_step_record record;
        bool recorded, ran;
        const wf_engine_output *o;
        assert_true(step < 1000);
        assert_int_equal(wf_engine_step(w->engine, true, &record, &recorded, &ran), WF_OK);
        for (; (o = wf_engine_take(w->engine)); n--) {
            assert_int_equal(o->time_ns[o->n_tokens - 1], finish_ns[o->user]);
            wf_engine_release(w->engine, o);
        }
    }
}

static const wf_engine_config plain = {.max_rows = 4, .step_tokens = 32, .page_tokens = 16};

static void tokens_come_when_their_steps_end(void **state)
{
    (void)state;
    for (int behind = 0; behind < 2; behind++) {
        world w;
        make(&w, plain, behind);
        submit(&w, 0, 5, 1);
        submit(&w, 1, 5, 3);
        expect(&w, 2, (int64_t[]){20 * MS, 40 * MS}); // 10 + 10 prompt tokens, then 10, 10
        drop(&w);
    }
}

// What is planned ahead is computed: the row of a stop token goes through one step too many.
static int32_t stops(void *context, int32_t row, int32_t pos)
{
    (void)context, (void)row;
    return pos == 7 ? 42 : 1;
}

static void one_step_ahead_sees_a_stop_one_step_late(void **state)
{
    (void)state;
    for (int behind = 0; behind < 2; behind++) {
        world w;
        static const int32_t prompt[5], stop = 42;
        wf_sampling sampling = wf_sampling_default();
        make(&w, plain, behind);
        w.x.token = stops;
        wf_engine_input in = {.n_prompt = 5,
                              .max_new_tokens = 20,
                              .prompt = prompt,
                              .n_stop = 1,
                              .stop = &stop,
                              .sampling = &sampling};
        assert_int_equal(wf_engine_submit(w.engine, &in), WF_OK);
        expect(&w, 1, (int64_t[]){35 * MS}); // 10 + 5 prompt tokens, then positions 6 and 7
        assert_int_equal(w.x.n_steps, behind ? 4 : 3);
        drop(&w);
    }
}

static void a_window_closes_by_the_clock(void **state)
{
    (void)state;
    world w;
    wf_engine_config c = plain;
    wf_step_record record;
    bool recorded, ran;
    c.fusion = WF_FUSION_WINDOW;
    c.window_ns = 50 * MS;
    make(&w, c, false);
    submit(&w, 0, 5, 1);
    assert_int_equal(wf_engine_step(w.engine, false, &record, &recorded, &ran), WF_OK);
    assert_false(ran);
    assert_int_equal(wf_engine_wake_ns(w.engine), 50 * MS);
    sim_clock_jump(&w.clock, 1050 * MS);
    submit(&w, 1, 5, 1);
    expect(&w, 2, (int64_t[]){70 * MS, 70 * MS});
    drop(&w);
}

// A row that asks for what no model can give fails alone, before anything is computed.
static void more_logprobs_than_tokens_are_refused(void **state)
{
    (void)state;
    static const wf_arch small = {.n_vocab = 3, .max_context = 256};
    static const int32_t prompt[2];
    world w;
    wf_engine_config c = plain;
    make(&w, c, false);
    wf_engine_destroy(w.engine);
    const wf_engine_base base = {&w.x.executor, &small, w.comm, 100};
    c.clock = &w.clock.clock;
    c.n_top = 20;
    assert_int_equal(wf_engine_create_on(&base, &c, &w.engine), WF_OK);
    wf_engine_start(w.engine, 1000 * MS);
    wf_sampling sampling = wf_sampling_default();
    wf_engine_input in = {
        .n_prompt = 2, .max_new_tokens = 1, .prompt = prompt, .sampling = &sampling};
    sampling.logprobs = 4;
    assert_int_equal(wf_engine_submit(w.engine, &in), WF_REQ_SAMPLING);
    assert_string_equal(wf_error(), "logprobs 4: the model has 3 tokens");
    sampling.logprobs = -1;
    assert_int_equal(wf_engine_submit(w.engine, &in), WF_OK);
    expect(&w, 1, (int64_t[]){12 * MS});
    drop(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_come_when_their_steps_end),
        cmocka_unit_test(one_step_ahead_sees_a_stop_one_step_late),
        cmocka_unit_test(a_window_closes_by_the_clock),
        cmocka_unit_test(more_logprobs_than_tokens_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
