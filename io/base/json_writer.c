// The JSON writer: a growing text and a stack of open brackets.
#include "io/base/json_writer.h"

#include "io/base/arena.h"
#include "io/base/parse.h"
#include "io/base/text.h"

#include <assert.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct wf_json_writer {
    wf_text text;
    int indent;
    int depth;
    bool has_items; // something was written since the innermost bracket was opened
    char closers[WF_JSON_WRITER_MAX_DEPTH];
};

wf_status wf_json_writer_create(int indent, wf_json_writer **out)
{
    wf_json_writer *w;
    WF_TRY(wf_alloc(1, sizeof *w, &w));
    w->indent = indent;
    *out = w;
    return WF_OK;
}

void wf_json_writer_destroy(wf_json_writer **writer)
{
    if (!*writer) return;
    wf_text_free(&(*writer)->text);
    free(*writer);
    *writer = NULL;
}

static void put_line_break(wf_json_writer *w)
{
    if (w->indent == 0) return;
    wf_text_puts(&w->text, "\n");
    wf_text_pad(&w->text, ' ', (size_t)(w->depth * w->indent));
}

static void put_escaped(wf_json_writer *w, unsigned char c)
{
    char text[8];
    switch (c) {
    case '"':
        wf_text_puts(&w->text, "\\\"");
        return;
    case '\\':
        wf_text_puts(&w->text, "\\\\");
        return;
    case '\n':
        wf_text_puts(&w->text, "\\n");
        return;
    case '\t':
        wf_text_puts(&w->text, "\\t");
        return;
    default:
        snprintf(text, sizeof text, "\\u%04x", c);
        wf_text_puts(&w->text, text);
    }
}

static void put_quoted(wf_json_writer *w, const char *value, size_t n)
{
    wf_text_puts(&w->text, "\"");
    for (size_t i = 0; i < n;) {
        unsigned char c = (unsigned char)value[i];
        size_t length = wf_utf8_length(value + i, n - i);
        if (length == 0) {
            wf_text_puts(&w->text, "\xef\xbf\xbd");
            length = 1;
        } else if (c < 0x20 || c == '"' || c == '\\' || c == 0x7f) {
            put_escaped(w, c);
        } else {
            wf_text_add(&w->text, value + i, length);
        }
        i += length;
    }
    wf_text_puts(&w->text, "\"");
}

// What stands before every value: the comma, the line break, the key.
static void start_value(wf_json_writer *w, const char *key)
{
    bool in_object = w->depth > 0 && w->closers[w->depth - 1] == '}';
    assert(in_object == (key != NULL) && "keys belong in objects, and only there");
    assert((w->depth > 0 || w->text.n == 0 || w->text.st != WF_OK) &&
           "one document holds one value");
    if (w->has_items) wf_text_puts(&w->text, ",");
    if (w->depth > 0) put_line_break(w);
    w->has_items = true;
    if (!in_object || !key) return;
    put_quoted(w, key, strlen(key));
    wf_text_puts(&w->text, w->indent ? ": " : ":");
}

static void open_bracket(wf_json_writer *w, const char *key, const char *opener, char closer)
{
    assert(w->depth < WF_JSON_WRITER_MAX_DEPTH);
    start_value(w, key);
    wf_text_puts(&w->text, opener);
    w->closers[w->depth++] = closer;
    w->has_items = false;
}

void wf_json_open_object(wf_json_writer *w, const char *key)
{
    open_bracket(w, key, "{", '}');
}

void wf_json_open_array(wf_json_writer *w, const char *key)
{
    open_bracket(w, key, "[", ']');
}

void wf_json_close(wf_json_writer *w)
{
    assert(w->depth > 0);
    w->depth--;
    if (w->has_items) put_line_break(w);
    wf_text_add(&w->text, &w->closers[w->depth], 1);
    w->has_items = true;
}

void wf_json_put_null(wf_json_writer *w, const char *key)
{
    start_value(w, key);
    wf_text_puts(&w->text, "null");
}

void wf_json_put_bool(wf_json_writer *w, const char *key, bool value)
{
    start_value(w, key);
    wf_text_puts(&w->text, value ? "true" : "false");
}

void wf_json_put_i64(wf_json_writer *w, const char *key, int64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, value);
    start_value(w, key);
    wf_text_puts(&w->text, text);
}

void wf_json_put_u64(wf_json_writer *w, const char *key, uint64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRIu64, value);
    start_value(w, key);
    wf_text_puts(&w->text, text);
}

void wf_json_put_f64(wf_json_writer *w, const char *key, double value)
{
    if (!isfinite(value)) {
        wf_json_put_null(w, key);
        return;
    }
    char text[WF_PARSE_TEXT_MAX];
    start_value(w, key);
    wf_text_puts(&w->text, wf_f64_text(value, text));
}

void wf_json_put_f32(wf_json_writer *w, const char *key, float value)
{
    char text[WF_PARSE_TEXT_MAX];
    if (!isfinite(value)) {
        wf_json_put_null(w, key);
        return;
    }
    start_value(w, key);
    wf_text_puts(&w->text, wf_f32_text(value, text));
}

void wf_json_put_bytes(wf_json_writer *w, const char *key, const char *value, size_t value_bytes)
{
    start_value(w, key);
    put_quoted(w, value, value_bytes);
}

void wf_json_put_string(wf_json_writer *w, const char *key, const char *value)
{
    if (value)
        wf_json_put_bytes(w, key, value, strlen(value));
    else
        wf_json_put_null(w, key);
}

wf_status wf_json_writer_finish(wf_json_writer *w, const char **text, size_t *text_bytes)
{
    assert(w->depth == 0 && w->has_items);
    bool ended = w->text.n > 0 && w->text.bytes[w->text.n - 1] == '\n';
    if (!ended) wf_text_puts(&w->text, "\n");
    if (w->text.st != WF_OK) return w->text.st;
    *text = w->text.bytes;
    if (text_bytes) *text_bytes = w->text.n;
    return WF_OK;
}

static wf_status copy_members(wf_json_ref value, wf_json_writer *w)
{
    bool named = wf_json_kind_of(value) == WF_JSON_OBJECT;
    wf_status st = WF_OK;
    wf_json_iter it = wf_json_iterate(value);
    for (wf_json_ref item; st == WF_OK && wf_json_next(&it, &item);)
        st = wf_json_copy(item, w, named ? item.key : NULL);
    wf_json_close(w);
    return st;
}

wf_status wf_json_copy(wf_json_ref value, wf_json_writer *w, const char *key)
{
    bool truth;
    int64_t integer;
    double real;
    const char *text;
    wf_json_kind kind = wf_json_kind_of(value);
    bool opens = kind == WF_JSON_OBJECT || kind == WF_JSON_ARRAY;
    if (opens && w->depth == WF_JSON_WRITER_MAX_DEPTH)
        return wf_json_fail(value, "is nested deeper than %d levels", WF_JSON_WRITER_MAX_DEPTH);
    switch (kind) {
    case WF_JSON_OBJECT:
        wf_json_open_object(w, key);
        return copy_members(value, w);
    case WF_JSON_ARRAY:
        wf_json_open_array(w, key);
        return copy_members(value, w);
    case WF_JSON_BOOL:
        WF_TRY(wf_json_read_bool(value, &truth));
        wf_json_put_bool(w, key, truth);
        return WF_OK;
    case WF_JSON_INTEGER:
        WF_TRY(wf_json_read_i64(value, INT64_MIN, INT64_MAX, &integer));
        wf_json_put_i64(w, key, integer);
        return WF_OK;
    case WF_JSON_REAL:
        WF_TRY(wf_json_read_f64(value, -DBL_MAX, DBL_MAX, &real));
        wf_json_put_f64(w, key, real);
        return WF_OK;
    case WF_JSON_STRING:
        WF_TRY(wf_json_read_string(value, &text));
        wf_json_put_string(w, key, text);
        return WF_OK;
    case WF_JSON_ABSENT:
    case WF_JSON_NULL:
        break;
    }
    wf_json_put_null(w, key);
    return WF_OK;
}
