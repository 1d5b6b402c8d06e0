// The pool of KV pages: a stack of free page numbers and a count of holders for each page.
#include "engine/kvpool.h"

#include <assert.h>
#include <stdlib.h>

struct wf_kvpool {
    int32_t n_pages, n_free;
    int32_t *free_stack; // [n_pages], the first n_free are valid
    int32_t *n_holders;  // [n_pages]
};

wf_status wf_kvpool_create(int32_t n_pages, wf_kvpool **out)
{
    *out = NULL;
    wf_kvpool *pool = calloc(1, sizeof *pool);
    if (!pool) return wf_fail(WF_NO_MEMORY, "KV pool: out of memory");
    size_t n = n_pages > 0 ? (size_t)n_pages : 1;
    pool->free_stack = malloc(n * sizeof *pool->free_stack);
    pool->n_holders = calloc(n, sizeof *pool->n_holders);
    if (!pool->free_stack || !pool->n_holders) {
        wf_kvpool_destroy(pool);
        return wf_fail(WF_NO_MEMORY, "KV pool: no memory for the books of %d pages", n_pages);
    }
    pool->n_pages = pool->n_free = n_pages;
    for (int32_t i = 0; i < n_pages; i++)
        pool->free_stack[i] = n_pages - 1 - i; // page 0 is given out first
    *out = pool;
    return WF_OK;
}

void wf_kvpool_destroy(wf_kvpool *pool)
{
    if (!pool) return;
    free(pool->free_stack);
    free(pool->n_holders);
    free(pool);
}

int32_t wf_kvpool_take(wf_kvpool *pool)
{
    if (pool->n_free == 0) return -1;
    int32_t page = pool->free_stack[--pool->n_free];
    assert(pool->n_holders[page] == 0);
    pool->n_holders[page] = 1;
    return page;
}

void wf_kvpool_hold(wf_kvpool *pool, int32_t page)
{
    assert(page >= 0 && page < pool->n_pages && pool->n_holders[page] > 0);
    pool->n_holders[page]++;
}

void wf_kvpool_drop(wf_kvpool *pool, int32_t page)
{
    assert(page >= 0 && page < pool->n_pages && pool->n_holders[page] > 0);
    if (--pool->n_holders[page] == 0) pool->free_stack[pool->n_free++] = page;
}

int32_t wf_kvpool_n_free(const wf_kvpool *pool)
{
    return pool->n_free;
}

int32_t wf_kvpool_n_pages(const wf_kvpool *pool)
{
    return pool->n_pages;
}
