// See line_index.h.
#include "jobs/streams/line_index.h"

#include <stdlib.h>

#include "io/base/arena.h"

wf_status wf_line_index_add(wf_line_index *index, const wf_line_entry *entry)
{
    WF_TRY(wf_grow(index->n + 1, sizeof *entry, &index->capacity, &index->entry));
    index->entry[index->n++] = *entry;
    return WF_OK;
}

const wf_line_entry *wf_line_index_last(const wf_line_index *index)
{
    return index->n > 0 ? &index->entry[index->n - 1] : NULL;
}

static int compare(const void *a, const void *b)
{
    const wf_line_entry *x = a, *y = b;
    if (x->time_ns != y->time_ns) return x->time_ns < y->time_ns ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

void wf_line_index_sort(wf_line_index *index)
{
    for (size_t i = 1; i < index->n; i++) {
        if (compare(&index->entry[i - 1], &index->entry[i]) > 0) {
            qsort(index->entry, index->n, sizeof *index->entry, compare);
            return;
        }
    }
}

void wf_line_index_free(wf_line_index *index)
{
    free(index->entry);
    *index = (wf_line_index){0};
}
