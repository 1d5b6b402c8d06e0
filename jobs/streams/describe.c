// See describe.h. One walk over the log; block ids are kept in a set.
#include "jobs/streams/describe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/clock.h"
#include "jobs/streams/import_scan.h"

// --- the set of ids: open addressing, at most half full; a slot holds id + 1, 0 is free ---

typedef struct {
    uint64_t *slot;
    size_t n, n_slots; // n_slots is a power of two
} id_set;

static size_t slot_of(const id_set *set, uint64_t id)
{
    size_t i = (size_t)((id * UINT64_C(0x9E3779B97F4A7C15)) >> 20) & (set->n_slots - 1);
    while (set->slot[i] != 0 && set->slot[i] != id + 1)
        i = (i + 1) & (set->n_slots - 1);
    return i;
}

static wf_status set_grow(id_set *set)
{
    id_set larger = {.n = set->n, .n_slots = set->n_slots > 0 ? 2 * set->n_slots : 1024};
    WF_TRY(wf_alloc(larger.n_slots, sizeof *larger.slot, &larger.slot));
    for (size_t i = 0; i < set->n_slots; i++)
        if (set->slot[i] != 0) larger.slot[slot_of(&larger, set->slot[i] - 1)] = set->slot[i];
    free(set->slot);
    *set = larger;
    return WF_OK;
}

// Whether the id was there; it is now.
static wf_status set_add(id_set *set, uint64_t id, bool *was_there)
{
    if (2 * (set->n + 1) > set->n_slots) WF_TRY(set_grow(set));
    size_t i = slot_of(set, id);
    *was_there = set->slot[i] != 0;
    if (!*was_there) set->n++;
    set->slot[i] = id + 1;
    return WF_OK;
}

// --- rows as they come ---

typedef struct {
    wf_description *out;
    id_set ids;
} looking;

static uint64_t block_tokens(const wf_trace_format *format)
{
    for (int i = 0; i < format->n_columns; i++)
        if (format->column[i].role == WF_TRACE_BLOCKS) return (uint64_t)format->column[i].unit;
    return 0;
}

static wf_status look_at_blocks(void *context, const wf_trace_row *row,
                                const wf_trace_format *format)
{
    looking *l = context;
    uint64_t each = block_tokens(format), left = row->n_prompt;
    for (uint32_t i = 0; i < row->n_blocks; i++) {
        bool repeated = false;
        uint64_t n = left < each ? left : each;
        WF_TRY(set_add(&l->ids, row->block[i], &repeated));
        if (repeated) l->out->n_repeated_tokens += n;
        left -= n;
        l->out->has_blocks = true;
    }
    return WF_OK;
}

// --- figures of all ---

static int64_t divisor(int64_t a, int64_t b)
{
    while (b != 0) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static void describe_gaps(wf_description *d)
{
    size_t n = d->n > 0 ? d->n - 1 : 0;
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++)
        sum += d->gap_s[i];
    d->gap_mean_s = n > 0 ? sum / (double)n : 0;
    for (size_t i = 0; i < n; i++)
        squares += (d->gap_s[i] - d->gap_mean_s) * (d->gap_s[i] - d->gap_mean_s);
    d->gap_cv = d->gap_mean_s > 0 ? sqrt(squares / (double)n) / d->gap_mean_s : 0;
}

static void describe_times(wf_description *d, const wf_line_index *index)
{
    int64_t span = index->entry[index->n - 1].time_ns, second = -1;
    uint64_t in_second = 0;
    d->bin_s = (double)span / (double)WF_NS_PER_S / WF_DESCRIBE_BINS;
    for (size_t i = 0; i < index->n; i++) {
        int64_t at = index->entry[i].time_ns;
        size_t bin = span > 0 ? (size_t)((double)at / (double)span * WF_DESCRIBE_BINS) : 0;
        d->bin[bin < WF_DESCRIBE_BINS ? bin : WF_DESCRIBE_BINS - 1]++;
        in_second = at / WF_NS_PER_S == second ? in_second + 1 : 1;
        second = at / WF_NS_PER_S;
        if (in_second > d->peak_1s) d->peak_1s = in_second;
        d->grid_ns = divisor(d->grid_ns, at);
        if (i > 0)
            d->gap_s[i - 1] = (double)(at - index->entry[i - 1].time_ns) / (double)WF_NS_PER_S;
    }
    describe_gaps(d);
}

static wf_status describe_rows(wf_import_scan *scan, wf_description *d)
{
    const wf_line_index *index = &scan->index;
    d->n = index->n;
    memcpy(d->sha256, scan->sha256, sizeof d->sha256);
    WF_TRY(wf_alloc(d->n, sizeof(double), &d->n_prompt));
    WF_TRY(wf_alloc(d->n, sizeof(double), &d->n_new));
    WF_TRY(wf_alloc(d->n, sizeof(double), &d->gap_s));
    for (size_t i = 0; i < d->n; i++) {
        d->n_prompt[i] = index->entry[i].n_prompt;
        d->n_new[i] = index->entry[i].n_new;
        d->n_prompt_tokens += index->entry[i].n_prompt;
        d->n_new_tokens += index->entry[i].n_new;
    }
    describe_times(d, index);
    scan->report->n_rows = d->n;
    scan->report->span_ns = index->entry[d->n - 1].time_ns;
    return WF_OK;
}

// Turns of each session that are in the window, counted along the chain of rounds: a row's parent
// comes before it.
static wf_status count_turns(const wf_import_scan *scan, uint32_t *n_to, wf_description *d)
{
    const wf_rounds *r = &scan->rounds;
    for (size_t i = 0; i < scan->index.n; i++)
        if (wf_rounds_of(r, scan->index.entry[i].row)) n_to[scan->index.entry[i].row] = 1;
    for (size_t row = 0; row < r->n; row++) {
        uint64_t parent = r->round[row].parent;
        if (n_to[row] == 0) continue;
        bool follows = parent != WF_ROUND_NONE && n_to[parent] > 0;
        d->n_turns++;
        d->n_sessions += !follows;
        if (follows) n_to[row] += n_to[parent];
        if (follows && r->round[row].think_ns >= 0)
            d->think_s[d->n_thinks++] = (double)r->round[row].think_ns / (double)WF_NS_PER_S;
    }
    return WF_OK;
}

static wf_status describe_sessions(const wf_import_scan *scan, wf_description *d)
{
    const wf_rounds *r = &scan->rounds;
    uint32_t *n_to = NULL; // [rounds] turns of its session up to this one; 0: not in the window
    wf_status st = WF_OK;
    if (r->n == 0) return WF_OK;
    WF_TRY_TO(done, wf_alloc(r->n, sizeof *n_to, &n_to));
    WF_TRY_TO(done, wf_alloc(r->n, sizeof *d->think_s, &d->think_s));
    WF_TRY_TO(done, count_turns(scan, n_to, d));
    WF_TRY_TO(done, wf_alloc(d->n_sessions, sizeof *d->turns, &d->turns));
    for (size_t row = r->n, n = 0; row-- > 0 && n < d->n_sessions;) {
        uint64_t parent = r->round[row].parent;
        if (n_to[row] > 0) d->turns[n++] = n_to[row];
        // What is before the last turn of a session is none of another.
        for (; n_to[row] > 0 && parent != WF_ROUND_NONE; parent = r->round[parent].parent)
            n_to[parent] = 0;
        n_to[row] = 0;
    }
done:
    free(n_to);
    return st;
}

wf_status wf_describe_run(const wf_import_options *options, wf_import_report *report,
                          wf_description *out)
{
    wf_import_options o = *options;
    looking l = {.out = out};
    wf_import_scan scan = {.options = &o, .report = report, .look = look_at_blocks, .context = &l};
    o.skip_bad = true;
    o.jitter_ns = 0;
    *out = (wf_description){0};
    *report = (wf_import_report){0};
    wf_status st = wf_import_scan_run(&scan);
    if (st == WF_OK) st = wf_import_scan_place(&scan);
    if (st == WF_OK) st = describe_rows(&scan, out);
    if (st == WF_OK) st = describe_sessions(&scan, out);
    wf_import_scan_end(&scan);
    free(l.ids.slot);
    if (st != WF_OK) wf_description_free(out);
    return st;
}

void wf_description_free(wf_description *d)
{
    free(d->n_prompt);
    free(d->n_new);
    free(d->gap_s);
    free(d->turns);
    free(d->think_s);
    *d = (wf_description){0};
}
