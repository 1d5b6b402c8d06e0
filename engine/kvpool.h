// The pool of KV pages: which pages are free, how many hold each used one, and what they hold.
//
//   free --take--> held --drop by the last holder--> free           without a name
//     ^                ^ hold                 |
//     |                +----- idle <----------+                     with one
//     +--- take, once no other is free --+
//
// Bookkeeping only: page numbers, no memory. Pages are reference-counted, so several requests can
// hold one page. The last page returned is the next one given out, so that a busy engine keeps
// touching the same memory.
//
// A page may get a name that says what is in it (prefix.h). It keeps name and content when its last
// holder has gone: it is idle then, counts as free, and can be found and held again. Idle pages are
// given out after all others, the one that was dropped first before those dropped later, and lose
// their name.
//
// After vLLM's PagedAttention block manager (SOSP'23). All functions are Local and O(1).
#ifndef WF_ENGINE_KVPOOL_H
#define WF_ENGINE_KVPOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "io/base/hash.h"
#include "io/base/status.h"

typedef struct wf_kvpool wf_kvpool;

// n_pages >= 0 pages, all free. Caller owns *out. Errors: WF_NO_MEMORY.
wf_status wf_kvpool_create(int32_t n_pages, wf_kvpool **out);
void wf_kvpool_destroy(wf_kvpool *pool); // takes NULL

// A page with one reference and no name, or -1 when none is free.
int32_t wf_kvpool_take(wf_kvpool *pool);

// One more, one fewer holder. An idle page may be held as well.
void wf_kvpool_hold(wf_kvpool *pool, int32_t page);
void wf_kvpool_drop(wf_kvpool *pool, int32_t page);

// Names a page that is held and has no name. False, and nothing changes, when another page has that
// name.
bool wf_kvpool_name(wf_kvpool *pool, int32_t page, wf_hash128 name);

// The page of that name, held or idle; -1: there is none.
int32_t wf_kvpool_find(const wf_kvpool *pool, wf_hash128 name);

int32_t wf_kvpool_n_free(const wf_kvpool *pool); // idle ones included
int32_t wf_kvpool_n_idle(const wf_kvpool *pool);
int32_t wf_kvpool_n_pages(const wf_kvpool *pool);

#endif
