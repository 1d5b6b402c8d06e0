// See rounds.h.
#include "jobs/streams/rounds.h"

#include <stdlib.h>

#include "io/base/arena.h"

enum { LEAST_SLOTS = 64 };

// Linear probing; keys are hashes already.
static wf_round_slot *slot_of(const wf_rounds *r, uint64_t key)
{
    size_t i = (size_t)key & (r->n_slots - 1);
    while (r->slot[i].row != 0 && r->slot[i].key != key)
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
        if (r->slot[i].row != 0) *slot_of(&grown, r->slot[i].key) = r->slot[i];
    free(r->slot);
    r->slot = grown.slot;
    r->n_slots = grown.n_slots;
    return WF_OK;
}

// What it owes to the round before it.
static void follow(const wf_round *parent, const wf_round_said *said, wf_round *out)
{
    int64_t gap_ns = said->time_ns - parent->end_ns;
    bool ended = parent->end_ns >= 0;
    out->session = parent->session;
    out->turn = parent->turn + 1;
    out->overlaps = said->think_ns < 0 && parent->after_ns < 0 && ended && gap_ns < 0;
    out->think_ns = said->think_ns >= 0     ? said->think_ns
                    : parent->after_ns >= 0 ? parent->after_ns
                    : !ended                ? -1
                    : gap_ns > 0            ? gap_ns
                                            : 0;
}

wf_status wf_rounds_add(wf_rounds *r, uint64_t i_row, const wf_round_said *said)
{
    WF_TRY(make_room(r));
    WF_TRY(wf_grow((size_t)i_row + 1, sizeof *r->round, &r->capacity, &r->round));
    for (; r->n < i_row; r->n++)
        r->round[r->n] = (wf_round){.parent = WF_ROUND_NONE};
    uint64_t row = slot_of(r, said->before)->row; // of its parent, + 1
    wf_round round = {.parent = row > 0 ? row - 1 : WF_ROUND_NONE,
                      .origin = said->origin,
                      .n_prefix = said->n_prefix,
                      .session = said->own != 0 ? said->own : 1,
                      .think_ns = -1,
                      .end_ns = said->end_ns,
                      .after_ns = said->after_ns};
    if (row > 0) follow(&r->round[row - 1], said, &round);
    wf_round_slot *slot = slot_of(r, said->own);
    r->n_sessions += slot->row == 0;
    *slot = (wf_round_slot){said->own, i_row + 1};
    r->round[r->n++] = round;
    return WF_OK;
}

const wf_round *wf_rounds_of(const wf_rounds *r, uint64_t row)
{
    return row < r->n && r->round[row].session != 0 ? &r->round[row] : NULL;
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
