// A heap of sessions by when their next turn is due, and what of them has been read. See turns.h.
#include "jobs/run/turns.h"

#include <assert.h>
#include <stdlib.h>

#include "io/base/arena.h"

enum { AHEAD = 64, MOST_ASKED = 16 };

typedef struct session {
    size_t first;  // of its turns
    uint32_t n;    // turns
    uint32_t next; // the first that was not handed out
    int64_t at_ns; // when that is due, where it is in the heap
    const wf_request *read;
    bool asked; // for that turn's row
} session;

typedef struct list { // first in, first out
    size_t *item;
    size_t head, n, capacity;
} list;

struct wf_turns {
    wf_feed_config cfg;
    uint64_t most, n_left;
    wf_turn *turn;
    size_t n_turns, turn_capacity;
    session *session;
    size_t n_sessions, session_capacity;
    size_t *heap; // [n_heap] sessions by (at_ns, number), the next at 0
    size_t n_heap, heap_capacity;
    size_t n_woken; // sessions below it were in the heap
    size_t n_begun; // sessions whose first turn was handed out
    size_t n_seen;  // sessions below it have been asked for
    list soon;      // sessions at work that have another turn to be read
    size_t asked[MOST_ASKED];
    uint32_t n_asked;
};

wf_status wf_turns_create(const wf_feed_config *config, uint64_t most, wf_turns **out)
{
    WF_TRY(wf_alloc(1, sizeof **out, out));
    (*out)->cfg = *config;
    (*out)->most = most;
    return WF_OK;
}

void wf_turns_destroy(wf_turns *t)
{
    if (!t) return;
    for (size_t i = 0; i < t->n_sessions; i++)
        wf_feed_free(t->session[i].read);
    free(t->turn);
    free(t->session);
    free(t->heap);
    free(t->soon.item);
    free(t);
}

// ---- the heap -----------------------------------------------------------------------------------

static bool is_before(const wf_turns *t, size_t a, size_t b)
{
    int64_t x = t->session[a].at_ns, y = t->session[b].at_ns;
    return x != y ? x < y : a < b;
}

static void swap(size_t *a, size_t *b)
{
    size_t kept = *a;
    *a = *b;
    *b = kept;
}

// There is room: every session has a place.
static void heap_put(wf_turns *t, size_t i_session)
{
    size_t i = t->n_heap++;
    t->heap[i] = i_session;
    for (; i > 0 && is_before(t, t->heap[i], t->heap[(i - 1) / 2]); i = (i - 1) / 2)
        swap(&t->heap[i], &t->heap[(i - 1) / 2]);
}

static void heap_drop_first(wf_turns *t)
{
    t->heap[0] = t->heap[--t->n_heap];
    for (size_t i = 0, least;; i = least) {
        size_t left = 2 * i + 1, right = left + 1;
        least = i;
        if (left < t->n_heap && is_before(t, t->heap[left], t->heap[least])) least = left;
        if (right < t->n_heap && is_before(t, t->heap[right], t->heap[least])) least = right;
        if (least == i) return;
        swap(&t->heap[i], &t->heap[least]);
    }
}

// ---- sessions -----------------------------------------------------------------------------------

static void wake(wf_turns *t, int64_t not_before_ns)
{
    session *s = &t->session[t->n_woken];
    if (s->at_ns < not_before_ns) s->at_ns = not_before_ns;
    heap_put(t, t->n_woken++);
}

wf_status wf_turns_add(wf_turns *t, int64_t at_ns, const wf_turn *turn, size_t n)
{
    assert(n > 0);
    WF_TRY(wf_grow(t->n_turns + n, sizeof *t->turn, &t->turn_capacity, &t->turn));
    WF_TRY(wf_grow(t->n_sessions + 1, sizeof *t->session, &t->session_capacity, &t->session));
    WF_TRY(wf_grow(t->n_sessions + 1, sizeof *t->heap, &t->heap_capacity, &t->heap));
    for (size_t i = 0; i < n; i++)
        t->turn[t->n_turns + i] = turn[i];
    t->session[t->n_sessions++] = (session){.first = t->n_turns, .n = (uint32_t)n, .at_ns = at_ns};
    t->n_turns += n;
    t->n_left += n;
    if (t->most == 0 || t->n_woken < t->most) wake(t, at_ns);
    return WF_OK;
}

wf_status wf_turns_ended(wf_turns *t, uint64_t i_session, int64_t end_ns)
{
    session *s = &t->session[i_session];
    if (s->next < s->n) {
        s->at_ns = end_ns + t->turn[s->first + s->next].think_ns;
        heap_put(t, i_session);
    } else if (t->n_woken < t->n_sessions) {
        wake(t, end_ns);
    }
    return WF_OK;
}

uint64_t wf_turns_left(const wf_turns *t)
{
    return t->n_left;
}

int64_t wf_turns_next_ns(const wf_turns *t)
{
    return t->n_heap > 0 ? t->session[t->heap[0]].at_ns : INT64_MAX;
}

// ---- reading ------------------------------------------------------------------------------------

static wf_status soon_put(list *l, size_t i_session)
{
    if (l->head > 0 && l->head == l->n) l->head = l->n = 0;
    WF_TRY(wf_grow(l->n + 1, sizeof *l->item, &l->capacity, &l->item));
    l->item[l->n++] = i_session;
    return WF_OK;
}

static bool wants_row(const wf_turns *t, size_t i)
{
    const session *s = &t->session[i];
    return !s->read && !s->asked && s->next < s->n;
}

// The session whose row is to be read next; false: none.
static bool wanted(wf_turns *t, size_t *out)
{
    if (t->n_heap > 0 && wants_row(t, *out = t->heap[0])) return true;
    while (t->soon.head < t->soon.n)
        if (wants_row(t, *out = t->soon.item[t->soon.head++])) return true;
    while (t->n_seen < t->n_sessions && t->n_seen < t->n_begun + AHEAD)
        if (wants_row(t, *out = t->n_seen++)) return true;
    return false;
}

static wf_status ask(wf_turns *t, size_t i_session)
{
    session *s = &t->session[i_session];
    const wf_turn *turn = &t->turn[s->first + s->next];
    s->asked = true;
    t->asked[t->n_asked++] = i_session;
    return wf_reader_submit(t->cfg.reader, &(wf_reader_read){.path = t->cfg.paths[turn->shard],
                                                             .uid = t->cfg.info[turn->shard].uid,
                                                             .shard = turn->shard,
                                                             .row0 = turn->row,
                                                             .n = 1,
                                                             .n_vocab = t->cfg.n_vocab,
                                                             .max_context = t->cfg.max_context});
}

static wf_status read_ahead(wf_turns *t)
{
    size_t i;
    while (wf_reader_n_free(t->cfg.reader) > 0 && t->n_asked < MOST_ASKED && wanted(t, &i))
        WF_TRY(ask(t, i));
    return WF_OK;
}

// Whose row it is: reads complete in the order they were asked for.
static wf_status take_batch(wf_turns *t, const wf_reader_batch *batch)
{
    size_t i = t->asked[0];
    session *s = &t->session[i];
    for (uint32_t k = 1; k < t->n_asked; k++)
        t->asked[k - 1] = t->asked[k];
    t->n_asked--;
    assert(t->turn[s->first + s->next].row == batch->read.row0);
    s->asked = false;
    wf_status st = wf_feed_row_of(batch, i, &s->read);
    wf_reader_release(t->cfg.reader, batch);
    return st;
}

wf_status wf_turns_pump(wf_turns *t, int64_t timeout_ns)
{
    for (;;) {
        const wf_reader_batch *batch = NULL;
        WF_TRY(read_ahead(t));
        bool wait = timeout_ns != 0 && t->n_heap > 0 && !wf_turns_peek(t);
        WF_TRY(wf_reader_wait(t->cfg.reader, wait ? timeout_ns : 0, &batch));
        if (!batch) return WF_OK;
        WF_TRY(take_batch(t, batch));
    }
}

// ---- handing out --------------------------------------------------------------------------------

const wf_request *wf_turns_peek(const wf_turns *t)
{
    return t->n_heap > 0 ? t->session[t->heap[0]].read : NULL;
}

const wf_request *wf_turns_pop(wf_turns *t)
{
    size_t i = t->heap[0];
    session *s = &t->session[i];
    const wf_request *request = s->read;
    assert(request);
    wf_feed_arrives(request, s->at_ns);
    heap_drop_first(t);
    s->read = NULL;
    t->n_begun += s->next == 0;
    s->next++;
    t->n_left--;
    // A list that cannot grow costs reading ahead, not the row: it is asked for when it is due.
    if (s->next < s->n && soon_put(&t->soon, i) != WF_OK) t->soon.head = t->soon.n = 0;
    return request;
}

uint64_t wf_turns_session(const wf_turns *t, bool *out_is_new)
{
    *out_is_new = t->session[t->heap[0]].next == 0;
    return t->heap[0];
}

uint64_t wf_turns_drop(wf_turns *t)
{
    session *s = &t->session[t->heap[0]];
    uint64_t n = s->n - s->next;
    heap_drop_first(t);
    wf_feed_free(s->read);
    s->read = NULL;
    t->n_begun += s->next == 0;
    s->next = s->n;
    t->n_left -= n;
    return n;
}
