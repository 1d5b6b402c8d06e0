// Axes and lines. See svg.h.
#include "results/html/svg.h"

#include <math.h>
#include <stdio.h>

#include "results/html/markup.h"

enum { LEFT = 52, RIGHT = 12, TOP = 10, BOTTOM = 34, TICKS = 5 };

static double inside(double share)
{
    return share >= 0 ? (share <= 1 ? share : 1) : 0; // NaN too
}

double wf_plot_x(const wf_plot *p, double value)
{
    double share =
        p->log_x ? (log10(fmax(value, 1e-300)) - log10(p->x[0])) / (log10(p->x[1]) - log10(p->x[0]))
                 : (value - p->x[0]) / (p->x[1] - p->x[0]);
    return LEFT + inside(share) * (p->width - LEFT - RIGHT);
}

double wf_plot_y(const wf_plot *p, double value)
{
    double share = (value - p->y[0]) / (p->y[1] - p->y[0]);
    return p->height - BOTTOM - inside(share) * (p->height - TOP - BOTTOM);
}

// With as many digits as tell neighbours apart.
static const char *tick_words(wf_plot_numbers numbers, double value, double step,
                              char text[WF_HTML_NUMBER_MAX])
{
    int decimals = step < 1 ? (int)ceil(-log10(step) - 1e-9) : 0;
    bool fine = step > 0 && fabs(value) >= 100 * step && fabs(value) < 1e6;
    if (numbers == WF_PLOT_SHARES) {
        snprintf(text, WF_HTML_NUMBER_MAX, "%.0f%%", 100 * value);
        return text;
    }
    if (numbers == WF_PLOT_PLAIN && fine) {
        snprintf(text, WF_HTML_NUMBER_MAX, "%.*f", decimals, value);
        return text;
    }
    if (numbers == WF_PLOT_PLAIN) return wf_html_short(value, text);
    if (value >= 1e9)
        snprintf(text, WF_HTML_NUMBER_MAX, "%.4g s", value / 1e9);
    else if (value >= 1e6 || value <= 0)
        snprintf(text, WF_HTML_NUMBER_MAX, "%.4g ms", value / 1e6);
    else
        snprintf(text, WF_HTML_NUMBER_MAX, "%.4g \xC2\xB5s", value / 1e3);
    return text;
}

static void tick_x(const wf_plot *p, double value, double step)
{
    char text[WF_HTML_NUMBER_MAX];
    double x = wf_plot_x(p, value);
    wf_text_printf(p->out, "<path class=\"grid\" d=\"M%.1f %dV%.1f\"/>", x, TOP,
                   p->height - BOTTOM);
    wf_text_printf(p->out, "<text x=\"%.1f\" y=\"%.1f\" class=\"mid\">%s</text>", x,
                   p->height - BOTTOM + 14, tick_words(p->x_numbers, value, step, text));
}

static void tick_y(const wf_plot *p, double value, double step)
{
    char text[WF_HTML_NUMBER_MAX];
    double y = wf_plot_y(p, value);
    wf_text_printf(p->out, "<path class=\"grid\" d=\"M%d %.1fH%.1f\"/>", LEFT, y, p->width - RIGHT);
    wf_text_printf(p->out, "<text x=\"%d\" y=\"%.1f\" class=\"end\">%s</text>", LEFT - 6, y + 4,
                   tick_words(p->y_numbers, value, step, text));
}

// 1, 2 or 5 times a power of ten, about `n` of them in the span.
static double nice_step(double span, int n)
{
    double rough = span / n, power = pow(10, floor(log10(rough))), times = rough / power;
    return power * (times <= 1 ? 1 : times <= 2 ? 2 : times <= 5 ? 5 : 10);
}

static void ticks(const wf_plot *p, const double span[2], int n,
                  void (*tick)(const wf_plot *, double, double))
{
    double step = nice_step(span[1] - span[0], n);
    double first = ceil(span[0] / step - 1e-9);
    for (int i = 0; i < 3 * n; i++) {
        double at = (first + i) * step;
        if (at > span[1] + step * 1e-6) break;
        tick(p, at, step);
    }
}

static void ticks_log(const wf_plot *p)
{
    static const double parts[] = {1, 2, 5};
    double decades = log10(p->x[1] / p->x[0]);
    int n_parts = decades < 2.2 ? 3 : 1;
    double every = decades > 6 ? 2 : 1;
    for (double power = pow(10, floor(log10(p->x[0]))); power <= p->x[1]; power *= pow(10, every))
        for (int i = 0; i < n_parts; i++) {
            double at = power * parts[i];
            if (at >= p->x[0] * 0.999 && at <= p->x[1] * 1.001) tick_x(p, at, at);
        }
}

void wf_plot_begin(wf_plot *p)
{
    if (p->width == 0) p->width = 440;
    if (p->height == 0) p->height = 220;
    if (!(p->x[1] > p->x[0])) p->x[1] = p->x[0] + 1;
    if (p->y[1] == p->y[0]) p->y[1] = p->y[0] + 1;
    wf_text_printf(p->out, "<figure%s>\n<figcaption><b>", p->wide ? " class=\"wide\"" : "");
    wf_html_put(p->out, p->title);
    wf_text_puts(p->out, "</b>");
    for (int i = 0; i < WF_PLOT_KEYS && p->keys[i].words; i++) {
        wf_text_printf(p->out, " <span class=\"key %s\">", p->keys[i].style);
        wf_html_put_end(p->out, p->keys[i].words, 40);
        wf_text_puts(p->out, "</span>");
    }
    if (p->said) {
        wf_text_puts(p->out, " <span class=\"said\">");
        wf_html_put(p->out, p->said);
        wf_text_puts(p->out, "</span>");
    }
    wf_text_printf(p->out,
                   "</figcaption>\n<div class=\"frame\"><svg viewBox=\"0 0 %.0f %.0f\" "
                   "role=\"img\" aria-label=\"",
                   p->width, p->height);
    wf_html_put(p->out, p->title);
    wf_text_puts(p->out, "\">");
    if (p->log_x)
        ticks_log(p);
    else
        ticks(p, p->x, p->wide ? 10 : 5, tick_x);
    if (!p->bare_y) ticks(p, p->y, TICKS, tick_y);
    wf_text_printf(p->out, "<text x=\"%.1f\" y=\"%.1f\" class=\"mid\">",
                   (LEFT + p->width - RIGHT) / 2, p->height - 5);
    wf_html_put(p->out, p->x_words);
    wf_text_puts(p->out, "</text>\n");
}

void wf_plot_end(const wf_plot *p)
{
    wf_text_puts(p->out, "</svg></div>");
    if (p->note) {
        wf_text_puts(p->out, "\n<p class=\"note\">");
        wf_html_put(p->out, p->note);
        wf_text_puts(p->out, "</p>");
    }
    wf_text_puts(p->out, "\n</figure>\n");
}

static void stairs_path(const wf_plot *p, const double *values, size_t n)
{
    double width = (p->x[1] - p->x[0]) / (double)n;
    for (size_t i = 0; i < n; i++) {
        if (i == 0) wf_text_printf(p->out, "M%.1f ", wf_plot_x(p, p->x[0]));
        wf_text_printf(p->out, i == 0 ? "%.1f" : "V%.1f", wf_plot_y(p, values[i]));
        wf_text_printf(p->out, "H%.1f", wf_plot_x(p, p->x[0] + width * (double)(i + 1)));
    }
}

void wf_plot_stairs(const wf_plot *p, const char *style, const double *values, size_t n)
{
    wf_text_printf(p->out, "<path class=\"area %s\" d=\"", style);
    stairs_path(p, values, n);
    wf_text_printf(p->out, "V%.1fH%.1fZ\"/>", wf_plot_y(p, p->y[0]), wf_plot_x(p, p->x[0]));
    wf_text_printf(p->out, "<path class=\"line %s\" d=\"", style);
    stairs_path(p, values, n);
    wf_text_puts(p->out, "\"/>\n");
}

void wf_plot_line(const wf_plot *p, const char *style, const double (*points)[2], size_t n)
{
    if (n == 0) return;
    wf_text_printf(p->out, "<path class=\"line %s\" d=\"", style);
    for (size_t i = 0; i < n; i++)
        wf_text_printf(p->out, "%s%.1f %.1f", i == 0 ? "M" : "L", wf_plot_x(p, points[i][0]),
                       wf_plot_y(p, points[i][1]));
    wf_text_puts(p->out, "\"/>\n");
}

void wf_plot_dot(const wf_plot *p, const char *style, double x, double y)
{
    wf_text_printf(p->out, "<circle class=\"dot %s\" cx=\"%.1f\" cy=\"%.1f\" r=\"3\"/>\n", style,
                   wf_plot_x(p, x), wf_plot_y(p, y));
}

void wf_plot_mark(const wf_plot *p, const char *style, double x, const char *words)
{
    double at = wf_plot_x(p, x);
    bool left = at > p->width - 110;
    wf_text_printf(p->out, "<path class=\"mark %s\" d=\"M%.1f %dV%.1f\"/>", style, at, TOP,
                   p->height - BOTTOM);
    wf_text_printf(p->out, "<text class=\"said %s\" x=\"%.1f\" y=\"%.1f\">", left ? "end" : "",
                   at + (left ? -4 : 4), p->height - BOTTOM - 6);
    wf_html_put(p->out, words);
    wf_text_puts(p->out, "</text>\n");
}
