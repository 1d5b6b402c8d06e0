// The split of sessions. See rows.h.
#include <stdlib.h>

#include "io/base/arena.h"
#include "io/base/clock.h"
#include "io/base/hash.h"
#include "jobs/run/rows.h"

// Stream numbers keep the draws of one purpose apart from all others of the same seed.
#define STREAM_THINK 0x7468696eu

typedef struct placed { // a row and its place
    wf_timed_row at;
    uint64_t session; // 0: none
    uint64_t order;   // among all rows
    int64_t think_ns;
    uint32_t turn;
} placed;

typedef struct span { // a session: rows [first, first + n) of the sorted ones
    uint64_t first, n;
    uint64_t begin; // the first of them that is still to be done
    int64_t at_ns;  // when the session arrives
} span;

typedef struct split {
    const wf_rows_config *c;
    placed *row;
    uint64_t n;
    span *span;
    uint64_t n_spans;
    wf_rows_split split;
    wf_turn *turn; // of one session
    size_t capacity;
} split;

// ---- rows and their sessions --------------------------------------------------------------------

typedef struct columns { // of one shard
    uint64_t *session;
    int64_t *think_ns;
    uint32_t *turn;
} columns;

static void columns_free(columns *k)
{
    free(k->session);
    free(k->think_ns);
    free(k->turn);
}

static wf_status columns_read(const wf_rows_config *c, uint32_t shard, columns *out)
{
    uint64_t n = c->info[shard].n_rows;
    WF_TRY(wf_alloc(n, sizeof *out->session, &out->session));
    WF_TRY(wf_alloc(n, sizeof *out->think_ns, &out->think_ns));
    WF_TRY(wf_alloc(n, sizeof *out->turn, &out->turn));
    return wf_reader_read_turns(c->reader, c->spec->shards.item[shard], 0, n, out->session,
                                out->think_ns, out->turn);
}

static wf_status place_rows(split *s, columns *of) // [shards]
{
    for (size_t k = 0; k < s->c->spec->requests.n; k++)
        WF_TRY(columns_read(s->c, (uint32_t)k, &of[k]));
    for (uint64_t i = 0; i < s->n; i++) {
        placed *p = &s->row[i];
        const columns *k = &of[p->at.shard];
        p->session = k->session[p->at.row];
        p->think_ns = k->think_ns[p->at.row];
        p->turn = k->turn[p->at.row];
    }
    return WF_OK;
}

static wf_status read_rows(split *s)
{
    wf_timed_row *timed = NULL;
    columns *of = NULL;
    size_t n_shards = s->c->spec->requests.n;
    wf_status st = wf_rows_read(s->c, &timed, &s->n);
    if (st == WF_OK) st = wf_alloc(s->n, sizeof *s->row, &s->row);
    if (st == WF_OK) st = wf_alloc(n_shards, sizeof *of, &of);
    for (uint64_t i = 0; st == WF_OK && i < s->n; i++)
        s->row[i] = (placed){.at = timed[i], .order = i};
    free(timed);
    if (st == WF_OK) st = place_rows(s, of);
    for (size_t k = 0; of && k < n_shards; k++)
        columns_free(&of[k]);
    free(of);
    return st;
}

// ---- sessions -----------------------------------------------------------------------------------

// By session; rows of none stay apart, each in its own place.
static int by_session(const void *a, const void *b)
{
    const placed *x = a, *y = b;
    if (x->session != y->session) return x->session < y->session ? -1 : 1;
    if (x->session != 0 && x->turn != y->turn) return x->turn < y->turn ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

static const split *sorting; // qsort() hands nothing on

static int by_first(const void *a, const void *b)
{
    const placed *x = &sorting->row[((const span *)a)->first];
    const placed *y = &sorting->row[((const span *)b)->first];
    if (x->at.logged_ns != y->at.logged_ns) return x->at.logged_ns < y->at.logged_ns ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

static bool same_session(const placed *a, const placed *b)
{
    return a->session != 0 && a->session == b->session;
}

static wf_status find_spans(split *s)
{
    qsort(s->row, s->n, sizeof *s->row, by_session);
    WF_TRY(wf_alloc(s->n, sizeof *s->span, &s->span));
    for (uint64_t i = 0; i < s->n; i++) {
        if (i == 0 || !same_session(&s->row[i - 1], &s->row[i]))
            s->span[s->n_spans++] = (span){.first = i};
        s->span[s->n_spans - 1].n++;
    }
    sorting = s;
    qsort(s->span, s->n_spans, sizeof *s->span, by_first);
    return WF_OK;
}

static bool needs_work(const split *s, uint64_t i)
{
    return wf_rows_needs_work(s->c, s->row[i].at.shard, s->row[i].at.row);
}

// When sessions arrive, what is left of them, and where the clock starts: see rows.h.
static int64_t arrive(split *s)
{
    wf_arrivals arrivals = wf_rows_arrivals(s->c);
    int64_t start_ns = INT64_MAX, last_ns = 0;
    for (uint64_t k = 0; k < s->n_spans; k++) {
        span *p = &s->span[k];
        p->at_ns = last_ns = wf_arrivals_next(&arrivals, s->row[p->first].at.logged_ns);
        p->begin = p->first;
        while (p->begin < p->first + p->n && !needs_work(s, p->begin))
            p->begin++;
        if (p->begin == p->first && p->at_ns < start_ns) start_ns = p->at_ns;
    }
    return start_ns == INT64_MAX ? last_ns : start_ns;
}

// A drawn one belongs to the turn, whoever runs it and when.
static int64_t think_ns(const split *s, const placed *p)
{
    const wf_jobspec *spec = s->c->spec;
    int64_t given = spec->arrivals.think_time_ns > 0 ? spec->arrivals.think_time_ns : 0;
    if (spec->arrivals.think == WF_SPEC_THINK_FIXED) return given;
    if (spec->arrivals.think == WF_SPEC_THINK_LOG) return p->think_ns >= 0 ? p->think_ns : given;
    uint64_t place[2] = {p->session, p->turn};
    wf_rng rng = wf_rng_make((uint64_t)spec->arrivals.seed ^ wf_hash64_of(place, sizeof place, 0),
                             STREAM_THINK);
    return (int64_t)(wf_rng_next_exponential(&rng) * (double)given);
}

// ---- handing over -------------------------------------------------------------------------------

static wf_status add(split *s, const span *p, int64_t start_ns, wf_turns *turns, int64_t *out_at_ns)
{
    size_t n = 0;
    int64_t at_ns = p->at_ns;
    WF_TRY(wf_grow((size_t)p->n, sizeof *s->turn, &s->capacity, &s->turn));
    if (p->begin > p->first) at_ns = start_ns + think_ns(s, &s->row[p->begin]);
    for (uint64_t i = p->begin; i < p->first + p->n; i++) {
        const placed *r = &s->row[i];
        if (needs_work(s, i)) s->turn[n++] = (wf_turn){r->at.shard, r->at.row, think_ns(s, r)};
    }
    *out_at_ns = at_ns;
    return wf_turns_add(turns, at_ns, s->turn, n);
}

static wf_status add_all(split *s, wf_turns *turns, int64_t *out_first_ns, int64_t *out_last_ns)
{
    int64_t start_ns = arrive(s), at_ns = 0;
    for (uint64_t k = 0; k < s->n_spans; k++) {
        const span *p = &s->span[k];
        const wf_timed_row *first = &s->row[p->first].at;
        bool ours = wf_rows_split_is_ours(&s->split, k, first->shard, first->row);
        if (!ours || p->begin == p->first + p->n) continue;
        WF_TRY(add(s, p, start_ns, turns, &at_ns));
        if (at_ns < *out_first_ns) *out_first_ns = at_ns;
        if (at_ns > *out_last_ns) *out_last_ns = at_ns;
    }
    return WF_OK;
}

wf_status wf_rows_add_sessions(const wf_rows_config *c, wf_turns *turns, int64_t *out_first_ns,
                               int64_t *out_last_ns)
{
    split s = {.c = c};
    *out_first_ns = INT64_MAX;
    *out_last_ns = 0;
    wf_status st = wf_rows_split_open(c, &s.split);
    if (st == WF_OK) st = read_rows(&s);
    if (st == WF_OK) st = find_spans(&s);
    if (st == WF_OK) st = add_all(&s, turns, out_first_ns, out_last_ns);
    wf_rows_split_close(&s.split);
    free(s.row);
    free(s.span);
    free(s.turn);
    return st;
}
