// What happens to one group of a conducted job: a state machine as a table.
//
//   idle --place--> start --alive--> load --works--> run ----------done----------> done
//    ^                |                |              |                             |
//    |                +----- quiet ----+----quiet-----+--> kill --lost--> clear     |
//    +------------------------- lost: clear ---------------------------+            |
//    +---------------------------------------- work is left after all --------------+
//
//   drain: those that live are asked to leave (drain), those that are to die do so without a
//   successor (kill-last), nobody is started any more; over is the end
//
// Pure: states and events in, states and actions out. Who makes the events and carries out the
// actions: conductor_internal.h. Source of the form: PRRTE's state machine (state, event, action).
// Local.
#ifndef WF_LAUNCHER_CONDUCTOR_TABLE_H
#define WF_LAUNCHER_CONDUCTOR_TABLE_H

#include <stdbool.h>

// X(NAME, words, lives: it has processes, or may have)
#define WF_GROUP_STATES(X)                                                                         \
    X(IDLE, "waits for a place", false)                                                            \
    X(START, "starts", true)                                                                       \
    X(LOAD, "loads", true)                                                                         \
    X(RUN, "runs", true)                                                                           \
    X(DRAIN, "drains", true)                                                                       \
    X(KILL, "is ended", true)                                                                      \
    X(KILL_LAST, "is ended for good", true)                                                        \
    X(DONE, "is done", false)                                                                      \
    X(OVER, "is over", false)

// X(NAME, when)
#define WF_GROUP_EVENTS(X)                                                                         \
    X(PLACE, "there are ranges to take and a place to run")                                        \
    X(ALIVE, "all its ranks have written a status file")                                           \
    X(WORKS, "its first step has ended")                                                           \
    X(QUIET, "a rank has not moved for too long")                                                  \
    X(LATE, "it was told to die and has not in time")                                              \
    X(END_DONE, "its processes are gone; it said that all it took is sealed")                      \
    X(END_DRAINED, "gone; it said that it left in time")                                           \
    X(END_LOST, "gone, and said neither")                                                          \
    X(DRAIN, "the job is to leave")                                                                \
    X(ABORT, "the job is to end at once")                                                          \
    X(WORK, "ranges are left although all groups have ended")                                      \
    X(RETIRE, "there will be no place for it")

// X(NAME, what)
#define WF_GROUP_ACTIONS(X)                                                                        \
    X(NONE, "nothing")                                                                             \
    X(START, "starts its processes")                                                               \
    X(ASK, "asks them to leave")                                                                   \
    X(KILL, "ends them")                                                                           \
    X(KILL_HARD, "ends them by every means")                                                       \
    X(CLEAR, "fences it off, gives back what it held")                                             \
    X(TELL, "what drained by itself: the whole job drains")                                        \
    X(CLOSE, "notes that all it took is sealed")

typedef enum wf_group_state {
#define WF_STATE_ENUM(name, words, lives) WF_GROUP_##name,
    WF_GROUP_STATES(WF_STATE_ENUM)
#undef WF_STATE_ENUM
        WF_N_GROUP_STATES
} wf_group_state;

typedef enum wf_group_event {
#define WF_ON_ENUM(name, when) WF_ON_##name,
    WF_GROUP_EVENTS(WF_ON_ENUM)
#undef WF_ON_ENUM
        WF_N_GROUP_EVENTS
} wf_group_event;

typedef enum wf_group_action {
#define WF_ACTION_ENUM(name, what) WF_DO_##name,
    WF_GROUP_ACTIONS(WF_ACTION_ENUM)
#undef WF_ACTION_ENUM
} wf_group_action;

typedef struct wf_group_turn {
    wf_group_state next;
    wf_group_action action;
} wf_group_turn;

// An event that means nothing in a state leaves it as it is, with nothing to do.
wf_group_turn wf_group_step(wf_group_state state, wf_group_event event);

const char *wf_group_state_words(wf_group_state state);
bool wf_group_lives(wf_group_state state);

#endif
