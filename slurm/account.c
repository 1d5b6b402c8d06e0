// Asks sacct. See account.h.
#include "slurm/account.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "io/base/clock.h"
#include "io/base/parse.h"
#include "slurm/command.h"

#define ASK_NS (20 * WF_NS_PER_S)

static int64_t time_of(const char *text)
{
    struct tm tm = {.tm_isdst = -1};
    if (!strptime(text, "%Y-%m-%dT%H:%M:%S", &tm)) return 0;
    return (int64_t)mktime(&tm);
}

static const char *field_next(char **line)
{
    char *field = strsep(line, "|");
    return field ? field : "";
}

static wf_queue_phase phase_of(const char *state)
{
    if (strcmp(state, "PENDING") == 0 || strcmp(state, "REQUEUED") == 0) return WF_QUEUE_WAITS;
    return strcmp(state, "RUNNING") == 0 ? WF_QUEUE_RUNS : WF_QUEUE_ENDED;
}

wf_status wf_account_parse(char *line, wf_queue_job *out)
{
    *out = (wf_queue_job){0};
    snprintf(out->id, sizeof out->id, "%s", field_next(&line));
    const char *number = field_next(&line);
    if (wf_parse_i64(number, 1, INT64_MAX, &out->number) != WF_OK) {
        return wf_fail(WF_IO, "sacct: its answer is not understood: \"%.40s|%.40s\"", out->id,
                       number);
    }
    const char *state = field_next(&line); // "CANCELLED by 1000"
    snprintf(out->state, sizeof out->state, "%.*s", (int)strcspn(state, " "), state);
    out->phase = phase_of(out->state);
    out->end_unix_s = time_of(field_next(&line));
    snprintf(out->nodes, sizeof out->nodes, "%s", field_next(&line));
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
    if (answer.exit_code != 0) {
        st = wf_fail(WF_NO_INPUT, "sacct: %s", answer.err);
    } else if (!answer.out[0]) {
        st = wf_fail(WF_NO_INPUT, "sacct: it has no job %s", job);
    } else {
        st = wf_account_parse(last ? last + 1 : answer.out, out);
    }
    wf_slurm_answer_free(&answer);
    return st;
}
