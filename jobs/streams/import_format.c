// The log formats: Azure's LLM inference traces, Mooncake's, and any CSV with the right column
// names.
#include "jobs/streams/import_format.h"

#include <string.h>

#include "io/base/clock.h"
#include "io/base/json.h"
#include "jobs/streams/import.h"

#define MAX_LENGTH (INT64_C(1) << 31)

typedef struct {
    const char *text;
    size_t n;
} field;

// --- numbers ---

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

// ".5" -> 500,000,000 ns; digits beyond nanoseconds are cut. Empty text is 0.
static bool parse_fraction(const char *text, size_t n, int64_t *out_ns)
{
    int64_t ns = 0, unit = 100000000;
    if (n == 1) return false; // a point and no digit
    for (size_t i = 0; i < n; i++) {
        if (i == 0 ? text[i] != '.' : !is_digit(text[i])) return false;
        if (i == 0) continue;
        ns += unit * (text[i] - '0');
        unit /= 10;
    }
    *out_ns = ns;
    return true;
}

bool wf_decimal_to_ns(const char *text, size_t n_bytes, int64_t *out_ns)
{
    const char *point = memchr(text, '.', n_bytes);
    size_t n_whole = point != NULL ? (size_t)(point - text) : n_bytes;
    int64_t seconds, ns;
    if (!parse_digits(text, n_whole, &seconds) || seconds > INT64_MAX / WF_NS_PER_S - 1)
        return false;
    if (!parse_fraction(text + n_whole, n_bytes - n_whole, &ns)) return false;
    *out_ns = seconds * WF_NS_PER_S + ns;
    return true;
}

static wf_status parse_length(field f, const char *place, const char *name, uint64_t *out)
{
    int64_t value;
    if (!parse_digits(f.text, f.n, &value) || value > MAX_LENGTH) {
        return wf_fail(WF_DATA, "%s: %s is '%.*s', expected a number of tokens", place, name,
                       (int)(f.n < 40 ? f.n : 40), f.text);
    }
    *out = (uint64_t)value;
    return WF_OK;
}

// --- comma-separated values ---

static wf_status split(const wf_line *line, const char *place, field *fields, int *n_fields)
{
    const char *at = line->text, *end = line->text + line->n_bytes;
    int n = 0;
    if (line->text[0] == '{') {
        return wf_fail(WF_DATA,
                       "%s: is JSON, not comma-separated values; weft import mooncake "
                       "reads Mooncake's JSON lines, weft pack prompts",
                       place);
    }
    if (memchr(at, '"', line->n_bytes) != NULL)
        return wf_fail(WF_DATA, "%s: quoted fields are not supported", place);
    for (;;) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *stop = comma != NULL ? comma : end;
        if (n == WF_TRACE_MAX_COLUMNS)
            return wf_fail(WF_DATA, "%s: has more than %d columns", place, WF_TRACE_MAX_COLUMNS);
        fields[n++] = (field){at, (size_t)(stop - at)};
        if (comma == NULL) break;
        at = comma + 1;
    }
    *n_fields = n;
    return WF_OK;
}

static wf_status split_row(const wf_line *line, const char *place, const wf_trace_header *header,
                           field *fields)
{
    int n = 0;
    WF_TRY(split(line, place, fields, &n));
    if (n == header->n_columns) return WF_OK;
    return wf_fail(WF_DATA, "%s: has %d fields, the header has %d", place, n, header->n_columns);
}

static bool is_name(field f, const char *name)
{
    return f.n == strlen(name) && memcmp(f.text, name, f.n) == 0;
}

static const char *const azure_names[3] = {"TIMESTAMP", "ContextTokens", "GeneratedTokens"};
static const char *const csv_names[3] = {"arrival_s", "input_tokens", "output_tokens"};

// What to do about a header that lacks a column: it may be another format's.
static const char *other_format(const field *fields, int n)
{
    for (int i = 0; i < n; i++) {
        if (is_name(fields[i], azure_names[0])) return "; is it an azure log? (weft import azure)";
        if (is_name(fields[i], csv_names[0])) return "; is it a csv log? (weft import csv)";
    }
    return "; weft help import says what each format has";
}

static wf_status find_column(const field *fields, int n, const char *place, const char *name,
                             int *out)
{
    for (int i = 0; i < n; i++) {
        if (is_name(fields[i], name)) {
            *out = i;
            return WF_OK;
        }
    }
    return wf_fail(WF_DATA, "%s: the header lacks column '%s'%s", place, name,
                   other_format(fields, n));
}

static wf_status find_columns(const wf_line *line, const char *place, const char *const names[3],
                              wf_trace_header *h)
{
    field fields[WF_TRACE_MAX_COLUMNS];
    WF_TRY(split(line, place, fields, &h->n_columns));
    WF_TRY(find_column(fields, h->n_columns, place, names[0], &h->arrival));
    WF_TRY(find_column(fields, h->n_columns, place, names[1], &h->n_prompt));
    return find_column(fields, h->n_columns, place, names[2], &h->n_new);
}

// --- azure ---

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

// "YYYY-MM-DD HH:MM:SS[.fffffff][+hh:mm]" as nanoseconds since 1970.
static bool parse_time(field f, int64_t *out_ns)
{
    int64_t year, month, day, hour, minute, second, ns, zone_s;
    if (f.n < 19) return false;
    if (!parse_part(f.text, 0, 4, '\0', 1970, 2200, &year) ||
        !parse_part(f.text, 5, 2, '-', 1, 12, &month) ||
        !parse_part(f.text, 8, 2, '-', 1, 31, &day) ||
        !parse_part(f.text, 11, 2, f.text[10] == 'T' ? 'T' : ' ', 0, 23, &hour) ||
        !parse_part(f.text, 14, 2, ':', 0, 59, &minute) ||
        !parse_part(f.text, 17, 2, ':', 0, 60, &second)) {
        return false;
    }
    size_t fraction_end = 19;
    while (fraction_end < f.n && (f.text[fraction_end] == '.' || is_digit(f.text[fraction_end])))
        fraction_end++;
    if (!parse_fraction(f.text + 19, fraction_end - 19, &ns)) return false;
    if (!parse_zone(f.text + fraction_end, f.n - fraction_end, &zone_s)) return false;
    int64_t days = days_from_civil(year, month, day);
    int64_t seconds = ((days * 24 + hour) * 60 + minute) * 60 + second - zone_s;
    *out_ns = seconds * WF_NS_PER_S + ns;
    return true;
}

static wf_status azure_header(const wf_line *line, const char *place, wf_trace_header *header)
{
    return find_columns(line, place, azure_names, header);
}

static wf_status azure_row(const wf_line *line, const char *place, const wf_trace_header *h,
                           wf_arena *arena, wf_trace_row *row)
{
    (void)arena;
    field fields[WF_TRACE_MAX_COLUMNS];
    WF_TRY(split_row(line, place, h, fields));
    if (!parse_time(fields[h->arrival], &row->time_ns)) {
        return wf_fail(WF_DATA, "%s: TIMESTAMP is '%.*s', expected YYYY-MM-DD HH:MM:SS.fffffff",
                       place, (int)(fields[h->arrival].n < 40 ? fields[h->arrival].n : 40),
                       fields[h->arrival].text);
    }
    WF_TRY(parse_length(fields[h->n_prompt], place, azure_names[1], &row->n_prompt));
    return parse_length(fields[h->n_new], place, azure_names[2], &row->n_new);
}

// --- csv ---

static wf_status csv_header(const wf_line *line, const char *place, wf_trace_header *header)
{
    return find_columns(line, place, csv_names, header);
}

static wf_status csv_row(const wf_line *line, const char *place, const wf_trace_header *h,
                         wf_arena *arena, wf_trace_row *row)
{
    (void)arena;
    field fields[WF_TRACE_MAX_COLUMNS];
    WF_TRY(split_row(line, place, h, fields));
    field arrival = fields[h->arrival];
    if (!wf_decimal_to_ns(arrival.text, arrival.n, &row->time_ns)) {
        return wf_fail(WF_DATA, "%s: arrival_s is '%.*s', expected seconds like 12.5", place,
                       (int)(arrival.n < 40 ? arrival.n : 40), arrival.text);
    }
    WF_TRY(parse_length(fields[h->n_prompt], place, csv_names[1], &row->n_prompt));
    return parse_length(fields[h->n_new], place, csv_names[2], &row->n_new);
}

// --- mooncake ---

static wf_status mooncake_blocks(wf_json_ref root, wf_arena *arena, wf_trace_row *row)
{
    wf_json_ref list;
    if (!wf_json_has(root, "hash_ids")) return WF_OK;
    WF_TRY(wf_json_get_array(root, "hash_ids", &list));
    size_t n = wf_json_count(list);
    uint64_t *block = NULL;
    WF_TRY(wf_arena_alloc(arena, n, sizeof *block, &block));
    wf_json_iter it = wf_json_iterate(list);
    wf_json_ref item;
    for (size_t i = 0; wf_json_next(&it, &item); i++) {
        int64_t id;
        WF_TRY(wf_json_read_i64(item, 0, INT64_MAX, &id));
        block[i] = (uint64_t)id;
    }
    row->block = block;
    row->n_blocks = (uint32_t)n;
    return WF_OK;
}

static wf_status mooncake_row(const wf_line *line, const char *place, const wf_trace_header *h,
                              wf_arena *arena, wf_trace_row *row)
{
    (void)h;
    wf_json *doc = NULL;
    if (line->text[strspn(line->text, " \t")] != '{') {
        return wf_fail(WF_DATA,
                       "%s: is no JSON object: Mooncake's logs have one a line; weft import "
                       "azure and weft import csv read comma-separated values",
                       place);
    }
    WF_TRY(wf_json_parse(place, line->text, line->n_bytes, NULL, &doc));
    wf_json_ref root = wf_json_root(doc);
    int64_t ms = 0, n_prompt = 0, n_new = 0;
    wf_status st = wf_json_get_i64(root, "timestamp", 0, INT64_MAX / WF_NS_PER_MS, &ms);
    if (st == WF_OK) st = wf_json_get_i64(root, "input_length", 0, MAX_LENGTH, &n_prompt);
    if (st == WF_OK) st = wf_json_get_i64(root, "output_length", 0, MAX_LENGTH, &n_new);
    if (st == WF_OK) st = mooncake_blocks(root, arena, row);
    wf_json_destroy(&doc);
    row->time_ns = ms * WF_NS_PER_MS;
    row->n_prompt = (uint64_t)n_prompt;
    row->n_new = (uint64_t)n_new;
    return st;
}

// --- the table ---

static const wf_trace_format formats[] = {
    {"azure", "100ns", 0, azure_header, azure_row},
    {"mooncake", "ms", 512, NULL, mooncake_row},
    {"csv", "s", 0, csv_header, csv_row},
};

const wf_import_format_help wf_import_formats[] = {
    {"azure", "Azure LLM inference trace: TIMESTAMP,ContextTokens,GeneratedTokens"},
    {"mooncake", "Mooncake trace: JSON lines of timestamp (ms), input_length, output_length, "
                 "hash_ids"},
    {"csv", "CSV with columns arrival_s, input_tokens and output_tokens, in any order"},
    {NULL, NULL},
};

wf_status wf_trace_format_find(const char *name, const wf_trace_format **out)
{
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        if (strcmp(formats[i].name, name) == 0) {
            *out = &formats[i];
            return WF_OK;
        }
    }
    return wf_fail(WF_USAGE, "'%.40s' is no known log format; known are azure, mooncake, csv",
                   name);
}
