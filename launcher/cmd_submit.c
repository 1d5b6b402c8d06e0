// weft submit and weft cancel: a job's way into Slurm's queue and out of it.
//
//   job file -> checks -> <out>/submit/{job.yaml, job.sh} -> sbatch -> <out>/submit/jobs.jsonl
//
// What can be known before a job waits for hours is checked before: the job file, that inputs are
// there, that the ranks can be placed, that no earlier submission still works in the folder.
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/base/arena.h"
#include "io/base/clock.h"
#include "io/base/file.h"
#include "io/base/guard.h"
#include "io/base/log.h"
#include "io/results/runfile_owner.h"
#include "jobs/run/folder.h"
#include "jobs/spec/inputs.h"
#include "jobs/spec/plan.h"
#include "launcher/commands.h"
#include "launcher/companion.h"
#include "launcher/conductor/conductor_site.h"
#include "launcher/jobfile.h"
#include "launcher/study_array.h"
#include "launcher/submission.h"
#include "launcher/text_job.h"
#include "slurm/partition.h"
#include "slurm/script.h"

// Runs in a row that finish nothing, after which a job is not requeued again.
enum { GIVE_UP = 3, MOST_JOBS = 1000 };

const wf_cli_option wf_submit_options[] = {
    {"set", 's', "KEY=VALUE", "sets a key of the job file; may be repeated"},
    {"out", 'o', "DIR", "output folder, as --set output.dir=DIR"},
    {"dry-run", 'n', NULL, "prints the batch script and does nothing"},
    {"array", 'a', "N", "an array of N tasks; task I runs the shards I, I+N ... into DIR/aI"},
    {"chain", 'c', "N", "N jobs, one after the other, instead of requeueing one"},
    {"write", 'w', NULL, "writes DIR/submit/job.yaml and job.sh for sbatch, and submits nothing"},
    {"force", 0, NULL, "goes on in a folder of another model, sampling or seed"},
    {NULL, 0, NULL, NULL},
};

const wf_cli_option wf_cancel_options[] = {
    {"now", 0, NULL, "ends the job with SIGTERM; Slurm kills what is left after its KillWait"},
    {NULL, 0, NULL, NULL},
};

// Everything that the script is made of; the texts that it borrows.
typedef struct {
    wf_jobspec *spec;
    wf_script script;
    char folder[PATH_MAX], weft[PATH_MAX];
    char *out_dir, *job_file, *model;
    wf_paths mounts;
    const char **mount;
    long long n_chain, n_array;
    bool only_writes;
} submission;

static void submission_free(submission *s)
{
    wf_jobspec_destroy(&s->spec);
    wf_paths_destroy(&s->mounts);
    free(s->mount);
    free(s->out_dir);
    free(s->job_file);
    free(s->model);
}

// ---- checks -------------------------------------------------------------------------------------

static int divide_up(int a, int b)
{
    return (a + b - 1) / b;
}

// Ranks on each node: as said, else one for each GPU, else what the groups need, and one group on
// each node where their number is left open.
static int tasks_per_node(const wf_jobspec *spec)
{
    int nodes = spec->slurm.nodes > 0 ? spec->slurm.nodes : 1;
    if (spec->slurm.tasks_per_node > 0) return spec->slurm.tasks_per_node;
    if (spec->slurm.gpus_per_node > 0) return spec->slurm.gpus_per_node;
    if (spec->parallel.replicas == 0) return spec->parallel.tensor;
    return divide_up(spec->parallel.tensor * spec->parallel.replicas, nodes);
}

static wf_status placement_check(const submission *s)
{
    const wf_script *script = &s->script;
    int *node_of_rank = NULL, n = script->nodes * script->tasks_per_node;
    wf_plan *plan = NULL;
    WF_TRY(wf_alloc((size_t)n, sizeof *node_of_rank, &node_of_rank));
    for (int r = 0; r < n; r++)
        node_of_rank[r] = r / script->tasks_per_node;
    wf_plan_input input = {.n_ranks = n,
                           .node_of_rank = node_of_rank,
                           .n_devices = script->gpus_per_node,
                           .tensor = s->spec->parallel.tensor,
                           .replicas = s->spec->parallel.replicas};
    wf_status st = wf_plan_make(&input, &plan);
    wf_plan_destroy(&plan);
    free(node_of_rank);
    return st;
}

// A job that was submitted earlier and has not ended would be refused the folder, or refuse this
// one, hours later.
static wf_status queue_check(const char *out_dir)
{
    wf_queue_job *jobs = NULL;
    size_t n = 0;
    WF_TRY(wf_submission_find(out_dir, &jobs, &n));
    wf_status st = WF_OK;
    for (size_t i = 0; i < n && st == WF_OK; i++) {
        if (jobs[i].phase == WF_QUEUE_ENDED) continue;
        st =
            wf_fail(WF_IN_USE,
                    "%s: job %s (%s) was submitted to work there already: wait for it, end it with "
                    "weft cancel %s, or choose another output.dir",
                    out_dir, jobs[i].id, jobs[i].state, out_dir);
    }
    free(jobs);
    return st;
}

// Options of slurm.extra win over what is checked here.
static bool has_own_say(const wf_script *script)
{
    static const char *const options[] = {"-p", "--partition", "-N", "--nodes",
                                          "-t", "--time",      "-M", "--clusters"};
    for (size_t i = 0; i < script->n_extra; i++)
        for (size_t k = 0; k < sizeof options / sizeof options[0]; k++)
            if (strncmp(script->extra[i], options[k], strlen(options[k])) == 0) return true;
    return false;
}

// Slurm takes a job that its partition can never start, and lets it wait.
static wf_status partition_check(const wf_script *script)
{
    const char *given = getenv("SBATCH_PARTITION");
    const char *names = script->partition[0] ? script->partition : given ? given : "";
    wf_partition *partitions = NULL;
    size_t n = 0;
    if (has_own_say(script)) return WF_OK;
    wf_status st = wf_partitions_find(&partitions, &n);
    if (st == WF_OK)
        st = wf_partitions_check(partitions, n, names, script->nodes, script->time_s);
    else
        wf_debug("%s", wf_error()); // sbatch says it better
    free(partitions);
    return st == WF_CONFIG ? st : WF_OK;
}

// The job's first run turns text into shards; slurm.setup may be what makes the companion known.
static void companion_look(const wf_jobspec *spec)
{
    if (!wf_text_job_is(spec) || spec->slurm.container[0] || wf_companion_check() == WF_OK) return;
    wf_warn("%s; on the nodes slurm.setup must make it known", wf_error());
}

static wf_status done_look(void *context, FILE *out, void *result)
{
    (void)out;
    return wf_folder_is_done(context, result);
}

// Where that cannot be told, for a segment that is damaged, the run will.
static bool looks_done(wf_folder_config *config)
{
    bool done = false, died = false;
    const wf_guard_config guard = {
        .work = done_look, .context = config, .result_bytes = sizeof done};
    if (wf_guard_run(&guard, &done, &died) == WF_OK) return done;
    wf_debug("%s", wf_error());
    return false;
}

// What the run would refuse when its turn comes: shards that are none, a model that cannot be
// split, a folder that holds another job's results.
static wf_status inputs_check(const submission *s, bool *is_done)
{
    const wf_jobspec *spec = s->spec;
    wf_reader *reader = NULL;
    wf_inputs in = {0};
    wf_inputs_model model;
    WF_TRY(wf_text_job_check(spec));
    if (wf_text_job_waiting(spec) > 0) return wf_inputs_model_look(spec, &model);
    WF_TRY(wf_reader_start(&(wf_reader_config){0}, &reader));
    wf_status st = wf_inputs_open(spec, reader, &in);
    if (st == WF_OK) st = wf_inputs_check_parts(&in, spec, reader, (int)s->n_array);
    if (st == WF_OK) st = wf_inputs_model_look(spec, &model);
    if (st == WF_OK) {
        wf_folder_config config = {.spec = spec,
                                   .model_identity = model.identity,
                                   .dtype = wf_dtype_name(model.numerics.weight),
                                   .shards = in.shard,
                                   .n_shards = in.n,
                                   .n_results = wf_inputs_results(&in, spec),
                                   .start.force = s->script.force};
        st = wf_folder_check(&config);
        *is_done = st == WF_OK && looks_done(&config);
        if (*is_done) wf_folder_say_nothing_left(spec->output.dir, config.n_results);
    }
    wf_inputs_close(&in);
    wf_reader_close(&reader);
    return st;
}

static wf_status options_check(const wf_cli *cli, submission *s)
{
    WF_TRY(wf_cli_i64(cli, "chain", 1, MOST_JOBS, 0, &s->n_chain));
    WF_TRY(wf_cli_i64(cli, "array", 1, MOST_JOBS, 0, &s->n_array));
    s->only_writes = wf_cli_has(cli, "write");
    if (s->n_chain > 0 && s->n_array > 0) {
        return wf_cli_fail(cli, "--chain and --array do not go together: tasks of one array would "
                                "wait for each other");
    }
    WF_TRY(wf_jobfile_load(cli, true, &s->spec));
    if (s->n_array > (long long)s->spec->requests.n) {
        return wf_cli_fail(cli,
                           "--array %lld: the job has %zu shards, and every task needs one of its "
                           "own",
                           s->n_array, s->spec->requests.n);
    }
    if (s->spec->slurm.container[0] && s->spec->parallel.layout == WF_SPEC_LAYOUT_GROUPS) {
        return wf_fail(WF_CONFIG, "slurm.container: needs parallel.layout world: a job of groups "
                                  "starts Slurm's steps itself, which a container cannot");
    }
    return WF_OK;
}

// ---- the script ---------------------------------------------------------------------------------

static wf_status path_find(const submission *s, const char *path, char **out)
{
    return wf_path_join(s->folder, path, out);
}

static bool is_below(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    return strncmp(path, folder, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

static wf_status mount_add(submission *s, const char *path)
{
    char *whole = NULL;
    WF_TRY(path_find(s, path, &whole));
    for (size_t i = 0; i < s->mounts.n; i++) {
        if (!is_below(whole, s->mounts.item[i])) continue;
        free(whole);
        return WF_OK;
    }
    wf_status st =
        wf_grow(s->mounts.n + 1, sizeof *s->mounts.item, &s->mounts.capacity, &s->mounts.item);
    if (st == WF_OK)
        s->mounts.item[s->mounts.n++] = whole;
    else
        free(whole);
    return st;
}

static wf_status mount_folder_of(submission *s, const char *path)
{
    char *folder = NULL;
    WF_TRY(wf_path_folder(path, &folder));
    wf_status st = mount_add(s, folder);
    free(folder);
    return st;
}

// The folders that the job reads and writes, for a container.
static wf_status mounts_find(submission *s)
{
    WF_TRY(mount_add(s, s->folder));
    WF_TRY(mount_add(s, s->spec->model.path));
    WF_TRY(mount_add(s, s->spec->output.dir));
    for (size_t i = 0; i < s->spec->requests.n; i++)
        WF_TRY(mount_folder_of(s, s->spec->requests.item[i]));
    if (s->spec->output.text[0]) WF_TRY(mount_folder_of(s, s->spec->output.text));
    if (strchr(s->spec->text.tokenizer, '/')) WF_TRY(mount_folder_of(s, s->spec->text.tokenizer));
    s->script.mounts = (const char *const *)s->mounts.item;
    s->script.n_mounts = s->mounts.n;
    return WF_OK;
}

static wf_status paths_find(submission *s)
{
    ssize_t n = readlink("/proc/self/exe", s->weft, sizeof s->weft - 1);
    if (n <= 0 || !getcwd(s->folder, sizeof s->folder))
        return wf_fail_errno(WF_IO, "the working folder, or this program's own path");
    s->weft[n] = '\0';
    WF_TRY(path_find(s, s->spec->output.dir, &s->out_dir));
    WF_TRY(path_find(s, s->spec->model.path, &s->model));
    WF_TRY(wf_submission_path(s->out_dir, "job.yaml", &s->job_file));
    if (s->spec->slurm.container[0]) WF_TRY(mounts_find(s));
    return WF_OK;
}

// The run drains no later than at half of its time, whatever slurm.signal says.
static int64_t signal_s(const wf_jobspec *spec)
{
    int64_t ns = spec->slurm.signal_ns, most_ns = spec->slurm.time_ns / 2;
    if (spec->slurm.time_ns > 0 && ns > most_ns) ns = most_ns;
    return ns / WF_NS_PER_S;
}

static wf_status script_fill(const wf_cli *cli, submission *s)
{
    const wf_jobspec *spec = s->spec;
    WF_TRY(paths_find(s));
    wf_script *script = &s->script;
    script->job_name = spec->job;
    script->folder = s->folder;
    script->out_folder = s->out_dir;
    script->weft = spec->slurm.container[0] ? "weft" : s->weft; // the image has its own
    script->job_file = s->job_file;
    script->nodes = spec->slurm.nodes > 0 ? spec->slurm.nodes : 1;
    script->tasks_per_node = tasks_per_node(spec);
    script->gpus_per_node = spec->slurm.gpus_per_node;
    script->cpus_per_task = spec->slurm.cpus_per_task;
    script->partition = spec->slurm.partition;
    script->account = spec->slurm.account;
    script->qos = spec->slurm.qos;
    script->constraint = spec->slurm.constraint;
    script->mem = spec->slurm.mem;
    script->time_s = spec->slurm.time_ns / WF_NS_PER_S;
    script->signal_s = signal_s(spec);
    script->requeue = spec->slurm.requeue && s->n_chain == 0;
    script->chained = s->n_chain > 0;
    script->array = (int)s->n_array;
    script->conducts = wf_site_suits(spec, script->nodes * script->tasks_per_node);
    script->force = wf_cli_has(cli, "force");
    script->give_up = GIVE_UP;
    script->setup = spec->slurm.setup.item;
    script->n_setup = spec->slurm.setup.n;
    script->extra = spec->slurm.extra.item;
    script->n_extra = spec->slurm.extra.n;
    script->container = spec->slurm.container;
    script->model = s->model;
    script->stage_to = spec->slurm.stage_weights;
    return WF_OK;
}

// ---- submit -------------------------------------------------------------------------------------

static wf_status script_write(const submission *s, const char *script, char **path)
{
    char *job = NULL;
    WF_TRY(wf_jobspec_text(s->spec, &job));
    wf_status st = wf_submission_write(s->out_dir, job, script);
    free(job);
    WF_TRY(st);
    return wf_submission_path(s->out_dir, "job.sh", path);
}

static wf_status hand_over(const submission *s, const char *script)
{
    char *path = NULL, id[WF_QUEUE_ID_MAX] = "";
    long long n = s->n_chain > 0 ? s->n_chain : 1;
    WF_TRY(queue_check(s->out_dir));
    bool is_new = !wf_file_exists(s->out_dir);
    wf_status st = script_write(s, script, &path);
    if (st == WF_OK && s->only_writes) {
        puts(path);
        free(path);
        return WF_OK;
    }
    for (long long i = 0; i < n && st == WF_OK; i++) {
        st = wf_queue_submit(path, id);
        if (st == WF_OK) st = wf_submission_add(s->out_dir, id, (int)s->n_array);
        if (st == WF_OK) printf("%s\n", id);
    }
    free(path);
    if (st != WF_OK && !id[0]) { // Slurm took nothing: no trace of it
        wf_submission_forget(s->out_dir);
        if (is_new) rmdir(s->out_dir);
    }
    WF_TRY(st);
    wf_info("weft status %s shows where it stands, weft cancel %s ends it", s->spec->output.dir,
            s->spec->output.dir);
    return WF_OK;
}

static wf_status submit(const submission *s, const char *script)
{
    WF_TRY(partition_check(&s->script));
    return hand_over(s, script);
}

wf_status wf_cmd_submit(const wf_cli *cli)
{
    submission s = {0};
    char *script = NULL;
    bool is_done = false;
    wf_status st = options_check(cli, &s);
    if (st == WF_OK) st = script_fill(cli, &s);
    if (st == WF_OK) st = placement_check(&s);
    if (st == WF_OK) st = inputs_check(&s, &is_done);
    if (st == WF_OK) companion_look(s.spec);
    if (st == WF_OK) st = wf_script_render(&s.script, &script);
    if (st == WF_OK && wf_cli_has(cli, "dry-run"))
        fputs(script, stdout);
    else if (st == WF_OK && is_done)
        wf_info("weft report %s shows them; nothing is submitted", s.spec->output.dir);
    else if (st == WF_OK)
        st = submit(&s, script);
    free(script);
    submission_free(&s);
    return st;
}

// ---- cancel -------------------------------------------------------------------------------------

// A job of ours listens in its batch shell; nobody may requeue it, its own script least of all.
// The mark comes before the signal: the script reads it when the run has ended.
static wf_status job_drain(const char *home, const wf_queue_job *job)
{
    WF_TRY(wf_queue_forbid_requeue(job->id));
    WF_TRY(wf_submission_cancelled(home, job->id));
    WF_TRY(wf_queue_signal(job->id, "USR1", WF_QUEUE_BATCH_SHELL));
    printf("job %s: asked to seal what is finished and end\n", job->id);
    return WF_OK;
}

static wf_status job_end(const char *home, const wf_queue_job *job)
{
    WF_TRY(wf_queue_cancel(job->id));
    WF_TRY(wf_submission_cancelled(home, job->id));
    printf("job %s: %s\n", job->id,
           job->phase == WF_QUEUE_WAITS ? "taken out of the queue" : "ended");
    return WF_OK;
}

// Those that wait go first: the next one of a chain would start when the one before it ends.
static wf_status jobs_cancel(const char *home, const wf_queue_job *jobs, size_t n, bool now,
                             size_t *n_cancelled)
{
    for (int waiting = 1; waiting >= 0; waiting--) {
        for (size_t i = 0; i < n; i++) {
            bool waits = jobs[i].phase == WF_QUEUE_WAITS;
            if (jobs[i].phase == WF_QUEUE_ENDED || waits != (waiting == 1)) continue;
            WF_TRY(waits || now ? job_end(home, &jobs[i]) : job_drain(home, &jobs[i]));
            ++*n_cancelled;
        }
    }
    return WF_OK;
}

// <out>/a3 is task 3 of the array that was submitted for <out>, which *home is then; own.
static wf_status task_find(const char *part, char **home, wf_queue_job **jobs, size_t *n)
{
    char whole[PATH_MAX], suffix[32], *parent = NULL;
    *n = 0;
    if (!realpath(part, whole)) return wf_fail_errno(WF_NO_INPUT, "%s", part);
    const char *name = wf_path_name(whole);
    if (name[0] != 'a' || !name[1] || strspn(name + 1, "0123456789") != strlen(name + 1))
        return WF_OK;
    snprintf(suffix, sizeof suffix, "_%.20s", name + 1);
    WF_TRY(wf_path_folder(whole, &parent));
    size_t n_found = 0;
    wf_status st = wf_submission_find(parent, jobs, &n_found);
    *home = parent;
    for (size_t i = 0; i < n_found; i++) {
        const char *task = strchr((*jobs)[i].id, '_');
        if (task && strcmp(task, suffix) == 0) (*jobs)[(*n)++] = (*jobs)[i];
    }
    return st;
}

// A run that was started by hand drains when it sees a stop file.
static wf_status stop_file_put(const wf_cli *cli, const char *out_dir)
{
    char line[256], *path = NULL;
    bool alive = false;
    WF_TRY(wf_owner_look(out_dir, &(wf_owner_params){0}, &alive, line));
    if (!alive) return wf_fail(WF_NO_INPUT, "%s: no job works or waits for this folder", out_dir);
    if (wf_cli_has(cli, "now")) {
        return wf_fail(WF_USAGE,
                       "%s: in use by %s, which is no job of weft submit: end it yourself, "
                       "or leave --now away to let it drain",
                       out_dir, line);
    }
    WF_TRY(wf_path_join(out_dir, "stop", &path));
    wf_status st = wf_file_write_whole(path, "", 0, WF_PUBLISH_REPLACE);
    free(path);
    WF_TRY(st);
    printf("%s: asked to seal what is finished and end\n", line);
    return WF_OK;
}

wf_status wf_cmd_cancel(const wf_cli *cli)
{
    const char *out_dir = wf_cli_argument(cli, 0);
    wf_queue_job *jobs = NULL;
    char *above = NULL;
    size_t n = 0, n_cancelled = 0;
    wf_status st = WF_OK;
    if (!wf_file_exists(out_dir)) return wf_fail(WF_NO_INPUT, "%s: no such folder", out_dir);
    WF_TRY(wf_submission_find(out_dir, &jobs, &n));
    if (n == 0) {
        free(jobs);
        jobs = NULL;
        st = task_find(out_dir, &above, &jobs, &n);
    }
    const char *home = above ? above : out_dir;
    if (st == WF_OK) st = wf_study_mark_cancelled(home, jobs, n);
    if (st == WF_OK) st = jobs_cancel(home, jobs, n, wf_cli_has(cli, "now"), &n_cancelled);
    free(above);
    free(jobs);
    WF_TRY(st);
    return n_cancelled > 0 ? WF_OK : stop_file_put(cli, out_dir);
}
