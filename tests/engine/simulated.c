#include "tests/engine/simulated.h"

#include <stdio.h>
#include <stdlib.h>

static void need(bool condition, const char *what)
{
    if (condition) return;
    fprintf(stderr, "simulated: %s\n", what);
    abort();
}

// ---- the clock ----------------------------------------------------------------------------------

static int64_t now(void *context)
{
    return ((sim_clock *)context)->now_ns;
}

static bool sleep_until(void *context, int64_t t_ns)
{
    need(t_ns < INT64_MAX / 2, "somebody sleeps for ever");
    sim_clock_jump(context, t_ns);
    return true;
}

void sim_clock_make(sim_clock *c, int64_t now_ns)
{
    *c = (sim_clock){.now_ns = now_ns};
    c->clock = (wf_clock){.now = now, .sleep_until = sleep_until, .context = c};
}

void sim_clock_at(sim_clock *c, int64_t at_ns, sim_fire fire, void *context)
{
    int i = c->n_events++;
    need(i < SIM_EVENTS, "too many events");
    for (; i > 0 && c->event[i - 1].at_ns > at_ns; i--)
        c->event[i] = c->event[i - 1];
    c->event[i].at_ns = at_ns;
    c->event[i].fire = fire;
    c->event[i].context = context;
}

void sim_clock_jump(sim_clock *c, int64_t to_ns)
{
    while (c->n_events > 0 && c->event[0].at_ns <= to_ns) {
        sim_fire fire = c->event[0].fire;
        void *context = c->event[0].context;
        if (c->event[0].at_ns > c->now_ns) c->now_ns = c->event[0].at_ns;
        c->n_events--;
        for (int i = 0; i < c->n_events; i++)
            c->event[i] = c->event[i + 1];
        fire(context);
    }
    if (to_ns > c->now_ns) c->now_ns = to_ns;
}

// ---- the executor -------------------------------------------------------------------------------

static int32_t *plan_buffer(wf_executor *x, int slot)
{
    return ((sim_executor *)x)->slot[slot].plan;
}

static void draw(sim_executor *x, int i_slot)
{
    const int32_t *plan = x->slot[i_slot].plan;
    int64_t at[WF_PLAN_N_SECTIONS];
    wf_plan_layout(plan, at);
    x->slot[i_slot].n_samples = plan[WF_PLAN_SAMPLES];
    for (int32_t i = 0; i < plan[WF_PLAN_SAMPLES]; i++) {
        int32_t row = plan[at[WF_PLAN_AT_SAMPLE_ROW] + i],
                pos = plan[at[WF_PLAN_AT_SAMPLE_POS] + i];
        x->slot[i_slot].token[i] = x->token ? x->token(x->context, row, pos) : 1;
    }
}

static wf_status enqueue(wf_executor *executor, int slot)
{
    sim_executor *x = (sim_executor *)executor;
    int64_t start_ns = x->clock->now_ns > x->free_ns ? x->clock->now_ns : x->free_ns;
    x->free_ns = start_ns + x->step_ns(x->context, x->slot[slot].plan);
    x->slot[slot].done_ns = x->free_ns;
    x->n_steps++;
    draw(x, slot);
    if (!x->behind) sim_clock_jump(x->clock, x->free_ns);
    return WF_OK;
}

static wf_status wait_for(wf_executor *executor, int slot, wf_step_output *out)
{
    sim_executor *x = (sim_executor *)executor;
    sim_clock_jump(x->clock, x->slot[slot].done_ns);
    *out = (wf_step_output){.n_samples = x->slot[slot].n_samples, .token = x->slot[slot].token};
    return WF_OK;
}

static const wf_executor_ops ops = {
    .plan_buffer = plan_buffer, .enqueue = enqueue, .wait = wait_for};

void sim_executor_make(sim_executor *x, const wf_plan_limits *limits)
{
    size_t words = (size_t)wf_plan_most_words(limits);
    x->executor.ops = &ops;
    for (int i = 0; i < WF_EXECUTOR_SLOTS; i++) {
        x->slot[i].plan = calloc(words, sizeof(int32_t));
        x->slot[i].token = calloc((size_t)limits->max_rows, sizeof(int32_t));
        need(x->slot[i].plan && x->slot[i].token, "no memory");
    }
}

void sim_executor_free(sim_executor *x)
{
    for (int i = 0; i < WF_EXECUTOR_SLOTS; i++) {
        free(x->slot[i].plan);
        free(x->slot[i].token);
    }
}
