// A growing ring that always leaves room at the front for the requests of one whole batch, so that
// putting one back cannot fail.
#include "engine/waitqueue.h"

#include <assert.h>
#include <stdlib.h>

struct wf_waitqueue {
    wf_waiting *ring; // [capacity], a power of two
    int64_t capacity, head, count;
};

// Room that push_back leaves for push_front: more than the rows of any batch.
#define FRONT_ROOM 65536

wf_status wf_waitqueue_create(wf_waitqueue **out)
{
    *out = NULL;
    wf_waitqueue *q = calloc(1, sizeof *q);
    if (!q) return wf_fail(WF_NO_MEMORY, "queue: out of memory");
    q->capacity = 2 * FRONT_ROOM;
    q->ring = malloc((size_t)q->capacity * sizeof *q->ring);
    if (!q->ring) {
        free(q);
        return wf_fail(WF_NO_MEMORY, "queue: out of memory");
    }
    *out = q;
    return WF_OK;
}

void wf_waitqueue_destroy(wf_waitqueue *q)
{
    if (!q) return;
    free(q->ring);
    free(q);
}

static wf_waiting *at(const wf_waitqueue *q, int64_t i)
{
    return &q->ring[(q->head + i) & (q->capacity - 1)];
}

static wf_status grow(wf_waitqueue *q)
{
    wf_waiting *ring = malloc((size_t)q->capacity * 2 * sizeof *ring);
    if (!ring)
        return wf_fail(WF_NO_MEMORY, "queue: no memory for more than %lld waiting requests",
                       (long long)q->count);
    for (int64_t i = 0; i < q->count; i++)
        ring[i] = *at(q, i);
    free(q->ring);
    q->ring = ring;
    q->capacity *= 2;
    q->head = 0;
    return WF_OK;
}

wf_status wf_waitqueue_push_back(wf_waitqueue *q, const wf_waiting *w)
{
    if (q->count + FRONT_ROOM >= q->capacity) WF_TRY(grow(q));
    *at(q, q->count) = *w;
    q->count++;
    return WF_OK;
}

void wf_waitqueue_push_front(wf_waitqueue *q, const wf_waiting *w)
{
    assert(q->count < q->capacity);
    q->head = (q->head - 1) & (q->capacity - 1);
    *at(q, 0) = *w;
    q->count++;
}

const wf_waiting *wf_waitqueue_front(const wf_waitqueue *q)
{
    assert(q->count > 0);
    return at(q, 0);
}

void wf_waitqueue_pop_front(wf_waitqueue *q)
{
    assert(q->count > 0);
    q->head = (q->head + 1) & (q->capacity - 1);
    q->count--;
}

const wf_waiting *wf_waitqueue_at(const wf_waitqueue *q, int64_t i)
{
    assert(i >= 0 && i < q->count);
    return at(q, i);
}

void wf_waitqueue_take_at(wf_waitqueue *q, int64_t i)
{
    for (; i > 0; i--)
        *at(q, i) = *at(q, i - 1);
    wf_waitqueue_pop_front(q);
}

int64_t wf_waitqueue_count(const wf_waitqueue *q)
{
    return q->count;
}

void wf_waitqueue_keep(wf_waitqueue *q, wf_waitqueue_keep_fn keep, void *context)
{
    int64_t n_kept = 0;
    for (int64_t i = 0; i < q->count; i++) {
        wf_waiting w = *at(q, i);
        if (keep(context, &w)) *at(q, n_kept++) = w;
    }
    q->count = n_kept;
}
