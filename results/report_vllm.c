// vLLM's keys, in vLLM's order. See report_vllm.h.
#include "results/report_vllm.h"

#include <inttypes.h>
#include <string.h>

#include "io/base/json_writer.h"
#include "io/base/text.h"
#include "results/report_peaks.h"

// The lists that have an element for each request, in the order of the file.
typedef enum list_kind {
    INPUT_LENS,
    OUTPUT_LENS,
    TTFTS,
    ITLS,
    START_TIMES,
    GENERATED_TEXTS,
    N_LISTS
} list_kind;

static const char *const list_names[N_LISTS] = {"input_lens", "output_lens", "ttfts",
                                                "itls",       "start_times", "generated_texts"};

typedef struct lists {
    wf_text list[N_LISTS];
    wf_json_writer *errors;
    wf_peaks peaks;
    uint64_t n;
    int64_t arrivals_ns[2]; // first and last
} lists;

static void put_seconds(wf_text *text, int64_t ns)
{
    wf_text_printf(text, "%.9f", (double)ns / 1e9);
}

static void put_gaps(wf_text *text, const wf_result *row)
{
    wf_text_puts(text, "[");
    for (uint32_t i = 1; row->token_time_ns && i < row->n_tokens; i++) {
        if (row->token_time_ns[i - 1] < 0) break; // times were not kept for this row
        if (i > 1) wf_text_puts(text, ",");
        put_seconds(text, row->token_time_ns[i] - row->token_time_ns[i - 1]);
    }
    wf_text_puts(text, "]");
}

static wf_status take_row(void *context, const wf_result *row)
{
    lists *l = context;
    bool begun = row->status == WF_RESULT_DONE && row->first_token_ns >= 0;
    for (int i = 0; i < N_LISTS && l->n > 0; i++)
        wf_text_puts(&l->list[i], ",");
    wf_text_printf(&l->list[INPUT_LENS], "%" PRIu32, row->prompt_len);
    wf_text_printf(&l->list[OUTPUT_LENS], "%" PRIu32,
                   row->status == WF_RESULT_DONE ? row->n_tokens : 0);
    put_seconds(&l->list[TTFTS], begun ? row->first_token_ns - row->arrival_ns : 0);
    put_gaps(&l->list[ITLS], row);
    put_seconds(&l->list[START_TIMES], row->arrival_ns);
    wf_text_puts(&l->list[GENERATED_TEXTS], "\"\"");
    wf_json_put_string(l->errors, NULL,
                       row->status == WF_RESULT_DONE ? ""
                       : row->error && row->error[0] ? row->error
                                                     : wf_status_words(row->error_code));
    if (l->n == 0 || row->arrival_ns < l->arrivals_ns[0]) l->arrivals_ns[0] = row->arrival_ns;
    if (l->n == 0 || row->arrival_ns > l->arrivals_ns[1]) l->arrivals_ns[1] = row->arrival_ns;
    l->n++;
    for (int i = 0; i < N_LISTS; i++)
        WF_TRY(l->list[i].st);
    return wf_peaks_add(&l->peaks, row);
}

// "2026-11-30T20:12:53.000Z" as "20261130-201253".
static void put_date(wf_json_writer *w, const char *iso)
{
    char date[16] = "";
    size_t n = 0;
    for (const char *c = iso; *c && *c != '.' && n < sizeof date - 1; c++) {
        if (*c == 'T') date[n++] = '-';
        if (*c >= '0' && *c <= '9') date[n++] = *c;
    }
    date[n] = '\0';
    wf_json_put_string(w, "date", date);
}

static void put_traffic(wf_json_writer *w, const wf_report_job *job, const lists *l)
{
    double span_s = (double)(l->arrivals_ns[1] - l->arrivals_ns[0]) / 1e9;
    if (strcmp(job->mode, "replay") == 0 && span_s > 0)
        wf_json_put_f64(w, "request_rate", (double)(l->n - 1) / span_s);
    else if (job->rate > 0 && strcmp(job->mode, "offline") != 0)
        wf_json_put_f64(w, "request_rate", job->rate);
    else
        wf_json_put_string(w, "request_rate", "inf");
    if (strcmp(job->mode, "gamma") == 0)
        wf_json_put_f64(w, "burstiness", job->burstiness);
    else if (strcmp(job->mode, "constant") == 0)
        wf_json_put_string(w, "burstiness", "inf");
    else if (strcmp(job->mode, "replay") == 0)
        wf_json_put_null(w, "burstiness");
    else
        wf_json_put_f64(w, "burstiness", 1.0);
    wf_json_put_null(w, "max_concurrency");
}

static void put_times(wf_json_writer *w, const char *name, const wf_distribution *d)
{
    const struct {
        const char *statistic;
        double ns;
    } rows[] = {{"mean", d->mean}, {"median", d->p50}, {"std", d->std}, {"p99", d->p99}};
    char key[64];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        snprintf(key, sizeof key, "%s_%s_ms", rows[i].statistic, name);
        wf_json_put_f64(w, key, rows[i].ns / 1e6);
    }
}

static void put_figures(wf_json_writer *w, const wf_figures *f)
{
    wf_json_put_f64(w, "duration", (double)f->duration_ns / 1e9);
    wf_json_put_u64(w, "completed", f->n_done);
    wf_json_put_u64(w, "failed", f->n_failed);
    wf_json_put_u64(w, "total_input_tokens", f->prompt_tokens);
    wf_json_put_u64(w, "total_output_tokens", f->output_tokens);
    wf_json_put_f64(w, "request_throughput", f->request_throughput);
    if (f->has_goodput)
        wf_json_put_f64(w, "request_goodput", f->request_goodput);
    else
        wf_json_put_null(w, "request_goodput");
    wf_json_put_f64(w, "output_throughput", f->output_throughput);
    wf_json_put_f64(w, "total_token_throughput", f->total_token_throughput);
    put_times(w, "ttft", &f->ttft);
    put_times(w, "tpot", &f->tpot);
    put_times(w, "itl", &f->itl);
    put_times(w, "e2el", &f->e2el);
}

static void put_report(wf_json_writer *w, const wf_report *r, const lists *l)
{
    wf_json_open_object(w, NULL);
    put_date(w, r->started);
    wf_json_put_string(w, "endpoint_type", "weft");
    wf_json_put_string(w, "backend", "weft");
    wf_json_put_string(w, "label", r->job.name);
    wf_json_put_string(w, "model_id", r->job.model);
    wf_json_put_string(w, "tokenizer_id", r->job.model);
    wf_json_put_u64(w, "num_prompts", l->n);
    put_traffic(w, &r->job, l);
    put_figures(w, &r->figures);
    wf_json_close(w);
}

// The figures' object, left open for the lists.
static wf_status write_all(const wf_report *r, lists *l, wf_json_writer *w, FILE *out)
{
    const char *text, *errors;
    size_t n, n_errors;
    double tokens_per_s;
    int64_t requests;
    WF_TRY(wf_peaks_find(&l->peaks, &tokens_per_s, &requests));
    put_report(w, r, l);
    WF_TRY(wf_json_writer_finish(w, &text, &n));
    WF_TRY(wf_json_writer_finish(l->errors, &errors, &n_errors));
    fwrite(text, 1, n - strlen("}\n"), out);
    for (int i = 0; i < N_LISTS; i++) {
        fprintf(out, ", \"%s\": [", list_names[i]);
        if (l->list[i].n > 0) fwrite(l->list[i].bytes, 1, l->list[i].n, out);
        fputs("]", out);
    }
    fputs(", \"errors\": ", out);
    fwrite(errors, 1, n_errors - strlen("\n"), out);
    fprintf(out, ", \"max_output_tokens_per_s\": %.1f, \"max_concurrent_requests\": %" PRId64,
            tokens_per_s, requests);
    fputs(", \"rtfx\": 0.0}\n", out); // of audio
    if (fflush(out) != 0 || ferror(out))
        return wf_fail_errno(WF_IO, "the report cannot be written");
    return WF_OK;
}

wf_status wf_report_vllm(const char *const *paths, size_t n, const wf_report_options *options,
                         FILE *out)
{
    wf_status st;
    lists l = {0};
    wf_report report = {0};
    wf_report_options mine = *options;
    wf_json_writer *w = NULL;
    const wf_report_listener listener = {.row = take_row, .context = &l};
    mine.listener = &listener;
    WF_TRY_TO(done, wf_json_writer_create(0, &w));
    WF_TRY_TO(done, wf_json_writer_create(0, &l.errors));
    wf_json_open_array(l.errors, NULL);
    WF_TRY_TO(done, wf_report_make_many(paths, n, &mine, &report));
    wf_json_close(l.errors);
    WF_TRY_TO(done, write_all(&report, &l, w, out));
done:
    for (int i = 0; i < N_LISTS; i++)
        wf_text_free(&l.list[i]);
    wf_peaks_free(&l.peaks);
    wf_json_writer_destroy(&l.errors);
    wf_json_writer_destroy(&w);
    wf_report_destroy(&report);
    return st;
}
