// Where a seat's KV lies: in pages of the pool, wherever there is one, or in a contiguous slot that
// belongs to its row and is copied when the row moves.
#include "engine/batcher_internal.h"

// ---- pages of the pool --------------------------------------------------------------------------

static int32_t pooled_most(const wf_batcher *b)
{
    return wf_kvpool_n_pages(b->pool);
}

// Pages kept free for the rows that run, so that put-backs are rare (vLLM keeps 1% as well).
static int32_t watermark(const wf_batcher *b)
{
    return wf_kvpool_n_pages(b->pool) / 100 + b->n_live / 8;
}

static bool pooled_has(const wf_batcher *b, int32_t n)
{
    int32_t n_free = wf_kvpool_n_free(b->pool);
    return b->n_live == 0 ? n_free >= n : n_free >= n + watermark(b);
}

static bool pooled_take(wf_batcher *b, wf_seat *s)
{
    int32_t page = wf_kvpool_take(b->pool);
    if (page < 0) return false;
    s->pages[s->n_pages++] = page;
    return true;
}

// The last first: of pages that are idle from now on, the deepest are given out before those that
// more prompts begin with.
static void pooled_release(wf_batcher *b, const wf_seat *s)
{
    for (int32_t i = s->n_pages; i-- > 0;)
        wf_kvpool_drop(b->pool, s->pages[i]);
}

static void pooled_set(wf_batcher *b, wf_seat *s, int32_t n_tokens, wf_schedule *out)
{
    for (; s->n_set * b->cfg.page_tokens < n_tokens; s->n_set++, out->n_pages++) {
        out->page_row[out->n_pages] = s->row;
        out->page_col[out->n_pages] = s->n_set;
        out->page[out->n_pages] = s->pages[s->n_set % b->most_pages];
    }
}

static void pooled_move(wf_batcher *b, const wf_seat *s, int32_t from, int32_t to, wf_schedule *out)
{
    (void)b, (void)s, (void)from, (void)to,
        (void)out; // the page table's row moves, no page does
}

static int32_t pooled_used(const wf_batcher *b)
{
    return wf_kvpool_n_pages(b->pool) - wf_kvpool_n_free(b->pool);
}

const wf_page_policy wf_pages_pooled = {.most = pooled_most,
                                        .has = pooled_has,
                                        .take = pooled_take,
                                        .release = pooled_release,
                                        .set = pooled_set,
                                        .move = pooled_move,
                                        .used = pooled_used};

// ---- slots --------------------------------------------------------------------------------------

static int32_t slot_most(const wf_batcher *b)
{
    return b->cfg.slot_pages;
}

static bool slot_has(const wf_batcher *b, int32_t n)
{
    (void)b,
        (void)n; // every row has its slot, and what does not fit one was refused
    return true;
}

static bool slot_take(wf_batcher *b, wf_seat *s)
{
    (void)b;
    s->n_pages++;
    return true;
}

static void slot_release(wf_batcher *b, const wf_seat *s)
{
    (void)b, (void)s;
}

static void slot_set(wf_batcher *b, wf_seat *s, int32_t n_tokens, wf_schedule *out)
{
    (void)out; // the page table is the identity, for ever
    s->n_set = wf_batcher_pages_for(b, n_tokens);
}

static void slot_move(wf_batcher *b, const wf_seat *s, int32_t from, int32_t to, wf_schedule *out)
{
    int32_t n = wf_batcher_pages_for(b, s->n_past);
    for (int32_t i = 0; i < n; i++, out->n_copies++) {
        out->copy_from[out->n_copies] = from * b->cfg.slot_pages + i;
        out->copy_to[out->n_copies] = to * b->cfg.slot_pages + i;
    }
}

static int32_t slot_used(const wf_batcher *b)
{
    return b->n_rows * b->cfg.slot_pages;
}

const wf_page_policy wf_pages_in_slots = {.copies = true,
                                          .most = slot_most,
                                          .has = slot_has,
                                          .take = slot_take,
                                          .release = slot_release,
                                          .set = slot_set,
                                          .move = slot_move,
                                          .used = slot_used};
