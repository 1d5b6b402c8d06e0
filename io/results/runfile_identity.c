// Comparing what two runs are about. It knows no member by name but `shards`, which may become
// more, and those that are for people, so what belongs to a job's identity is decided where the
// identity is written.
#include "io/base/parse.h"
#include "io/results/runfile_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PATHS   "shard_paths" // uid -> path, for people: a shard may move
#define RESULTS "results"     // how many: more shards have more

enum { PATH_BYTES = 256, VALUE_BYTES = 96 };

typedef struct {
    char text[WF_ERROR_MAX - 128];
    size_t n, n_differences;
    wf_json_ref was, is; // the identities
} differences;

static void add(differences *d, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(differences *d, const char *format, ...)
{
    va_list args;
    d->n_differences++;
    size_t room = sizeof d->text - d->n;
    int head = snprintf(d->text + d->n, room, "%s", d->n ? "; " : "");
    if (head < 0 || (size_t)head >= room) return;
    d->n += (size_t)head;
    room -= (size_t)head;
    va_start(args, format);
    int n = vsnprintf(d->text + d->n, room, format, args);
    va_end(args);
    if (n > 0) d->n += (size_t)n < room ? (size_t)n : room - 1;
}

// A value as people would write it; whole objects and arrays only by their kind.
static const char *value_text(wf_json_ref ref, char text[VALUE_BYTES])
{
    bool truth;
    int64_t integer;
    double real;
    const char *string;
    char number[WF_PARSE_TEXT_MAX];
    wf_json_kind kind = wf_json_kind_of(ref);
    if (kind == WF_JSON_BOOL && wf_json_read_bool(ref, &truth) == WF_OK)
        snprintf(text, VALUE_BYTES, "%s", truth ? "true" : "false");
    else if (kind == WF_JSON_INTEGER &&
             wf_json_read_i64(ref, INT64_MIN, INT64_MAX, &integer) == WF_OK)
        snprintf(text, VALUE_BYTES, "%lld", (long long)integer);
    else if (kind == WF_JSON_REAL && wf_json_read_f64(ref, -1e308, 1e308, &real) == WF_OK)
        snprintf(text, VALUE_BYTES, "%s",
                 (double)(float)real == real ? wf_f32_text((float)real, number)
                                             : wf_f64_text(real, number));
    else if (kind == WF_JSON_STRING && wf_json_read_string(ref, &string) == WF_OK)
        snprintf(text, VALUE_BYTES, "'%.80s'", string);
    else
        snprintf(text, VALUE_BYTES, "%s", wf_json_kind_words(kind));
    return text;
}

static bool is_number(wf_json_ref ref)
{
    return wf_json_kind_of(ref) == WF_JSON_INTEGER || wf_json_kind_of(ref) == WF_JSON_REAL;
}

static bool equal_values(wf_json_ref a, wf_json_ref b)
{
    char x[VALUE_BYTES], y[VALUE_BYTES];
    const char *s, *t;
    double u, v;
    if (wf_json_kind_of(a) == WF_JSON_STRING && wf_json_kind_of(b) == WF_JSON_STRING) {
        return wf_json_read_string(a, &s) == WF_OK && wf_json_read_string(b, &t) == WF_OK &&
               strcmp(s, t) == 0;
    }
    bool reals = wf_json_kind_of(a) == WF_JSON_REAL || wf_json_kind_of(b) == WF_JSON_REAL;
    if (reals && is_number(a) && is_number(b)) // 1 and 1.0, and a float with all digits of a double
        return wf_json_read_f64(a, -1e308, 1e308, &u) == WF_OK &&
               wf_json_read_f64(b, -1e308, 1e308, &v) == WF_OK &&
               (u == v || (double)(float)u == v || u == (double)(float)v);
    return strcmp(value_text(a, x), value_text(b, y)) == 0;
}

static void join_path(char out[PATH_BYTES], const char *path, const char *key, size_t index)
{
    if (key)
        snprintf(out, PATH_BYTES, "%s%s%s", path, path[0] ? "." : "", key);
    else
        snprintf(out, PATH_BYTES, "%s[%zu]", path, index);
}

static bool array_holds(wf_json_ref array, wf_json_ref value)
{
    wf_json_iter it = wf_json_iterate(array);
    for (wf_json_ref item; wf_json_next(&it, &item);)
        if (equal_values(item, value)) return true;
    return false;
}

static void compare(differences *d, const char *path, wf_json_ref was, wf_json_ref is);

// The path of a shard as an identity has it, "" when it does not say.
static const char *path_of(wf_json_ref identity, const char *uid)
{
    const char *path;
    wf_json_ref paths = wf_json_find(identity, PATHS);
    return wf_json_get_string(paths, uid, &path) == WF_OK ? path : "";
}

static bool has_path(wf_json_ref identity, const char *path)
{
    const char *other;
    wf_json_iter it = wf_json_iterate(wf_json_find(identity, PATHS));
    for (wf_json_ref item; wf_json_next(&it, &item);)
        if (wf_json_read_string(item, &other) == WF_OK && strcmp(path, other) == 0) return true;
    return false;
}

static void add_missing_shard(differences *d, const char *uid)
{
    const char *path = path_of(d->was, uid);
    if (!path[0])
        add(d, "shard '%s' was read before and is gone or changed", uid);
    else if (has_path(d->is, path))
        add(d, "%s has changed: it is not the shard '%s' that was read before", path, uid);
    else
        add(d, "%s (shard '%s') was read before and is not among the requests now", path, uid);
}

// Every shard of old must still be there, the same; new ones may come. An object by uid, or an
// array of uids in any order.
static void compare_shards(differences *d, wf_json_ref was, wf_json_ref is)
{
    char path[PATH_BYTES], text[VALUE_BYTES];
    wf_json_iter it = wf_json_iterate(was);
    for (wf_json_ref item; wf_json_next(&it, &item);) {
        if (wf_json_kind_of(was) == WF_JSON_ARRAY) {
            if (!array_holds(is, item))
                add(d, "shard %s was read before and is gone or changed", value_text(item, text));
        } else if (!wf_json_has(is, item.key)) {
            add_missing_shard(d, item.key);
        } else {
            join_path(path, "shards", item.key, 0);
            compare(d, path, item, wf_json_find(is, item.key));
        }
    }
}

static bool is_for_people(const char *key)
{
    return strcmp(key, PATHS) == 0 || strcmp(key, RESULTS) == 0;
}

static void compare_members(differences *d, const char *path, wf_json_ref was, wf_json_ref is)
{
    char below[PATH_BYTES], text[VALUE_BYTES];
    bool object = wf_json_kind_of(was) == WF_JSON_OBJECT;
    wf_json_iter it = wf_json_iterate(was);
    for (wf_json_ref item; wf_json_next(&it, &item);) {
        wf_json_ref other = object ? wf_json_find(is, item.key) : wf_json_at(is, item.index);
        if (object && path[0] == '\0' && strcmp(item.key, "shards") == 0) {
            compare_shards(d, item, other);
            continue;
        }
        if (object && path[0] == '\0' && is_for_people(item.key)) continue;
        join_path(below, path, object ? item.key : NULL, item.index);
        compare(d, below, item, other);
    }
    it = wf_json_iterate(is);
    for (wf_json_ref item; wf_json_next(&it, &item);) {
        wf_json_ref other = object ? wf_json_find(was, item.key) : wf_json_at(was, item.index);
        if (wf_json_kind_of(other) != WF_JSON_ABSENT) continue;
        if (object && path[0] == '\0' && is_for_people(item.key)) continue;
        join_path(below, path, object ? item.key : NULL, item.index);
        add(d, "%s: was not there, is %s", below, value_text(item, text));
    }
}

static void compare(differences *d, const char *path, wf_json_ref was, wf_json_ref is)
{
    char a[VALUE_BYTES], b[VALUE_BYTES];
    wf_json_kind kind = wf_json_kind_of(was);
    if ((kind == WF_JSON_OBJECT || kind == WF_JSON_ARRAY) && wf_json_kind_of(is) == kind)
        compare_members(d, path, was, is);
    else if (!equal_values(was, is))
        add(d, "%s: was %s, is %s", path, value_text(was, a), value_text(is, b));
}

wf_status wf_identity_compare(const char *was, const char *is)
{
    wf_json *old = NULL, *new = NULL;
    differences d = {0};
    wf_status st = wf_json_parse("identity of the earlier run", was, strlen(was), NULL, &old);
    if (st == WF_OK) st = wf_json_parse("identity of this run", is, strlen(is), NULL, &new);
    if (st == WF_OK) {
        d.was = wf_json_root(old);
        d.is = wf_json_root(new);
        compare(&d, "", d.was, d.is);
    }
    wf_json_destroy(&old);
    wf_json_destroy(&new);
    WF_TRY(st);
    if (d.n_differences == 0) return WF_OK;
    return wf_fail(WF_MISMATCH, "made by another job: %s", d.text);
}
