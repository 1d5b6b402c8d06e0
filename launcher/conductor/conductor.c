// The loop: look, make events, until the job is over. See conductor.h.
#include "launcher/conductor/conductor.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/arena.h"
#include "io/base/clock.h"
#include "io/base/text.h"
#include "launcher/conductor/conductor_internal.h"

#define TICK_NS  (50 * WF_NS_PER_MS)
#define LOOK_NS  (500 * WF_NS_PER_MS) // between looks at files
#define PAUSE_NS (3 * WF_NS_PER_S)    // a longer tick was a pause of this process

// ---- the loop -----------------------------------------------------------------------------------

// This process was stopped for a while: nobody's heart missed a beat for it.
static void forgive_pause(wf_conductor *k)
{
    int64_t now_ns = wf_clock_ns(), pause_ns = now_ns - k->tick_ns;
    k->tick_ns = now_ns;
    if (pause_ns < PAUSE_NS) return;
    for (int i = 0; i < k->n_groups * k->tensor; i++)
        wf_beat_forgive(&k->group[i / k->tensor].beat[i % k->tensor], pause_ns);
}

static wf_status tick(wf_conductor *k)
{
    forgive_pause(k);
    for (int i = 0; i < k->n_groups; i++)
        WF_TRY(wf_conductor_reap(k, &k->group[i]));
    if (k->tick_ns < k->look_ns) return WF_OK;
    for (int i = 0; i < k->n_groups; i++)
        if (wf_group_lives(k->group[i].state)) WF_TRY(wf_conductor_look(k, &k->group[i]));
    WF_TRY(wf_conductor_look_at_job(k));
    WF_TRY(wf_conductor_schedule(k));
    k->look_ns = wf_clock_ns() + LOOK_NS;
    return WF_OK;
}

static wf_status run(wf_conductor *k)
{
    k->tick_ns = wf_clock_ns();
    while (!k->over) {
        WF_TRY(tick(k));
        if (!k->over) wf_clock_sleep_until(wf_clock_ns() + TICK_NS);
    }
    return WF_OK;
}

// Whatever happened, no process is left behind.
static void end_processes(wf_conductor *k)
{
    int exit_code;
    int64_t start_ns = wf_clock_ns();
    for (int i = 0; k->group && i < k->n_groups; i++)
        if (k->group[i].step.pid > 0) wf_conductor_kill(k, &k->group[i], false);
    for (int i = 0; k->group && i < k->n_groups; i++) {
        wf_conductor_group *g = &k->group[i];
        while (g->step.pid > 0 && !wf_step_ended(&g->step, &exit_code)) {
            if (wf_clock_ns() - start_ns > WF_CONDUCTOR_DEATH_NS) wf_conductor_kill(k, g, true);
            wf_clock_sleep_until(wf_clock_ns() + TICK_NS);
        }
    }
}

// ---- beginning and end --------------------------------------------------------------------------

static wf_status groups_make(wf_conductor *k)
{
    const wf_plan *plan = k->c->site->plan;
    WF_TRY(wf_alloc((size_t)k->n_groups, sizeof *k->group, &k->group));
    for (int i = 0; i < k->n_groups; i++) {
        wf_conductor_group *g = &k->group[i];
        g->number = i;
        WF_TRY(wf_alloc((size_t)k->tensor, sizeof *g->seat, &g->seat));
        WF_TRY(wf_alloc((size_t)k->tensor, sizeof *g->beat, &g->beat));
        memcpy(g->seat, plan->member + plan->group[i].first, (size_t)k->tensor * sizeof *g->seat);
    }
    return WF_OK;
}

static wf_status progress_start(wf_conductor *k)
{
    int n = k->n_groups * k->tensor;
    int *watch = NULL;
    WF_TRY(wf_alloc((size_t)n, sizeof *watch, &watch));
    for (int i = 0; i < n; i++)
        watch[i] = i;
    wf_progress_config c = {.out_dir = k->dir,
                            .rank = -1,
                            .group = -1,
                            .run = wf_pool_run(k->pool),
                            .print = true,
                            .watch = watch,
                            .n_watch = (size_t)n,
                            .n_rows = wf_pool_rows(k->pool),
                            .requests_total = wf_pool_total(k->pool),
                            .requests_before = wf_pool_before(k->pool),
                            .stall_ns = INT64_MAX}; // the conductor says so itself
    wf_status st = wf_progress_start(&c, &k->progress);
    free(watch);
    if (st == WF_OK) wf_progress_begin(k->progress);
    return st;
}

static wf_status open(wf_conductor *k)
{
    const wf_conductor_config *c = k->c;
    wf_pool_config pool = {
        .spec = c->spec, .reader = c->reader, .n_groups = k->n_groups, .start = c->start};
    WF_TRY(groups_make(k));
    WF_TRY(wf_pool_open(&pool, &k->pool));
    WF_TRY(wf_drain_watch(c->drain, k->dir)); // an older stop file is gone by now
    k->over = wf_pool_before(k->pool) >= wf_pool_total(k->pool);
    if (k->over) { // no group is started to find that out
        wf_folder_say_nothing_left(k->dir, wf_pool_total(k->pool));
        return WF_OK;
    }
    wf_conductor_tell(k, WF_EVENT_BEGIN, NULL, -1, NULL, "%d group%s of %d on %zu node%s",
                      k->n_groups, WF_S(k->n_groups), k->tensor, c->site->nodes.n,
                      WF_S(c->site->nodes.n));
    return progress_start(k);
}

static wf_status end_of(const wf_conductor *k, const wf_runner_outcome *out)
{
    if (k->end != WF_OK && k->end != WF_DRAINED) return wf_fail(k->end, "%s", k->why);
    if (k->draining && out->n_left > 0)
        return wf_fail(WF_DRAINED,
                       "%s: %" PRId64 " of %" PRId64 " request%s %s done and sealed, %" PRId64
                       " left: run the same command again to continue",
                       k->end == WF_DRAINED ? k->why : "drained", out->n_before + out->n_done,
                       out->n_total, WF_S(out->n_total), WF_ARE(out->n_total), out->n_left);
    if (out->n_left > 0 && wf_pool_counts_well(k->pool))
        return wf_fail(WF_INTERNAL,
                       "%s: all groups are done, with %" PRId64
                       " request%s without a result; weft check names them, the same command again "
                       "computes them",
                       k->dir, out->n_left, WF_S(out->n_left));
    if (out->n_failed > 0 && k->c->spec->slurm.fail_on_row_errors)
        return wf_fail(WF_FAILED_ROWS,
                       "complete; %" PRId64 " request%s failed, weft report shows why",
                       out->n_failed, WF_S(out->n_failed));
    return WF_OK;
}

static wf_status conclude(wf_conductor *k, wf_runner_outcome *out)
{
    WF_TRY(wf_pool_sum_up(k->pool, out));
    out->n_failed = wf_conductor_failed(k);
    out->elapsed_ns = wf_clock_ns() - k->start_ns;
    wf_status st = end_of(k, out);
    wf_conductor_tell(k, WF_EVENT_END, NULL, -1, NULL,
                      "%s: %" PRId64 " of %" PRId64 " requests are done", wf_status_words(st),
                      out->n_before + out->n_done, out->n_total);
    if (st == WF_OK || st == WF_FAILED_ROWS) WF_TRY(wf_pool_complete(k->pool, &out->folder));
    return st;
}

static void tear_down(wf_conductor *k)
{
    wf_progress_stop(&k->progress);
    wf_pool_close(&k->pool);
    for (int i = 0; k->group && i < k->n_groups; i++) {
        free(k->group[i].seat);
        free(k->group[i].beat);
    }
    free(k->group);
}

wf_status wf_conduct(const wf_conductor_config *config, wf_runner_outcome *out)
{
    const wf_jobspec *spec = config->spec;
    wf_conductor k = {.c = config,
                      .dir = spec->output.dir,
                      .n_groups = config->site->plan->n_groups,
                      .tensor = spec->parallel.tensor,
                      .limits = {spec->parallel.heartbeat_ns, spec->parallel.load_limit_ns},
                      .start_ns = wf_clock_ns()};
    *out = (wf_runner_outcome){0};
    wf_status st = open(&k);
    if (st == WF_OK) st = run(&k);
    end_processes(&k);
    if (st == WF_OK) st = conclude(&k, out);
    tear_down(&k);
    return st;
}
