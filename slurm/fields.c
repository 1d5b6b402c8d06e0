// Fields between bars. See fields.h.
#include "slurm/fields.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "io/base/parse.h"

const char *wf_field_next(char **line)
{
    char *field = strsep(line, "|");
    return field ? field : "";
}

wf_status wf_field_take_job(const char *command, char **line, wf_queue_job *job)
{
    *job = (wf_queue_job){0};
    snprintf(job->id, sizeof job->id, "%s", wf_field_next(line));
    const char *number = wf_field_next(line);
    if (wf_parse_i64(number, 1, INT64_MAX, &job->number) == WF_OK) return WF_OK;
    return wf_fail(WF_IO, "%s: its answer is not understood: \"%.40s|%.40s\"", command, job->id,
                   number);
}

int64_t wf_field_time(const char *field)
{
    struct tm tm = {.tm_isdst = -1};
    if (!strptime(field, "%Y-%m-%dT%H:%M:%S", &tm)) return 0;
    return (int64_t)mktime(&tm);
}
