// The progress line as text. Pure. See progress.h.
#include <stdarg.h>
#include <stdio.h>

#include "io/base/clock.h"
#include "io/base/text.h"
#include "jobs/watch/progress.h"
#include "jobs/watch/words.h"

typedef struct {
    char *at;
    size_t left;
} writer;

static void put(writer *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(writer *w, const char *format, ...)
{
    if (w->left <= 1) return;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(w->at, w->left, format, args);
    va_end(args);
    size_t used = n < 0 ? 0 : (size_t)n < w->left ? (size_t)n : w->left - 1;
    w->at += used;
    w->left -= used;
}

static void put_requests(writer *w, const wf_progress_view *v)
{
    char done[WF_WORDS_MAX], total[WF_WORDS_MAX], failed[WF_WORDS_MAX], percent[WF_WORDS_MAX];
    put(w, "%s", wf_words_count(v->requests_done, done));
    if (v->requests_total > 0) {
        put(w, "/%s %s%s (%s)", wf_words_count(v->requests_total, total),
            wf_words_result(v->n_rows, v->requests_total), WF_S(v->requests_total),
            wf_words_percent(v->requests_done, v->requests_total, percent));
    } else {
        put(w, " request%s", WF_S(v->requests_done));
    }
    if (v->requests_failed > 0) put(w, ", %s failed", wf_words_count(v->requests_failed, failed));
}

static void put_load(writer *w, const wf_progress_view *v)
{
    char number[WF_WORDS_MAX];
    put(w, ", %s in flight", wf_words_count(v->in_flight, number));
    put(w, ", %s queued", wf_words_count(v->waiting, number));
    if (v->kv_pages_total > 0)
        put(w, ", KV %.0f%%", 100.0 * (double)v->kv_pages / (double)v->kv_pages_total);
    if (v->eta_ns >= 0) put(w, ", ETA %s", wf_words_duration(v->eta_ns, number));
}

char *wf_progress_line(const wf_progress_view *v, char *text, size_t text_bytes)
{
    char number[WF_WORDS_MAX];
    writer w = {text, text_bytes};
    if (text_bytes > 0) text[0] = '\0';
    put_requests(&w, v);
    if (v->tokens_per_s >= 0) put(&w, ", %s tokens/s", wf_words_scaled(v->tokens_per_s, number));
    if (!v->ended) put_load(&w, v);
    if (v->replay) put(&w, ", lag %.1f ms", (double)v->lag_ns / (double)WF_NS_PER_MS);
    return text;
}

int64_t wf_progress_eta(int64_t n_left, int64_t n_done, int64_t elapsed_ns, int64_t arrives_ns)
{
    if (n_left <= 0) return 0;
    if (n_done <= 0 || elapsed_ns <= 0) return arrives_ns > 0 ? arrives_ns : -1;
    double eta = (double)elapsed_ns / (double)n_done * (double)n_left;
    if (eta > 9e18) return -1;
    return (int64_t)eta > arrives_ns ? (int64_t)eta : arrives_ns;
}
