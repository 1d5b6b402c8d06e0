// The turns of one group's sessions, each released when the one before it has ended: a closed loop.
//
//   add() sessions in the order of their arrival
//     turn 0 due at the session's arrival --> pop() --> ... ended() --> turn 1 due at the end + its
//     think time --> pop() --> ...
//
// Rows are read ahead, one at a time: the first turns of the sessions that come next, and of every
// session that is at work its next turn. What is handed out is the caller's, wf_feed_free(). A row
// that cannot be read comes out failed (jobs/run/feed.h). Local; one thread.
#ifndef WF_JOBS_RUN_TURNS_H
#define WF_JOBS_RUN_TURNS_H

#include "jobs/run/feed.h"

typedef struct wf_turns wf_turns;

typedef struct wf_turn {
    uint32_t shard;
    uint64_t row;
    int64_t think_ns; // after the turn before, >= 0; of a session's first: not used
} wf_turn;

// `most`: sessions at work at most, the next begins when one is over; 0: no bound. Of `config`
// block_rows and ahead are not used.
wf_status wf_turns_create(const wf_feed_config *config, uint64_t most, wf_turns **out); // own
void wf_turns_destroy(wf_turns *turns); // takes NULL

// A session of n > 0 turns (copied) whose first is due at `at_ns` of run time. WF_NO_MEMORY.
wf_status wf_turns_add(wf_turns *turns, int64_t at_ns, const wf_turn *turn, size_t n);

// A turn of the session that a popped request bears as its tag (wf_feed_tag) has ended, done or
// failed, at `end_ns` of run time.
wf_status wf_turns_ended(wf_turns *turns, uint64_t i_session, int64_t end_ns);

// As of a feed: left counts turns not popped, next is that of the turns that may be due already.
uint64_t wf_turns_left(const wf_turns *turns);
int64_t wf_turns_next_ns(const wf_turns *turns);
wf_status wf_turns_pump(wf_turns *turns, int64_t timeout_ns);
const wf_request *wf_turns_peek(const wf_turns *turns);
const wf_request *wf_turns_pop(wf_turns *turns);

// The session of what peek() shows, by the number it was added as, and whether none of its turns
// has been popped.
uint64_t wf_turns_session(const wf_turns *turns, bool *out_is_new);

// Forgets that session with all its turns: it is another group's. Returns how many those are.
uint64_t wf_turns_drop(wf_turns *turns);

#endif
