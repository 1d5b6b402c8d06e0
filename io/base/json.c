// The JSON reader: jansson behind our limits and messages.
//
// A ref holds the parent and the key or index, so a value's path is found only when it is needed,
// in a message: a walk over the document for the parent, which (unlike true, false and null) is one
// object of its own.
#include "io/base/json.h"

#include "io/base/arena.h"
#include "io/base/file.h"
#include "io/base/text.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_MAX_BYTES = 16 << 20, DEFAULT_MAX_DEPTH = 64, PATH_MAX_BYTES = 256 };

struct wf_json {
    json_t *root;
    char *name;
};

typedef struct {
    char text[PATH_MAX_BYTES];
    size_t length;
} path_text;

// Nesting and NUL are checked before jansson sees the text: its own depth limit is compiled in.
static wf_status scan(const char *name, const char *text, size_t n, int max_depth)
{
    int depth = 0;
    bool in_string = false;
    size_t line = 1;
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (c == '\n') line++;
        if (c == '\0') return wf_fail(WF_DATA, "%s:%zu: NUL byte in JSON text", name, line);
        if (in_string) {
            if (c == '\\' && i + 1 < n && text[i + 1] != '\0')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if ((c == '[' || c == '{') && ++depth > max_depth) {
            return wf_fail(WF_DATA, "%s:%zu: nested deeper than %d levels", name, line, max_depth);
        } else if (c == ']' || c == '}') {
            depth--;
        }
    }
    return WF_OK;
}

static wf_status load(const char *name, bool one_line, const char *text, size_t n, json_t **out)
{
    json_error_t error;
    json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error);
    if (root) {
        *out = root;
        return WF_OK;
    }
    if (json_error_code(&error) == json_error_out_of_memory)
        return wf_fail(WF_NO_MEMORY, "%s: no memory to parse %zu bytes of JSON", name, n);
    if (one_line) return wf_fail(WF_DATA, "%s:%d: %s", name, error.column, error.text);
    return wf_fail(WF_DATA, "%s:%d:%d: %s", name, error.line, error.column, error.text);
}

wf_status wf_json_parse(const char *name, const char *text, size_t text_bytes,
                        const wf_json_limits *limits, wf_json **out)
{
    size_t max_bytes = limits && limits->max_bytes ? limits->max_bytes : DEFAULT_MAX_BYTES;
    int max_depth = limits && limits->max_depth ? limits->max_depth : DEFAULT_MAX_DEPTH;
    wf_status st;
    wf_json *doc = NULL;
    if (text_bytes > max_bytes) {
        return wf_fail(WF_DATA, "%s: %zu bytes of JSON, the limit is %zu", name, text_bytes,
                       max_bytes);
    }
    size_t mark = wf_utf8_mark(text, text_bytes);
    text += mark;
    text_bytes -= mark;
    WF_TRY(scan(name, text, text_bytes, max_depth));
    WF_TRY(wf_alloc(1, sizeof *doc, &doc));
    WF_TRY_TO(fail, wf_strdup(name, &doc->name));
    WF_TRY_TO(fail, load(name, limits && limits->one_line, text, text_bytes, &doc->root));
    *out = doc;
    return WF_OK;
fail:
    wf_json_destroy(&doc);
    return st;
}

wf_status wf_json_parse_file(const char *path, size_t max_bytes, wf_json **out)
{
    const wf_json_limits limits = {.max_bytes = max_bytes};
    char *text = NULL;
    size_t n = 0;
    *out = NULL;
    WF_TRY(wf_file_read(path, max_bytes, &text, &n));
    wf_status st = wf_json_parse(path, text, n, &limits, out);
    free(text);
    return st;
}

void wf_json_destroy(wf_json **doc)
{
    if (!*doc) return;
    json_decref((*doc)->root);
    free((*doc)->name);
    free(*doc);
    *doc = NULL;
}

// jansson's read functions take json_t * where nothing is changed.
static json_t *node_of(const void *node)
{
    return (json_t *)(uintptr_t)node;
}

wf_json_ref wf_json_root(const wf_json *doc)
{
    return (wf_json_ref){.doc = doc, .node = doc->root};
}

wf_json_kind wf_json_kind_of(wf_json_ref ref)
{
    if (!ref.node) return WF_JSON_ABSENT;
    switch (json_typeof(node_of(ref.node))) {
    case JSON_OBJECT:
        return WF_JSON_OBJECT;
    case JSON_ARRAY:
        return WF_JSON_ARRAY;
    case JSON_STRING:
        return WF_JSON_STRING;
    case JSON_INTEGER:
        return WF_JSON_INTEGER;
    case JSON_REAL:
        return WF_JSON_REAL;
    case JSON_TRUE:
    case JSON_FALSE:
        return WF_JSON_BOOL;
    case JSON_NULL:
        return WF_JSON_NULL;
    }
    return WF_JSON_ABSENT;
}

const char *wf_json_kind_words(wf_json_kind kind)
{
    static const char *const words[] = {
        [WF_JSON_ABSENT] = "nothing",     [WF_JSON_NULL] = "null",
        [WF_JSON_BOOL] = "true or false", [WF_JSON_INTEGER] = "an integer",
        [WF_JSON_REAL] = "a fraction",    [WF_JSON_STRING] = "a string",
        [WF_JSON_ARRAY] = "an array",     [WF_JSON_OBJECT] = "an object",
    };
    return words[kind];
}

wf_json_ref wf_json_find(wf_json_ref ref, const char *key)
{
    return (wf_json_ref){.doc = ref.doc,
                         .node = ref.node ? json_object_get(node_of(ref.node), key) : NULL,
                         .parent = ref.node,
                         .key = key};
}

wf_json_ref wf_json_at(wf_json_ref ref, size_t index)
{
    return (wf_json_ref){.doc = ref.doc,
                         .node = ref.node ? json_array_get(node_of(ref.node), index) : NULL,
                         .parent = ref.node,
                         .index = index};
}

bool wf_json_has(wf_json_ref ref, const char *key)
{
    return wf_json_kind_of(wf_json_find(ref, key)) > WF_JSON_NULL;
}

size_t wf_json_count(wf_json_ref ref)
{
    if (!ref.node) return 0;
    json_t *node = node_of(ref.node);
    return json_is_object(node) ? json_object_size(node) : json_array_size(node);
}

wf_json_iter wf_json_iterate(wf_json_ref ref)
{
    return (wf_json_iter){.of = ref, .at = ref.node ? json_object_iter(node_of(ref.node)) : NULL};
}

bool wf_json_next(wf_json_iter *it, wf_json_ref *item)
{
    if (it->index >= wf_json_count(it->of)) return false;
    if (it->at) {
        *item = (wf_json_ref){.doc = it->of.doc,
                              .node = json_object_iter_value(it->at),
                              .parent = it->of.node,
                              .key = json_object_iter_key(it->at),
                              .index = it->index};
        it->at = json_object_iter_next(node_of(it->of.node), it->at);
    } else {
        *item = wf_json_at(it->of, it->index);
    }
    it->index++;
    return true;
}

static void path_add(path_text *path, const char *key, size_t index)
{
    size_t room = sizeof path->text - path->length;
    int n = key ? snprintf(path->text + path->length, room, "%s%s", path->length ? "." : "", key)
                : snprintf(path->text + path->length, room, "[%zu]", index);
    if (n > 0) path->length += (size_t)n < room ? (size_t)n : room - 1;
}

static void path_cut(path_text *path, size_t length)
{
    path->length = length;
    path->text[length] = '\0';
}

// Extends `path` to `target`; false and unchanged when it is not below `from`. As deep as the
// depth limit at most.
static bool path_search(json_t *from, const void *target, path_text *path)
{
    if (from == target) return true;
    size_t start = path->length;
    const char *key;
    json_t *value;
    size_t i;
    json_object_foreach(from, key, value)
    {
        path_add(path, key, 0);
        if (path_search(value, target, path)) return true;
        path_cut(path, start);
    }
    json_array_foreach(from, i, value)
    {
        path_add(path, NULL, i);
        if (path_search(value, target, path)) return true;
        path_cut(path, start);
    }
    return false;
}

static wf_status ref_fail(wf_json_ref ref, const char *message)
{
    path_text path = {0};
    if (ref.parent && path_search(ref.doc->root, ref.parent, &path))
        path_add(&path, ref.key, ref.index);
    return wf_fail(WF_DATA, "%s:%s%s%s %s", ref.doc->name, path.length ? " " : "", path.text,
                   path.length ? ":" : "", message);
}

wf_status wf_json_fail(wf_json_ref ref, const char *format, ...)
{
    char message[WF_ERROR_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return ref_fail(ref, message);
}

static wf_status wrong_kind(wf_json_ref ref, const char *expected)
{
    wf_json_kind kind = wf_json_kind_of(ref);
    if (kind != WF_JSON_ABSENT)
        return wf_json_fail(ref, "expected %s, got %s", expected, wf_json_kind_words(kind));
    if (ref.parent && ref.key && !json_is_object(node_of(ref.parent)))
        return wf_json_fail(ref, "missing: what should hold it is not an object");
    return wf_json_fail(ref, "missing, expected %s", expected);
}

wf_status wf_json_read_bool(wf_json_ref ref, bool *out)
{
    if (wf_json_kind_of(ref) != WF_JSON_BOOL) return wrong_kind(ref, "true or false");
    *out = json_is_true(node_of(ref.node));
    return WF_OK;
}

wf_status wf_json_read_i64(wf_json_ref ref, int64_t min, int64_t max, int64_t *out)
{
    if (wf_json_kind_of(ref) != WF_JSON_INTEGER) return wrong_kind(ref, "an integer");
    int64_t value = json_integer_value(node_of(ref.node));
    if (value < min || value > max)
        return wf_json_fail(ref, "%" PRId64 " is outside %" PRId64 " to %" PRId64, value, min, max);
    *out = value;
    return WF_OK;
}

wf_status wf_json_read_f64(wf_json_ref ref, double min, double max, double *out)
{
    wf_json_kind kind = wf_json_kind_of(ref);
    if (kind != WF_JSON_REAL && kind != WF_JSON_INTEGER) return wrong_kind(ref, "a number");
    double value = json_number_value(node_of(ref.node));
    if (!(value >= min && value <= max))
        return wf_json_fail(ref, "%g is outside %g to %g", value, min, max);
    *out = value;
    return WF_OK;
}

wf_status wf_json_read_string(wf_json_ref ref, const char **out)
{
    if (wf_json_kind_of(ref) != WF_JSON_STRING) return wrong_kind(ref, "a string");
    *out = json_string_value(node_of(ref.node));
    return WF_OK;
}

wf_status wf_json_read_object(wf_json_ref ref)
{
    return wf_json_kind_of(ref) == WF_JSON_OBJECT ? WF_OK : wrong_kind(ref, "an object");
}

wf_status wf_json_read_array(wf_json_ref ref)
{
    return wf_json_kind_of(ref) == WF_JSON_ARRAY ? WF_OK : wrong_kind(ref, "an array");
}

wf_status wf_json_get_bool(wf_json_ref ref, const char *key, bool *out)
{
    return wf_json_read_bool(wf_json_find(ref, key), out);
}

wf_status wf_json_get_i64(wf_json_ref ref, const char *key, int64_t min, int64_t max, int64_t *out)
{
    return wf_json_read_i64(wf_json_find(ref, key), min, max, out);
}

wf_status wf_json_get_f64(wf_json_ref ref, const char *key, double min, double max, double *out)
{
    return wf_json_read_f64(wf_json_find(ref, key), min, max, out);
}

wf_status wf_json_get_string(wf_json_ref ref, const char *key, const char **out)
{
    return wf_json_read_string(wf_json_find(ref, key), out);
}

wf_status wf_json_get_object(wf_json_ref ref, const char *key, wf_json_ref *out)
{
    wf_json_ref found = wf_json_find(ref, key);
    WF_TRY(wf_json_read_object(found));
    *out = found;
    return WF_OK;
}

wf_status wf_json_get_array(wf_json_ref ref, const char *key, wf_json_ref *out)
{
    wf_json_ref found = wf_json_find(ref, key);
    WF_TRY(wf_json_read_array(found));
    *out = found;
    return WF_OK;
}

// True when the default applies. An object's missing member only: a missing member of something
// that is no object is still an error of the read that follows.
static bool takes_default(wf_json_ref ref, const char *key)
{
    return wf_json_kind_of(ref) == WF_JSON_OBJECT && !wf_json_has(ref, key);
}

wf_status wf_json_get_bool_or(wf_json_ref ref, const char *key, bool otherwise, bool *out)
{
    if (!takes_default(ref, key)) return wf_json_get_bool(ref, key, out);
    *out = otherwise;
    return WF_OK;
}

wf_status wf_json_get_i64_or(wf_json_ref ref, const char *key, int64_t min, int64_t max,
                             int64_t otherwise, int64_t *out)
{
    if (!takes_default(ref, key)) return wf_json_get_i64(ref, key, min, max, out);
    *out = otherwise;
    return WF_OK;
}

wf_status wf_json_get_f64_or(wf_json_ref ref, const char *key, double min, double max,
                             double otherwise, double *out)
{
    if (!takes_default(ref, key)) return wf_json_get_f64(ref, key, min, max, out);
    *out = otherwise;
    return WF_OK;
}

wf_status wf_json_get_string_or(wf_json_ref ref, const char *key, const char *otherwise,
                                const char **out)
{
    if (!takes_default(ref, key)) return wf_json_get_string(ref, key, out);
    *out = otherwise;
    return WF_OK;
}
