// Strict number reading. Decimals of durations and sizes are read as integers over a power of ten,
// so that 0.1s is exactly 100000000 ns.
#include "io/base/parse.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *name;
    int64_t size;
} unit_row;

static const unit_row duration_units[] = {
    {"d", INT64_C(86400000000000)},
    {"h", INT64_C(3600000000000)},
    {"m", INT64_C(60000000000)},
    {"s", INT64_C(1000000000)},
    {"ms", 1000000},
    {"us", 1000},
    {"ns", 1},
};

static const unit_row bytes_units[] = {
    {"TiB", INT64_C(1) << 40},
    {"TB", INT64_C(1000000000000)},
    {"T", INT64_C(1000000000000)},
    {"GiB", INT64_C(1) << 30},
    {"GB", INT64_C(1000000000)},
    {"G", INT64_C(1000000000)},
    {"MiB", INT64_C(1) << 20},
    {"MB", 1000000},
    {"M", 1000000},
    {"KiB", 1024},
    {"kiB", 1024},
    {"kB", 1000},
    {"KB", 1000},
    {"k", 1000},
    {"K", 1000},
    {"B", 1},
    {"", 1},
};

#define N_UNITS(table) (sizeof(table) / sizeof((table)[0]))

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

// Digits that do not begin with a zero unless they are one.
static bool is_plain_digits(const char *text)
{
    size_t n = 0;
    while (is_digit(text[n]))
        n++;
    return n > 0 && text[n] == '\0' && (text[0] != '0' || n == 1);
}

wf_status wf_parse_bool(const char *text, bool *out)
{
    bool yes = strcmp(text, "true") == 0;
    if (!yes && strcmp(text, "false") != 0)
        return wf_fail(WF_DATA, "\"%.80s\" is neither true nor false", text);
    *out = yes;
    return WF_OK;
}

wf_status wf_parse_i64(const char *text, int64_t min, int64_t max, int64_t *out)
{
    if (!is_plain_digits(text[0] == '-' ? text + 1 : text))
        return wf_fail(WF_DATA, "\"%.80s\" is not a whole number", text);
    errno = 0;
    int64_t value = strtoll(text, NULL, 10);
    if (errno == ERANGE || value < min || value > max)
        return wf_fail(WF_DATA, "%.80s is outside %" PRId64 " to %" PRId64, text, min, max);
    *out = value;
    return WF_OK;
}

wf_status wf_parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    if (!is_plain_digits(text))
        return wf_fail(WF_DATA, "\"%.80s\" is not a whole number of zero or more", text);
    errno = 0;
    uint64_t value = strtoull(text, NULL, 10);
    if (errno == ERANGE || value < min || value > max)
        return wf_fail(WF_DATA, "%.80s is outside %" PRIu64 " to %" PRIu64, text, min, max);
    *out = value;
    return WF_OK;
}

wf_status wf_parse_f64(const char *text, double min, double max, double *out)
{
    char *end;
    const char *digits = text[0] == '-' ? text + 1 : text;
    double value = strtod(text, &end);
    bool decimal = is_digit(digits[0]) && strspn(digits, "0123456789.eE+-") == strlen(digits);
    if (!decimal || *end != '\0' || (digits[0] == '0' && is_digit(digits[1])))
        return wf_fail(WF_DATA, "\"%.80s\" is not a number", text);
    if (!isfinite(value) || value < min || value > max)
        return wf_fail(WF_DATA, "%.80s is outside %g to %g", text, min, max);
    *out = value;
    return WF_OK;
}

// Splits "12.5GiB" into 125, ten to the number of decimals, and "GiB". False when there is no
// number, it has more than nine decimals or does not fit.
static bool split_number(const char *text, int64_t *digits, int64_t *scale, const char **unit)
{
    const char *c = text;
    int64_t value = 0, ten = 1;
    if (!is_digit(*c) || (c[0] == '0' && is_digit(c[1]))) return false;
    for (bool fraction = false; is_digit(*c) || (*c == '.' && !fraction); c++) {
        if (*c == '.') {
            fraction = true;
            if (!is_digit(c[1])) return false;
            continue;
        }
        if (fraction && (ten *= 10) > 1000000000) return false;
        if (__builtin_mul_overflow(value, 10, &value)) return false;
        if (__builtin_add_overflow(value, *c - '0', &value)) return false;
    }
    *digits = value;
    *scale = ten;
    *unit = c;
    return true;
}

// digits / scale * unit, exactly; false when that is not whole or does not fit.
static bool scale_number(int64_t digits, int64_t scale, int64_t unit, int64_t *out)
{
    __int128 product = (__int128)digits * unit;
    if (product % scale != 0 || product / scale > INT64_MAX) return false;
    *out = (int64_t)(product / scale);
    return true;
}

static const unit_row *unit_find(const unit_row *units, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(units[i].name, name) == 0) return &units[i];
    return NULL;
}

// "[days-]hh:mm:ss". *clock tells whether the text has that shape at all.
static bool parse_clock_time(const char *text, bool *clock, int64_t *out_ns)
{
    unsigned days = 0, h, m, s;
    const char *rest = strchr(text, '-');
    *clock = strchr(text, ':') != NULL;
    if (!*clock) return false;
    if (rest) {
        char *end;
        if (!is_digit(text[0]) || rest - text > 5) return false;
        days = (unsigned)strtoul(text, &end, 10);
        if (end != rest) return false;
    }
    rest = rest ? rest + 1 : text;
    size_t n = strlen(rest);
    if (n < 8 || n > 9 || strspn(rest, "0123456789:") != n) return false; // hours up to 999
    if (rest[n - 3] != ':' || rest[n - 6] != ':' || strchr(rest, ':') != rest + n - 6) return false;
    if (sscanf(rest, "%u:%u:%u", &h, &m, &s) != 3 || m > 59 || s > 59) return false;
    *out_ns = (((int64_t)days * 24 + h) * 3600 + (int64_t)m * 60 + s) * INT64_C(1000000000);
    return true;
}

wf_status wf_parse_duration(const char *text, int64_t *out_ns)
{
    int64_t digits, scale, value;
    const char *unit_name;
    bool clock;
    if (parse_clock_time(text, &clock, out_ns)) return WF_OK;
    if (clock)
        return wf_fail(WF_DATA, "\"%.80s\" is not a time: write hh:mm:ss or days-hh:mm:ss", text);
    if (strcmp(text, "0") == 0) {
        *out_ns = 0;
        return WF_OK;
    }
    if (!split_number(text, &digits, &scale, &unit_name)) {
        return wf_fail(WF_DATA, "\"%.80s\" is not a duration: write one like 300s, 500ms or 4h",
                       text);
    }
    const unit_row *unit = unit_find(duration_units, N_UNITS(duration_units), unit_name);
    if (!unit)
        return wf_fail(WF_DATA, "\"%.80s\" needs a unit: one of ns, us, ms, s, m, h, d", text);
    if (!scale_number(digits, scale, unit->size, &value)) {
        return wf_fail(WF_DATA, "\"%.80s\" is not a whole number of nanoseconds, or too long",
                       text);
    }
    *out_ns = value;
    return WF_OK;
}

wf_status wf_parse_bytes(const char *text, int64_t *out_bytes)
{
    int64_t digits, scale, value;
    const char *unit_name;
    if (!split_number(text, &digits, &scale, &unit_name)) {
        return wf_fail(WF_DATA, "\"%.80s\" is not a size: write one like 1GiB, 256MB or 4096",
                       text);
    }
    const unit_row *unit = unit_find(bytes_units, N_UNITS(bytes_units), unit_name);
    if (!unit) {
        return wf_fail(WF_DATA,
                       "\"%.80s\" has an unknown unit: kB, MB, GB, TB or KiB, MiB, GiB, TiB", text);
    }
    if (!scale_number(digits, scale, unit->size, &value))
        return wf_fail(WF_DATA, "\"%.80s\" is not a whole number of bytes, or too large", text);
    *out_bytes = value;
    return WF_OK;
}

char *wf_duration_text(int64_t ns, char text[WF_PARSE_TEXT_MAX])
{
    static const char *const names[] = {"h", "m", "s", "ms", "us", "ns"};
    snprintf(text, WF_PARSE_TEXT_MAX, "0s");
    for (size_t i = 0; ns != 0 && i < N_UNITS(names); i++) {
        const unit_row *unit = unit_find(duration_units, N_UNITS(duration_units), names[i]);
        if (ns % unit->size != 0) continue;
        snprintf(text, WF_PARSE_TEXT_MAX, "%" PRId64 "%s", ns / unit->size, names[i]);
        break;
    }
    return text;
}

char *wf_bytes_text(int64_t bytes, char text[WF_PARSE_TEXT_MAX])
{
    static const char *const names[] = {"TiB", "TB", "GiB", "GB", "MiB", "MB", "KiB", "kB", "B"};
    snprintf(text, WF_PARSE_TEXT_MAX, "0");
    for (size_t i = 0; bytes != 0 && i < N_UNITS(names); i++) {
        const unit_row *unit = unit_find(bytes_units, N_UNITS(bytes_units), names[i]);
        if (bytes % unit->size != 0) continue;
        snprintf(text, WF_PARSE_TEXT_MAX, "%" PRId64 "%s", bytes / unit->size,
                 unit->size == 1 ? "" : names[i]);
        break;
    }
    return text;
}

char *wf_bytes_round_text(int64_t bytes, char text[WF_PARSE_TEXT_MAX])
{
    static const char *const names[] = {"TiB", "GiB", "MiB", "KiB"};
    snprintf(text, WF_PARSE_TEXT_MAX, "%" PRId64 " B", bytes);
    for (size_t i = 0; i < N_UNITS(names); i++) {
        const unit_row *unit = unit_find(bytes_units, N_UNITS(bytes_units), names[i]);
        if (bytes < unit->size) continue;
        snprintf(text, WF_PARSE_TEXT_MAX, "%.3f %s", (double)bytes / (double)unit->size, names[i]);
        break;
    }
    return text;
}

// The shortest that reads back the same, as a float where `is_float`; 100.0 rather than 1e+02.
static char *shortest(double value, bool is_float, char text[WF_PARSE_TEXT_MAX])
{
    enum { PLAIN_FROM = -5, PLAIN_TO = 15 };
    int digits = 0;
    for (double read = 0; ++digits <= 17;) {
        snprintf(text, WF_PARSE_TEXT_MAX, "%.*e", digits - 1, value);
        read = strtod(text, NULL);
        if (read == value || (is_float && (double)(float)read == value)) break;
    }
    const char *power = strchr(text, 'e');
    if (!power) return text; // no number
    int exponent = (int)strtol(power + 1, NULL, 10), decimals = digits - 1 - exponent;
    if (exponent < PLAIN_FROM || exponent > PLAIN_TO)
        snprintf(text, WF_PARSE_TEXT_MAX, "%.*g", digits, value);
    else
        snprintf(text, WF_PARSE_TEXT_MAX, "%.*f", decimals > 0 ? decimals : 1, value);
    if (!strpbrk(text, ".e")) strcat(text, ".0");
    return text;
}

char *wf_f64_text(double value, char text[WF_PARSE_TEXT_MAX])
{
    return shortest(value, false, text);
}

char *wf_f32_text(float value, char text[WF_PARSE_TEXT_MAX])
{
    return shortest((double)value, true, text);
}
