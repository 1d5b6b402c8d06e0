// Escaping and numbers. See markup.h.
#include "results/html/markup.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *escaped(unsigned char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    case '\n':
    case '\t':
        return NULL;
    default:
        return c < 0x20 || c == 0x7f ? "\xEF\xBF\xBD" : NULL;
    }
}

static void put_bytes(wf_text *out, const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t length = wf_utf8_length(s + i, n - i);
        const char *instead = length == 0 ? "\xEF\xBF\xBD" : escaped((unsigned char)s[i]);
        // U+FFFE and U+FFFF are UTF-8, and no XML.
        if (length == 3 && memcmp(s + i, "\xEF\xBF", 2) == 0 && (unsigned char)s[i + 2] >= 0xBE)
            instead = "\xEF\xBF\xBD";
        if (instead)
            wf_text_puts(out, instead);
        else
            wf_text_add(out, s + i, length);
        i += length > 0 ? length : 1;
    }
}

void wf_html_put(wf_text *out, const char *words)
{
    put_bytes(out, words, strlen(words));
}

void wf_html_put_cut(wf_text *out, const char *words, size_t most_bytes)
{
    size_t n = strlen(words), cut = n;
    if (n > most_bytes)
        for (cut = most_bytes; cut > 0 && ((unsigned char)words[cut] & 0xC0) == 0x80;)
            cut--;
    put_bytes(out, words, cut);
    if (cut < n) wf_text_puts(out, "\xE2\x80\xA6");
}

void wf_html_put_end(wf_text *out, const char *words, size_t most_bytes)
{
    size_t n = strlen(words), from = n > most_bytes ? n - most_bytes : 0;
    while (from > 0 && ((unsigned char)words[from] & 0xC0) == 0x80)
        from++;
    if (from > 0) wf_text_puts(out, "\xE2\x80\xA6");
    put_bytes(out, words + from, n - from);
}

static char *grouped(double value, char text[WF_HTML_NUMBER_MAX])
{
    char digits[WF_HTML_NUMBER_MAX];
    int n = snprintf(digits, sizeof digits, "%.0f", value), to = 0;
    for (int i = 0; i < n && to < WF_HTML_NUMBER_MAX - 2; i++) {
        if (i > 0 && digits[i - 1] != '-' && (n - i) % 3 == 0) text[to++] = ',';
        text[to++] = digits[i];
    }
    text[to] = '\0';
    return text;
}

char *wf_html_number(double value, char text[WF_HTML_NUMBER_MAX])
{
    double size = fabs(value);
    if (!isfinite(value) || size >= 1e18)
        snprintf(text, WF_HTML_NUMBER_MAX, "%g", value);
    else if (size >= 1000 || value == floor(value))
        return grouped(value, text);
    else if (size >= 1)
        snprintf(text, WF_HTML_NUMBER_MAX, "%.*f", size >= 100 ? 1 : 2, value);
    else
        snprintf(text, WF_HTML_NUMBER_MAX, "%.3g", value);
    return text;
}

char *wf_html_short(double value, char text[WF_HTML_NUMBER_MAX])
{
    static const struct {
        double from;
        const char *letter;
    } units[] = {{1e9, "G"}, {1e6, "M"}, {1e3, "k"}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (fabs(value) >= units[i].from) {
            snprintf(text, WF_HTML_NUMBER_MAX, "%.3g%s", value / units[i].from, units[i].letter);
            return text;
        }
    snprintf(text, WF_HTML_NUMBER_MAX, "%.3g", value);
    return text;
}

char *wf_html_time(double ns, char text[WF_HTML_NUMBER_MAX])
{
    double size = fabs(ns);
    if (size >= 1e13)
        snprintf(text, WF_HTML_NUMBER_MAX, "%.0f s", ns / 1e9);
    else if (size >= 1e9)
        snprintf(text, WF_HTML_NUMBER_MAX, "%.*f s",
                 size >= 1e11   ? 0
                 : size >= 1e10 ? 1
                                : 2,
                 ns / 1e9);
    else if (size >= 1e6)
        snprintf(text, WF_HTML_NUMBER_MAX, "%.*f ms",
                 size >= 1e8   ? 0
                 : size >= 1e7 ? 1
                               : 2,
                 ns / 1e6);
    else
        snprintf(text, WF_HTML_NUMBER_MAX, "%.3g \xC2\xB5s", ns / 1e3);
    return text;
}
