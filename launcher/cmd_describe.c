// weft import --describe: what a log is like, for people and as JSON.
#include <inttypes.h>

#include "io/base/clock.h"
#include "io/base/json_writer.h"
#include "io/base/parse.h"
#include "io/base/text.h"
#include "jobs/streams/describe.h"
#include "launcher/commands.h"
#include "results/metrics.h"

typedef struct {
    const char *log;
    const wf_description *d;
    const wf_import_report *r;
    wf_distribution n_prompt, n_new, gap_s, turns, think_s;
} described;

static double span_s(const described *x)
{
    return (double)x->r->span_ns / (double)WF_NS_PER_S;
}

static double rate(const described *x)
{
    return x->r->span_ns > 0 ? (double)x->d->n / span_s(x) : 0;
}

static double repeated_share(const described *x)
{
    return (double)x->d->n_repeated_tokens / (double)x->d->n_prompt_tokens;
}

// A log whose clock is coarse: most rows share their time with the one before.
static bool is_coarse(const described *x)
{
    return 2 * x->r->count[WF_IMPORT_same_time].n > x->d->n && x->d->grid_ns > WF_NS_PER_MS;
}

// ---- for people ---------------------------------------------------------------------------------

static uint64_t most(const uint64_t *bin)
{
    uint64_t max = 0;
    for (int i = 0; i < WF_DESCRIBE_BINS; i++)
        if (bin[i] > max) max = bin[i];
    return max;
}

// One column a part of the span; an eighth of a line is the least that is seen.
static void print_picture(const wf_description *d)
{
    static const char *const eighths[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    enum { LINES = 4 };
    uint64_t max = most(d->bin);
    if (d->bin_s <= 0) return;
    for (int line = LINES - 1; line >= 0; line--) {
        printf("  %8.2f/s |", (double)max * (line + 1) / LINES / d->bin_s);
        for (int i = 0; i < WF_DESCRIBE_BINS; i++) {
            int64_t height = (int64_t)((d->bin[i] * LINES * 8 + max - 1) / max) - 8 * line;
            fputs(eighths[height < 0 ? 0 : height > 8 ? 8 : height], stdout);
        }
        fputs("|\n", stdout);
    }
    printf("  %10s 0 s%*.0f s\n", "", WF_DESCRIBE_BINS - 3, d->bin_s * WF_DESCRIBE_BINS);
}

static void print_lengths(const char *what, const wf_distribution *d, uint64_t total)
{
    printf("%-14s mean %.1f, p50 %.0f, p90 %.0f, p99 %.0f, max %.0f; %" PRIu64 " in all\n", what,
           d->mean, d->p50, d->p90, d->p99, d->max, total);
}

static void print_sessions(const described *x)
{
    const wf_description *d = x->d;
    size_t n_later = d->n_turns - d->n_sessions;
    if (d->n_sessions == 0) return;
    printf("%-14s %zu of %zu turns: mean %.1f, p50 %.0f, p90 %.0f, p99 %.0f, max %.0f\n",
           "sessions", d->n_sessions, d->n_turns, x->turns.mean, x->turns.p50, x->turns.p90,
           x->turns.p99, x->turns.max);
    if (d->n_thinks > 0)
        printf("%-14s p50 %.2f s, p90 %.2f s, p99 %.2f s", "think time", x->think_s.p50,
               x->think_s.p90, x->think_s.p99);
    else
        printf("%-14s none", "think time");
    printf(" (known of %zu of %zu turns that follow one)\n", d->n_thinks, n_later);
}

static void print_text(const described *x)
{
    char grid[WF_PARSE_TEXT_MAX];
    const wf_description *d = x->d;
    printf("%s: %s, %zu row%s over %.1f s\n", x->log, x->r->format, d->n, WF_S(d->n), span_s(x));
    printf("%-14s %.2f/s on average, at most %" PRIu64 " in one second\n", "rate", rate(x),
           d->peak_1s);
    print_picture(d);
    printf("%-14s mean %.4f s, CV %.2f (1: Poisson, more: bursty), p50 %.4f s, p99 %.4f s\n",
           "inter-arrival", d->gap_mean_s, d->gap_cv, x->gap_s.p50, x->gap_s.p99);
    print_lengths("input tokens", &x->n_prompt, d->n_prompt_tokens);
    print_lengths("output tokens", &x->n_new, d->n_new_tokens);
    print_sessions(x);
    if (d->has_blocks)
        printf("%-14s %.1f%% of the input tokens are in blocks seen before\n", "shared",
               100 * repeated_share(x));
    if (is_coarse(x)) {
        wf_duration_text(d->grid_ns, grid);
        printf("%-14s arrivals stand on a grid of %s; --jitter %s spreads them inside it\n",
               "coarse clock", grid, grid);
    }
    wf_import_counts_print(x->r);
}

// ---- JSON ---------------------------------------------------------------------------------------

static void put_distribution(wf_json_writer *w, const char *key, const wf_distribution *d)
{
    wf_json_open_object(w, key);
    wf_json_put_f64(w, "mean", d->mean);
    wf_json_put_f64(w, "p50", d->p50);
    wf_json_put_f64(w, "p90", d->p90);
    wf_json_put_f64(w, "p99", d->p99);
    wf_json_put_f64(w, "max", d->max);
    wf_json_close(w);
}

static void put_rate(wf_json_writer *w, const described *x)
{
    wf_json_open_object(w, "rate");
    wf_json_put_f64(w, "mean_per_s", rate(x));
    wf_json_put_u64(w, "peak_in_1s", x->d->peak_1s);
    wf_json_put_f64(w, "bin_s", x->d->bin_s);
    wf_json_open_array(w, "bins");
    for (int i = 0; i < WF_DESCRIBE_BINS; i++)
        wf_json_put_u64(w, NULL, x->d->bin[i]);
    wf_json_close(w);
    wf_json_close(w);
}

static void put_counts(wf_json_writer *w, const wf_import_report *r)
{
    wf_json_open_object(w, "changes");
    for (int i = 0; i < WF_IMPORT_N_COUNTS; i++) {
        if (r->count[i].n == 0) continue;
        wf_json_open_object(w, wf_import_count_name((wf_import_what)i));
        wf_json_put_u64(w, "rows", r->count[i].n);
        wf_json_put_u64(w, "first_line", r->count[i].first_line);
        wf_json_close(w);
    }
    wf_json_close(w);
    wf_json_open_array(w, "reasons");
    for (int i = 0; i < WF_IMPORT_MAX_REASONS && r->reason[i][0] != '\0'; i++)
        wf_json_put_string(w, NULL, r->reason[i]);
    wf_json_close(w);
}

static void put_sessions(wf_json_writer *w, const described *x)
{
    if (x->d->n_sessions == 0) return;
    wf_json_put_u64(w, "sessions", x->d->n_sessions);
    wf_json_put_u64(w, "turns", x->d->n_turns);
    put_distribution(w, "turns_per_session", &x->turns);
    wf_json_put_u64(w, "known_think_times", x->d->n_thinks);
    put_distribution(w, "think_s", &x->think_s);
}

static wf_status print_json(const described *x)
{
    wf_json_writer *w = NULL;
    const char *text = NULL;
    WF_TRY(wf_json_writer_create(2, &w));
    wf_json_open_object(w, NULL);
    wf_json_put_string(w, "log", x->log);
    wf_json_put_string(w, "format", x->r->format);
    wf_json_put_string(w, "sha256", x->d->sha256[0] ? x->d->sha256 : NULL);
    wf_json_put_u64(w, "rows", x->d->n);
    wf_json_put_f64(w, "span_s", span_s(x));
    put_rate(w, x);
    put_distribution(w, "inter_arrival_s", &x->gap_s);
    wf_json_put_f64(w, "inter_arrival_cv", x->d->gap_cv);
    wf_json_put_f64(w, "grid_s", (double)x->d->grid_ns / (double)WF_NS_PER_S);
    put_distribution(w, "input_tokens", &x->n_prompt);
    put_distribution(w, "output_tokens", &x->n_new);
    wf_json_put_u64(w, "total_input_tokens", x->d->n_prompt_tokens);
    wf_json_put_u64(w, "total_output_tokens", x->d->n_new_tokens);
    if (x->d->has_blocks)
        wf_json_put_f64(w, "repeated_block_share", repeated_share(x));
    else
        wf_json_put_null(w, "repeated_block_share");
    put_sessions(w, x);
    put_counts(w, x->r);
    wf_json_close(w);
    wf_status st = wf_json_writer_finish(w, &text, NULL);
    if (st == WF_OK) fputs(text, stdout);
    wf_json_writer_destroy(&w);
    return st;
}

wf_status wf_describe_print(const wf_import_options *options, bool as_json)
{
    wf_description d;
    wf_import_report r;
    wf_status st = WF_OK;
    WF_TRY(wf_describe_run(options, &r, &d));
    described x = {.log = options->input ? options->input : "drawn", .d = &d, .r = &r};
    x.n_prompt = wf_distribution_of(d.n_prompt, d.n);
    x.n_new = wf_distribution_of(d.n_new, d.n);
    x.gap_s = wf_distribution_of(d.gap_s, d.n - 1);
    x.turns = wf_distribution_of(d.turns, d.n_sessions);
    x.think_s = wf_distribution_of(d.think_s, d.n_thinks);
    if (as_json)
        st = print_json(&x);
    else
        print_text(&x);
    wf_description_free(&d);
    return st;
}
