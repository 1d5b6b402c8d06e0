// What the conductor's rooms share: the job that is conducted, and its groups.
//
//   conductor.c             begins, ticks until the job is over, ends
//   conductor_judge.c         what has become of a group's processes     -> events of the group
//   conductor_schedule.c      what is left to do, what has gone wrong    -> events of many groups
//   conductor_act.c             an event -> conductor_table.h -> the action, carried out
//   conductor_tell.c              each of these steps in <out>/events.jsonl and the log
//
// An action may be an event of all groups in its turn: a group that leaves by itself takes all
// along. Reacting is recursive then, and ends because a job drains only once. Private to the
// conductor. Errors are the job's. Local.
#ifndef WF_LAUNCHER_CONDUCTOR_INTERNAL_H
#define WF_LAUNCHER_CONDUCTOR_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "jobs/run/events.h"
#include "jobs/watch/progress.h"
#include "launcher/conductor/conductor.h"
#include "launcher/conductor/conductor_step.h"
#include "launcher/conductor/conductor_table.h"
#include "launcher/conductor/conductor_watch.h"

#define WF_CONDUCTOR_TEXT     512
#define WF_CONDUCTOR_DEATH_NS (10 * WF_NS_PER_S) // from being told to die to harder means

typedef struct wf_conductor_group {
    int number;
    wf_group_state state;
    uint32_t epoch;   // of its life, or of the next one
    bool stale;       // that epoch has sealed segments: the next life needs another
    int *seat;        // [tensor] places of its life; of the last one while it has none
    wf_beat *beat;    // [tensor]
    int64_t n_failed; // requests, in earlier lives
    int barren;       // lives in a row that brought nothing
    int64_t told_ns;  // when it was told to die
    int64_t ended_ns; // when its processes ended, while it is open whether they left; 0: no
    int exit_code;    // theirs, then
    bool again;       // its last life was lost
    uint64_t n_again; // rows that it gave back
    wf_step step;
    char cause[WF_CONDUCTOR_TEXT]; // why it was told to die, "" if it was not
} wf_conductor_group;

typedef struct wf_conductor {
    const wf_conductor_config *c;
    const char *dir;
    wf_pool *pool;
    wf_progress *progress;
    int n_groups, tensor;
    wf_conductor_group *group; // [n_groups]
    wf_beat_limits limits;
    int64_t start_ns, tick_ns, look_ns;
    bool draining, over;
    wf_status end;               // the job's failure; WF_OK: none
    char why[WF_CONDUCTOR_TEXT]; // its text
} wf_conductor;

// ---- conductor_tell.c ---------------------------------------------------------------------------

// One event; `g` NULL, `rank` -1 and `host` NULL where it is nobody's. A log that cannot be written
// stops no job.
void wf_conductor_tell(const wf_conductor *k, wf_event_kind kind, const wf_conductor_group *g,
                       int rank, const char *host, const char *format, ...)
    __attribute__((format(printf, 6, 7)));

// The nodes of a group, "n1,n2"; fills and returns `text`.
const char *wf_conductor_nodes_text(const wf_conductor *k, const wf_conductor_group *g, char *text,
                                    size_t text_bytes);

// ---- conductor_act.c ----------------------------------------------------------------------------

// Takes the group to its next state and does what the table says there.
wf_status wf_conductor_react(wf_conductor *k, wf_conductor_group *g, wf_group_event event);
wf_status wf_conductor_react_all(wf_conductor *k, wf_group_event event);

// All groups are asked to leave, through the stop file; a second call does nothing.
wf_status wf_conductor_drain(wf_conductor *k, const char *why);

// The same for a failure of the job; the first one is the one that is reported.
wf_status wf_conductor_fail(wf_conductor *k, wf_status end, const char *why);

// Ends a group's processes: asks srun or mpirun to, where there is one; `hard`: by every means.
void wf_conductor_kill(wf_conductor *k, wf_conductor_group *g, bool hard);

// ---- conductor_judge.c --------------------------------------------------------------------------

// Whether a living group's processes have ended, and how. Cheap: at every tick.
wf_status wf_conductor_reap(wf_conductor *k, wf_conductor_group *g);

// What a living group's status files say: that it came up, works, or has gone quiet.
wf_status wf_conductor_look(wf_conductor *k, wf_conductor_group *g);

// ---- conductor_schedule.c -----------------------------------------------------------------------

// Whether the job must leave: told to, too many failures, the folder lost.
wf_status wf_conductor_look_at_job(wf_conductor *k);

// Starts groups where there is work and room, and finds the end: sets k->over.
wf_status wf_conductor_schedule(wf_conductor *k);

// Requests that failed in this run, all lives counted.
int64_t wf_conductor_failed(const wf_conductor *k);

#endif
