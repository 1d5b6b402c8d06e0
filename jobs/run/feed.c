// The feed: an ordered list of rows, and for each shard the rows of it that were read ahead.
#include "jobs/run/feed.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/log.h"

typedef struct entry {
    uint32_t shard;
    uint64_t row;
    int64_t arrival_ns;
} entry;

typedef struct loaded { // a request copied out of a slot, with all it points to behind it
    wf_request request; // first: what is handed out is the loaded row itself
    struct loaded *next;
    uint64_t tag; // of whoever wanted it
} loaded;

typedef struct lane { // one shard's rows
    loaded *first, *last;
    uint64_t until;     // rows below it have been read, or are not ours
    uint64_t pending;   // rows [until, pending) are being read; pending == until: none
    uint64_t single_to; // rows below it are read one by one: a block of theirs failed
    uint64_t end;       // one past the last row that was added
    uint64_t n_left;    // rows added and not popped
    uint64_t *ours;     // bitmap of these
} lane;

struct wf_feed {
    wf_feed_config cfg;
    lane *lanes;    // [n_shards]
    entry *entries; // ring [capacity], a power of two
    uint64_t capacity, head, count;
    uint64_t n_seen; // entries from head on whose rows are read or being read
};

wf_status wf_feed_create(const wf_feed_config *config, wf_feed **out)
{
    *out = NULL;
    wf_feed *f = calloc(1, sizeof *f);
    if (!f) return wf_fail(WF_NO_MEMORY, "feed: out of memory");
    f->cfg = *config;
    if (f->cfg.block_rows == 0) f->cfg.block_rows = 64;
    if (f->cfg.ahead == 0) f->cfg.ahead = 512;
    f->capacity = 1024;
    f->entries = malloc(f->capacity * sizeof *f->entries);
    f->lanes = calloc(f->cfg.n_shards + 1, sizeof *f->lanes);
    bool ok = f->entries && f->lanes;
    for (uint32_t s = 0; ok && s < f->cfg.n_shards; s++) {
        f->lanes[s].ours = calloc(f->cfg.info[s].n_rows / 64 + 1, sizeof(uint64_t));
        ok = f->lanes[s].ours != NULL;
    }
    if (!ok) {
        wf_feed_destroy(f);
        return wf_fail(WF_NO_MEMORY, "feed: out of memory");
    }
    *out = f;
    return WF_OK;
}

void wf_feed_destroy(wf_feed *f)
{
    if (!f) return;
    for (uint32_t s = 0; f->lanes && s < f->cfg.n_shards; s++) {
        for (loaded *l = f->lanes[s].first, *next; l; l = next) {
            next = l->next;
            free(l);
        }
        free(f->lanes[s].ours);
    }
    free(f->lanes);
    free(f->entries);
    free(f);
}

static entry *at(const wf_feed *f, uint64_t i)
{
    return &f->entries[(f->head + i) & (f->capacity - 1)];
}

static wf_status grow(wf_feed *f)
{
    entry *grown = malloc(2 * f->capacity * sizeof *grown);
    if (!grown)
        return wf_fail(WF_NO_MEMORY, "feed: no memory for %llu rows",
                       (unsigned long long)(2 * f->capacity));
    for (uint64_t i = 0; i < f->count; i++)
        grown[i] = *at(f, i);
    free(f->entries);
    f->entries = grown;
    f->capacity *= 2;
    f->head = 0;
    return WF_OK;
}

bool wf_feed_takes(const wf_feed *f, uint32_t shard, uint64_t row)
{
    const lane *l = &f->lanes[shard];
    return row >= l->end || (l->n_left == 0 && l->pending == l->until);
}

wf_status wf_feed_add(wf_feed *f, uint32_t shard, uint64_t row, int64_t arrival_ns)
{
    assert(shard < f->cfg.n_shards && row < f->cfg.info[shard].n_rows);
    assert(wf_feed_takes(f, shard, row));
    if (f->count == f->capacity) WF_TRY(grow(f));
    *at(f, f->count++) = (entry){shard, row, arrival_ns};
    lane *l = &f->lanes[shard];
    if (row < l->end) l->until = l->pending = row; // back to rows that were read before
    l->ours[row / 64] |= 1ull << (row % 64);
    l->end = row + 1;
    l->n_left++;
    return WF_OK;
}

uint64_t wf_feed_left(const wf_feed *f)
{
    return f->count;
}

int64_t wf_feed_next_ns(const wf_feed *f)
{
    return f->count > 0 ? at(f, 0)->arrival_ns : INT64_MAX;
}

// ---- taking rows in -----------------------------------------------------------------------------

static void append(lane *l, loaded *row)
{
    row->next = NULL;
    if (l->last)
        l->last->next = row;
    else
        l->first = row;
    l->last = row;
}

static wf_status copy_of(const wf_request *r, loaded **out)
{
    size_t values = wf_request_values_bytes(r), error = r->error ? strlen(r->error) + 1 : 0;
    loaded *copy = malloc(sizeof *copy + values + error);
    if (!copy)
        return wf_fail(WF_NO_MEMORY, "feed: no memory for a prompt of %u tokens", r->n_prompt);
    char *behind = (char *)(copy + 1);
    copy->request = wf_request_copy(r, behind);
    copy->request.error = error ? memcpy(behind + values, r->error, error) : NULL;
    *out = copy;
    return WF_OK;
}

static wf_status copy_row(lane *l, const wf_request *r)
{
    loaded *copy = NULL;
    WF_TRY(copy_of(r, &copy));
    append(l, copy);
    return WF_OK;
}

static bool is_ours(const lane *l, uint64_t row)
{
    return l->ours[row / 64] >> (row % 64) & 1;
}

static wf_status take_rows(lane *l, const wf_reader_batch *batch)
{
    for (uint32_t i = 0; i < batch->n_rows; i++)
        if (is_ours(l, batch->rows[i].row)) WF_TRY(copy_row(l, &batch->rows[i]));
    l->until = batch->read.row0 + batch->n_rows;
    return WF_OK;
}

static wf_request lost_row(const wf_reader_batch *batch)
{
    return (wf_request){.shard = batch->read.shard,
                        .row = batch->read.row0,
                        .id = batch->read.row0,
                        .status = WF_REQ_SHARD,
                        .error = batch->error};
}

static bool has_failed(const wf_reader_batch *batch)
{
    return batch->status != WF_OK || batch->n_rows == 0;
}

// A block that failed is read again row by row; a row that fails comes out failed.
static wf_status take_failure(lane *l, const wf_reader_batch *batch)
{
    if (batch->read.n > 1) {
        l->single_to = batch->read.row0 + batch->read.n;
        wf_warn("%s: rows %llu to %llu cannot be read together: %s", batch->read.path,
                (unsigned long long)batch->read.row0,
                (unsigned long long)(batch->read.row0 + batch->read.n - 1), batch->error);
        return WF_OK;
    }
    l->until = batch->read.row0 + 1;
    wf_request lost = lost_row(batch);
    return is_ours(l, lost.row) ? copy_row(l, &lost) : WF_OK;
}

static wf_status take_batch(wf_feed *f, const wf_reader_batch *batch)
{
    lane *l = &f->lanes[batch->read.shard];
    wf_status st = has_failed(batch) ? take_failure(l, batch) : take_rows(l, batch);
    l->pending = l->until;
    wf_reader_release(f->cfg.reader, batch);
    f->n_seen = 0; // look again: what was cut short must be asked for again
    return st;
}

// ---- reading ahead ------------------------------------------------------------------------------

static wf_status ask(wf_feed *f, uint32_t shard, uint64_t row)
{
    lane *l = &f->lanes[shard];
    uint64_t left = l->end - row; // not beyond: rows added later must still be ahead of `until`
    uint32_t n = row < l->single_to ? 1 : f->cfg.block_rows;
    if (n > left) n = (uint32_t)left;
    l->until = row; // rows between are not ours
    l->pending = row + n;
    return wf_reader_submit(f->cfg.reader, &(wf_reader_read){.path = f->cfg.paths[shard],
                                                             .uid = f->cfg.info[shard].uid,
                                                             .shard = shard,
                                                             .row0 = row,
                                                             .n = n,
                                                             .n_vocab = f->cfg.n_vocab,
                                                             .max_context = f->cfg.max_context});
}

// Asks for the rows of the next `ahead` entries that nobody has asked for, as slots allow.
static wf_status read_ahead(wf_feed *f)
{
    while (f->n_seen < f->count && f->n_seen < f->cfg.ahead) {
        const entry *e = at(f, f->n_seen);
        lane *l = &f->lanes[e->shard];
        if (e->row >= l->pending) {
            bool busy = l->pending > l->until; // one read of a shard at a time keeps rows in order
            if (busy || wf_reader_n_free(f->cfg.reader) == 0) return WF_OK;
            WF_TRY(ask(f, e->shard, e->row));
        }
        f->n_seen++;
    }
    return WF_OK;
}

wf_status wf_feed_pump(wf_feed *f, int64_t timeout_ns)
{
    for (;;) {
        const wf_reader_batch *batch = NULL;
        WF_TRY(read_ahead(f));
        bool wait = timeout_ns != 0 && f->count > 0 && !wf_feed_peek(f);
        WF_TRY(wf_reader_wait(f->cfg.reader, wait ? timeout_ns : 0, &batch));
        if (!batch) return WF_OK;
        WF_TRY(take_batch(f, batch));
    }
}

// ---- handing out --------------------------------------------------------------------------------

const wf_request *wf_feed_peek(const wf_feed *f)
{
    if (f->count == 0) return NULL;
    const entry *e = at(f, 0);
    loaded *l = f->lanes[e->shard].first;
    if (!l || l->request.row != e->row) return NULL;
    l->request.arrival_ns = e->arrival_ns;
    return &l->request;
}

const wf_request *wf_feed_pop(wf_feed *f)
{
    const wf_request *r = wf_feed_peek(f);
    assert(r);
    lane *l = &f->lanes[r->shard];
    l->first = l->first->next;
    if (!l->first) l->last = NULL;
    l->ours[r->row / 64] &= ~(1ull << (r->row % 64));
    l->n_left--;
    f->head = (f->head + 1) & (f->capacity - 1);
    f->count--;
    if (f->n_seen > 0) f->n_seen--;
    return r;
}

void wf_feed_free(const wf_request *request)
{
    free((void *)(uintptr_t)request);
}

wf_status wf_feed_row_of(const wf_reader_batch *batch, uint64_t tag, const wf_request **out)
{
    wf_request lost = lost_row(batch);
    loaded *copy = NULL;
    WF_TRY(copy_of(has_failed(batch) ? &lost : batch->rows, &copy));
    copy->tag = tag;
    *out = &copy->request;
    return WF_OK;
}

uint64_t wf_feed_tag(const wf_request *request)
{
    return ((const loaded *)(const void *)request)->tag;
}

void wf_feed_arrives(const wf_request *request, int64_t arrival_ns)
{
    ((loaded *)(uintptr_t)request)->request.arrival_ns = arrival_ns;
}
