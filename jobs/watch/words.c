// Numbers as people read them. See words.h.
#include "jobs/watch/words.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

#include "io/base/clock.h"

char *wf_words_count(int64_t value, char text[WF_WORDS_MAX])
{
    char digits[WF_WORDS_MAX];
    int n = snprintf(digits, sizeof digits, "%" PRId64, value < 0 ? 0 : value);
    size_t used = 0;
    for (int i = 0; i < n; i++) {
        if (i > 0 && (n - i) % 3 == 0) text[used++] = ',';
        text[used++] = digits[i];
    }
    text[used] = '\0';
    return text;
}

char *wf_words_scaled(double value, char text[WF_WORDS_MAX])
{
    static const struct {
        double from, unit;
        const char *suffix;
    } scales[] = {{999.95e6, 1e9, "G"}, {999.95e3, 1e6, "M"}, {999.5, 1e3, "k"}};
    for (size_t i = 0; i < sizeof scales / sizeof scales[0]; i++) {
        if (value < scales[i].from) continue;
        snprintf(text, WF_WORDS_MAX, "%.1f%s", value / scales[i].unit, scales[i].suffix);
        return text;
    }
    snprintf(text, WF_WORDS_MAX, value < 9.95 && value > 0 ? "%.1f" : "%.0f", value);
    return text;
}

// Two units are enough.
char *wf_words_duration(int64_t ns, char text[WF_WORDS_MAX])
{
    int64_t s = (ns + WF_NS_PER_S / 2) / WF_NS_PER_S;
    if (s < 60)
        snprintf(text, WF_WORDS_MAX, "%" PRId64 "s", s);
    else if (s < 3600)
        snprintf(text, WF_WORDS_MAX, "%" PRId64 "m%02" PRId64 "s", s / 60, s % 60);
    else if (s < 86400)
        snprintf(text, WF_WORDS_MAX, "%" PRId64 "h%02" PRId64 "m", s / 3600, s % 3600 / 60);
    else
        snprintf(text, WF_WORDS_MAX, "%" PRId64 "d%02" PRId64 "h", s / 86400, s % 86400 / 3600);
    return text;
}

char *wf_words_percent(int64_t part, int64_t whole, char text[WF_WORDS_MAX])
{
    double percent = whole > 0 ? 100.0 * (double)part / (double)whole : 0;
    snprintf(text, WF_WORDS_MAX, "%.1f%%", (double)(int64_t)(percent * 10.0) / 10.0);
    return text;
}

const char *wf_words_result(int64_t n_rows, int64_t n_results)
{
    return n_rows > 0 && n_results > n_rows ? "sample" : "request";
}
