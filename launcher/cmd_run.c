// weft run: brings the ranks up, runs the job, merges and reports.
//
//   reader forked -> MPI -> job file -> placement -> threads -> runner -> ranks let go -> merge
//                                |-> conductor, where groups are to be worlds of their own -> merge
//
// What the conductor starts is this command again: one group of the job
// (launcher/conductor/part.h).
//
// Every step that can fail before the runner ends in an agreement, so that all ranks leave together
// and one of them says why. Once the ranks have agreed, only the first one ends with the documented
// exit code: mpirun would kill it in the merge if another ended with anything but 0.
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/base/arena.h"
#include "io/base/clock.h"
#include "io/base/fault.h"
#include "io/base/hash.h"
#include "io/base/log.h"
#include "io/base/parse.h"
#include "io/base/text.h"
#include "io/shard/reader.h"
#include "jobs/run/runner.h"
#include "jobs/spec/inputs.h"
#include "launcher/bringup/banner.h"
#include "launcher/bringup/device_look.h"
#include "launcher/bringup/parts.h"
#include "launcher/bringup/signals.h"
#include "launcher/commands.h"
#include "launcher/companion.h"
#include "launcher/conductor/conductor.h"
#include "launcher/conductor/part.h"
#include "launcher/fresh.h"
#include "launcher/jobfile.h"
#include "launcher/progressless.h"
#include "launcher/text_job.h"
#include "launcher/watch/ask_queue.h"
#include "results/merge.h"
#include "results/report.h"

const wf_cli_option wf_run_options[] = {
    {"set", 's', "KEY=VALUE", "sets a key of the job file; may be repeated"},
    {"out", 'o', "DIR", "output folder, as --set output.dir=DIR"},
    {"fresh", 0, NULL, "starts over: discards what earlier runs left in the output folder"},
    {"fresh-if-finished", 0, NULL, "starts over where the job is finished, resumes it where not"},
    {"retry-failed", 0, NULL, "does the requests again that failed in earlier runs"},
    {"max-time", 0, "TIME", "drains so as to end within this long (3h, 90m, 01:30:00)"},
    {"force", 0, NULL, "goes on in a folder of another model, sampling or seed"},
    {"part", 0, "I/N", "only part I of N: the shards I, I+N ... of the job, into DIR/aI"},
    {"give-up", 0, "N", "ends with 69, not 75, after N runs in a row that sealed nothing"},
    {"profile", 0, NULL,
     "measures every operation on rank 0: a table, and profile.csv in the folder"},
    {"verbose", 'v', NULL, "says more: placement, memory, the whole report; batch jobs always do"},
    {"no-merge", 0, NULL, "leaves the results in sealed segments (weft merge joins them later)"},
    {"print", 0, "FORM", NULL}, // weft generate without output.text: answers, and no report
    // What the conductor gives: one group of a job with layout: groups, its run, how often the
    // group was started again, and its ranks' places among those of a node.
    {"group", 0, "G/N", NULL},
    {"run", 0, "R", NULL},
    {"epoch", 0, "E", NULL},
    {"places", 0, "P,P/N", NULL},
    {NULL, 0, NULL, NULL},
};

// All that a run holds on this rank.
typedef struct {
    const wf_cli *cli;
    wf_start start;
    wf_slurm_env slurm;
    int64_t left_s;      // until the batch job's end, first rank's word; -1: no limit
    int64_t start_ns;    // of wf_clock_ns(): when left_s was asked for
    int64_t max_time_ns; // from then on; INT64_MAX: not given
    wf_drain *drain;
    int64_t drain_from_ns; // when the drain begins by itself; INT64_MAX: no limit is known
    bool tells_all;        // details in the log, the whole report
    long long give_up;     // after so many runs without progress; 0: never
    wf_reader *reader;
    wf_world *world;
    wf_jobspec *spec;
    uint64_t config_hash;
    wf_part part; // one group of a conducted job, or none
    bool conducted;
    wf_plan *plan;
    bool some_bad; // rows of prompts files, which fail
    wf_own_device device;
    wf_thread_plan threads;
    wf_versions versions;
    wf_runner_outcome outcome;
} job_run;

// ---- before MPI ---------------------------------------------------------------------------------

static wf_status max_time_read(job_run *run)
{
    const char *text = wf_cli_value(run->cli, "max-time");
    run->max_time_ns = INT64_MAX;
    if (!text || wf_parse_duration(text, &run->max_time_ns) == WF_OK) return WF_OK;
    return wf_cli_fail(run->cli, "--max-time: %s", wf_error());
}

static wf_status prepare(job_run *run)
{
    run->start = wf_start_detect(NULL, NULL);
    WF_TRY(wf_part_read(run->cli, &run->part));
    if (run->start.kind != WF_START_ALONE) wf_log_set_rank(run->start.rank);
    wf_signals_install();
    WF_TRY(wf_fault_check());
    wf_fault_at(WF_FAULT_START, 1);
    WF_TRY(wf_cli_i64(run->cli, "give-up", 1, INT32_MAX, 0, &run->give_up));
    WF_TRY(wf_slurm_env_read(NULL, NULL, &run->slurm));
    WF_TRY(max_time_read(run));
    run->tells_all = wf_cli_has(run->cli, "verbose") || run->slurm.present;
    if (run->tells_all) wf_log_set_default(WF_LOG_DETAIL);
    run->left_s = run->start.rank == 0 ? wf_slurm_time_left(&run->slurm) : -1;
    run->start_ns = wf_clock_ns();
    return wf_reader_start(&(wf_reader_config){.look = wf_folder_look}, &run->reader);
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

// What a job of text needs besides, looked for before anything is done.
static wf_status text_check(const job_run *run)
{
    if (!wf_text_job_is(run->spec) && !wf_cli_has(run->cli, "print")) return WF_OK;
    if (run->spec->output.text[0] && wf_cli_has(run->cli, "no-merge"))
        return wf_cli_fail(run->cli, "--no-merge and output.text: answers need merged results");
    return wf_companion_check();
}

static wf_status spec_load(job_run *run)
{
    bool speaks = run->world->rank == 0 && !run->part.is_one;
    wf_status st = wf_jobfile_load(run->cli, speaks, &run->spec);
    if (st == WF_OK && speaks) st = text_check(run);
    if (st == WF_OK && run->spec->parallel.layout == WF_SPEC_LAYOUT_GROUPS && !run->part.is_one &&
        run->start.kind != WF_START_ALONE) {
        st = wf_fail(WF_USAGE, "parallel.layout: groups starts its ranks itself: run weft without "
                               "mpirun or srun, in a batch job from its script");
    }
    WF_TRY(wf_world_agree(run->world, st));
    return same_job_check(run);
}

// Before anything is placed: whoever is told to start 3 ranks should not learn then that the model
// cannot be split in three.
static wf_status split_check(job_run *run)
{
    bool speaks = run->world->rank == 0 && !run->part.is_one;
    return wf_world_agree(run->world, speaks ? wf_inputs_model_check(run->spec) : WF_OK);
}

static wf_status placement_make(job_run *run)
{
    wf_plan_input input = {.n_ranks = run->world->size,
                           .node_of_rank = run->world->node_of_rank,
                           .tensor = run->spec->parallel.tensor,
                           .replicas = run->part.is_one ? 1 : run->spec->parallel.replicas};
    wf_status st = wf_plan_make(&input, &run->plan);
    if (st == WF_OK && run->part.is_one)
        st = wf_part_place(&run->part, run->world, run->spec->parallel.tensor);
    return wf_world_agree(run->world, st);
}

// Nobody asks for GPUs to leave them idle.
static void say_no_device(const job_run *run)
{
    const char *given = getenv("SLURM_GPUS_ON_NODE");
    if (run->device.number >= 0) return;
    if (given)
        wf_warn("the job has GPUs (SLURM_GPUS_ON_NODE=%s) and computes on the CPU: %s", given,
                run->device.why);
    else if (run->device.broken)
        wf_warn("a CUDA driver is here and the job computes on the CPU: %s", run->device.why);
    else
        wf_debug("devices: %s", run->device.why);
}

// Who computes on which device; all on the host where the job says so or there is none.
static wf_status devices_take(job_run *run)
{
    char remark[WF_DEVICE_REMARK] = "";
    wf_spec_backend backend = run->spec->parallel.backend;
    int *device = NULL;
    run->device = (wf_own_device){.number = -1, .numa = -1};
    if (backend != WF_SPEC_BACKEND_AUTO && backend != WF_SPEC_BACKEND_CUDA) return WF_OK;
    wf_device_need need = backend == WF_SPEC_BACKEND_CUDA ? WF_DEVICES_MUST : WF_DEVICES_IF_ANY;
    WF_TRY(wf_alloc((size_t)run->world->size, sizeof *device, &device));
    wf_status st =
        wf_devices_take(run->world, run->world->local, need, device, &run->device, remark);
    for (int r = 0; r < run->world->size && st == WF_OK; r++)
        run->plan->rank[r].device = device[r];
    free(device);
    if (remark[0] && run->world->rank == 0) wf_warn("%s", remark);
    if (st == WF_OK && run->world->rank == 0) say_no_device(run);
    return wf_world_agree(run->world, st);
}

// This rank among those of its node that are near the same cores.
static wf_status neighbours_count(job_run *run, int *local, int *n_local)
{
    wf_world *world = run->world;
    uint64_t own[2] = {(uint64_t)world->node_of_rank[world->rank],
                       wf_hash64_of(run->device.near, strlen(run->device.near), 0)};
    uint64_t (*all)[2] = NULL;
    *local = world->local;
    *n_local = world->n_local;
    if (!run->device.near[0]) return WF_OK;
    WF_TRY(wf_alloc((size_t)world->size, sizeof *all, &all));
    wf_status st = world->comm->ops->all_gather(world->comm, NULL, own, sizeof own, all);
    *local = *n_local = 0;
    for (int r = 0; r < world->size && st == WF_OK; r++) {
        if (all[r][0] != own[0] || all[r][1] != own[1]) continue;
        *local += r < world->rank;
        ++*n_local;
    }
    free(all);
    return st;
}

static wf_status cores_take(job_run *run)
{
    wf_cores cores = {.n = 1, .n_bound = 1};
    int local = 0, n_local = 1;
    if (run->part.is_one) run->device.near[0] = '\0'; // other groups' devices are not known here
    const char *near = run->device.near;
    WF_TRY(neighbours_count(run, &local, &n_local));
    wf_status st = wf_cores_count(near, &cores);
    if (st == WF_OK) {
        wf_thread_input input = {.kind = run->start.kind,
                                 .n_cores = cores.n,
                                 .n_bound = cores.n_bound,
                                 .local = local,
                                 .n_local = n_local,
                                 .threads = run->spec->parallel.threads};
        run->threads = wf_threads_decide(&input);
    }
    if (st == WF_OK && run->threads.n_bind > 0 &&
        wf_cores_bind(near, run->threads.bind_first, run->threads.n_bind) != WF_OK) {
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
    // A first start is a person's wish; Slurm repeats lost starts for ever.
    if (run->world->rank == 0 && run->slurm.restarts > 0)
        st = wf_progressless_check(run->spec->output.dir, run->give_up);
    WF_TRY(wf_world_agree(run->world, st));
    if (run->world->rank == 0) st = wf_fresh_start(run->spec->output.dir, fresh, &discarded);
    if (discarded) wf_info("%s: earlier results are discarded", run->spec->output.dir);
    return wf_world_agree(run->world, st);
}

// One process turns text into shards; the others wait for it in the agreement.
static wf_status text_encode(job_run *run)
{
    wf_status st = WF_OK;
    if (run->world->rank == 0 && !run->part.is_one)
        st = wf_text_job_encode(run->spec, wf_cli_has(run->cli, "force"), run->drain,
                                &run->some_bad);
    return wf_world_agree(run->world, st);
}

// ---- the run ------------------------------------------------------------------------------------

// The batch job's end or --max-time, whichever comes first, as all ranks see it; and when to begin
// to drain: slurm.signal (or output.drain) earlier, but not before half of what is left.
static wf_status limits_find(job_run *run, int64_t *begin_ns, int64_t *end_ns)
{
    int64_t gone_ns = wf_clock_ns() - run->start_ns;
    int64_t limit_ns = run->left_s >= 0 ? run->left_s * WF_NS_PER_S : INT64_MAX;
    bool own = run->max_time_ns < limit_ns;
    int64_t early_ns = own ? run->spec->output.drain_ns : run->spec->slurm.signal_ns;
    if (own) limit_ns = run->max_time_ns;
    int64_t words[2] = {limit_ns == INT64_MAX ? INT64_MAX : limit_ns - gone_ns, early_ns};
    wf_comm *world = run->world->comm;
    WF_TRY(world->ops->broadcast(world, words, sizeof words, 0));
    *begin_ns = *end_ns = INT64_MAX;
    if (words[0] == INT64_MAX) return WF_OK;
    int64_t left_ns = words[0] > 0 ? words[0] : 0;
    *end_ns = wf_clock_ns() + left_ns;
    *begin_ns = *end_ns - (words[1] < left_ns / 2 ? words[1] : left_ns / 2);
    return WF_OK;
}

static wf_status drain_begin(job_run *run)
{
    wf_drain_config c = {.signals = wf_signals_seen(),
                         .grace_ns = run->spec->output.drain_ns,
                         .alone = run->part.is_one};
    wf_status st = limits_find(run, &c.begin_ns, &c.end_ns);
    run->drain_from_ns = c.begin_ns;
    if (st == WF_OK) st = wf_drain_start(&c, &run->drain);
    return wf_world_agree(run->world, st);
}

// The texts that a wf_folder_start borrows.
typedef struct {
    char job_id[32], command[2100];
} start_texts;

static wf_folder_start start_describe(const job_run *run, int n_ranks, start_texts *texts)
{
    char line[1024], mpirun[1024];
    snprintf(texts->job_id, sizeof texts->job_id, "%" PRId64, run->slurm.job_id);
    wf_cli_shell_line(run->cli, "--fresh", line, sizeof line); // again is no start from nothing
    wf_start_mpirun(wf_cli_program(run->cli), mpirun, sizeof mpirun);
    wf_start_command(&run->start, mpirun, n_ranks, line, texts->command, sizeof texts->command);
    return (wf_folder_start){.job_id = run->slurm.present ? texts->job_id : NULL,
                             .restart = (uint32_t)run->slurm.restarts,
                             .ask_owner = wf_ask_queue,
                             .command = texts->command,
                             .force = wf_cli_has(run->cli, "force"),
                             .retry_failed = wf_cli_has(run->cli, "retry-failed")};
}

static wf_status job_do(job_run *run)
{
    char host[HOST_NAME_MAX + 1] = "";
    start_texts texts;
    gethostname(host, sizeof host - 1);
    const wf_versions *v = &run->versions;
    bool profiled = wf_cli_has(run->cli, "profile");
    wf_runner_config config = {.spec = run->spec,
                               .world = run->world->comm,
                               .plan = run->plan,
                               .part = run->part.is_one ? &run->part.of : NULL,
                               .reader = run->reader,
                               .drain = run->drain,
                               .deadline_ns = run->drain_from_ns,
                               .n_threads = run->threads.threads,
                               .start = start_describe(run, run->world->size, &texts),
                               .host = host,
                               .profiled = profiled,
                               .profile = profiled && run->world->rank == 0 ? stdout : NULL,
                               .versions = {.version_weft = v->weft,
                                            .version_cuda = v->cuda,
                                            .version_nccl = v->nccl,
                                            .version_mpi = v->mpi,
                                            .version_hdf5 = v->hdf5,
                                            .version_pmix = v->pmix,
                                            .version_driver = v->driver}};
    return wf_runner_run(&config, &run->outcome);
}

// ---- groups as worlds of their own --------------------------------------------------------------

static void print_conducted(const job_run *run, const wf_site *site)
{
    const wf_plan *plan = site->plan;
    int n_spare = site->n_places - plan->n_groups * plan->tensor;
    wf_detail("weft %s" WF_BANNER_MARK "%016" PRIx64, run->versions.weft, run->config_hash);
    if (run->slurm.present)
        wf_info("slurm job %" PRId64 ", restart %" PRId64, run->slurm.job_id, run->slurm.restarts);
    wf_info("%d group%s of %d, each a world of its own, on %zu node%s; %d place%s to spare",
            plan->n_groups, WF_S(plan->n_groups), plan->tensor, site->nodes.n, WF_S(site->nodes.n),
            n_spare, WF_S(n_spare));
    wf_info("job %s: %zu shard%s -> %s", run->spec->job, run->spec->requests.n,
            WF_S(run->spec->requests.n), run->spec->output.dir);
}

static wf_status conduct(job_run *run, wf_site *site)
{
    start_texts texts;
    WF_TRY(start_over(run));
    WF_TRY(text_encode(run));
    wf_versions_get(&run->versions);
    print_conducted(run, site);
    wf_conductor_config config = {.spec = run->spec,
                                  .site = site,
                                  .reader = run->reader,
                                  .drain = run->drain,
                                  .start = start_describe(run, 1, &texts)};
    return wf_conduct(&config, &run->outcome);
}

// Whether groups are to be worlds of their own: as the job file says or, left to us, in a batch
// script with more than one rank to place and nothing timed.
static bool may_conduct(const job_run *run)
{
    wf_spec_layout layout = run->spec->parallel.layout;
    if (run->start.kind != WF_START_ALONE || run->part.is_one) return false;
    if (layout == WF_SPEC_LAYOUT_GROUPS) return true;
    return layout == WF_SPEC_LAYOUT_AUTO && run->slurm.present && !run->slurm.in_step &&
           run->spec->arrivals.mode == WF_SPEC_OFFLINE;
}

// Runs the job as a conductor, if it is to be run so; else nothing was done.
static wf_status try_to_conduct(job_run *run)
{
    wf_site site;
    bool asked = run->spec->parallel.layout == WF_SPEC_LAYOUT_GROUPS;
    if (!may_conduct(run)) return WF_OK;
    wf_status st = wf_site_find(run->spec, &run->slurm, &site);
    run->conducted = st == WF_OK && (asked || site.plan->n_groups * site.plan->tensor > 1);
    if (run->conducted) st = conduct(run, &site);
    wf_site_free(&site);
    return st;
}

// ---- all together -------------------------------------------------------------------------------

static wf_status run_ranks(job_run *run)
{
    WF_TRY(spec_load(run));
    WF_TRY(split_check(run));
    WF_TRY(drain_begin(run));
    WF_TRY(try_to_conduct(run));
    if (run->conducted) return WF_OK;
    WF_TRY(placement_make(run));
    if (!run->part.is_one) WF_TRY(start_over(run));
    WF_TRY(text_encode(run));
    WF_TRY(devices_take(run));
    WF_TRY(cores_take(run));
    wf_versions_get(&run->versions);
    if (run->world->rank == 0 && !run->part.is_one) {
        wf_banner_print(&(wf_banner){.versions = &run->versions,
                                     .spec = run->spec,
                                     .slurm = &run->slurm,
                                     .world = run->world,
                                     .plan = run->plan,
                                     .device = &run->device,
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
    const char *dir = run->spec->output.dir, *form = wf_cli_value(run->cli, "print");
    wf_merge_summary merged;
    const wf_report_options options = {.form = run->tells_all ? WF_REPORT_TEXT : WF_REPORT_BRIEF};
    if (wf_cli_has(run->cli, "no-merge")) return WF_OK;
    wf_status st =
        wf_merge(dir, &(wf_merge_options){.stop = wf_drain_level_of(run->drain)}, &merged);
    if (st == WF_DRAINED)
        return wf_fail(
            WF_DRAINED,
            "all requests are done and sealed, but not merged: run the same command again, "
            "or weft merge %s",
            dir);
    WF_TRY(st);
    wf_detail("%s/results.h5: %" PRIu64 " row%s, %" PRIu64 " token%s, %" PRIu64 " bytes", dir,
              merged.rows, WF_S(merged.rows), merged.tokens, WF_S(merged.tokens), merged.bytes);
    WF_TRY(wf_text_job_answer(run->spec, run->drain));
    if (form && !run->spec->output.text[0]) return wf_text_job_print(run->spec, form, run->drain);
    return wf_report_print(dir, &options, stdout);
}

// Tells how the run ended; merges when nothing is left.
static wf_status finish(const job_run *run, wf_status st)
{
    const wf_runner_outcome *o = &run->outcome;
    if (st == WF_DRAINED) WF_TRY(wf_progressless_check(run->spec->output.dir, run->give_up));
    if (st == WF_DRAINED && run->conducted && o->n_total > 0) return st; // it has said why
    if (st == WF_DRAINED && o->n_total == 0) {
        char why[128];
        return wf_fail(WF_DRAINED,
                       "drained before its first step (%s): run the same command again to continue",
                       wf_drain_why(run->drain, why, sizeof why));
    }
    if (st == WF_DRAINED) {
        return wf_fail(WF_DRAINED,
                       "drained: %" PRId64 " of %" PRId64 " request%s %s done and sealed, %" PRId64
                       " left: run the same command again to continue",
                       o->n_before + o->n_done, o->n_total, WF_S(o->n_total), WF_ARE(o->n_total),
                       o->n_left);
    }
    if (st != WF_OK && st != WF_FAILED_ROWS) return st;
    WF_TRY(merge_and_report(run));
    if (!run->spec->slurm.fail_on_row_errors) return WF_OK;
    if (st == WF_OK && run->some_bad)
        return wf_fail(WF_FAILED_ROWS, "complete, but rows of the prompts files are bad: see the "
                                       "log above and the answers");
    if (st == WF_OK) return WF_OK;
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
    if (rank == 0 && !run.part.is_one) st = finish(&run, st);
    wf_folder_end(&run.outcome.folder, false);
    wf_drain_stop(&run.drain);
    wf_plan_destroy(&run.plan);
    wf_jobspec_destroy(&run.spec);
    if (rank == 0 || !together) return st;
    if (st != WF_OK && wf_error()[0]) wf_say_error("%s", wf_error());
    return WF_OK;
}
