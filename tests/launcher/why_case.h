// Facts of a case of weft why, in the words that test_why.c is written in.
#ifndef WF_TESTS_LAUNCHER_WHY_CASE_H
#define WF_TESTS_LAUNCHER_WHY_CASE_H

#include <signal.h>

#include "launcher/watch/why.h"

// One rank of a case: what differs from a rank that computes on node n<rank>.
typedef struct {
    wf_pulse pulse;
    wf_operation operation;
    wf_status end;
    wf_drain_cause drain;
    int signal;
    int64_t beat_unix_ns;
    const char *error;
} rank_fact;

#define ALIVE             {WF_PULSE_BEATS, WF_OPERATION_STEP, WF_OK, WF_DRAIN_NOT, 0, 100, ""}
#define LOADS             {WF_PULSE_BEATS, WF_OPERATION_LOAD, WF_OK, WF_DRAIN_NOT, 0, 100, ""}
#define STILL             {WF_PULSE_STILL, WF_OPERATION_STEP, WF_OK, WF_DRAIN_NOT, 0, 100, ""}
#define QUIET             {WF_PULSE_QUIET, WF_OPERATION_STEP, WF_OK, WF_DRAIN_NOT, 0, 100, ""}
#define GONE(when)        {WF_PULSE_GONE, WF_OPERATION_STEP, WF_OK, WF_DRAIN_NOT, 0, when, ""}
#define SHOT(when)        {WF_PULSE_GONE, WF_OPERATION_STEP, WF_OK, WF_DRAIN_NOT, SIGTERM, when, ""}
#define DONE              {WF_PULSE_OVER, WF_OPERATION_DONE, WF_OK, WF_DRAIN_NOT, 0, 100, ""}
#define FAILS(end, error) {WF_PULSE_OVER, WF_OPERATION_FAILED, end, WF_DRAIN_NOT, 0, 100, error}
#define DRAINED(cause, signal)                                                                     \
    {WF_PULSE_OVER, WF_OPERATION_DRAINED, WF_DRAINED, WF_DRAIN_##cause, signal, 100, ""}
#define DRAINS(cause) {WF_PULSE_BEATS, WF_OPERATION_STEP, WF_OK, WF_DRAIN_##cause, 0, 100, ""}

enum { N_MOST = 3 };

typedef struct {
    wf_cause cause;
    size_t n_runs;
    bool complete;
    wf_batch_word word;
    const char *state;
    wf_log_hint hint;
    int64_t n_failed;
    const char *refusal;
    size_t n_ranks;
    rank_fact rank[N_MOST];
    const char *words[4]; // parts that must be there
    const char *next;
} why_case;

#endif
