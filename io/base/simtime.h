// Simulated time: clocks that jump, for several processes that live at once.
//
//   member 0: jump 10 ms, jump 12 ms, ... sleep until 15 ms -> returns when no other is behind it
//   member 1: jump 3 ms ...
//
// A member's own time moves when it jumps, without anybody waiting: what members do apart needs no
// order. Where they meet (they take work from one pile) a member sleeps, if only until now: it goes
// on when its time has come, that is, when every other member is later, or as late and of a higher
// number. So what they do there happens in the order of simulated time, and always the same. After
// conservative parallel discrete event simulation (Chandy & Misra, 1979).
//
// The memory is shared: members are processes forked after it was made, one thread of each. All
// Local.
#ifndef WF_IO_BASE_SIMTIME_H
#define WF_IO_BASE_SIMTIME_H

#include "io/base/clock.h"
#include "io/base/status.h"

typedef struct wf_simtime wf_simtime;

// n_members clocks, all at `now_ns`. `meet` false: they have nothing in common, and nobody waits.
// WF_NO_MEMORY. Caller owns *out; every process that has it may destroy its own view.
wf_status wf_simtime_create(int n_members, int64_t now_ns, bool meet, wf_simtime **out);
void wf_simtime_destroy(wf_simtime **time); // NULL inside is fine

// A member's clock. Borrowed.
const wf_clock *wf_simtime_clock(wf_simtime *time, int i_member);

// What happens at its time while a member's clock moves over it: `next` says when, INT64_MAX never;
// `fire` is called when the clock stands there,
// and says whether it did; else the clock moves on. Set by the
// member's process before its clock moves.
typedef struct wf_simtime_event {
    int64_t (*next)(void *context);
    bool (*fire)(void *context);
    void *context;
} wf_simtime_event;

void wf_simtime_on(wf_simtime *time, int i_member, const wf_simtime_event *event);

// Waits until a member's time has come, as sleeping until now does, and nothing happens at its time
// meanwhile: for what happens then itself.
void wf_simtime_meet(wf_simtime *time, int i_member);

// Moves a member's clock; never back.
void wf_simtime_jump(wf_simtime *time, int i_member, int64_t to_ns);

// The member has ended: nobody waits for it any more. Its clock stays where it is. By any process.
void wf_simtime_leave(wf_simtime *time, int i_member);

#endif
