// The queue of requests that wait for admission: first in, first out, and back to the front for
// those that were put back. All functions are Local and O(1) (amortised for the pushes).
#ifndef WF_ENGINE_WAITQUEUE_H
#define WF_ENGINE_WAITQUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "io/base/status.h"

typedef struct wf_waitqueue wf_waitqueue;

typedef struct wf_waiting {
    void *tag; // the submitter's
    int32_t n_prompt, n_limit;
    int32_t n_done; // tokens generated before it was put back
    int64_t submitted_ns;
    int32_t n_marks;    // of wf_batcher_request
    int32_t n_beams;    // rows that it takes together; 0: one
    void *const *beams; // [n_beams] the tags of each, the first is `tag`; the submitter's
} wf_waiting;

wf_status wf_waitqueue_create(wf_waitqueue **out); // caller owns *out; WF_NO_MEMORY
void wf_waitqueue_destroy(wf_waitqueue *q);        // takes NULL

// WF_NO_MEMORY when the queue must grow and cannot. push_front never fails for an element that was
// popped before: its place is kept.
wf_status wf_waitqueue_push_back(wf_waitqueue *q, const wf_waiting *w);
void wf_waitqueue_push_front(wf_waitqueue *q, const wf_waiting *w);

const wf_waiting *wf_waitqueue_front(const wf_waitqueue *q); // the queue must not be empty
void wf_waitqueue_pop_front(wf_waitqueue *q);

// The i-th from the front, and taking it out: those before it move back by one. O(i).
const wf_waiting *wf_waitqueue_at(const wf_waitqueue *q, int64_t i);
void wf_waitqueue_take_at(wf_waitqueue *q, int64_t i);
int64_t wf_waitqueue_count(const wf_waitqueue *q);

// Asks `keep` of every element, front to back, and takes those out that it refuses. O(count).
typedef bool (*wf_waitqueue_keep_fn)(void *context, const wf_waiting *w);
void wf_waitqueue_keep(wf_waitqueue *q, wf_waitqueue_keep_fn keep, void *context);

#endif
