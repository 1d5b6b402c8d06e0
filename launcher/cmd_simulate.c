// weft simulate: a job as it would run on devices that need not be here.
//
//   job file, costs of operations -> groups in simulated time -> results.h5, report
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/base/clock.h"
#include "io/base/log.h"
#include "io/base/parse.h"
#include "io/base/text.h"
#include "io/shard/reader.h"
#include "jobs/run/simulate.h"
#include "launcher/bringup/signals.h"
#include "launcher/commands.h"
#include "launcher/fresh.h"
#include "launcher/jobfile.h"
#include "launcher/machine_option.h"
#include "launcher/text_job.h"
#include "launcher/version.h"
#include "results/merge.h"
#include "results/report.h"

const wf_cli_option wf_simulate_options[] = {
    {"set", 's', "KEY=VALUE", "sets a key of the job file; may be repeated"},
    {"out", 'o', "DIR", "output folder: not that of a real run"},
    {"costs", 0, "FILE",
     "profile.csv of weft run --profile on the device, with this model or another"},
    {"machine", 0, "NAME|FILE", "its row, e.g. h200: links, and without --costs all the rest"},
    {"machine-set", 0, "KEY=VALUE", "a number of the machine; may be repeated"},
    {"share", 0, "X", "without --costs: share of the machine's limits that is reached, else 0.75"},
    {"step", 0, "TIME", "what a step takes beside its operations; else as the costs say"},
    {"groups", 'g', "N", "as if so many groups ran; else parallel.replicas"},
    {"fresh", 0, NULL, "starts over: discards what the folder has"},
    {NULL, 0, NULL, NULL},
};

// The device's own links and libraries take microseconds where nobody has measured.
#define ASSUMED_SHARE   0.75
#define ASSUMED_CALL_NS 2000.0

typedef struct simulating {
    const wf_cli *cli;
    wf_jobspec *spec;
    wf_machine machine;
    char *machine_text;
    wf_costs *costs;
    wf_reader *reader;
    wf_drain *drain;
    long long n_groups;
    int64_t began_ns;
    wf_runner_outcome outcome;
} simulating;

// ---- costs --------------------------------------------------------------------------------------

static wf_status costs_assume(simulating *s)
{
    const wf_machine *m = &s->machine;
    double share = ASSUMED_SHARE;
    const char *text = wf_cli_value(s->cli, "share");
    if (text && (wf_parse_f64(text, 0.01, 1.0, &share) != WF_OK))
        return wf_cli_fail(s->cli, "--share: \"%s\" is no number from 0.01 to 1", text);
    wf_costs_device d = {.memory_bytes = m->memory_bytes,
                         .bytes_per_ns = m->memory_rate * 1e-9,
                         .flops_per_ns = m->flops[WF_RATE_BF16] * 1e-9,
                         .call_ns = ASSUMED_CALL_NS};
    snprintf(d.name, sizeof d.name, "%.60s, as assumed", m->name);
    return wf_costs_assume(&d, share, &s->costs);
}

static wf_status costs_find(simulating *s)
{
    const char *path = wf_cli_value(s->cli, "costs"), *step = wf_cli_value(s->cli, "step");
    int64_t step_ns = 0;
    if (!path && !wf_cli_has(s->cli, "machine"))
        return wf_cli_fail(s->cli, "--costs or --machine: what an operation takes is not known");
    if (wf_cli_has(s->cli, "machine"))
        WF_TRY(wf_machine_option(s->cli, &s->machine, &s->machine_text));
    WF_TRY(path ? wf_costs_read(path, &s->costs) : costs_assume(s));
    if (s->machine.name)
        wf_costs_set_links(s->costs, s->machine.link_rate * 1e-9, s->machine.hop_s * 1e9);
    if (!step) return WF_OK;
    if (wf_parse_duration(step, &step_ns) != WF_OK)
        return wf_cli_fail(s->cli, "--step: %s", wf_error());
    wf_costs_set_step(s->costs, (double)step_ns);
    return WF_OK;
}

// ---- the run ------------------------------------------------------------------------------------

static wf_status prepare(simulating *s)
{
    s->began_ns = wf_clock_ns();
    wf_signals_install();
    if (!wf_cli_has(s->cli, "out"))
        return wf_cli_fail(s->cli, "-o DIR: simulated results need a folder of their own");
    WF_TRY(wf_cli_i64(s->cli, "groups", 1, WF_SIMULATE_MOST_GROUPS, 0, &s->n_groups));
    WF_TRY(wf_reader_start(&(wf_reader_config){.look = wf_folder_look}, &s->reader));
    WF_TRY(costs_find(s));
    WF_TRY(wf_jobfile_load(s->cli, true, &s->spec));
    s->spec->model.weights = WF_SPEC_WEIGHTS_RANDOM; // none are read
    if (s->n_groups == 0)
        s->n_groups = s->spec->parallel.replicas > 0 ? s->spec->parallel.replicas : 1;
    return WF_OK;
}

static wf_status begin(simulating *s)
{
    bool discarded = false, bad = false;
    const wf_drain_config drain = {.signals = wf_signals_seen(),
                                   .begin_ns = INT64_MAX,
                                   .end_ns = INT64_MAX,
                                   .grace_ns = s->spec->output.drain_ns};
    if (wf_cli_has(s->cli, "fresh"))
        WF_TRY(wf_fresh_start(s->spec->output.dir, WF_FRESH_ALWAYS, &discarded));
    WF_TRY(wf_drain_start(&drain, &s->drain));
    return wf_text_job_encode(s->spec, false, s->drain, &bad);
}

static wf_status simulate(simulating *s)
{
    char host[HOST_NAME_MAX + 1] = "", command[2048];
    wf_versions versions;
    gethostname(host, sizeof host - 1);
    wf_versions_get(&versions);
    wf_cli_shell_line(s->cli, "--fresh", command, sizeof command);
    const wf_simulate_config c = {
        .spec = s->spec,
        .costs = s->costs,
        .n_groups = (int)s->n_groups,
        .reader = s->reader,
        .drain = s->drain,
        .signals = wf_signals_seen(),
        .start = {.command = command},
        .host = host,
        .versions = {.version_weft = versions.weft, .version_hdf5 = versions.hdf5}};
    return wf_simulate(&c, &s->outcome);
}

static wf_status report(const simulating *s)
{
    wf_merge_summary merged;
    const char *dir = s->spec->output.dir;
    double simulated_s = (double)s->outcome.elapsed_ns / (double)WF_NS_PER_S;
    double took_s = (double)(wf_clock_ns() - s->began_ns) / (double)WF_NS_PER_S;
    WF_TRY(wf_merge(dir, &(wf_merge_options){.stop = wf_drain_level_of(s->drain)}, &merged));
    wf_info("%.1f s simulated in %.1f s", simulated_s, took_s);
    return wf_report_print(dir, NULL, stdout);
}

// What ended well but for some requests is told, and says so in the end.
static wf_status report_and(const simulating *s, wf_status ended)
{
    WF_TRY(report(s));
    if (ended == WF_OK) return WF_OK;
    return wf_fail(ended, "complete; %lld requests failed, weft report shows why",
                   (long long)s->outcome.n_failed);
}

wf_status wf_cmd_simulate(const wf_cli *cli)
{
    simulating s = {.cli = cli};
    wf_status st = prepare(&s);
    if (st == WF_OK) st = begin(&s);
    if (st == WF_OK) st = simulate(&s);
    wf_reader_close(&s.reader);
    if (st == WF_OK || st == WF_FAILED_ROWS) st = report_and(&s, st);
    wf_folder_end(&s.outcome.folder, false);
    wf_drain_stop(&s.drain);
    wf_costs_destroy(&s.costs);
    wf_machine_free(&s.machine);
    free(s.machine_text);
    wf_jobspec_destroy(&s.spec);
    return st;
}
