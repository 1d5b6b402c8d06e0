// The JSON writer: a growing buffer, a stack of open brackets, and a sticky first failure.
#include "io/base/json_writer.h"

#include "io/base/arena.h"
#include "io/base/parse.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct wf_json_writer {
    char *text;
    size_t n;
    size_t capacity;
    wf_status st;
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
    free((*writer)->text);
    free(*writer);
    *writer = NULL;
}

void wf_json_writer_reset(wf_json_writer *w)
{
    w->n = 0;
    w->st = WF_OK;
    w->depth = 0;
    w->has_items = false;
}

static void put_raw(wf_json_writer *w, const char *bytes, size_t n)
{
    if (w->st == WF_OK) w->st = wf_grow(w->n + n + 1, 1, &w->capacity, &w->text);
    if (w->st != WF_OK) return;
    memcpy(w->text + w->n, bytes, n);
    w->n += n;
}

static void put_text(wf_json_writer *w, const char *text)
{
    put_raw(w, text, strlen(text));
}

static void put_line_break(wf_json_writer *w)
{
    if (w->indent == 0) return;
    put_text(w, "\n");
    for (int i = 0; i < w->depth * w->indent; i++) {
        put_text(w, " ");
    }
}

// Length of the UTF-8 sequence at `s` (of n > 0 bytes), 0 when it is not one. Overlong forms,
// surrogates and values beyond U+10FFFF are not (Unicode 15, table 3-7).
static size_t utf8_length(const unsigned char *s, size_t n)
{
    if (s[0] < 0x80) return 1;
    size_t length = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || length > n) return 0;
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xc0) != 0x80) return 0;
    }
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f)) return 0;
    if ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f)) return 0;
    return length;
}

static void put_escaped(wf_json_writer *w, unsigned char c)
{
    char text[8];
    switch (c) {
    case '"':
        put_text(w, "\\\"");
        return;
    case '\\':
        put_text(w, "\\\\");
        return;
    case '\n':
        put_text(w, "\\n");
        return;
    case '\t':
        put_text(w, "\\t");
        return;
    default:
        snprintf(text, sizeof text, "\\u%04x", c);
        put_text(w, text);
    }
}

static void put_quoted(wf_json_writer *w, const char *value, size_t n)
{
    const unsigned char *s = (const unsigned char *)value;
    put_text(w, "\"");
    for (size_t i = 0; i < n;) {
        size_t length = utf8_length(s + i, n - i);
        if (length == 0) {
            put_text(w, "\xef\xbf\xbd");
            length = 1;
        } else if (s[i] < 0x20 || s[i] == '"' || s[i] == '\\' || s[i] == 0x7f) {
            put_escaped(w, s[i]);
        } else {
            put_raw(w, value + i, length);
        }
        i += length;
    }
    put_text(w, "\"");
}

// What stands before every value: the comma, the line break, the key.
static void start_value(wf_json_writer *w, const char *key)
{
    bool in_object = w->depth > 0 && w->closers[w->depth - 1] == '}';
    assert(in_object == (key != NULL) && "keys belong in objects, and only there");
    assert((w->depth > 0 || w->n == 0 || w->st != WF_OK) && "one document holds one value");
    if (w->has_items) put_text(w, ",");
    if (w->depth > 0) put_line_break(w);
    w->has_items = true;
    if (!in_object || !key) return;
    put_quoted(w, key, strlen(key));
    put_text(w, w->indent ? ": " : ":");
}

static void open_bracket(wf_json_writer *w, const char *key, const char *opener, char closer)
{
    assert(w->depth < WF_JSON_WRITER_MAX_DEPTH);
    start_value(w, key);
    put_text(w, opener);
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
    put_raw(w, &w->closers[w->depth], 1);
    w->has_items = true;
}

void wf_json_put_null(wf_json_writer *w, const char *key)
{
    start_value(w, key);
    put_text(w, "null");
}

void wf_json_put_bool(wf_json_writer *w, const char *key, bool value)
{
    start_value(w, key);
    put_text(w, value ? "true" : "false");
}

void wf_json_put_i64(wf_json_writer *w, const char *key, int64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, value);
    start_value(w, key);
    put_text(w, text);
}

void wf_json_put_u64(wf_json_writer *w, const char *key, uint64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRIu64, value);
    start_value(w, key);
    put_text(w, text);
}

void wf_json_put_f64(wf_json_writer *w, const char *key, double value)
{
    if (!isfinite(value)) {
        wf_json_put_null(w, key);
        return;
    }
    char text[WF_PARSE_TEXT_MAX];
    start_value(w, key);
    put_text(w, wf_f64_text(value, text));
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
    if (w->n == 0 || w->text[w->n - 1] != '\n') put_text(w, "\n");
    if (w->st != WF_OK) return w->st;
    w->text[w->n] = '\0';
    *text = w->text;
    if (text_bytes) *text_bytes = w->n;
    return WF_OK;
}
