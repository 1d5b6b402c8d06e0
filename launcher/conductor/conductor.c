// The loop: look, make events, carry out what the table says. See conductor.h.
#include "launcher/conductor/conductor.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/arena.h"
#include "io/base/clock.h"
#include "io/base/file.h"
#include "io/base/log.h"
#include "io/runfile.h"
#include "jobs/events.h"
#include "jobs/progress.h"
#include "launcher/conductor/conductor_step.h"
#include "launcher/conductor/conductor_table.h"
#include "launcher/conductor/conductor_watch.h"

#define TICK_NS   (50 * WF_NS_PER_MS)
#define LOOK_NS   (500 * WF_NS_PER_MS) // between looks at files
#define PAUSE_NS  (3 * WF_NS_PER_S)    // a longer tick was a pause of this process
#define DEATH_NS  (10 * WF_NS_PER_S)   // from being told to die to harder means
#define HEAR_NS   (2 * WF_NS_PER_S)    // a signal to the whole job has reached all of it by then
#define TEXT_SIZE 512

typedef struct group {
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
    char cause[TEXT_SIZE]; // why it was told to die, "" if it was not
} group;

typedef struct conductor {
    const wf_conductor_config *c;
    const char *dir;
    wf_pool *pool;
    wf_progress *progress;
    int n_groups, tensor;
    group *group; // [n_groups]
    wf_beat_limits limits;
    int64_t start_ns, tick_ns, look_ns;
    bool draining, over;
    wf_status end;       // the job's failure; WF_OK: none
    char why[TEXT_SIZE]; // its text
} conductor;

static wf_status react(conductor *k, group *g, wf_group_event event);

// ---- what is told -------------------------------------------------------------------------------

static void tell(const conductor *k, wf_event_kind kind, const group *g, int rank, const char *host,
                 const char *format, ...) __attribute__((format(printf, 6, 7)));
static void tell(const conductor *k, wf_event_kind kind, const group *g, int rank, const char *host,
                 const char *format, ...)
{
    char text[TEXT_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    wf_event event = {.kind = kind,
                      .run = wf_pool_run(k->pool),
                      .group = g ? g->number : -1,
                      .epoch = g ? (int)g->epoch : -1,
                      .rank = rank,
                      .host = host,
                      .text = text};
    if (wf_event_add(k->dir, &event) != WF_OK) wf_debug("%s", wf_error());
    bool bad = kind == WF_EVENT_STALL || kind == WF_EVENT_LOST || kind == WF_EVENT_RETIRE ||
               kind == WF_EVENT_QUARANTINE;
    wf_log(bad ? WF_LOG_WARN : WF_LOG_DEBUG, "%s", text);
}

static const char *nodes_text(const conductor *k, const group *g, char *text, size_t text_bytes)
{
    size_t length = 0;
    int last = -1;
    text[0] = '\0';
    for (int i = 0; i < k->tensor && length < text_bytes; i++) {
        int node = k->c->site->place[g->seat[i]].node;
        if (node == last) continue;
        length += (size_t)snprintf(text + length, text_bytes - length, "%s%s", length ? "," : "",
                                   k->c->site->nodes.name[node]);
        last = node;
    }
    return text;
}

// ---- the end of the job -------------------------------------------------------------------------

static wf_status react_all(conductor *k, wf_group_event event)
{
    wf_status st = WF_OK;
    for (int i = 0; i < k->n_groups && st == WF_OK; i++) {
        st = react(k, &k->group[i], event);
    }
    return st;
}

static wf_status stop_file_write(const conductor *k, const char *text)
{
    char *path = NULL;
    WF_TRY(wf_path_join(k->dir, "stop", &path));
    wf_status st = wf_file_write_whole(path, text, strlen(text), WF_PUBLISH_REPLACE);
    free(path);
    return st;
}

static bool stop_file_is_there(const conductor *k)
{
    char *path = NULL;
    if (wf_path_join(k->dir, "stop", &path) != WF_OK) return false;
    bool there = wf_file_exists(path);
    free(path);
    return there;
}

// The ranks look at the stop file; whoever asked first is named.
static wf_status drain(conductor *k, const char *why)
{
    if (k->draining) return WF_OK;
    k->draining = true;
    tell(k, WF_EVENT_DRAIN, NULL, -1, NULL, "all groups leave: %s", why);
    wf_info("all groups leave: %s", why);
    if (!stop_file_is_there(k)) WF_TRY(stop_file_write(k, "\n"));
    return react_all(k, WF_ON_DRAIN);
}

// The first failure of the job is the one that is reported; the other groups leave in time.
static wf_status fail_job(conductor *k, wf_status end, const char *why)
{
    if (k->end == WF_OK) {
        k->end = end;
        snprintf(k->why, sizeof k->why, "%s", why);
    }
    return drain(k, k->why);
}

// ---- actions ------------------------------------------------------------------------------------

static wf_step_way way_of(const conductor *k)
{
    if (k->c->site->slurm) return WF_STEP_SRUN;
    return k->tensor > 1 ? WF_STEP_MPIRUN : WF_STEP_PLAIN;
}

static wf_status do_start(conductor *k, group *g)
{
    char nodes[TEXT_SIZE / 2];
    wf_site *site = k->c->site;
    if (g->stale)
        WF_TRY(wf_run_raise_epoch(k->dir, wf_pool_run(k->pool), (uint32_t)g->number, &g->epoch));
    g->stale = false;
    g->cause[0] = '\0';
    for (int i = 0; i < k->tensor; i++) {
        wf_beat_begin(&g->beat[i], wf_clock_ns());
    }
    wf_step_params params = {.way = way_of(k),
                             .job_file = wf_pool_job_file(k->pool),
                             .group = g->number,
                             .n_groups = k->n_groups,
                             .run = wf_pool_run(k->pool),
                             .epoch = g->epoch,
                             .tensor = k->tensor,
                             .seats = g->seat,
                             .place = site->place,
                             .n_of_node = site->n_of_node,
                             .node_name = site->nodes.name};
    WF_TRY(wf_step_start(&params, &g->step));
    wf_places_seat(site->place, g->seat, k->tensor, g->number);
    tell(k, WF_EVENT_START, g, -1, NULL, "group %d is started on %s", g->number,
         nodes_text(k, g, nodes, sizeof nodes));
    if (g->again)
        wf_info("group %d starts again on %s (epoch %" PRIu32 "): %" PRIu64 " rows to do again",
                g->number, nodes, g->epoch, g->n_again);
    g->again = false;
    return WF_OK;
}

static void do_kill(conductor *k, group *g, bool hard)
{
    // mpirun and srun end stopped ranks as well; a rank alone would only drain.
    bool gently = !hard && way_of(k) != WF_STEP_PLAIN;
    g->told_ns = wf_clock_ns();
    wf_step_signal(&g->step, gently ? SIGTERM : SIGKILL);
    for (int i = 0; i < k->tensor && hard && !k->c->site->slurm; i++) {
        if (!g->beat[i].seen) continue;
        wf_step_kill_rank(g->beat[i].status.pid, g->number, wf_pool_run(k->pool), g->epoch);
    }
}

// Nodes that do not answer are given up, and the places where a group has died too often.
static void judge_places(conductor *k, group *g)
{
    wf_site *site = k->c->site;
    for (int i = 0; i < k->tensor; i++) {
        int node = site->place[g->seat[i]].node;
        if (site->place[g->seat[i]].bad || (i > 0 && node == site->place[g->seat[i - 1]].node) ||
            wf_site_node_answers(site, node))
            continue;
        tell(k, WF_EVENT_RETIRE, g, -1, site->nodes.name[node],
             "node %s does not answer: nothing is started there any more", site->nodes.name[node]);
        for (int p = 0; p < site->n_places; p++) {
            site->place[p].bad = site->place[p].bad || site->place[p].node == node;
        }
    }
    if (g->barren <= k->c->spec->parallel.max_restarts) return;
    char nodes[TEXT_SIZE / 2];
    tell(
        k, WF_EVENT_RETIRE, g, -1, NULL,
        "group %d was lost %d times in a row on %s without finishing a request: nothing is started "
        "on its places any more",
        g->number, g->barren, nodes_text(k, g, nodes, sizeof nodes));
    g->barren = 0;
    for (int i = 0; i < k->tensor; i++) {
        site->place[g->seat[i]].bad = true;
    }
}

static wf_status do_clear(conductor *k, group *g)
{
    wf_pool_return back;
    uint32_t next = g->epoch;
    const wf_rank_status *last = &g->beat[0].status;
    wf_places_seat(k->c->site->place, g->seat, k->tensor, -1);
    bool said = g->beat[0].seen && last->requests_done > 0;
    WF_TRY(wf_pool_clear_life(k->pool, g->number, g->epoch, said, &next, &back));
    g->again = true;
    g->n_again = back.n_rows + back.n_suspects;
    tell(k, WF_EVENT_RETURN, g, -1, NULL,
         "group %d gives back %" PRIu64 " rows, %" PRIu64 " of them suspected of its death",
         g->number, back.n_rows + back.n_suspects + back.n_poison, back.n_suspects);
    if (back.n_poison > 0) {
        tell(k, WF_EVENT_QUARANTINE, g, -1, NULL,
             "%s stopped its group and, alone, stopped it again: it fails and is not tried again",
             back.poison);
    }
    g->barren = back.fruitful || back.n_poison > 0 ? 0 : g->barren + 1;
    g->n_failed += g->beat[0].seen ? last->requests_failed : 0;
    g->epoch = next;
    if (!k->draining) judge_places(k, g);
    return WF_OK;
}

static void do_close(conductor *k, group *g)
{
    wf_places_seat(k->c->site->place, g->seat, k->tensor, -1);
    wf_pool_close_life(k->pool, g->number, g->epoch);
    g->n_failed += g->beat[0].status.requests_failed;
    g->stale = true;
    g->barren = 0;
    tell(k, WF_EVENT_DONE, g, -1, NULL, "group %d is done", g->number);
}

static wf_status act(conductor *k, group *g, wf_group_action action)
{
    switch (action) {
    case WF_DO_NONE:
    case WF_DO_ASK: // the stop file asks
        return WF_OK;
    case WF_DO_START:
        return do_start(k, g);
    case WF_DO_KILL:
    case WF_DO_KILL_HARD:
        do_kill(k, g, action == WF_DO_KILL_HARD);
        return WF_OK;
    case WF_DO_CLEAR:
        return do_clear(k, g);
    case WF_DO_CLOSE:
        do_close(k, g);
        return WF_OK;
    case WF_DO_TELL:
        wf_places_seat(k->c->site->place, g->seat, k->tensor, -1);
        g->n_failed += g->beat[0].status.requests_failed;
        return drain(k, "a group was asked to leave");
    }
    return WF_OK;
}

static wf_status react(conductor *k, group *g, wf_group_event event)
{
    wf_group_turn turn = wf_group_step(g->state, event);
    if (turn.next != g->state)
        wf_debug("group %d %s, now it %s", g->number, wf_group_state_words(g->state),
                 wf_group_state_words(turn.next));
    g->state = turn.next;
    return act(k, g, turn.action);
}

// ---- events from processes ----------------------------------------------------------------------

// Exit codes that are the same whoever runs the job again: starting the group again is of no use.
static wf_status lasting_failure(int exit_code)
{
    static const wf_status lasting[] = {WF_USAGE, WF_DATA, WF_NO_INPUT, WF_IO, WF_CONFIG};
    for (size_t i = 0; i < sizeof lasting / sizeof *lasting; i++) {
        if (wf_status_exit_code(lasting[i]) == exit_code) return lasting[i];
    }
    return WF_OK;
}

static void beats_read(conductor *k, group *g)
{
    wf_rank_status status;
    for (int i = 0; i < k->tensor; i++) {
        bool read = wf_beat_read(k->dir, g->number * k->tensor + i, wf_pool_run(k->pool), g->epoch,
                                 &status);
        wf_beat_take(&g->beat[i], read ? &status : NULL, wf_clock_ns());
    }
}

// The rank that says why it failed.
static int speaker_of(const conductor *k, const group *g)
{
    for (int i = 0; i < k->tensor; i++) {
        if (g->beat[i].seen && g->beat[i].status.operation == WF_OPERATION_FAILED &&
            g->beat[i].status.error[0])
            return i;
    }
    return -1;
}

// The one rank without a last word: those beside it were ended for its death, and said so. -1 where
// several are silent: heartbeats are too far apart to tell who fell silent first.
static int silent_of(const conductor *k, const group *g)
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
static void tell_loss(const conductor *k, const group *g, int position, const char *text)
{
    char nodes[TEXT_SIZE / 2];
    int rank = position < 0 ? -1 : g->number * k->tensor + position;
    const char *host = position < 0 ? nodes_text(k, g, nodes, sizeof nodes)
                       : g->beat[position].seen
                           ? g->beat[position].status.host
                           : k->c->site->nodes.name[k->c->site->place[g->seat[position]].node];
    tell(k, WF_EVENT_LOST, g, rank, host, "%s", text);
}

// A group died of itself: says so, and ends the job where its cause would come back.
static wf_status note_loss(conductor *k, group *g, int exit_code)
{
    char text[TEXT_SIZE];
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
    return end == WF_OK ? WF_OK : fail_job(k, end, text);
}

// mpirun and srun send SIGTERM to the ranks that are left when one has died: a rank that drained
// for it alone says nothing about the job.
static bool was_terminated(const wf_rank_status *s)
{
    return s->drain == WF_DRAIN_SIGNAL && s->signal == SIGTERM;
}

static bool is_leaving(const conductor *k)
{
    return k->draining || wf_drain_asks(k->c->drain, WF_DRAIN_FINISH);
}

// Whether processes that ended so may have been asked to. SIGTERM to the whole job ends mpirun and
// srun with codes of their own, and SIGKILL follows it: then only a crash and a rank's own word
// count.
static bool may_have_left(const conductor *k, const group *g, int exit_code)
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
static wf_status judge_ended(conductor *k, group *g)
{
    char text[TEXT_SIZE];
    wf_operation last = g->beat[0].seen ? g->beat[0].status.operation : WF_OPERATION_START;
    bool left = may_have_left(k, g, g->exit_code);
    if (left && !is_leaving(k) && wf_clock_ns() - g->ended_ns < HEAR_NS) return WF_OK;
    g->ended_ns = 0;
    if (last == WF_OPERATION_DONE) return react(k, g, WF_ON_END_DONE);
    if (last == WF_OPERATION_DRAINED && !was_terminated(&g->beat[0].status))
        return react(k, g, WF_ON_END_DRAINED);
    if (left && is_leaving(k)) {
        WF_TRY(drain(k, wf_drain_why(k->c->drain, text, sizeof text)));
        return react(k, g, WF_ON_END_DRAINED);
    }
    WF_TRY(note_loss(k, g, g->exit_code));
    return react(k, g, WF_ON_END_LOST);
}

static wf_status reap(conductor *k, group *g)
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
static int quiet_rank(const conductor *k, const group *g, int64_t *quiet_ns)
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

static wf_status note_quiet(conductor *k, group *g, int position, int64_t quiet_ns)
{
    const wf_beat *b = &g->beat[position];
    int rank = g->number * k->tensor + position;
    const char *node = k->c->site->nodes.name[k->c->site->place[g->seat[position]].node];
    if (b->seen)
        snprintf(g->cause, sizeof g->cause,
                 "rank %d on %s stalled at step %" PRId64
                 " in \"%s\": not a sign of it for %" PRId64 " s",
                 rank, b->status.host, b->status.step_entered,
                 wf_operation_words(b->status.operation), quiet_ns / WF_NS_PER_S);
    else
        snprintf(g->cause, sizeof g->cause, "rank %d on %s has not come up within %" PRId64 " s",
                 rank, node, quiet_ns / WF_NS_PER_S);
    tell(k, WF_EVENT_STALL, g, rank, b->seen ? b->status.host : node, "%s; group %d is ended",
         g->cause, g->number);
    return react(k, g, WF_ON_QUIET);
}

static bool all_seen(const conductor *k, const group *g)
{
    for (int i = 0; i < k->tensor; i++) {
        if (!g->beat[i].seen) return false;
    }
    return true;
}

static wf_status look_at(conductor *k, group *g)
{
    int64_t quiet_ns = 0;
    if (g->state == WF_GROUP_KILL || g->state == WF_GROUP_KILL_LAST) {
        return wf_clock_ns() - g->told_ns > DEATH_NS ? react(k, g, WF_ON_LATE) : WF_OK;
    }
    beats_read(k, g);
    if (all_seen(k, g)) WF_TRY(react(k, g, WF_ON_ALIVE));
    if (g->beat[0].status.step_left > 0) WF_TRY(react(k, g, WF_ON_WORKS));
    int position = quiet_rank(k, g, &quiet_ns);
    return position < 0 ? WF_OK : note_quiet(k, g, position, quiet_ns);
}

// ---- events of the job --------------------------------------------------------------------------

static int64_t failed_sum(const conductor *k)
{
    int64_t n = 0;
    for (int i = 0; i < k->n_groups; i++) {
        const group *g = &k->group[i];
        n += g->n_failed;
        if (wf_group_lives(g->state) && g->beat[0].seen) n += g->beat[0].status.requests_failed;
    }
    return n;
}

static wf_status look_at_job(conductor *k)
{
    char text[TEXT_SIZE];
    int64_t most = k->c->spec->output.max_failures, n_failed = failed_sum(k);
    if (!wf_pool_holds(k->pool) && k->end == WF_OK) {
        WF_TRY(fail_job(k, WF_IN_USE, "another job has taken the output folder"));
        return react_all(k, WF_ON_ABORT);
    }
    if (most >= 0 && n_failed > most && k->end == WF_OK) {
        snprintf(text, sizeof text,
                 "%" PRId64 " requests failed, output.max_failures allows %" PRId64
                 "; weft report shows their reasons",
                 n_failed, most);
        return fail_job(k, WF_DATA, text);
    }
    if (k->draining) return WF_OK;
    if (!wf_drain_asks(k->c->drain, WF_DRAIN_FINISH)) return WF_OK;
    return drain(k, wf_drain_why(k->c->drain, text, sizeof text));
}

static int count(const conductor *k, wf_group_state from, wf_group_state to)
{
    int n = 0;
    for (int i = 0; i < k->n_groups; i++) {
        n += k->group[i].state >= from && k->group[i].state <= to;
    }
    return n;
}

static bool anyone_lives(const conductor *k)
{
    for (int i = 0; i < k->n_groups; i++) {
        if (wf_group_lives(k->group[i].state)) return true;
    }
    return false;
}

// Starts as many groups as there are ranges that nobody will take otherwise.
static wf_status start_groups(conductor *k, size_t n_unclaimed)
{
    int seats[1024];
    wf_site *site = k->c->site;
    for (int i = 0; i < k->n_groups; i++) {
        group *g = &k->group[i];
        if (g->state != WF_GROUP_IDLE) continue;
        if ((size_t)count(k, WF_GROUP_START, WF_GROUP_LOAD) >= n_unclaimed) break;
        if (!wf_places_pick(site->place, site->n_places, k->tensor, g->seat, seats)) continue;
        memcpy(g->seat, seats, (size_t)k->tensor * sizeof *seats);
        WF_TRY(react(k, g, WF_ON_PLACE));
    }
    return WF_OK;
}

// Nobody lives. Either all is done, or something is left: for those who are done already, on the
// places that are free now, or for another run.
static wf_status find_end(conductor *k, size_t n_unclaimed)
{
    wf_pool_return back;
    WF_TRY(wf_pool_strays(k->pool, &back));
    if (back.n_rows + back.n_suspects + back.n_poison > 0) return WF_OK; // look again
    k->over = n_unclaimed == 0;
    if (k->over) return WF_OK;
    if (count(k, WF_GROUP_DONE, WF_GROUP_DONE) > 0) return react_all(k, WF_ON_WORK);
    if (wf_places_enough(k->c->site->place, k->c->site->n_places, k->tensor)) return WF_OK;
    WF_TRY(react_all(k, WF_ON_RETIRE));
    k->over = true;
    return fail_job(k, WF_DRAINED, "no place is left where a group could run");
}

static wf_status schedule(conductor *k)
{
    size_t n_unclaimed = 0;
    if (k->draining) {
        k->over = !anyone_lives(k);
        return WF_OK;
    }
    if (anyone_lives(k) && count(k, WF_GROUP_IDLE, WF_GROUP_IDLE) == 0) return WF_OK;
    WF_TRY(wf_pool_unclaimed(k->pool, &n_unclaimed));
    if (n_unclaimed > 0) WF_TRY(start_groups(k, n_unclaimed));
    return anyone_lives(k) ? WF_OK : find_end(k, n_unclaimed);
}

// ---- the loop -----------------------------------------------------------------------------------

// This process was stopped for a while: nobody's heart missed a beat for it.
static void forgive_pause(conductor *k)
{
    int64_t now_ns = wf_clock_ns(), pause_ns = now_ns - k->tick_ns;
    k->tick_ns = now_ns;
    if (pause_ns < PAUSE_NS) return;
    for (int i = 0; i < k->n_groups * k->tensor; i++) {
        wf_beat_forgive(&k->group[i / k->tensor].beat[i % k->tensor], pause_ns);
    }
}

static wf_status tick(conductor *k)
{
    forgive_pause(k);
    for (int i = 0; i < k->n_groups; i++) {
        WF_TRY(reap(k, &k->group[i]));
    }
    if (k->tick_ns < k->look_ns) return WF_OK;
    for (int i = 0; i < k->n_groups; i++) {
        if (wf_group_lives(k->group[i].state)) WF_TRY(look_at(k, &k->group[i]));
    }
    WF_TRY(look_at_job(k));
    WF_TRY(schedule(k));
    k->look_ns = wf_clock_ns() + LOOK_NS;
    return WF_OK;
}

static wf_status run(conductor *k)
{
    k->tick_ns = wf_clock_ns();
    while (!k->over) {
        WF_TRY(tick(k));
        if (!k->over) wf_clock_sleep_until(wf_clock_ns() + TICK_NS);
    }
    return WF_OK;
}

// Whatever happened, no process is left behind.
static void end_processes(conductor *k)
{
    int exit_code;
    int64_t start_ns = wf_clock_ns();
    for (int i = 0; k->group && i < k->n_groups; i++) {
        if (k->group[i].step.pid > 0) do_kill(k, &k->group[i], false);
    }
    for (int i = 0; k->group && i < k->n_groups; i++) {
        group *g = &k->group[i];
        while (g->step.pid > 0 && !wf_step_ended(&g->step, &exit_code)) {
            if (wf_clock_ns() - start_ns > DEATH_NS) do_kill(k, g, true);
            wf_clock_sleep_until(wf_clock_ns() + TICK_NS);
        }
    }
}

// ---- beginning and end --------------------------------------------------------------------------

static wf_status groups_make(conductor *k)
{
    const wf_plan *plan = k->c->site->plan;
    WF_TRY(wf_alloc((size_t)k->n_groups, sizeof *k->group, &k->group));
    for (int i = 0; i < k->n_groups; i++) {
        group *g = &k->group[i];
        g->number = i;
        WF_TRY(wf_alloc((size_t)k->tensor, sizeof *g->seat, &g->seat));
        WF_TRY(wf_alloc((size_t)k->tensor, sizeof *g->beat, &g->beat));
        memcpy(g->seat, plan->member + plan->group[i].first, (size_t)k->tensor * sizeof *g->seat);
    }
    return WF_OK;
}

static wf_status progress_start(conductor *k)
{
    int n = k->n_groups * k->tensor;
    int *watch = NULL;
    WF_TRY(wf_alloc((size_t)n, sizeof *watch, &watch));
    for (int i = 0; i < n; i++) {
        watch[i] = i;
    }
    wf_progress_config c = {.out_dir = k->dir,
                            .rank = -1,
                            .group = -1,
                            .run = wf_pool_run(k->pool),
                            .print = true,
                            .watch = watch,
                            .n_watch = (size_t)n,
                            .requests_total = wf_pool_total(k->pool),
                            .requests_before = wf_pool_before(k->pool),
                            .stall_ns = INT64_MAX}; // the conductor says so itself
    wf_status st = wf_progress_start(&c, &k->progress);
    free(watch);
    if (st == WF_OK) wf_progress_begin(k->progress);
    return st;
}

static wf_status open(conductor *k)
{
    const wf_conductor_config *c = k->c;
    wf_pool_config pool = {
        .spec = c->spec, .reader = c->reader, .n_groups = k->n_groups, .start = c->start};
    WF_TRY(groups_make(k));
    WF_TRY(wf_pool_open(&pool, &k->pool));
    WF_TRY(wf_drain_watch(c->drain, k->dir)); // an older stop file is gone by now
    tell(k, WF_EVENT_BEGIN, NULL, -1, NULL, "%d groups of %d on %zu nodes", k->n_groups, k->tensor,
         c->site->nodes.n);
    return progress_start(k);
}

static wf_status end_of(const conductor *k, const wf_runner_outcome *out)
{
    if (k->end != WF_OK && k->end != WF_DRAINED) return wf_fail(k->end, "%s", k->why);
    if (k->draining && out->n_left > 0)
        return wf_fail(WF_DRAINED,
                       "%s: %" PRId64 " of %" PRId64 " requests are done and sealed, %" PRId64
                       " left: run the same command again to continue",
                       k->end == WF_DRAINED ? k->why : "drained", out->n_before + out->n_done,
                       out->n_total, out->n_left);
    if (out->n_left > 0)
        return wf_fail(WF_INTERNAL,
                       "%s: all groups are done and %" PRId64
                       " requests have no result; weft check "
                       "names them, the same command again computes them",
                       k->dir, out->n_left);
    if (out->n_failed > 0 && k->c->spec->slurm.fail_on_row_errors)
        return wf_fail(WF_FAILED_ROWS,
                       "complete; %" PRId64 " requests failed, weft report shows why",
                       out->n_failed);
    return WF_OK;
}

static wf_status conclude(conductor *k, wf_runner_outcome *out)
{
    WF_TRY(wf_pool_sum_up(k->pool, out));
    out->n_failed = failed_sum(k);
    out->elapsed_ns = wf_clock_ns() - k->start_ns;
    wf_status st = end_of(k, out);
    tell(k, WF_EVENT_END, NULL, -1, NULL, "%s: %" PRId64 " of %" PRId64 " requests are done",
         wf_status_words(st), out->n_before + out->n_done, out->n_total);
    if (st == WF_OK || st == WF_FAILED_ROWS) WF_TRY(wf_pool_complete(k->pool, &out->folder));
    return st;
}

static void tear_down(conductor *k)
{
    wf_progress_stop(&k->progress);
    wf_pool_close(&k->pool);
    for (int i = 0; k->group && i < k->n_groups; i++) {
        free(k->group[i].seat);
        free(k->group[i].beat);
    }
    free(k->group);
}

wf_status wf_conduct(const wf_conductor_config *config, wf_runner_outcome *out)
{
    const wf_jobspec *spec = config->spec;
    conductor k = {.c = config,
                   .dir = spec->output.dir,
                   .n_groups = config->site->plan->n_groups,
                   .tensor = spec->parallel.tensor,
                   .limits = {spec->parallel.heartbeat_ns, spec->parallel.load_limit_ns},
                   .start_ns = wf_clock_ns()};
    *out = (wf_runner_outcome){0};
    wf_status st = open(&k);
    if (st == WF_OK) st = run(&k);
    end_processes(&k);
    if (st == WF_OK) st = conclude(&k, out);
    tear_down(&k);
    return st;
}
