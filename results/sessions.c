// Open addressing by session. See sessions.h.
#include "results/sessions.h"

#include <stdlib.h>

#include "io/base/arena.h"

enum { LEAST_SLOTS = 64 };

static wf_session_sum *slot_of(const wf_session_sums *s, uint64_t session)
{
    size_t i = (size_t)(session * UINT64_C(0x9E3779B97F4A7C15) >> 32) & (s->n_slots - 1);
    while (s->slot[i].session != 0 && s->slot[i].session != session)
        i = (i + 1) & (s->n_slots - 1);
    return &s->slot[i];
}

static wf_status make_room(wf_session_sums *s)
{
    if (s->n_slots > 0 && s->n < s->n_slots / 2) return WF_OK;
    wf_session_sums grown = {.n_slots = s->n_slots ? 2 * s->n_slots : LEAST_SLOTS, .n = s->n};
    WF_TRY(wf_alloc(grown.n_slots, sizeof *grown.slot, &grown.slot));
    for (size_t i = 0; i < s->n_slots; i++)
        if (s->slot[i].session != 0) *slot_of(&grown, s->slot[i].session) = s->slot[i];
    free(s->slot);
    *s = grown;
    return WF_OK;
}

wf_status wf_session_sums_add(wf_session_sums *s, const wf_result *row, bool counts)
{
    if (row->session == 0) return WF_OK;
    WF_TRY(make_room(s));
    wf_session_sum *sum = slot_of(s, row->session);
    if (sum->session == 0) {
        *sum = (wf_session_sum){
            .session = row->session, .first_ns = row->arrival_ns, .last_ns = -1, .run = row->run};
        s->n++;
    }
    sum->mixed |= !counts || row->run != sum->run;
    sum->n_turns += row->sample == 0;
    if (row->arrival_ns < sum->first_ns) sum->first_ns = row->arrival_ns;
    if (row->finish_ns > sum->last_ns) sum->last_ns = row->finish_ns;
    return WF_OK;
}

void wf_session_sums_finish(const wf_session_sums *s, double *durations, double *turns,
                            size_t *out_n)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n_slots; i++) {
        const wf_session_sum *sum = &s->slot[i];
        if (sum->session == 0 || sum->mixed || sum->last_ns < 0) continue;
        durations[n] = (double)(sum->last_ns - sum->first_ns);
        turns[n++] = (double)sum->n_turns;
    }
    *out_n = n;
}

void wf_session_sums_free(wf_session_sums *s)
{
    free(s->slot);
    *s = (wf_session_sums){0};
}
