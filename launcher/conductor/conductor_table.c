// The table itself. See conductor_table.h.
#include "launcher/conductor/conductor_table.h"

#include <stddef.h>

typedef struct {
    bool used;
    wf_group_turn turn;
} cell;

// Rows are written by state; cells that are not there change nothing.
#define ON(event, state, action) [WF_ON_##event] = {true, {WF_GROUP_##state, WF_DO_##action}}

// How a group that lives can end, and where it then goes: `well` when all is sealed, `again` after
// a loss. One that is being ended may have had the time to drain: it is lost all the same.
#define ENDS(well, again)                                                                          \
    ON(END_DONE, well, CLOSE), ON(END_DRAINED, OVER, TELL), ON(END_LOST, again, CLEAR)
#define IS_ENDED(well, again)                                                                      \
    ON(END_DONE, well, CLOSE), ON(END_DRAINED, again, CLEAR), ON(END_LOST, again, CLEAR)

static const cell table[WF_N_GROUP_STATES][WF_N_GROUP_EVENTS] = {
    [WF_GROUP_IDLE] = {ON(PLACE, START, START), ON(DRAIN, OVER, NONE), ON(ABORT, OVER, NONE),
                       ON(RETIRE, OVER, NONE)},
    [WF_GROUP_START] = {ON(ALIVE, LOAD, NONE), ON(WORKS, RUN, NONE), ON(QUIET, KILL, KILL),
                        ON(DRAIN, DRAIN, ASK), ON(ABORT, KILL_LAST, KILL), ENDS(DONE, IDLE)},
    [WF_GROUP_LOAD] = {ON(WORKS, RUN, NONE), ON(QUIET, KILL, KILL), ON(DRAIN, DRAIN, ASK),
                       ON(ABORT, KILL_LAST, KILL), ENDS(DONE, IDLE)},
    [WF_GROUP_RUN] = {ON(QUIET, KILL, KILL), ON(DRAIN, DRAIN, ASK), ON(ABORT, KILL_LAST, KILL),
                      ENDS(DONE, IDLE)},
    [WF_GROUP_DRAIN] = {ON(QUIET, KILL_LAST, KILL), ON(DRAIN, DRAIN, ASK),
                        ON(ABORT, KILL_LAST, KILL), ENDS(OVER, OVER)},
    [WF_GROUP_KILL] = {ON(LATE, KILL, KILL_HARD), ON(DRAIN, KILL_LAST, NONE),
                       ON(ABORT, KILL_LAST, NONE), IS_ENDED(DONE, IDLE)},
    [WF_GROUP_KILL_LAST] = {ON(LATE, KILL_LAST, KILL_HARD), IS_ENDED(OVER, OVER)},
    [WF_GROUP_DONE] = {ON(WORK, IDLE, NONE), ON(DRAIN, OVER, NONE), ON(ABORT, OVER, NONE)},
    [WF_GROUP_OVER] = {{false}},
};

wf_group_turn wf_group_step(wf_group_state state, wf_group_event event)
{
    const cell *c = &table[state][event];
    return c->used ? c->turn : (wf_group_turn){state, WF_DO_NONE};
}

const char *wf_group_state_words(wf_group_state state)
{
    static const char *const words[] = {
#define STATE_WORDS(name, text, lives) text,
        WF_GROUP_STATES(STATE_WORDS)
#undef STATE_WORDS
    };
    return words[state];
}

bool wf_group_lives(wf_group_state state)
{
    static const bool lives[] = {
#define STATE_LIVES(name, text, is_alive) is_alive,
        WF_GROUP_STATES(STATE_LIVES)
#undef STATE_LIVES
    };
    return lives[state];
}
