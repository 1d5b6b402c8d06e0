// What has become of a group's processes. See conductor_internal.h.
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

#include "io/base/clock.h"
#include "launcher/conductor/conductor_internal.h"

#define HEAR_NS (2 * WF_NS_PER_S) // a signal to the whole job has reached all of it by then

// Exit codes that are the same whoever runs the job again: starting the group again is of no use.
static wf_status lasting_failure(int exit_code)
{
    static const wf_status lasting[] = {WF_USAGE, WF_DATA, WF_NO_INPUT, WF_IO, WF_CONFIG};
    for (size_t i = 0; i < sizeof lasting / sizeof *lasting; i++)
        if (wf_status_exit_code(lasting[i]) == exit_code) return lasting[i];
    return WF_OK;
}

static void beats_read(wf_conductor *k, wf_conductor_group *g)
{
    wf_rank_status status;
    for (int i = 0; i < k->tensor; i++) {
        bool read = wf_beat_read(k->dir, g->number * k->tensor + i, wf_pool_run(k->pool), g->epoch,
                                 &status);
        wf_beat_take(&g->beat[i], read ? &status : NULL, wf_clock_ns());
    }
}

// The rank that says why it failed.
static int speaker_of(const wf_conductor *k, const wf_conductor_group *g)
{
    for (int i = 0; i < k->tensor; i++)
        if (g->beat[i].seen && g->beat[i].status.operation == WF_OPERATION_FAILED &&
            g->beat[i].status.error[0])
            return i;
    return -1;
}

// The one rank without a last word: those beside it were ended for its death, and said so. -1 where
// several are silent: heartbeats are too far apart to tell who fell silent first.
static int silent_of(const wf_conductor *k, const wf_conductor_group *g)
{
    int silent = -1;
    if (k->tensor == 1) return 0;
    for (int i = 0; i < k->tensor; i++) {
        if (g->beat[i].seen && wf_operation_is_over(g->beat[i].status.operation)) continue;
        if (silent >= 0) return -1;
        silent = i;
    }
    return silent;
}

// The event names the rank whose doing it was, or, where that is not known, the group's nodes.
static void tell_loss(const wf_conductor *k, const wf_conductor_group *g, int position,
                      const char *text)
{
    char nodes[WF_CONDUCTOR_TEXT / 2];
    int rank = position < 0 ? -1 : g->number * k->tensor + position;
    const char *host = position < 0 ? wf_conductor_nodes_text(k, g, nodes, sizeof nodes)
                       : g->beat[position].seen
                           ? g->beat[position].status.host
                           : k->c->site->nodes.name[k->c->site->place[g->seat[position]].node];
    wf_conductor_tell(k, WF_EVENT_LOST, g, rank, host, "%s", text);
}

// A group died of itself: says so, and ends the job where its cause would come back.
static wf_status note_loss(wf_conductor *k, wf_conductor_group *g, int exit_code)
{
    char text[WF_CONDUCTOR_TEXT];
    int speaker = speaker_of(k, g);
    const wf_rank_status *s = speaker < 0 ? NULL : &g->beat[speaker].status;
    int code = s ? (int)s->exit_code : exit_code;
    if (g->cause[0])
        snprintf(text, sizeof text, "group %d is lost: %.400s", g->number, g->cause);
    else if (s)
        snprintf(text, sizeof text, "group %d is lost: %.400s", g->number, s->error);
    else
        snprintf(text, sizeof text,
                 "group %d is lost: its processes ended (%s %d) without a last word", g->number,
                 exit_code > 128 ? "signal" : "exit code",
                 exit_code > 128 ? exit_code - 128 : exit_code);
    tell_loss(k, g, s ? speaker : silent_of(k, g), text);
    wf_status end = g->cause[0] ? WF_OK : lasting_failure(code);
    return end == WF_OK ? WF_OK : wf_conductor_fail(k, end, text);
}

// mpirun and srun send SIGTERM to the ranks that are left when one has died: a rank that drained
// for it alone says nothing about the job.
static bool was_terminated(const wf_rank_status *s)
{
    return s->drain == WF_DRAIN_SIGNAL && s->signal == SIGTERM;
}

static bool is_leaving(const wf_conductor *k)
{
    return k->draining || wf_drain_asks(k->c->drain, WF_DRAIN_FINISH);
}

// Whether processes that ended so may have been asked to. SIGTERM to the whole job ends mpirun and
// srun with codes of their own, and SIGKILL follows it: then only a crash and a rank's own word
// count.
static bool may_have_left(const wf_conductor *k, const wf_conductor_group *g, int exit_code)
{
    const volatile sig_atomic_t *got = wf_drain_signal(k->c->drain);
    bool killed = got && (*got == SIGTERM || *got == SIGINT) && is_leaving(k);
    if (g->cause[0] || speaker_of(k, g) >= 0) return false;
    if (killed && (exit_code <= 128 || exit_code == 128 + SIGKILL))
        return lasting_failure(exit_code) == WF_OK;
    return exit_code == wf_status_exit_code(WF_DRAINED) || exit_code == 128 + SIGTERM ||
           exit_code == 128 + SIGINT;
}

// Processes that are gone by SIGTERM: drained when this process is leaving too, lost otherwise.
// The signal may reach them first: for a moment it stays open.
static wf_status judge_ended(wf_conductor *k, wf_conductor_group *g)
{
    char text[WF_CONDUCTOR_TEXT];
    wf_operation last = g->beat[0].seen ? g->beat[0].status.operation : WF_OPERATION_START;
    bool left = may_have_left(k, g, g->exit_code);
    if (left && !is_leaving(k) && wf_clock_ns() - g->ended_ns < HEAR_NS) return WF_OK;
    g->ended_ns = 0;
    if (last == WF_OPERATION_DONE) return wf_conductor_react(k, g, WF_ON_END_DONE);
    if (last == WF_OPERATION_DRAINED && !was_terminated(&g->beat[0].status))
        return wf_conductor_react(k, g, WF_ON_END_DRAINED);
    if (left && is_leaving(k)) {
        WF_TRY(wf_conductor_drain(k, wf_drain_why(k->c->drain, text, sizeof text)));
        return wf_conductor_react(k, g, WF_ON_END_DRAINED);
    }
    WF_TRY(note_loss(k, g, g->exit_code));
    return wf_conductor_react(k, g, WF_ON_END_LOST);
}

wf_status wf_conductor_reap(wf_conductor *k, wf_conductor_group *g)
{
    if (!wf_group_lives(g->state)) return WF_OK;
    if (g->ended_ns == 0) {
        if (!wf_step_ended(&g->step, &g->exit_code)) return WF_OK;
        g->ended_ns = wf_clock_ns();
        beats_read(k, g);
    }
    return judge_ended(k, g);
}

// The quiet rank, if any: one without a heartbeat rather than one that waits for it in a step.
static int quiet_rank(const wf_conductor *k, const wf_conductor_group *g, int64_t *quiet_ns)
{
    int found = -1;
    for (int i = 0; i < k->tensor; i++) {
        int64_t ns;
        bool hangs;
        if (!wf_beat_is_quiet(&g->beat[i], &k->limits, wf_clock_ns(), &ns, &hangs)) continue;
        if (found >= 0 && hangs) continue;
        found = i;
        *quiet_ns = ns;
        if (!hangs) break;
    }
    return found;
}

static wf_status note_quiet(wf_conductor *k, wf_conductor_group *g, int position, int64_t quiet_ns)
{
    const wf_beat *b = &g->beat[position];
    int rank = g->number * k->tensor + position;
    const char *node = k->c->site->nodes.name[k->c->site->place[g->seat[position]].node];
    if (b->seen)
        snprintf(g->cause, sizeof g->cause,
                 "rank %d on %s stalled at step %" PRId64
                 " in \"%s\": not a sign of it for %" PRId64 " s",
                 rank, b->status.host, wf_rank_status_step(&b->status),
                 wf_operation_words(b->status.operation), quiet_ns / WF_NS_PER_S);
    else
        snprintf(g->cause, sizeof g->cause, "rank %d on %s has not come up within %" PRId64 " s",
                 rank, node, quiet_ns / WF_NS_PER_S);
    wf_conductor_tell(k, WF_EVENT_STALL, g, rank, b->seen ? b->status.host : node,
                      "%s; group %d is ended", g->cause, g->number);
    return wf_conductor_react(k, g, WF_ON_QUIET);
}

static bool all_seen(const wf_conductor *k, const wf_conductor_group *g)
{
    for (int i = 0; i < k->tensor; i++)
        if (!g->beat[i].seen) return false;
    return true;
}

wf_status wf_conductor_look(wf_conductor *k, wf_conductor_group *g)
{
    int64_t quiet_ns = 0;
    if (g->state == WF_GROUP_KILL || g->state == WF_GROUP_KILL_LAST) {
        return wf_clock_ns() - g->told_ns > WF_CONDUCTOR_DEATH_NS
                   ? wf_conductor_react(k, g, WF_ON_LATE)
                   : WF_OK;
    }
    beats_read(k, g);
    if (all_seen(k, g)) WF_TRY(wf_conductor_react(k, g, WF_ON_ALIVE));
    if (g->beat[0].status.step_left > 0) WF_TRY(wf_conductor_react(k, g, WF_ON_WORKS));
    int position = quiet_rank(k, g, &quiet_ns);
    return position < 0 ? WF_OK : note_quiet(k, g, position, quiet_ns);
}
