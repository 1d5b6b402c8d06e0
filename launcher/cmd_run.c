// weft run: brings the ranks up, runs the job, merges and reports.
//
//   reader forked -> MPI -> job file -> placement -> threads -> runner -> ranks let go -> merge
//
// Every step that can fail before the runner ends in an agreement, so that all ranks leave together
// and one of them says why. Once the ranks have agreed, only the first one ends with the documented
// exit code: mpirun would kill it in the merge if another ended with anything but 0.
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/base/clock.h"
#include "io/base/fault.h"
#include "io/base/hash.h"
#include "io/base/log.h"
#include "io/reader.h"
#include "jobs/runner.h"
#include "launcher/banner.h"
#include "launcher/commands.h"
#include "launcher/fresh.h"
#include "launcher/jobfile.h"
#include "launcher/parts.h"
#include "launcher/signals.h"
#include "results/merge.h"
#include "results/report.h"

const wf_cli_option wf_run_options[] = {
    {"set", 's', "KEY=VALUE", "sets a key of the job file; may be repeated"},
    {"out", 'o', "DIR", "output folder, as --set output.dir=DIR"},
    {"fresh", 0, NULL, "starts over: discards what earlier runs left in the output folder"},
    {"fresh-if-finished", 0, NULL, "starts over where the job is finished, resumes it where not"},
    {"force", 0, NULL, "goes on in a folder of another model, sampling or seed"},
    {"no-merge", 0, NULL, "leaves the results in sealed segments (weft merge joins them later)"},
    {NULL, 0, NULL, NULL},
};

// All that a run holds on this rank.
typedef struct {
    const wf_cli *cli;
    wf_start start;
    wf_slurm_env slurm;
    int64_t left_s; // until the batch job's end, first rank's word; -1: no limit
    wf_reader *reader;
    wf_world *world;
    wf_jobspec *spec;
    uint64_t config_hash;
    wf_plan *plan;
    wf_thread_plan threads;
    wf_versions versions;
    wf_runner_outcome outcome;
} job_run;

// ---- before MPI ---------------------------------------------------------------------------------

static wf_status prepare(job_run *run)
{
    run->start = wf_start_detect(NULL, NULL);
    if (run->start.kind != WF_START_ALONE) wf_log_set_rank(run->start.rank);
    wf_signals_install();
    WF_TRY(wf_fault_check());
    wf_fault_at(WF_FAULT_START, 1);
    WF_TRY(wf_slurm_env_read(NULL, NULL, &run->slurm));
    run->left_s = run->start.rank == 0 ? wf_slurm_time_left(&run->slurm) : -1;
    return wf_reader_start(&(wf_reader_config){0}, &run->reader);
}

// ---- job file and placement ---------------------------------------------------------------------

// Every rank has read the file for itself; a node with another copy, or another environment, would
// silently compute something else.
static wf_status same_job_check(job_run *run)
{
    char *text = NULL;
    uint64_t first;
    WF_TRY(wf_jobspec_text(run->spec, &text));
    run->config_hash = first = wf_hash64_of(text, strlen(text), 0);
    free(text);
    WF_TRY(run->world->comm->ops->broadcast(run->world->comm, &first, sizeof first, 0));
    wf_status st = WF_OK;
    if (first != run->config_hash) {
        st =
            wf_fail(WF_CONFIG, "this rank reads another job than rank 0: job file, WEFT_ variables "
                               "and working folder must be the same on all nodes");
    }
    return wf_world_agree(run->world, st);
}

static wf_status spec_load(job_run *run)
{
    wf_status st = wf_jobfile_load(run->cli, run->world->rank == 0, &run->spec);
    if (st == WF_OK && run->spec->parallel.layout == WF_SPEC_LAYOUT_GROUPS) {
        st = wf_fail(WF_NOT_BUILT, "parallel.layout: groups is not in this version: use world, or "
                                   "one job per group on shards of its own");
    }
    WF_TRY(wf_world_agree(run->world, st));
    return same_job_check(run);
}

static wf_status placement_make(job_run *run)
{
    wf_plan_input input = {.n_ranks = run->world->size,
                           .node_of_rank = run->world->node_of_rank,
                           .tensor = run->spec->parallel.tensor,
                           .replicas = run->spec->parallel.replicas};
    return wf_world_agree(run->world, wf_plan_make(&input, &run->plan));
}

static wf_status cores_take(job_run *run)
{
    wf_cores cores = {.n = 1, .n_bound = 1};
    wf_status st = wf_cores_count(&cores);
    if (st == WF_OK) {
        wf_thread_input input = {.kind = run->start.kind,
                                 .n_cores = cores.n,
                                 .n_bound = cores.n_bound,
                                 .local = run->world->local,
                                 .n_local = run->world->n_local,
                                 .threads = run->spec->parallel.threads};
        run->threads = wf_threads_decide(&input);
    }
    if (st == WF_OK && run->threads.n_bind > 0 &&
        wf_cores_bind(run->threads.bind_first, run->threads.n_bind) != WF_OK) {
        wf_warn("%s: going on unbound", wf_error());
        run->threads.n_bind = 0;
    }
    return wf_world_agree(run->world, st);
}

static wf_status start_over(job_run *run)
{
    wf_fresh fresh = wf_cli_has(run->cli, "fresh")               ? WF_FRESH_ALWAYS
                     : wf_cli_has(run->cli, "fresh-if-finished") ? WF_FRESH_FINISHED
                                                                 : WF_FRESH_NO;
    bool discarded = false;
    wf_status st = WF_OK;
    if (run->world->rank == 0) st = wf_fresh_start(run->spec->output.dir, fresh, &discarded);
    if (discarded) wf_info("%s: earlier results are discarded", run->spec->output.dir);
    return wf_world_agree(run->world, st);
}

// ---- the run ------------------------------------------------------------------------------------

// When to drain: slurm.signal before the batch job's limit, but not before half of what is left.
static int64_t deadline_of(const job_run *run)
{
    int64_t left_s = run->left_s;
    wf_status st = run->world->comm->ops->broadcast(run->world->comm, &left_s, sizeof left_s, 0);
    if (st != WF_OK || left_s < 0) return INT64_MAX;
    int64_t left_ns = left_s * WF_NS_PER_S, early_ns = run->spec->slurm.signal_ns;
    if (early_ns > left_ns / 2) early_ns = left_ns / 2;
    return wf_clock_ns() + left_ns - early_ns;
}

static wf_status job_do(job_run *run)
{
    char host[HOST_NAME_MAX + 1] = "", job_id[32];
    gethostname(host, sizeof host - 1);
    snprintf(job_id, sizeof job_id, "%" PRId64, run->slurm.job_id);
    const wf_versions *v = &run->versions;
    wf_runner_config config = {.spec = run->spec,
                               .world = run->world->comm,
                               .plan = run->plan,
                               .reader = run->reader,
                               .drain = wf_signals_drain_flag(),
                               .deadline_ns = deadline_of(run),
                               .n_threads = run->threads.threads,
                               .force = wf_cli_has(run->cli, "force"),
                               .job_id = run->slurm.present ? job_id : NULL,
                               .restart = (uint32_t)run->slurm.restarts,
                               .host = host,
                               .versions = {.version_weft = v->weft,
                                            .version_cuda = v->cuda,
                                            .version_nccl = v->nccl,
                                            .version_mpi = v->mpi,
                                            .version_hdf5 = v->hdf5,
                                            .version_pmix = v->pmix}};
    return wf_runner_run(&config, &run->outcome);
}

static wf_status run_ranks(job_run *run)
{
    WF_TRY(spec_load(run));
    WF_TRY(placement_make(run));
    WF_TRY(start_over(run));
    WF_TRY(cores_take(run));
    wf_versions_get(&run->versions);
    if (run->world->rank == 0) {
        wf_banner_print(&(wf_banner){.versions = &run->versions,
                                     .spec = run->spec,
                                     .slurm = &run->slurm,
                                     .world = run->world,
                                     .plan = run->plan,
                                     .threads = run->threads,
                                     .left_s = run->left_s,
                                     .config_hash = run->config_hash});
    }
    wf_status st = job_do(run);
    // Ranks that failed for the same reason all know it; one of them is enough to say it.
    return st == WF_COMM ? st : wf_world_agree(run->world, st);
}

// ---- after it, on the first rank ----------------------------------------------------------------

static wf_status merge_and_report(const job_run *run)
{
    const char *dir = run->spec->output.dir;
    wf_merge_summary merged;
    if (wf_cli_has(run->cli, "no-merge")) return WF_OK;
    WF_TRY(wf_merge(dir, NULL, &merged));
    wf_info("%s/results.h5: %" PRIu64 " rows, %" PRIu64 " tokens, %" PRIu64 " bytes", dir,
            merged.rows, merged.tokens, merged.bytes);
    return wf_report_print(dir, NULL, stdout);
}

// Tells how the run ended; merges when nothing is left.
static wf_status finish(const job_run *run, wf_status st)
{
    const wf_runner_outcome *o = &run->outcome;
    if (st == WF_DRAINED) {
        return wf_fail(WF_DRAINED,
                       "drained: %" PRId64 " of %" PRId64 " requests are done and sealed, %" PRId64
                       " left: run the same command again to continue",
                       o->n_before + o->n_done, o->n_total, o->n_left);
    }
    if (st != WF_OK && st != WF_FAILED_ROWS) return st;
    WF_TRY(merge_and_report(run));
    if (st == WF_OK || !run->spec->slurm.fail_on_row_errors) return WF_OK;
    return wf_fail(WF_FAILED_ROWS, "complete, but requests failed: weft report %s says why",
                   run->spec->output.dir);
}

wf_status wf_cmd_run(const wf_cli *cli)
{
    job_run run = {.cli = cli};
    wf_status st = prepare(&run);
    if (st == WF_OK) st = wf_world_start(&run.start, &run.world);
    if (st == WF_OK) st = run_ranks(&run);
    wf_reader_close(&run.reader);
    int rank = run.world ? run.world->rank : run.start.rank;
    bool together = run.world != NULL;
    wf_world_stop(&run.world);
    if (rank == 0) st = finish(&run, st);
    wf_plan_destroy(&run.plan);
    wf_jobspec_destroy(&run.spec);
    if (rank == 0 || !together) return st;
    if (st != WF_OK && wf_error()[0]) wf_say_error("%s", wf_error());
    return WF_OK;
}
