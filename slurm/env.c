// Slurm's environment, its lists of nodes and its times. See env.h.
#include "slurm/env.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "io/base/arena.h"
#include "io/base/parse.h"
#include "slurm/queue.h"

// ---- variables ----------------------------------------------------------------------------------

static const char *process_lookup(void *context, const char *name)
{
    (void)context;
    return getenv(name);
}

// Older and newer names of the same thing, the first one that is set counts.
typedef struct {
    const char *names[2];
    size_t offset;
    int64_t least, otherwise;
} number_row;

static const number_row number_rows[] = {
    {{"SLURM_JOB_ID", "SLURM_JOBID"}, offsetof(wf_slurm_env, job_id), 1, 0},
    {{"SLURM_RESTART_COUNT", NULL}, offsetof(wf_slurm_env, restarts), 0, 0},
    {{"SLURM_ARRAY_JOB_ID", NULL}, offsetof(wf_slurm_env, array_job), 1, 0},
    {{"SLURM_ARRAY_TASK_ID", NULL}, offsetof(wf_slurm_env, array_task), 0, -1},
    {{"SLURM_ARRAY_TASK_COUNT", NULL}, offsetof(wf_slurm_env, array_tasks), 1, 0},
    {{"SLURM_JOB_NUM_NODES", "SLURM_NNODES"}, offsetof(wf_slurm_env, n_nodes), 1, 0},
    {{"SLURM_NTASKS", "SLURM_NPROCS"}, offsetof(wf_slurm_env, n_tasks), 1, 0},
    {{"SLURM_PROCID", NULL}, offsetof(wf_slurm_env, proc_id), 0, -1},
    {{"SLURM_LOCALID", NULL}, offsetof(wf_slurm_env, local_id), 0, -1},
    {{"SLURM_NODEID", NULL}, offsetof(wf_slurm_env, node_id), 0, -1},
    {{"SLURM_JOB_END_TIME", NULL}, offsetof(wf_slurm_env, end_unix_s), 1, 0},
};

static const char *find(wf_slurm_getenv lookup, void *context, const char *const names[2],
                        const char **name)
{
    for (int i = 0; i < 2 && names[i]; i++) {
        const char *text = lookup(context, names[i]);
        *name = names[i];
        if (text && *text) return text;
    }
    return NULL;
}

static wf_status number_read(wf_slurm_getenv lookup, void *context, const number_row *row,
                             wf_slurm_env *env)
{
    const char *name = NULL, *text = find(lookup, context, row->names, &name);
    int64_t value = row->otherwise;
    if (text && wf_parse_i64(text, row->least, INT64_MAX, &value) != WF_OK) {
        return wf_fail(WF_CONFIG, "%s: %s: Slurm sets a number of at least %" PRId64 " here", name,
                       wf_error(), row->least);
    }
    memcpy((char *)env + row->offset, &value, sizeof value);
    return WF_OK;
}

static const char *text_read(wf_slurm_getenv lookup, void *context, const char *first,
                             const char *second)
{
    const char *const names[2] = {first, second};
    const char *name = NULL, *text = find(lookup, context, names, &name);
    return text ? text : "";
}

wf_status wf_slurm_env_read(wf_slurm_getenv lookup, void *context, wf_slurm_env *out)
{
    wf_slurm_env env = {0};
    if (!lookup) lookup = process_lookup;
    for (size_t i = 0; i < sizeof number_rows / sizeof number_rows[0]; i++)
        WF_TRY(number_read(lookup, context, &number_rows[i], &env));
    env.node_list = text_read(lookup, context, "SLURM_JOB_NODELIST", "SLURM_NODELIST");
    env.job_name = text_read(lookup, context, "SLURM_JOB_NAME", NULL);
    env.partition = text_read(lookup, context, "SLURM_JOB_PARTITION", NULL);
    env.present = env.job_id > 0;
    // The batch script has SLURM_PROCID too, but only steps have a step id.
    env.in_step = env.present && lookup(context, "SLURM_STEP_ID") != NULL && env.proc_id >= 0;
    *out = env;
    return WF_OK;
}

// ---- lists of nodes -----------------------------------------------------------------------------

typedef struct {
    const char *list; // for messages
    size_t capacity;
    wf_slurm_nodes nodes;
} expansion;

enum { NODE_NAME_MAX = 256 };

static wf_status list_bad(const expansion *e, const char *at)
{
    return wf_fail(WF_CONFIG, "node list \"%s\": not understood at \"%.20s\"", e->list, at);
}

static wf_status node_add(expansion *e, const char *name)
{
    if (e->nodes.n == WF_SLURM_MAX_NODES) {
        return wf_fail(WF_CONFIG, "node list \"%s\": more than %d nodes", e->list,
                       WF_SLURM_MAX_NODES);
    }
    WF_TRY(wf_grow(e->nodes.n + 1, sizeof *e->nodes.name, &e->capacity, &e->nodes.name));
    WF_TRY(wf_strdup(name, &e->nodes.name[e->nodes.n]));
    e->nodes.n++;
    return WF_OK;
}

static wf_status name_expand(expansion *e, char *name, size_t used, const char *rest,
                             size_t n_rest);

// One "03" or "01-04" of a bracket.
static wf_status range_expand(expansion *e, char *name, size_t used, const char *range,
                              const char *rest, size_t n_rest)
{
    char *end;
    if (!isdigit((unsigned char)*range)) return list_bad(e, range);
    unsigned long long first = strtoull(range, &end, 10), last = first;
    int width = (int)(end - range);
    if (*end == '-') {
        const char *second = end + 1;
        if (!isdigit((unsigned char)*second)) return list_bad(e, second);
        last = strtoull(second, &end, 10);
    }
    if ((*end != ',' && *end != ']') || width > 18 || last < first ||
        last - first >= WF_SLURM_MAX_NODES) {
        return list_bad(e, range);
    }
    for (unsigned long long i = first; i <= last; i++) {
        int n = snprintf(name + used, NODE_NAME_MAX - used, "%0*llu", width, i);
        if (n < 0 || (size_t)n >= NODE_NAME_MAX - used) return list_bad(e, range);
        WF_TRY(name_expand(e, name, used + (size_t)n, rest, n_rest));
    }
    return WF_OK;
}

// Adds every name that `name[0..used)` and the pattern `rest` stand for.
static wf_status name_expand(expansion *e, char *name, size_t used, const char *rest, size_t n_rest)
{
    size_t n = 0;
    while (n < n_rest && rest[n] != '[')
        n++;
    if (used + n >= NODE_NAME_MAX) return list_bad(e, rest);
    memcpy(name + used, rest, n);
    used += n;
    if (n == n_rest) {
        name[used] = '\0';
        return node_add(e, name);
    }
    const char *open = rest + n, *close = memchr(open, ']', n_rest - n);
    if (!close) return list_bad(e, open);
    for (const char *range = open + 1;;) {
        WF_TRY(range_expand(e, name, used, range, close + 1, n_rest - (size_t)(close + 1 - rest)));
        range = memchr(range, ',', (size_t)(close - range));
        if (!range) return WF_OK;
        range++;
    }
}

// Length of the first pattern: up to a comma outside brackets.
static size_t pattern_length(const char *list)
{
    size_t n = 0;
    for (int depth = 0; list[n] && (depth > 0 || list[n] != ','); n++)
        depth += (list[n] == '[') - (list[n] == ']');
    return n;
}

wf_status wf_slurm_nodes_expand(const char *list, wf_slurm_nodes *out)
{
    expansion e = {.list = list};
    wf_status st = WF_OK;
    for (const char *at = list; *at && st == WF_OK;) {
        char name[NODE_NAME_MAX];
        size_t n = pattern_length(at);
        st = n > 0 ? name_expand(&e, name, 0, at, n) : list_bad(&e, at);
        at += n;
        if (*at == ',' && !*++at && st == WF_OK) st = list_bad(&e, ",");
    }
    if (st != WF_OK) {
        wf_slurm_nodes_free(&e.nodes);
        return st;
    }
    *out = e.nodes;
    return WF_OK;
}

void wf_slurm_nodes_free(wf_slurm_nodes *nodes)
{
    for (size_t i = 0; i < nodes->n; i++)
        free(nodes->name[i]);
    free(nodes->name);
    *nodes = (wf_slurm_nodes){0};
}

// ---- times --------------------------------------------------------------------------------------

static int64_t queue_end_time(int64_t job_id)
{
    char id[WF_QUEUE_ID_MAX];
    wf_queue_job *jobs = NULL;
    size_t n = 0;
    int64_t end_unix_s = 0;
    snprintf(id, sizeof id, "%" PRId64, job_id);
    if (wf_queue_find(id, &jobs, &n) != WF_OK) return 0; // no squeue here, or no answer
    for (size_t i = 0; i < n; i++)
        if (jobs[i].number == job_id) end_unix_s = jobs[i].end_unix_s;
    free(jobs);
    return end_unix_s;
}

int64_t wf_slurm_time_left(const wf_slurm_env *env)
{
    if (!env->present) return -1;
    int64_t end_unix_s = env->end_unix_s > 0 ? env->end_unix_s : queue_end_time(env->job_id);
    if (end_unix_s == 0) return -1;
    int64_t left_s = end_unix_s - (int64_t)time(NULL);
    return left_s > 0 ? left_s : 0;
}
