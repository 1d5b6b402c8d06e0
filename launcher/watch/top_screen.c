// See top_screen.h.
#include "launcher/watch/top_screen.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/clock.h"
#include "jobs/watch/progress.h"
#include "jobs/watch/words.h"
#include "launcher/watch/status_print.h"

enum { LABEL = 10, MARK = 14, LEAST_BAR = 10, MOST_BAR = 64, LINE_BYTES = 1024, N_LEVELS = 8 };

typedef enum ink { PLAIN, FAINT, BOLD, PROMPT, TOKENS, BAD, N_INKS } ink;

static const char *const inks[N_INKS] = {"\x1b[0m",  "\x1b[2m",  "\x1b[1m",
                                         "\x1b[33m", "\x1b[36m", "\x1b[31m"};

typedef enum glyph { DONE_PROMPT, DONE_TOKENS, TO_COME, N_GLYPHS } glyph;

static const char *const glyphs[2][N_GLYPHS] = {{"=", "#", "."}, {"▒", "█", "·"}};
static const char *const levels[2][N_LEVELS] = {{".", ":", "-", "=", "+", "*", "%", "#"},
                                                {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"}};

// A screen on its way: what does not fit is left out.
typedef struct screen {
    const wf_top_frame *f;
    wf_text *out;
    int n_lines, column;
} screen;

// ---- text that knows its columns ----------------------------------------------------------------

static bool line_begin(screen *s)
{
    if (s->n_lines >= s->f->height) return false;
    if (s->n_lines++ > 0) wf_text_puts(s->out, "\x1b[K\n");
    s->column = 0;
    return true;
}

static void put_ink(screen *s, ink which)
{
    if (s->f->colour) wf_text_puts(s->out, inks[which]);
}

// Text of one column a byte, or a character beyond ASCII; cut at the screen's edge.
static void put_text(screen *s, const char *text)
{
    for (size_t i = 0; text[i] && s->column < s->f->width; s->column++) {
        size_t n = wf_utf8_length(text + i, strlen(text + i));
        unsigned char c = (unsigned char)text[i];
        if (n == 0 || c < 0x20 || c == 0x7f)
            wf_text_puts(s->out, "?");
        else
            wf_text_add(s->out, text + i, n);
        i += n > 0 ? n : 1;
    }
}

static void put(screen *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(screen *s, const char *format, ...)
{
    char text[LINE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    put_text(s, text);
}

static void put_times(screen *s, const char *one, int n)
{
    for (int i = 0; i < n; i++)
        put_text(s, one);
}

static void put_label(screen *s, const char *label)
{
    put_ink(s, FAINT);
    put(s, "%-*s ", LABEL, label);
    put_ink(s, PLAIN);
}

// ---- curves and bars ----------------------------------------------------------------------------

static void put_curve(screen *s, const double *values, size_t n)
{
    size_t room = s->column < s->f->width ? (size_t)(s->f->width - s->column) : 0;
    size_t first = n > room ? n - room : 0;
    double most = 0;
    for (size_t i = first; i < n; i++)
        if (values[i] > most) most = values[i];
    put_ink(s, TOKENS);
    for (size_t i = first; i < n; i++) {
        int level = most > 0 && values[i] > 0 ? (int)(values[i] / most * (N_LEVELS - 1) + 0.5) : 0;
        put_text(s, levels[s->f->unicode][level]);
    }
    put_ink(s, PLAIN);
}

static void put_bar(screen *s, double share, int width)
{
    int n = share <= 0 ? 0 : share >= 1 ? width : (int)(share * width);
    put_ink(s, TOKENS);
    put_times(s, glyphs[s->f->unicode][DONE_TOKENS], n);
    put_ink(s, FAINT);
    put_times(s, glyphs[s->f->unicode][TO_COME], width - n);
    put_ink(s, PLAIN);
}

// The prompt's part and that of the tokens to generate, each as far as it has come.
static void put_flight(screen *s, const wf_rank_flight *r)
{
    char number[LINE_BYTES];
    int room = s->f->width - MARK - 26;
    int width = room > MOST_BAR ? MOST_BAR : room < LEAST_BAR ? LEAST_BAR : room;
    double all = (double)r->n_prompt + (double)r->n_limit;
    double unit = all > 0 ? width / all : 0;
    int prompt = (int)((double)r->n_done * unit + 0.5),
        tokens = (int)((double)r->n_tokens * unit + 0.5);
    if (prompt + tokens > width) tokens = width - prompt;
    snprintf(number, sizeof number, "  %" PRIu32 ":%" PRIu64 ".%u", r->shard, r->row, r->sample);
    put(s, "%-*s ", MARK, number);
    put_ink(s, PROMPT);
    put_times(s, glyphs[s->f->unicode][DONE_PROMPT], prompt);
    put_ink(s, TOKENS);
    put_times(s, glyphs[s->f->unicode][DONE_TOKENS], tokens);
    put_ink(s, FAINT);
    put_times(s, glyphs[s->f->unicode][TO_COME], width - prompt - tokens);
    put_ink(s, PLAIN);
    if (r->n_done < r->n_prompt)
        put(s, " prompt %d/%d", (int)r->n_done, (int)r->n_prompt);
    else
        put(s, " %d + %d of %d", (int)r->n_prompt, (int)r->n_tokens, (int)r->n_limit);
}

// ---- sums ---------------------------------------------------------------------------------------

typedef struct sums {
    int64_t total, done, failed, in_flight, waiting, kv_pages, kv_pages_total, eta_ns, elapsed_ns;
    double tokens_per_s, requests_per_s; // below 0: not known
} sums;

static void rate_add(double *sum, double rate)
{
    if (rate < 0) return;
    *sum = *sum < 0 ? rate : *sum + rate;
}

static sums sum_up(const wf_top_part *parts, size_t n)
{
    sums all = {.eta_ns = -1, .tokens_per_s = -1, .requests_per_s = -1};
    for (size_t i = 0; i < n; i++) {
        const wf_watch_view *v = parts[i].view;
        all.total += v->requests_total;
        all.done += v->requests_done;
        all.failed += v->requests_failed;
        all.in_flight += v->in_flight;
        all.waiting += v->waiting;
        all.kv_pages += v->kv_pages;
        all.kv_pages_total += v->kv_pages_total;
        if (v->eta_ns > all.eta_ns) all.eta_ns = v->eta_ns;
        if (v->elapsed_ns > all.elapsed_ns) all.elapsed_ns = v->elapsed_ns;
        rate_add(&all.tokens_per_s, v->tokens_per_s);
        rate_add(&all.requests_per_s, v->requests_per_s);
    }
    return all;
}

void wf_top_remember(const wf_top_part *parts, size_t n_parts, wf_top_history *h)
{
    sums all = sum_up(parts, n_parts);
    if (h->n == WF_TOP_HISTORY) {
        h->n--;
        memmove(h->tokens_per_s, h->tokens_per_s + 1, h->n * sizeof *h->tokens_per_s);
        memmove(h->waiting, h->waiting + 1, h->n * sizeof *h->waiting);
    }
    h->tokens_per_s[h->n] = all.tokens_per_s > 0 ? all.tokens_per_s : 0;
    h->waiting[h->n++] = (double)all.waiting;
}

static void draw_head(screen *s, const sums *all)
{
    char number[WF_WORDS_MAX];
    const wf_top_frame *f = s->f;
    if (!line_begin(s)) return;
    put_ink(s, BOLD);
    put_text(s, f->place);
    put_ink(s, PLAIN);
    if (f->n_parts == 1)
        put(s, "  %s", wf_stand_words(f->parts[0].stand));
    else
        put(s, "  %zu parts", f->n_parts);
    if (all->elapsed_ns > 0) put(s, "  %s", wf_words_duration(all->elapsed_ns, number));
    int room = f->width - s->column - 7;
    if (room < 1) return;
    put(s, "%*s", room, "");
    put_ink(s, FAINT);
    put_text(s, "q quits");
    put_ink(s, PLAIN);
}

static void draw_requests(screen *s, const sums *all)
{
    char text[LINE_BYTES], number[WF_WORDS_MAX];
    const wf_progress_view view = {.n_rows = all->total,
                                   .requests_total = all->total,
                                   .requests_done = all->done,
                                   .requests_failed = all->failed,
                                   .tokens_per_s = -1,
                                   .ended = true,
                                   .eta_ns = -1};
    if (!line_begin(s)) return;
    put_label(s, "done");
    wf_progress_line(&view, text, sizeof text);
    put_text(s, text);
    if (all->eta_ns >= 0) put(s, ", ETA %s", wf_words_duration(all->eta_ns, number));
    int room = s->f->width - s->column - 2;
    if (all->total <= 0 || room < LEAST_BAR) return;
    put_text(s, "  ");
    put_bar(s, (double)all->done / (double)all->total, room > MOST_BAR ? MOST_BAR : room);
}

static void draw_load(screen *s, const sums *all)
{
    char a[WF_WORDS_MAX], b[WF_WORDS_MAX];
    enum { BEFORE_CURVE = 34 };
    if (!line_begin(s)) return;
    put_label(s, "rate");
    if (all->tokens_per_s >= 0)
        put(s, "%s tokens/s, %s requests/s", wf_words_scaled(all->tokens_per_s, a),
            wf_words_scaled(all->requests_per_s > 0 ? all->requests_per_s : 0, b));
    if (s->column < LABEL + BEFORE_CURVE) put(s, "%*s", LABEL + BEFORE_CURVE - s->column, "");
    put_curve(s, s->f->history->tokens_per_s, s->f->history->n);
    if (!line_begin(s)) return;
    put_label(s, "queue");
    put(s, "%s waiting, %s in the batch", wf_words_count(all->waiting, a),
        wf_words_count(all->in_flight, b));
    if (s->column < LABEL + BEFORE_CURVE) put(s, "%*s", LABEL + BEFORE_CURVE - s->column, "");
    put_curve(s, s->f->history->waiting, s->f->history->n);
    if (all->kv_pages_total <= 0 || !line_begin(s)) return;
    put_label(s, "KV");
    double share = (double)all->kv_pages / (double)all->kv_pages_total;
    put(s, "%3.0f%% of %s pages", 100 * share, wf_words_count(all->kv_pages_total, a));
    if (s->column < LABEL + BEFORE_CURVE) put(s, "%*s", LABEL + BEFORE_CURVE - s->column, "");
    int room = s->f->width - s->column;
    if (room >= LEAST_BAR) put_bar(s, share, room > MOST_BAR ? MOST_BAR : room);
}

// ---- parts, groups and ranks --------------------------------------------------------------------

static void draw_rank(screen *s, const wf_watch_rank *r)
{
    char words[WF_ERROR_MAX], number[WF_WORDS_MAX];
    const wf_rank_status *is = &r->is;
    if (!line_begin(s)) return;
    char group[32] = "idle";
    if (is->group >= 0) snprintf(group, sizeof group, "group %d", is->group);
    put_label(s, is->position == 0 ? group : "");
    put(s, "rank %d on %s  ", is->rank, is->host);
    bool bad =
        r->pulse != WF_PULSE_BEATS && r->pulse != WF_PULSE_OVER && r->pulse != WF_PULSE_UNSURE;
    bool steps = is->operation == WF_OPERATION_STEP || is->operation == WF_OPERATION_RUN;
    if (bad) put_ink(s, BAD);
    if (!steps) put(s, "%s  ", wf_operation_words(is->operation));
    if (bad) put_ink(s, PLAIN);
    put(s, "step %s", wf_words_count(wf_rank_status_step(is), number));
    if (is->position == 0 && is->group >= 0 && !wf_operation_is_over(is->operation)) {
        put(s, "  %s rows", wf_words_count(is->in_flight, number));
        put(s, "  %s queued", wf_words_count(is->waiting, number));
        if (is->kv_pages_total > 0)
            put(s, "  KV %.0f%%", 100.0 * (double)is->kv_pages / (double)is->kv_pages_total);
        if (r->tokens_per_s >= 0) put(s, "  %s tokens/s", wf_words_scaled(r->tokens_per_s, number));
    }
    wf_rank_last_words(r, words, sizeof words);
    if (!words[0]) return;
    put_ink(s, BAD);
    put(s, "  %s", words);
    put_ink(s, PLAIN);
}

static size_t leaders(const wf_top_frame *f)
{
    size_t n = 0;
    for (size_t p = 0; p < f->n_parts; p++)
        for (size_t i = 0; i < f->parts[p].view->n_ranks; i++)
            n += f->parts[p].view->rank[i].is.n_flights > 0;
    return n;
}

// Each group's share of the lines that ranks and heads leave.
static int flights_each(const wf_top_frame *f, const screen *s)
{
    size_t n = 0, n_leaders = leaders(f);
    for (size_t p = 0; p < f->n_parts; p++)
        n += f->parts[p].view->n_ranks + (f->n_parts > 1);
    int left = f->height - s->n_lines - (int)n;
    return n_leaders == 0 || left < (int)n_leaders ? (left > 0) : left / (int)n_leaders;
}

static void draw_part(screen *s, const wf_top_part *part, int most)
{
    if (s->f->n_parts > 1) {
        wf_text line = {0};
        char *text = NULL;
        wf_top_line(part, &line);
        if (!line_begin(s) || wf_text_take(&line, &text) != WF_OK) {
            wf_text_free(&line);
            return;
        }
        put_text(s, text);
        free(text);
    }
    for (size_t i = 0; i < part->view->n_ranks; i++) {
        const wf_watch_rank *r = &part->view->rank[i];
        draw_rank(s, r);
        if (wf_operation_is_over(r->is.operation)) continue;
        for (size_t k = 0; k < r->is.n_flights && (int)k < most; k++)
            if (line_begin(s)) put_flight(s, &r->is.flight[k]);
    }
}

void wf_top_draw(const wf_top_frame *frame, wf_text *out)
{
    screen s = {.f = frame, .out = out};
    sums all = sum_up(frame->parts, frame->n_parts);
    draw_head(&s, &all);
    draw_requests(&s, &all);
    draw_load(&s, &all);
    int most = flights_each(frame, &s);
    for (size_t i = 0; i < frame->n_parts; i++)
        draw_part(&s, &frame->parts[i], most);
    put_ink(&s, PLAIN);
    wf_text_puts(out, "\x1b[K\x1b[J");
}

void wf_top_line(const wf_top_part *part, wf_text *out)
{
    char text[LINE_BYTES];
    const wf_watch_view *v = part->view;
    const wf_progress_view view = {.n_rows = v->n_rows,
                                   .requests_total = v->requests_total,
                                   .requests_done = v->requests_done,
                                   .requests_failed = v->requests_failed,
                                   .tokens_per_s = v->tokens_per_s,
                                   .in_flight = v->in_flight,
                                   .waiting = v->waiting,
                                   .kv_pages = v->kv_pages,
                                   .kv_pages_total = v->kv_pages_total,
                                   .eta_ns = v->eta_ns,
                                   .ended = v->n_pulse[WF_PULSE_OVER] == v->n_ranks};
    wf_text_printf(out, "%s: %s", part->name, wf_stand_words(part->stand));
    if (v->n_runs > 0) wf_text_printf(out, ", %s", wf_progress_line(&view, text, sizeof text));
}
