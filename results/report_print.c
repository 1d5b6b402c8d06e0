// The three forms of the report. JSON and CSV use the names of vLLM's serving benchmark.
#include "results/report.h"

#include "io/base/json_writer.h"
#include "io/base/text.h"

#include <inttypes.h>
#include <math.h>

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

// --- text ---

static void print_head(const wf_report *r, FILE *out)
{
    char a[32], b[32];
    const wf_figures *f = &r->figures;
    fprintf(out, "%s%s\n", r->job[0] ? r->job : "results", r->complete ? "" : "  (not complete)");
    fprintf(out, "  %-12s %s\n", "where", r->place);
    fprintf(out, "  %-12s %s on %s\n", "started", r->started, r->hosts[0] ? r->hosts : "?");
    fprintf(out, "  %-12s %zu run%s, %zu group%s\n", "served by", r->n_runs, WF_S(r->n_runs),
            r->n_groups, WF_S(r->n_groups));
    fprintf(out, "\n  %-12s %s done, %s failed; %zu shard%s", "requests", grouped(f->n_done, a),
            grouped(f->n_failed, b), r->n_shards, WF_S(r->n_shards));
    fprintf(out, " with %s row%s\n", grouped(r->n_shard_rows, a), WF_S(r->n_shard_rows));
}

static void print_ends(const wf_report *r, FILE *out)
{
    char a[32];
    const wf_figures *f = &r->figures;
    const char *comma = "";
    fprintf(out, "  %-12s ", "ended by");
    for (int i = 0; i < WF_METRICS_REASONS; i++) {
        if (f->n_finish[i] == 0) continue;
        fprintf(out, "%s%s %s", comma, wf_finish_words((wf_finish)i), grouped(f->n_finish[i], a));
        comma = ", ";
    }
    fprintf(out, "%s\n", comma[0] ? "" : "-");
    for (int i = 0; i < WF_REPORT_ERRORS && r->errors[i].n > 0; i++) {
        fprintf(out, "  %-12s %s %s\n", i == 0 ? "failures" : "", grouped(r->errors[i].n, a),
                wf_status_words((wf_status)r->errors[i].code));
        if (r->errors[i].first[0]) fprintf(out, "  %-12s   first: %s\n", "", r->errors[i].first);
    }
}

static void print_amounts(const wf_report *r, FILE *out)
{
    char a[32], b[32], c[32];
    const wf_figures *f = &r->figures;
    fprintf(out, "  %-12s %s prompt, %s generated\n", "tokens", grouped(f->prompt_tokens, a),
            grouped(f->output_tokens, b));
    fprintf(out, "  %-12s %.2f s\n", "duration", (double)f->duration_ns / 1e9);
    if (r->n_groups > 1)
        fprintf(out, "  %-12s %.1f%%: groups ended after %.2f to %.2f s\n", "balance",
                100.0 * f->balance, (double)f->group_ns[0] / 1e9, (double)f->group_ns[1] / 1e9);
    fprintf(out, "  %-12s %s requests/s, %s generated tokens/s, %s tokens/s in all\n", "throughput",
            per_second(f->request_throughput, a), per_second(f->output_throughput, b),
            per_second(f->total_token_throughput, c));
    if (f->has_goodput) {
        double share = f->n_latency ? 100.0 * (double)f->n_good / (double)f->n_latency : 0;
        fprintf(out, "  %-12s %s requests/s within the limits (%.1f%%)\n", "goodput",
                per_second(f->request_goodput, a), share);
    }
}

static void print_distribution(const char *name, const wf_distribution *d, FILE *out)
{
    char text[6][32];
    const double values[6] = {d->mean, d->p50, d->p90, d->p95, d->p99, d->max};
    if (d->n == 0) return;
    fprintf(out, "  %-12s", name);
    for (int i = 0; i < 6; i++) {
        bool doubtful = i == 4 && d->few;
        const char *mark = doubtful ? "*" : i < 5 ? " " : "";
        fprintf(out, "%10s%s", millis(values[i], text[i]), mark);
    }
    fprintf(out, "\n");
}

static void print_latency(const wf_report *r, FILE *out)
{
    const wf_figures *f = &r->figures;
    static const char *const heads[] = {"mean", "p50", "p90", "p95", "p99", "max"};
    char a[32], b[32];
    if (r->n_resumed > 0) {
        fprintf(out,
                "\n  latencies of %s of %s requests: those of resumed runs are left out "
                "(--with-resumed counts them)\n",
                grouped(f->n_latency, a), grouped(f->n_done, b));
    }
    fprintf(out, "\n  %-12s", "ms");
    for (int i = 0; i < 6; i++)
        fprintf(out, "%10s%s", heads[i], i < 5 ? " " : "");
    fprintf(out, "\n");
    print_distribution("TTFT", &f->ttft, out);
    print_distribution("TPOT", &f->tpot, out);
    print_distribution("ITL", &f->itl, out);
    print_distribution("E2E", &f->e2el, out);
    print_distribution("queue", &f->queue, out);
    print_distribution("schedule lag", &f->lag, out);
    print_distribution("step", &f->step, out);
}

static void print_steps(const wf_figures *f, FILE *out)
{
    char a[32], b[32], c[32];
    if (f->n_steps == 0) return;
    fprintf(out,
            "\n  %-12s %s; %.1f decode rows and %.1f prompt tokens each, at most %d row%s and %d "
            "KV page%s\n",
            "steps", grouped(f->n_steps, a), f->mean_decode_rows, f->mean_prompt_tokens,
            f->max_rows, WF_S(f->max_rows), f->max_kv_pages, WF_S(f->max_kv_pages));
    fprintf(out, "  %-12s %.1f on average, %s at most\n", "waiting", f->mean_waiting,
            grouped((uint64_t)f->max_waiting, a));
    fprintf(out, "  %-12s %s row%s (%s bytes), %s put back\n", "reordered",
            grouped(f->rows_moved, a), WF_S(f->rows_moved), grouped(f->bytes_moved, b),
            grouped(f->rows_put_back, c));
}

static void print_notes(const wf_report *r, FILE *out)
{
    char a[32], b[32];
    const wf_figures *f = &r->figures;
    if (f->n_lag_exceeded > 0) {
        fprintf(out,
                "\n  ! schedule lag passed its tolerance of %s ms for %s request%s, not "
                "submitted\n    when the log says, and these latencies describe another load\n",
                millis((double)f->lag_limit_ns, a), grouped(f->n_lag_exceeded, b),
                WF_S(f->n_lag_exceeded));
    }
    if (f->ttft.few && f->ttft.n > 0)
        fprintf(out, "\n  * fewer than 100 requests: p99 says little\n");
    if (f->itl.approximate) fprintf(out, "\n  ITL percentiles are within 0.1%%\n");
}

void wf_report_text(const wf_report *r, FILE *out)
{
    print_head(r, out);
    print_ends(r, out);
    print_amounts(r, out);
    print_latency(r, out);
    print_steps(&r->figures, out);
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

static void put_counts(wf_json_writer *w, const wf_report *r)
{
    const wf_figures *f = &r->figures;
    wf_json_put_u64(w, "completed", f->n_done);
    wf_json_put_u64(w, "failed", f->n_failed);
    wf_json_put_u64(w, "shard_rows", r->n_shard_rows);
    wf_json_put_u64(w, "resumed_left_out", r->n_resumed);
    wf_json_open_object(w, "finish_reasons");
    for (int i = 0; i < WF_METRICS_REASONS; i++)
        if (f->n_finish[i]) wf_json_put_u64(w, wf_finish_words((wf_finish)i), f->n_finish[i]);
    wf_json_close(w);
    wf_json_open_object(w, "failures");
    for (int i = 0; i < WF_REPORT_ERRORS && r->errors[i].n > 0; i++)
        wf_json_put_u64(w, wf_status_name((wf_status)r->errors[i].code), r->errors[i].n);
    wf_json_close(w);
    wf_json_put_u64(w, "total_input_tokens", f->prompt_tokens);
    wf_json_put_u64(w, "total_output_tokens", f->output_tokens);
    wf_json_put_u64(w, "preempted", f->n_preempted);
    wf_json_put_u64(w, "preemptions", f->preemptions);
}

static void put_rates(wf_json_writer *w, const wf_figures *f)
{
    wf_json_put_f64(w, "duration", (double)f->duration_ns / 1e9);
    wf_json_put_f64(w, "balance", f->balance);
    wf_json_put_f64(w, "request_throughput", f->request_throughput);
    wf_json_put_f64(w, "output_throughput", f->output_throughput);
    wf_json_put_f64(w, "total_token_throughput", f->total_token_throughput);
    if (!f->has_goodput) return;
    wf_json_put_u64(w, "good_completed", f->n_good);
    wf_json_put_f64(w, "request_goodput", f->request_goodput);
}

static void put_steps(wf_json_writer *w, const wf_figures *f)
{
    wf_json_open_object(w, "steps");
    wf_json_put_u64(w, "n", f->n_steps);
    wf_json_put_f64(w, "mean_decode_rows", f->mean_decode_rows);
    wf_json_put_f64(w, "mean_prompt_tokens", f->mean_prompt_tokens);
    wf_json_put_i64(w, "max_rows", f->max_rows);
    wf_json_put_i64(w, "max_kv_pages", f->max_kv_pages);
    wf_json_put_f64(w, "mean_waiting", f->mean_waiting);
    wf_json_put_i64(w, "max_waiting", f->max_waiting);
    wf_json_put_u64(w, "rows_moved", f->rows_moved);
    wf_json_put_u64(w, "bytes_moved", f->bytes_moved);
    wf_json_put_u64(w, "rows_discarded", f->rows_discarded);
    wf_json_put_u64(w, "rows_put_back", f->rows_put_back);
    wf_json_put_f64(w, "busy_s", (double)f->step_busy_ns / 1e9);
    put_distribution(w, "step", &f->step);
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
    wf_json_put_string(w, "job", r->job);
    wf_json_put_string(w, "where", r->place);
    wf_json_put_string(w, "started", r->started);
    wf_json_put_string(w, "hosts", r->hosts);
    wf_json_put_bool(w, "complete", r->complete);
    wf_json_put_u64(w, "runs", r->n_runs);
    wf_json_put_u64(w, "groups", r->n_groups);
    put_counts(w, r);
    put_rates(w, f);
    put_distribution(w, "ttft", &f->ttft);
    put_distribution(w, "tpot", &f->tpot);
    put_distribution(w, "itl", &f->itl);
    wf_json_put_bool(w, "itl_approximate", f->itl.approximate);
    put_distribution(w, "e2el", &f->e2el);
    put_distribution(w, "queue", &f->queue);
    put_distribution(w, "schedule_lag", &f->lag);
    wf_json_put_u64(w, "schedule_lag_exceeded", f->n_lag_exceeded);
    if (f->n_steps > 0) put_steps(w, f);
    wf_json_close(w);
    wf_status st = wf_json_writer_finish(w, &text, &n);
    if (st == WF_OK && fwrite(text, 1, n, out) != n)
        st = wf_fail_errno(WF_IO, "the report cannot be written");
    wf_json_writer_destroy(&w);
    return st;
}

// --- CSV ---

static const struct {
    const char *name;
    size_t offset;
} csv_distributions[] = {
    {"ttft", offsetof(wf_figures, ttft)},   {"tpot", offsetof(wf_figures, tpot)},
    {"itl", offsetof(wf_figures, itl)},     {"e2el", offsetof(wf_figures, e2el)},
    {"queue", offsetof(wf_figures, queue)}, {"schedule_lag", offsetof(wf_figures, lag)},
    {"step", offsetof(wf_figures, step)},
};

enum { N_CSV = sizeof csv_distributions / sizeof csv_distributions[0] };

void wf_report_csv(const wf_report *r, FILE *out)
{
    const wf_figures *f = &r->figures;
    fprintf(out, "job,completed,failed,total_input_tokens,total_output_tokens,duration,"
                 "request_throughput,output_throughput,total_token_throughput,request_goodput");
    for (int i = 0; i < N_CSV; i++) {
        const char *name = csv_distributions[i].name;
        fprintf(out, ",mean_%s_ms,p50_%s_ms,p90_%s_ms,p95_%s_ms,p99_%s_ms,max_%s_ms", name, name,
                name, name, name, name);
    }
    fprintf(out, "\n\"");
    for (const char *c = r->job; *c; c++) {
        if (*c == '"') fputc('"', out);
        fputc(*c, out);
    }
    fprintf(out, "\",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%.6f,%.6f,%.6f,%.6f,",
            f->n_done, f->n_failed, f->prompt_tokens, f->output_tokens,
            (double)f->duration_ns / 1e9, f->request_throughput, f->output_throughput,
            f->total_token_throughput);
    if (f->has_goodput) fprintf(out, "%.6f", f->request_goodput);
    for (int i = 0; i < N_CSV; i++) {
        const wf_distribution *d = (const void *)((const char *)f + csv_distributions[i].offset);
        const double values[6] = {d->mean, d->p50, d->p90, d->p95, d->p99, d->max};
        for (int k = 0; k < 6; k++)
            if (d->n > 0)
                fprintf(out, ",%.6f", values[k] / 1e6);
            else
                fprintf(out, ",");
    }
    fprintf(out, "\n");
}
