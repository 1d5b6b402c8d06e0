// The pool of KV pages: a stack of free page numbers, a count of holders for each page, a table of
// names, and a list of the idle pages in the order in which they were dropped.
#include "engine/kvpool.h"

#include <assert.h>
#include <stdlib.h>

#define NONE (-1)

typedef struct page {
    wf_hash128 name;
    int32_t n_holders;
    int32_t same;          // the next page of its bucket; NONE: the last
    int32_t before, after; // in the list of idle pages
    bool named;
} page;

struct wf_kvpool {
    int32_t n_pages, n_free, n_idle;
    int32_t *free_stack; // [n_pages], the first n_free are valid
    page *pages;         // [n_pages]
    int32_t *buckets;    // [n_buckets], a power of two
    uint64_t n_buckets;
    int32_t first_idle, last_idle;
};

static uint64_t buckets_for(int32_t n_pages)
{
    uint64_t n = 1;
    while (n < (uint64_t)n_pages)
        n *= 2;
    return n;
}

wf_status wf_kvpool_create(int32_t n_pages, wf_kvpool **out)
{
    *out = NULL;
    wf_kvpool *pool = calloc(1, sizeof *pool);
    if (!pool) return wf_fail(WF_NO_MEMORY, "KV pool: out of memory");
    size_t n = n_pages > 0 ? (size_t)n_pages : 1;
    pool->n_buckets = buckets_for(n_pages);
    pool->free_stack = malloc(n * sizeof *pool->free_stack);
    pool->pages = calloc(n, sizeof *pool->pages);
    pool->buckets = malloc(pool->n_buckets * sizeof *pool->buckets);
    if (!pool->free_stack || !pool->pages || !pool->buckets) {
        wf_kvpool_destroy(pool);
        return wf_fail(WF_NO_MEMORY, "KV pool: no memory for the books of %d pages", n_pages);
    }
    pool->n_pages = pool->n_free = n_pages;
    pool->first_idle = pool->last_idle = NONE;
    for (uint64_t i = 0; i < pool->n_buckets; i++)
        pool->buckets[i] = NONE;
    for (int32_t i = 0; i < n_pages; i++)
        pool->free_stack[i] = n_pages - 1 - i; // page 0 is given out first
    *out = pool;
    return WF_OK;
}

void wf_kvpool_destroy(wf_kvpool *pool)
{
    if (!pool) return;
    free(pool->free_stack);
    free(pool->pages);
    free(pool->buckets);
    free(pool);
}

// ---- names --------------------------------------------------------------------------------------

static int32_t *bucket_of(const wf_kvpool *pool, wf_hash128 name)
{
    return &pool->buckets[name.low & (pool->n_buckets - 1)];
}

int32_t wf_kvpool_find(const wf_kvpool *pool, wf_hash128 name)
{
    int32_t i = *bucket_of(pool, name);
    while (i != NONE &&
           (pool->pages[i].name.low != name.low || pool->pages[i].name.high != name.high))
        i = pool->pages[i].same;
    return i;
}

bool wf_kvpool_name(wf_kvpool *pool, int32_t i, wf_hash128 name)
{
    page *p = &pool->pages[i];
    assert(i >= 0 && i < pool->n_pages && p->n_holders > 0 && !p->named);
    if (wf_kvpool_find(pool, name) != NONE) return false;
    int32_t *bucket = bucket_of(pool, name);
    p->name = name;
    p->named = true;
    p->same = *bucket;
    *bucket = i;
    return true;
}

static void forget_name(wf_kvpool *pool, int32_t i)
{
    int32_t *at = bucket_of(pool, pool->pages[i].name);
    while (*at != i)
        at = &pool->pages[*at].same;
    *at = pool->pages[i].same;
    pool->pages[i].named = false;
}

// ---- idle pages ---------------------------------------------------------------------------------

static void become_idle(wf_kvpool *pool, int32_t i)
{
    page *p = &pool->pages[i];
    p->before = pool->last_idle;
    p->after = NONE;
    *(p->before == NONE ? &pool->first_idle : &pool->pages[p->before].after) = i;
    pool->last_idle = i;
    pool->n_idle++;
}

static void leave_idle(wf_kvpool *pool, int32_t i)
{
    page *p = &pool->pages[i];
    *(p->before == NONE ? &pool->first_idle : &pool->pages[p->before].after) = p->after;
    *(p->after == NONE ? &pool->last_idle : &pool->pages[p->after].before) = p->before;
    pool->n_idle--;
}

// ---- holders ------------------------------------------------------------------------------------

static int32_t take_idle(wf_kvpool *pool)
{
    int32_t i = pool->first_idle;
    if (i == NONE) return NONE;
    leave_idle(pool, i);
    forget_name(pool, i);
    return i;
}

int32_t wf_kvpool_take(wf_kvpool *pool)
{
    int32_t i = pool->n_free > 0 ? pool->free_stack[--pool->n_free] : take_idle(pool);
    if (i == NONE) return NONE;
    assert(pool->pages[i].n_holders == 0);
    pool->pages[i].n_holders = 1;
    return i;
}

void wf_kvpool_hold(wf_kvpool *pool, int32_t i)
{
    assert(i >= 0 && i < pool->n_pages);
    assert(pool->pages[i].n_holders > 0 || pool->pages[i].named);
    if (pool->pages[i].n_holders++ == 0) leave_idle(pool, i);
}

void wf_kvpool_drop(wf_kvpool *pool, int32_t i)
{
    assert(i >= 0 && i < pool->n_pages && pool->pages[i].n_holders > 0);
    if (--pool->pages[i].n_holders > 0) return;
    if (pool->pages[i].named)
        become_idle(pool, i);
    else
        pool->free_stack[pool->n_free++] = i;
}

int32_t wf_kvpool_n_free(const wf_kvpool *pool)
{
    return pool->n_free + pool->n_idle;
}

int32_t wf_kvpool_n_idle(const wf_kvpool *pool)
{
    return pool->n_idle;
}

int32_t wf_kvpool_n_pages(const wf_kvpool *pool)
{
    return pool->n_pages;
}
