// Seats and rows: who joins, who leaves, who is put back, and how holes are filled.
#include <string.h>

#include "engine/batcher_internal.h"

// ---- leaving and putting back -------------------------------------------------------------------

static void free_seat(wf_batcher *b, wf_seat *s)
{
    b->reorder->pages->release(b, s);
    s->n_pages = s->n_set = 0;
    b->row_seat[s->row] = -1;
    s->state = WF_SEAT_FREE;
    b->free_seats[b->n_free_seats++] = wf_batcher_seat_index(b, s);
    b->n_live--;
}

void wf_batcher_forget_prefill(wf_batcher *b, int32_t i_seat)
{
    for (int32_t i = 0; i < b->n_prefill; i++) {
        if (b->prefill[i] != i_seat) continue;
        memmove(b->prefill + i, b->prefill + i + 1,
                (size_t)(b->n_prefill - i - 1) * sizeof *b->prefill);
        b->n_prefill--;
        return;
    }
}

void wf_batcher_close_seat(wf_batcher *b, wf_seat *s)
{
    s->state = WF_SEAT_CLOSING;
    b->closing[b->n_closing++] = wf_batcher_seat_index(b, s);
}

// They stay and are computed, until all have ended.
static void keep_ended(wf_batcher *b)
{
    for (int32_t i = 0; i < b->n_closing; i++)
        b->seats[b->closing[i]].state = WF_SEAT_DEAD;
    b->n_dead += b->n_closing;
    b->n_closing = 0;
    if (b->n_dead < b->n_live) return;
    for (int32_t r = 0; r < b->n_rows; r++)
        if (b->row_seat[r] >= 0) free_seat(b, &b->seats[b->row_seat[r]]);
    b->n_rows = b->n_dead = 0;
}

void wf_batcher_remove_ended(wf_batcher *b)
{
    if (!b->reorder->evicts) {
        keep_ended(b);
        return;
    }
    for (int32_t i = 0; i < b->n_closing; i++)
        free_seat(b, &b->seats[b->closing[i]]);
    b->n_closing = 0;
}

// A request with beams begins anew.
static void put_back(wf_batcher *b, wf_seat *any, wf_schedule *out)
{
    wf_seat *s = wf_batcher_leader(b, any);
    wf_waiting w = s->request;
    w.n_done = s->beams ? 0 : s->n_gen - s->n_flight;
    out->put_back[out->n_put_back++] = w.tag;
    int32_t i_seat = wf_batcher_seat_index(b, s);
    if (s->n_flight > 0)
        b->limbo[b->n_limbo++] = (wf_limbo){w, i_seat, s->n_flight, s->stay};
    else
        wf_waitqueue_push_front(b->queue, &w);
    if (s->n_past < w.n_prompt) wf_batcher_forget_prefill(b, i_seat);
    for (wf_seat *next; s; s = next) {
        next = wf_batcher_next_beam(b, s);
        if (s->beams) wf_batcher_forget_copies(s, out);
        free_seat(b, s);
    }
}

static wf_seat *youngest(const wf_batcher *b)
{
    wf_seat *found = NULL;
    for (int32_t r = 0; r < b->n_rows; r++) {
        wf_seat *s = wf_batcher_seat_of(b, r);
        if (s && s->state == WF_SEAT_ACTIVE && (!found || s->order > found->order)) found = s;
    }
    return found;
}

void wf_batcher_put_back_youngest(wf_batcher *b, wf_schedule *out)
{
    put_back(b, youngest(b), out);
}

// A page for the next token of `s`; puts back the youngest rows until there is one, at last `s`
// itself.
static void ensure_page(wf_batcher *b, wf_seat *s, wf_schedule *out)
{
    if (s->n_past < s->n_pages * b->cfg.page_tokens) return;
    if (wf_batcher_in_turn(b) && s->n_pages == b->most_pages) return;
    while (!b->reorder->pages->take(b, s)) {
        wf_batcher_put_back_youngest(b, out);
        if (s->state == WF_SEAT_FREE) return;
    }
}

void wf_batcher_reserve_pages(wf_batcher *b, int32_t first, int32_t last, wf_schedule *out)
{
    for (int32_t r = first; r < last; r++) {
        wf_seat *s = wf_batcher_seat_of(b, r);
        bool waits = s && s->beams && s->verifying;
        if (s && wf_seat_decodes(s) && !waits) ensure_page(b, s, out);
    }
}

// ---- filling holes ------------------------------------------------------------------------------

void wf_batcher_fill_holes(wf_batcher *b, wf_schedule *out)
{
    if (b->n_live == b->n_rows || !b->reorder->evicts) return;
    int32_t tail = b->n_rows - 1;
    for (int32_t hole = 0; hole < b->n_live; hole++) {
        if (b->row_seat[hole] >= 0) continue;
        while (b->row_seat[tail] < 0)
            tail--;
        wf_seat *s = &b->seats[b->row_seat[tail]];
        out->move_from[out->n_moves] = tail;
        out->move_to[out->n_moves++] = hole;
        b->reorder->pages->move(b, s, tail, hole, out);
        b->row_seat[hole] = b->row_seat[tail];
        b->row_seat[tail] = -1;
        s->row = hole;
    }
    b->n_rows = b->n_live;
}

// ---- admission ----------------------------------------------------------------------------------

// The n_shared pages in b->found are held for it.
static void seat_request(wf_batcher *b, const wf_waiting *w, int32_t n_shared, int32_t n_pages)
{
    int32_t i_seat = b->free_seats[--b->n_free_seats];
    wf_seat *s = &b->seats[i_seat];
    *s = (wf_seat){.request = *w,
                   .state = WF_SEAT_ACTIVE,
                   .stay = s->stay + 1,
                   .row = b->n_rows,
                   .n_gen = w->n_done,
                   .n_replay = w->n_done,
                   .n_past = n_shared * b->cfg.page_tokens,
                   .n_shared = n_shared,
                   .order = b->next_order++,
                   .pages = s->pages,
                   .n_pages = n_shared};
    memcpy(s->pages, b->found, (size_t)n_shared * sizeof *s->pages);
    while (s->n_pages < n_pages)
        b->reorder->pages->take(b, s);
    b->row_seat[b->n_rows++] = i_seat;
    b->n_live++;
    b->prefill[b->n_prefill++] = i_seat;
    if (w->n_beams > 0) wf_batcher_seat_beams(b, s);
}

void wf_batcher_admit(wf_batcher *b, int64_t now_ns, bool closed)
{
    int32_t most = b->cfg.fusion == WF_FUSION_INSTANCES ? b->cfg.instances : b->cfg.max_rows;
    if (wf_waitqueue_count(b->queue) == 0 || !b->fusion->may_join(b, now_ns, closed)) return;
    while (b->n_rows < most && wf_waitqueue_count(b->queue) > 0) {
        int64_t i = wf_batcher_next_of_queue(b);
        wf_waiting w = *wf_waitqueue_at(b->queue, i);
        int32_t need = wf_batcher_pages_held(b, (int64_t)w.n_prompt + w.n_done);
        if (b->n_rows + w.n_beams > most) return;
        int32_t n_shared = wf_batcher_hold_shared(b, &w);
        if (!b->reorder->pages->has(b, need - n_shared)) {
            wf_batcher_drop_shared(b, n_shared);
            return;
        }
        wf_waitqueue_take_at(b->queue, i);
        seat_request(b, &w, n_shared, need);
    }
}
