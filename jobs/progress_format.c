// The progress line as text. Pure. See progress.h.
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "io/base/clock.h"
#include "jobs/progress.h"

enum { NUMBER_MAX = 32 };

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

// 1234567 -> "1,234,567"
static char *grouped(int64_t value, char text[NUMBER_MAX])
{
    char digits[NUMBER_MAX];
    int n = snprintf(digits, sizeof digits, "%" PRId64, value < 0 ? 0 : value);
    size_t used = 0;
    for (int i = 0; i < n; i++) {
        if (i > 0 && (n - i) % 3 == 0) text[used++] = ',';
        text[used++] = digits[i];
    }
    text[used] = '\0';
    return text;
}

// 41234 -> "41.2k"
static char *scaled(double value, char text[NUMBER_MAX])
{
    static const struct {
        double from, unit;
        const char *suffix;
    } scales[] = {{999.95e6, 1e9, "G"}, {999.95e3, 1e6, "M"}, {999.5, 1e3, "k"}};
    for (size_t i = 0; i < sizeof scales / sizeof scales[0]; i++) {
        if (value < scales[i].from) continue;
        snprintf(text, NUMBER_MAX, "%.1f%s", value / scales[i].unit, scales[i].suffix);
        return text;
    }
    snprintf(text, NUMBER_MAX, value < 9.95 && value > 0 ? "%.1f" : "%.0f", value);
    return text;
}

// Two units are enough: "45s", "12m33s", "3h05m", "2d04h".
static char *duration(int64_t ns, char text[NUMBER_MAX])
{
    int64_t s = (ns + WF_NS_PER_S / 2) / WF_NS_PER_S;
    if (s < 60) {
        snprintf(text, NUMBER_MAX, "%" PRId64 "s", s);
    } else if (s < 3600) {
        snprintf(text, NUMBER_MAX, "%" PRId64 "m%02" PRId64 "s", s / 60, s % 60);
    } else if (s < 86400) {
        snprintf(text, NUMBER_MAX, "%" PRId64 "h%02" PRId64 "m", s / 3600, s % 3600 / 60);
    } else {
        snprintf(text, NUMBER_MAX, "%" PRId64 "d%02" PRId64 "h", s / 86400, s % 86400 / 3600);
    }
    return text;
}

static void put_requests(writer *w, const wf_progress_view *v)
{
    char done[NUMBER_MAX], total[NUMBER_MAX], failed[NUMBER_MAX];
    put(w, "%s", grouped(v->requests_done, done));
    if (v->requests_total > 0) {
        double percent = 100.0 * (double)v->requests_done / (double)v->requests_total;
        // Rounded down: 100% is said when everything is done, not before.
        percent = (double)(int64_t)(percent * 10.0) / 10.0;
        put(w, "/%s requests (%.1f%%)", grouped(v->requests_total, total), percent);
    } else {
        put(w, " requests");
    }
    if (v->requests_failed > 0) put(w, ", %s failed", grouped(v->requests_failed, failed));
}

static void put_load(writer *w, const wf_progress_view *v)
{
    char number[NUMBER_MAX];
    put(w, ", %s in flight", grouped(v->in_flight, number));
    put(w, ", %s queued", grouped(v->waiting, number));
    if (v->kv_pages_total > 0) {
        put(w, ", KV %.0f%%", 100.0 * (double)v->kv_pages / (double)v->kv_pages_total);
    }
    if (v->eta_ns >= 0) put(w, ", ETA %s", duration(v->eta_ns, number));
}

char *wf_progress_line(const wf_progress_view *v, char *text, size_t text_bytes)
{
    char number[NUMBER_MAX];
    writer w = {text, text_bytes};
    if (text_bytes > 0) text[0] = '\0';
    put_requests(&w, v);
    if (v->tokens_per_s >= 0) put(&w, ", %s tokens/s", scaled(v->tokens_per_s, number));
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
