// Families: the seats of a request with several beams, which are planned, put back and end
// together.
//
//   leader (beam 0)   computes the prompt; after its first token every beam goes on from it
//   beam 1 ...        hold a row from the beginning, and compute nothing until then
//
//   choice: beams 0 1 2 go on from 0 0 1, in the middle of a page
//     before    0: p7 p4    1: p7 p5    2: p7 p6         p7 shared, full
//     after     0: p7 p4    1: p7 p9    2: p7 p5         p4 copied to p9, p6 given back
//
// Full pages are shared by reference; the last one goes to the first beam that goes on from its
// holder, and the others get copies. A family is planned again once its step is committed: which
// beams go on, only that tells.
#include <string.h>

#include "engine/batcher_internal.h"

wf_seat *wf_batcher_leader(wf_batcher *b, wf_seat *s)
{
    return s->beams ? &b->seats[s->leader] : s;
}

wf_seat *wf_batcher_next_beam(wf_batcher *b, const wf_seat *s)
{
    return s->beams && s->next_beam >= 0 ? &b->seats[s->next_beam] : NULL;
}

static wf_seat *beam(wf_batcher *b, wf_seat *leader, int32_t i)
{
    wf_seat *s = leader;
    while (i-- > 0)
        s = &b->seats[s->next_beam];
    return s;
}

void wf_batcher_seat_beams(wf_batcher *b, wf_seat *leader)
{
    const wf_waiting *w = &leader->request;
    leader->beams = true;
    leader->leader = wf_batcher_seat_index(b, leader);
    leader->next_beam = -1;
    wf_seat *last = leader;
    for (int32_t i = 1; i < w->n_beams; i++) {
        int32_t i_seat = b->free_seats[--b->n_free_seats];
        wf_seat *s = &b->seats[i_seat];
        *s = (wf_seat){.request = *w,
                       .state = WF_SEAT_ACTIVE,
                       .stay = s->stay + 1,
                       .row = b->n_rows,
                       .order = leader->order,
                       .beams = true,
                       .leader = leader->leader,
                       .i_beam = i,
                       .next_beam = -1,
                       .pages = s->pages};
        s->request.tag = w->beams[i];
        b->row_seat[b->n_rows++] = i_seat;
        b->n_live++;
        last->next_beam = i_seat;
        last = s;
    }
}

// ---- what came of a step ------------------------------------------------------------------------

void wf_batcher_commit_beam(wf_batcher *b, wf_seat *s, wf_gain gain)
{
    wf_seat *leader = wf_batcher_leader(b, s);
    if (gain.over && s == leader)
        for (wf_seat *of = leader; of; of = wf_batcher_next_beam(b, of))
            if (of->state == WF_SEAT_ACTIVE) wf_batcher_close_seat(b, of);
    s->from = gain.from;
    s->n_replay = s->n_gen;
    if (s == leader) leader->chosen = !gain.over;
}

// ---- going on from others -----------------------------------------------------------------------

// Full pages that all tokens so far fill; what is behind them is in one page more.
static int32_t n_full(const wf_batcher *b, const wf_seat *s)
{
    return s->n_past / b->cfg.page_tokens;
}

// A page that is not full: its tokens go on being written.
static bool has_partial(const wf_batcher *b, const wf_seat *s)
{
    return s->n_past % b->cfg.page_tokens != 0;
}

// The pages that each beam will have, in b->regrouped, its own hold on each taken. The last, which
// is not full, is its parent's for the first beam from there, and -1, to be copied, for the others.
static void hold_next(wf_batcher *b, wf_seat *leader)
{
    int32_t n = n_full(b, leader), partial = has_partial(b, leader);
    for (wf_seat *s = leader; s; s = wf_batcher_next_beam(b, s)) {
        wf_seat *from = beam(b, leader, s->from);
        int32_t *pages = b->regrouped + (int64_t)s->i_beam * b->cfg.max_pages;
        memcpy(pages, from->pages, (size_t)(n + partial) * sizeof *pages);
        s->copies = partial && from->inherited;
        from->inherited = true;
        for (int32_t i = 0; i < n + partial - s->copies; i++)
            wf_kvpool_hold(b->pool, pages[i]);
    }
}

// Gives up what each beam had, and takes what it will have; the page to be copied is still missing.
static void take_over(wf_batcher *b, wf_seat *leader)
{
    int32_t n = n_full(b, leader), partial = has_partial(b, leader);
    for (wf_seat *s = leader; s; s = wf_batcher_next_beam(b, s)) {
        const int32_t *pages = b->regrouped + (int64_t)s->i_beam * b->cfg.max_pages;
        int32_t had = s->n_pages, n_set = 0;
        b->reorder->pages->release(b, s);
        s->n_pages = n + partial - s->copies;
        while (n_set < s->n_set && n_set < had && n_set < s->n_pages &&
               s->pages[n_set] == pages[n_set])
            n_set++;
        s->n_set = n_set;
        memcpy(s->pages, pages, (size_t)s->n_pages * sizeof *pages);
        s->inherited = false;
        s->n_past = leader->n_past;
        s->n_gen = s->n_replay = leader->n_gen;
    }
}

// The copies. Where pages run out the youngest rows are put back; false: at last the family itself.
static bool copy_last(wf_batcher *b, wf_seat *leader, wf_schedule *out)
{
    int32_t n = n_full(b, leader);
    uint32_t stay = leader->stay;
    for (wf_seat *s = leader; s; s = wf_batcher_next_beam(b, s)) {
        if (!s->copies) continue;
        const int32_t *pages = b->regrouped + (int64_t)s->i_beam * b->cfg.max_pages;
        while (!b->reorder->pages->take(b, s)) {
            wf_batcher_put_back_youngest(b, out);
            if (leader->state == WF_SEAT_FREE || leader->stay != stay) return false;
        }
        out->copy_from[out->n_copies] = pages[n];
        out->copy_to[out->n_copies++] = s->pages[n];
        s->copies = false;
    }
    return true;
}

// Nothing happens where the step has no room left to name so many pages: it waits for the next.
static void regroup(wf_batcher *b, wf_seat *leader, wf_schedule *out)
{
    int32_t n_beams = leader->request.n_beams, n = n_full(b, leader) + has_partial(b, leader);
    if (out->n_shared + n * n_beams > b->cfg.shared_pages) return;
    for (wf_seat *s = leader; s && leader->n_gen == 1; s = wf_batcher_next_beam(b, s))
        s->from = 0;
    out->n_shared += n * n_beams;
    hold_next(b, leader);
    take_over(b, leader);
    leader->chosen = false;
    if (!copy_last(b, leader, out)) return;
    for (wf_seat *s = leader; s; s = wf_batcher_next_beam(b, s))
        s->verifying = false;
}

// What was to be copied for a seat that leaves: its page may be another's before the step runs.
void wf_batcher_forget_copies(const wf_seat *s, wf_schedule *out)
{
    for (int32_t i = out->n_copies; i-- > 0 && s->n_pages > 0;) {
        if (out->copy_to[i] != s->pages[s->n_pages - 1]) continue;
        out->copy_from[i] = out->copy_from[--out->n_copies];
        out->copy_to[i] = out->copy_to[out->n_copies];
    }
}

void wf_batcher_regroup(wf_batcher *b, wf_schedule *out)
{
    for (int32_t r = 0; r < b->n_rows && b->cfg.n_beams > 0; r++) {
        wf_seat *s = wf_batcher_seat_of(b, r);
        if (s && s->state == WF_SEAT_ACTIVE && s->chosen) regroup(b, s, out);
    }
}
