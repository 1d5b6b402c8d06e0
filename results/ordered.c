// The index of all keys, then blocks of rows in key order. See ordered.h.
#include "results/ordered.h"

#include "io/base/arena.h"
#include "io/results/payload.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES_DEFAULT (UINT64_C(64) << 20)

enum {
    KEY_ROWS = 16384,
    RANGE_ROWS = 4096, // rows of one read at most
    RANGE_GAP = 64     // rows between two wanted ones that are read along
};

typedef struct {
    wf_result_key key; // its shard is the shard's place in the order
    uint32_t file;
    uint32_t bytes; // in memory, about
    uint64_t at;    // row within the file
} entry;

typedef struct {
    const entry *entry;
    wf_result row; // its pointers lead into the arena
} slot;

struct wf_ordered {
    wf_results *results;
    uint32_t *place_of_shard; // may be NULL
    uint64_t block_bytes;
    entry *index;
    size_t n, first, next; // of the index; the block's first entry, and the one after its last
    size_t i_row;          // of the block, for one at a time
    wf_arena *arena;       // the rows of a block
    wf_arena_mark empty;
    slot *slots, **by_place;
    size_t slots_capacity, places_capacity;
};

// --- the index ---

static wf_status index_part(wf_ordered *m, size_t i_file, uint64_t start, size_t n)
{
    wf_result_key keys[KEY_ROWS];
    uint64_t bytes[KEY_ROWS];
    WF_TRY(wf_results_keys(m->results, i_file, start, n, keys));
    WF_TRY(wf_results_row_bytes(m->results, i_file, start, n, bytes));
    for (size_t i = 0; i < n; i++) {
        if (keys[i].is_void) continue;
        if (m->place_of_shard) keys[i].shard = m->place_of_shard[keys[i].shard];
        m->index[m->n++] = (entry){.key = keys[i],
                                   .file = (uint32_t)i_file,
                                   .bytes = bytes[i] < UINT32_MAX ? (uint32_t)bytes[i] : UINT32_MAX,
                                   .at = start + i};
    }
    return WF_OK;
}

static int compare_keys(const void *a, const void *b)
{
    const wf_result_key *x = &((const entry *)a)->key, *y = &((const entry *)b)->key;
    if (x->shard != y->shard) return x->shard < y->shard ? -1 : 1;
    if (x->row != y->row) return x->row < y->row ? -1 : 1;
    return x->sample < y->sample ? -1 : x->sample > y->sample;
}

static const wf_result_shard *shard_at(const wf_ordered *m, uint32_t place)
{
    const wf_result_job *job = wf_results_job(m->results);
    size_t i = 0;
    while (m->place_of_shard && i + 1 < job->n_shards && m->place_of_shard[i] != place)
        i++;
    return &job->shards[m->place_of_shard ? i : place];
}

static wf_status check_overlap(const wf_ordered *m)
{
    for (size_t i = 1; i < m->n; i++) {
        const entry *a = &m->index[i - 1], *b = &m->index[i];
        if (compare_keys(a, b) != 0) continue;
        const wf_result_shard *shard = shard_at(m, a->key.shard);
        return wf_fail(WF_DATA,
                       "row %" PRIu64 " sample %u of shard %s is in %s (row %" PRIu64
                       ") and in %s (row %" PRIu64 ")",
                       a->key.row, a->key.sample, shard->uid,
                       wf_results_file_path(m->results, a->file), a->at,
                       wf_results_file_path(m->results, b->file), b->at);
    }
    return WF_OK;
}

static wf_status build_index(wf_ordered *m)
{
    WF_TRY(wf_alloc((size_t)wf_results_rows(m->results), sizeof *m->index, &m->index));
    for (size_t f = 0; f < wf_results_files(m->results); f++) {
        uint64_t rows = wf_results_file_rows(m->results, f);
        for (uint64_t start = 0; start < rows; start += KEY_ROWS) {
            uint64_t left = rows - start;
            WF_TRY(index_part(m, f, start, left < KEY_ROWS ? (size_t)left : KEY_ROWS));
        }
    }
    if (m->n > 1) qsort(m->index, m->n, sizeof *m->index, compare_keys);
    return check_overlap(m);
}

// --- a block of rows ---

// Makes the row's arrays its own. They are as wide as the row says, which is as wide as its file.
static wf_status copy_row(wf_ordered *m, size_t i_file, wf_result *row)
{
    const wf_result_columns *columns = wf_results_file_columns(m->results, i_file);
    for (int i = 0; i < WF_N_COLS; i++) {
        const wf_column_desc *desc = &wf_column_descs[i];
        if (!wf_column_is_array(i)) continue;
        const void *values = wf_column_values(i, row);
        size_t n = desc->kind == WF_COLUMN_WIDE ? 1 : wf_column_count(desc->cut, row);
        size_t bytes = n * wf_column_width(i, columns) * wf_h5_type_bytes(desc->type);
        char *copy = NULL;
        if (!values || n == 0) continue;
        WF_TRY(wf_arena_alloc(m->arena, bytes + 1, 1, &copy)); // a text's NUL
        memcpy(copy, values, bytes);
        copy[bytes] = '\0';
        wf_column_point(i, row, copy);
    }
    return WF_OK;
}

static int compare_places(const void *a, const void *b)
{
    const entry *x = (*(slot *const *)a)->entry, *y = (*(slot *const *)b)->entry;
    if (x->file != y->file) return x->file < y->file ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

// How many of the places from `first` on are read at once.
static size_t range_length(const wf_ordered *m, size_t first, size_t n)
{
    const entry *start = m->by_place[first]->entry;
    uint64_t bytes = start->bytes;
    size_t last = first;
    while (last + 1 < n) {
        const entry *here = m->by_place[last]->entry, *next = m->by_place[last + 1]->entry;
        if (next->file != start->file || next->at - here->at > RANGE_GAP ||
            next->at - start->at >= RANGE_ROWS || bytes + next->bytes > m->block_bytes) {
            break;
        }
        bytes += next->bytes;
        last++;
    }
    return last + 1 - first;
}

static wf_status read_range(wf_ordered *m, size_t first, size_t n)
{
    const entry *start = m->by_place[first]->entry, *last = m->by_place[first + n - 1]->entry;
    size_t span = (size_t)(last->at - start->at + 1);
    WF_TRY(wf_results_load(m->results, start->file, start->at, span));
    for (size_t i = first; i < first + n; i++) {
        slot *s = m->by_place[i];
        s->row = *wf_results_at(m->results, (size_t)(s->entry->at - start->at));
        WF_TRY(copy_row(m, start->file, &s->row));
    }
    return WF_OK;
}

static wf_status read_block(wf_ordered *m, size_t first, size_t n)
{
    WF_TRY(wf_grow(n, sizeof *m->slots, &m->slots_capacity, &m->slots));
    WF_TRY(wf_grow(n, sizeof *m->by_place, &m->places_capacity, &m->by_place));
    for (size_t i = 0; i < n; i++) {
        m->slots[i].entry = &m->index[first + i];
        m->by_place[i] = &m->slots[i];
    }
    qsort(m->by_place, n, sizeof *m->by_place, compare_places);
    for (size_t i = 0, length; i < n; i += length) {
        length = range_length(m, i, n);
        WF_TRY(read_range(m, i, length));
    }
    return WF_OK;
}

wf_status wf_ordered_next_block(wf_ordered *m, size_t *n)
{
    m->first = m->next;
    m->i_row = 0;
    wf_arena_reset(m->arena, m->empty);
    uint64_t bytes = m->first < m->n ? m->index[m->first].bytes : 0;
    while (m->next < m->n) {
        m->next++;
        if (m->next < m->n) bytes += m->index[m->next].bytes;
        if (bytes > m->block_bytes) break;
    }
    *n = m->next - m->first;
    return *n > 0 ? read_block(m, m->first, *n) : WF_OK;
}

const wf_result *wf_ordered_at(const wf_ordered *m, size_t i)
{
    return &m->slots[i].row;
}

wf_status wf_ordered_next(wf_ordered *m, const wf_result **row)
{
    size_t n = m->next - m->first;
    *row = NULL;
    if (m->i_row == n) WF_TRY(wf_ordered_next_block(m, &n));
    if (n > 0) *row = wf_ordered_at(m, m->i_row++);
    return WF_OK;
}

// --- the whole ---

static wf_status places_copy(wf_ordered *m, const uint32_t *place_of_shard)
{
    size_t n = wf_results_job(m->results)->n_shards;
    if (!place_of_shard) return WF_OK;
    WF_TRY(wf_alloc(n, sizeof *m->place_of_shard, &m->place_of_shard));
    memcpy(m->place_of_shard, place_of_shard, n * sizeof *m->place_of_shard);
    return WF_OK;
}

wf_status wf_ordered_create(wf_results *results, const uint32_t *place_of_shard,
                            uint64_t block_bytes, wf_ordered **out)
{
    wf_ordered *m = NULL;
    wf_status st;
    WF_TRY(wf_alloc(1, sizeof *m, &m));
    m->results = results;
    m->block_bytes = block_bytes ? block_bytes : BLOCK_BYTES_DEFAULT;
    WF_TRY_TO(failed, places_copy(m, place_of_shard));
    WF_TRY_TO(failed, build_index(m));
    WF_TRY_TO(failed, wf_arena_create(1 << 20, &m->arena));
    m->empty = wf_arena_get_mark(m->arena);
    *out = m;
    return WF_OK;
failed:
    wf_ordered_destroy(&m);
    return st;
}

void wf_ordered_destroy(wf_ordered **ordered)
{
    wf_ordered *m = *ordered;
    if (!m) return;
    wf_arena_destroy(&m->arena);
    free(m->place_of_shard);
    free(m->index);
    free(m->slots);
    free(m->by_place);
    free(m);
    *ordered = NULL;
}

uint64_t wf_ordered_rows(const wf_ordered *m)
{
    return m->n;
}

uint64_t wf_ordered_done(const wf_ordered *m)
{
    return m->next;
}
