// What a run's results say of sessions: how long each took and how many turns it had. Memory: 48 to
// 96 bytes a session. Pure. Local.
#ifndef WF_RESULTS_SESSIONS_H
#define WF_RESULTS_SESSIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "io/results/result.h"

typedef struct wf_session_sum { // session 0: a free place
    uint64_t session;
    int64_t first_ns, last_ns; // earliest arrival, last finish; -1: none yet
    uint64_t n_turns;          // results of sample 0
    uint16_t run;
    bool mixed; // of several runs, whose times do not compare, or begun before figures do
} wf_session_sum;

// Starts as {0}; free it also after a failure.
typedef struct wf_session_sums {
    wf_session_sum *slot; // [n_slots], a power of two, at most half of them taken
    size_t n_slots, n;
} wf_session_sums;

// A result of a session (others are passed over); `counts`: false where figures leave it out.
wf_status wf_session_sums_add(wf_session_sums *sums, const wf_result *row, bool counts);

// Of the sessions that count: durations in ns and turns, [*out_n] each of at least sums->n places.
void wf_session_sums_finish(const wf_session_sums *sums, double *durations, double *turns,
                            size_t *out_n);

void wf_session_sums_free(wf_session_sums *sums);

#endif
