// See study_page.h.
#include "results/html/study_page.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/arena.h"
#include "results/html/markup.h"
#include "results/html/page.h"
#include "results/html/svg.h"

enum { MOST_SERIES = 6, MOST_X = 64, LABEL = 80 };

// ---- rows that belong together ------------------------------------------------------------------

// All keys but `but` and the seed; against the scale, runs of all loads are one.
static bool is_alike(const wf_html_study *s, size_t a, size_t b, int but)
{
    int load = but >= 0 && but == s->scale ? s->rising : -1;
    for (size_t k = 0; k < s->n_keys; k++)
        if ((int)k != but && (int)k != s->seed && (int)k != load &&
            strcmp(s->rows[a].values[k], s->rows[b].values[k]) != 0)
            return false;
    return true;
}

static double number_of(const wf_html_study *s, size_t i_row, int key)
{
    return strtod(s->rows[i_row].values[key], NULL);
}

// The mean over repeats; NaN without any.
static double mean_throughput(const wf_html_study *s, size_t i_row)
{
    double sum = 0;
    size_t n = 0;
    for (size_t i = 0; i < s->n_rows; i++) {
        if (!s->rows[i].figures || !is_alike(s, i, i_row, -1)) continue;
        sum += s->rows[i].figures->output_throughput;
        n++;
    }
    return n > 0 ? sum / (double)n : NAN;
}

// The highest throughput of the row's scale, whatever the load; NaN without any.
static double capacity(const wf_html_study *s, size_t i_row)
{
    double most = NAN;
    for (size_t i = 0; i < s->n_rows; i++)
        if (s->rows[i].figures && is_alike(s, i, i_row, s->scale) &&
            strcmp(s->rows[i].values[s->scale], s->rows[i_row].values[s->scale]) == 0)
            most = fmax(most, mean_throughput(s, i));
    return most;
}

void wf_study_efficiency(const wf_html_study *s, double *shares)
{
    for (size_t i = 0; i < s->n_rows; i++) {
        size_t least = i;
        shares[i] = NAN;
        if (s->scale < 0 || !s->rows[i].figures) continue;
        for (size_t k = 0; k < s->n_rows; k++)
            if (s->rows[k].figures && is_alike(s, i, k, s->scale) &&
                number_of(s, k, s->scale) < number_of(s, least, s->scale))
                least = k;
        double times = number_of(s, i, s->scale) / number_of(s, least, s->scale);
        shares[i] = capacity(s, i) / capacity(s, least) / times;
    }
}

// ---- curves -------------------------------------------------------------------------------------

typedef double (*value_fn)(const wf_html_study *s, size_t i_row, const double *shares);

static double tokens_per_s(const wf_html_study *s, size_t i, const double *shares)
{
    (void)shares;
    return s->rows[i].figures->output_throughput;
}

static double tokens_at_most(const wf_html_study *s, size_t i, const double *shares)
{
    (void)shares;
    return capacity(s, i);
}

static double efficiency(const wf_html_study *s, size_t i, const double *shares)
{
    (void)s;
    return shares[i];
}

static double ttft_p99(const wf_html_study *s, size_t i, const double *shares)
{
    (void)shares;
    return s->rows[i].figures->ttft.p99;
}

static double tpot_mean(const wf_html_study *s, size_t i, const double *shares)
{
    (void)shares;
    return s->rows[i].figures->tpot.mean;
}

static double good_share(const wf_html_study *s, size_t i, const double *shares)
{
    (void)shares;
    return wf_figures_within(s->rows[i].figures);
}

typedef struct curve {
    char label[LABEL];
    size_t first; // a row of it
    double at[MOST_X][2];
    size_t n_rows[MOST_X], n;
} curve;

static void label_make(const wf_html_study *s, size_t i_row, int x, char label[LABEL])
{
    size_t n = 0;
    int load = x == s->scale ? s->rising : -1;
    label[0] = '\0';
    for (size_t k = 0; k < s->n_keys && n < LABEL; k++) {
        if ((int)k == x || (int)k == s->seed || (int)k == load) continue;
        const char *dot = strrchr(s->keys[k], '.');
        n += (size_t)snprintf(label + n, LABEL - n, "%s%s %s", n > 0 ? ", " : "",
                              dot ? dot + 1 : s->keys[k], s->rows[i_row].values[k]);
    }
    if (n == 0) snprintf(label, LABEL, "measured");
}

static void curve_add(curve *c, double x, double y)
{
    size_t i = 0;
    while (i < c->n && c->at[i][0] < x)
        i++;
    if (i == c->n || c->at[i][0] != x) {
        if (c->n == MOST_X) return;
        memmove(c->at + i + 1, c->at + i, (c->n - i) * sizeof *c->at);
        memmove(c->n_rows + i + 1, c->n_rows + i, (c->n - i) * sizeof *c->n_rows);
        c->at[i][0] = x;
        c->at[i][1] = 0;
        c->n_rows[i] = 0;
        c->n++;
    }
    c->n_rows[i]++;
    c->at[i][1] += (y - c->at[i][1]) / (double)c->n_rows[i];
}

static size_t curves_make(const wf_html_study *s, int x, value_fn value, const double *shares,
                          curve curves[MOST_SERIES])
{
    size_t n = 0;
    for (size_t i = 0; i < s->n_rows; i++) {
        size_t k = 0;
        if (!s->rows[i].figures || isnan(value(s, i, shares))) continue;
        while (k < n && !is_alike(s, curves[k].first, i, x))
            k++;
        if (k == MOST_SERIES) continue;
        if (k == n) {
            curves[n++] = (curve){.first = i};
            label_make(s, i, x, curves[k].label);
        }
        curve_add(&curves[k], number_of(s, i, x), value(s, i, shares));
    }
    return n;
}

typedef struct picture {
    const char *title;
    value_fn value;
    wf_plot_numbers numbers;
    bool ideal; // a line from the first point on in proportion
} picture;

static void span_of(const curve *curves, size_t n, double x[2], double *most)
{
    x[0] = curves[0].at[0][0];
    x[1] = x[0];
    *most = 0;
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < curves[k].n; i++) {
            x[0] = fmin(x[0], curves[k].at[i][0]);
            x[1] = fmax(x[1], curves[k].at[i][0]);
            *most = fmax(*most, curves[k].at[i][1]);
        }
}

static void curve_draw(const wf_plot *plot, const curve *c, const char *style)
{
    wf_plot_line(plot, style, (const double (*)[2])c->at, c->n);
    for (size_t i = 0; i < c->n; i++)
        wf_plot_dot(plot, style, c->at[i][0], c->at[i][1]);
}

static void picture_draw(const wf_html_study *s, const picture *p, int x, const double *shares,
                         wf_text *out)
{
    static const char *const styles[MOST_SERIES] = {"c1", "c2", "c3", "c4", "c5", "c6"};
    curve curves[MOST_SERIES];
    size_t n = curves_make(s, x, p->value, shares, curves);
    wf_plot plot = {.out = out, .title = p->title, .x_words = s->keys[x], .y_numbers = p->numbers};
    if (n == 0) return;
    span_of(curves, n, plot.x, &plot.y[1]);
    double ideal[2][2] = {{curves[0].at[0][0], curves[0].at[0][1]}, {plot.x[1], 0}};
    ideal[1][1] = ideal[0][0] > 0 ? ideal[0][1] * plot.x[1] / ideal[0][0] : 0;
    if (p->ideal) plot.y[1] = fmax(plot.y[1], ideal[1][1]);
    if (p->numbers == WF_PLOT_SHARES) plot.y[1] = fmax(plot.y[1], 1);
    plot.y[1] *= 1.06;
    for (size_t k = 0; k < n; k++)
        plot.keys[k] = (wf_plot_key){curves[k].label, styles[k]};
    if (p->ideal) plot.keys[n] = (wf_plot_key){"linear", "soft"};
    wf_plot_begin(&plot);
    if (p->ideal) wf_plot_line(&plot, "soft", (const double (*)[2])ideal, 2);
    for (size_t k = 0; k < n; k++)
        curve_draw(&plot, &curves[k], styles[k]);
    wf_plot_end(&plot);
}

static void pictures_draw(const wf_html_study *s, const double *shares, wf_text *out)
{
    static const picture scale[] = {
        {"Generated tokens per second by scale", tokens_at_most, WF_PLOT_PLAIN, true},
        {"Efficiency by scale", efficiency, WF_PLOT_SHARES, false}};
    static const picture load[] = {
        {"Generated tokens per second by load", tokens_per_s, WF_PLOT_PLAIN, false},
        {"p99 of TTFT by load", ttft_p99, WF_PLOT_TIMES, false},
        {"Mean TPOT by load", tpot_mean, WF_PLOT_TIMES, false},
        {"Share of requests within the limits", good_share, WF_PLOT_SHARES, false}};
    wf_text_puts(out, "<div class=\"pictures\">\n");
    for (size_t i = 0; s->scale >= 0 && i < sizeof scale / sizeof scale[0]; i++)
        picture_draw(s, &scale[i], s->scale, shares, out);
    for (size_t i = 0; s->rising >= 0 && i < sizeof load / sizeof load[0]; i++)
        if (load[i].value != good_share || s->limits[0])
            picture_draw(s, &load[i], s->rising, shares, out);
    wf_text_puts(out, "</div>\n");
}

// ---- the table ----------------------------------------------------------------------------------

static void cell(wf_text *out, const char *words)
{
    wf_text_puts(out, "<td>");
    wf_html_put(out, words);
    wf_text_puts(out, "</td>");
}

static void figures_cells(const wf_html_study *s, size_t i, const double *shares, wf_text *out)
{
    char text[WF_HTML_NUMBER_MAX];
    const wf_figures *f = s->rows[i].figures;
    cell(out, wf_html_number((double)f->n_done, text));
    cell(out, wf_html_number(f->request_throughput, text));
    cell(out, wf_html_number(f->output_throughput, text));
    cell(out, wf_html_time(f->ttft.p50, text));
    cell(out, wf_html_time(f->ttft.p99, text));
    cell(out, wf_html_time(f->tpot.mean, text));
    if (s->limits[0]) {
        snprintf(text, sizeof text, "%.1f%%", 100 * good_share(s, i, shares));
        cell(out, text);
    }
    if (s->scale < 0) return;
    snprintf(text, sizeof text, isnan(shares[i]) ? "-" : "%.1f%%", 100 * shares[i]);
    cell(out, text);
}

static void table_put(const wf_html_study *s, const double *shares, wf_text *out)
{
    static const char *const heads[] = {"done",     "requests/s", "tokens/s",
                                        "TTFT p50", "TTFT p99",   "TPOT"};
    size_t n_figures = sizeof heads / sizeof heads[0] + (s->limits[0] != '\0') + (s->scale >= 0);
    wf_text_puts(out, "<div class=\"frame\"><table>\n<thead><tr>");
    for (size_t k = 0; k < s->n_keys; k++) {
        wf_text_puts(out, "<th>");
        wf_html_put(out, s->keys[k]);
        wf_text_puts(out, "</th>");
    }
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        wf_text_printf(out, "<th>%s</th>", heads[i]);
    wf_text_printf(out, "%s%s<th class=\"words\"></th></tr></thead>\n<tbody>\n",
                   s->limits[0] ? "<th>good</th>" : "", s->scale >= 0 ? "<th>efficiency</th>" : "");
    for (size_t i = 0; i < s->n_rows; i++) {
        wf_text_puts(out, "<tr>");
        for (size_t k = 0; k < s->n_keys; k++)
            cell(out, s->rows[i].values[k]);
        if (s->rows[i].figures)
            figures_cells(s, i, shares, out);
        else
            wf_text_printf(out, "<td colspan=\"%zu\"></td>", n_figures);
        wf_text_puts(out, "<td class=\"words\">");
        wf_html_put(out, s->rows[i].said ? s->rows[i].said : "");
        wf_text_puts(out, "</td></tr>\n");
    }
    wf_text_puts(out, "</tbody></table></div>\n");
}

// ---- the page -----------------------------------------------------------------------------------

wf_status wf_html_study_page(const wf_html_study *s, wf_text *out)
{
    double *shares = NULL;
    WF_TRY(wf_alloc(s->n_rows, sizeof *shares, &shares));
    wf_study_efficiency(s, shares);
    wf_html_page_begin(s->name, out);
    wf_text_puts(out, "<h1>");
    wf_html_put(out, s->name);
    wf_text_printf(out, "</h1>\n<p class=\"sub\">%zu runs", s->n_rows);
    if (s->limits[0]) {
        wf_text_puts(out, " \xC2\xB7 limits ");
        wf_html_put(out, s->limits);
    }
    wf_text_puts(out, "</p>\n");
    for (size_t i = 0; i < s->n_findings; i++) {
        wf_text_puts(out, "<p class=\"verdict\">");
        wf_html_put(out, s->findings[i]);
        wf_text_puts(out, "</p>\n");
    }
    pictures_draw(s, shares, out);
    wf_text_puts(out, "<h2>All runs</h2>\n");
    table_put(s, shares, out);
    wf_text_puts(out, "<h2>Again</h2>\n<pre>");
    wf_html_put(out, s->command);
    wf_text_puts(out, "</pre>\n");
    wf_html_page_end(out);
    free(shares);
    return out->st;
}
