// The feeder: takes requests from a feed as they arrive, also while a step computes.
//
//   feed --due--> [ inbox: request, when it was taken ] --take--> the step loop, between two steps
//   turns --due--^                <-- ended, for the turn that follows --
//
// A step of long prompts takes seconds where the host computes. What arrives meanwhile is noted at
// its time, not when the step happens to end: the schedule lag is that of the feeder, and what
// waits is counted from its arrival on.
//
// With `thread` a thread of its own watches the clock, and the feed is its alone until destroy.
// Without (simulated time) wf_feeder_look() does the same whenever it is called. Local; take, wait
// and the queries are for one thread.
#ifndef WF_JOBS_RUN_FEEDER_H
#define WF_JOBS_RUN_FEEDER_H

#include <stdatomic.h>

#include "io/base/clock.h"
#include "jobs/run/board.h"
#include "jobs/run/feed.h"
#include "jobs/run/turns.h"

typedef struct wf_feeder wf_feeder;

typedef struct wf_feeder_config {
    wf_feed *feed;            // borrowed, all of its rows added; or
    wf_turns *turns;          // all of its sessions added
    const wf_clock *clock;    // borrowed
    int64_t origin_ns;        // of the clock: run time 0
    _Atomic int64_t *waiting; // of the status file, kept up to date; NULL: nobody asks
    // Groups share the arrivals (arrivals.split: least_tokens): each has all of them, and hands on
    // those that the board says are its own. NULL: all are.
    wf_board *board;
    int group;
    uint32_t n_samples;       // of rows that say no number
    void (*meet)(void *with); // before it decides: others may not be there yet; may be NULL
    void *with;
    bool thread;
    bool patient; // without a thread: a row that is due is waited for until it has been read
} wf_feeder_config;

// WF_NO_MEMORY, WF_IO (no thread). own.
wf_status wf_feeder_create(const wf_feeder_config *config, wf_feeder **out);
void wf_feeder_destroy(wf_feeder **feeder); // NULL inside is fine

// Takes what is due by now into the inbox.
void wf_feeder_look(wf_feeder *feeder);

// For whoever moves a simulated clock (io/base/simtime.h): when the next row is due, of the clock,
// INT64_MAX never; and wf_feeder_look(), false where a row is still due. `feeder` is a wf_feeder.
int64_t wf_feeder_next(void *feeder);
bool wf_feeder_fire(void *feeder);

// The next request that has arrived, in the order of arrival, and when it was taken, in run time.
// False: none has. The request is the caller's: wf_feed_free().
bool wf_feeder_take(wf_feeder *feeder, const wf_request **out, int64_t *out_taken_ns);

// A request that was taken has ended, at `end_ns` of run time: with turns the next of its session
// is released. Before the request is freed.
void wf_feeder_ended(wf_feeder *feeder, const wf_request *request, int64_t end_ns);

// Waits until a request has arrived, at most until the clock says `until_ns`.
void wf_feeder_wait(wf_feeder *feeder, int64_t until_ns);

// Says how many wait elsewhere, beside those that have arrived and are not taken.
void wf_feeder_show_waiting(wf_feeder *feeder, int64_t n_beside);

// The failure that ended the feed, as the caller's own; WF_OK while there is none.
wf_status wf_feeder_status(wf_feeder *feeder);

uint64_t wf_feeder_left(const wf_feeder *feeder); // requests not taken by the caller yet
int64_t wf_feeder_n_waiting(wf_feeder *feeder);   // of these, arrived

#endif
