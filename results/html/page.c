// The page from top to bottom. See page.h.
#include "results/html/page.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "results/html/flight_zoom.h"
#include "results/html/markup.h"
#include "results/html/pictures.h"
#include "results/html/style.h"
#include "results/html/tables.h"

static const char *name_of(const wf_html_output *o)
{
    return o->report.job.name[0] ? o->report.job.name : "results";
}

static void put_tag(wf_text *out, const char *tag, const char *style, const char *words)
{
    wf_text_printf(out, style ? "<%s class=\"%s\">" : "<%s>", tag, style);
    wf_html_put(out, words);
    wf_text_printf(out, "</%s>\n", tag);
}

static void put_title(wf_text *out, const char *tag, const wf_html_output *o)
{
    const wf_report_job *job = &o->report.job;
    put_tag(out, tag, NULL, name_of(o));
    wf_text_puts(out, "<p class=\"sub\">");
    wf_html_put(out, job->model[0] ? job->model : "a model");
    if (job->arrivals[0]) wf_text_puts(out, " \xC2\xB7 ");
    wf_html_put(out, job->arrivals);
    if (o->report.devices[0]) wf_text_puts(out, " \xC2\xB7 ");
    wf_html_put(out, o->report.devices);
    wf_text_puts(out, "</p>\n");
}

// --- verdict ---

static void put_warnings(wf_text *out, const wf_html_output *o)
{
    const wf_report *r = &o->report;
    const wf_figures *f = &r->figures;
    char n[WF_HTML_NUMBER_MAX], all[WF_HTML_NUMBER_MAX];
    if (!r->complete)
        put_tag(out, "p", "warn", "Not complete: more is to come that is not in this report.");
    if (f->n_failed > 0)
        wf_text_printf(out, "<p class=\"warn\">%s of %s requests failed.</p>\n",
                       wf_html_number((double)f->n_failed, n),
                       wf_html_number((double)f->n_rows, all));
    if (f->n_lag_exceeded > 0)
        wf_text_printf(out,
                       "<p class=\"warn\">%s requests were not submitted when the log says: these "
                       "latencies describe another load.</p>\n",
                       wf_html_number((double)f->n_lag_exceeded, n));
    if (r->n_resumed > 0)
        wf_text_printf(out,
                       "<p class=\"warn\">Latencies leave out %s requests that a resumed run did "
                       "again.</p>\n",
                       wf_html_number((double)r->n_resumed, n));
    if (f->ttft.few && f->ttft.n > 0)
        put_tag(out, "p", "sub", "Fewer than 100 requests: p99 says little.");
}

static void put_verdict(wf_text *out, const wf_html_output *o)
{
    const wf_figures *f = &o->report.figures;
    char n[WF_HTML_NUMBER_MAX], rate[WF_HTML_NUMBER_MAX];
    put_warnings(out, o);
    if (!f->has_goodput) return;
    wf_text_printf(out,
                   "<p class=\"verdict\"><b>%.1f%%</b> of %s requests kept every limit: "
                   "<b>%s</b> requests/s of goodput.</p>\n",
                   100 * f->good_share, wf_html_number((double)f->n_latency, n),
                   wf_html_number(f->request_goodput, rate));
    wf_table_limits(o, out);
}

static void put_tile(wf_text *out, const char *value, const char *words)
{
    wf_text_puts(out, "<div class=\"tile\"><b>");
    wf_html_put(out, value);
    wf_text_puts(out, "</b><span>");
    wf_html_put(out, words);
    wf_text_puts(out, "</span></div>\n");
}

static void put_tiles(wf_text *out, const wf_html_output *o)
{
    const wf_figures *f = &o->report.figures;
    const struct {
        const char *words;
        double value;
    } numbers[] = {{"requests done", (double)f->n_done},
                   {"requests per second", f->request_throughput},
                   {"generated tokens per second", f->output_throughput}};
    const struct {
        const char *words;
        const wf_distribution *d;
        double ns;
    } times[] = {{"median time to first token", &f->ttft, f->ttft.p50},
                 {"median time per output token", &f->tpot, f->tpot.p50},
                 {"p99 end to end", &f->e2el, f->e2el.p99}};
    char text[WF_HTML_NUMBER_MAX];
    wf_text_puts(out, "<div class=\"tiles\">\n");
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        put_tile(out, wf_html_number(numbers[i].value, text), numbers[i].words);
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
        if (times[i].d->n > 0) put_tile(out, wf_html_time(times[i].ns, text), times[i].words);
    wf_text_puts(out, "</div>\n");
}

// --- what was run ---

static void put_fact(wf_text *out, const char *what, const char *words)
{
    if (!words[0]) return;
    put_tag(out, "dt", NULL, what);
    put_tag(out, "dd", NULL, words);
}

static wf_status put_facts(wf_text *out, const wf_html_output *o)
{
    const wf_report *r = &o->report;
    wf_text served = {0}, amounts = {0};
    char a[WF_HTML_NUMBER_MAX], b[WF_HTML_NUMBER_MAX], c[WF_HTML_NUMBER_MAX];
    wf_text_printf(&served, "%zu run%s, ", r->n_runs, WF_S(r->n_runs));
    if (r->n_started > r->n_groups)
        wf_text_printf(&served, "%zu of %zu groups", r->n_groups, r->n_started);
    else
        wf_text_printf(&served, "%zu group%s", r->n_groups, WF_S(r->n_groups));
    if (r->job.tensor > 0)
        wf_text_printf(&served, " of %" PRId64 " rank%s", r->job.tensor, WF_S(r->job.tensor));
    wf_text_printf(&amounts, "%s prompt tokens, %s generated, in %s s",
                   wf_html_number((double)r->figures.prompt_tokens, a),
                   wf_html_number((double)r->figures.output_tokens, b),
                   wf_html_number((double)r->figures.duration_ns / 1e9, c));
    wf_text_puts(out, "<h2>What was run</h2>\n<dl>\n");
    put_fact(out, "model", r->job.model);
    put_fact(out, "dtype", r->job.dtype);
    put_fact(out, "arrivals", r->job.arrivals);
    put_fact(out, "amounts", amounts.st == WF_OK ? amounts.bytes : "");
    put_fact(out, "served by", served.st == WF_OK ? served.bytes : "");
    put_fact(out, "devices", r->devices);
    put_fact(out, "hosts", r->hosts);
    put_fact(out, "started", r->started);
    put_fact(out, "versions", o->versions);
    put_fact(out, "output", r->place);
    wf_text_puts(out, "</dl>\n");
    wf_status st = served.st != WF_OK ? served.st : amounts.st;
    wf_text_free(&served);
    wf_text_free(&amounts);
    return st;
}

// The commands, and the resolved job file that they need.
static wf_status put_again(wf_text *out, const wf_html_output *o)
{
    static const char *const commands[] = {"weft run job.yaml --out ", "weft check ",
                                           "weft report --html report.html "};
    wf_text line = {0};
    wf_text_puts(out,
                 "<h2>To do it again</h2>\n<p>With the job file below as job.yaml:</p>\n<pre>");
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        wf_text_puts(&line, commands[i]);
        wf_text_put_shell(&line, o->path);
        wf_text_puts(&line, "\n");
    }
    if (line.st == WF_OK) wf_html_put(out, line.bytes);
    wf_text_puts(out,
                 "</pre>\n<details><summary>the job file, as it was resolved</summary>\n<pre>");
    wf_html_put(out, o->job_text);
    wf_text_puts(out, "</pre></details>\n");
    wf_status st = line.st;
    wf_text_free(&line);
    return st;
}

// --- sections ---

static void put_intervals(wf_text *out, const wf_html_output *o)
{
    const wf_intervals *v = &o->report.figures.intervals;
    if (v->n_blocks == 0 || v->are_thin) return;
    wf_text_printf(out, "<details><summary>95%% intervals by %zu blocks of %.3g s</summary>\n",
                   v->n_blocks, v->block_ns / 1e9);
    if (v->are_short)
        wf_text_puts(out, "<p class=\"sub\">Blocks last less than 5 mean E2E: neighbours hang "
                          "together, and the intervals are too narrow.</p>\n");
    wf_table_intervals(o, out);
    wf_text_puts(out, "</details>\n");
}

static wf_status put_output(wf_text *out, const wf_html_output *o, bool alone)
{
    put_verdict(out, o);
    put_tiles(out, o);
    wf_text_puts(out, "<h2>Latency</h2>\n");
    wf_table_latency(o, out);
    put_intervals(out, o);
    if (alone) WF_TRY(wf_pictures_distributions(o, 1, out));
    if (o->report.parts.n > 0) {
        wf_text_puts(out, "<h2>By ");
        wf_html_put(out, o->report.parts.by);
        wf_text_puts(out, "</h2>\n");
        wf_table_parts(o, out);
    }
    wf_text_puts(out, "<h2>Over time</h2>\n");
    WF_TRY(wf_pictures_draw(o, out));
    if (o->n_steps > 0) {
        wf_text_puts(out, "<h2>Steps by kind</h2>\n");
        WF_TRY(wf_table_steps(o, out));
    }
    if (o->report.experts.n_layers > 0) {
        wf_text_puts(out, "<h2>Experts</h2>\n");
        wf_table_experts(o, out);
    }
    if (o->report.figures.n_failed > 0) {
        wf_text_puts(out, "<h2>Failures</h2>\n");
        wf_table_failures(o, out);
    }
    WF_TRY(put_facts(out, o));
    if (alone) {
        wf_text_puts(out, "<details><summary>all figures</summary>\n");
        wf_table_figures(o, 1, false, out);
        wf_text_puts(out, "</details>\n");
    }
    return put_again(out, o);
}

static wf_status put_several(wf_text *out, const wf_html_output *outputs, size_t n)
{
    wf_text_printf(out, "<h1>%zu outputs, side by side</h1>\n<p class=\"sub\">", n);
    for (size_t i = 0; i < n; i++) {
        if (i > 0) wf_text_puts(out, " \xC2\xB7 ");
        wf_html_put(out, outputs[i].path);
    }
    wf_text_puts(out, "</p>\n<h2>Latency</h2>\n");
    WF_TRY(wf_pictures_distributions(outputs, n, out));
    wf_text_puts(out, "<h2>Figures</h2>\n");
    wf_table_figures(outputs, n, true, out);
    wf_text_puts(out, "<details><summary>all figures</summary>\n");
    wf_table_figures(outputs, n, false, out);
    wf_text_puts(out, "</details>\n");
    for (size_t i = 0; i < n; i++) {
        put_title(out, "h3", &outputs[i]);
        WF_TRY(put_output(out, &outputs[i], false));
    }
    return WF_OK;
}

void wf_html_page_begin(const char *title, wf_text *out)
{
    wf_text_puts(out, "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n"
                      "<head>\n<meta charset=\"utf-8\"/>\n<meta name=\"viewport\" "
                      "content=\"width=device-width, initial-scale=1\"/>\n<title>");
    wf_html_put(out, title);
    wf_text_printf(out, "</title>\n<style>\n%s</style>\n</head>\n<body>\n", wf_html_style);
}

void wf_html_page_end(wf_text *out)
{
    wf_text_puts(out, "</body>\n</html>\n");
}

wf_status wf_html_page(const wf_html_output *outputs, size_t n, wf_text *out)
{
    char title[256];
    snprintf(title, sizeof title, "%s%s", name_of(&outputs[0]), n > 1 ? " and others" : "");
    wf_html_page_begin(title, out);
    if (n == 1) put_title(out, "h1", outputs);
    WF_TRY(n == 1 ? put_output(out, outputs, true) : put_several(out, outputs, n));
    wf_flight_zoom_script(out);
    wf_html_page_end(out);
    return out->st;
}
