// The fusion batcher. A request in the batch sits on a seat (fixed while it stays) and in a row
// (which reordering changes); its page list belongs to the seat, so a row move is O(1) here.
//
// One plan, in order: rows that ended leave; pages for the rows that decode (youngest put back when
// they run out); holes filled from the tail; admission; the sequences of the step.
#include "engine/batcher.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "engine/kvpool.h"
#include "engine/waitqueue.h"

typedef enum seat_state {
    SEAT_FREE,
    SEAT_ACTIVE,
    SEAT_CLOSING, // its last token is planned or known; leaves at the next plan
    SEAT_DEAD     // reorder off: finished, still computed
} seat_state;

// What every decode step touches comes first and fits one cache line, up to request.n_limit.
typedef struct seat {
    alignas(64) seat_state state;
    uint32_t stay; // counts the requests that sat here, so that late commits are told apart
    int32_t row;
    int32_t n_past;   // tokens in the KV cache when all planned steps are done
    int32_t n_gen;    // tokens generated when all planned steps are done
    int32_t n_replay; // of those, known when it joined (it had been put back)
    int32_t n_flight; // sampled tokens planned and not committed
    int32_t n_pages;  // pages held
    int32_t n_set;    // page-table columns set on the device
    wf_waiting request;
    int64_t order;  // age: smaller joined earlier
    int32_t *pages; // [max_pages]
} seat;

typedef struct limbo { // put back, its step still in flight
    wf_waiting request;
    int32_t i_seat, n_flight;
    uint32_t stay;
} limbo;

typedef struct policy {
    bool (*may_join)(const wf_batcher *b, int64_t now_ns, bool closed);
    bool one_row; // a step computes one row
} policy;

struct wf_batcher {
    wf_batcher_config cfg;
    const policy *policy;
    wf_waitqueue *queue;
    wf_kvpool *pool;
    seat *seats;         // [max_rows]
    int32_t *page_block; // [max_rows][max_pages]
    int32_t *free_seats; // [max_rows], n_free_seats valid
    int32_t n_free_seats;
    int32_t *row_seat; // [max_rows] seat of each row, -1: hole
    int32_t n_rows, n_live;
    int32_t *prefill; // [max_rows] seats with prompt left, oldest first
    int32_t n_prefill;
    int32_t *closing; // [max_rows] seats that leave at the next plan
    int32_t n_closing, n_dead;
    limbo *limbo; // [max_rows]
    int32_t n_limbo;
    int32_t turn; // fusion instances: row that runs next
    int64_t next_order;
};

// ---- who may join -------------------------------------------------------------------------------

static bool join_any_time(const wf_batcher *b, int64_t now_ns, bool closed)
{
    (void)b, (void)now_ns, (void)closed;
    return true;
}

static bool join_at_window_end(const wf_batcher *b, int64_t now_ns, bool closed)
{
    (void)closed;
    if (b->n_rows > 0) return false;
    return wf_waitqueue_count(b->queue) >= b->cfg.max_rows || now_ns >= wf_batcher_wake_ns(b);
}

static bool join_full_batch(const wf_batcher *b, int64_t now_ns, bool closed)
{
    (void)now_ns;
    return b->n_rows == 0 && (closed || wf_waitqueue_count(b->queue) >= b->cfg.max_rows);
}

static const policy policies[] = {
    [WF_FUSION_TEMPORAL] = {join_any_time, false},
    [WF_FUSION_WINDOW] = {join_at_window_end, false},
    [WF_FUSION_INSTANCES] = {join_any_time, true},
    [WF_FUSION_STATIC] = {join_full_batch, false},
};

// ---- life cycle ---------------------------------------------------------------------------------

static wf_status check_config(const wf_batcher_config *c)
{
    if (c->max_rows < 1 || c->step_tokens < c->max_rows || c->page_tokens < 1 || c->max_pages < 1)
        return wf_fail(
            WF_CONFIG,
            "engine: max_rows %d, step_tokens %d, page_tokens %d: step_tokens must be at "
            "least max_rows, all at least 1",
            c->max_rows, c->step_tokens, c->page_tokens);
    if (c->fusion == WF_FUSION_INSTANCES && (c->instances < 1 || c->instances > c->max_rows))
        return wf_fail(WF_CONFIG, "engine: instances %d must be between 1 and max_rows %d",
                       c->instances, c->max_rows);
    if (c->reorder == WF_REORDER_COPY && c->slot_pages < 1)
        return wf_fail(WF_CONFIG, "engine: reorder copy needs slots of at least one page");
    return WF_OK;
}

static wf_status alloc_arrays(wf_batcher *b)
{
    size_t n = (size_t)b->cfg.max_rows;
    b->seats = aligned_alloc(alignof(seat), n * sizeof *b->seats);
    b->page_block = malloc(n * (size_t)b->cfg.max_pages * sizeof *b->page_block);
    b->free_seats = malloc(n * sizeof *b->free_seats);
    b->row_seat = malloc(n * sizeof *b->row_seat);
    b->prefill = malloc(n * sizeof *b->prefill);
    b->closing = malloc(n * sizeof *b->closing);
    b->limbo = malloc(n * sizeof *b->limbo);
    if (!b->seats || !b->page_block || !b->free_seats || !b->row_seat || !b->prefill ||
        !b->closing || !b->limbo)
        return wf_fail(WF_NO_MEMORY, "engine: no memory for %zu rows", n);
    memset(b->seats, 0, n * sizeof *b->seats);
    for (int32_t i = 0; i < b->cfg.max_rows; i++) {
        b->seats[i].pages = b->page_block + (int64_t)i * b->cfg.max_pages;
        b->free_seats[i] = b->cfg.max_rows - 1 - i;
    }
    b->n_free_seats = b->cfg.max_rows;
    return WF_OK;
}

wf_status wf_batcher_create(const wf_batcher_config *config, wf_batcher **out)
{
    *out = NULL;
    WF_TRY(check_config(config));
    wf_batcher *b = calloc(1, sizeof *b);
    if (!b) return wf_fail(WF_NO_MEMORY, "engine: out of memory");
    b->cfg = *config;
    b->policy = &policies[config->fusion];
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
    free(b->limbo);
    free(b->closing);
    free(b->prefill);
    free(b->row_seat);
    free(b->free_seats);
    free(b->page_block);
    free(b->seats);
    free(b);
}

// ---- submission ---------------------------------------------------------------------------------

static int32_t pages_for(const wf_batcher *b, int64_t n_tokens)
{
    return (int32_t)((n_tokens + b->cfg.page_tokens - 1) / b->cfg.page_tokens);
}

wf_status wf_batcher_submit(wf_batcher *b, const wf_batcher_request *r)
{
    // The last token generated is never fed, so it needs no place in the cache.
    int32_t need = pages_for(b, (int64_t)r->n_prompt + r->n_limit - 1);
    bool slots = b->cfg.reorder == WF_REORDER_COPY;
    int32_t have = slots ? b->cfg.slot_pages : wf_kvpool_n_pages(b->pool);
    if (have > b->cfg.max_pages) have = b->cfg.max_pages;
    if (need > have)
        return wf_fail(
            WF_REQ_MEMORY,
            "prompt of %d tokens and up to %d new ones need %d KV pages of %d tokens, %s "
            "%d; raise engine.%s or lower max_new_tokens",
            r->n_prompt, r->n_limit, need, b->cfg.page_tokens, slots ? "a slot has" : "there are",
            have, slots ? "slot_tokens" : "kv_memory");
    return wf_waitqueue_push_back(b->queue, &(wf_waiting){.tag = r->tag,
                                                          .n_prompt = r->n_prompt,
                                                          .n_limit = r->n_limit,
                                                          .submitted_ns = r->submitted_ns});
}

// ---- leaving and putting back -------------------------------------------------------------------

static void release_pages(wf_batcher *b, seat *s)
{
    if (b->cfg.reorder != WF_REORDER_COPY)
        for (int32_t i = 0; i < s->n_pages; i++)
            wf_kvpool_drop(b->pool, s->pages[i]);
    s->n_pages = s->n_set = 0;
}

static void free_seat(wf_batcher *b, seat *s)
{
    release_pages(b, s);
    b->row_seat[s->row] = -1;
    s->state = SEAT_FREE;
    b->free_seats[b->n_free_seats++] = (int32_t)(s - b->seats);
    b->n_live--;
}

static void forget_prefill(wf_batcher *b, int32_t i_seat)
{
    for (int32_t i = 0; i < b->n_prefill; i++) {
        if (b->prefill[i] != i_seat) continue;
        memmove(b->prefill + i, b->prefill + i + 1,
                (size_t)(b->n_prefill - i - 1) * sizeof *b->prefill);
        b->n_prefill--;
        return;
    }
}

// Rows that ended since the last plan leave. With reorder off they stay, until all have ended.
static void remove_ended(wf_batcher *b)
{
    bool keep = b->cfg.reorder == WF_REORDER_OFF;
    for (int32_t i = 0; i < b->n_closing; i++) {
        seat *s = &b->seats[b->closing[i]];
        if (keep)
            s->state = SEAT_DEAD;
        else
            free_seat(b, s);
    }
    if (keep) b->n_dead += b->n_closing;
    b->n_closing = 0;
    if (!keep || b->n_dead < b->n_live) return;
    for (int32_t r = 0; r < b->n_rows; r++)
        if (b->row_seat[r] >= 0) free_seat(b, &b->seats[b->row_seat[r]]);
    b->n_rows = b->n_dead = 0;
}

static void put_back(wf_batcher *b, seat *s, wf_schedule *out)
{
    wf_waiting w = s->request;
    w.n_done = s->n_gen - s->n_flight;
    out->put_back[out->n_put_back++] = w.tag;
    int32_t i_seat = (int32_t)(s - b->seats);
    if (s->n_flight > 0)
        b->limbo[b->n_limbo++] = (limbo){w, i_seat, s->n_flight, s->stay};
    else
        wf_waitqueue_push_front(b->queue, &w);
    if (s->n_past < w.n_prompt) forget_prefill(b, i_seat);
    free_seat(b, s);
}

static seat *youngest(wf_batcher *b)
{
    seat *found = NULL;
    for (int32_t r = 0; r < b->n_rows; r++) {
        if (b->row_seat[r] < 0) continue;
        seat *s = &b->seats[b->row_seat[r]];
        if (s->state == SEAT_ACTIVE && (!found || s->order > found->order)) found = s;
    }
    return found;
}

// A page for the next token of `s`; puts back the youngest rows until there is one. False when `s`
// itself was put back.
static bool ensure_page(wf_batcher *b, seat *s, wf_schedule *out)
{
    if (s->n_past < s->n_pages * b->cfg.page_tokens) return true;
    if (b->cfg.reorder == WF_REORDER_COPY) {
        s->n_pages++;
        return true;
    }
    for (;;) {
        int32_t page = wf_kvpool_take(b->pool);
        if (page >= 0) {
            s->pages[s->n_pages++] = page;
            return true;
        }
        seat *victim = youngest(b);
        put_back(b, victim, out);
        if (victim == s) return false;
    }
}

static bool decodes(const seat *s)
{
    return s->state == SEAT_ACTIVE && s->n_past >= s->request.n_prompt;
}

static void reserve_decode_pages(wf_batcher *b, int32_t first, int32_t last, wf_schedule *out)
{
    for (int32_t r = first; r < last; r++) {
        if (b->row_seat[r] < 0) continue;
        seat *s = &b->seats[b->row_seat[r]];
        if (decodes(s)) ensure_page(b, s, out);
    }
}

// ---- filling holes ------------------------------------------------------------------------------

static void copy_slot(wf_batcher *b, const seat *s, int32_t from, int32_t to, wf_schedule *out)
{
    int32_t n = pages_for(b, s->n_past);
    for (int32_t i = 0; i < n; i++, out->n_copies++) {
        out->copy_from[out->n_copies] = from * b->cfg.slot_pages + i;
        out->copy_to[out->n_copies] = to * b->cfg.slot_pages + i;
    }
}

// Moves rows from the tail into the holes: as few moves as there are holes below the new end.
static void fill_holes(wf_batcher *b, wf_schedule *out)
{
    if (b->n_live == b->n_rows || b->cfg.reorder == WF_REORDER_OFF) return;
    int32_t tail = b->n_rows - 1;
    for (int32_t hole = 0; hole < b->n_live; hole++) {
        if (b->row_seat[hole] >= 0) continue;
        while (b->row_seat[tail] < 0)
            tail--;
        seat *s = &b->seats[b->row_seat[tail]];
        out->move_from[out->n_moves] = tail;
        out->move_to[out->n_moves++] = hole;
        if (b->cfg.reorder == WF_REORDER_COPY) copy_slot(b, s, tail, hole, out);
        b->row_seat[hole] = b->row_seat[tail];
        b->row_seat[tail] = -1;
        s->row = hole;
    }
    b->n_rows = b->n_live;
}

// ---- admission ----------------------------------------------------------------------------------

// Pages kept free for the rows that run, so that put-backs are rare (vLLM keeps 1% as well).
static int32_t watermark(const wf_batcher *b)
{
    return wf_kvpool_n_pages(b->pool) / 100 + b->n_live / 8;
}

static bool has_pages(const wf_batcher *b, const wf_waiting *w)
{
    if (b->cfg.reorder == WF_REORDER_COPY) return true;
    int32_t need = pages_for(b, (int64_t)w->n_prompt + w->n_done);
    int32_t n_free = wf_kvpool_n_free(b->pool);
    return b->n_live == 0 ? n_free >= need : n_free >= need + watermark(b);
}

static void admit(wf_batcher *b, const wf_waiting *w)
{
    int32_t i_seat = b->free_seats[--b->n_free_seats];
    seat *s = &b->seats[i_seat];
    int32_t *pages = s->pages, n = pages_for(b, (int64_t)w->n_prompt + w->n_done);
    *s = (seat){.request = *w,
                .state = SEAT_ACTIVE,
                .stay = s->stay + 1,
                .row = b->n_rows,
                .n_gen = w->n_done,
                .n_replay = w->n_done,
                .order = b->next_order++,
                .pages = pages,
                .n_pages = n};
    if (b->cfg.reorder != WF_REORDER_COPY)
        for (int32_t i = 0; i < n; i++)
            s->pages[i] = wf_kvpool_take(b->pool);
    b->row_seat[b->n_rows++] = i_seat;
    b->n_live++;
    b->prefill[b->n_prefill++] = i_seat;
}

static void admit_waiting(wf_batcher *b, int64_t now_ns, bool closed)
{
    int32_t most = b->cfg.fusion == WF_FUSION_INSTANCES ? b->cfg.instances : b->cfg.max_rows;
    if (wf_waitqueue_count(b->queue) == 0 || !b->policy->may_join(b, now_ns, closed)) return;
    while (b->n_rows < most && wf_waitqueue_count(b->queue) > 0) {
        wf_waiting w = *wf_waitqueue_front(b->queue);
        if (!has_pages(b, &w)) return;
        wf_waitqueue_pop_front(b->queue);
        admit(b, &w);
    }
}

// ---- the sequences of a step --------------------------------------------------------------------

static void set_pages(wf_batcher *b, seat *s, int32_t n_tokens, wf_schedule *out)
{
    if (b->cfg.reorder == WF_REORDER_COPY) return;
    for (; s->n_set * b->cfg.page_tokens < n_tokens; s->n_set++, out->n_pages++) {
        out->page_row[out->n_pages] = s->row;
        out->page_col[out->n_pages] = s->n_set;
        out->page[out->n_pages] = s->pages[s->n_set];
    }
}

static void count_seq(wf_schedule *out, const wf_seq *q)
{
    out->n_tokens += q->n_new;
    out->n_samples += q->sample;
    out->n_joins += q->join;
    if (q->n_new > out->max_new) out->max_new = q->n_new;
    if (q->n_past + q->n_new > out->max_context) out->max_context = q->n_past + q->n_new;
}

static void close_seat(wf_batcher *b, seat *s)
{
    s->state = SEAT_CLOSING;
    b->closing[b->n_closing++] = (int32_t)(s - b->seats);
}

static void plan_sample(wf_batcher *b, seat *s)
{
    s->n_gen++;
    s->n_flight++;
    if (s->n_gen == s->request.n_limit) close_seat(b, s);
}

static void emit_decode(wf_batcher *b, seat *s, wf_schedule *out)
{
    int32_t i_token = s->n_past - s->request.n_prompt; // which generated token is fed
    wf_seq *q = &out->seqs[out->n_seqs++];
    *q = (wf_seq){.tag = s->request.tag,
                  .row = s->row,
                  .n_past = s->n_past,
                  .n_new = 1,
                  .seat = (int32_t)(s - b->seats),
                  .stay = s->stay,
                  .decode = true,
                  .known = i_token < s->n_replay,
                  .sample = i_token + 1 == s->n_gen};
    s->n_past++;
    set_pages(b, s, s->n_past, out);
    if (q->sample) plan_sample(b, s);
    out->n_decode++;
    count_seq(out, q);
}

// A finished row is computed again at its last position: the cost of not evicting it.
static void emit_dead(wf_batcher *b, seat *s, wf_schedule *out)
{
    wf_seq *q = &out->seqs[out->n_seqs++];
    *q = (wf_seq){.row = s->row,
                  .n_past = s->n_past - 1,
                  .n_new = 1,
                  .seat = (int32_t)(s - b->seats),
                  .stay = s->stay,
                  .decode = true,
                  .sample = true,
                  .discard = true};
    out->n_decode++;
    out->n_discarded++;
    count_seq(out, q);
}

// The next prompt chunk of `s`; true when its prompt is finished by it.
static bool emit_chunk(wf_batcher *b, seat *s, wf_schedule *out)
{
    int32_t budget = b->cfg.step_tokens - out->n_tokens;
    int32_t left = s->request.n_prompt - s->n_past;
    int32_t n = left < budget ? left : budget;
    wf_seq *q = &out->seqs[out->n_seqs++];
    *q = (wf_seq){.tag = s->request.tag,
                  .row = s->row,
                  .n_past = s->n_past,
                  .n_new = n,
                  .seat = (int32_t)(s - b->seats),
                  .stay = s->stay,
                  .join = s->n_past == 0,
                  .sample = n == left && s->n_gen == 0};
    s->n_past += n;
    set_pages(b, s, s->n_past, out);
    if (q->sample) plan_sample(b, s);
    out->n_prompt_tokens += n;
    count_seq(out, q);
    return n == left;
}

static void emit_row(wf_batcher *b, int32_t row, wf_schedule *out)
{
    if (b->row_seat[row] < 0) return;
    seat *s = &b->seats[b->row_seat[row]];
    if (s->state == SEAT_DEAD)
        emit_dead(b, s, out);
    else if (decodes(s))
        emit_decode(b, s, out);
}

static void emit_all(wf_batcher *b, wf_schedule *out)
{
    for (int32_t r = 0; r < b->n_rows; r++)
        emit_row(b, r, out);
    int32_t n_kept = 0;
    for (int32_t i = 0; i < b->n_prefill; i++) {
        bool room = out->n_tokens < b->cfg.step_tokens;
        bool finished = room && emit_chunk(b, &b->seats[b->prefill[i]], out);
        if (!finished) b->prefill[n_kept++] = b->prefill[i];
    }
    b->n_prefill = n_kept;
}

static void emit_one(wf_batcher *b, int32_t row, wf_schedule *out)
{
    if (b->row_seat[row] < 0) return; // it was just put back
    int32_t i_seat = b->row_seat[row];
    if (b->seats[i_seat].n_past >= b->seats[i_seat].request.n_prompt)
        emit_row(b, row, out);
    else if (emit_chunk(b, &b->seats[i_seat], out))
        forget_prefill(b, i_seat);
}

static void clear_schedule(wf_schedule *s)
{
    s->n_seqs = s->n_decode = s->n_tokens = s->n_samples = s->n_joins = 0;
    s->n_prompt_tokens = s->n_discarded = s->max_new = s->max_context = 0;
    s->n_moves = s->n_copies = s->n_pages = s->n_put_back = 0;
}

static int32_t kv_pages_used(const wf_batcher *b)
{
    if (b->cfg.reorder != WF_REORDER_COPY)
        return wf_kvpool_n_pages(b->pool) - wf_kvpool_n_free(b->pool);
    int32_t n = 0;
    for (int32_t r = 0; r < b->n_rows; r++)
        n += b->cfg.slot_pages;
    return n;
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
    fill_holes(b, out);
    admit_waiting(b, now_ns, closed);
    int32_t row = next_turn(b);
    if (row < 0) return;
    reserve_decode_pages(b, row, row + 1, out);
    emit_one(b, row, out);
}

void wf_batcher_plan(wf_batcher *b, int64_t now_ns, bool closed, wf_schedule *out)
{
    clear_schedule(out);
    remove_ended(b);
    if (b->policy->one_row) {
        plan_one(b, now_ns, closed, out);
    } else {
        reserve_decode_pages(b, 0, b->n_rows, out);
        fill_holes(b, out);
        admit_waiting(b, now_ns, closed);
        emit_all(b, out);
    }
    out->n_rows = b->n_rows;
    out->kv_pages = kv_pages_used(b);
}

// ---- what came of a step ------------------------------------------------------------------------

static void commit_limbo(wf_batcher *b, const wf_seq *q, bool ended)
{
    for (int32_t i = 0; i < b->n_limbo; i++) {
        limbo *l = &b->limbo[i];
        if (l->i_seat != q->seat || l->stay != q->stay) continue;
        l->n_flight--;
        l->request.n_done++;
        if (!ended && l->n_flight > 0) return;
        if (!ended) wf_waitqueue_push_front(b->queue, &l->request);
        b->limbo[i] = b->limbo[--b->n_limbo];
        return;
    }
}

void wf_batcher_commit(wf_batcher *b, const wf_schedule *s, const bool *ended)
{
    for (int32_t i = 0, i_sample = 0; i < s->n_seqs; i++) {
        const wf_seq *q = &s->seqs[i];
        if (!q->sample) continue;
        bool over = ended[i_sample++];
        if (q->discard) continue;
        seat *at = &b->seats[q->seat];
        if (at->state == SEAT_FREE || at->stay != q->stay) {
            commit_limbo(b, q, over);
            continue;
        }
        at->n_flight--;
        if (over && at->state == SEAT_ACTIVE) close_seat(b, at);
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

static void let_row_go(wf_batcher *b, seat *s, const let_go *l)
{
    int32_t n_left = s->n_past < s->request.n_prompt ? s->request.n_prompt - s->n_past : 0;
    if (s->n_past == 0 && b->cfg.reorder == WF_REORDER_OFF) return; // it could not be computed on
    if (!l->over(l->context, s->request.tag, n_left)) return;
    if (n_left > 0) forget_prefill(b, (int32_t)(s - b->seats));
    close_seat(b, s);
}

void wf_batcher_let_go(wf_batcher *b, wf_batcher_over_fn over, void *context)
{
    let_go l = {over, context};
    wf_waitqueue_keep(b->queue, stays_waiting, &l);
    for (int32_t r = 0; r < b->n_rows; r++) {
        seat *s = b->row_seat[r] >= 0 ? &b->seats[b->row_seat[r]] : NULL;
        if (s && s->state == SEAT_ACTIVE) let_row_go(b, s, &l);
    }
}

// ---- queries ------------------------------------------------------------------------------------

int64_t wf_batcher_n_waiting(const wf_batcher *b)
{
    return wf_waitqueue_count(b->queue) + b->n_limbo;
}

int32_t wf_batcher_n_rows(const wf_batcher *b)
{
    return b->n_rows;
}

bool wf_batcher_idle(const wf_batcher *b)
{
    return b->n_rows == 0 && wf_batcher_n_waiting(b) == 0;
}

int64_t wf_batcher_wake_ns(const wf_batcher *b)
{
    if (b->cfg.fusion != WF_FUSION_WINDOW || wf_waitqueue_count(b->queue) == 0) return INT64_MAX;
    return wf_waitqueue_front(b->queue)->submitted_ns + b->cfg.window_ns;
}

// ---- schedules ----------------------------------------------------------------------------------

wf_status wf_schedule_create(const wf_batcher *b, wf_schedule **out)
{
    *out = NULL;
    const wf_batcher_config *c = &b->cfg;
    size_t rows = (size_t)c->max_rows;
    size_t pages = 2 * rows + (size_t)(c->step_tokens / c->page_tokens);
    size_t copies = c->reorder == WF_REORDER_COPY ? rows * (size_t)c->slot_pages : 1;
    wf_schedule *s = calloc(1, sizeof *s);
    if (!s) return wf_fail(WF_NO_MEMORY, "engine: out of memory");
    s->seqs = malloc(rows * sizeof *s->seqs);
    s->move_from = malloc(2 * rows * sizeof *s->move_from);
    s->copy_from = malloc(2 * copies * sizeof *s->copy_from);
    s->page_row = malloc(3 * pages * sizeof *s->page_row);
    s->put_back = malloc(rows * sizeof *s->put_back);
    if (!s->seqs || !s->move_from || !s->copy_from || !s->page_row || !s->put_back) {
        wf_schedule_destroy(s);
        return wf_fail(WF_NO_MEMORY, "engine: no memory for schedules of %zu rows", rows);
    }
    s->move_to = s->move_from + rows;
    s->copy_to = s->copy_from + copies;
    s->page_col = s->page_row + pages;
    s->page = s->page_col + pages;
    *out = s;
    return WF_OK;
}

void wf_schedule_destroy(wf_schedule *s)
{
    if (!s) return;
    free(s->put_back);
    free(s->page_row);
    free(s->copy_from);
    free(s->move_from);
    free(s->seqs);
    free(s);
}
