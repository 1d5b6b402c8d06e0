// Rows of JSON lines: one object a line, columns are its keys.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "io/base/clock.h"
#include "io/base/hash.h"
#include "io/base/json_writer.h"
#include "jobs/streams/import_format.h"
#include "jobs/streams/import_number.h"

static wf_status take_blocks(wf_json_ref list, wf_arena *arena, wf_trace_row *row)
{
    WF_TRY(wf_json_read_array(list));
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

static bool is_input(const char *type)
{
    return strcmp(type, "user_message") == 0 || strcmp(type, "tool_result") == 0;
}

// A round arrives when the last of what it is given is there; one that is given nothing, with its
// first event. It ends with the last that comes out.
static wf_status take_events(const wf_trace_column *c, wf_json_ref list, const char *place,
                             wf_trace_row *row)
{
    static const wf_trace_column date = {.name = "timestamp", .role = WF_TRACE_ARRIVAL, .unit = 0};
    wf_json_ref event;
    wf_trace_row later = {0};
    bool any = false, out = false;
    WF_TRY(wf_json_read_array(list));
    wf_json_iter it = wf_json_iterate(list);
    while (wf_json_next(&it, &event)) {
        const char *type, *at;
        WF_TRY(wf_json_get_string(event, "event_type", &type));
        WF_TRY(wf_json_get_string(event, date.name, &at));
        out |= any && !is_input(type);
        if (out && is_input(type)) break; // the next round's
        WF_TRY(
            wf_trace_take_text(&date, (wf_trace_field){at, strlen(at)}, place, out ? &later : row));
        if (out) row->end_ns = later.time_ns;
        any = true;
    }
    return any ? WF_OK : wf_fail(WF_DATA, "%s: %s is empty: when did it arrive?", place, c->name);
}

static wf_status hash_take(wf_json_ref root, const char *key, uint64_t *out)
{
    const char *text = "";
    if (!key) return WF_OK;
    WF_TRY(wf_json_get_string_or(root, key, "", &text));
    *out = wf_trace_name((wf_trace_field){text, strlen(text)});
    return WF_OK;
}

// Tools run beside each other: the longest is what the next round waits for. -1: there are none.
static wf_status tools_longest(wf_json_ref list, double *out_ms)
{
    wf_json_ref tool;
    *out_ms = -1;
    if (wf_json_kind_of(list) != WF_JSON_ARRAY) return WF_OK;
    wf_json_iter it = wf_json_iterate(list);
    while (wf_json_next(&it, &tool)) {
        double ms;
        WF_TRY(wf_json_get_f64_or(tool, "tool_wall_latency_ms", 0, 9e12, 0, &ms));
        if (ms > *out_ms) *out_ms = ms;
    }
    return WF_OK;
}

// What a row says of its session, beside its columns.
static wf_status take_session(const wf_trace_format *format, wf_json_ref root, wf_trace_row *row)
{
    int64_t n_prefix = 0;
    double tools_ms = -1;
    if (!format->session) return WF_OK;
    WF_TRY(hash_take(root, format->session, &row->session));
    row->before = row->session;
    if (format->tools) WF_TRY(tools_longest(wf_json_find(root, format->tools), &tools_ms));
    if (tools_ms >= 0) row->after_ns = (int64_t)llround(tools_ms * (double)WF_NS_PER_MS);
    WF_TRY(hash_take(root, format->origin, &row->origin));
    WF_TRY(wf_json_get_i64_or(root, format->prefix, 0, WF_TRACE_MAX_LENGTH, 0, &n_prefix));
    if ((uint64_t)n_prefix > row->n_prompt)
        return wf_json_fail(wf_json_find(root, format->prefix),
                            "%lld tokens are shared of a prompt of %lld", (long long)n_prefix,
                            (long long)row->n_prompt);
    row->n_prefix = (uint64_t)n_prefix;
    return WF_OK;
}

static wf_status take_arrival(const wf_trace_column *c, wf_json_ref value, wf_trace_row *row)
{
    int64_t whole;
    double real;
    if (c->unit == 0) return wf_json_fail(value, "expected a date and time as a string");
    if (wf_json_kind_of(value) == WF_JSON_INTEGER) {
        WF_TRY(wf_json_read_i64(value, 0, INT64_MAX / c->unit, &whole));
        row->time_ns = whole * c->unit;
        return WF_OK;
    }
    WF_TRY(wf_json_read_f64(value, 0, 9e18 / (double)c->unit, &real));
    row->time_ns = (int64_t)llround(real * (double)c->unit);
    return WF_OK;
}

static wf_status take_length(const wf_trace_column *c, wf_json_ref value, wf_trace_row *row)
{
    int64_t whole;
    double real;
    if (wf_json_kind_of(value) == WF_JSON_REAL) {
        WF_TRY(wf_json_read_f64(value, 0, (double)WF_TRACE_MAX_LENGTH, &real));
        if (real != floor(real)) return wf_json_fail(value, "expected a whole number of tokens");
        row->mended |= WF_TRACE_DECIMAL;
        whole = (int64_t)real;
    } else {
        WF_TRY(wf_json_read_i64(value, 0, WF_TRACE_MAX_LENGTH, &whole));
    }
    *(c->role == WF_TRACE_PROMPT ? &row->n_prompt : &row->n_new) = (uint64_t)whole;
    return WF_OK;
}

static wf_status take_name(const wf_trace_column *c, wf_json_ref value, wf_trace_row *row)
{
    char number[32];
    const char *text = number;
    int64_t whole;
    if (wf_json_kind_of(value) == WF_JSON_NULL) return WF_OK;
    if (wf_json_kind_of(value) == WF_JSON_INTEGER) {
        WF_TRY(wf_json_read_i64(value, INT64_MIN, INT64_MAX, &whole));
        snprintf(number, sizeof number, "%lld", (long long)whole);
    } else {
        WF_TRY(wf_json_read_string(value, &text));
    }
    wf_trace_put_name(c, (wf_trace_field){text, strlen(text)}, row);
    return WF_OK;
}

static wf_status take_span(const wf_trace_column *c, wf_json_ref value, wf_trace_row *row)
{
    double real;
    if (wf_json_kind_of(value) == WF_JSON_NULL) return WF_OK;
    WF_TRY(wf_json_read_f64(value, 0, 9e18 / (double)c->unit, &real));
    *(c->role == WF_TRACE_THINK ? &row->think_ns : &row->busy_ns) =
        (int64_t)llround(real * (double)c->unit);
    return WF_OK;
}

static wf_status take_value(const wf_trace_column *c, wf_json_ref value, const char *place,
                            wf_arena *arena, wf_trace_row *row)
{
    if (c->role == WF_TRACE_BLOCKS) return take_blocks(value, arena, row);
    if (c->role >= WF_TRACE_SESSION && c->role <= WF_TRACE_PARENT) return take_name(c, value, row);
    if (c->unit == WF_TRACE_EVENTS) return take_events(c, value, place, row);
    if (wf_json_kind_of(value) == WF_JSON_STRING) {
        const char *text;
        WF_TRY(wf_json_read_string(value, &text));
        if (c->role != WF_TRACE_ARRIVAL || c->unit != 0) row->mended |= WF_TRACE_QUOTED;
        return wf_trace_take_text(c, (wf_trace_field){text, strlen(text)}, place, row);
    }
    if (c->role == WF_TRACE_THINK || c->role == WF_TRACE_BUSY) return take_span(c, value, row);
    return c->role == WF_TRACE_ARRIVAL ? take_arrival(c, value, row) : take_length(c, value, row);
}

static wf_status take_meta(const wf_trace_format *format, wf_json_ref root, wf_arena *arena,
                           wf_trace_row *row)
{
    wf_json_writer *meta = NULL;
    const char *text;
    size_t n;
    wf_status st = WF_OK;
    for (int i = 0; i < format->n_columns && st == WF_OK; i++) {
        const wf_trace_column *c = &format->column[i];
        if (c->role != WF_TRACE_META || !wf_json_has(root, c->name)) continue;
        if (meta == NULL) {
            WF_TRY(wf_json_writer_create(0, &meta));
            wf_json_open_object(meta, NULL);
        }
        st = wf_json_copy(wf_json_find(root, c->name), meta, c->name);
    }
    if (meta == NULL) return st;
    if (st == WF_OK && format->tools) {
        double ms = -1;
        st = tools_longest(wf_json_find(root, format->tools), &ms);
        if (ms >= 0) wf_json_put_f64(meta, "tool_wall_ms", ms);
    }
    if (st == WF_OK) {
        wf_json_close(meta);
        st = wf_json_writer_finish(meta, &text, &n);
    }
    if (st == WF_OK) st = wf_arena_strndup(arena, text, n - 1, &row->meta);
    if (st == WF_OK) row->meta_bytes = (uint32_t)(n - 1);
    wf_json_writer_destroy(&meta);
    return st;
}

// A line without a place in a session is of none.
static bool may_lack(const wf_trace_column *c)
{
    return c->optional || c->role >= WF_TRACE_SESSION;
}

static wf_status take_columns(const wf_trace_format *format, wf_json_ref root, const char *place,
                              wf_arena *arena, wf_trace_row *row)
{
    for (int i = 0; i < format->n_columns; i++) {
        const wf_trace_column *c = &format->column[i];
        bool there = wf_json_has(root, c->name);
        if (!there && !may_lack(c)) {
            return wf_fail(WF_DATA, "%s: has no '%s'; if it has another name: --map NAME=%s", place,
                           c->name, c->meaning);
        }
        if (!there || c->role == WF_TRACE_META) continue;
        WF_TRY(take_value(c, wf_json_find(root, c->name), place, arena, row));
    }
    WF_TRY(take_session(format, root, row));
    return take_meta(format, root, arena, row);
}

wf_status wf_trace_json_row(const wf_trace_format *format, const wf_line *line, const char *place,
                            wf_arena *arena, wf_trace_row *row)
{
    wf_json *doc = NULL;
    bool plain = false;
    WF_TRY(wf_trace_plain_row(format, line, arena, row, &plain));
    if (plain) return WF_OK;
    *row = WF_TRACE_NO_ROW;
    if (line->text[strspn(line->text, " \t")] != '{') {
        return wf_fail(WF_DATA,
                       "%s: is no JSON object: logs of %s have one a line; weft import auto finds "
                       "the format",
                       place, format->name);
    }
    wf_json_limits limits = {.max_bytes = WF_LINES_MAX_BYTES, .one_line = true};
    WF_TRY(wf_json_parse(place, line->text, line->n_bytes, &limits, &doc));
    wf_status st = take_columns(format, wf_json_root(doc), place, arena, row);
    wf_json_destroy(&doc);
    return st;
}
