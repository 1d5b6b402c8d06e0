// Time and devices that tests make up: a clock that jumps, and an executor whose steps take as long
// as a function says. Nothing sleeps, so no test hangs on how fast the machine is.
//
//   sim_clock clock = ...;  sim_clock_at(&clock, 3 s, fire, context);   something happens at 3 s
//   sim_executor x = ...;   engine over x.executor, with clock.clock
//
// What is due fires at its time, in order, while the clock jumps over it.
#ifndef WF_TESTS_ENGINE_SIMULATED_H
#define WF_TESTS_ENGINE_SIMULATED_H

#include <stdbool.h>

#include "engine/executor.h"
#include "engine/stepplan.h"
#include "io/base/clock.h"

enum { SIM_EVENTS = 256 };

typedef void (*sim_fire)(void *context);

typedef struct sim_clock {
    wf_clock clock; // its context is this struct
    int64_t now_ns;
    struct {
        int64_t at_ns;
        sim_fire fire;
        void *context;
    } event[SIM_EVENTS];
    int n_events;
} sim_clock;

void sim_clock_make(sim_clock *c, int64_t now_ns);
void sim_clock_at(sim_clock *c, int64_t at_ns, sim_fire fire, void *context);
void sim_clock_jump(sim_clock *c, int64_t to_ns); // never back

// How long a step takes, and the token it draws for position `pos` of a row.
typedef int64_t (*sim_step_ns)(void *context, const int32_t *plan);
typedef int32_t (*sim_token)(void *context, int32_t row, int32_t pos);

typedef struct sim_executor {
    wf_executor executor;
    sim_clock *clock;
    sim_step_ns step_ns;
    sim_token token; // NULL: always 1
    void *context;
    bool behind; // computes behind the host; else enqueue() returns when the step is done
    int64_t free_ns;
    int64_t n_steps;
    struct {
        int32_t *plan, *token;
        int32_t n_samples;
        int64_t done_ns;
    } slot[WF_EXECUTOR_SLOTS];
} sim_executor;

// clock, step_ns, token, context and behind are set by the caller.
void sim_executor_make(sim_executor *x, const wf_plan_limits *limits);
void sim_executor_free(sim_executor *x);

#endif
