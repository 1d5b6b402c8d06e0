// Asks sacct. See account.h.
#include "slurm/account.h"

#include <stdio.h>
#include <string.h>

#include "io/base/clock.h"
#include "slurm/command.h"
#include "slurm/fields.h"

#define ASK_NS (20 * WF_NS_PER_S)

static wf_queue_phase phase_of(const char *state)
{
    if (strcmp(state, "PENDING") == 0 || strcmp(state, "REQUEUED") == 0) return WF_QUEUE_WAITS;
    return strcmp(state, "RUNNING") == 0 ? WF_QUEUE_RUNS : WF_QUEUE_ENDED;
}

wf_status wf_account_parse(char *line, wf_queue_job *out)
{
    WF_TRY(wf_field_take_job("sacct", &line, out));
    const char *state = wf_field_next(&line); // "CANCELLED by 1000"
    snprintf(out->state, sizeof out->state, "%.*s", (int)strcspn(state, " "), state);
    out->phase = phase_of(out->state);
    out->end_unix_s = wf_field_time(wf_field_next(&line));
    snprintf(out->nodes, sizeof out->nodes, "%s", wf_field_next(&line));
    return WF_OK;
}

wf_status wf_account_find(const char *job, wf_queue_job *out)
{
    const char *const argv[] = {
        "sacct",  "--noheader", "--allocations", "--parsable2",
        "--jobs", job,          "--format",      "JobID,JobIDRaw,State,End,NodeList",
        NULL};
    wf_slurm_answer answer;
    WF_TRY(wf_slurm_command(argv, ASK_NS, &answer));
    wf_status st;
    char *last = strrchr(answer.out, '\n'); // a requeued job has a line for each of its lives
    if (answer.exit_code != 0)
        st = wf_fail(WF_NO_INPUT, "sacct: %s", answer.err);
    else if (!answer.out[0])
        st = wf_fail(WF_NO_INPUT, "sacct: it has no job %s", job);
    else
        st = wf_account_parse(last ? last + 1 : answer.out, out);
    wf_slurm_answer_free(&answer);
    return st;
}
