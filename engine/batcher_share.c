// Pages that prompts begin with and that were computed before: taken over at admission, and once
// more before a request's first chunk; and who is told which pages are full.
#include <string.h>

#include "engine/batcher_internal.h"

// Pages of the pool that hold w's first tokens, in b->found. One token at least is left to compute:
// what follows the prompt is drawn from it.
static int32_t find(wf_batcher *b, const wf_waiting *w)
{
    if (!b->cfg.share) return 0;
    int32_t most = (w->n_prompt - 1) / b->cfg.page_tokens;
    return b->cfg.share(b->cfg.share_context, w->tag, most, b->found);
}

int32_t wf_batcher_hold_shared(wf_batcher *b, const wf_waiting *w)
{
    int32_t n = find(b, w);
    for (int32_t i = 0; i < n; i++)
        wf_kvpool_hold(b->pool, b->found[i]);
    return n;
}

void wf_batcher_drop_shared(wf_batcher *b, int32_t n)
{
    while (n-- > 0)
        wf_kvpool_drop(b->pool, b->found[n]);
}

// Whoever was put back goes first: it has waited before. All that it can share is enough for any.
int64_t wf_batcher_next_of_queue(wf_batcher *b)
{
    int64_t n = wf_waitqueue_count(b->queue), best = 0;
    if (n > b->cfg.look_ahead) n = b->cfg.look_ahead;
    if (n < 2 || wf_waitqueue_front(b->queue)->n_done > 0) return 0;
    for (int64_t i = 0, most = 0; i < n; i++) {
        const wf_waiting *w = wf_waitqueue_at(b->queue, i);
        int64_t shared = find(b, w);
        if (shared > most) best = i, most = shared;
        if (shared > 0 && shared == (w->n_prompt - 1) / b->cfg.page_tokens) break;
    }
    return best;
}

void wf_batcher_share_more(wf_batcher *b, wf_seat *s)
{
    if (s->joined) return;
    int32_t n = find(b, &s->request), had = s->n_shared;
    if (n <= had) return;
    for (int32_t i = had; i < n; i++)
        wf_kvpool_hold(b->pool, b->found[i]);
    for (int32_t i = n; i-- > had;)
        wf_kvpool_drop(b->pool, s->pages[i]);
    memcpy(s->pages + had, b->found + had, (size_t)(n - had) * sizeof *s->pages);
    s->n_shared = n;
    s->n_past = n * b->cfg.page_tokens;
}

void wf_batcher_tell_full(wf_batcher *b, const wf_seat *s, int32_t n_past)
{
    int32_t first = n_past / b->cfg.page_tokens, end = s->n_past / b->cfg.page_tokens;
    if (b->cfg.full && end > first)
        b->cfg.full(b->cfg.share_context, s->request.tag, first, end - first, s->pages);
}
