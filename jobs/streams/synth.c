// See synth.h.
#include "jobs/streams/synth.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "io/base/clock.h"
#include "io/base/parse.h"
#include "jobs/streams/import_draw.h"

#define N_OF(table) (sizeof(table) / sizeof(table)[0])
#define MAX_LENGTH  2147483647.0
#define DAY_S       86400.0

// --- processes: the gap that follows an arrival at `at_s` ---

static double gap_constant(const wf_synth_options *o, double at_s, wf_rng *rng)
{
    (void)at_s;
    (void)rng;
    return o->interval_s;
}

static double gap_poisson(const wf_synth_options *o, double at_s, wf_rng *rng)
{
    (void)at_s;
    return o->interval_s * wf_rng_next_exponential(rng);
}

static double gap_gamma(const wf_synth_options *o, double at_s, wf_rng *rng)
{
    (void)at_s;
    return o->interval_s / o->shape * wf_rng_next_gamma(rng, o->shape);
}

static double gap_weibull(const wf_synth_options *o, double at_s, wf_rng *rng)
{
    (void)at_s;
    double scale = o->interval_s / tgamma(1 + 1 / o->shape);
    return scale * pow(wf_rng_next_exponential(rng), 1 / o->shape);
}

// Thinning: of a Poisson process at the greatest rate, an arrival is kept as often as the rate at
// its time is of the greatest. Source: Lewis and Shedler, Naval Research Logistics 26(3), 1979.
static double gap_diurnal(const wf_synth_options *o, double at_s, wf_rng *rng)
{
    double most = 1 + o->depth, gap = 0;
    if (o->interval_s == 0) return 0;
    for (;;) {
        gap += o->interval_s / most * wf_rng_next_exponential(rng);
        double rate = 1 + o->depth * sin(2 * M_PI * (at_s + gap) / o->period_s);
        if (wf_rng_next_double(rng) * most < rate) return gap;
    }
}

typedef struct {
    const char *name, *help;
    bool has_shape;
    double (*gap)(const wf_synth_options *o, double at_s, wf_rng *rng);
} process;

static const process processes[] = {
    {"constant", "one request every --interval", false, gap_constant},
    {"poisson", "exponential gaps", false, gap_poisson},
    {"gamma", "gamma gaps: --shape 1 is poisson, below is burstier", true, gap_gamma},
    {"weibull", "Weibull gaps: --shape 1 is poisson, below is burstier", true, gap_weibull},
    {"diurnal", "Poisson, its rate up and down by --depth in every --period", false, gap_diurnal},
};

// --- presets ---

// Flover's evaluations (arXiv 2305.13484). A prompt has 8 tokens where the paper does not say.
static const struct {
    const char *name, *help, *process;
    double interval_s;
    uint32_t n_arrivals;
    const char *output_tokens;
} presets[] = {
    {"flover-w1", "Flover: 32 requests of 512 tokens, 0.5 s apart", "constant", 0.5, 32, "512"},
    {"flover-w2", "Flover: 32 of 512 tokens, exponential gaps (--interval 20ms to 5s; 100ms)",
     "poisson", 0.1, 32, "512"},
    {"flover-w3",
     "Flover: 32 of uniform lengths (--output-tokens uniform:1:2048; 512), 0.5 s apart", "constant",
     0.5, 32, "uniform:1:512"},
    {"flover-w4", "Flover: 32 of 512 tokens (--interval 0, 100ms, 500ms; 100ms)", "constant", 0.1,
     32, "512"},
    {"flover-w5", "Flover: 32 of 512 tokens, 0.5 s apart, for engine.fusion: window", "constant",
     0.5, 32, "512"},
    {"flover-w6", "Flover: 8 of 512 tokens, 0.5 s apart (--batch 1, 2, 4)", "constant", 0.5, 8,
     "512"},
    {"flover-w7", "Flover: 32 of uniform lengths, 128 to 512, 20 ms apart", "constant", 0.02, 32,
     "uniform:128:512"},
    {"flover-w8", "Flover: 32 of uniform lengths, 128 to 1000, 20 ms apart", "constant", 0.02, 32,
     "uniform:128:1000"},
};
#define PRESET_INPUT_TOKENS "8"

size_t wf_synth_n_names(void)
{
    return N_OF(processes) + N_OF(presets);
}

const char *wf_synth_name(size_t i)
{
    return i < N_OF(processes) ? processes[i].name : presets[i - N_OF(processes)].name;
}

const char *wf_synth_help(size_t i)
{
    return i < N_OF(processes) ? processes[i].help : presets[i - N_OF(processes)].help;
}

bool wf_synth_is(const char *name)
{
    for (size_t i = 0; i < wf_synth_n_names(); i++)
        if (strcmp(wf_synth_name(i), name) == 0) return true;
    return false;
}

// --- laws of lengths ---

typedef struct {
    const struct law_row *row;
    double a, b;
} law;

static double draw_fixed(const law *l, wf_rng *rng)
{
    (void)rng;
    return l->a;
}

static double draw_uniform(const law *l, wf_rng *rng)
{
    return l->a + wf_rng_below(wf_rng_next_u32(rng), (uint32_t)(l->b - l->a) + 1);
}

static double draw_lognormal(const law *l, wf_rng *rng)
{
    return round(l->a * exp(l->b * wf_rng_next_normal(rng)));
}

static const struct law_row {
    const char *name;
    int n_numbers;
    bool b_is_length;
    double (*draw)(const law *l, wf_rng *rng);
} laws[] = {
    {"fixed", 1, false, draw_fixed},
    {"uniform", 2, true, draw_uniform},
    {"lognormal", 2, false, draw_lognormal},
};

static bool is_length(double x)
{
    return x >= 1 && x <= MAX_LENGTH && x == floor(x);
}

static bool law_is_sound(const law *l)
{
    if (!is_length(l->a)) return false;
    if (l->row->b_is_length) return is_length(l->b) && l->b >= l->a;
    return l->row->n_numbers == 1 || (l->b >= 0 && l->b <= 10);
}

static bool law_parse(const char *text, law *out)
{
    char word[3][32];
    int n = sscanf(text, "%31[^:]:%31[^:]:%31[^:]", word[0], word[1], word[2]), at = 1;
    size_t length = 0;
    for (int i = 0; i < n; i++)
        length += strlen(word[i]) + (i > 0);
    if (n < 1 || length != strlen(text)) return false;
    out->row = n == 1 ? &laws[0] : NULL;
    if (n == 1) at = 0; // a number alone is fixed
    for (size_t i = 0; i < N_OF(laws) && n > 1; i++)
        if (strcmp(laws[i].name, word[0]) == 0) out->row = &laws[i];
    if (out->row == NULL || n - at != out->row->n_numbers) return false;
    if (wf_parse_f64(word[at], 0, MAX_LENGTH, &out->a) != WF_OK) return false;
    if (n - at == 2 && wf_parse_f64(word[at + 1], 0, MAX_LENGTH, &out->b) != WF_OK) return false;
    return law_is_sound(out);
}

static wf_status law_read(const char *option, const char *text, law *out)
{
    if (text == NULL) return wf_fail(WF_USAGE, "how long? give --%s LAW", option);
    *out = (law){0};
    if (law_parse(text, out)) return WF_OK;
    return wf_fail(WF_USAGE,
                   "--%s %.60s: expected 512, uniform:LEAST:MOST or lognormal:MEDIAN:SIGMA, "
                   "in tokens from 1",
                   option, text);
}

static uint32_t law_draw(const law *l, wf_rng *rng)
{
    double x = l->row->draw(l, rng);
    return (uint32_t)(x < 1 ? 1 : x > MAX_LENGTH ? MAX_LENGTH : x);
}

// --- the stream ---

typedef struct {
    wf_synth_options o;
    const process *process;
    law input, output;
    uint64_t n_rows, seed;
} stream;

static void take_preset(const char *name, stream *s)
{
    for (size_t i = 0; i < N_OF(presets); i++) {
        if (strcmp(presets[i].name, name) != 0) continue;
        if (!s->o.has_interval) s->o.interval_s = presets[i].interval_s;
        s->o.has_interval = true;
        if (s->n_rows == 0) s->n_rows = (uint64_t)presets[i].n_arrivals * s->o.batch;
        if (s->o.input_tokens == NULL) s->o.input_tokens = PRESET_INPUT_TOKENS;
        if (s->o.output_tokens == NULL) s->o.output_tokens = presets[i].output_tokens;
        take_preset(presets[i].process, s);
    }
    for (size_t i = 0; i < N_OF(processes); i++)
        if (strcmp(processes[i].name, name) == 0) s->process = &processes[i];
}

static wf_status check(const stream *s)
{
    if (!s->o.has_interval)
        return wf_fail(WF_USAGE, "how often? give --rate N (of a second) or --interval TIME");
    if (s->n_rows == 0) return wf_fail(WF_USAGE, "how many? give --rows N");
    if (s->process->has_shape && s->o.shape == 0)
        return wf_fail(WF_USAGE, "%s needs --shape, such as 0.5", s->process->name);
    if (!s->process->has_shape && s->o.shape != 0)
        return wf_fail(WF_USAGE, "%s has no --shape; gamma and weibull do", s->process->name);
    return WF_OK;
}

static wf_status draw_rows(const stream *s, wf_line_index *out)
{
    wf_rng gaps = wf_draw_sequence(s->seed, WF_DRAW_ARRIVAL, 0);
    double at_s = 0;
    for (uint64_t i = 0; i < s->n_rows; i++) {
        wf_rng lengths = wf_draw_sequence(s->seed, WF_DRAW_LENGTH, i);
        if (i > 0 && i % s->o.batch == 0) at_s += s->process->gap(&s->o, at_s, &gaps);
        if (at_s > 9e9)
            return wf_fail(WF_USAGE, "row %llu would arrive after more than 285 years",
                           (unsigned long long)i);
        wf_line_entry row = {
            .time_ns = (int64_t)llround(at_s * (double)WF_NS_PER_S), .number = i + 1, .row = i};
        row.n_prompt = law_draw(&s->input, &lengths);
        row.n_new = law_draw(&s->output, &lengths);
        WF_TRY(wf_line_index_add(out, &row));
    }
    return WF_OK;
}

wf_status wf_synth_draw(const char *name, const wf_synth_options *options, uint64_t n_rows,
                        uint64_t seed, wf_line_index *out)
{
    stream s = {.o = *options, .n_rows = n_rows, .seed = seed};
    if (s.o.batch == 0) s.o.batch = 1;
    if (s.o.depth == 0) s.o.depth = 0.5;
    if (s.o.period_s == 0) s.o.period_s = DAY_S;
    take_preset(name, &s);
    WF_TRY(check(&s));
    WF_TRY(law_read("input-tokens", s.o.input_tokens, &s.input));
    WF_TRY(law_read("output-tokens", s.o.output_tokens, &s.output));
    return draw_rows(&s, out);
}
