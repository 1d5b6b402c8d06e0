// Rendering a batch script: directives from a table, then shell. See script.h.
#include "slurm/script.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/hash.h"
#include "io/base/text.h"

// ---- directives ---------------------------------------------------------------------------------

typedef enum value_kind { TEXT, COUNT, TIME, SIGNAL, ARRAY } value_kind;

typedef struct {
    const char *option;
    value_kind kind;
    size_t offset;
} directive;

#define AT(member) offsetof(wf_script, member)

static const directive directives[] = {
    {"job-name", TEXT, AT(job_name)},
    {"chdir", TEXT, AT(folder)},
    {"partition", TEXT, AT(partition)},
    {"account", TEXT, AT(account)},
    {"qos", TEXT, AT(qos)},
    {"constraint", TEXT, AT(constraint)},
    {"nodes", COUNT, AT(nodes)},
    {"ntasks-per-node", COUNT, AT(tasks_per_node)},
    {"gpus-per-node", COUNT, AT(gpus_per_node)},
    {"cpus-per-task", COUNT, AT(cpus_per_task)},
    {"mem", TEXT, AT(mem)},
    {"time", TIME, AT(time_s)},
    {"signal", SIGNAL, AT(signal_s)},
    {"array", ARRAY, AT(array)},
};

static bool is_one_line(const char *text)
{
    return strpbrk(text, "\r\n") == NULL;
}

// sbatch splits a directive at blanks, ends it at " #", and knows quotes and backslashes.
static void put_value(wf_text *t, const char *value)
{
    if (!strpbrk(value, " \t#\"'\\")) {
        wf_text_puts(t, value);
        return;
    }
    wf_text_puts(t, "\"");
    for (const char *c = value; *c; c++) {
        if (*c == '"' || *c == '\\') wf_text_puts(t, "\\");
        wf_text_add(t, c, 1);
    }
    wf_text_puts(t, "\"");
}

static wf_status put_text(wf_text *t, const char *option, const char *value)
{
    if (!value || !value[0]) return WF_OK;
    if (!is_one_line(value))
        return wf_fail(WF_CONFIG, "sbatch --%s: the value has a line break in it", option);
    wf_text_printf(t, "#SBATCH --%s=", option);
    put_value(t, value);
    wf_text_puts(t, "\n");
    return WF_OK;
}

static wf_status put_directive(wf_text *t, const directive *d, const wf_script *script)
{
    const void *at = (const char *)script + d->offset;
    int count = 0;
    int64_t s = 0;
    if (d->kind == TEXT) {
        const char *text;
        memcpy(&text, at, sizeof text);
        return put_text(t, d->option, text);
    }
    if (d->kind == COUNT || d->kind == ARRAY)
        memcpy(&count, at, sizeof count);
    else
        memcpy(&s, at, sizeof s);
    if (count == 0 && s == 0) return WF_OK;
    wf_text_printf(t, "#SBATCH --%s=", d->option);
    if (d->kind == COUNT) wf_text_printf(t, "%d\n", count);
    if (d->kind == ARRAY) wf_text_printf(t, "0-%d\n", count - 1);
    if (d->kind == SIGNAL) wf_text_printf(t, "B:USR1@%" PRId64 "\n", s);
    if (d->kind == TIME) {
        wf_text_printf(t, "%" PRId64 "-%02" PRId64 ":%02" PRId64 ":%02" PRId64 "\n", s / 86400,
                       s / 3600 % 24, s / 60 % 60, s % 60);
    }
    return WF_OK;
}

// %j and the like mean something in a path for sbatch, %% is a per cent sign.
static wf_status put_output(wf_text *t, const char *folder, const char *name)
{
    wf_text path = {0};
    char *text = NULL;
    for (const char *c = folder; *c; c++) {
        if (*c == '%') wf_text_puts(&path, "%");
        wf_text_add(&path, c, 1);
    }
    wf_text_puts(&path, name);
    WF_TRY(wf_text_take(&path, &text));
    wf_status st = put_text(t, "output", text);
    free(text);
    return st;
}

static wf_status put_extra(wf_text *t, const char *option)
{
    if (option[0] != '-' || !is_one_line(option)) {
        return wf_fail(WF_CONFIG,
                       "slurm.extra: \"%.60s\": an option of sbatch on one line, such as "
                       "--reservation=name, is expected",
                       option);
    }
    wf_text_printf(t, "#SBATCH %s\n", option);
    return WF_OK;
}

static wf_status put_directives(wf_text *t, const wf_script *script)
{
    for (size_t i = 0; i < sizeof directives / sizeof directives[0]; i++)
        WF_TRY(put_directive(t, &directives[i], script));
    WF_TRY(put_output(t, script->out_folder,
                      script->array > 0 ? "/slurm-%A_%a.out" : "/slurm-%j.out"));
    wf_text_puts(t, "#SBATCH --open-mode=append\n");
    wf_text_puts(t, script->requeue ? "#SBATCH --requeue\n" : "#SBATCH --no-requeue\n");
    if (script->chained) wf_text_puts(t, "#SBATCH --dependency=singleton\n");
    // The groups on other nodes go on; without it Slurm ends the whole job with the first node.
    if (script->conducts) wf_text_puts(t, "#SBATCH --no-kill\n");
    for (size_t i = 0; i < script->n_extra; i++)
        WF_TRY(put_extra(t, script->extra[i]));
    return WF_OK;
}

// ---- shell --------------------------------------------------------------------------------------

// The length of "$NAME" or "${NAME}" at `text`; 0 when neither stands there.
static size_t variable_length(const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
    size_t before = text[0] != '$' ? 0 : text[1] == '{' ? 2 : 1;
    const char *name = text + before;
    size_t n = strspn(name, letters);
    if (before == 0 || n == 0 || (name[0] >= '0' && name[0] <= '9')) return 0;
    if (before == 1) return 1 + n;
    return name[n] == '}' ? n + 3 : 0;
}

// A place that $USER and the like may stand in, and nothing else that a shell would act on.
static wf_status check_place(const char *place)
{
    bool good = (place[0] == '/' || place[0] == '$') && is_one_line(place);
    for (const char *c = place; good && *c; c++)
        good = *c != '$' || variable_length(c) > 0;
    if (good) return WF_OK;
    return wf_fail(
        WF_CONFIG,
        "slurm.stage_weights: \"%.200s\": the whole path of a folder is expected, in which "
        "$NAME and ${NAME} are expanded and no other $; what needs a command is a "
        "variable that slurm.setup exports",
        place);
}

// One word: variables are expanded, what they hold is read no further, all else stands for itself.
static void put_place(wf_text *t, const char *place)
{
    while (*place) {
        wf_text literal = {0};
        size_t n = strcspn(place, "$"), n_variable = variable_length(place + n);
        wf_text_add(&literal, place, n);
        if (n > 0 && literal.st == WF_OK) wf_text_put_shell(t, literal.bytes);
        if (n_variable > 0) wf_text_printf(t, "\"%.*s\"", (int)n_variable, place + n);
        if (literal.st != WF_OK) t->st = literal.st;
        wf_text_free(&literal);
        place += n + n_variable;
    }
}

static void put_assignment(wf_text *t, const char *name, const char *value)
{
    wf_text_printf(t, "%s=", name);
    wf_text_put_shell(t, value);
    wf_text_puts(t, "\n");
}

static void put_setup(wf_text *t, const wf_script *script)
{
    if (script->n_setup > 0) wf_text_puts(t, "\n");
    for (size_t i = 0; i < script->n_setup; i++)
        wf_text_printf(t, "%s\n", script->setup[i]);
}

static bool has_stage(const wf_script *script)
{
    return script->stage_to && script->stage_to[0];
}

// Two models of one name get two folders: the hash is of the whole path.
static void put_stage(wf_text *t, const wf_script *script)
{
    char hash[WF_HASH64_HEX];
    if (!has_stage(script)) return;
    wf_hash64_hex(wf_hash64_of(script->model, strlen(script->model), 0), hash);
    wf_text_puts(t, "\n# The weights, copied once to each node's own disk. Files of the same size "
                    "and date stay.\n");
    put_assignment(t, "model", script->model);
    wf_text_puts(t, "staged=");
    put_place(t, script->stage_to);
    wf_text_printf(t, "/weft-%s\n", hash);
    wf_text_puts(t, "stage='mkdir -p \"$2\" || exit 1\n"
                    "for from in \"$1\"/*; do\n"
                    "    [ -f \"$from\" ] || continue\n"
                    "    to=$2/${from##*/} part=$2/.${from##*/}.$SLURM_JOB_ID.$SLURM_NODEID\n"
                    "    [ \"$(stat -L -c \"%s %Y\" \"$from\")\" = \"$(stat -c \"%s %Y\" \"$to\" "
                    "2>/dev/null)\" ] && continue\n"
                    "    cp --preserve=timestamps \"$from\" \"$part\" && mv \"$part\" \"$to\" && "
                    "continue\n"
                    "    rm -f \"$part\"\n"
                    "    exit 1\n"
                    "done'\n");
    wf_text_puts(t, "if srun --mpi=none --ntasks=\"$SLURM_JOB_NUM_NODES\" --ntasks-per-node=1 \\\n"
                    "    bash -c \"$stage\" stage \"$model\" \"$staged\"; then\n"
                    "    options+=(--set \"model.path=$staged\")\n"
                    "else\n"
                    "    echo \"weights: not copied to $staged, read from $model\"\n"
                    "fi\n");
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static bool is_apptainer(const char *image)
{
    return wf_text_ends_with(image, ".sif") || begins(image, "docker://") ||
           begins(image, "oras://") || begins(image, "library://");
}

// Containers' own lists have no way to quote what separates their parts.
static wf_status check_mounts(const wf_script *script)
{
    for (size_t i = 0; i < script->n_mounts; i++)
        if (strpbrk(script->mounts[i], ",:\"\r\n"))
            return wf_fail(
                WF_CONFIG,
                "slurm.container: %.200s: a path with a comma, a colon, a quote or a line "
                "break in it cannot be given to a container; rename it",
                script->mounts[i]);
    return WF_OK;
}

static void put_mounts(wf_text *t, const wf_script *script, const char *option)
{
    if (script->n_mounts == 0) return;
    wf_text_printf(t, "%s=", option);
    for (size_t i = 0; i < script->n_mounts; i++) {
        if (i > 0) wf_text_puts(t, ",");
        wf_text_put_shell(t, script->mounts[i]);
        wf_text_puts(t, ":");
        wf_text_put_shell(t, script->mounts[i]);
    }
    if (!has_stage(script)) return;
    wf_text_puts(t, ",");
    put_place(t, script->stage_to);
    wf_text_puts(t, ":");
    put_place(t, script->stage_to);
}

// What the container is started with: options of srun, or a command before the program.
static void put_container(wf_text *t, const wf_script *script)
{
    const char *image = script->container;
    if (!image || !image[0]) return;
    if (is_apptainer(image)) {
        wf_text_printf(t, " \\\n        apptainer exec %s",
                       script->gpus_per_node > 0 ? "--nv " : "");
        put_mounts(t, script, "--bind");
        wf_text_puts(t, " \\\n        ");
        wf_text_put_shell(t, image);
    } else {
        wf_text_puts(t, " --container-image=");
        wf_text_put_shell(t, image);
        wf_text_puts(t, " --container-workdir=\"$PWD\" \\\n        ");
        put_mounts(t, script, "--container-mounts");
        wf_text_puts(t, " \\\n       ");
    }
}

static void put_run(wf_text *t, const wf_script *script)
{
    if (!script->conducts) {
        // A rank that dies takes the step with it: the others would wait for it for ever.
        wf_text_puts(t, "    srun --mpi=pmix --kill-on-bad-exit=1");
        // A step does not inherit it from the job since Slurm 22.05.
        if (script->cpus_per_task > 0)
            wf_text_printf(t, " --cpus-per-task=%d", script->cpus_per_task);
        put_container(t, script);
        wf_text_puts(t, " ");
    } else {
        wf_text_puts(t, "    ");
    }
    wf_text_puts(t, "\"$weft\" run \"$job\" \"${options[@]}\" &\n");
}

static void put_options(wf_text *t, const wf_script *script)
{
    const char *between = "";
    wf_text_puts(t, "options=(");
    if (script->give_up > 0) {
        wf_text_printf(t, "--give-up %d", script->give_up);
        between = " ";
    }
    if (script->array > 0) {
        wf_text_printf(t, "%s--part \"$SLURM_ARRAY_TASK_ID/%d\"", between, script->array);
        between = " ";
    }
    if (script->force) wf_text_printf(t, "%s--force", between);
    wf_text_puts(t, ")\n");
}

static void put_signals(wf_text *t)
{
    wf_text_puts(
        t, "\n"
           "# USR1 (the time limit is near) and TERM (scancel) go on to the run: it seals what is\n"
           "# finished and ends with 75. One that comes before the run keeps it from starting.\n"
           "signal= interrupted= run= code=75\n"
           "pass_on() { signal=$1 interrupted=yes; [ -z \"$run\" ] || kill -s \"$1\" "
           "\"$run\"; }\n"
           "trap 'pass_on USR1' USR1\n"
           "trap 'pass_on TERM' TERM\n");
}

// First of all, before the user's setup: a job that sbatch was given by hand is one of the
// folder's. Asks $record as weft cancel writes it: a line {"cancelled": "12_3", ...}. An array is
// recorded whole where this script is the array's, and its task where it is one of many scripts.
static void put_record(wf_text *t, const wf_script *script)
{
    const char *id = script->array > 0 ? "id" : "slurm_job";
    wf_text path = {0};
    char *record = NULL;
    wf_text_printf(&path, "%s/submit/jobs.jsonl", script->out_folder);
    if (wf_text_take(&path, &record) != WF_OK) return;
    wf_text_puts(t,
                 "\n# weft status and weft cancel find the job here, whoever gave it to sbatch.\n");
    put_assignment(t, "record", record);
    free(record);
    wf_text_printf(
        t,
        "id=${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID} "
        "slurm_job=$id${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}\n"
        "cancelled=\"\\\"cancelled\\\": *\\\"$slurm_job\\\"\"\n"
        "grep -qs \"\\\"job\\\": *\\\"$%s\\\"\" \"$record\" ||\n"
        "    printf '{\"job\": \"%%s\", \"array\": %d, \"time\": \"%%s\"}\\n' \"$%s\" \\\n"
        "        \"$(date -u +%%Y-%%m-%%dT%%H:%%M:%%S.000Z)\" >>\"$record\"\n",
        id, script->array, id);
}

// "$slurm_job", 12_3, and not the job's number: that of an array's last task means the whole array.
static void put_end(wf_text *t, const wf_script *script)
{
    wf_text_puts(t,
                 "\n"
                 "# weft cancel was asked for: no failure in Slurm's books, and not requeued.\n"
                 "if [ $code != 0 ] && grep -qs \"$cancelled\" \"$record\"; then\n"
                 "    echo \"cancelled; not requeued\"\n"
                 "    run=\n"
                 "    case $code in 75 | 138) scancel --quiet \"$slurm_job\" || code=0 ;; esac\n");
    if (script->requeue)
        wf_text_puts(
            t,
            "# Slurm requeues nothing by itself. 138: USR1 came before the run could listen. Not\n"
            "# after TERM: Slurm would bring back a job that scancel has ended.\n"
            "elif { [ $code = 75 ] || [ $code = 138 ]; } && [ \"$signal\" != TERM ]; then\n"
            "    scontrol requeue \"$slurm_job\" || echo \"not requeued: submit again to go "
            "on\"\n");
    wf_text_puts(t, "fi\n");
}

static void put_body(wf_text *t, const wf_script *script)
{
    wf_text_puts(t, "\n");
    put_assignment(t, "weft", script->weft);
    put_assignment(t, "job", script->job_file);
    put_options(t, script);
    put_stage(t, script);
    wf_text_puts(t, "\nif [ -z \"$signal\" ]; then\n");
    put_run(t, script);
    wf_text_puts(t, "    run=$!\n"
                    "    [ -z \"$signal\" ] || kill -s \"$signal\" \"$run\"\n"
                    "    interrupted=yes\n"
                    "    while [ -n \"$interrupted\" ]; do # a signal ends the wait, not the run\n"
                    "        interrupted=\n"
                    "        wait \"$run\"\n"
                    "        code=$?\n"
                    "    done\n"
                    "fi\n");
    put_end(t, script);
    wf_text_puts(t, "exit $code\n");
}

wf_status wf_script_render(const wf_script *script, char **out)
{
    wf_text t = {0};
    wf_text_puts(&t, "#!/bin/bash\n"
                     "# Written by weft submit; yours to keep and edit. Given to sbatch again, it "
                     "goes on where the\n"
                     "# job stopped.\n");
    wf_status st = check_mounts(script);
    if (st == WF_OK && has_stage(script)) st = check_place(script->stage_to);
    if (st == WF_OK) st = put_directives(&t, script);
    if (st != WF_OK) {
        wf_text_free(&t);
        return st;
    }
    put_signals(&t);
    put_record(&t, script);
    put_setup(&t, script);
    put_body(&t, script);
    return wf_text_take(&t, out);
}

// ---- an array of such jobs ----------------------------------------------------------------------

#define DIRECTIVE "#SBATCH "

// Of a run, and not of what it asks for.
static bool is_own(const char *line)
{
    return begins(line, DIRECTIVE "--job-name=") || begins(line, DIRECTIVE "--output=");
}

wf_status wf_script_shape(const char *script, char **out)
{
    wf_text shape = {0};
    wf_text_puts(&shape, "");
    for (const char *line = script; *line == '#';) { // what stands further down is the user's shell
        size_t n = strcspn(line, "\n");
        n += line[n] == '\n';
        if (begins(line, DIRECTIVE) && !is_own(line)) wf_text_add(&shape, line, n);
        line += n;
    }
    return wf_text_take(&shape, out);
}

static void put_names(wf_text *t, const wf_tasks_script *tasks)
{
    wf_text_puts(t, "runs=(");
    for (size_t i = 0; i < tasks->n; i++) {
        wf_text_puts(t, "\n    ");
        wf_text_put_shell(t, tasks->name[i]);
    }
    wf_text_puts(t, ")\n");
}

static wf_status put_tasks_directives(wf_text *t, const wf_tasks_script *tasks)
{
    WF_TRY(put_text(t, "job-name", tasks->job_name));
    wf_text_puts(t, tasks->shape);
    wf_text_printf(t, DIRECTIVE "--array=0-%zu", tasks->n - 1);
    if (tasks->max_running > 0) wf_text_printf(t, "%%%d", tasks->max_running);
    wf_text_puts(t, "\n");
    return put_output(t, tasks->log_folder, "/slurm-%A_%a.out");
}

wf_status wf_script_render_tasks(const wf_tasks_script *tasks, char **out)
{
    wf_text t = {0};
    wf_text_puts(&t, "#!/bin/bash\n"
                     "# Written by weft study --submit: task I is run I of the list, by the batch "
                     "script in its folder.\n");
    wf_status st = put_tasks_directives(&t, tasks);
    if (st != WF_OK) {
        wf_text_free(&t);
        return st;
    }
    wf_text_puts(&t, "\n");
    put_names(&t, tasks);
    put_assignment(&t, "logs", tasks->log_folder);
    put_assignment(&t, "folder", tasks->folder);
    wf_text_puts(&t, "folder=$folder/${runs[$SLURM_ARRAY_TASK_ID]}\n"
                     "# The same file under two names: weft why looks for it in the run's folder.\n"
                     "ln \"$logs/slurm-${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID.out\" "
                     "\"$folder\" 2>/dev/null\n"
                     "exec /bin/bash \"$folder/submit/job.sh\"\n");
    return wf_text_take(&t, out);
}
