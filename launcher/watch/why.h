// Why a job stopped, or what it is at: facts in; cause, words, remedy and the next command out.
//
//   signs of the facts ----> first row of the table whose signs are there ----> words
//
// The table (why_table.c) is data: signs that must and must not be there, and texts with places for
// facts such as "{rank}" and "{host}". Pure: reads no file, asks nobody. All Local.
#ifndef WF_LAUNCHER_WHY_H
#define WF_LAUNCHER_WHY_H

#include <stdint.h>

#include "io/base/text.h"
#include "jobs/watch/watch.h"
#include "launcher/watch/queue_look.h"

// X(NAME, word for programs)
#define WF_CAUSE_TABLE(X)                                                                          \
    X(LOADING, "loading")                                                                          \
    X(RUNNING, "running")                                                                          \
    X(DRAINING, "draining")                                                                        \
    X(STALLED, "stalled")                                                                          \
    X(COMPLETE, "complete")                                                                        \
    X(COMPLETE_FAILED, "complete-with-failures")                                                   \
    X(REFUSED, "refused")                                                                          \
    X(QUEUED, "queued")                                                                            \
    X(STARTING, "starting")                                                                        \
    X(SUBMITTED, "submitted")                                                                      \
    X(NEVER, "never-started")                                                                      \
    X(ENDED_EARLY, "ended-before-it-began")                                                        \
    X(DISK_FULL, "disk-full")                                                                      \
    X(IO, "input-output")                                                                          \
    X(MAX_FAILURES, "max-failures")                                                                \
    X(BAD_DATA, "bad-data")                                                                        \
    X(NO_INPUT, "missing-input")                                                                   \
    X(BAD_JOB, "bad-job")                                                                          \
    X(OUT_OF_MEMORY, "out-of-memory")                                                              \
    X(NODE_FAIL, "node-failure")                                                                   \
    X(TIME_LIMIT_KILLED, "killed-at-time-limit")                                                   \
    X(TIME_LIMIT, "time-limit")                                                                    \
    X(STOP_FILE, "stop-file")                                                                      \
    X(PREEMPTED, "preempted")                                                                      \
    X(CANCELLED, "cancelled")                                                                      \
    X(SIGNAL, "signal")                                                                            \
    X(DRAINED, "drained")                                                                          \
    X(HOST_MEMORY, "host-memory")                                                                  \
    X(DEVICE, "device")                                                                            \
    X(RANK_DIED, "rank-died")                                                                      \
    X(COMM, "communication")                                                                       \
    X(FAILED, "failed")                                                                            \
    X(FINISHING, "finishing")                                                                      \
    X(NO_RESULTS, "results-not-written")                                                           \
    X(UNFIT, "never-starts")                                                                       \
    X(UNKNOWN, "unknown")

typedef enum wf_cause {
#define WF_CAUSE_ENUM(name, word) WF_CAUSE_##name,
    WF_CAUSE_TABLE(WF_CAUSE_ENUM)
#undef WF_CAUSE_ENUM
        WF_N_CAUSES
} wf_cause;

const char *wf_cause_word(wf_cause cause);

// What the batch job's own output tells: lines that Slurm writes.
typedef enum wf_log_hint {
    WF_HINT_NONE,
    WF_HINT_OUT_OF_MEMORY,
    WF_HINT_NODE_FAIL,
    WF_HINT_TIME_LIMIT,
    WF_HINT_PREEMPTED,
    WF_HINT_CANCELLED,
    WF_HINT_KILLED // srun: "task 3: Killed"
} wf_log_hint;

// The hint in one line of output; NONE for all others.
wf_log_hint wf_log_hint_of(const char *line);

typedef struct wf_why_facts {
    const wf_watch_view *view; // borrowed, as all of these
    const wf_queue_look *queue;
    wf_log_hint hint;
    const char *hint_line; // "" when none
    int64_t n_failed;      // rows of the whole job that failed; -1: not known
    const char *program;   // how weft was called to ask; NULL: "weft"
    bool unjoined;         // the folder has no results.h5
    const char *reasons;   // the most frequent, "12 token id outside the vocabulary"; ""
    const char *refusal;   // what a start that began no run had to say; ""
    const char *group_end; // what the conductor last said of a lost group; ""
    const char *story;     // what befell it on its way; ""
    const char *command;   // how the newest run was started; "" when not known
    bool of_prompts;       // its requests were made from prompts files
    bool submitted;        // by weft submit: its batch script goes on by itself
} wf_why_facts;

typedef struct wf_why {
    wf_cause cause;
    const wf_watch_rank *rank; // whose doing it is; NULL: nobody's in particular
    wf_text words, remedy, next;
} wf_why;

// Give *out to wf_why_free. WF_NO_MEMORY.
wf_status wf_why_decide(const wf_why_facts *facts, wf_why *out);
void wf_why_free(wf_why *why);

#endif
