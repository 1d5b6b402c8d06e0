// The fusion batcher: its life cycle, the order of one plan, and what came of a step. Rooms and a
// drawing: batcher_internal.h.
//
// One plan, in order: rows that ended leave; beams go on from others; pages for the rows that
// decode (youngest put back when they run out); holes filled from the tail; admission; the
// sequences of the step.
#include <stdlib.h>
#include <string.h>

#include "engine/batcher_internal.h"

// ---- life cycle ---------------------------------------------------------------------------------

static wf_status check_config(const wf_batcher_config *c)
{
    if (c->max_rows < 1 || c->step_tokens < c->max_rows || c->page_tokens < 1 || c->max_pages < 1)
        return wf_fail(WF_CONFIG,
                       "engine: max_rows %d, step_tokens %d, page_tokens %d: "
                       "step_tokens must be at "
                       "least max_rows, all at least 1",
                       c->max_rows, c->step_tokens, c->page_tokens);
    if (c->fusion == WF_FUSION_INSTANCES && (c->instances < 1 || c->instances > c->max_rows))
        return wf_fail(WF_CONFIG, "engine: instances %d must be between 1 and max_rows %d",
                       c->instances, c->max_rows);
    if (c->n_draft < 0) return wf_fail(WF_CONFIG, "engine: n_draft %d is negative", c->n_draft);
    // A slot has pages of its own; a row that ended and is still computed writes over its last
    // ones.
    if (c->share && c->reorder != WF_REORDER_INDEX)
        return wf_fail(WF_CONFIG, "engine: pages are shared with reorder index alone");
    if (c->share && wf_batcher_most_pages(c) < c->max_pages)
        return wf_fail(WF_CONFIG, "engine: pages that are used in turn cannot be shared");
    if (c->share && c->shared_pages < c->max_pages)
        return wf_fail(WF_CONFIG, "engine: a step that names %d shared pages has no room for %d",
                       c->shared_pages, c->max_pages);
    if (c->n_beams > 0 &&
        (c->reorder != WF_REORDER_INDEX || wf_batcher_most_pages(c) < c->max_pages ||
         (int64_t)c->shared_pages < (int64_t)c->n_beams * c->max_pages || c->n_draft > 0 ||
         c->n_beams > c->max_rows || c->fusion == WF_FUSION_INSTANCES))
        return wf_fail(WF_CONFIG, "engine: beams need rows of one batch, reorder index, pages of "
                                  "their own and room to name them");
    if (c->reorder == WF_REORDER_COPY && c->slot_pages < 1)
        return wf_fail(WF_CONFIG, "engine: reorder copy needs slots of at least one page");
    return WF_OK;
}

static wf_status alloc_arrays(wf_batcher *b)
{
    size_t n = (size_t)b->cfg.max_rows;
    b->seats = aligned_alloc(alignof(wf_seat), n * sizeof *b->seats);
    b->page_block = malloc(n * (size_t)b->cfg.max_pages * sizeof *b->page_block);
    b->found = malloc((size_t)b->cfg.max_pages * sizeof *b->found);
    b->regrouped =
        malloc(((size_t)b->cfg.n_beams * (size_t)b->cfg.max_pages + 1) * sizeof *b->regrouped);
    b->free_seats = malloc(n * sizeof *b->free_seats);
    b->row_seat = malloc(n * sizeof *b->row_seat);
    b->prefill = malloc(n * sizeof *b->prefill);
    b->verify = malloc(n * sizeof *b->verify);
    b->closing = malloc(n * sizeof *b->closing);
    b->limbo = malloc(n * sizeof *b->limbo);
    if (!b->seats || !b->page_block || !b->free_seats || !b->row_seat || !b->prefill ||
        !b->verify || !b->closing || !b->limbo || !b->found || !b->regrouped)
        return wf_fail(WF_NO_MEMORY, "engine: no memory for %zu rows", n);
    memset(b->seats, 0, n * sizeof *b->seats);
    for (int32_t i = 0; i < b->cfg.max_rows; i++) {
        b->seats[i].pages = b->page_block + (int64_t)i * b->cfg.max_pages;
        b->free_seats[i] = b->cfg.max_rows - 1 - i;
    }
    b->n_free_seats = b->cfg.max_rows;
    return WF_OK;
}

// What the window of a chunk's first token and the chunk touch. Slots hold a whole context.
int32_t wf_batcher_most_pages(const wf_batcher_config *c)
{
    if (c->window == 0 || c->reorder == WF_REORDER_COPY) return c->max_pages;
    int64_t chunk = c->step_tokens < c->window ? c->step_tokens : c->window;
    int64_t n = (c->window - 1 + chunk + c->page_tokens - 1) / c->page_tokens + 1;
    return n < c->max_pages ? (int32_t)n : c->max_pages;
}

wf_status wf_batcher_create(const wf_batcher_config *config, wf_batcher **out)
{
    *out = NULL;
    WF_TRY(check_config(config));
    wf_batcher *b = calloc(1, sizeof *b);
    if (!b) return wf_fail(WF_NO_MEMORY, "engine: out of memory");
    b->cfg = *config;
    b->fusion = wf_fusion_policy_of(config->fusion);
    b->reorder = wf_reorder_policy_of(config->reorder);
    b->most_pages = wf_batcher_most_pages(config);
    int32_t n_pages = config->reorder == WF_REORDER_COPY ? 0 : config->n_pages;
    wf_status st;
    WF_TRY_TO(fail, alloc_arrays(b));
    WF_TRY_TO(fail, wf_kvpool_create(n_pages, &b->pool));
    WF_TRY_TO(fail, wf_waitqueue_create(&b->queue));
    *out = b;
    return WF_OK;
fail:
    wf_batcher_destroy(b);
    return st;
}

void wf_batcher_destroy(wf_batcher *b)
{
    if (!b) return;
    wf_waitqueue_destroy(b->queue);
    wf_kvpool_destroy(b->pool);
    free(b->regrouped);
    free(b->found);
    free(b->limbo);
    free(b->closing);
    free(b->verify);
    free(b->prefill);
    free(b->row_seat);
    free(b->free_seats);
    free(b->page_block);
    free(b->seats);
    free(b);
}

// ---- submission ---------------------------------------------------------------------------------

int32_t wf_batcher_pages_at_end(int32_t page_tokens, int64_t n_prompt, int64_t n_limit)
{
    return (int32_t)((n_prompt + n_limit - 1 + page_tokens - 1) / page_tokens);
}

wf_status wf_batcher_fits(const wf_batcher_room *room, int32_t n_prompt, int32_t n_limit)
{
    int32_t all = wf_batcher_pages_at_end(room->page_tokens, n_prompt, n_limit), need = all;
    if (room->most_pages > 0 && need > room->most_pages) need = room->most_pages;
    if (need <= room->n_pages && all <= room->max_pages) return WF_OK;
    return wf_fail(WF_REQ_MEMORY,
                   "prompt of %d tokens and up to %d new ones need %d KV pages "
                   "of %d tokens, %s "
                   "%d; raise engine.%s or lower max_new_tokens",
                   n_prompt, n_limit, need, room->page_tokens,
                   room->in_slots ? "a slot has" : "there are", room->n_pages,
                   room->in_slots ? "slot_tokens" : "kv_memory");
}

// Full pages of the prompt are there once, whatever else each beam for itself.
static wf_status beams_fit(const wf_batcher *b, const wf_batcher_request *r)
{
    int32_t once = r->n_prompt / b->cfg.page_tokens;
    int64_t all = wf_batcher_pages_at_end(b->cfg.page_tokens, r->n_prompt, r->n_limit);
    int64_t need = once + (all - once) * r->n_beams;
    if (need <= wf_kvpool_n_pages(b->pool)) return WF_OK;
    return wf_fail(WF_REQ_MEMORY,
                   "prompt of %d tokens and up to %d new ones of %d beams need %lld KV pages of %d "
                   "tokens, there are %d; raise engine.kv_memory or lower max_new_tokens",
                   r->n_prompt, r->n_limit, r->n_beams, (long long)need, b->cfg.page_tokens,
                   wf_kvpool_n_pages(b->pool));
}

wf_status wf_batcher_submit(wf_batcher *b, const wf_batcher_request *r)
{
    const wf_page_policy *pages = b->reorder->pages;
    int32_t have = pages->most(b);
    wf_batcher_room room = {.page_tokens = b->cfg.page_tokens,
                            .n_pages = have < b->cfg.max_pages ? have : b->cfg.max_pages,
                            .max_pages = b->cfg.max_pages,
                            .most_pages = wf_batcher_in_turn(b) ? b->most_pages : 0,
                            .in_slots = pages->copies};
    WF_TRY(wf_batcher_fits(&room, r->n_prompt, r->n_limit));
    if (r->n_beams > 0) WF_TRY(beams_fit(b, r));
    return wf_waitqueue_push_back(b->queue, &(wf_waiting){.tag = r->tag,
                                                          .n_prompt = r->n_prompt,
                                                          .n_limit = r->n_limit,
                                                          .n_marks = r->n_marks,
                                                          .n_beams = r->n_beams,
                                                          .beams = r->beams,
                                                          .submitted_ns = r->submitted_ns});
}

// ---- one plan -----------------------------------------------------------------------------------

static void clear_schedule(wf_schedule *s)
{
    s->n_seqs = s->n_decode = s->n_tokens = s->n_samples = s->n_joins = 0;
    s->n_prompt_tokens = s->n_discarded = s->max_new = s->max_context = 0;
    s->n_moves = s->n_copies = s->n_pages = s->n_put_back = s->n_shared = 0;
}

// The row whose turn it is, -1 when there is none. The turn passes on even if nothing comes of it.
static int32_t next_turn(wf_batcher *b)
{
    for (int32_t i = 0; i < b->n_rows; i++) {
        int32_t row = (b->turn + i) % b->n_rows;
        if (b->row_seat[row] < 0) continue;
        b->turn = row + 1;
        return row;
    }
    return -1;
}

// Batch-1 contexts: one row per step, in turn. A row that is put back to find a page for another
// leaves a hole until the next plan.
static void plan_one(wf_batcher *b, int64_t now_ns, bool closed, wf_schedule *out)
{
    wf_batcher_fill_holes(b, out);
    wf_batcher_admit(b, now_ns, closed);
    int32_t row = next_turn(b);
    if (row < 0) return;
    wf_batcher_reserve_pages(b, row, row + 1, out);
    wf_batcher_emit_one(b, row, out);
}

// Whether the step will not be empty, whoever joins: an empty one is not run, nor are its moves.
static bool may_move(const wf_batcher *b)
{
    for (int32_t r = 0; r < b->n_rows && b->n_prefill == 0; r++) {
        const wf_seat *s = wf_batcher_seat_of(b, r);
        if (s && wf_seat_decodes(s) && !s->verifying) return true;
    }
    return b->n_prefill > 0 || b->n_live == 0; // then there is nothing to move
}

void wf_batcher_plan(wf_batcher *b, int64_t now_ns, bool closed, wf_schedule *out)
{
    clear_schedule(out);
    wf_batcher_remove_ended(b);
    if (b->fusion->one_row) {
        plan_one(b, now_ns, closed, out);
    } else {
        wf_batcher_regroup(b, out);
        wf_batcher_reserve_pages(b, 0, b->n_rows, out);
        if (may_move(b)) wf_batcher_fill_holes(b, out);
        wf_batcher_admit(b, now_ns, closed);
        wf_batcher_emit_all(b, out);
    }
    out->n_rows = b->n_rows;
    out->kv_pages = b->reorder->pages->used(b);
}

// ---- what came of a step ------------------------------------------------------------------------

static void commit_limbo(wf_batcher *b, const wf_seq *q, wf_gain gain)
{
    for (int32_t i = 0; i < b->n_limbo; i++) {
        wf_limbo *l = &b->limbo[i];
        if (l->i_seat != q->seat || l->stay != q->stay) continue;
        l->n_flight--;
        l->request.n_done += gain.n_tokens;
        if (!gain.over && l->n_flight > 0) return;
        if (!gain.over) wf_waitqueue_push_front(b->queue, &l->request);
        b->limbo[i] = b->limbo[--b->n_limbo];
        return;
    }
}

// What a plan could not know: a verified row is further than by the one token that was sure, and
// its last token is known to the host alone.
static void commit_verified(wf_seat *s, int32_t n_tokens)
{
    s->n_past += n_tokens - 1;
    s->n_gen += n_tokens - 1;
    s->n_replay = s->n_gen;
    s->verifying = false;
}

void wf_batcher_commit(wf_batcher *b, const wf_schedule *s, const wf_gain *gains)
{
    for (int32_t i = 0, i_gain = 0; i < s->n_seqs; i++) {
        const wf_seq *q = &s->seqs[i];
        if (q->n_samples == 0) continue;
        wf_gain gain = gains[i_gain++];
        if (q->discard) continue;
        wf_seat *at = &b->seats[q->seat];
        if (at->state == WF_SEAT_FREE || at->stay != q->stay) {
            commit_limbo(b, q, gain);
            continue;
        }
        at->n_flight--;
        if (at->beams) {
            wf_batcher_commit_beam(b, at, gain);
            continue;
        }
        if (q->kind == WF_SEQ_VERIFY) commit_verified(at, gain.n_tokens);
        if (gain.over && at->state == WF_SEAT_ACTIVE) wf_batcher_close_seat(b, at);
    }
}

// ---- letting go ---------------------------------------------------------------------------------

typedef struct let_go {
    wf_batcher_over_fn over;
    void *context;
} let_go;

static bool stays_waiting(void *context, const wf_waiting *w)
{
    const let_go *l = context;
    return !l->over(l->context, w->tag, w->n_prompt);
}

static void let_row_go(wf_batcher *b, wf_seat *s, const let_go *l)
{
    int32_t n_left = s->n_past < s->request.n_prompt ? s->request.n_prompt - s->n_past : 0;
    if (s->i_beam > 0) return;                     // its leader is asked
    if (!s->joined && !b->reorder->evicts) return; // it could not be computed on
    if (!l->over(l->context, s->request.tag, n_left)) return;
    if (n_left > 0) wf_batcher_forget_prefill(b, wf_batcher_seat_index(b, s));
    for (; s; s = wf_batcher_next_beam(b, s))
        wf_batcher_close_seat(b, s);
}

void wf_batcher_let_go(wf_batcher *b, wf_batcher_over_fn over, void *context)
{
    let_go l = {over, context};
    wf_waitqueue_keep(b->queue, stays_waiting, &l);
    for (int32_t r = 0; r < b->n_rows; r++) {
        wf_seat *s = wf_batcher_seat_of(b, r);
        if (s && s->state == WF_SEAT_ACTIVE) let_row_go(b, s, &l);
    }
}

void wf_batcher_show(wf_batcher *b, int32_t most, wf_batcher_show_fn show, void *context)
{
    for (int32_t r = 0; r < b->n_rows && most > 0; r++) {
        const wf_seat *s = wf_batcher_seat_of(b, r);
        if (!s || s->state != WF_SEAT_ACTIVE || s->i_beam > 0) continue;
        show(context, s->request.tag, s->request.n_prompt, s->n_past);
        most--;
    }
}

// ---- queries ------------------------------------------------------------------------------------

wf_kvpool *wf_batcher_pool(wf_batcher *b)
{
    return b->pool;
}

// They hold a seat, and the tokens of the steps so far did not reach to their prompt.
static int32_t n_not_joined(const wf_batcher *b)
{
    int32_t n = 0;
    for (int32_t i = 0; i < b->n_prefill; i++)
        n += !b->seats[b->prefill[i]].joined;
    return n;
}

int64_t wf_batcher_n_waiting(const wf_batcher *b)
{
    return wf_waitqueue_count(b->queue) + b->n_limbo + n_not_joined(b);
}

int32_t wf_batcher_n_rows(const wf_batcher *b)
{
    return b->n_rows - n_not_joined(b);
}

int64_t wf_batcher_wake_ns(const wf_batcher *b)
{
    if (b->cfg.fusion != WF_FUSION_WINDOW || wf_waitqueue_count(b->queue) == 0) return INT64_MAX;
    return wf_waitqueue_front(b->queue)->submitted_ns + b->cfg.window_ns;
}
