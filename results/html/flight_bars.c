// Requests in flight. See flight_bars.h.
#include "results/html/flight_bars.h"

#include <stdio.h>

#include "results/html/flight_zoom.h"
#include "results/html/markup.h"
#include "results/html/series.h"
#include "results/html/svg.h"

typedef struct part {
    const char *words, *style;
} part;

enum { WAITING, PROMPT, TOKENS, N_PARTS };

#define BAR_LEAST 0.8 // units wide: of a long run, every bar is still a dot

static const part parts[N_PARTS] = {{"waiting", "wait"}, {"prompt", "c2"}, {"generating", "c1"}};

static void part_times(const wf_html_row *r, int which, int64_t times[2])
{
    const int64_t at[] = {r->arrival_ns, r->admitted_ns, r->first_ns, r->finish_ns};
    times[0] = at[which];
    times[1] = at[which + 1];
}

void wf_flight_mark_runs(const wf_plot *plot, const wf_html_output *o)
{
    char words[32];
    for (size_t i = 1; i < o->n_runs; i++) {
        double at = (double)o->runs[i].start_ns / 1e9;
        snprintf(words, sizeof words, "run %u", o->runs[i].run);
        if (at > plot->x[0] && at < plot->x[1]) wf_plot_mark(plot, "soft", at, words);
    }
}

// One path for each part of all bars: small, and quick to draw.
static void bars_draw(const wf_plot *plot, const wf_html_output *o, size_t first, size_t every,
                      size_t n)
{
    for (int which = 0; which < N_PARTS; which++) {
        wf_text_printf(plot->out, "<path class=\"bar %s\" style=\"stroke-width:%.2f\" d=\"",
                       parts[which].style, 0.75 * (plot->height - 44) / (double)n);
        for (size_t k = 0; k < n; k++) {
            int64_t times[2];
            part_times(&o->rows[first + k * every], which, times);
            if (times[0] < 0 || times[1] < times[0]) continue;
            double from = wf_plot_x(plot, (double)times[0] / 1e9);
            double to = wf_plot_x(plot, (double)times[1] / 1e9);
            if (which == TOKENS && to < from + BAR_LEAST) to = from + BAR_LEAST;
            if (to - from < 0.05) continue;
            wf_text_printf(plot->out, "M%.1f %.1fH%.1f", from, wf_plot_y(plot, (double)k + 0.5),
                           to);
        }
        wf_text_puts(plot->out, "\"/>\n");
    }
    for (size_t k = 0; k < n; k++) {
        const wf_html_row *r = &o->rows[first + k * every];
        if (!r->done)
            wf_text_printf(plot->out, "<circle class=\"dot bad\" cx=\"%.1f\" cy=\"%.1f\" r=\"2\"/>",
                           wf_plot_x(plot, (double)r->arrival_ns / 1e9),
                           wf_plot_y(plot, (double)k + 0.5));
    }
}

static void flight_draw(const wf_html_output *o, const char *title, size_t first, size_t every,
                        size_t n, const double x[2], wf_text *out)
{
    char note[128] = "A bar is a request, the earliest at the top.";
    if (every > 1)
        snprintf(note, sizeof note,
                 "A bar is a request, the earliest at the top; one of %zu is drawn.", every);
    wf_plot plot = {.out = out,
                    .title = title,
                    .x_words = "seconds",
                    .note = note,
                    .width = 920,
                    .height = 80 + 1.5 * (double)(n > 40 ? n : 40),
                    .x = {x[0], x[1]},
                    .y = {(double)n, 0},
                    .wide = true,
                    .bare_y = true};
    for (int i = 0; i < N_PARTS; i++)
        plot.keys[i] = (wf_plot_key){parts[i].words, parts[i].style};
    wf_plot_begin(&plot);
    bars_draw(&plot, o, first, every, n);
    wf_flight_mark_runs(&plot, o);
    wf_plot_end(&plot);
}

// The first of WF_FLIGHT_CLOSER consecutive requests around the time when most were in the system.
static size_t busiest(const wf_html_output *o)
{
    double batch[WF_HTML_BINS], waiting[WF_HTML_BINS];
    size_t most = 0, i = 0;
    wf_series_in_batch(o, batch);
    wf_series_waiting(o, waiting);
    for (size_t k = 1; k < o->n_bins; k++)
        if (batch[k] + waiting[k] > batch[most] + waiting[most]) most = k;
    while (i < o->n_rows &&
           (double)o->rows[i].arrival_ns < (double)o->length_ns * (double)most / (double)o->n_bins)
        i++;
    i = i > WF_FLIGHT_CLOSER / 2 ? i - WF_FLIGHT_CLOSER / 2 : 0;
    return i + WF_FLIGHT_CLOSER > o->n_rows ? o->n_rows - WF_FLIGHT_CLOSER : i;
}

wf_status wf_flight_draw(const wf_html_output *o, wf_text *out)
{
    size_t every = (o->n_rows + WF_FLIGHT_BARS - 1) / WF_FLIGHT_BARS;
    const double whole[2] = {0, (double)o->length_ns / 1e9};
    flight_draw(o, "Requests in flight", 0, every, (o->n_rows + every - 1) / every, whole, out);
    WF_TRY(wf_flight_zoom_put(o, out));
    if (every == 1) return WF_OK;
    size_t first = busiest(o);
    double x[2] = {(double)o->rows[first].arrival_ns / 1e9, 0};
    for (size_t i = first; i < first + WF_FLIGHT_CLOSER; i++)
        if ((double)o->rows[i].finish_ns / 1e9 > x[1]) x[1] = (double)o->rows[i].finish_ns / 1e9;
    flight_draw(o, "The busiest time, closer", first, 1, WF_FLIGHT_CLOSER, x, out);
    return WF_OK;
}
