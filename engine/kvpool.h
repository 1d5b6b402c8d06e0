// The pool of KV pages: which pages are free, and how many hold each used one.
//
// Bookkeeping only: page numbers, no memory. Pages are reference-counted from the start because
// prefix sharing lets several requests hold one page. The last page returned is the next one
// given out, so that a busy engine keeps touching the same memory.
//
// After vLLM's PagedAttention block manager (SOSP'23). All functions are Local and O(1).
#ifndef WF_ENGINE_KVPOOL_H
#define WF_ENGINE_KVPOOL_H

#include <stdint.h>

#include "io/base/status.h"

typedef struct wf_kvpool wf_kvpool;

// n_pages >= 0 pages, all free. Caller owns *out. Errors: WF_NO_MEMORY.
wf_status wf_kvpool_create(int32_t n_pages, wf_kvpool **out);
void wf_kvpool_destroy(wf_kvpool *pool); // takes NULL

// A free page with one reference, or -1 when none is left.
int32_t wf_kvpool_take(wf_kvpool *pool);

// One more, one fewer holder; the page is free again when the last has gone.
void wf_kvpool_hold(wf_kvpool *pool, int32_t page);
void wf_kvpool_drop(wf_kvpool *pool, int32_t page);

int32_t wf_kvpool_n_free(const wf_kvpool *pool);
int32_t wf_kvpool_n_pages(const wf_kvpool *pool);

#endif
