// The inbox and its thread. See feeder.h.
#include "jobs/run/feeder.h"

#include <stdio.h>
#include <stdlib.h>

#include "io/base/arena.h"
#include "io/base/thread.h"

// Longest nap of the thread: reading ahead goes on meanwhile.
#define NAP_NS (20 * WF_NS_PER_MS)

typedef struct arrival {
    const wf_request *request;
    int64_t taken_ns;
} arrival;

typedef struct ending { // a session's turn
    uint64_t session;
    int64_t end_ns;
} ending;

// Where requests come from.
typedef struct source {
    uint64_t (*left)(const wf_feeder *f);
    int64_t (*next_ns)(const wf_feeder *f);
    wf_status (*pump)(wf_feeder *f, int64_t timeout_ns);
    const wf_request *(*peek)(const wf_feeder *f);
    const wf_request *(*pop)(wf_feeder *f);
    uint64_t (*item)(const wf_feeder *f, bool *out_is_new); // the number of what peek() shows
    uint64_t (*drop)(wf_feeder *f);                         // it; returns rows that are gone
} source;

struct wf_feeder {
    wf_feeder_config c;
    const source *from;
    pthread_t thread;
    pthread_mutex_t lock; // of all below
    pthread_cond_t come;  // the step loop waits here
    pthread_cond_t stop;  // the thread waits here
    bool started, stopping;
    arrival *inbox; // ring [capacity], a power of two
    uint64_t capacity, head, count;
    uint64_t n_seen; // handed on or dropped
    ending *ended;   // [n_ended] that the thread has not seen
    size_t n_ended, ended_capacity;
    int64_t n_beside;        // waiting elsewhere
    _Atomic uint64_t n_left; // in the feed and in the inbox
    wf_status status;
    char error[WF_ERROR_MAX];
};

static uint64_t feed_item(const wf_feeder *f, bool *out_is_new)
{
    *out_is_new = true;
    return f->n_seen;
}

static uint64_t feed_drop(wf_feeder *f)
{
    wf_feed_free(wf_feed_pop(f->c.feed));
    return 1;
}

static uint64_t turns_item(const wf_feeder *f, bool *out_is_new)
{
    return wf_turns_session(f->c.turns, out_is_new);
}

static uint64_t turns_drop(wf_feeder *f)
{
    return wf_turns_drop(f->c.turns);
}

#define SOURCE(kind)                                                                               \
    static uint64_t kind##_left(const wf_feeder *f)                                                \
    {                                                                                              \
        return wf_##kind##_left(f->c.kind);                                                        \
    }                                                                                              \
    static int64_t kind##_next_ns(const wf_feeder *f)                                              \
    {                                                                                              \
        return wf_##kind##_next_ns(f->c.kind);                                                     \
    }                                                                                              \
    static wf_status kind##_pump(wf_feeder *f, int64_t timeout_ns)                                 \
    {                                                                                              \
        return wf_##kind##_pump(f->c.kind, timeout_ns);                                            \
    }                                                                                              \
    static const wf_request *kind##_peek(const wf_feeder *f)                                       \
    {                                                                                              \
        return wf_##kind##_peek(f->c.kind);                                                        \
    }                                                                                              \
    static const wf_request *kind##_pop(wf_feeder *f)                                              \
    {                                                                                              \
        return wf_##kind##_pop(f->c.kind);                                                         \
    }                                                                                              \
    static const source of_##kind = {kind##_left, kind##_next_ns, kind##_pump, kind##_peek,        \
                                     kind##_pop,  kind##_item,    kind##_drop};
SOURCE(feed)
SOURCE(turns)
#undef SOURCE

static int64_t now(const wf_feeder *f)
{
    return wf_clock_now(f->c.clock) - f->c.origin_ns;
}

static wf_status grow(wf_feeder *f)
{
    arrival *grown = malloc(2 * f->capacity * sizeof *grown);
    if (!grown)
        return wf_fail(WF_NO_MEMORY, "feeder: no memory for %llu requests",
                       (unsigned long long)(2 * f->capacity));
    for (uint64_t i = 0; i < f->count; i++)
        grown[i] = f->inbox[(f->head + i) & (f->capacity - 1)];
    free(f->inbox);
    f->inbox = grown;
    f->capacity *= 2;
    f->head = 0;
    return WF_OK;
}

// With the lock held.
static void show(wf_feeder *f)
{
    if (!f->c.waiting) return;
    atomic_store_explicit(f->c.waiting, f->n_beside + (int64_t)f->count, memory_order_relaxed);
}

static wf_status put(wf_feeder *f, const wf_request *r)
{
    wf_status st = WF_OK;
    pthread_mutex_lock(&f->lock);
    if (f->count == f->capacity) st = grow(f);
    if (st == WF_OK) f->inbox[(f->head + f->count++) & (f->capacity - 1)] = (arrival){r, now(f)};
    show(f);
    pthread_cond_signal(&f->come);
    pthread_mutex_unlock(&f->lock);
    if (st != WF_OK) wf_feed_free(r);
    return st;
}

// The turns that follow those that ended.
static wf_status release(wf_feeder *f)
{
    wf_status st = WF_OK;
    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < f->n_ended && st == WF_OK; i++)
        st = wf_turns_ended(f->c.turns, f->ended[i].session, f->ended[i].end_ns);
    f->n_ended = 0;
    pthread_mutex_unlock(&f->lock);
    return st;
}

// The tokens that a request keeps a group busy with, at most.
static int64_t tokens_of(const wf_feeder *f, const wf_request *r)
{
    bool own = r->sampling_set & 1u << WF_SAMPLING_n;
    int64_t n = own ? wf_sampling_samples(&r->sampling) : f->c.n_samples;
    return r->status == WF_OK ? r->n_prompt + n * r->max_new_tokens : 0;
}

// Whether this group takes what is next.
static wf_status take_or_leave(wf_feeder *f, bool *out_ours)
{
    bool is_new = true;
    int group = f->c.group;
    int64_t n_tokens = tokens_of(f, f->from->peek(f));
    uint64_t item = f->from->item(f, &is_new);
    if (is_new) {
        if (f->c.meet) f->c.meet(f->c.with);
        WF_TRY(wf_board_take(f->c.board, item, n_tokens, &group));
    } else {
        wf_board_add(f->c.board, group, n_tokens);
    }
    *out_ours = group == f->c.group;
    return WF_OK;
}

static wf_status hand_on(wf_feeder *f)
{
    bool ours = true;
    if (f->c.board) WF_TRY(take_or_leave(f, &ours));
    f->n_seen++;
    if (ours) return put(f, f->from->pop(f));
    atomic_fetch_sub(&f->n_left, f->from->drop(f));
    return WF_OK;
}

// Moves what is due; waits up to `timeout_ns` for a row that is due and has not been read.
static wf_status look(wf_feeder *f, int64_t timeout_ns)
{
    WF_TRY(release(f));
    WF_TRY(f->from->pump(f, 0));
    while (f->from->next_ns(f) <= now(f)) {
        if (!f->from->peek(f)) WF_TRY(f->from->pump(f, timeout_ns));
        if (!f->from->peek(f)) return WF_OK;
        WF_TRY(hand_on(f));
    }
    return WF_OK;
}

static void note(wf_feeder *f, wf_status st)
{
    if (st == WF_OK) return;
    pthread_mutex_lock(&f->lock);
    f->status = st;
    snprintf(f->error, sizeof f->error, "%s", wf_error());
    pthread_cond_signal(&f->come);
    pthread_mutex_unlock(&f->lock);
}

void wf_feeder_look(wf_feeder *f)
{
    if (!f->c.thread && f->status == WF_OK)
        note(f, look(f, f->c.patient ? WF_FEED_PATIENCE_NS : 0));
}

int64_t wf_feeder_next(void *feeder)
{
    const wf_feeder *f = feeder;
    int64_t next_ns = f->status == WF_OK ? f->from->next_ns(f) : INT64_MAX;
    return next_ns == INT64_MAX ? INT64_MAX : next_ns + f->c.origin_ns;
}

bool wf_feeder_fire(void *feeder)
{
    const wf_feeder *f = feeder;
    wf_feeder_look(feeder);
    return wf_feeder_next(feeder) > wf_clock_now(f->c.clock);
}

static void *feeder_main(void *context)
{
    wf_feeder *f = context;
    pthread_mutex_lock(&f->lock);
    while (!f->stopping && f->status == WF_OK && f->from->left(f) > 0) {
        pthread_mutex_unlock(&f->lock);
        note(f, look(f, NAP_NS));
        int64_t next_ns = f->from->next_ns(f), nap_ns = now(f) + NAP_NS;
        if (next_ns > nap_ns) next_ns = nap_ns;
        pthread_mutex_lock(&f->lock);
        if (!f->stopping && f->n_ended == 0)
            wf_cond_wait_until(&f->stop, &f->lock, next_ns + f->c.origin_ns);
    }
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

static wf_status start_thread(wf_feeder *f)
{
    wf_status st = wf_thread_start("the feeder's thread", feeder_main, f, &f->thread);
    f->started = st == WF_OK;
    return st;
}

wf_status wf_feeder_create(const wf_feeder_config *config, wf_feeder **out)
{
    wf_feeder *f = calloc(1, sizeof *f);
    *out = NULL;
    if (!f) return wf_fail(WF_NO_MEMORY, "feeder: out of memory");
    f->c = *config;
    f->capacity = 256;
    f->inbox = malloc(f->capacity * sizeof *f->inbox);
    f->from = config->turns ? &of_turns : &of_feed;
    atomic_init(&f->n_left, f->from->left(f));
    pthread_mutex_init(&f->lock, NULL);
    wf_cond_init(&f->come);
    wf_cond_init(&f->stop);
    wf_status st = f->inbox ? WF_OK : wf_fail(WF_NO_MEMORY, "feeder: out of memory");
    if (st == WF_OK && config->thread) st = start_thread(f);
    *out = f;
    if (st != WF_OK) wf_feeder_destroy(out);
    return st;
}

void wf_feeder_destroy(wf_feeder **feeder)
{
    wf_feeder *f = *feeder;
    if (!f) return;
    if (f->started) {
        pthread_mutex_lock(&f->lock);
        f->stopping = true;
        pthread_cond_signal(&f->stop);
        pthread_mutex_unlock(&f->lock);
        pthread_join(f->thread, NULL);
    }
    for (; f->count > 0; f->count--)
        wf_feed_free(f->inbox[f->head++ & (f->capacity - 1)].request);
    pthread_cond_destroy(&f->come);
    pthread_cond_destroy(&f->stop);
    pthread_mutex_destroy(&f->lock);
    free(f->ended);
    free(f->inbox);
    free(f);
    *feeder = NULL;
}

bool wf_feeder_take(wf_feeder *f, const wf_request **out, int64_t *out_taken_ns)
{
    wf_feeder_look(f);
    pthread_mutex_lock(&f->lock);
    bool has = f->count > 0;
    if (has) {
        arrival a = f->inbox[f->head];
        f->head = (f->head + 1) & (f->capacity - 1);
        f->count--;
        *out = a.request;
        *out_taken_ns = a.taken_ns;
        atomic_fetch_sub(&f->n_left, 1);
        show(f);
    }
    pthread_mutex_unlock(&f->lock);
    return has;
}

void wf_feeder_ended(wf_feeder *f, const wf_request *request, int64_t end_ns)
{
    if (f->c.board) wf_board_add(f->c.board, f->c.group, -tokens_of(f, request));
    if (!f->c.turns) return;
    pthread_mutex_lock(&f->lock);
    wf_status st = wf_grow(f->n_ended + 1, sizeof *f->ended, &f->ended_capacity, &f->ended);
    if (st == WF_OK) f->ended[f->n_ended++] = (ending){wf_feed_tag(request), end_ns};
    pthread_cond_signal(&f->stop);
    pthread_mutex_unlock(&f->lock);
    note(f, st);
    if (!f->c.thread && f->status == WF_OK) note(f, release(f));
}

void wf_feeder_wait(wf_feeder *f, int64_t until_ns)
{
    if (!f->c.thread) {
        int64_t next_ns = f->from->next_ns(f);
        if (next_ns < until_ns - f->c.origin_ns) until_ns = next_ns + f->c.origin_ns;
        wf_clock_sleep(f->c.clock, until_ns);
        return;
    }
    pthread_mutex_lock(&f->lock);
    bool in_time = true;
    while (in_time && f->count == 0 && f->status == WF_OK)
        in_time = wf_cond_wait_until(&f->come, &f->lock, until_ns);
    pthread_mutex_unlock(&f->lock);
}

void wf_feeder_show_waiting(wf_feeder *f, int64_t n_beside)
{
    pthread_mutex_lock(&f->lock);
    f->n_beside = n_beside;
    show(f);
    pthread_mutex_unlock(&f->lock);
}

wf_status wf_feeder_status(wf_feeder *f)
{
    pthread_mutex_lock(&f->lock);
    wf_status st = f->status == WF_OK ? WF_OK : wf_fail(f->status, "%s", f->error);
    pthread_mutex_unlock(&f->lock);
    return st;
}

uint64_t wf_feeder_left(const wf_feeder *f)
{
    return atomic_load(&f->n_left);
}

int64_t wf_feeder_n_waiting(wf_feeder *f)
{
    pthread_mutex_lock(&f->lock);
    int64_t n = (int64_t)f->count;
    pthread_mutex_unlock(&f->lock);
    return n;
}
