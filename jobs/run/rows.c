// The split of a timed replay.
#include "jobs/run/rows.h"

#include <stdlib.h>

static int by_arrival(const void *a, const void *b)
{
    const wf_timed_row *x = a, *y = b;
    if (x->logged_ns != y->logged_ns) return x->logged_ns < y->logged_ns ? -1 : 1;
    if (x->shard != y->shard) return x->shard < y->shard ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

// An unusable arrival takes its predecessor's place, so that the row comes up and fails there.
static wf_status read_shard(const wf_rows_config *c, uint32_t shard, wf_timed_row *out)
{
    uint64_t n = c->info[shard].n_rows;
    int64_t *arrivals = malloc((n + 1) * sizeof *arrivals), last = 0;
    if (!arrivals)
        return wf_fail(WF_NO_MEMORY, "rows: no memory for %llu arrivals", (unsigned long long)n);
    wf_status st =
        wf_reader_read_arrivals(c->reader, c->spec->shards.item[shard], 0, n, arrivals, NULL);
    for (uint64_t i = 0; i < n && st == WF_OK; i++) {
        if (arrivals[i] >= last) last = arrivals[i];
        out[i] = (wf_timed_row){last, shard, i};
    }
    free(arrivals);
    return st;
}

wf_status wf_rows_read(const wf_rows_config *c, wf_timed_row **out, uint64_t *out_n)
{
    uint64_t n = 0;
    bool sorted = true;
    for (size_t s = 0; s < c->spec->requests.n; s++)
        n += c->info[s].n_rows;
    wf_timed_row *rows = malloc((n + 1) * sizeof *rows);
    if (!rows) return wf_fail(WF_NO_MEMORY, "rows: no memory for %llu rows", (unsigned long long)n);
    *out = rows;
    *out_n = n;
    for (size_t s = 0; s < c->spec->requests.n; s++) {
        WF_TRY(read_shard(c, (uint32_t)s, rows));
        rows += c->info[s].n_rows;
    }
    for (uint64_t i = 1; i < n && sorted; i++)
        sorted = by_arrival(*out + i - 1, *out + i) < 0;
    if (!sorted) qsort(*out, n, sizeof **out, by_arrival); // shards are usually in order already
    return WF_OK;
}

bool wf_rows_needs_work(const wf_rows_config *c, uint32_t shard, uint64_t row)
{
    return c->many_samples[shard] || !wf_done_has(c->done, shard, row, 0);
}

wf_arrivals wf_rows_arrivals(const wf_rows_config *c)
{
    wf_arrivals arrivals;
    const wf_arrivals_config config = {.mode = wf_jobspec_process(c->spec),
                                       .speed = c->spec->arrivals.speed,
                                       .rate = c->spec->arrivals.rate,
                                       .burstiness = c->spec->arrivals.burstiness,
                                       .seed = (uint64_t)c->spec->arrivals.seed};
    wf_arrivals_begin(&arrivals, &config);
    return arrivals;
}

wf_status wf_rows_add_timed(const wf_rows_config *c, wf_feed *feed, int64_t *out_first_ns,
                            int64_t *out_last_ns)
{
    wf_timed_row *rows = NULL;
    uint64_t n = 0;
    wf_arrivals arrivals = wf_rows_arrivals(c);
    wf_rows_split split = {0};
    *out_first_ns = INT64_MAX;
    *out_last_ns = 0;
    wf_status st;
    WF_TRY_TO(out, wf_rows_split_open(c, &split));
    WF_TRY_TO(out, wf_rows_read(c, &rows, &n));
    for (uint64_t i = 0; i < n; i++) {
        int64_t at_ns = wf_arrivals_next(&arrivals, rows[i].logged_ns);
        if (!wf_rows_split_is_ours(&split, i, rows[i].shard, rows[i].row)) continue;
        if (!wf_rows_needs_work(c, rows[i].shard, rows[i].row)) continue;
        WF_TRY_TO(out, wf_feed_add(feed, rows[i].shard, rows[i].row, at_ns));
        if (*out_first_ns == INT64_MAX) *out_first_ns = at_ns;
        *out_last_ns = at_ns;
    }
out:
    wf_rows_split_close(&split);
    free(rows);
    return st;
}
