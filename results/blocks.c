// Batch means. See blocks.h.
#include "results/blocks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/arena.h"
#include "results/metrics.h"

enum { SHORT = 5, THIN = 10 };

const wf_interval_name wf_interval_names[WF_N_INTERVALS] = {
#define NAME(name, figure, statistic) {figure, statistic},
    WF_INTERVAL_TABLE(NAME)
#undef NAME
};

const wf_interval *wf_interval_of(const wf_intervals *intervals, const char *figure,
                                  const char *statistic)
{
    for (int i = 0; i < WF_N_INTERVALS; i++) {
        const wf_interval_name *name = &wf_interval_names[i];
        if (strcmp(name->figure, figure) != 0 || strcmp(name->statistic, statistic) != 0) continue;
        return intervals->n_blocks > 0 && intervals->of[i].n > 1 ? &intervals->of[i] : NULL;
    }
    return NULL;
}

wf_status wf_blocks_add(wf_blocks *b, const wf_block_entry *entry)
{
    WF_TRY(wf_grow(b->n + 1, sizeof *b->entry, &b->capacity, &b->entry));
    WF_TRY(wf_grow(b->n + 1, sizeof *b->value, &b->value_capacity, &b->value));
    b->entry[b->n++] = *entry;
    return WF_OK;
}

void wf_blocks_free(wf_blocks *b)
{
    free(b->entry);
    free(b->value);
    *b = (wf_blocks){0};
}

// Up to 30 from the tables; beyond them Peizer and Pratt's series, to a thousandth.
double wf_student_t(size_t n_free)
{
    static const double t[] = {12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060,
                               2.2622,  2.2281, 2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199,
                               2.1098,  2.1009, 2.0930, 2.0860, 2.0796, 2.0739, 2.0687, 2.0639,
                               2.0595,  2.0555, 2.0518, 2.0484, 2.0452, 2.0423};
    const double z = 1.959964;
    if (n_free == 0) return INFINITY;
    if (n_free <= sizeof t / sizeof t[0]) return t[n_free - 1];
    double n = (double)n_free;
    return z + (z * z * z + z) / (4 * n) +
           (5 * z * z * z * z * z + 16 * z * z * z + 3 * z) / (96 * n * n);
}

// ---- the time of all runs, one after the other --------------------------------------------------

static int64_t length_of(const int64_t *begin_ns, const int64_t *end_ns, size_t i)
{
    return end_ns[i] > begin_ns[i] ? end_ns[i] - begin_ns[i] : 0;
}

// Puts each entry where it is in that time; returns how long that is.
static int64_t line_up(wf_blocks *b, const int64_t *begin_ns, const int64_t *end_ns, size_t n_runs)
{
    int64_t total_ns = 0;
    for (size_t run = 0; run < n_runs; run++) {
        for (size_t i = 0; i < b->n; i++)
            if (b->entry[i].i_run == run) b->entry[i].finish_ns += total_ns - begin_ns[run];
        total_ns += length_of(begin_ns, end_ns, run);
    }
    return total_ns;
}

static int by_finish(const void *a, const void *b)
{
    int64_t x = ((const wf_block_entry *)a)->finish_ns, y = ((const wf_block_entry *)b)->finish_ns;
    return (x > y) - (x < y);
}

static size_t block_of(const wf_block_entry *e, size_t n_blocks, int64_t total_ns)
{
    double at = (double)e->finish_ns / (double)total_ns * (double)n_blocks;
    return at <= 0 ? 0 : at >= (double)n_blocks ? n_blocks - 1 : (size_t)at;
}

// ---- a block's values ---------------------------------------------------------------------------

typedef struct sums {     // over blocks, of one figure (Welford's)
    double mean, squares; // squares: of the differences from it
    size_t n;
} sums;

static void note(sums *s, double value)
{
    double from_mean = value - s->mean;
    s->n++;
    s->mean += from_mean / (double)s->n;
    s->squares += from_mean * (value - s->mean);
}

static void note_times(wf_blocks *b, const wf_block_entry *entry, size_t n, size_t at, sums *s)
{
    size_t n_values = 0;
    for (size_t i = 0; i < n; i++) {
        double value;
        memcpy(&value, (const char *)&entry[i] + at, sizeof value);
        if (value >= 0) b->value[n_values++] = value;
    }
    if (n_values == 0) return;
    wf_distribution d = wf_distribution_of(b->value, n_values);
    note(&s[0], d.mean);
    note(&s[1], d.p50);
    note(&s[2], d.p99);
}

static void note_block(wf_blocks *b, const wf_block_entry *entry, size_t n, double block_s, sums *s)
{
    double n_prompt = 0, n_tokens = 0;
    for (size_t i = 0; i < n; i++) {
        n_prompt += entry[i].n_prompt;
        n_tokens += entry[i].n_tokens;
    }
    note(&s[WF_INTERVAL_REQUESTS], (double)n / block_s);
    note(&s[WF_INTERVAL_OUTPUT], n_tokens / block_s);
    note(&s[WF_INTERVAL_TOKENS], (n_prompt + n_tokens) / block_s);
    note_times(b, entry, n, offsetof(wf_block_entry, ttft), &s[WF_INTERVAL_TTFT_MEAN]);
    note_times(b, entry, n, offsetof(wf_block_entry, tpot), &s[WF_INTERVAL_TPOT_MEAN]);
    note_times(b, entry, n, offsetof(wf_block_entry, e2el), &s[WF_INTERVAL_E2EL_MEAN]);
}

static wf_interval interval_of(const sums *s)
{
    double n = (double)s->n, half = 0;
    if (s->n > 1) half = wf_student_t(s->n - 1) * sqrt(s->squares / (n - 1) / n);
    return (wf_interval){.mean = s->mean, .half = half, .n = s->n};
}

void wf_blocks_finish(wf_blocks *b, size_t n_blocks, const int64_t *begin_ns, const int64_t *end_ns,
                      size_t n_runs, wf_intervals *out)
{
    sums s[WF_N_INTERVALS] = {{0}};
    double e2el = 0;
    int64_t total_ns = line_up(b, begin_ns, end_ns, n_runs);
    *out = (wf_intervals){0};
    if (n_blocks < 2 || b->n == 0 || total_ns == 0) return;
    out->n_blocks = n_blocks;
    out->block_ns = (double)total_ns / (double)n_blocks;
    qsort(b->entry, b->n, sizeof *b->entry, by_finish);
    for (size_t block = 0, from = 0, to = 0; block < n_blocks; block++, from = to) {
        while (to < b->n && block_of(&b->entry[to], n_blocks, total_ns) <= block)
            e2el += b->entry[to++].e2el;
        note_block(b, b->entry + from, to - from, out->block_ns / 1e9, s);
    }
    for (int i = 0; i < WF_N_INTERVALS; i++)
        out->of[i] = interval_of(&s[i]);
    out->are_short = out->block_ns < SHORT * e2el / (double)b->n;
    out->are_thin = b->n < THIN * n_blocks;
}
