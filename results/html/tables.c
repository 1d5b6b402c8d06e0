// Tables. See tables.h.
#include "results/html/tables.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/arena.h"
#include "results/figures.h"
#include "results/html/markup.h"
#include "results/html/series.h"
#include "results/report_blocks.h"

static void open_table(wf_text *out, const char *const *heads, size_t n)
{
    wf_text_puts(out, "<div class=\"frame\"><table>\n<thead><tr>");
    for (size_t i = 0; i < n; i++) {
        wf_text_puts(out, "<th>");
        wf_html_put_cut(out, heads[i], 48);
        wf_text_puts(out, "</th>");
    }
    wf_text_puts(out, "</tr></thead>\n<tbody>\n");
}

static void close_table(wf_text *out)
{
    wf_text_puts(out, "</tbody></table></div>\n");
}

static void put_head(wf_text *out, const char *words)
{
    wf_text_puts(out, "<tr><th>");
    wf_html_put_cut(out, words, 80);
    wf_text_puts(out, "</th>");
}

static void put_time(wf_text *out, double ns)
{
    char text[WF_HTML_NUMBER_MAX];
    wf_text_printf(out, "<td>%s</td>", wf_html_time(ns, text));
}

static void put_number(wf_text *out, double value)
{
    char text[WF_HTML_NUMBER_MAX];
    wf_text_printf(out, "<td>%s</td>", wf_html_number(value, text));
}

// --- limits ---

typedef struct limit_row {
    const char *words;
    wf_html_latency latency;
    size_t limit, figure; // of wf_goodput_limits, wf_figures
} limit_row;

static const limit_row limit_rows[] = {
    {"TTFT", WF_HTML_TTFT, offsetof(wf_goodput_limits, ttft_ns), offsetof(wf_figures, ttft)},
    {"TPOT", WF_HTML_TPOT, offsetof(wf_goodput_limits, tpot_ns), offsetof(wf_figures, tpot)},
    {"E2E", WF_HTML_E2EL, offsetof(wf_goodput_limits, e2el_ns), offsetof(wf_figures, e2el)},
};

// The share of values up to the limit.
static double share_within(const wf_html_output *o, wf_html_latency which, int64_t limit_ns)
{
    double *v;
    size_t n, within = 0;
    if (wf_series_latency(o, which, &v, &n) != WF_OK) return 0;
    while (within < n && v[within] <= (double)limit_ns)
        within++;
    free(v);
    return n > 0 ? (double)within / (double)n : 0;
}

void wf_table_limits(const wf_html_output *o, wf_text *out)
{
    static const char *const heads[] = {"limit", "at most", "p50", "p99", "within", "at p99"};
    open_table(out, heads, 6);
    for (size_t i = 0; i < sizeof limit_rows / sizeof limit_rows[0]; i++) {
        const limit_row *row = &limit_rows[i];
        int64_t ns = *(const int64_t *)((const char *)&o->limits + row->limit);
        const wf_distribution *d =
            (const wf_distribution *)((const char *)&o->report.figures + row->figure);
        if (ns == 0) continue;
        bool kept = d->n > 0 && d->p99 <= (double)ns;
        put_head(out, row->words);
        put_time(out, (double)ns);
        put_time(out, d->p50);
        put_time(out, d->p99);
        wf_text_printf(out, "<td>%.2f%%</td>", 100 * share_within(o, row->latency, ns));
        wf_text_printf(out, "<td class=\"%s\">%s</td></tr>\n", kept ? "ok" : "bad",
                       kept ? "kept" : "exceeded");
    }
    close_table(out);
}

// --- latency and parts ---

void wf_table_latency(const wf_html_output *o, wf_text *out)
{
    static const char *const heads[] = {"", "mean", "p50", "p90", "p95", "p99", "max"};
    open_table(out, heads, 7);
    for (size_t i = 0; i < wf_n_figures; i++) {
        const wf_figure *row = &wf_figure_table[i];
        const wf_distribution *d =
            (const wf_distribution *)((const char *)&o->report.figures + row->at);
        if (row->kind != WF_FIGURE_TIMES || d->n == 0) continue;
        const double times[] = {d->mean, d->p50, d->p90, d->p95, d->p99, d->max};
        wf_text_puts(out, "<tr><th title=\"");
        wf_html_put(out, row->definition);
        wf_text_printf(out, "\">%s</th>", row->line);
        for (size_t k = 0; k < sizeof times / sizeof times[0]; k++)
            put_time(out, times[k]);
        wf_text_puts(out, "</tr>\n");
    }
    close_table(out);
}

void wf_table_intervals(const wf_html_output *o, wf_text *out)
{
    static const char *const heads[] = {"95% interval", "mean of blocks", "from", "to", "blocks"};
    const wf_intervals *v = &o->report.figures.intervals;
    open_table(out, heads, 5);
    for (int i = 0; i < WF_N_INTERVALS; i++) {
        const wf_interval *x = &v->of[i];
        const wf_interval_name *name = &wf_interval_names[i];
        const double ends[] = {x->mean, x->mean - x->half, x->mean + x->half};
        bool is_time = name->statistic[0] != '\0';
        if (x->n < 2) continue;
        wf_text_printf(out, "<tr><th>%s%s%s</th>", name->statistic, is_time ? "_" : "",
                       name->figure);
        for (size_t k = 0; k < sizeof ends / sizeof ends[0]; k++)
            if (is_time)
                put_time(out, ends[k]);
            else
                put_number(out, ends[k]);
        put_number(out, (double)x->n);
        wf_text_puts(out, "</tr>\n");
    }
    close_table(out);
}

void wf_table_parts(const wf_html_output *o, wf_text *out)
{
    const wf_report_parts *parts = &o->report.parts;
    const char *const heads[] = {parts->by,  "done",     "failed",   "tokens/s", "TTFT p50",
                                 "TTFT p99", "TPOT p50", "TPOT p99", "E2E p99",  "within limits"};
    size_t n_heads = o->report.figures.has_goodput ? 10 : 9;
    open_table(out, heads, n_heads);
    for (size_t i = 0; i < parts->n; i++) {
        const wf_figures *f = &parts->part[i].figures;
        put_head(out, parts->part[i].value[0] ? parts->part[i].value : "-");
        put_number(out, (double)f->n_done);
        put_number(out, (double)f->n_failed);
        put_number(out, f->output_throughput);
        const double times[] = {f->ttft.p50, f->ttft.p99, f->tpot.p50, f->tpot.p99, f->e2el.p99};
        for (size_t k = 0; k < sizeof times / sizeof times[0]; k++)
            put_time(out, times[k]);
        if (n_heads == 10) wf_text_printf(out, "<td>%.1f%%</td>", 100 * f->good_share);
        wf_text_puts(out, "</tr>\n");
    }
    close_table(out);
}

// --- steps ---

typedef struct step_kind {
    const char *words;
    bool prompts, decode;
} step_kind;

static const step_kind step_kinds[] = {
    {"decode alone", false, true}, {"prompts alone", true, false}, {"both, fused", true, true}};

typedef struct kind_sum {
    double *took; // [n] ns
    size_t n, capacity;
    double busy_ns, rows, prompt_tokens;
} kind_sum;

static wf_status kind_add(const wf_html_output *o, const step_kind *kind, kind_sum *sum)
{
    for (size_t i = 0; i < o->n_steps; i++) {
        const wf_html_step *s = &o->steps[i];
        if ((s->n_prompt_tokens > 0) != kind->prompts || (s->n_decode > 0) != kind->decode)
            continue;
        WF_TRY(wf_grow(sum->n + 1, sizeof *sum->took, &sum->capacity, &sum->took));
        sum->took[sum->n++] = (double)s->duration_ns;
        sum->busy_ns += (double)s->duration_ns;
        sum->rows += s->n_decode;
        sum->prompt_tokens += s->n_prompt_tokens;
    }
    return WF_OK;
}

static void kind_put(const step_kind *kind, const kind_sum *sum, double all_ns, wf_text *out)
{
    double share = all_ns > 0 ? 100 * sum->busy_ns / all_ns : 0;
    const wf_distribution d = wf_distribution_of(sum->took, sum->n);
    put_head(out, kind->words);
    put_number(out, (double)sum->n);
    wf_text_printf(out, "<td class=\"share\"><span style=\"width:%.1f%%\"></span>%.1f%%</td>",
                   share * 0.6, share);
    put_time(out, d.mean);
    put_time(out, d.p50);
    put_time(out, d.p99);
    put_number(out, sum->rows / (double)sum->n);
    put_number(out, sum->prompt_tokens / (double)sum->n);
    wf_text_puts(out, "</tr>\n");
}

wf_status wf_table_steps(const wf_html_output *o, wf_text *out)
{
    static const char *const heads[] = {"steps", "number", "share of their time", "mean",
                                        "p50",   "p99",    "decode rows",         "prompt tokens"};
    wf_status st = WF_OK;
    open_table(out, heads, 8);
    for (size_t i = 0; i < sizeof step_kinds / sizeof step_kinds[0] && st == WF_OK; i++) {
        kind_sum sum = {0};
        st = kind_add(o, &step_kinds[i], &sum);
        if (st == WF_OK && sum.n > 0)
            kind_put(&step_kinds[i], &sum, (double)o->report.figures.step_busy_ns, out);
        free(sum.took);
    }
    close_table(out);
    return st;
}

void wf_table_experts(const wf_html_output *o, wf_text *out)
{
    static const char *const heads[] = {"layer with experts", "fullest to mean", "fullest expert",
                                        "experts untouched"};
    const wf_expert_loads *loads = &o->report.experts;
    open_table(out, heads, 4);
    for (size_t i = 0; i < loads->n_layers; i++) {
        wf_expert_layer of = wf_expert_loads_layer(loads, i);
        char words[32];
        snprintf(words, sizeof words, "%zu", i);
        put_head(out, words);
        double bar = of.imbalance * 60 / (double)loads->n_experts;
        wf_text_printf(out, "<td class=\"share\"><span style=\"width:%.1f%%\"></span>%.2f</td>",
                       bar, of.imbalance);
        wf_text_printf(out, "<td>%zu</td>", of.fullest);
        wf_text_printf(out, "<td>%zu of %zu</td></tr>\n", of.n_untouched, loads->n_experts);
    }
    close_table(out);
}

void wf_table_failures(const wf_html_output *o, wf_text *out)
{
    const wf_report *r = &o->report;
    wf_text_puts(out, "<div class=\"frame\"><table>\n<thead><tr><th>why</th><th>requests</th>"
                      "<th class=\"words\">the first says</th></tr></thead>\n<tbody>\n");
    for (int i = 0; i < WF_REPORT_ERRORS && r->errors[i].n > 0; i++) {
        put_head(out, wf_status_words((wf_status)r->errors[i].code));
        put_number(out, (double)r->errors[i].n);
        wf_text_puts(out, "<td class=\"words\">");
        wf_html_put(out, r->errors[i].first);
        wf_text_puts(out, "</td></tr>\n");
    }
    close_table(out);
}

// --- all figures ---

// Of output k to the first; below 0: not known.
static double ratio_half(const wf_html_output *outputs, size_t k, const char *figure,
                         const char *statistic)
{
    return wf_interval_ratio_half(
        wf_interval_of(&outputs[k].report.figures.intervals, figure, statistic),
        wf_interval_of(&outputs[0].report.figures.intervals, figure, statistic));
}

// One number, and how it compares with the first output's.
static void put_compared(wf_text *out, double value, double first, bool compare, double ratio_half)
{
    if (isnan(value))
        wf_text_puts(out, "<td>-</td>");
    else
        put_number(out, value);
    if (!compare) return;
    if (first > 0 && isfinite(value / first) && ratio_half >= 0)
        wf_text_printf(out, "<td class=\"ratio\">%.2f &#177; %.2f</td>", value / first, ratio_half);
    else if (first > 0 && isfinite(value / first))
        wf_text_printf(out, "<td class=\"ratio\">%.2f</td>", value / first);
    else
        wf_text_puts(out, "<td class=\"ratio\">-</td>");
}

static void put_figure_head(wf_text *out, const wf_figure *row, const char *statistic,
                            const char *unit)
{
    bool step = row->part == WF_FIGURES_STEPS && row->kind != WF_FIGURE_TIMES;
    wf_text_puts(out, "<tr><th title=\"");
    wf_html_put(out, row->definition);
    wf_text_printf(out, "\">%s%s%s%s <i>%s</i></th>", step ? "steps." : "", statistic,
                   statistic[0] ? "_" : "", row->name, unit);
}

static void put_times(wf_text *out, const wf_figure *row, const wf_html_output *outputs, size_t n,
                      bool brief)
{
    static const struct {
        const char *words;
        size_t at;
        bool brief;
    } statistics[] = {{"mean", offsetof(wf_distribution, mean), false},
                      {"p50", offsetof(wf_distribution, p50), true},
                      {"p90", offsetof(wf_distribution, p90), false},
                      {"p99", offsetof(wf_distribution, p99), true}};
    for (size_t i = 0; i < sizeof statistics / sizeof statistics[0]; i++) {
        if (brief && !statistics[i].brief) continue;
        double first = 0;
        put_figure_head(out, row, statistics[i].words, "ms");
        for (size_t k = 0; k < n; k++) {
            const wf_distribution *d =
                (const wf_distribution *)((const char *)&outputs[k].report.figures + row->at);
            double ns = *(const double *)((const char *)d + statistics[i].at);
            double ms = d->n > 0 ? ns / 1e6 : (double)NAN; // there are none
            if (k == 0) first = ms;
            put_compared(out, ms, first, k > 0,
                         ratio_half(outputs, k, row->name, statistics[i].words));
        }
        wf_text_puts(out, "</tr>\n");
    }
}

void wf_table_figures(const wf_html_output *outputs, size_t n, bool brief, wf_text *out)
{
    wf_text_puts(out, "<div class=\"frame\"><table>\n<thead><tr><th></th>");
    for (size_t k = 0; k < n; k++) {
        wf_text_puts(out, "<th>");
        wf_html_put_end(out, n > 1 ? outputs[k].path : "", 40);
        wf_text_puts(out, k > 0 ? "</th><th>/ first</th>" : "</th>");
    }
    wf_text_puts(out, "</tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < wf_n_figures; i++) {
        const wf_figure *row = &wf_figure_table[i];
        if (!wf_figure_is_there(row, &outputs[0].report.figures) || (brief && !row->csv)) continue;
        if (row->kind == WF_FIGURE_TIMES) {
            put_times(out, row, outputs, n, brief);
            continue;
        }
        put_figure_head(out, row, "", row->unit);
        double first = wf_figure_value(row, &outputs[0].report.figures);
        for (size_t k = 0; k < n; k++)
            put_compared(out, wf_figure_value(row, &outputs[k].report.figures), first, k > 0,
                         ratio_half(outputs, k, row->name, ""));
        wf_text_puts(out, "</tr>\n");
    }
    close_table(out);
}
