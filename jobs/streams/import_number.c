// See import_number.h.
#include "jobs/streams/import_number.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/clock.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

// Digits only, at most 18 of them.
static bool parse_digits(const char *text, size_t n, int64_t *out)
{
    int64_t value = 0;
    if (n == 0 || n > 18) return false;
    for (size_t i = 0; i < n; i++) {
        if (!is_digit(text[i])) return false;
        value = value * 10 + (text[i] - '0');
    }
    *out = value;
    return true;
}

// ".5" of a second -> 500,000,000 ns; digits beyond nanoseconds are cut. Empty text is 0.
static bool parse_fraction(const char *text, size_t n, int64_t unit_ns, int64_t *out_ns)
{
    int64_t ns = 0;
    if (n == 1) return false; // a point and no digit
    for (size_t i = 0; i < n; i++) {
        if (i == 0 ? text[i] != '.' : !is_digit(text[i])) return false;
        if (i == 0) continue;
        unit_ns /= 10;
        ns += unit_ns * (text[i] - '0');
    }
    *out_ns = ns;
    return true;
}

// "5e-05", as programs write what is small or great.
static bool parse_exponent(const char *text, size_t n, int64_t unit_ns, int64_t *out_ns)
{
    char copy[40], *end;
    if (n >= sizeof copy || !is_digit(text[0])) return false;
    memcpy(copy, text, n);
    copy[n] = '\0';
    if (strspn(copy, "0123456789.eE+-") != n) return false;
    double ns = strtod(copy, &end) * (double)unit_ns;
    if (end != copy + n || !(ns < 9e18)) return false;
    *out_ns = (int64_t)llround(ns);
    return true;
}

bool wf_decimal_to_ns(const char *text, size_t n_bytes, int64_t unit_ns, int64_t *out_ns)
{
    const char *point = memchr(text, '.', n_bytes);
    size_t n_whole = point != NULL ? (size_t)(point - text) : n_bytes;
    int64_t whole, ns;
    if (n_bytes > 0 && (memchr(text, 'e', n_bytes) != NULL || memchr(text, 'E', n_bytes) != NULL))
        return parse_exponent(text, n_bytes, unit_ns, out_ns);
    if (!parse_digits(text, n_whole, &whole) || whole > INT64_MAX / unit_ns - 1) return false;
    if (!parse_fraction(text + n_whole, n_bytes - n_whole, unit_ns, &ns)) return false;
    *out_ns = whole * unit_ns + ns;
    return true;
}

// Days since 1970-01-01 of a proleptic Gregorian date.
// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms" (days_from_civil).
static int64_t days_from_civil(int64_t year, int64_t month, int64_t day)
{
    if (month <= 2) year--;
    int64_t era = year / 400, year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static bool parse_part(const char *text, size_t at, size_t n, char before, int64_t least,
                       int64_t most, int64_t *out)
{
    if (before != '\0' && text[at - 1] != before) return false;
    return parse_digits(text + at, n, out) && *out >= least && *out <= most;
}

// "", "Z" or "+hh:mm" behind a time: seconds to take off.
static bool parse_zone(const char *text, size_t n, int64_t *out_s)
{
    int64_t hours, minutes;
    *out_s = 0;
    if (n == 0 || (n == 1 && text[0] == 'Z')) return true;
    if (n != 6 || (text[0] != '+' && text[0] != '-')) return false;
    if (!parse_part(text, 1, 2, '\0', 0, 23, &hours)) return false;
    if (!parse_part(text, 4, 2, ':', 0, 59, &minutes)) return false;
    *out_s = (hours * 60 + minutes) * 60 * (text[0] == '-' ? -1 : 1);
    return true;
}

bool wf_date_to_ns(const char *text, size_t n_bytes, int64_t *out_ns)
{
    int64_t year, month, day, hour, minute, second, ns, zone_s;
    if (n_bytes < 19) return false;
    if (!parse_part(text, 0, 4, '\0', 1970, 2200, &year) ||
        !parse_part(text, 5, 2, '-', 1, 12, &month) || !parse_part(text, 8, 2, '-', 1, 31, &day) ||
        !parse_part(text, 11, 2, text[10] == 'T' ? 'T' : ' ', 0, 23, &hour) ||
        !parse_part(text, 14, 2, ':', 0, 59, &minute) ||
        !parse_part(text, 17, 2, ':', 0, 60, &second)) {
        return false;
    }
    size_t fraction_end = 19;
    while (fraction_end < n_bytes && (text[fraction_end] == '.' || is_digit(text[fraction_end])))
        fraction_end++;
    if (!parse_fraction(text + 19, fraction_end - 19, WF_NS_PER_S, &ns)) return false;
    if (!parse_zone(text + fraction_end, n_bytes - fraction_end, &zone_s)) return false;
    int64_t days = days_from_civil(year, month, day);
    int64_t seconds = ((days * 24 + hour) * 60 + minute) * 60 + second - zone_s;
    *out_ns = seconds * WF_NS_PER_S + ns;
    return true;
}

bool wf_text_to_count(const char *text, size_t n_bytes, bool *decimal, uint64_t *out)
{
    const char *point = memchr(text, '.', n_bytes);
    size_t n_whole = point != NULL ? (size_t)(point - text) : n_bytes;
    int64_t value, rest = 0;
    if (!parse_digits(text, n_whole, &value) || value > WF_TRACE_MAX_LENGTH) return false;
    if (point != NULL && (!parse_digits(point + 1, n_bytes - n_whole - 1, &rest) || rest != 0))
        return false;
    if (point != NULL) *decimal = true;
    *out = (uint64_t)value;
    return true;
}
