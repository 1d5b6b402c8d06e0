// The arrays of a step. See batcher.h.
#include <stdlib.h>

#include "engine/batcher_internal.h"

wf_status wf_schedule_create(const wf_batcher *b, wf_schedule **out)
{
    *out = NULL;
    const wf_batcher_config *c = &b->cfg;
    size_t rows = (size_t)c->max_rows;
    size_t pages = 2 * rows + (size_t)(c->step_tokens / c->page_tokens) +
                   (size_t)(c->share || c->n_beams > 0 ? c->shared_pages : 0);
    size_t copies = b->reorder->pages->copies ? rows * (size_t)c->slot_pages : rows;
    wf_schedule *s = calloc(1, sizeof *s);
    if (!s) return wf_fail(WF_NO_MEMORY, "engine: out of memory");
    s->seqs = malloc(rows * sizeof *s->seqs);
    s->move_from = malloc(2 * rows * sizeof *s->move_from);
    s->copy_from = malloc(2 * copies * sizeof *s->copy_from);
    s->page_row = malloc(3 * pages * sizeof *s->page_row);
    s->put_back = malloc(rows * sizeof *s->put_back);
    if (!s->seqs || !s->move_from || !s->copy_from || !s->page_row || !s->put_back) {
        wf_schedule_destroy(s);
        return wf_fail(WF_NO_MEMORY, "engine: no memory for schedules of %zu rows", rows);
    }
    s->move_to = s->move_from + rows;
    s->copy_to = s->copy_from + copies;
    s->page_col = s->page_row + pages;
    s->page = s->page_col + pages;
    *out = s;
    return WF_OK;
}

void wf_schedule_destroy(wf_schedule *s)
{
    if (!s) return;
    free(s->put_back);
    free(s->page_row);
    free(s->copy_from);
    free(s->move_from);
    free(s->seqs);
    free(s);
}
