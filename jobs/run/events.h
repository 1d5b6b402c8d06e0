// The event log of a job, <out>/events.jsonl: what happened to its groups, one JSON object a line.
//
//   {"time": "2026-11-21T10:39:22.120Z", "run": 0, "event": "lost", "group": 3, "epoch": 0,
//    "rank": 6, "host": "n2", "text": "rank 6 on n2 (group 3) stalled at step 41 in \"step\""}
//
// Written by whoever watches over the groups (launcher/conductor/conductor.h) and whoever encodes
// prompts (launcher/text_job.h), line by line (wf_file_append); read by `weft why` and by people.
// It is a story, not the truth: nothing decides by it, and a line that a crash cut off is skipped.
// Numbers that mean nothing for an event are -1, texts "". All Local.
#ifndef WF_JOBS_RUN_EVENTS_H
#define WF_JOBS_RUN_EVENTS_H

#include <stddef.h>
#include <stdint.h>

#include "io/base/status.h"

// X(NAME, word, when)
#define WF_EVENT_TABLE(X)                                                                          \
    X(BEGIN, "begin", "a conductor took the folder and began the run; text: how many groups")      \
    X(START, "start", "a group's ranks were started; text: on which nodes")                        \
    X(STALL, "stall", "a rank's counters stopped moving; its group is ended; text: where it was")  \
    X(LOST, "lost", "a group ended before its work was done; text: the cause as far as known")     \
    X(RETURN, "return", "what a lost group held went back to the pool; text: how many rows")       \
    X(QUARANTINE, "quarantine", "a request was given up for stopping its group; text: which one")  \
    X(RETIRE, "retire", "a group is not started again; text: why")                                 \
    X(DONE, "done", "a group has sealed all it took")                                              \
    X(DRAIN, "drain", "all groups were asked to stop; text: by whom")                              \
    X(BAD_ROWS, "bad-rows", "rows of prompts files are no requests and fail in the answers")       \
    X(END, "end", "the run is over; text: how")

typedef enum wf_event_kind {
#define WF_EVENT_ENUM(name, word, when) WF_EVENT_##name,
    WF_EVENT_TABLE(WF_EVENT_ENUM)
#undef WF_EVENT_ENUM
        WF_N_EVENTS
} wf_event_kind;

const char *wf_event_word(wf_event_kind kind);

typedef struct wf_event {
    int64_t time_unix_ns; // 0 when adding: now
    wf_event_kind kind;
    int64_t run;
    int group, epoch, rank;
    const char *host, *text; // NULL when adding: ""
} wf_event;

// Appends one line. WF_IO.
wf_status wf_event_add(const char *out_dir, const wf_event *event);

typedef struct wf_events {
    size_t n;
    wf_event *item; // [n] in the order of writing
    void *memory;   // of the texts; private
} wf_events;

// All events so far; none where there is no file. Lines that are no events are skipped. WF_IO.
// Give *out to wf_events_free.
wf_status wf_events_read(const char *out_dir, wf_events *out);
void wf_events_free(wf_events *events);

#endif
