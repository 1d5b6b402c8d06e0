// Where the rows of a text file stand and when they arrive, so that they can be written in order of
// arrival without being held: 40 bytes a row. Not for use elsewhere.
#ifndef WF_JOBS_STREAMS_LINE_INDEX_H
#define WF_JOBS_STREAMS_LINE_INDEX_H

#include <stddef.h>
#include <stdint.h>

#include "io/base/status.h"

typedef struct wf_line_entry {
    int64_t time_ns;
    uint64_t offset;          // of the line in the file
    uint64_t number;          // of the line, from 1
    uint64_t row;             // of the data, from 0
    uint32_t n_prompt, n_new; // where they are known before the row is written
} wf_line_entry;

// Starts as {0}; add, sort, walk entry[0..n), free.
typedef struct wf_line_index {
    size_t n, capacity;
    wf_line_entry *entry; // [n]
} wf_line_index;

wf_status wf_line_index_add(wf_line_index *index, const wf_line_entry *entry);
const wf_line_entry *wf_line_index_last(const wf_line_index *index); // NULL: empty

// By time; rows of the same time keep their order. Costs one walk when they are in order already.
void wf_line_index_sort(wf_line_index *index);
void wf_line_index_free(wf_line_index *index);

#endif
