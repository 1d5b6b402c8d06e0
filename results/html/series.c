// Binning of rows and steps. See series.h.
#include "results/html/series.h"

#include <stdlib.h>
#include <string.h>

#include "io/base/arena.h"

static double bin_ns(const wf_html_output *o)
{
    return (double)o->length_ns / (double)o->n_bins;
}

static size_t bin_of(const wf_html_output *o, int64_t ns)
{
    double at = (double)ns / bin_ns(o);
    return at <= 0 ? 0 : at >= (double)o->n_bins ? o->n_bins - 1 : (size_t)at;
}

// Spreads `amount` evenly over [from, to).
static void spread(const wf_html_output *o, int64_t from, int64_t to, double amount, double *bins)
{
    double width = bin_ns(o);
    size_t first = bin_of(o, from), last = bin_of(o, to);
    if (to <= from || first == last) {
        bins[first] += amount;
        return;
    }
    for (size_t i = first; i <= last; i++) {
        double low = (double)i * width, high = low + width;
        if (low < (double)from) low = (double)from;
        if (high > (double)to) high = (double)to;
        if (high > low) bins[i] += amount * (high - low) / (double)(to - from);
    }
}

static void per_second(const wf_html_output *o, double *bins)
{
    for (size_t i = 0; i < o->n_bins; i++)
        bins[i] *= 1e9 / bin_ns(o);
}

static void clear(double *bins)
{
    memset(bins, 0, WF_HTML_BINS * sizeof *bins);
}

void wf_series_arrivals(const wf_html_output *o, double *bins)
{
    clear(bins);
    for (size_t i = 0; i < o->n_rows; i++)
        bins[bin_of(o, o->rows[i].arrival_ns)]++;
    per_second(o, bins);
}

void wf_series_finishes(const wf_html_output *o, double *bins)
{
    clear(bins);
    for (size_t i = 0; i < o->n_rows; i++)
        if (o->rows[i].done && o->rows[i].finish_ns >= 0) bins[bin_of(o, o->rows[i].finish_ns)]++;
    per_second(o, bins);
}

// Time spent in a bin over its width: how many were there on average.
static void add_stay(const wf_html_output *o, int64_t from, int64_t to, double *bins)
{
    if (from >= 0 && to > from) spread(o, from, to, (double)(to - from) / bin_ns(o), bins);
}

void wf_series_in_batch(const wf_html_output *o, double *bins)
{
    clear(bins);
    for (size_t i = 0; i < o->n_rows; i++)
        add_stay(o, o->rows[i].admitted_ns, o->rows[i].finish_ns, bins);
}

void wf_series_waiting(const wf_html_output *o, double *bins)
{
    clear(bins);
    for (size_t i = 0; i < o->n_rows; i++)
        add_stay(o, o->rows[i].arrival_ns, o->rows[i].admitted_ns, bins);
}

void wf_series_prompt_tokens(const wf_html_output *o, double *bins)
{
    clear(bins);
    for (size_t i = 0; i < o->n_steps; i++) {
        const wf_html_step *s = &o->steps[i];
        spread(o, s->start_ns, s->start_ns + s->duration_ns, s->n_prompt_tokens, bins);
    }
    per_second(o, bins);
}

void wf_series_decoded(const wf_html_output *o, double *bins)
{
    clear(bins);
    for (size_t i = 0; i < o->n_steps; i++) {
        const wf_html_step *s = &o->steps[i];
        spread(o, s->start_ns, s->start_ns + s->duration_ns, s->n_decode, bins);
    }
    per_second(o, bins);
}

void wf_series_step_time(const wf_html_output *o, double *bins)
{
    double n[WF_HTML_BINS] = {0};
    clear(bins);
    for (size_t i = 0; i < o->n_steps; i++) {
        size_t bin = bin_of(o, o->steps[i].start_ns);
        bins[bin] += (double)o->steps[i].duration_ns;
        n[bin]++;
    }
    for (size_t i = 0; i < o->n_bins; i++)
        if (n[i] > 0) bins[i] /= n[i];
}

wf_status wf_series_kv_pages(const wf_html_output *o, double *bins)
{
    double *of_group;
    size_t n_groups = 1;
    for (size_t i = 0; i < o->n_steps; i++)
        if (o->steps[i].group >= n_groups) n_groups = (size_t)o->steps[i].group + 1;
    WF_TRY(wf_alloc(n_groups * WF_HTML_BINS, sizeof *of_group, &of_group));
    memset(of_group, 0, n_groups * WF_HTML_BINS * sizeof *of_group);
    for (size_t i = 0; i < o->n_steps; i++) {
        const wf_html_step *s = &o->steps[i];
        double *most = &of_group[s->group * (size_t)WF_HTML_BINS + bin_of(o, s->start_ns)];
        if (s->kv_pages > *most) *most = s->kv_pages;
    }
    clear(bins);
    for (size_t i = 0; i < n_groups * WF_HTML_BINS; i++)
        bins[i % WF_HTML_BINS] += of_group[i];
    free(of_group);
    return WF_OK;
}

double wf_series_most(const double *bins, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++)
        if (bins[i] > most) most = bins[i];
    return most;
}

static double latency_of(const wf_html_row *r, wf_html_latency which)
{
    double ttft = (double)(r->first_ns - r->arrival_ns);
    double e2el = (double)(r->finish_ns - r->arrival_ns);
    return which == WF_HTML_TTFT   ? ttft
           : which == WF_HTML_E2EL ? e2el
                                   : (e2el - ttft) / (double)(r->n_tokens - 1);
}

wf_status wf_series_latency(const wf_html_output *o, wf_html_latency which, double **out, size_t *n)
{
    double *v;
    size_t kept = 0;
    WF_TRY(wf_alloc(o->n_rows, sizeof *v, &v));
    for (size_t i = 0; i < o->n_rows; i++) {
        const wf_html_row *r = &o->rows[i];
        if (!r->latency || (which == WF_HTML_TPOT && r->n_tokens < 2)) continue;
        v[kept++] = latency_of(r, which);
    }
    (void)wf_distribution_of(v, kept); // sorts
    *out = v;
    *n = kept;
    return WF_OK;
}

// --- load ---

static int by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

// loads[i]: how many were in the system as row i arrived; rows are by arrival.
static wf_status count_loads(const wf_html_output *o, double *loads)
{
    int64_t *ends;
    size_t n_ends = 0, ended = 0, begun = 0;
    WF_TRY(wf_alloc(o->n_rows, sizeof *ends, &ends));
    for (size_t i = 0; i < o->n_rows; i++)
        if (o->rows[i].finish_ns >= 0) ends[n_ends++] = o->rows[i].finish_ns;
    if (n_ends > 0) qsort(ends, n_ends, sizeof *ends, by_time);
    for (size_t i = 0; i < o->n_rows; i++) {
        while (ended < n_ends && ends[ended] <= o->rows[i].arrival_ns)
            ended++;
        loads[i] = begun > ended ? (double)(begun - ended) : 0;
        begun += o->rows[i].finish_ns >= 0; // what never ran holds no place
    }
    free(ends);
    return WF_OK;
}

// The part of rows with a load in [low, high).
static wf_html_load part_of(const wf_html_output *o, const double *loads, double low, double high,
                            double *values)
{
    wf_html_load part = {0};
    for (size_t i = 0; i < o->n_rows; i++) {
        if (!o->rows[i].latency || loads[i] < low || loads[i] >= high) continue;
        values[part.n++] = latency_of(&o->rows[i], WF_HTML_E2EL);
        part.load += loads[i];
    }
    const wf_distribution d = wf_distribution_of(values, part.n);
    if (part.n > 0) part.load /= (double)part.n;
    part.p50_ns = d.p50;
    part.p90_ns = d.p90;
    return part;
}

wf_status wf_series_loads(const wf_html_output *o, wf_html_load out[WF_HTML_LOADS], size_t *n)
{
    wf_status st;
    double *loads = NULL, *values = NULL;
    *n = 0;
    WF_TRY_TO(done, wf_alloc(o->n_rows, sizeof *loads, &loads));
    WF_TRY_TO(done, wf_alloc(o->n_rows, sizeof *values, &values));
    WF_TRY_TO(done, count_loads(o, loads));
    double width = (wf_series_most(loads, o->n_rows) + 1) / WF_HTML_LOADS;
    if (width < 1) width = 1;
    for (int i = 0; i < WF_HTML_LOADS; i++) {
        wf_html_load part = part_of(o, loads, i * width, (i + 1) * width, values);
        if (part.n >= 5) out[(*n)++] = part;
    }
done:
    free(values);
    free(loads);
    return st;
}
