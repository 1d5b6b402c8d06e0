// Reads events and the batch job's output for losses. See why_story.h.
#include "launcher/watch/why_story.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/run/events.h"
#include "launcher/bringup/banner.h"

enum { MOST_NODES = 4 };

// What stood there before the job's name had a line of its own.
#define OLD_MARK ", configuration "

static void tell(wf_text *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void tell(wf_text *out, const char *format, ...)
{
    char text[WF_ERROR_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    wf_text_printf(out, "%s%s", out->n > 0 ? "; " : "", text);
}

// ---- events -------------------------------------------------------------------------------------

static void tell_events(const wf_watch_view *v, wf_text *out)
{
    wf_events events = {0};
    const wf_event *last = NULL, *bad = NULL;
    size_t n_lost = 0, n_nodes = 0;
    if (wf_events_read(v->out_dir, &events) != WF_OK) return;
    for (size_t i = 0; i < events.n; i++) {
        const wf_event *e = &events.item[i];
        bool gave_up = e->kind == WF_EVENT_RETIRE && e->host[0];
        if (e->kind == WF_EVENT_LOST) last = e;
        if (e->kind == WF_EVENT_BAD_ROWS) bad = e;
        n_lost += e->kind == WF_EVENT_LOST;
        if (gave_up && n_nodes++ < MOST_NODES) tell(out, "%s", e->text);
    }
    if (n_nodes > MOST_NODES) tell(out, "%zu more nodes did not answer", n_nodes - MOST_NODES);
    if (last && n_lost > 1)
        tell(out, "%s; %zu losses of groups in all", last->text, n_lost);
    else if (last)
        tell(out, "%s", last->text);
    if (bad) tell(out, "%s", bad->text);
    wf_events_free(&events);
}

// ---- the batch job's output ---------------------------------------------------------------------

const char *wf_why_next_start(const char *log)
{
    for (const char *line = log; (line = strstr(line, " weft ")) != NULL; line++) {
        size_t n = strcspn(line, "\n");
        if (memmem(line, n, WF_BANNER_MARK, strlen(WF_BANNER_MARK)) ||
            memmem(line, n, OLD_MARK, strlen(OLD_MARK)))
            return line;
    }
    return NULL;
}

// The part of a line of [from, to) behind `words`; its length, 0 when no line has them.
static size_t rest_of_line(const char *from, const char *to, const char *words, const char **rest)
{
    const char *at = memmem(from, (size_t)(to - from), words, strlen(words));
    if (!at) return 0;
    *rest = at + strlen(words);
    size_t n = strcspn(*rest, "\n");
    return *rest + n <= to ? n : (size_t)(to - *rest);
}

// A start says when it drains or fails; one that another follows all the same was ended with its
// nodes.
static void tell_start(const char *from, const char *to, wf_text *out)
{
    const char *nodes = "s that are not known";
    size_t n = rest_of_line(from, to, " info  node", &nodes); // " 0 n1" or "s 0 n1, 1 n2"
    if (n == 0) n = strlen(nodes);
    if (memmem(from, (size_t)(to - from), "weft run: ", strlen("weft run: "))) return;
    tell(out,
         "a start on node%.*s ended without a word, as when a node is lost, and was begun again",
         (int)n, nodes);
}

static void tell_log(const char *log, wf_text *out)
{
    const char *lost = log, *begin = wf_why_next_start(log);
    for (size_t n; (n = rest_of_line(lost, lost + strlen(lost), "Node failure on ", &lost)) > 0;)
        tell(out, "node %.*s failed", (int)n, lost);
    while (begin) {
        const char *next = wf_why_next_start(begin + 1);
        if (next) tell_start(begin, next, out);
        begin = next;
    }
}

void wf_why_story(const wf_watch_view *v, const char *log, wf_text *out)
{
    tell_events(v, out);
    if (log) tell_log(log, out);
}
