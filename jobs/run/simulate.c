// See simulate.h.
#include "jobs/run/simulate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/comm/comm_simulated.h"
#include "io/base/log.h"
#include "jobs/spec/inputs.h"

// Where simulated clocks stand at the start; what it is says nothing.
#define START_NS (1000 * WF_NS_PER_S)

// What a group's process tells, in shared memory.
typedef struct told {
    bool ended;
    wf_status status;
    char error[WF_ERROR_MAX];
    wf_runner_outcome outcome;
} told;

typedef struct simulation {
    const wf_simulate_config *c;
    wf_simtime *time;
    wf_folder *folder;
    uint32_t run;
    told *told;   // [n_groups]
    pid_t *child; // [n_groups]
    int n_started;
} simulation;

// ---- one group, in a process of its own ---------------------------------------------------------

typedef struct group {
    const simulation *s;
    wf_runner_simulation simulation;
    wf_runner_part part;
    wf_plan *plan;
    wf_reader *reader;
    wf_drain *drain;
    wf_comm *world;
} group;

static wf_status group_make(group *g, int i_group)
{
    const wf_simulate_config *c = g->s->c;
    int tensor = c->spec->parallel.tensor;
    const wf_plan_input input = {.n_ranks = tensor, .tensor = tensor, .replicas = 1};
    const wf_drain_config drain = {.signals = c->signals,
                                   .begin_ns = INT64_MAX,
                                   .end_ns = INT64_MAX,
                                   .grace_ns = c->spec->output.drain_ns,
                                   .alone = true};
    g->simulation = (wf_runner_simulation){c->costs, g->s->time};
    g->part = (wf_runner_part){.group = i_group,
                               .n_groups = c->n_groups,
                               .run = g->s->run,
                               .first_rank = i_group * tensor,
                               .n_sharing = 1};
    WF_TRY(wf_reader_start(NULL, &g->reader));
    WF_TRY(wf_drain_start(&drain, &g->drain));
    WF_TRY(wf_plan_make(&input, &g->plan));
    return wf_comm_simulated_create(tensor, NULL, c->costs, &g->world);
}

static wf_status group_run(group *g, wf_runner_outcome *out)
{
    const wf_simulate_config *c = g->s->c;
    const wf_runner_config config = {.spec = c->spec,
                                     .world = g->world,
                                     .plan = g->plan,
                                     .part = &g->part,
                                     .reader = g->reader,
                                     .drain = g->drain,
                                     .deadline_ns = INT64_MAX,
                                     .n_threads = 1,
                                     .start = c->start,
                                     .host = c->host,
                                     .simulation = &g->simulation,
                                     .versions = c->versions};
    return wf_runner_run(&config, out);
}

__attribute__((noreturn)) static void group_live(const simulation *s, int i_group)
{
    group g = {.s = s};
    told *t = &s->told[i_group];
    wf_log_set_rank(i_group * s->c->spec->parallel.tensor);
    t->status = group_make(&g, i_group);
    if (t->status == WF_OK) t->status = group_run(&g, &t->outcome);
    snprintf(t->error, sizeof t->error, "%s", wf_error());
    t->ended = true;
    wf_simtime_leave(s->time, i_group);
    wf_reader_close(&g.reader);
    wf_drain_stop(&g.drain);
    wf_comm_destroy(g.world);
    wf_plan_destroy(&g.plan);
    _exit(0);
}

// ---- all groups ---------------------------------------------------------------------------------

static wf_status start_groups(simulation *s)
{
    for (int i = 0; i < s->c->n_groups; i++) {
        fflush(NULL); // what is buffered is this process's to write
        pid_t pid = fork();
        if (pid == 0) group_live(s, i);
        if (pid < 0)
            return wf_fail_errno(WF_IO, "simulate: no process can be started for group %d of %d", i,
                                 s->c->n_groups);
        s->child[s->n_started++] = pid;
    }
    return WF_OK;
}

// The others must not wait for a group whose process has died.
static wf_status wait_for_groups(simulation *s)
{
    wf_status st = WF_OK;
    for (int i = 0; i < s->n_started; i++) {
        int how = 0;
        while (waitpid(s->child[i], &how, 0) < 0 && errno == EINTR)
            continue;
        if (s->told[i].ended) continue;
        wf_simtime_leave(s->time, i);
        st = wf_fail(WF_INTERNAL, "simulate: the process of group %d ended by signal %d", i,
                     WIFSIGNALED(how) ? WTERMSIG(how) : 0);
    }
    return st;
}

// One group that failed fails the simulation; one that drained leaves something for the next run.
static wf_status sum_up(const simulation *s, wf_runner_outcome *out)
{
    wf_status st = WF_OK;
    const char *error = "";
    for (int i = 0; i < s->n_started; i++) {
        const told *t = &s->told[i];
        if (t->status != WF_OK && (st == WF_OK || st == WF_FAILED_ROWS || st == WF_DRAINED)) {
            st = t->status;
            error = t->error;
        }
        out->n_done += t->outcome.n_done;
        out->n_failed += t->outcome.n_failed;
        if (t->outcome.elapsed_ns > out->elapsed_ns) out->elapsed_ns = t->outcome.elapsed_ns;
    }
    out->run = s->run;
    out->n_left = out->n_total - out->n_before - out->n_done;
    return st == WF_OK ? WF_OK : wf_fail(st, "%s", error);
}

static wf_status run_groups(simulation *s, wf_runner_outcome *out)
{
    wf_status st = start_groups(s), ended = wait_for_groups(s);
    if (st == WF_OK) st = ended;
    wf_status said = sum_up(s, out);
    return st != WF_OK ? st : said;
}

// ---- the job ------------------------------------------------------------------------------------

static wf_status begin(simulation *s, wf_inputs *in, wf_runner_outcome *out)
{
    const wf_simulate_config *c = s->c;
    wf_inputs_model model;
    char identity[WF_HF_IDENTITY_MAX];
    wf_done *done = NULL;
    WF_TRY(wf_inputs_open(c->spec, c->reader, in));
    WF_TRY(wf_inputs_model_look(c->spec, &model));
    wf_simulated_identity(c->costs, identity);
    const wf_folder_config f = {.spec = c->spec,
                                .model_identity = identity,
                                .dtype = wf_dtype_name(model.numerics.weight),
                                .shards = in->shard,
                                .n_shards = in->n,
                                .n_results = wf_inputs_results(in, c->spec),
                                .start = c->start,
                                .reader = c->reader};
    WF_TRY(wf_folder_begin(&f, &s->folder));
    s->run = wf_folder_run(s->folder);
    out->n_total = f.n_results;
    WF_TRY(wf_folder_done(&f, &done));
    out->n_before = (int64_t)wf_done_total(done);
    wf_done_destroy(&done);
    return wf_drain_watch(c->drain, c->spec->output.dir);
}

static wf_status make(simulation *s)
{
    size_t n = (size_t)s->c->n_groups, bytes = n * sizeof *s->told;
    const wf_jobspec *spec = s->c->spec;
    bool meet = spec->arrivals.mode == WF_SPEC_OFFLINE || // they take leases, or share arrivals
                spec->arrivals.split == WF_SPEC_SPLIT_LEAST_TOKENS;
    s->child = calloc(n, sizeof *s->child);
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory != MAP_FAILED) s->told = memory;
    if (!s->child || !s->told) return wf_fail(WF_NO_MEMORY, "simulate: out of memory");
    return wf_simtime_create(s->c->n_groups, START_NS, meet, &s->time);
}

static wf_status run_job(simulation *s, wf_runner_outcome *out)
{
    wf_inputs in = {0};
    WF_TRY(make(s));
    wf_status st = begin(s, &in, out);
    wf_inputs_close(&in);
    WF_TRY(st);
    st = run_groups(s, out);
    if (st != WF_OK && st != WF_FAILED_ROWS) return st;
    WF_TRY(wf_folder_complete(s->folder));
    out->folder = s->folder;
    s->folder = NULL;
    return st;
}

wf_status wf_simulate(const wf_simulate_config *config, wf_runner_outcome *out)
{
    simulation s = {.c = config};
    *out = (wf_runner_outcome){0};
    wf_status st = run_job(&s, out);
    wf_folder_end(&s.folder, false);
    wf_simtime_destroy(&s.time);
    if (s.told) munmap(s.told, (size_t)config->n_groups * sizeof *s.told);
    free(s.child);
    return st;
}
