// See report_blocks.h.
#include "results/report_blocks.h"

#include <math.h>
#include <string.h>

// ---- text ---------------------------------------------------------------------------------------

// Said in text, in this order; the rest is in JSON.
static const struct {
    int i;
    const char *before, *unit;
    double scale;
    const char *after;
} said[] = {{WF_INTERVAL_REQUESTS, "", "requests/s", 1, ", "},
            {WF_INTERVAL_OUTPUT, "", "generated tokens/s", 1, ";"},
            {WF_INTERVAL_TTFT_MEAN, "mean TTFT ", "ms", 1e-6, ", "},
            {WF_INTERVAL_TPOT_MEAN, "TPOT ", "ms", 1e-6, ", "},
            {WF_INTERVAL_E2EL_MEAN, "E2E ", "ms", 1e-6, ""}};

// As many digits behind the point as half an interval has something to say in.
static int places_of(double half)
{
    return half >= 10 ? 0 : half >= 1 ? 1 : half >= 0.1 ? 2 : half >= 0.01 ? 3 : 4;
}

void wf_intervals_print(const wf_intervals *v, FILE *out)
{
    if (v->n_blocks == 0 || v->are_thin) return;
    fprintf(out, "\n  %-12s (%zu blocks of %.3g s%s)\n  %-12s ", "95% interval", v->n_blocks,
            v->block_ns / 1e9, v->are_short ? ", short beside E2E: too narrow" : "", "");
    for (size_t k = 0; k < sizeof said / sizeof said[0]; k++) {
        const wf_interval *x = &v->of[said[k].i];
        double half = x->half * said[k].scale;
        if (x->n < 2) continue;
        fprintf(out, "%s%.*f +- %.*f %s%s", said[k].before, places_of(half),
                x->mean * said[k].scale, places_of(half), half, said[k].unit, said[k].after);
        if (said[k].after[0] == ';') fprintf(out, "\n  %-12s ", "");
    }
    fputc('\n', out);
}

// ---- JSON ---------------------------------------------------------------------------------------

static void put_one(wf_json_writer *w, const wf_interval_name *name, const wf_interval *x)
{
    char key[64];
    bool is_time = name->statistic[0] != '\0';
    double scale = is_time ? 1e-6 : 1;
    snprintf(key, sizeof key, "%s%s%s%s", name->statistic, is_time ? "_" : "", name->figure,
             is_time ? "_ms" : "");
    wf_json_open_object(w, key);
    wf_json_put_f64(w, "mean", x->mean * scale);
    wf_json_put_f64(w, "low", (x->mean - x->half) * scale);
    wf_json_put_f64(w, "high", (x->mean + x->half) * scale);
    wf_json_put_u64(w, "blocks", x->n);
    wf_json_close(w);
}

void wf_intervals_put(wf_json_writer *w, const wf_intervals *v)
{
    if (v->n_blocks == 0) return;
    wf_json_open_object(w, "intervals");
    wf_json_put_f64(w, "level", WF_INTERVAL_LEVEL);
    wf_json_put_u64(w, "blocks", v->n_blocks);
    wf_json_put_f64(w, "block", v->block_ns / 1e9);
    wf_json_put_bool(w, "blocks_are_short", v->are_short);
    wf_json_put_bool(w, "blocks_are_thin", v->are_thin);
    for (int i = 0; i < WF_N_INTERVALS; i++)
        if (v->of[i].n > 1) put_one(w, &wf_interval_names[i], &v->of[i]);
    wf_json_close(w);
}

// ---- comparing ----------------------------------------------------------------------------------

double wf_interval_ratio_half(const wf_interval *of, const wf_interval *first)
{
    if (!of || !first || !(of->mean > 0) || !(first->mean > 0)) return -1;
    return of->mean / first->mean * hypot(of->half / of->mean, first->half / first->mean);
}

// ---- help ---------------------------------------------------------------------------------------

void wf_intervals_explain(FILE *out)
{
    fputs(
        "\n95% intervals (--blocks N; in JSON under \"intervals\"): the measured time is cut into "
        "N\n"
        "blocks of equal length, each figure is taken of the requests that finished in each "
        "block,\n"
        "and its interval is the mean of the blocks' values +- t(N - 1) * s / sqrt(N). Blocks "
        "without\n"
        "a value are left out of a latency's. Runs whose latency does not count have no blocks.\n"
        "Requests of one block hang together: blocks should last many times what a request takes,\n"
        "and a report says where they do not (shorter than 5 mean e2el: too narrow). Side by "
        "side,\n"
        "a ratio is +- what both intervals leave open, as of independent runs. There are intervals "
        "of\n",
        out);
    for (int i = 0; i < WF_N_INTERVALS; i++) {
        const wf_interval_name *name = &wf_interval_names[i];
        bool is_time = name->statistic[0] != '\0';
        fprintf(out, "%s%s%s%s%s",
                i == 0       ? "  "
                : i % 4 == 0 ? ",\n  "
                             : ", ",
                name->statistic, is_time ? "_" : "", name->figure, is_time ? "_ms" : "");
    }
    fputc('\n', out);
}
