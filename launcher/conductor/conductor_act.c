// What the table asks for is carried out. See conductor_internal.h.
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/clock.h"
#include "io/base/file.h"
#include "io/base/log.h"
#include "io/base/text.h"
#include "io/results/runfile.h"
#include "launcher/conductor/conductor_internal.h"

// ---- the end of the job -------------------------------------------------------------------------

wf_status wf_conductor_react_all(wf_conductor *k, wf_group_event event)
{
    wf_status st = WF_OK;
    for (int i = 0; i < k->n_groups && st == WF_OK; i++)
        st = wf_conductor_react(k, &k->group[i], event);
    return st;
}

static wf_status stop_file_write(const wf_conductor *k, const char *text)
{
    char *path = NULL;
    WF_TRY(wf_path_join(k->dir, "stop", &path));
    wf_status st = wf_file_write_whole(path, text, strlen(text), WF_PUBLISH_REPLACE);
    free(path);
    return st;
}

static bool stop_file_is_there(const wf_conductor *k)
{
    char *path = NULL;
    if (wf_path_join(k->dir, "stop", &path) != WF_OK) return false;
    bool there = wf_file_exists(path);
    free(path);
    return there;
}

// The ranks look at the stop file; whoever asked first is named.
wf_status wf_conductor_drain(wf_conductor *k, const char *why)
{
    if (k->draining) return WF_OK;
    k->draining = true;
    wf_conductor_tell(k, WF_EVENT_DRAIN, NULL, -1, NULL, "all groups leave: %s", why);
    wf_info("all groups leave: %s", why);
    if (!stop_file_is_there(k)) WF_TRY(stop_file_write(k, "\n"));
    return wf_conductor_react_all(k, WF_ON_DRAIN);
}

// The first failure of the job is the one that is reported; the other groups leave in time.
wf_status wf_conductor_fail(wf_conductor *k, wf_status end, const char *why)
{
    if (k->end == WF_OK) {
        k->end = end;
        snprintf(k->why, sizeof k->why, "%s", why);
    }
    return wf_conductor_drain(k, k->why);
}

// ---- actions ------------------------------------------------------------------------------------

static wf_step_way way_of(const wf_conductor *k)
{
    if (k->c->site->slurm) return WF_STEP_SRUN;
    return k->tensor > 1 ? WF_STEP_MPIRUN : WF_STEP_PLAIN;
}

static wf_status do_start(wf_conductor *k, wf_conductor_group *g)
{
    char nodes[WF_CONDUCTOR_TEXT / 2];
    wf_site *site = k->c->site;
    if (g->stale)
        WF_TRY(wf_run_raise_epoch(k->dir, wf_pool_run(k->pool), (uint32_t)g->number, &g->epoch));
    g->stale = false;
    g->cause[0] = '\0';
    for (int i = 0; i < k->tensor; i++)
        wf_beat_begin(&g->beat[i], wf_clock_ns());
    wf_step_params params = {.way = way_of(k),
                             .binds = site->binds,
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
    wf_conductor_tell(k, WF_EVENT_START, g, -1, NULL, "group %d is started on %s", g->number,
                      wf_conductor_nodes_text(k, g, nodes, sizeof nodes));
    if (g->again)
        wf_info("group %d starts again on %s (epoch %" PRIu32 "): %" PRIu64 " row%s to do again",
                g->number, nodes, g->epoch, g->n_again, WF_S(g->n_again));
    g->again = false;
    return WF_OK;
}

void wf_conductor_kill(wf_conductor *k, wf_conductor_group *g, bool hard)
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
static void judge_places(wf_conductor *k, wf_conductor_group *g)
{
    wf_site *site = k->c->site;
    for (int i = 0; i < k->tensor; i++) {
        int node = site->place[g->seat[i]].node;
        if (site->place[g->seat[i]].bad || (i > 0 && node == site->place[g->seat[i - 1]].node) ||
            wf_site_node_answers(site, node))
            continue;
        wf_conductor_tell(k, WF_EVENT_RETIRE, g, -1, site->nodes.name[node],
                          "node %s does not answer: nothing is started there any more",
                          site->nodes.name[node]);
        for (int p = 0; p < site->n_places; p++)
            site->place[p].bad = site->place[p].bad || site->place[p].node == node;
    }
    if (g->barren <= k->c->spec->parallel.max_restarts) return;
    char nodes[WF_CONDUCTOR_TEXT / 2];
    wf_conductor_tell(
        k, WF_EVENT_RETIRE, g, -1, NULL,
        "group %d was lost %d times in a row on %s without finishing a request: nothing is started "
        "on its places any more",
        g->number, g->barren, wf_conductor_nodes_text(k, g, nodes, sizeof nodes));
    g->barren = 0;
    for (int i = 0; i < k->tensor; i++)
        site->place[g->seat[i]].bad = true;
}

static wf_status do_clear(wf_conductor *k, wf_conductor_group *g)
{
    wf_pool_return back;
    uint32_t next = g->epoch;
    const wf_rank_status *last = &g->beat[0].status;
    wf_places_seat(k->c->site->place, g->seat, k->tensor, -1);
    bool said = g->beat[0].seen && last->requests_done > 0;
    WF_TRY(wf_pool_clear_life(k->pool, g->number, g->epoch, said, &next, &back));
    g->again = true;
    g->n_again = back.n_rows + back.n_suspects;
    uint64_t n_back = g->n_again + back.n_poison;
    wf_conductor_tell(k, WF_EVENT_RETURN, g, -1, NULL,
                      "group %d gives back %" PRIu64 " row%s, %" PRIu64
                      " of them suspected of its death",
                      g->number, n_back, WF_S(n_back), back.n_suspects);
    if (back.n_poison > 0) {
        wf_conductor_tell(
            k, WF_EVENT_QUARANTINE, g, -1, NULL,
            "%s stopped its group and, alone, stopped it again: it fails and is not tried again",
            back.poison);
    }
    g->barren = back.fruitful || back.n_poison > 0 ? 0 : g->barren + 1;
    g->n_failed += g->beat[0].seen ? last->requests_failed : 0;
    g->epoch = next;
    if (!k->draining) judge_places(k, g);
    return WF_OK;
}

static void do_close(wf_conductor *k, wf_conductor_group *g)
{
    wf_places_seat(k->c->site->place, g->seat, k->tensor, -1);
    wf_pool_close_life(k->pool, g->number, g->epoch);
    g->n_failed += g->beat[0].status.requests_failed;
    g->stale = true;
    g->barren = 0;
    wf_conductor_tell(k, WF_EVENT_DONE, g, -1, NULL, "group %d is done", g->number);
}

static wf_status act(wf_conductor *k, wf_conductor_group *g, wf_group_action action)
{
    switch (action) {
    case WF_DO_NONE:
    case WF_DO_ASK: // the stop file asks
        return WF_OK;
    case WF_DO_START:
        return do_start(k, g);
    case WF_DO_KILL:
    case WF_DO_KILL_HARD:
        wf_conductor_kill(k, g, action == WF_DO_KILL_HARD);
        return WF_OK;
    case WF_DO_CLEAR:
        return do_clear(k, g);
    case WF_DO_CLOSE:
        do_close(k, g);
        return WF_OK;
    case WF_DO_TELL:
        wf_places_seat(k->c->site->place, g->seat, k->tensor, -1);
        g->n_failed += g->beat[0].status.requests_failed;
        return wf_conductor_drain(k, "a group was asked to leave");
    }
    return WF_OK;
}

wf_status wf_conductor_react(wf_conductor *k, wf_conductor_group *g, wf_group_event event)
{
    wf_group_turn turn = wf_group_step(g->state, event);
    if (turn.next != g->state)
        wf_debug("group %d %s, now it %s", g->number, wf_group_state_words(g->state),
                 wf_group_state_words(turn.next));
    g->state = turn.next;
    return act(k, g, turn.action);
}
