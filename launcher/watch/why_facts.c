// Gathers what weft why decides by. See why_facts.h.
#include "launcher/watch/why_facts.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/file.h"
#include "io/base/log.h"
#include "jobs/run/events.h"
#include "launcher/watch/why_story.h"
#include "results/report.h"

// ---- the batch job's output ---------------------------------------------------------------------

wf_log_hint wf_log_hint_of(const char *line)
{
    static const struct {
        const char *part, *also;
        wf_log_hint hint;
    } known[] = {
        {"oom_kill event", "", WF_HINT_OUT_OF_MEMORY},
        {"oom-kill event", "", WF_HINT_OUT_OF_MEMORY},
        {": Out Of Memory", "", WF_HINT_OUT_OF_MEMORY},
        {"DUE TO TIME LIMIT", "", WF_HINT_TIME_LIMIT},
        {"DUE TO NODE FAILURE", "", WF_HINT_NODE_FAIL},
        {"DUE TO PREEMPTION", "", WF_HINT_PREEMPTED},
        {"Node failure on ", "", WF_HINT_NODE_FAIL},
        {"CANCELLED AT ", "*** JOB ", WF_HINT_CANCELLED}, // a step is cancelled for any reason
        {": Killed", "", WF_HINT_KILLED},
    };
    bool slurm = strstr(line, "srun: ") || strstr(line, "slurmstepd");
    for (size_t i = 0; slurm && i < sizeof known / sizeof known[0]; i++)
        if (strstr(line, known[i].part) && strstr(line, known[i].also)) return known[i].hint;
    return WF_HINT_NONE;
}

// What of the output belongs to the newest start: behind the last banner.
static char *newest_start(char *text)
{
    char *from = text;
    for (const char *at = text; (at = wf_why_next_start(at)) != NULL; at++)
        from = text + (at - text);
    return from;
}

// A later kind of hint that says more stands before one that says less, by the order of the enum.
static void line_read(const char *line, wf_why_sources *s, wf_log_hint *hint)
{
    wf_log_hint found = wf_log_hint_of(line);
    const char *error = strstr(line, "weft run: ");
    if (found != WF_HINT_NONE && (*hint == WF_HINT_NONE || found < *hint)) {
        *hint = found;
        snprintf(s->hint_line, sizeof s->hint_line, "%s", line);
    }
    if (error) snprintf(s->refusal, sizeof s->refusal, "%s", error + strlen("weft run: "));
}

static bool log_path(const wf_watch_view *v, const wf_queue_look *q, char path[PATH_MAX])
{
    if (!q->job_id[0]) return false;
    snprintf(path, PATH_MAX, "%s/slurm-%s.out", q->home[0] ? q->home : v->out_dir, q->job_id);
    return wf_file_exists(path);
}

// The batch job's output, "" where there is none; NULL where it cannot be read; own.
static char *log_load(const wf_watch_view *v, const wf_queue_look *q)
{
    enum { LOG_BYTES = 64 << 20 };
    char path[PATH_MAX], *text = NULL;
    if (!log_path(v, q, path)) return NULL;
    if (wf_file_read(path, LOG_BYTES, &text, NULL) != WF_OK) wf_debug("%s", wf_error());
    return text;
}

static wf_log_hint log_read(char *text, wf_why_sources *s)
{
    wf_log_hint hint = WF_HINT_NONE;
    if (!text) return hint;
    char *rest = newest_start(text);
    for (char *line; (line = strsep(&rest, "\n")) != NULL;)
        line_read(line, s, &hint);
    return hint;
}

// ---- events -------------------------------------------------------------------------------------

// The last word on a group that was lost in the newest run; none when it came back to its end.
static void events_look(const wf_watch_view *v, wf_why_sources *s)
{
    wf_events events = {0};
    if (wf_events_read(v->out_dir, &events) != WF_OK) return;
    for (size_t i = 0; i < events.n; i++) {
        const wf_event *e = &events.item[i];
        if (e->run + 1 != (int64_t)v->n_runs) continue;
        if (e->kind != WF_EVENT_LOST && e->kind != WF_EVENT_RETIRE && e->kind != WF_EVENT_STALL)
            continue;
        snprintf(s->group_end, sizeof s->group_end, "%s", e->text);
    }
    wf_events_free(&events);
}

// ---- rows ---------------------------------------------------------------------------------------

static int most_first(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (x[1] < y[1]) - (x[1] > y[1]);
}

// "12 token id outside the vocabulary, 3 prompt has no tokens; the first: token 999 in row 4"
static void reasons_write(const wf_report *report, char *text, size_t text_bytes)
{
    enum { SHOWN = 4 };
    int64_t kinds[WF_REPORT_ERRORS][3]; // code, how many, place in the report
    size_t n = 0, used = 0;
    while (n < WF_REPORT_ERRORS && report->errors[n].n > 0) {
        kinds[n][0] = report->errors[n].code;
        kinds[n][1] = (int64_t)report->errors[n].n;
        kinds[n][2] = (int64_t)n;
        n++;
    }
    qsort(kinds, n, sizeof kinds[0], most_first);
    for (size_t i = 0; i < n && i < SHOWN && used < text_bytes; i++) {
        int wrote = snprintf(text + used, text_bytes - used, "%s%" PRId64 " %s", i ? ", " : "",
                             kinds[i][1], wf_status_words((wf_status)kinds[i][0]));
        used += wrote > 0 ? (size_t)wrote : 0;
    }
    const char *first = n > 0 ? report->errors[kinds[0][2]].first : "";
    if (first[0] && used < text_bytes) {
        snprintf(text + used, text_bytes - used, "; the first%s: %s", n > 1 ? " of these" : "",
                 first);
    }
}

static int64_t failures_look(const wf_watch_view *v, wf_why_sources *s)
{
    wf_report report;
    if (!v->complete && v->requests_failed == 0) return -1;
    if (wf_report_make(v->out_dir, NULL, &report) != WF_OK) {
        wf_debug("%s", wf_error());
        return v->requests_failed;
    }
    int64_t n = (int64_t)report.figures.n_failed;
    reasons_write(&report, s->reasons, sizeof s->reasons);
    wf_report_destroy(&report);
    return n > v->requests_failed ? n : v->requests_failed;
}

static void story_read(const wf_watch_view *v, const char *log, wf_why_sources *s)
{
    wf_text story = {0};
    wf_why_story(v, log, &story);
    if (story.n > 0 && story.st == WF_OK) snprintf(s->story, sizeof s->story, "%s", story.bytes);
    wf_text_free(&story);
}

static void command_write(const char *home, wf_why_sources *s)
{
    wf_text command = {0};
    wf_text_puts(&command, "sbatch ");
    wf_text_put_shell(&command, home);
    wf_text_puts(&command, "/submit/job.sh");
    if (command.st == WF_OK) snprintf(s->command, sizeof s->command, "%s", command.bytes);
    wf_text_free(&command);
}

void wf_why_facts_gather(const wf_watch_view *v, const wf_queue_look *queue, wf_why_sources *s,
                         wf_why_facts *out)
{
    *s = (wf_why_sources){0};
    *out = (wf_why_facts){.view = v, .queue = queue, .command = v->command};
    char *log = log_load(v, queue);
    story_read(v, log, s);
    out->hint = log_read(log, s); // takes the text apart
    free(log);
    events_look(v, s);
    out->n_failed = failures_look(v, s);
    if (queue->home[0]) { // its batch script goes on where it stopped
        command_write(queue->home, s);
        out->command = s->command;
        out->submitted = true;
    }
    char joined[PATH_MAX];
    snprintf(joined, sizeof joined, "%s/results.h5", v->out_dir);
    out->unjoined = !wf_file_exists(joined);
    char texts[PATH_MAX];
    snprintf(texts, sizeof texts, "%s/text", v->out_dir);
    out->of_prompts = wf_file_exists(texts);
    out->hint_line = s->hint_line;
    out->refusal = s->refusal;
    out->group_end = s->group_end;
    out->story = s->story;
    out->reasons = s->reasons;
}
