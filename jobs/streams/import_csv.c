// Rows of comma-separated values (RFC 4180, one row a line).
#include <stdio.h>
#include <string.h>

#include "io/base/clock.h"
#include "io/base/json_writer.h"
#include "io/base/parse.h"
#include "jobs/streams/import_format.h"
#include "jobs/streams/import_number.h"

// --- fields ---

static wf_trace_field trimmed(const char *from, const char *to)
{
    while (from < to && (*from == ' ' || *from == '\t'))
        from++;
    while (to > from && (to[-1] == ' ' || to[-1] == '\t'))
        to--;
    return (wf_trace_field){from, (size_t)(to - from)};
}

// The field between quotes at `at`; *end is behind the closing one. Two quotes stand for one.
static wf_status split_quoted(const char *at, const char *stop, const char *place, wf_arena *arena,
                              wf_trace_field *out, const char **end)
{
    char *copy = NULL;
    size_t n = 0;
    WF_TRY(wf_arena_alloc(arena, (size_t)(stop - at) + 1, 1, &copy));
    for (at++; at < stop; at++) {
        if (*at == '"' && (at + 1 == stop || at[1] != '"')) break;
        if (*at == '"') at++;
        copy[n++] = *at;
    }
    if (at >= stop) return wf_fail(WF_DATA, "%s: a quoted field does not end on this line", place);
    *out = (wf_trace_field){copy, n};
    *end = at + 1;
    while (*end < stop && (**end == ' ' || **end == '\t'))
        (*end)++;
    if (*end == stop || **end == ',') return WF_OK;
    return wf_fail(WF_DATA, "%s: text follows a quoted field", place);
}

wf_status wf_trace_split(const wf_line *line, const char *place, wf_arena *arena,
                         wf_trace_field fields[WF_TRACE_MAX_FIELDS], int *n_fields,
                         bool *any_quoted)
{
    const char *at = line->text, *stop = line->text + line->n_bytes, *end = NULL;
    for (int n = 0;;) {
        if (n == WF_TRACE_MAX_FIELDS)
            return wf_fail(WF_DATA, "%s: has more than %d columns", place, WF_TRACE_MAX_FIELDS);
        while (at < stop && (*at == ' ' || *at == '\t'))
            at++;
        if (at < stop && *at == '"') {
            WF_TRY(split_quoted(at, stop, place, arena, &fields[n], &end));
            if (any_quoted != NULL) *any_quoted = true;
        } else {
            end = memchr(at, ',', (size_t)(stop - at));
            if (end == NULL) end = stop;
            fields[n] = trimmed(at, end);
        }
        *n_fields = ++n;
        if (end == stop) return WF_OK;
        at = end + 1;
    }
}

// --- values ---

static int shown(wf_trace_field f)
{
    return (int)(f.n < 40 ? f.n : 40);
}

static wf_status take_arrival(const wf_trace_column *c, wf_trace_field f, const char *place,
                              wf_trace_row *row)
{
    bool is_date = c->unit == 0;
    if (is_date ? wf_date_to_ns(f.text, f.n, &row->time_ns)
                : wf_decimal_to_ns(f.text, f.n, c->unit, &row->time_ns))
        return WF_OK;
    if (is_date) {
        return wf_fail(WF_DATA, "%s: %s is '%.*s', expected YYYY-MM-DD HH:MM:SS.fffffff", place,
                       c->name, shown(f), f.text);
    }
    return wf_fail(WF_DATA, "%s: %s is '%.*s', expected a time in %s like 12.5", place, c->name,
                   shown(f), f.text, c->time_unit);
}

// Empty: not known.
static wf_status take_span(const wf_trace_column *c, wf_trace_field f, const char *place,
                           wf_trace_row *row)
{
    int64_t *to = c->role == WF_TRACE_THINK ? &row->think_ns : &row->busy_ns;
    if (f.n == 0 || wf_decimal_to_ns(f.text, f.n, c->unit, to)) return WF_OK;
    return wf_fail(WF_DATA, "%s: %s is '%.*s', expected a time in %s like 12.5", place, c->name,
                   shown(f), f.text, c->time_unit);
}

wf_status wf_trace_take_text(const wf_trace_column *c, wf_trace_field f, const char *place,
                             wf_trace_row *row)
{
    bool decimal = false;
    if (c->role == WF_TRACE_ARRIVAL) return take_arrival(c, f, place, row);
    if (c->role == WF_TRACE_THINK || c->role == WF_TRACE_BUSY) return take_span(c, f, place, row);
    if (c->role >= WF_TRACE_SESSION && c->role <= WF_TRACE_PARENT) {
        wf_trace_put_name(c, f, row);
        return WF_OK;
    }
    if (c->role == WF_TRACE_BLOCKS)
        return wf_fail(WF_DATA, "%s: %s: blocks are read from JSON lines only", place, c->name);
    uint64_t *to = c->role == WF_TRACE_PROMPT ? &row->n_prompt : &row->n_new;
    if (!wf_text_to_count(f.text, f.n, &decimal, to)) {
        return wf_fail(WF_DATA, "%s: %s is '%.*s', expected a number of tokens", place, c->name,
                       shown(f), f.text);
    }
    if (decimal) row->mended |= WF_TRACE_DECIMAL;
    return WF_OK;
}

// A number as a number, all else as text.
static wf_status put_meta(const wf_trace_column *c, wf_trace_field f, wf_arena *arena,
                          wf_json_writer *meta)
{
    const char *text;
    int64_t whole;
    double real;
    WF_TRY(wf_arena_strndup(arena, f.text, f.n, &text));
    if (wf_parse_i64(text, INT64_MIN, INT64_MAX, &whole) == WF_OK)
        wf_json_put_i64(meta, c->name, whole);
    else if (wf_parse_f64(text, -1e300, 1e300, &real) == WF_OK)
        wf_json_put_f64(meta, c->name, real);
    else
        wf_json_put_string(meta, c->name, text);
    return WF_OK;
}

static wf_status take_meta(const wf_trace_format *format, const wf_trace_header *header,
                           const wf_trace_field *fields, wf_arena *arena, wf_trace_row *row)
{
    wf_json_writer *meta = NULL;
    const char *text;
    size_t n;
    wf_status st = WF_OK;
    for (int i = 0; i < format->n_columns && st == WF_OK; i++) {
        if (format->column[i].role != WF_TRACE_META || header->at[i] < 0) continue;
        if (meta == NULL) {
            WF_TRY(wf_json_writer_create(0, &meta));
            wf_json_open_object(meta, NULL);
        }
        st = put_meta(&format->column[i], fields[header->at[i]], arena, meta);
    }
    if (meta == NULL) return st;
    wf_json_close(meta);
    if (st == WF_OK) st = wf_json_writer_finish(meta, &text, &n);
    if (st == WF_OK) st = wf_arena_strndup(arena, text, n - 1, &row->meta);
    if (st == WF_OK) row->meta_bytes = (uint32_t)(n - 1);
    wf_json_writer_destroy(&meta);
    return st;
}

wf_status wf_trace_csv_row(const wf_trace_format *format, const wf_trace_header *header,
                           const wf_line *line, const char *place, wf_arena *arena,
                           wf_trace_row *row)
{
    wf_trace_field fields[WF_TRACE_MAX_FIELDS];
    int n = 0;
    bool quoted = false;
    WF_TRY(wf_trace_split(line, place, arena, fields, &n, &quoted));
    if (n != header->n_fields)
        return wf_fail(WF_DATA, "%s: has %d fields, the header has %d", place, n, header->n_fields);
    if (quoted) row->mended |= WF_TRACE_QUOTED;
    for (int i = 0; i < format->n_columns; i++) {
        const wf_trace_column *c = &format->column[i];
        if (c->role == WF_TRACE_META || header->at[i] < 0) continue;
        WF_TRY(wf_trace_take_text(c, fields[header->at[i]], place, row));
    }
    return take_meta(format, header, fields, arena, row);
}
