// The three forms of the report, walking the table of figures.
#include "results/report.h"

#include "io/base/clock.h"
#include "io/base/json_writer.h"
#include "io/base/text.h"
#include "results/figures.h"
#include "results/report_blocks.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

// 1234567 as "1,234,567".
static const char *grouped(uint64_t value, char text[32])
{
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%" PRIu64, value);
    char *to = text;
    for (int i = 0; i < n; i++) {
        if (i > 0 && (n - i) % 3 == 0) *to++ = ',';
        *to++ = digits[i];
    }
    *to = '\0';
    return text;
}

// Milliseconds with about four digits that mean something.
static const char *millis(double ns, char text[32])
{
    double ms = ns / 1e6;
    snprintf(text, 32, "%.*f",
             fabs(ms) >= 1000  ? 0
             : fabs(ms) >= 100 ? 1
             : fabs(ms) >= 1   ? 2
                               : 3,
             ms);
    return text;
}

static const char *per_second(double rate, char text[32])
{
    if (rate >= 10000) return grouped((uint64_t)(rate + 0.5), text);
    snprintf(text, 32, "%.*f", rate >= 1000 ? 0 : rate >= 100 ? 1 : 2, rate);
    return text;
}

// --- a figure ---

static const void *figure_at(const wf_figure *row, const wf_figures *f)
{
    return (const char *)f + row->at;
}

static uint64_t count_of(const wf_figure *row, const wf_figures *f)
{
    const void *at = figure_at(row, f);
    return row->kind == WF_FIGURE_COUNT    ? *(const uint64_t *)at
           : row->kind == WF_FIGURE_MOST   ? (uint64_t)*(const int32_t *)at
           : row->kind == WF_FIGURE_MOST64 ? (uint64_t)*(const int64_t *)at
                                           : *(const bool *)at;
}

static bool is_count(const wf_figure *row)
{
    return row->kind == WF_FIGURE_COUNT || row->kind == WF_FIGURE_MOST ||
           row->kind == WF_FIGURE_MOST64;
}

static const char *value_text(const wf_figure *row, const wf_figures *f, char text[32])
{
    if (is_count(row)) return grouped(count_of(row, f), text);
    double value = wf_figure_value(row, f);
    if (row->kind == WF_FIGURE_RATE) return per_second(value, text);
    if (row->kind == WF_FIGURE_SECONDS)
        snprintf(text, 32, "%.2f", value);
    else
        snprintf(text, 32, "%.1f", row->kind == WF_FIGURE_SHARE ? 100.0 * value : value);
    return text;
}

// --- statistics of times ---

enum { N_STATISTICS = 6 };

static const char *const statistics[N_STATISTICS] = {"mean", "p50", "p90", "p95", "p99", "max"};

static void statistics_of(const wf_distribution *d, double values[N_STATISTICS])
{
    const double all[N_STATISTICS] = {d->mean, d->p50, d->p90, d->p95, d->p99, d->max};
    memcpy(values, all, sizeof all);
}

// --- text ---

static bool is_said(const wf_figure *row, const wf_figures *f)
{
    if (row->when == WF_FIGURE_OF_GROUPS && f->most_groups < 2) return false;
    if (row->when == WF_FIGURE_OF_CACHE && f->cached_tokens == 0) return false;
    if (row->when == WF_FIGURE_OF_CHOICE && f->dropped_tokens == 0) return false;
    return row->line && row->kind != WF_FIGURE_TIMES && wf_figure_is_there(row, f);
}

static void print_figure(const wf_figure *row, const wf_figures *f, FILE *out)
{
    char text[32];
    for (const char *c = row->text; *c; c++)
        if (*c == '@')
            fputs(value_text(row, f, text), out);
        else if (*c == '~')
            fputs(WF_S(count_of(row, f)), out);
        else
            fputc(*c, out);
}

// The lines of a part; the last one is left open.
static void print_lines(const wf_figures *f, wf_figure_part part, FILE *out)
{
    const char *line = NULL;
    for (size_t i = 0; i < wf_n_figures; i++) {
        const wf_figure *row = &wf_figure_table[i];
        if (row->part != part || !is_said(row, f)) continue;
        if (!line || strcmp(line, row->line) != 0)
            fprintf(out, "%s  %-12s ", line ? "\n" : "", row->line);
        line = row->line;
        print_figure(row, f, out);
    }
}

static void print_name(const wf_report *r, FILE *out)
{
    fprintf(out, "%s%s\n", r->job.name[0] ? r->job.name : "results",
            r->complete ? "" : "  (not complete)");
}

static void print_head(const wf_report *r, FILE *out)
{
    const wf_report_job *job = &r->job;
    print_name(r, out);
    fprintf(out, "  %-12s %s\n", "where", r->place);
    fprintf(out, "  %-12s %s on %s\n", "started", r->started, r->hosts[0] ? r->hosts : "?");
    if (job->model[0]) fprintf(out, "  %-12s %s, dtype %s\n", "model", job->model, job->dtype);
    if (job->mode[0]) fprintf(out, "  %-12s %s\n", "arrivals", job->arrivals);
    fprintf(out, "  %-12s %zu run%s, ", "served by", r->n_runs, WF_S(r->n_runs));
    if (r->n_started > r->n_groups)
        fprintf(out, "%zu of %zu groups", r->n_groups, r->n_started);
    else
        fprintf(out, "%zu group%s", r->n_groups, WF_S(r->n_groups));
    if (job->tensor > 0) fprintf(out, " of %" PRId64 " rank%s", job->tensor, WF_S(job->tensor));
    fprintf(out, "%s%s\n\n", r->devices[0] ? " on " : "", r->devices);
}

static void print_requests(const wf_report *r, FILE *out)
{
    char a[32];
    print_lines(&r->figures, WF_FIGURES_REQUESTS, out);
    fprintf(out, "; %zu shard%s with %s row%s%s\n", r->n_shards, WF_S(r->n_shards),
            grouped(r->n_shard_rows, a), WF_S(r->n_shard_rows),
            r->has_samples ? "; each sample of a row is counted" : "");
    if (r->n_bad_rows > 0)
        fprintf(out, "  %-12s %s bad row%s of prompts files, counted nowhere below\n", "",
                grouped(r->n_bad_rows, a), WF_S(r->n_bad_rows));
}

static void print_ends(const wf_report *r, FILE *out)
{
    char a[32];
    const wf_figures *f = &r->figures;
    const char *comma = "";
    if (f->n_done > 0) fprintf(out, "  %-12s ", "ended by");
    for (int i = 0; i < WF_METRICS_REASONS; i++) {
        if (f->n_finish[i] == 0) continue;
        fprintf(out, "%s%s %s", comma, wf_finish_words((wf_finish)i), grouped(f->n_finish[i], a));
        comma = ", ";
    }
    if (f->n_done > 0) fprintf(out, "\n");
    for (int i = 0; i < WF_REPORT_ERRORS && r->errors[i].n > 0; i++) {
        fprintf(out, "  %-12s %s %s\n", i == 0 ? "failures" : "", grouped(r->errors[i].n, a),
                wf_status_words((wf_status)r->errors[i].code));
        if (r->errors[i].first[0]) fprintf(out, "  %-12s   first: %s\n", "", r->errors[i].first);
    }
}

static void print_distribution(const char *name, const wf_distribution *d, FILE *out)
{
    char text[32];
    double values[N_STATISTICS];
    if (d->n == 0) return;
    statistics_of(d, values);
    fprintf(out, "  %-12s", name);
    for (int i = 0; i < N_STATISTICS; i++) {
        bool doubtful = i == 4 && d->few;
        const char *mark = doubtful ? "*" : i < N_STATISTICS - 1 ? " " : "";
        fprintf(out, "%10s%s", millis(values[i], text), mark);
    }
    fprintf(out, "\n");
}

static bool has_times(const wf_figures *f)
{
    for (size_t i = 0; i < wf_n_figures; i++) {
        const wf_figure *row = &wf_figure_table[i];
        if (row->kind != WF_FIGURE_TIMES) continue;
        const wf_distribution *d = figure_at(row, f);
        if (d->n > 0) return true;
    }
    return false;
}

static void print_latency(const wf_report *r, FILE *out)
{
    const wf_figures *f = &r->figures;
    char a[32], b[32];
    if (r->warmup_ns > 0) {
        fprintf(out, "\n  the first %.10g s are left out: %s request%s that began in them\n",
                (double)r->warmup_ns / 1e9, grouped(f->n_warmup, a), WF_S(f->n_warmup));
    }
    if (r->n_resumed > 0) {
        fprintf(out,
                "\n  latencies of %s of %s requests: those of resumed runs are left out "
                "(--with-resumed counts them)\n",
                grouped(f->n_latency, a), grouped(f->n_done, b));
    }
    if (!has_times(f)) {
        fprintf(out, "\n  no latencies: %s\n",
                f->n_done > 0 ? "none of these requests counts for them" : "no request was done");
        return;
    }
    fprintf(out, "\n  %-12s", "ms");
    for (int i = 0; i < N_STATISTICS; i++)
        fprintf(out, "%10s%s", statistics[i], i < N_STATISTICS - 1 ? " " : "");
    fprintf(out, "\n");
    for (size_t i = 0; i < wf_n_figures; i++) {
        const wf_figure *row = &wf_figure_table[i];
        if (row->kind == WF_FIGURE_TIMES) print_distribution(row->line, figure_at(row, f), out);
    }
}

// A line for each value of --by, cut where it is long.
static void print_parts(const wf_report *r, FILE *out)
{
    char a[32];
    if (r->parts.n == 0) return;
    fprintf(out, "\n  %-20s%10s%9s%11s%11s%11s%11s%11s%11s%11s\n", r->parts.by, "done", "failed",
            "tokens/s", r->figures.has_goodput ? "good %" : "", "TTFT p50", "p99", "TPOT p50",
            "p99", "E2E p99");
    for (size_t i = 0; i < r->parts.n; i++) {
        const wf_report_part *part = &r->parts.part[i];
        const wf_figures *f = &part->figures;
        const double times[] = {f->ttft.p50, f->ttft.p99, f->tpot.p50, f->tpot.p99, f->e2el.p99};
        fprintf(out, "  %-20.20s", part->value[0] ? part->value : "-");
        fprintf(out, "%10s", grouped(f->n_done, a));
        fprintf(out, "%9s", grouped(f->n_failed, a));
        fprintf(out, "%11s", per_second(f->output_throughput, a));
        snprintf(a, sizeof a, "%.1f", 100 * f->good_share);
        fprintf(out, "%11s", f->has_goodput ? a : "");
        for (size_t k = 0; k < sizeof times / sizeof times[0]; k++)
            fprintf(out, "%11s", millis(times[k], a));
        fputc('\n', out);
    }
}

static void print_lag(const wf_report *r, FILE *out)
{
    char a[32], b[32];
    const wf_figures *f = &r->figures;
    fprintf(out,
            "\n  ! schedule lag passed its tolerance of %s ms for %s request%s, not "
            "submitted\n    when the log says, and these latencies describe another load\n",
            millis((double)f->lag_limit_ns, a), grouped(f->n_lag_exceeded, b),
            WF_S(f->n_lag_exceeded));
}

static void print_notes(const wf_report *r, FILE *out)
{
    const wf_figures *f = &r->figures;
    if (f->n_lag_exceeded > 0) print_lag(r, out);
    if (r->apart_ns > WF_NS_PER_S)
        fprintf(out, "\n  * parts began up to %.0f s apart and are counted as if together\n",
                (double)r->apart_ns / 1e9);
    if (f->ttft.few && f->ttft.n > 0)
        fprintf(out, "\n  * fewer than 100 requests: p99 says little\n");
    if (f->itl.approximate) fprintf(out, "\n  ITL percentiles are within 0.1%%\n");
}

void wf_report_brief(const wf_report *r, FILE *out)
{
    print_name(r, out);
    print_requests(r, out);
    print_ends(r, out);
    print_lines(&r->figures, WF_FIGURES_AMOUNTS, out);
    fputc('\n', out);
    if (strcmp(r->job.mode, "offline") != 0) print_latency(r, out); // what timed jobs are run for
    if (r->figures.n_lag_exceeded > 0) print_lag(r, out);
    fprintf(out, "  %-12s weft report %s\n", "more", r->place);
}

void wf_report_text(const wf_report *r, FILE *out)
{
    print_head(r, out);
    print_requests(r, out);
    print_ends(r, out);
    print_lines(&r->figures, WF_FIGURES_AMOUNTS, out);
    fputc('\n', out);
    print_latency(r, out);
    wf_intervals_print(&r->figures.intervals, out);
    print_parts(r, out);
    if (r->figures.n_steps > 0) {
        fputc('\n', out);
        print_lines(&r->figures, WF_FIGURES_STEPS, out);
        wf_expert_loads_print(&r->experts, out);
        fputc('\n', out);
    }
    print_notes(r, out);
}

// --- JSON ---

static void put_ms(wf_json_writer *w, const char *prefix, const char *name, double ns)
{
    char key[64];
    snprintf(key, sizeof key, "%s_%s_ms", prefix, name);
    wf_json_put_f64(w, key, ns / 1e6);
}

static void put_distribution(wf_json_writer *w, const char *name, const wf_distribution *d)
{
    char key[64];
    if (d->n == 0) return;
    put_ms(w, "mean", name, d->mean);
    put_ms(w, "median", name, d->p50);
    put_ms(w, "std", name, d->std);
    put_ms(w, "min", name, d->min);
    put_ms(w, "max", name, d->max);
    put_ms(w, "p50", name, d->p50);
    put_ms(w, "p90", name, d->p90);
    put_ms(w, "p95", name, d->p95);
    put_ms(w, "p99", name, d->p99);
    snprintf(key, sizeof key, "n_%s", name);
    wf_json_put_u64(w, key, d->n);
}

static void put_figures(wf_json_writer *w, const wf_figures *f, wf_figure_part part)
{
    for (size_t i = 0; i < wf_n_figures; i++) {
        const wf_figure *row = &wf_figure_table[i];
        if (row->part != part || !wf_figure_is_there(row, f)) continue;
        if (row->kind == WF_FIGURE_TIMES)
            put_distribution(w, row->name, figure_at(row, f));
        else if (row->kind == WF_FIGURE_FLAG)
            wf_json_put_bool(w, row->name, count_of(row, f) != 0);
        else if (is_count(row))
            wf_json_put_u64(w, row->name, count_of(row, f));
        else
            wf_json_put_f64(w, row->name, wf_figure_value(row, f));
    }
}

static void put_reasons(wf_json_writer *w, const wf_report *r)
{
    const wf_figures *f = &r->figures;
    wf_json_put_u64(w, "shard_rows", r->n_shard_rows);
    wf_json_put_u64(w, "bad_prompt_rows", r->n_bad_rows);
    wf_json_put_u64(w, "resumed_left_out", r->n_resumed);
    if (r->warmup_ns > 0) {
        wf_json_put_f64(w, "warmup", (double)r->warmup_ns / 1e9);
        wf_json_put_u64(w, "warmup_left_out", f->n_warmup);
    }
    wf_json_open_object(w, "finish_reasons");
    for (int i = 0; i < WF_METRICS_REASONS; i++)
        if (f->n_finish[i]) wf_json_put_u64(w, wf_finish_words((wf_finish)i), f->n_finish[i]);
    wf_json_close(w);
    wf_json_open_object(w, "failures");
    for (int i = 0; i < WF_REPORT_ERRORS && r->errors[i].n > 0; i++)
        wf_json_put_u64(w, wf_status_name((wf_status)r->errors[i].code), r->errors[i].n);
    wf_json_close(w);
}

static void put_parts(wf_json_writer *w, const wf_report *r)
{
    if (!r->parts.by) return;
    wf_json_put_string(w, "by", r->parts.by);
    wf_json_open_array(w, "parts");
    for (size_t i = 0; i < r->parts.n; i++) {
        wf_json_open_object(w, NULL);
        wf_json_put_string(w, "value", r->parts.part[i].value);
        put_figures(w, &r->parts.part[i].figures, WF_FIGURES_REQUESTS);
        put_figures(w, &r->parts.part[i].figures, WF_FIGURES_AMOUNTS);
        wf_json_close(w);
    }
    wf_json_close(w);
}

wf_status wf_report_json(const wf_report *r, FILE *out)
{
    const wf_figures *f = &r->figures;
    wf_json_writer *w = NULL;
    const char *text;
    size_t n;
    WF_TRY(wf_json_writer_create(2, &w));
    wf_json_open_object(w, NULL);
    wf_json_put_string(w, "job", r->job.name);
    wf_json_put_string(w, "where", r->place);
    wf_json_put_string(w, "started", r->started);
    wf_json_put_string(w, "hosts", r->hosts);
    wf_json_put_string(w, "devices", r->devices);
    wf_json_put_string(w, "model", r->job.model);
    wf_json_put_string(w, "dtype", r->job.dtype);
    wf_json_put_string(w, "arrivals", r->job.arrivals);
    wf_json_put_i64(w, "tensor", r->job.tensor);
    wf_json_put_bool(w, "complete", r->complete);
    wf_json_put_u64(w, "runs", r->n_runs);
    wf_json_put_u64(w, "groups", r->n_groups);
    if (r->n_started > 0) wf_json_put_u64(w, "groups_started", r->n_started);
    put_figures(w, f, WF_FIGURES_REQUESTS);
    put_reasons(w, r);
    put_figures(w, f, WF_FIGURES_AMOUNTS);
    wf_intervals_put(w, &f->intervals);
    if (f->n_steps > 0) {
        wf_json_open_object(w, "steps");
        put_figures(w, f, WF_FIGURES_STEPS);
        wf_json_close(w);
        wf_expert_loads_put(w, &r->experts);
    }
    put_parts(w, r);
    wf_json_close(w);
    wf_status st = wf_json_writer_finish(w, &text, &n);
    if (st == WF_OK && fwrite(text, 1, n, out) != n)
        st = wf_fail_errno(WF_IO, "the report cannot be written");
    wf_json_writer_destroy(&w);
    return st;
}

// --- CSV ---

static void csv_heads(const wf_figure *row, FILE *out)
{
    if (row->kind != WF_FIGURE_TIMES) fprintf(out, ",%s", row->name);
    for (int k = 0; row->kind == WF_FIGURE_TIMES && k < N_STATISTICS; k++)
        fprintf(out, ",%s_%s_ms", statistics[k], row->name);
}

// What is not there is an empty field.
static void csv_values(const wf_figure *row, const wf_figures *f, FILE *out)
{
    double values[N_STATISTICS];
    if (row->kind == WF_FIGURE_TIMES) {
        const wf_distribution *d = figure_at(row, f);
        statistics_of(d, values);
        for (int k = 0; k < N_STATISTICS; k++)
            if (d->n > 0)
                fprintf(out, ",%.6f", values[k] / 1e6);
            else
                fputc(',', out);
    } else if (!wf_figure_is_there(row, f)) {
        fputc(',', out);
    } else if (is_count(row)) {
        fprintf(out, ",%" PRIu64, count_of(row, f));
    } else {
        fprintf(out, ",%.6f", wf_figure_value(row, f));
    }
}

static void csv_text(const char *text, FILE *out)
{
    fputc('"', out);
    for (const char *c = text; *c; c++) {
        if (*c == '"') fputc('"', out);
        fputc(*c, out);
    }
    fputc('"', out);
}

static void csv_row(const wf_report *r, const char *value, const wf_figures *f, FILE *out)
{
    csv_text(r->job.name, out);
    if (value) fputc(',', out);
    if (value) csv_text(value, out);
    for (size_t i = 0; i < wf_n_figures; i++)
        if (wf_figure_table[i].csv) csv_values(&wf_figure_table[i], f, out);
    fprintf(out, "\n");
}

void wf_report_csv(const wf_report *r, FILE *out)
{
    fprintf(out, "job");
    if (r->parts.by) fputc(',', out);
    if (r->parts.by) csv_text(r->parts.by, out);
    for (size_t i = 0; i < wf_n_figures; i++)
        if (wf_figure_table[i].csv) csv_heads(&wf_figure_table[i], out);
    fprintf(out, "\n");
    if (!r->parts.by) csv_row(r, NULL, &r->figures, out);
    for (size_t i = 0; i < r->parts.n; i++)
        csv_row(r, r->parts.part[i].value, &r->parts.part[i].figures, out);
}
