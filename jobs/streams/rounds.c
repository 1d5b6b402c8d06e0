// See rounds.h.
#include "jobs/streams/rounds.h"

#include <stdlib.h>

#include "io/base/arena.h"

enum { LEAST_SLOTS = 64 };

// Linear probing; sessions are hashes already.
static wf_round_slot *slot_of(const wf_rounds *r, uint64_t session)
{
    size_t i = (size_t)session & (r->n_slots - 1);
    while (r->slot[i].row != 0 && r->slot[i].session != session)
        i = (i + 1) & (r->n_slots - 1);
    return &r->slot[i];
}

// Never more than half full.
static wf_status make_room(wf_rounds *r)
{
    if (r->n_slots > 0 && r->n_sessions < r->n_slots / 2) return WF_OK;
    wf_rounds grown = {.n_slots = r->n_slots ? 2 * r->n_slots : LEAST_SLOTS};
    WF_TRY(wf_alloc(grown.n_slots, sizeof *grown.slot, &grown.slot));
    for (size_t i = 0; i < r->n_slots; i++)
        if (r->slot[i].row != 0) *slot_of(&grown, r->slot[i].session) = r->slot[i];
    free(r->slot);
    r->slot = grown.slot;
    r->n_slots = grown.n_slots;
    return WF_OK;
}

wf_status wf_rounds_add(wf_rounds *r, uint64_t i_row, uint64_t session, uint64_t origin,
                        uint64_t n_prefix)
{
    WF_TRY(make_room(r));
    WF_TRY(wf_grow((size_t)i_row + 1, sizeof *r->round, &r->capacity, &r->round));
    for (; r->n < i_row; r->n++)
        r->round[r->n] = (wf_round){.parent = WF_ROUND_NONE};
    wf_round_slot *slot = slot_of(r, session);
    uint64_t parent = slot->row > 0 ? slot->row - 1 : WF_ROUND_NONE;
    r->n_sessions += slot->row == 0;
    *slot = (wf_round_slot){session, i_row + 1};
    r->round[r->n++] = (wf_round){parent, origin, n_prefix};
    return WF_OK;
}

wf_round_piece wf_rounds_piece(const wf_rounds *r, uint64_t row, size_t to, uint64_t *row_next)
{
    while (row != WF_ROUND_NONE) {
        const wf_round *round = &r->round[row];
        uint64_t owner = row;
        row = round->parent;
        if (round->n_prefix < to) {
            *row_next = row;
            // What is before a first round's own belongs to its origin: asked for by the owner.
            if (row == WF_ROUND_NONE && round->n_prefix > 0) *row_next = owner;
            return (wf_round_piece){owner, 0, (size_t)round->n_prefix, to};
        }
        if (row == WF_ROUND_NONE) return (wf_round_piece){row, round->origin, 0, to};
    }
    return (wf_round_piece){WF_ROUND_NONE, 0, 0, to};
}

void wf_rounds_free(wf_rounds *r)
{
    free(r->round);
    free(r->slot);
    *r = (wf_rounds){0};
}
