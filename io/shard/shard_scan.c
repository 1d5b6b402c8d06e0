// What only the whole of a column tells: arrivals out of order, ids that repeat. Columns stream
// through a block; ids are held (8 bytes a row) only when they are not ascending by themselves.
#include "io/shard/shard_internal.h"

#include <stdlib.h>

#define BLOCK ((size_t)WF_H5_CHUNK)

// --- arrivals ---

// Decides one row later, so that a single value far too large spoils its own row and not all rows
// after it.
typedef struct {
    bool has_accepted, has_pending;
    int64_t accepted, pending;
    uint64_t pending_row;
} order;

static void mark_arrival(wf_shard *s, uint64_t row)
{
    wf_bit_set(s->bad_arrival, row);
    s->info.n_bad_arrivals++;
}

static void accept_pending(wf_shard *s, order *o)
{
    if (!o->has_pending) return;
    if (!o->has_accepted) s->info.first_arrival_ns = o->pending;
    s->info.last_arrival_ns = o->accepted = o->pending;
    o->has_accepted = true;
}

static void scan_arrival(wf_shard *s, order *o, uint64_t row, int64_t arrival)
{
    bool usable = arrival >= 0 && arrival <= WF_SHARD_MAX_ARRIVAL_NS;
    if (!usable || (o->has_accepted && arrival < o->accepted)) {
        mark_arrival(s, row);
        return;
    }
    if (o->has_pending && o->pending > arrival)
        mark_arrival(s, o->pending_row);
    else
        accept_pending(s, o);
    o->has_pending = true;
    o->pending = arrival;
    o->pending_row = row;
}

static wf_status scan_arrivals(wf_shard *s, int64_t *block)
{
    order o = {0};
    for (uint64_t at = 0; at < s->info.n_rows; at += BLOCK) {
        size_t n = s->info.n_rows - at < BLOCK ? (size_t)(s->info.n_rows - at) : BLOCK;
        WF_TRY(wf_h5_dataset_read(s->column[WF_COLUMN_arrival_ns], at, n, block));
        for (size_t i = 0; i < n; i++)
            scan_arrival(s, &o, at + i, block[i]);
    }
    accept_pending(s, &o);
    return WF_OK;
}

// --- tokens ---

static wf_status scan_new_tokens(wf_shard *s, uint32_t *block)
{
    for (uint64_t at = 0; at < s->info.n_rows; at += BLOCK) {
        size_t n = s->info.n_rows - at < BLOCK ? (size_t)(s->info.n_rows - at) : BLOCK;
        WF_TRY(wf_h5_dataset_read(s->column[WF_COLUMN_max_new_tokens], at, n, block));
        for (size_t i = 0; i < n; i++) {
            s->info.n_new_tokens += block[i];
            if (block[i] == 0 ||
                (s->info.least_new_tokens > 0 && block[i] >= s->info.least_new_tokens))
                continue;
            s->info.least_new_tokens = block[i];
            s->info.i_least_new_tokens = at + i;
        }
    }
    return WF_OK;
}

// --- samples ---

static wf_status scan_samples(wf_shard *s, uint32_t *block)
{
    wf_h5_dataset *column = s->column[WF_COLUMN_SAMPLING + WF_SAMPLING_n];
    for (uint64_t at = 0; column && at < s->info.n_rows; at += BLOCK) {
        size_t n = s->info.n_rows - at < BLOCK ? (size_t)(s->info.n_rows - at) : BLOCK;
        WF_TRY(wf_h5_dataset_read(column, at, n, block));
        for (size_t i = 0; i < n; i++) {
            wf_sampling own = {0};
            uint32_t set = 0;
            wf_sampling_load(&own, &set, WF_SAMPLING_n, &block[i]);
            if (!set) continue;
            s->info.n_own++;
            s->info.n_own_samples += wf_sampling_samples(&own);
        }
    }
    return WF_OK;
}

// --- sessions ---

static wf_status scan_turns(wf_shard *s, uint64_t *block)
{
    int64_t *think_ns = NULL;
    uint32_t *turn = NULL;
    wf_status st = WF_OK;
    if (!s->info.has_sessions) return WF_OK;
    WF_TRY_TO(done, wf_alloc(BLOCK, sizeof *think_ns, &think_ns));
    WF_TRY_TO(done, wf_alloc(BLOCK, sizeof *turn, &turn));
    for (uint64_t at = 0; at < s->info.n_rows && st == WF_OK; at += BLOCK) {
        size_t n = s->info.n_rows - at < BLOCK ? (size_t)(s->info.n_rows - at) : BLOCK;
        st = wf_shard_read_turns(s, at, (uint32_t)n, block, think_ns, turn);
        for (size_t i = 0; st == WF_OK && i < n; i++) {
            s->info.n_turns += block[i] != 0;
            s->info.n_unknown_thinks += block[i] != 0 && turn[i] > 0 && think_ns[i] < 0;
        }
    }
done:
    free(turn);
    free(think_ns);
    return st;
}

// --- wishes ---

// Most values of one row, as far as a row may have; offsets that make no sense fail their rows.
static wf_status most_of_rows(wf_shard *s, int k_ragged, uint32_t most, uint64_t *block,
                              uint32_t *out)
{
    wf_h5_dataset *column = s->column[wf_shard_raggeds[k_ragged].i_offset];
    uint64_t n_offsets = s->info.n_rows + 1, last = 0;
    *out = 0;
    for (uint64_t at = 0; column && at < n_offsets; at += BLOCK) {
        size_t n = n_offsets - at < BLOCK ? (size_t)(n_offsets - at) : BLOCK;
        WF_TRY(wf_h5_dataset_read(column, at, n, block));
        for (size_t i = 0; i < n; i++) {
            uint64_t count = block[i] > last ? block[i] - last : 0;
            if (at + i > 0 && count > *out && count <= most) *out = (uint32_t)count;
            last = block[i];
        }
    }
    return WF_OK;
}

static wf_status scan_wishes(wf_shard *s, uint64_t *block)
{
    uint32_t n_bias, n_allowed, n_bad_words;
    WF_TRY(most_of_rows(s, WF_RAGGED_bias, WF_MOST_BIASES, block, &n_bias));
    WF_TRY(most_of_rows(s, WF_RAGGED_allowed, WF_MOST_ALLOWED, block, &n_allowed));
    WF_TRY(most_of_rows(s, WF_RAGGED_bad_words, WF_MOST_BAD_WORDS, block, &n_bad_words));
    s->info.most_wishes = 2 * n_bias + n_allowed + n_bad_words; // as wf_wishes_words()
    return WF_OK;
}

// --- ids ---

static int compare_ids(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static wf_status ids_ascend(wf_shard *s, uint64_t *block, bool *out)
{
    uint64_t last = 0;
    for (uint64_t at = 0; at < s->info.n_rows; at += BLOCK) {
        size_t n = s->info.n_rows - at < BLOCK ? (size_t)(s->info.n_rows - at) : BLOCK;
        WF_TRY(wf_h5_dataset_read(s->column[WF_COLUMN_id], at, n, block));
        for (size_t i = 0; i < n; i++) {
            if (at + i > 0 && block[i] <= last) {
                *out = false;
                return WF_OK;
            }
            last = block[i];
        }
    }
    *out = true;
    return WF_OK;
}

// Leaves in ids[0..n) each repeated id once, ascending; returns how many.
static size_t keep_repeated(uint64_t *ids, size_t n)
{
    size_t n_kept = 0;
    qsort(ids, n, sizeof *ids, compare_ids);
    for (size_t i = 1; i < n; i++) {
        bool repeats = ids[i] == ids[i - 1];
        if (repeats && (n_kept == 0 || ids[n_kept - 1] != ids[i])) ids[n_kept++] = ids[i];
    }
    return n_kept;
}

static wf_status mark_repeated(wf_shard *s, const uint64_t *repeated, size_t n_repeated,
                               uint8_t *seen, uint64_t *block)
{
    for (uint64_t at = 0; at < s->info.n_rows; at += BLOCK) {
        size_t n = s->info.n_rows - at < BLOCK ? (size_t)(s->info.n_rows - at) : BLOCK;
        WF_TRY(wf_h5_dataset_read(s->column[WF_COLUMN_id], at, n, block));
        for (size_t i = 0; i < n; i++) {
            const uint64_t *found =
                bsearch(&block[i], repeated, n_repeated, sizeof *repeated, compare_ids);
            if (found == NULL) continue;
            uint64_t k = (uint64_t)(found - repeated);
            if (wf_bit_get(seen, k)) {
                wf_bit_set(s->repeated_id, at + i);
                s->info.n_repeated_ids++;
            }
            wf_bit_set(seen, k);
        }
    }
    return WF_OK;
}

static wf_status scan_ids(wf_shard *s, uint64_t *block)
{
    bool ascend = false;
    WF_TRY(ids_ascend(s, block, &ascend));
    if (ascend) return WF_OK;
    uint64_t *ids = NULL;
    uint8_t *seen = NULL;
    wf_status st = WF_OK;
    size_t n = (size_t)s->info.n_rows;
    WF_TRY_TO(done, wf_alloc(n, sizeof *ids, &ids));
    WF_TRY_TO(done, wf_h5_dataset_read(s->column[WF_COLUMN_id], 0, n, ids));
    size_t n_repeated = keep_repeated(ids, n);
    if (n_repeated == 0) goto done;
    WF_TRY_TO(done, wf_alloc(n_repeated / 8 + 1, 1, &seen));
    st = mark_repeated(s, ids, n_repeated, seen, block);
done:
    free(seen);
    free(ids);
    return st;
}

wf_status wf_shard_scan(wf_shard *s)
{
    uint64_t *block = NULL; // arrivals are as wide as ids
    wf_status st = WF_OK;
    size_t bitmap_bytes = (size_t)(s->info.n_rows / 8 + 1);
    WF_TRY_TO(done, wf_alloc(BLOCK, sizeof *block, &block));
    WF_TRY_TO(done, wf_alloc(bitmap_bytes, 1, &s->bad_arrival));
    WF_TRY_TO(done, wf_alloc(bitmap_bytes, 1, &s->repeated_id));
    WF_TRY_TO(done, scan_arrivals(s, (int64_t *)block));
    WF_TRY_TO(done, scan_new_tokens(s, (uint32_t *)block));
    WF_TRY_TO(done, scan_samples(s, (uint32_t *)block));
    WF_TRY_TO(done, scan_turns(s, block));
    WF_TRY_TO(done, scan_wishes(s, block));
    st = scan_ids(s, block);
done:
    free(block);
    return st;
}
