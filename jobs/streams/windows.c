// See windows.h.
#include "jobs/streams/windows.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "io/base/arena.h"
#include "io/base/clock.h"
#include "io/base/file.h"
#include "io/base/json.h"
#include "io/base/parse.h"
#include "io/base/text.h"
#include "jobs/streams/import_draw.h"
#include "jobs/streams/import_format.h"

#define LAST_WINDOW_S 600.0
#define MOST_S        9e9 // 285 years
#define MOST_ROWS     UINT64_C(200000000)
#define TRACE_END     "-trace.csv"
#define DATASET_END   "-dataset.json"

enum { N_FIELDS = 6, MOST_LENGTH = 1 << 30, MOST_DATASET_BYTES = 256 << 20 };

typedef struct histogram {
    uint32_t *length; // [n]
    double *below;    // [n] weight of this length and of all before it
    size_t n, capacity, below_capacity;
} histogram;

typedef struct dataset { // lengths from a time on
    double start_s;
    histogram input, output;
} dataset;

typedef struct shape_row {
    const char *name;
    double (*gap)(double shape, wf_rng *rng); // of mean 1
    double (*of_cv)(double cv);               // the shape that has it; NULL: none is needed
} shape_row;

typedef struct window {
    double start_s, rate, shape;
    const shape_row *distribution;
} window;

typedef struct drawing {
    const wf_import_options *o;
    dataset *datasets; // by start
    size_t n_datasets, datasets_capacity;
    window *windows;
    size_t n_windows, windows_capacity;
    wf_line_index *out;
} drawing;

// ---- distributions ------------------------------------------------------------------------------

static double gap_gamma(double shape, wf_rng *rng)
{
    return wf_rng_next_gamma(rng, shape) / shape;
}

static double gap_weibull(double shape, wf_rng *rng)
{
    return pow(wf_rng_next_exponential(rng), 1 / shape) / tgamma(1 + 1 / shape);
}

static double gap_exponential(double shape, wf_rng *rng)
{
    (void)shape;
    return wf_rng_next_exponential(rng);
}

static double gamma_of_cv(double cv)
{
    return 1 / (cv * cv);
}

// Bisection: the CV falls as the shape grows.
static double weibull_of_cv(double cv)
{
    double low = 0.05, high = 50;
    for (int i = 0; i < 60; i++) {
        double k = sqrt(low * high), mean = tgamma(1 + 1 / k);
        double here = sqrt(tgamma(1 + 2 / k) / (mean * mean) - 1);
        if (here > cv)
            low = k;
        else
            high = k;
    }
    return low;
}

static const shape_row distributions[] = {
    {"gamma", gap_gamma, gamma_of_cv},
    {"weibull", gap_weibull, weibull_of_cv},
    {"exponential", gap_exponential, NULL},
    {"poisson", gap_exponential, NULL},
};

// ---- windows ------------------------------------------------------------------------------------

static wf_status number_read(wf_trace_field field, const char *what, double min, const char *place,
                             double *out)
{
    char text[64];
    snprintf(text, sizeof text, "%.*s", (int)(field.n < 63 ? field.n : 63), field.text);
    if (wf_parse_f64(text, min, MOST_S, out) == WF_OK) return WF_OK;
    return wf_fail(WF_DATA, "%s: %s: '%s' is no number from %g to %g", place, what, text, min,
                   MOST_S);
}

static wf_status distribution_read(const wf_trace_field field[N_FIELDS], double cv,
                                   const char *place, window *w)
{
    double shape = 0;
    for (size_t i = 0; i < sizeof distributions / sizeof distributions[0]; i++)
        if (strlen(distributions[i].name) == field[3].n &&
            strncasecmp(distributions[i].name, field[3].text, field[3].n) == 0)
            w->distribution = &distributions[i];
    if (!w->distribution)
        return wf_fail(WF_DATA,
                       "%s: '%.*s' is no distribution of gaps: Gamma, Weibull, Exponential", place,
                       (int)(field[3].n < 40 ? field[3].n : 40), field[3].text);
    if (!w->distribution->of_cv) return WF_OK;
    if (field[4].n > 0) WF_TRY(number_read(field[4], "shape", 0, place, &shape));
    if (shape <= 0 && cv > 0) shape = w->distribution->of_cv(cv);
    if (shape < 0.01 || shape > 1e6)
        return wf_fail(WF_DATA, "%s: a shape of %g is none to draw gaps with", place, shape);
    w->shape = shape;
    return WF_OK;
}

static wf_status window_read(drawing *d, const wf_line *line, const char *place, wf_arena *arena)
{
    wf_trace_field field[WF_TRACE_MAX_FIELDS];
    int n = 0;
    double cv;
    window w = {0};
    WF_TRY(wf_trace_split(line, place, arena, field, &n, NULL));
    if (n != N_FIELDS)
        return wf_fail(WF_DATA,
                       "%s: %d field%s where a window of ServeGen has six: start in seconds, "
                       "requests per second, CV, distribution and its two parameters, such as "
                       "600,4.2,1.1,Gamma,0.8,0.3; for another log, weft import auto finds the "
                       "format",
                       place, n, WF_S(n));
    WF_TRY(number_read(field[0], "start in seconds", 0, place, &w.start_s));
    WF_TRY(number_read(field[1], "requests per second", 0, place, &w.rate));
    WF_TRY(number_read(field[2], "CV", 0, place, &cv));
    if (w.rate > 0) WF_TRY(distribution_read(field, cv, place, &w));
    if (d->n_windows > 0 && w.start_s <= d->windows[d->n_windows - 1].start_s)
        return wf_fail(WF_DATA, "%s: begins at %g s, not after the window before it", place,
                       w.start_s);
    WF_TRY(wf_grow(d->n_windows + 1, sizeof *d->windows, &d->windows_capacity, &d->windows));
    d->windows[d->n_windows++] = w;
    return WF_OK;
}

static wf_status windows_read(drawing *d, wf_lines *lines)
{
    wf_arena *arena = NULL;
    wf_line line;
    bool more = true;
    WF_TRY(wf_arena_create(0, &arena));
    wf_status st = wf_lines_next(lines, &line, &more);
    while (st == WF_OK && more) {
        char place[512];
        wf_arena_mark mark = wf_arena_get_mark(arena);
        snprintf(place, sizeof place, "%.480s:%" PRIu64, d->o->input, line.number);
        st = window_read(d, &line, place, arena);
        wf_arena_reset(arena, mark);
        if (st == WF_OK) st = wf_lines_next(lines, &line, &more);
    }
    wf_arena_destroy(&arena);
    if (st == WF_OK && d->n_windows == 0) st = wf_fail(WF_DATA, "%s: has no windows", d->o->input);
    return st;
}

// ---- histograms ---------------------------------------------------------------------------------

static wf_status weight_add(histogram *h, double length, double weight, const char *place)
{
    if (!(length >= 0 && length <= MOST_LENGTH && length == floor(length)))
        return wf_fail(WF_DATA, "%s: %g is no length in tokens", place, length);
    if (!(weight >= 0 && weight < 1e18))
        return wf_fail(WF_DATA, "%s: %g is no weight of a length", place, weight);
    if (weight == 0) return WF_OK;
    double before = h->n > 0 ? h->below[h->n - 1] : 0;
    WF_TRY(wf_grow(h->n + 1, sizeof *h->length, &h->capacity, &h->length));
    WF_TRY(wf_grow(h->n + 1, sizeof *h->below, &h->below_capacity, &h->below));
    h->length[h->n] = length < 1 ? 1 : (uint32_t)length;
    h->below[h->n++] = before + weight;
    return WF_OK;
}

// "{12: 0.5, 40: 0.5}", with keys in quotes or without.
static wf_status text_weights(const char *text, const char *place, histogram *h)
{
    const char *at = text + strspn(text, " {");
    while (*at && *at != '}') {
        char *end;
        at += strspn(at, " ,'\"");
        double length = strtod(at, &end), weight;
        if (end == at) break;
        at = end + strspn(end, " '\"");
        if (*at++ != ':') break;
        weight = strtod(at, &end);
        if (end == at) break;
        WF_TRY(weight_add(h, length, weight, place));
        at = end + strspn(end, " ,");
    }
    if (*at == '}') return WF_OK;
    return wf_fail(WF_DATA, "%s: is no histogram of lengths: '%.40s'", place, at);
}

static wf_status histogram_read(wf_json_ref of, const char *key, const char *place, histogram *h)
{
    wf_json_ref value = wf_json_find(of, key), item;
    wf_json_kind kind = wf_json_kind_of(value);
    char where[600];
    snprintf(where, sizeof where, "%.400s: %.60s.%s", place, of.key ? of.key : "", key);
    if (kind == WF_JSON_STRING) {
        const char *text;
        WF_TRY(wf_json_read_string(value, &text));
        WF_TRY(text_weights(text, where, h));
    } else if (kind == WF_JSON_ARRAY || kind == WF_JSON_OBJECT) {
        wf_json_iter it = wf_json_iterate(value);
        while (wf_json_next(&it, &item)) {
            double weight, length = (double)item.index;
            WF_TRY(wf_json_read_f64(item, 0, 1e18, &weight));
            if (kind == WF_JSON_OBJECT && wf_parse_f64(item.key, 0, MOST_LENGTH, &length) != WF_OK)
                return wf_fail(WF_DATA, "%s: '%.40s' is no length in tokens", where, item.key);
            WF_TRY(weight_add(h, length, weight, where));
        }
    } else {
        return wf_fail(WF_DATA, "%s: is no histogram of lengths", where);
    }
    return h->n > 0 ? WF_OK : wf_fail(WF_DATA, "%s: has no weight above 0", where);
}

static int by_start(const void *a, const void *b)
{
    double x = ((const dataset *)a)->start_s, y = ((const dataset *)b)->start_s;
    return (x > y) - (x < y);
}

static wf_status datasets_take(drawing *d, wf_json_ref root, const char *path)
{
    wf_json_iter it = wf_json_iterate(root);
    wf_json_ref item;
    while (wf_json_next(&it, &item)) {
        WF_TRY(
            wf_grow(d->n_datasets + 1, sizeof *d->datasets, &d->datasets_capacity, &d->datasets));
        dataset *s = &d->datasets[d->n_datasets++];
        if (!item.key || wf_parse_f64(item.key, 0, MOST_S, &s->start_s) != WF_OK)
            return wf_fail(WF_DATA, "%s: '%.40s' is no start of a window in seconds", path,
                           item.key ? item.key : "");
        WF_TRY(histogram_read(item, "input_tokens", path, &s->input));
        WF_TRY(histogram_read(item, "output_tokens", path, &s->output));
    }
    if (d->n_datasets == 0) return wf_fail(WF_DATA, "%s: has no windows", path);
    qsort(d->datasets, d->n_datasets, sizeof *d->datasets, by_start);
    return WF_OK;
}

static wf_status dataset_path(const wf_import_options *o, char **out)
{
    size_t n = strlen(o->input), n_end = strlen(TRACE_END);
    wf_text text = {0};
    if (o->lengths) return wf_strdup(o->lengths, out);
    if (!wf_text_ends_with(o->input, TRACE_END))
        return wf_fail(WF_USAGE,
                       "%s: where are its lengths? --lengths FILE, or name both NAME" TRACE_END
                       " and NAME" DATASET_END,
                       o->input);
    wf_text_add(&text, o->input, n - n_end);
    wf_text_puts(&text, DATASET_END);
    return wf_text_take(&text, out);
}

static wf_status datasets_read(drawing *d)
{
    char *path = NULL;
    wf_json *doc = NULL;
    WF_TRY(dataset_path(d->o, &path));
    if (!wf_file_exists(path)) {
        wf_status none = wf_fail(WF_NO_INPUT,
                                 "%s: no such file; it has the lengths of the requests of %s: "
                                 "--lengths FILE says where they are",
                                 path, d->o->input);
        free(path);
        return none;
    }
    wf_status st = wf_json_parse_file(path, MOST_DATASET_BYTES, &doc);
    if (st == WF_OK) st = datasets_take(d, wf_json_root(doc), path);
    wf_json_destroy(&doc);
    free(path);
    return st;
}

static uint32_t length_draw(const histogram *h, wf_rng *rng)
{
    double at = wf_rng_next_double(rng) * h->below[h->n - 1];
    size_t low = 0, high = h->n - 1;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (h->below[middle] > at)
            high = middle;
        else
            low = middle + 1;
    }
    return h->length[low];
}

// ---- rows ---------------------------------------------------------------------------------------

static const dataset *dataset_at(const drawing *d, double start_s)
{
    size_t i = 0;
    while (i + 1 < d->n_datasets && d->datasets[i + 1].start_s <= start_s)
        i++;
    return &d->datasets[i];
}

static double window_end(const drawing *d, size_t i)
{
    const window *w = d->windows;
    if (i + 1 < d->n_windows) return w[i + 1].start_s;
    return w[i].start_s + (i > 0 ? w[i].start_s - w[i - 1].start_s : LAST_WINDOW_S);
}

static bool is_enough(const drawing *d, double at_s)
{
    const wf_import_options *o = d->o;
    double until_s = (double)o->until_ns / (double)WF_NS_PER_S;
    if (o->n_rows > 0 && d->out->n >= o->n_rows) return true;
    return o->until_ns > 0 && d->out->n > 0 &&
           at_s >= (double)d->out->entry[0].time_ns / (double)WF_NS_PER_S + until_s;
}

static wf_status window_draw(drawing *d, size_t i)
{
    const window *w = &d->windows[i];
    const dataset *lengths = dataset_at(d, w->start_s);
    wf_rng gaps = wf_draw_sequence(d->o->seed, WF_DRAW_ARRIVAL, i);
    double end_s = window_end(d, i), at_s = w->start_s;
    if (w->rate <= 0) return WF_OK;
    for (;;) {
        uint64_t row = d->out->n;
        wf_rng rng = wf_draw_sequence(d->o->seed, WF_DRAW_LENGTH, row);
        at_s += w->distribution->gap(w->shape, &gaps) / w->rate;
        if (at_s >= end_s || is_enough(d, at_s)) return WF_OK;
        if (row >= MOST_ROWS)
            return wf_fail(WF_DATA, "%s: makes more than %" PRIu64 " requests: --rows, --until",
                           d->o->input, MOST_ROWS);
        wf_line_entry e = {.time_ns = (int64_t)llround(at_s * (double)WF_NS_PER_S),
                           .number = i + 1,
                           .row = row,
                           .n_prompt = length_draw(&lengths->input, &rng),
                           .n_new = length_draw(&lengths->output, &rng)};
        WF_TRY(wf_line_index_add(d->out, &e));
    }
}

wf_status wf_windows_draw(const wf_import_options *options, wf_lines *lines, wf_line_index *out)
{
    drawing d = {.o = options, .out = out};
    wf_status st;
    WF_TRY_TO(done, windows_read(&d, lines));
    WF_TRY_TO(done, datasets_read(&d));
    for (size_t i = 0; i < d.n_windows; i++)
        WF_TRY_TO(done, window_draw(&d, i));
done:
    for (size_t i = 0; i < d.n_datasets; i++) {
        histogram *const both[] = {&d.datasets[i].input, &d.datasets[i].output};
        for (int k = 0; k < 2; k++) {
            free(both[k]->length);
            free(both[k]->below);
        }
    }
    free(d.datasets);
    free(d.windows);
    return st;
}
