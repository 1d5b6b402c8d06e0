// The table of pictures. See pictures.h.
#include "results/html/pictures.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/text.h"
#include "results/html/flight_bars.h"
#include "results/html/markup.h"
#include "results/html/series.h"
#include "results/html/svg.h"

static wf_plot over_time(const wf_html_output *o, const char *title, wf_text *out)
{
    return (wf_plot){.out = out,
                     .title = title,
                     .x_words = "seconds",
                     .x = {0, (double)o->length_ns / 1e9},
                     .keys = {{NULL, NULL}}};
}

// Two curves over time, one axis; the second may be NULL.
static void draw_two(wf_plot *plot, const wf_html_output *o, const double *a, const double *b)
{
    size_t n = o->n_bins;
    double most = wf_series_most(a, n);
    if (b && wf_series_most(b, n) > most) most = wf_series_most(b, n);
    plot->y[1] = most * 1.06;
    wf_plot_begin(plot);
    if (a) wf_plot_stairs(plot, plot->keys[0].style, a, n);
    if (b) wf_plot_stairs(plot, plot->keys[1].style, b, n);
    wf_flight_mark_runs(plot, o);
    wf_plot_end(plot);
}

static wf_status draw_load(const wf_html_output *o, wf_text *out)
{
    double offered[WF_HTML_BINS], served[WF_HTML_BINS];
    wf_plot plot = over_time(o, "Requests per second", out);
    wf_series_arrivals(o, offered);
    wf_series_finishes(o, served);
    if (o->timed) {
        plot.keys[0] = (wf_plot_key){"offered", "c2"};
        plot.keys[1] = (wf_plot_key){"served", "c1"};
        draw_two(&plot, o, offered, served);
    } else {
        plot.keys[0] = (wf_plot_key){"served", "c1"};
        draw_two(&plot, o, served, NULL);
    }
    return WF_OK;
}

static wf_status draw_tokens(const wf_html_output *o, wf_text *out)
{
    double prompt[WF_HTML_BINS], decoded[WF_HTML_BINS];
    wf_plot plot = over_time(o, "Tokens per second", out);
    wf_series_prompt_tokens(o, prompt);
    wf_series_decoded(o, decoded);
    plot.keys[0] = (wf_plot_key){"of prompts", "c2"};
    plot.keys[1] = (wf_plot_key){"decoded", "c1"};
    draw_two(&plot, o, prompt, decoded);
    return WF_OK;
}

static wf_status draw_batch(const wf_html_output *o, wf_text *out)
{
    double batch[WF_HTML_BINS], waiting[WF_HTML_BINS];
    wf_plot plot = over_time(o, "Requests at a time", out);
    wf_series_in_batch(o, batch);
    wf_series_waiting(o, waiting);
    plot.keys[0] = (wf_plot_key){"in the batch", "c1"};
    plot.keys[1] = (wf_plot_key){"waiting", "c2"};
    draw_two(&plot, o, batch, waiting);
    return WF_OK;
}

static wf_status draw_memory(const wf_html_output *o, wf_text *out)
{
    double pages[WF_HTML_BINS];
    wf_plot plot = over_time(o, "KV pages in use", out);
    WF_TRY(wf_series_kv_pages(o, pages));
    plot.keys[0] = (wf_plot_key){"most, all groups", "c3"};
    draw_two(&plot, o, pages, NULL);
    return WF_OK;
}

static wf_status draw_step_time(const wf_html_output *o, wf_text *out)
{
    double took[WF_HTML_BINS];
    wf_plot plot = over_time(o, "Time of a step", out);
    wf_series_step_time(o, took);
    plot.y_numbers = WF_PLOT_TIMES;
    plot.keys[0] = (wf_plot_key){"mean", "c5"};
    draw_two(&plot, o, took, NULL);
    return WF_OK;
}

static wf_status draw_latency_by_load(const wf_html_output *o, wf_text *out)
{
    wf_html_load loads[WF_HTML_LOADS];
    double p50[WF_HTML_LOADS][2], p90[WF_HTML_LOADS][2], most = 0;
    size_t n;
    WF_TRY(wf_series_loads(o, loads, &n));
    if (n < 2) return WF_OK;
    for (size_t i = 0; i < n; i++) {
        memcpy(p50[i], (double[]){loads[i].load, loads[i].p50_ns}, sizeof p50[i]);
        memcpy(p90[i], (double[]){loads[i].load, loads[i].p90_ns}, sizeof p90[i]);
        if (loads[i].p90_ns > most) most = loads[i].p90_ns;
    }
    wf_plot plot = {.out = out,
                    .title = "E2E latency by load",
                    .x_words = "requests in the system as one arrives",
                    .x = {0, loads[n - 1].load},
                    .y = {0, most * 1.06},
                    .y_numbers = WF_PLOT_TIMES,
                    .keys = {{"p50", "c1"}, {"p90", "c4"}}};
    wf_plot_begin(&plot);
    wf_plot_line(&plot, "c1", (const double (*)[2])p50, n);
    wf_plot_line(&plot, "c4", (const double (*)[2])p90, n);
    for (size_t i = 0; i < n; i++) {
        wf_plot_dot(&plot, "c1", p50[i][0], p50[i][1]);
        wf_plot_dot(&plot, "c4", p90[i][0], p90[i][1]);
    }
    wf_plot_end(&plot);
    return WF_OK;
}

typedef struct picture {
    bool with_steps, with_arrivals; // needs them
    wf_status (*draw)(const wf_html_output *o, wf_text *out);
} picture;

static const picture pictures[] = {
    {false, false, draw_load},      {false, false, draw_batch},
    {true, false, draw_tokens},     {true, false, draw_memory},
    {true, false, draw_step_time},  {false, true, draw_latency_by_load},
    {false, false, wf_flight_draw},
};

wf_status wf_pictures_draw(const wf_html_output *o, wf_text *out)
{
    wf_text_puts(out, "<div class=\"pictures\">\n");
    for (size_t i = 0; i < sizeof pictures / sizeof pictures[0] && o->n_rows > 0; i++) {
        if (pictures[i].with_steps && o->n_steps == 0) continue;
        if (pictures[i].with_arrivals && !o->timed) continue;
        WF_TRY(pictures[i].draw(o, out));
    }
    wf_text_puts(out, "</div>\n");
    return WF_OK;
}

// --- distributions ---

enum { CURVE_POINTS = 160, CURVES_MOST = WF_HTML_COLOURS };

typedef struct curve {
    double points[WF_HTML_GAP_BINS + 2][2]; // ns, share of values up to it
    size_t n;
    const wf_distribution *d;
} curve;

typedef struct distribution_row {
    const char *title;
    wf_html_latency latency;
    bool gaps;     // between tokens, instead
    size_t figure; // of wf_figures
    size_t limit;  // of wf_goodput_limits; SIZE_MAX: none
} distribution_row;

static const distribution_row distributions[] = {
    {"Time to first token (TTFT)", WF_HTML_TTFT, false, offsetof(wf_figures, ttft),
     offsetof(wf_goodput_limits, ttft_ns)},
    {"Time per output token (TPOT)", WF_HTML_TPOT, false, offsetof(wf_figures, tpot),
     offsetof(wf_goodput_limits, tpot_ns)},
    {"Inter-token latency (ITL)", 0, true, offsetof(wf_figures, itl), SIZE_MAX},
    {"End-to-end latency (E2E)", WF_HTML_E2EL, false, offsetof(wf_figures, e2el),
     offsetof(wf_goodput_limits, e2el_ns)},
};

static double gap_edge(size_t bin)
{
    return WF_HTML_GAP_LEAST_NS * pow(10, (double)bin / WF_HTML_GAP_DECADE);
}

static double at_least(double ns)
{
    return ns > WF_HTML_GAP_LEAST_NS ? ns : WF_HTML_GAP_LEAST_NS;
}

static void curve_add(curve *c, double ns, double share)
{
    c->points[c->n][0] = ns;
    c->points[c->n++][1] = share;
}

// Along the upper edges of bins with something in them, from the lower edge after a gap.
static void gaps_curve(const wf_html_output *o, curve *c)
{
    uint64_t below = 0;
    for (size_t i = 0; i < WF_HTML_GAP_BINS; i++) {
        if (o->gaps[i] == 0) continue;
        if (i == 0 || o->gaps[i - 1] == 0)
            curve_add(c, gap_edge(i), (double)below / (double)o->n_gaps);
        below += o->gaps[i];
        curve_add(c, gap_edge(i + 1), (double)below / (double)o->n_gaps);
    }
}

static wf_status latency_curve(const wf_html_output *o, wf_html_latency which, curve *c)
{
    double *v;
    size_t n;
    WF_TRY(wf_series_latency(o, which, &v, &n));
    for (size_t i = 0; i <= CURVE_POINTS && n > 0; i++) {
        double q = (double)i / CURVE_POINTS;
        curve_add(c, at_least(wf_percentile(v, n, q)), q);
    }
    free(v);
    return WF_OK;
}

static void mark_percentiles(const wf_plot *plot, const wf_distribution *d)
{
    const double marks[][2] = {{d->p50, 0.5}, {d->p90, 0.9}, {d->p99, 0.99}};
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
        wf_plot_dot(plot, "c1", at_least(marks[i][0]), marks[i][1]);
}

static void say_percentiles(const wf_distribution *d, char *words, size_t words_bytes)
{
    char p50[WF_HTML_NUMBER_MAX], p90[WF_HTML_NUMBER_MAX], p99[WF_HTML_NUMBER_MAX];
    snprintf(words, words_bytes, "p50 %s, p90 %s, p99 %s", wf_html_time(d->p50, p50),
             wf_html_time(d->p90, p90), wf_html_time(d->p99, p99));
}

static void distribution_draw(const distribution_row *row, const wf_html_output *outputs,
                              const curve *curves, size_t n, wf_text *out)
{
    static const char *const colours[CURVES_MOST] = {"c1", "c2", "c3", "c4", "c5", "c6"};
    double low = 1e300, high = 0;
    for (size_t k = 0; k < n; k++) {
        if (curves[k].n == 0) continue;
        if (curves[k].points[0][0] < low) low = curves[k].points[0][0];
        if (curves[k].points[curves[k].n - 1][0] > high)
            high = curves[k].points[curves[k].n - 1][0];
    }
    if (high == 0) return;
    wf_plot plot = {.out = out,
                    .title = row->title,
                    .x_words = "share of values within this time",
                    .x = {low * 0.95, high * 1.05},
                    .y = {0, 1},
                    .log_x = true,
                    .x_numbers = WF_PLOT_TIMES,
                    .y_numbers = WF_PLOT_SHARES};
    char said[4 * WF_HTML_NUMBER_MAX];
    say_percentiles(curves->d, said, sizeof said);
    if (n == 1) plot.said = said;
    for (size_t k = 0; k < n && n > 1; k++)
        plot.keys[k] = (wf_plot_key){outputs[k].path, colours[k]};
    wf_plot_begin(&plot);
    int64_t limit_ns = row->limit == SIZE_MAX
                           ? 0
                           : *(const int64_t *)((const char *)&outputs->limits + row->limit);
    if (limit_ns > 0) wf_plot_mark(&plot, "bad", (double)limit_ns, "limit");
    for (size_t k = 0; k < n; k++)
        wf_plot_line(&plot, colours[k], (const double (*)[2])curves[k].points, curves[k].n);
    if (n == 1) mark_percentiles(&plot, curves->d);
    wf_plot_end(&plot);
}

wf_status wf_pictures_distributions(const wf_html_output *outputs, size_t n, wf_text *out)
{
    if (n > CURVES_MOST) n = CURVES_MOST;
    wf_text_puts(out, "<div class=\"pictures\">\n");
    for (size_t i = 0; i < sizeof distributions / sizeof distributions[0]; i++) {
        const distribution_row *row = &distributions[i];
        curve curves[CURVES_MOST] = {0};
        for (size_t k = 0; k < n; k++) {
            curves[k].d =
                (const wf_distribution *)((const char *)&outputs[k].report.figures + row->figure);
            if (row->gaps)
                gaps_curve(&outputs[k], &curves[k]);
            else
                WF_TRY(latency_curve(&outputs[k], row->latency, &curves[k]));
        }
        distribution_draw(row, outputs, curves, n, out);
    }
    wf_text_puts(out, "</div>\n");
    return WF_OK;
}
