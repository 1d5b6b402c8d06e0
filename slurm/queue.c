// Slurm's commands and what they print. See queue.h.
#include "slurm/queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/arena.h"
#include "io/base/clock.h"
#include "slurm/command.h"
#include "slurm/fields.h"

#define ASK_NS    (20 * WF_NS_PER_S)
#define SUBMIT_NS (90 * WF_NS_PER_S) // sites run plug-ins of their own at submission

// ---- states -------------------------------------------------------------------------------------

typedef struct {
    const char *state;
    wf_queue_phase phase;
} state_row;

// What is not here runs, or is on its way in or out.
static const state_row state_rows[] = {
    {"PENDING", WF_QUEUE_WAITS},       {"REQUEUED", WF_QUEUE_WAITS},
    {"REQUEUE_FED", WF_QUEUE_WAITS},   {"REQUEUE_HOLD", WF_QUEUE_WAITS},
    {"RESV_DEL_HOLD", WF_QUEUE_WAITS}, {"SPECIAL_EXIT", WF_QUEUE_WAITS},
    {"BOOT_FAIL", WF_QUEUE_ENDED},     {"CANCELLED", WF_QUEUE_ENDED},
    {"COMPLETED", WF_QUEUE_ENDED},     {"DEADLINE", WF_QUEUE_ENDED},
    {"FAILED", WF_QUEUE_ENDED},        {"NODE_FAIL", WF_QUEUE_ENDED},
    {"OUT_OF_MEMORY", WF_QUEUE_ENDED}, {"PREEMPTED", WF_QUEUE_ENDED},
    {"REVOKED", WF_QUEUE_ENDED},       {"TIMEOUT", WF_QUEUE_ENDED},
};

static wf_queue_phase phase_of(const char *state)
{
    for (size_t i = 0; i < sizeof state_rows / sizeof state_rows[0]; i++)
        if (strcmp(state, state_rows[i].state) == 0) return state_rows[i].phase;
    return WF_QUEUE_RUNS;
}

// ---- asking -------------------------------------------------------------------------------------

static wf_status job_parse(char *line, wf_queue_job *job)
{
    WF_TRY(wf_field_take_job("squeue", &line, job));
    snprintf(job->state, sizeof job->state, "%s", wf_field_next(&line));
    job->phase = phase_of(job->state);
    job->end_unix_s = wf_field_time(wf_field_next(&line));
    snprintf(job->nodes, sizeof job->nodes, "%s", wf_field_next(&line));
    snprintf(job->reason, sizeof job->reason, "%s", wf_field_next(&line));
    return WF_OK;
}

static wf_status jobs_parse(char *text, wf_queue_job **out, size_t *n_out)
{
    wf_queue_job *jobs = NULL;
    size_t n = 0, capacity = 0;
    wf_status st = WF_OK;
    for (char *line; st == WF_OK && (line = strsep(&text, "\n")) != NULL;) {
        if (!line[0]) continue;
        st = wf_grow(n + 1, sizeof *jobs, &capacity, &jobs);
        if (st == WF_OK) st = job_parse(line, &jobs[n++]);
    }
    if (st != WF_OK) {
        free(jobs);
        return st;
    }
    *out = jobs;
    *n_out = n;
    return WF_OK;
}

wf_status wf_queue_find(const char *jobs, wf_queue_job **out, size_t *n)
{
    const char *const argv[] = {"squeue", "--noheader", "--array",  "--states=all",
                                "--jobs", jobs,         "--format", "%i|%A|%T|%e|%N|%r",
                                NULL};
    wf_slurm_answer answer;
    WF_TRY(wf_slurm_command(argv, ASK_NS, &answer));
    wf_status st = WF_OK;
    *out = NULL;
    *n = 0;
    if (answer.exit_code == 0)
        st = jobs_parse(answer.out, out, n);
    else if (!strstr(answer.err, "Invalid job id"))
        st = wf_fail(WF_IO, "squeue: %s", answer.err);
    wf_slurm_answer_free(&answer);
    return st;
}

// ---- telling ------------------------------------------------------------------------------------

// The controller is away: no verdict on what was asked.
static bool is_silence(const char *words)
{
    static const char *const signs[] = {"Unable to contact",
                                        "Socket timed out",
                                        "Zero Bytes",
                                        "Connection refused",
                                        "Communication connection",
                                        "resolve_ctls",
                                        "fetch_config",
                                        "configuration source",
                                        "Unknown host",
                                        "No route to host",
                                        "timed out"};
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++)
        if (strstr(words, signs[i])) return true;
    return false;
}

// Slurm's own words begin with the command's name already: "scancel: error: ...".
static wf_status refused(const char *command, const wf_slurm_answer *answer)
{
    const char *words = answer->err, *error = strstr(words, "error: ");
    if (error) words = error + strlen("error: ");
    if (is_silence(words))
        return wf_fail(
            WF_IO,
            "%s: Slurm cannot be reached from here (%s); look whether its controller is up, "
            "and whether this host belongs to the cluster",
            command, words);
    return wf_fail(WF_CONFIG, "%s: %s (exit code %d)", command, words[0] ? words : "refused",
                   answer->exit_code);
}

static wf_status tell(const char *const argv[])
{
    wf_slurm_answer answer;
    WF_TRY(wf_slurm_command(argv, ASK_NS, &answer));
    wf_status st = answer.exit_code == 0 ? WF_OK : refused(argv[0], &answer);
    wf_slurm_answer_free(&answer);
    return st;
}

wf_status wf_queue_submit(const char *script, char id[WF_QUEUE_ID_MAX])
{
    const char *const argv[] = {"sbatch", "--parsable", script, NULL};
    wf_slurm_answer answer;
    WF_TRY(wf_slurm_command(argv, SUBMIT_NS, &answer));
    wf_status st = WF_OK;
    size_t n = strcspn(answer.out, ";\n"); // "12;cluster" on a federation
    if (answer.exit_code != 0)
        st = refused("sbatch", &answer);
    else if (n == 0 || n >= WF_QUEUE_ID_MAX || strspn(answer.out, "0123456789") < n)
        st = wf_fail(WF_IO, "sbatch: its answer is no job id: \"%.40s\"", answer.out);
    else
        snprintf(id, WF_QUEUE_ID_MAX, "%.*s", (int)n, answer.out);
    wf_slurm_answer_free(&answer);
    return st;
}

wf_status wf_queue_signal(const char *job, const char *signal, wf_queue_whom whom)
{
    // --quiet: a job that ended meanwhile is as good as one that was told.
    const char *const shell[] = {"scancel", "--quiet", "--batch", "--signal", signal, job, NULL};
    const char *const steps[] = {"scancel", "--quiet", "--signal", signal, job, NULL};
    return tell(whom == WF_QUEUE_BATCH_SHELL ? shell : steps);
}

wf_status wf_queue_cancel(const char *job)
{
    const char *const argv[] = {"scancel", "--quiet", job, NULL};
    return tell(argv);
}

wf_status wf_queue_forbid_requeue(const char *job)
{
    char which[WF_QUEUE_ID_MAX + 16];
    snprintf(which, sizeof which, "JobId=%s", job);
    const char *const argv[] = {"scontrol", "update", which, "Requeue=0", NULL};
    return tell(argv);
}
