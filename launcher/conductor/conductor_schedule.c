// What is left to do, and who is to do it. See conductor_internal.h.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "launcher/conductor/conductor_internal.h"

int64_t wf_conductor_failed(const wf_conductor *k)
{
    int64_t n = 0;
    for (int i = 0; i < k->n_groups; i++) {
        const wf_conductor_group *g = &k->group[i];
        n += g->n_failed;
        if (wf_group_lives(g->state) && g->beat[0].seen) n += g->beat[0].status.requests_failed;
    }
    return n;
}

wf_status wf_conductor_look_at_job(wf_conductor *k)
{
    char text[WF_CONDUCTOR_TEXT];
    int64_t most = k->c->spec->output.max_failures, n_failed = wf_conductor_failed(k);
    if (!wf_pool_holds(k->pool) && k->end == WF_OK) {
        WF_TRY(wf_conductor_fail(k, WF_IN_USE, "another job has taken the output folder"));
        return wf_conductor_react_all(k, WF_ON_ABORT);
    }
    if (most >= 0 && n_failed > most && k->end == WF_OK) {
        snprintf(text, sizeof text,
                 "%" PRId64 " requests failed, output.max_failures allows %" PRId64
                 "; weft report shows their reasons",
                 n_failed, most);
        return wf_conductor_fail(k, WF_DATA, text);
    }
    if (k->draining) return WF_OK;
    if (!wf_drain_asks(k->c->drain, WF_DRAIN_FINISH)) return WF_OK;
    return wf_conductor_drain(k, wf_drain_why(k->c->drain, text, sizeof text));
}

static int count(const wf_conductor *k, wf_group_state from, wf_group_state to)
{
    int n = 0;
    for (int i = 0; i < k->n_groups; i++)
        n += k->group[i].state >= from && k->group[i].state <= to;
    return n;
}

static bool anyone_lives(const wf_conductor *k)
{
    for (int i = 0; i < k->n_groups; i++)
        if (wf_group_lives(k->group[i].state)) return true;
    return false;
}

// Starts as many groups as there are ranges that nobody will take otherwise.
static wf_status start_groups(wf_conductor *k, size_t n_unclaimed)
{
    int seats[1024];
    wf_site *site = k->c->site;
    for (int i = 0; i < k->n_groups; i++) {
        wf_conductor_group *g = &k->group[i];
        if (g->state != WF_GROUP_IDLE) continue;
        if ((size_t)count(k, WF_GROUP_START, WF_GROUP_LOAD) >= n_unclaimed) break;
        if (!wf_places_pick(site->place, site->n_places, k->tensor, g->seat, seats)) continue;
        memcpy(g->seat, seats, (size_t)k->tensor * sizeof *seats);
        WF_TRY(wf_conductor_react(k, g, WF_ON_PLACE));
    }
    return WF_OK;
}

// Nobody lives. Either all is done, or something is left: for those who are done already, on the
// places that are free now, or for another run.
static wf_status find_end(wf_conductor *k, size_t n_unclaimed)
{
    wf_pool_return back;
    WF_TRY(wf_pool_strays(k->pool, &back));
    if (back.n_rows + back.n_suspects + back.n_poison > 0) return WF_OK; // look again
    k->over = n_unclaimed == 0;
    if (k->over) return WF_OK;
    if (count(k, WF_GROUP_DONE, WF_GROUP_DONE) > 0) return wf_conductor_react_all(k, WF_ON_WORK);
    if (wf_places_enough(k->c->site->place, k->c->site->n_places, k->tensor)) return WF_OK;
    WF_TRY(wf_conductor_react_all(k, WF_ON_RETIRE));
    k->over = true;
    return wf_conductor_fail(k, WF_DRAINED, "no place is left where a group could run");
}

wf_status wf_conductor_schedule(wf_conductor *k)
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
