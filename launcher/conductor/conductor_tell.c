// Events for the log and for people. See conductor_internal.h.
#include <stdarg.h>
#include <stdio.h>

#include "io/base/log.h"
#include "launcher/conductor/conductor_internal.h"

void wf_conductor_tell(const wf_conductor *k, wf_event_kind kind, const wf_conductor_group *g,
                       int rank, const char *host, const char *format, ...)
{
    char text[WF_CONDUCTOR_TEXT];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    wf_event event = {.kind = kind,
                      .run = wf_pool_run(k->pool),
                      .group = g ? g->number : -1,
                      .epoch = g ? (int)g->epoch : -1,
                      .rank = rank,
                      .host = host,
                      .text = text};
    if (wf_event_add(k->dir, &event) != WF_OK) wf_debug("%s", wf_error());
    bool bad = kind == WF_EVENT_STALL || kind == WF_EVENT_LOST || kind == WF_EVENT_RETIRE ||
               kind == WF_EVENT_QUARANTINE;
    wf_log(bad ? WF_LOG_WARN : WF_LOG_DEBUG, "%s", text);
}

const char *wf_conductor_nodes_text(const wf_conductor *k, const wf_conductor_group *g, char *text,
                                    size_t text_bytes)
{
    size_t length = 0;
    int last = -1;
    text[0] = '\0';
    for (int i = 0; i < k->tensor && length < text_bytes; i++) {
        int node = k->c->site->place[g->seat[i]].node;
        if (node == last) continue;
        length += (size_t)snprintf(text + length, text_bytes - length, "%s%s", length ? "," : "",
                                   k->c->site->nodes.name[node]);
        last = node;
    }
    return text;
}
