// JSON read from memory, with errors that name the place.
//
//   wf_json *doc;
//   WF_TRY(wf_json_parse("config.json", text, n, NULL, &doc));
//   wf_json_ref root = wf_json_root(doc);
//   WF_TRY(wf_json_get_i64(root, "hidden_size", 1, 1 << 20, &hidden));
//     -> WF_DATA "config.json: hidden_size: expected an integer, got a string"
//
// The reader refuses what a careful peer must refuse: duplicate keys, invalid UTF-8, NUL, text
// after the value, integers beyond int64, more bytes or nesting than the limits. Every failure is
// WF_DATA (or WF_NO_MEMORY). A wf_json_ref is a plain value that borrows from its document; strings
// read from it live as long as the document. All Local; a document is read by one thread at a time.
// Format: RFC 8259. For writing see json_writer.h.
#ifndef WF_IO_BASE_JSON_H
#define WF_IO_BASE_JSON_H

#include "io/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct wf_json wf_json;

typedef struct wf_json_limits {
    size_t max_bytes; // 0: 16 MiB
    int max_depth;    // 0: 64
    bool one_line; // `name` says the line already: mistakes are name:column, not name:line:column
} wf_json_limits;

typedef enum wf_json_kind {
    WF_JSON_ABSENT,
    WF_JSON_NULL,
    WF_JSON_BOOL,
    WF_JSON_INTEGER,
    WF_JSON_REAL,
    WF_JSON_STRING,
    WF_JSON_ARRAY,
    WF_JSON_OBJECT
} wf_json_kind;

// A place in a document: a value, or where one would be. Read `key` (NULL for an array's element)
// and `index` (its position); the rest is private.
typedef struct wf_json_ref {
    const wf_json *doc;
    const void *node;
    const void *parent;
    const char *key;
    size_t index;
} wf_json_ref;

// Parses one document, an object or an array. `name` (copy) opens every message; `text` (borrow,
// only during the call) needs no terminator; `limits` may be NULL. `out` is owned by the caller.
wf_status wf_json_parse(const char *name, const char *text, size_t text_bytes,
                        const wf_json_limits *limits, wf_json **out);
// The same of a file of at most `max_bytes`, whose path opens every message; *out is NULL where
// that fails. As wf_file_read, and WF_DATA.
wf_status wf_json_parse_file(const char *path, size_t max_bytes, wf_json **out);
void wf_json_destroy(wf_json **doc);

wf_json_ref wf_json_root(const wf_json *doc);
wf_json_kind wf_json_kind_of(wf_json_ref ref);
const char *wf_json_kind_words(wf_json_kind kind); // "an integer"

// The member `key` of an object, the element `index` of an array. Where there is none, or `ref` is
// of another kind, the result's kind is WF_JSON_ABSENT and reading it fails with the reason.
wf_json_ref wf_json_find(wf_json_ref ref, const char *key);
wf_json_ref wf_json_at(wf_json_ref ref, size_t index);
bool wf_json_has(wf_json_ref ref, const char *key); // there and not null

// Number of members or elements; 0 for every other kind.
size_t wf_json_count(wf_json_ref ref);

// Walks an object's members or an array's elements in the file's order:
//   wf_json_iter it = wf_json_iterate(ref);
//   for (wf_json_ref item; wf_json_next(&it, &item);) ...
typedef struct wf_json_iter {
    wf_json_ref of;
    void *at;
    size_t index;
} wf_json_iter;
wf_json_iter wf_json_iterate(wf_json_ref ref);
bool wf_json_next(wf_json_iter *it, wf_json_ref *item);

// Typed reads of the value at `ref`. Integers have no fraction and no exponent and lie in
// [min, max]; f64 takes integers too. Strings are borrowed; they contain no NUL.
wf_status wf_json_read_bool(wf_json_ref ref, bool *out);
wf_status wf_json_read_i64(wf_json_ref ref, int64_t min, int64_t max, int64_t *out);
wf_status wf_json_read_f64(wf_json_ref ref, double min, double max, double *out);
wf_status wf_json_read_string(wf_json_ref ref, const char **out);
wf_status wf_json_read_object(wf_json_ref ref); // checks the kind
wf_status wf_json_read_array(wf_json_ref ref);

// The same for member `key` of an object, which must be there.
wf_status wf_json_get_bool(wf_json_ref ref, const char *key, bool *out);
wf_status wf_json_get_i64(wf_json_ref ref, const char *key, int64_t min, int64_t max, int64_t *out);
wf_status wf_json_get_f64(wf_json_ref ref, const char *key, double min, double max, double *out);
wf_status wf_json_get_string(wf_json_ref ref, const char *key, const char **out);
wf_status wf_json_get_object(wf_json_ref ref, const char *key, wf_json_ref *out);
wf_status wf_json_get_array(wf_json_ref ref, const char *key, wf_json_ref *out);

// The same, with `otherwise` when the member is missing or null.
wf_status wf_json_get_bool_or(wf_json_ref ref, const char *key, bool otherwise, bool *out);
wf_status wf_json_get_i64_or(wf_json_ref ref, const char *key, int64_t min, int64_t max,
                             int64_t otherwise, int64_t *out);
wf_status wf_json_get_f64_or(wf_json_ref ref, const char *key, double min, double max,
                             double otherwise, double *out);
wf_status wf_json_get_string_or(wf_json_ref ref, const char *key, const char *otherwise,
                                const char **out);

// The caller's own complaint about a value: "<name>: <path>: <message>", WF_DATA.
wf_status wf_json_fail(wf_json_ref ref, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
